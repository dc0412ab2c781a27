//! The certificate of an erasure: what was destroyed, what is held and why, signed (Ed25519).
//!
//! Lives here: the document, how it is signed and judged. Below: the one way to write it, of which
//! the signature is made. Not here: the key that signs and the arithmetic of signatures (`keys`),
//! words for people (`cli/certificate`). Made by the erasure, judged by the command line, without a
//! server.

mod canonical;

use protocol::ids::{NodeId, PrivacyRequestId, TenantId};
use protocol::time::UnixMillis;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The form of the document; a later one is not judged by this program.
pub const FORMAT: u32 = 1;

/// Begins what is signed, so that a signature of anything else never holds for a certificate.
const CONTEXT: &str = "livehelp-erasure-certificate\n";

/// What is signed with.
const ALGORITHM: &str = "Ed25519";

/// Hexadecimal digits of a public key that name it.
const KEY_ID_DIGITS: usize = 16;

/// Whoever signs.
pub trait Signer {
    /// An Ed25519 signature of these bytes.
    fn sign(&self, bytes: &[u8]) -> [u8; 64];
    /// What it is checked with.
    fn public_key(&self) -> [u8; 32];
}

/// Whether a signature of these bytes holds for a public key.
pub type Verify<'a> = &'a dyn Fn(&[u8; 32], &[u8], &[u8; 64]) -> bool;

/// What an erasure did. Names no person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// [`FORMAT`].
    pub format: u32,
    pub request_id: PrivacyRequestId,
    pub received_at: UnixMillis,
    pub done_at: UnixMillis,
    /// The rules by which it was done, such as `DSAR-05`.
    pub rules: Vec<String>,
    pub tenant_id: TenantId,
    /// Who was erased: an id by chance, made for this.
    pub pseudonym: Bytes<16>,
    pub stores: Vec<StoreCount>,
    pub keys: DestroyedKeys,
    /// What was not destroyed, and why.
    pub exceptions: Vec<Exception>,
    /// Who had been sent something of it before.
    pub recipients: Vec<Recipient>,
    /// Which nodes said that they hold nothing of it any more.
    pub nodes: Vec<NodeId>,
    /// From then on no backup of the keys can open it.
    pub backup_horizon_at: UnixMillis,
    pub audit: AuditHead,
    /// The version of the program that did it.
    pub software: String,
    /// The policy by which it was judged what is held.
    pub policy_hash: Bytes<32>,
}

/// What one store had of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreCount {
    /// As the data inventory has it.
    pub store: String,
    pub found: u64,
    pub destroyed: u64,
    pub held: u64,
}

/// The keys that were destroyed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DestroyedKeys {
    pub count: u64,
    /// Hashes of their ids.
    pub hashed_ids: Vec<Bytes<32>>,
}

/// Something that is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    pub what: String,
    pub basis: String,
    /// When it is looked at again.
    pub review_at: UnixMillis,
}

/// Whoever had been sent something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipient {
    pub recipient: String,
    pub told: Told,
}

/// What a recipient said when they were told of the erasure. Whether they deleted anything nobody
/// can verify (SHR-03), so there is no word for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Told {
    /// They answered that they had heard it.
    Acknowledged,
    /// They did not.
    Unconfirmed,
}

/// The audit chain when it was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditHead {
    pub chain: String,
    pub seq: u64,
    pub hash: Bytes<32>,
}

/// A certificate as it is handed out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedCertificate {
    pub certificate: Certificate,
    pub signature: Signature,
}

/// A signature, and what it is checked with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    pub algorithm: String,
    /// The first digits of the public key.
    pub key_id: String,
    pub public_key: Bytes<32>,
    pub value: Bytes<64>,
}

/// Bytes that stand in JSON as lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes<const N: usize>(pub [u8; N]);

impl<const N: usize> Bytes<N> {
    /// From so many lower-case hexadecimal digits; another spelling is none.
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != N || !rest.is_empty() {
            return None;
        }
        let mut bytes = [0; N];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(bytes))
    }
}

