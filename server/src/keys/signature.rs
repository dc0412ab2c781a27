//! Signatures that are checked without a key store.

use ring::signature::{ED25519, UnparsedPublicKey};

/// Whether an Ed25519 signature of these bytes holds for a public key.
pub fn verify(public_key: &[u8; 32], bytes: &[u8], signature: &[u8; 64]) -> bool {
    UnparsedPublicKey::new(&ED25519, public_key).verify(bytes, signature).is_ok()
}
