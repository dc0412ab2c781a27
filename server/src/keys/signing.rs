//! Signatures of the audit's heads and of certificates: an Ed25519 key that is derived from the root in the key store,
//! so that it is wrapped by the master key, outlives its rotation, and is in each backup of the
//! keys.

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use super::{Secret, cipher};
use crate::privacy::certificate;

/// Signs as this server.
pub struct Signer(Ed25519KeyPair);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[signer]")
    }
}

impl Signer {
    #[expect(clippy::expect_used, reason = "the length is right: a seed is 32 bytes")]
    pub(super) fn of(root: &Secret) -> Self {
        let seed = cipher::derive_signing(root);
        Self(Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).expect("32 bytes"))
    }

    /// The signature of these bytes.
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.0.sign(bytes).as_ref());
        signature
    }

    /// What its signatures are verified with; no secret.
    pub fn public_key(&self) -> [u8; 32] {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.public_key().as_ref());
        key
    }
}

impl certificate::Signer for Signer {
    fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        Self::sign(self, bytes)
    }

    fn public_key(&self) -> [u8; 32] {
        Self::public_key(self)
    }
}

/// Whether whoever has this key signed these bytes.
pub fn is_signed(public_key: &[u8; 32], bytes: &[u8], signature: &[u8; 64]) -> bool {
    UnparsedPublicKey::new(&ED25519, public_key).verify(bytes, signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_one_key_and_one_text() {
        let (one, other) = (Signer::of(&Secret::new([1; 32])), Signer::of(&Secret::new([2; 32])));
        let signature = one.sign(b"head");
        assert!(is_signed(&one.public_key(), b"head", &signature));
        assert!(!is_signed(&one.public_key(), b"heap", &signature));
        assert!(!is_signed(&other.public_key(), b"head", &signature));
        assert_eq!(Signer::of(&Secret::new([1; 32])).public_key(), one.public_key());
    }
}