impl<const N: usize> std::fmt::Display for Bytes<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl<const N: usize> Serialize for Bytes<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Bytes<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| de::Error::custom(format!("not {} lower-case hex digits", 2 * N)))
    }
}

/// Why there is no certificate, or none that can be judged.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("it is no erasure certificate of format {FORMAT}: {0}")]
    Unreadable(String),
    #[error("{0}")]
    Untrue(&'static str),
}

/// What a certificate is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// It is what was signed, with the key that was expected.
    Signed,
    /// It is what was signed; by whom, the certificate alone cannot say.
    Unaltered,
    /// It is what was signed, with another key than the one that was expected.
    OtherKey,
    /// It is not what was signed.
    Forged,
}

impl Certificate {
    /// Signs it.
    ///
    /// # Errors
    /// If it says what cannot be.
    pub fn sign(self, signer: &dyn Signer) -> Result<SignedCertificate, CertificateError> {
        self.judge()?;
        let public_key = Bytes(signer.public_key());
        let value = Bytes(signer.sign(self.signed_bytes()?.as_bytes()));
        let signature = Signature {
            algorithm: ALGORITHM.to_owned(),
            key_id: key_id(&public_key),
            public_key,
            value,
        };
        Ok(SignedCertificate { certificate: self, signature })
    }

    /// Whether it says what can be.
    fn judge(&self) -> Result<(), CertificateError> {
        let untrue = |words| Err(CertificateError::Untrue(words));
        if self.format != FORMAT {
            return untrue("the format is not this program's");
        }
        if self.done_at < self.received_at {
            return untrue("it was done before it was asked for");
        }
        let is_counted = |count: &StoreCount| {
            count.destroyed.checked_add(count.held).is_some_and(|all| all == count.found)
        };
        if !self.stores.iter().all(is_counted) {
            return untrue("what was found is neither destroyed nor held");
        }
        if self.stores.iter().any(|count| count.held > 0) && self.exceptions.is_empty() {
            return untrue("something is held and nothing says why");
        }
        if u64::try_from(self.keys.hashed_ids.len()) != Ok(self.keys.count) {
            return untrue("the keys are not as many as their ids");
        }
        Ok(())
    }

    fn signed_bytes(&self) -> Result<String, CertificateError> {
        let value = serde_json::to_value(self)
            .map_err(|_| CertificateError::Untrue("it cannot be written as JSON"))?;
        let canonical = canonical::write(&value)
            .ok_or(CertificateError::Untrue("a number is greater than JSON can carry"))?;
        Ok(format!("{CONTEXT}{canonical}"))
    }
}

impl SignedCertificate {
    /// Reads one. What it does not know it does not take, so that nothing in it goes unjudged.
    ///
    /// # Errors
    /// If it is none of this format.
    pub fn parse(text: &str) -> Result<Self, CertificateError> {
        let read: Self = serde_json::from_str(text).map_err(|error| {
            CertificateError::Unreadable(format!(
                "line {}, column {}",
                error.line(),
                error.column()
            ))
        })?;
        if read.certificate.format != FORMAT {
            let words = format!("it has format {}", read.certificate.format);
            return Err(CertificateError::Unreadable(words));
        }
        Ok(read)
    }

    /// Whether it is what was signed, and with the key that is expected, where one is.
    pub fn worth(&self, expected: Option<&Bytes<32>>, verify: Verify<'_>) -> Worth {
        let Signature { algorithm, key_id: id, public_key, value } = &self.signature;
        let is_whole = algorithm == ALGORITHM
            && *id == key_id(public_key)
            && self
                .certificate
                .signed_bytes()
                .is_ok_and(|bytes| verify(&public_key.0, bytes.as_bytes(), &value.0));
        match expected {
            _ if !is_whole => Worth::Forged,
            None => Worth::Unaltered,
            Some(expected) if expected == public_key => Worth::Signed,
            Some(_) => Worth::OtherKey,
        }
    }
}

fn key_id(public_key: &Bytes<32>) -> String {
    public_key.to_string().chars().take(KEY_ID_DIGITS).collect()
}

#[cfg(test)]
mod tests;
