//! Derivation and sealing: HKDF-SHA256, AES-256-GCM, HMAC-SHA256. No files.

use std::cell::RefCell;
use std::sync::Arc;

use protocol::ids::TenantId;
use protocol::time::Day;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::{digest, hkdf, hmac};
use zeroize::Zeroizing;

use super::{KEY_BYTES, KeysError, Secret};
use crate::privacy::seal::{Bucket, Lock, RecordKind, SealError, Subject};

/// The key of one kind of record, ready for use.
#[derive(Clone)]
pub(super) struct ValueKey(Arc<LessSafeKey>);

impl std::fmt::Debug for ValueKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[key]")
    }
}

impl ValueKey {
    pub(super) fn new(key: &Secret) -> Self {
        #[expect(clippy::expect_used, reason = "the length is right: both are 32 bytes")]
        let key = UnboundKey::new(&AES_256_GCM, key.as_slice()).expect("32 bytes");
        Self(Arc::new(LessSafeKey::new(key)))
    }

    /// Nonce, text, tag.
    pub(super) fn seal(&self, associated: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let nonce = fresh_nonce().map_err(|_| SealError::Unavailable)?;
        let mut sealed = Vec::with_capacity(NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let (_, text) = sealed.split_at_mut(NONCE_LEN);
        let tag = self
            .0
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(associated),
                text,
            )
            .map_err(|_| SealError::Unavailable)?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    pub(super) fn unseal(&self, associated: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Tampered)?;
        let mut plain = rest.to_vec();
        let len = self
            .0
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(associated), &mut plain)
            .map_err(|_| SealError::Tampered)?
            .len();
        plain.truncate(len);
        Ok(plain)
    }
}

/// SHA-256 of what comes in pieces.
pub struct Sum(digest::Context);

impl std::fmt::Debug for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[sum]")
    }
}

impl Default for Sum {
    fn default() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }
}

impl Sum {
    /// The next piece.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Of all pieces.
    pub fn finish(self) -> [u8; 32] {
        let mut sum = [0; 32];
        sum.copy_from_slice(self.0.finish().as_ref());
        sum
    }
}

/// Nonces that one question to the system brings: it costs more than the sealing of a short
/// message, and hardly more for many.
const NONCES: usize = 64;

/// Random bytes for nonces, each handed out once. They need not be secret, so they may lie in
/// memory.
struct Nonces {
    bytes: [u8; NONCES * NONCE_LEN],
    left: usize,
}

thread_local! {
    static FRESH: RefCell<Nonces> =
        const { RefCell::new(Nonces { bytes: [0; NONCES * NONCE_LEN], left: 0 }) };
}

fn fresh_nonce() -> Result<[u8; NONCE_LEN], KeysError> {
    FRESH.with_borrow_mut(|fresh| {
        if fresh.left == 0 {
            fill_random(&mut fresh.bytes)?;
            fresh.left = NONCES;
        }
        // Counted before it is taken: no way leads to the same one again.
        fresh.left -= 1;
        let (nonces, _) = fresh.bytes.as_chunks::<NONCE_LEN>();
        nonces.get(fresh.left).copied().ok_or(KeysError::NoRandom)
    })
}

struct ValueKeyLen;

impl hkdf::KeyType for ValueKeyLen {
    fn len(&self) -> usize {
        KEY_BYTES
    }
}

/// HKDF over both locks, its info the record's kind and context.
pub(super) fn derive(bucket: &Secret, subject: &Secret, lock: &Lock) -> ValueKey {
    let mut both = Zeroizing::new([0; 2 * KEY_BYTES]);
    both[..KEY_BYTES].copy_from_slice(bucket.as_slice());
    both[KEY_BYTES..].copy_from_slice(subject.as_slice());
    let info = kind_bytes(&lock.kind);
    let mut key = Secret::default();
    #[expect(clippy::expect_used, reason = "32 bytes are far below HKDF's limit of 255 x 32")]
    hkdf::Salt::new(hkdf::HKDF_SHA256, b"livehelp value 1")
        .extract(both.as_slice())
        .expand(&[&info], ValueKeyLen)
        .and_then(|okm| okm.fill(key.as_mut_slice()))
        .expect("a key of 32 bytes can be derived");
    ValueKey::new(&key)
}

