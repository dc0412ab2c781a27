//! Secrets that are handed out once and kept as hashes.

use secrecy::SecretString;
use subtle::ConstantTimeEq as _;

use crate::keys::{random_bytes, secret_hash};
use crate::store::SecretHash;

/// A new secret: its text for whoever gets it, its hash for the store.
#[derive(Debug)]
pub struct Issued {
    /// Shown once.
    pub text: SecretString,
    /// Kept.
    pub hash: SecretHash,
}

/// Makes a secret of 256 random bits: the prefix and 64 hex digits.
pub fn issue(prefix: &str) -> Issued {
    let mut text = String::with_capacity(prefix.len() + 64);
    text.push_str(prefix);
    for byte in random_bytes::<32>() {
        text.push_str(&format!("{byte:02x}"));
    }
    let hash = token_hash(&text);
    Issued { text: SecretString::from(text), hash }
}

/// What the store keeps of a secret.
pub fn token_hash(text: &str) -> SecretHash {
    secret_hash(text)
}

/// Compares without telling by its time how much was equal.
pub(super) fn same(a: SecretHash, b: SecretHash) -> bool {
    a.0.ct_eq(&b.0).into()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_secret_is_long_prefixed_and_never_printed() {
        let one = issue("lhk_");
        let two = issue("lhk_");
        let text = one.text.expose_secret();
        assert!(text.starts_with("lhk_") && text.len() == 68);
        assert_ne!(one.hash.0, two.hash.0);
        assert!(same(one.hash, token_hash(text)));
        assert!(!format!("{one:?}").contains(text));
    }
}