/// The key of one day for what passes from node to node.
pub(super) fn derive_transit(root: &Secret, day: Day) -> ValueKey {
    let mut key = Secret::default();
    #[expect(clippy::expect_used, reason = "32 bytes are far below HKDF's limit of 255 x 32")]
    hkdf::Salt::new(hkdf::HKDF_SHA256, b"livehelp transit 1")
        .extract(root.as_slice())
        .expand(&[&day.0.to_be_bytes()], ValueKeyLen)
        .and_then(|okm| okm.fill(key.as_mut_slice()))
        .expect("a key of 32 bytes can be derived");
    ValueKey::new(&key)
}

/// The seed of the key that signs the audit's heads.
pub(super) fn derive_signing(root: &Secret) -> Secret {
    let mut seed = Secret::default();
    #[expect(clippy::expect_used, reason = "32 bytes are far below HKDF's limit of 255 x 32")]
    hkdf::Salt::new(hkdf::HKDF_SHA256, b"livehelp audit 1")
        .extract(root.as_slice())
        .expand(&[b"ed25519 seed"], ValueKeyLen)
        .and_then(|okm| okm.fill(seed.as_mut_slice()))
        .expect("a seed of 32 bytes can be derived");
    seed
}

/// HMAC under a key of the tenant's; the field's name is part of it, its length before it.
pub(super) fn find_hash(root: &Secret, tenant: TenantId, field: &str, value: &str) -> [u8; 32] {
    let root = hmac::Key::new(hmac::HMAC_SHA256, root.as_slice());
    let tenant_key = hmac::sign(&root, tenant.as_bytes());
    let mut mac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, tenant_key.as_ref()));
    mac.update(&u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
    mac.update(field.as_bytes());
    mac.update(value.as_bytes());
    into_array(mac.sign().as_ref())
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    into_array(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn into_array(bytes: &[u8]) -> [u8; 32] {
    let mut array = [0; 32];
    array.copy_from_slice(bytes);
    array
}

/// Fills a buffer with random bytes from the system.
///
/// # Errors
/// If the system has none to give.
pub fn fill_random(bytes: &mut [u8]) -> Result<(), KeysError> {
    SystemRandom::new().fill(bytes).map_err(|_| KeysError::NoRandom)
}

/// What a wrapped bucket key is bound to.
pub(super) fn bucket_bytes(bucket: &Bucket) -> Vec<u8> {
    let mut bytes = vec![b'b'];
    bytes.extend_from_slice(bucket.tenant.as_bytes());
    bytes.extend_from_slice(bucket.site.as_ref().map_or(&[0; 16], |site| site.as_bytes()));
    bytes.push(bucket.class.code());
    bytes.extend_from_slice(&bucket.day.0.to_be_bytes());
    bytes
}

/// What a wrapped subject key is bound to.
pub(super) fn subject_bytes(tenant: TenantId, subject: Subject) -> Vec<u8> {
    let (kind, id) = subject_parts(&subject);
    let mut bytes = vec![b's', kind];
    bytes.extend_from_slice(tenant.as_bytes());
    bytes.extend_from_slice(id);
    bytes
}

/// A subject as the columns of a row.
pub(super) fn subject_parts(subject: &Subject) -> (u8, &[u8; 16]) {
    match subject {
        Subject::Visitor(visitor) => (0, visitor.as_bytes()),
        Subject::Agent(agent) => (1, agent.as_bytes()),
    }
}

fn kind_bytes(kind: &RecordKind) -> Vec<u8> {
    let (code, context): (u8, Option<&[u8; 16]>) = match kind {
        RecordKind::Messages(conversation) => (0, Some(conversation.as_bytes())),
        RecordKind::Conversation(conversation) => (1, Some(conversation.as_bytes())),
        RecordKind::Contact => (2, None),
        RecordKind::Account => (3, None),
        RecordKind::Draft(conversation) => (4, Some(conversation.as_bytes())),
    };
    let mut bytes = vec![code];
    bytes.extend_from_slice(context.map_or(&[][..], |context| context.as_slice()));
    bytes
}
