//! The key store: the two locks of every personal value, in a folder of their own.
//!
//! Lives here: the master key, the wrapped bucket and subject keys, derivation, sealing, destruction, and
//! the random numbers and hashes that tokens are made of. The only door to the crypto crate.
//! Not here: what is sealed and where it lies (`store`), when a key is due (`privacy::sweep`).
//! Called by the assembly, and through the port `privacy::seal::Sealer` by the stores.
//!
//! The folder holds `master.key` (32 random bytes) and `keys.sqlite`. Whoever has the data without this
//! folder has noise. Whoever loses this folder has lost the data.

mod cipher;
mod file;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use protocol::ids::TenantId;
use protocol::time::{Day, UnixMillis};
use uuid::Uuid;
use zeroize::Zeroizing;

use self::cipher::ValueKey;
use self::file::{KeyFile, Stored};
use crate::privacy::consent::NoticeHash;
use crate::privacy::seal::{Bucket, Lock, SealError, Sealer, SecretHash, Subject, TransitSealer};
use crate::recent::Recent;

pub use self::cipher::fill_random;

/// Derived keys in memory, so that a message need not derive its own: one for each conversation that is
/// active now, and one or two more for a form or a draft. 20,000 conversations that write in turn keep theirs,
/// with room for the others. A key takes 640 bytes and its share of a table: 14 MB for those, 37 MB when both
/// halves are full. Seven eighths of a power of two, so that no half's table doubles for its last keys.
const VALUE_KEYS_HALF_LEN: usize = 28_672;
/// Unwrapped bucket and subject keys in memory.
const LOCK_KEYS_HALF_LEN: usize = 8_192;
/// Yesterday's, today's and tomorrow's key of the way between nodes.
const TRANSIT_KEYS_HALF_LEN: usize = 2;

/// Bytes of a key.
const KEY_BYTES: usize = 32;

type Secret = Zeroizing<[u8; KEY_BYTES]>;

/// Why the keys cannot be used. Nothing is ever replaced on its own: lost keys are lost data.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A copy of the data folder would then be a copy of the keys too.
    #[error("the keys folder {} lies inside the data folder {}: put it elsewhere (--keys)", keys.display(), data.display())]
    InsideData { keys: PathBuf, data: PathBuf },
    /// The data was sealed with keys that are not there.
    #[error("there is data, but no keys in {}: put the keys folder back, without it the data cannot be read", .0.display())]
    Missing(PathBuf),
    /// Half of the folder is gone.
    #[error("{} is missing from the keys folder: put the keys folder back from its own backup", .0.display())]
    Incomplete(PathBuf),
    /// The keys were put back from a time before the data.
    #[error("the keys in {} are older than the data (generation {keys}, the data needs {data}): put the newest keys folder back", folder.display())]
    OlderThanData { folder: PathBuf, keys: u64, data: u64 },
    /// Others on this machine could read them.
    #[error("{} can be read by others (mode {mode:o}): chmod {} it", path.display(), if *folder { "700" } else { "600" })]
    Permissions { path: PathBuf, mode: u32, folder: bool },
    /// `master.key` does not open `keys.sqlite`.
    #[error("master.key in {} does not open keys.sqlite: they belong to different servers", .0.display())]
    WrongMaster(PathBuf),
    /// `master.key` is not 32 bytes.
    #[error("{} is not a master key: it must be 32 bytes", .0.display())]
    NotAMaster(PathBuf),
    /// There are keys already.
    #[error("there are keys in {} already", .0.display())]
    Exists(PathBuf),
    /// From a later livehelp.
    #[error("keys.sqlite is of format {found}, this livehelp knows {known}: use a newer one")]
    Newer { found: u32, known: u32 },
    #[error("cannot {act} {}", path.display())]
    Io {
        act: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("keys.sqlite failed: cannot {act}")]
    File {
        act: &'static str,
        #[source]
        source: rusqlite::Error,
    },
    #[error("the system has no random numbers to give")]
    NoRandom,
    #[error("a key that was to be destroyed was read back from keys.sqlite")]
    StillThere,
}

/// The key store of one server.
#[derive(Debug)]
pub struct KeyStore {
    file: Mutex<Held>,
    values: Mutex<Recent<Lock, ValueKey>>,
    /// What is on disk; read without the lock.
    generation: AtomicU64,
    find_root: Secret,
    transit: Mutex<Recent<Day, ValueKey>>,
}

/// What the lock on the file guards: derived keys go into memory and out of it under the same lock, so
/// that none survives the destruction of what it came from.
struct Held {
    file: KeyFile,
    buckets: Recent<Bucket, Secret>,
    subjects: Recent<(TenantId, Subject), Secret>,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[keys]")
    }
}

impl KeyStore {
    /// Opens the keys in `folder`; where there is neither data nor a key yet, makes them.
    ///
    /// # Errors
    /// If the folder lies in the data folder, is readable by others, or if there is data (its
    /// generation is `generation_of_data`) and the keys are missing, incomplete, older or wrong.
    pub fn open(
        folder: &Path,
        data_folder: &Path,
        generation_of_data: Option<u64>,
    ) -> Result<Self, KeysError> {
        file::check_apart(folder, data_folder)?;
        if !file::exists(folder)? {
            if generation_of_data.is_some() {
                return Err(KeysError::Missing(folder.to_owned()));
            }
            file::create(folder)?;
        }
        let file = KeyFile::open(folder)?;
        let keys = Self::from_file(file)?;
        if let Some(data) = generation_of_data
            && keys.generation() < data
        {
            return Err(KeysError::OlderThanData {
                folder: folder.to_owned(),
                keys: keys.generation(),
                data,
            });
        }
        Ok(keys)
    }

    /// Looks at the keys in `folder` as a start would, without making or changing anything; `None` where
    /// there are none and no data needs any.
    ///
    /// # Errors
    /// As [`KeyStore::open`].
    pub fn look(
        folder: &Path,
        data_folder: &Path,
        generation_of_data: Option<u64>,
    ) -> Result<Option<Self>, KeysError> {
        file::check_apart(folder, data_folder)?;
        if !file::exists(folder)? {
            return match generation_of_data {
                Some(_) => Err(KeysError::Missing(folder.to_owned())),
                None => Ok(None),
            };
        }
        Self::from_file(KeyFile::look(folder)?).map(Some)
    }

    /// Makes the keys of a new server.
    ///
    /// # Errors
    /// If there are keys already, or as [`KeyStore::open`].
    pub fn create(folder: &Path, data_folder: &Path) -> Result<Self, KeysError> {
        file::check_apart(folder, data_folder)?;
        if file::exists(folder)? {
            return Err(KeysError::Exists(folder.to_owned()));
        }
        file::create(folder)?;
        Self::from_file(KeyFile::open(folder)?)
    }

    /// Keys that stand in no file and are gone when the process ends, as is all that was sealed with them.
    ///
    /// # Errors
    /// If the system has no random numbers to give.
    pub fn in_memory() -> Result<Self, KeysError> {
        Self::from_file(KeyFile::in_memory()?)
    }

    fn from_file(file: KeyFile) -> Result<Self, KeysError> {
        let generation = AtomicU64::new(file.generation()?);
        let find_root = file.find_root();
        let held = Held {
            file,
            buckets: Recent::new(LOCK_KEYS_HALF_LEN),
            subjects: Recent::new(LOCK_KEYS_HALF_LEN),
        };
        Ok(Self {
            file: Mutex::new(held),
            values: Mutex::new(Recent::new(VALUE_KEYS_HALF_LEN)),
            generation,
            find_root,
            transit: Mutex::new(Recent::new(TRANSIT_KEYS_HALF_LEN)),
        })
    }

    /// Wraps every key anew under a fresh master key: a copy of the old one then opens nothing that is
    /// here. The server must be stopped; returns how many keys there are.
    ///
    /// # Errors
    /// If the folder cannot be written; the keys stay usable, under the old master key or the new one.
    pub fn rotate_master(&self) -> Result<usize, KeysError> {
        let mut held = self.file.lock();
        let wrapped = held.file.rotate();
        self.generation.store(held.file.generation()?, Ordering::Release);
        wrapped
    }

    fn transit_key(&self, day: Day) -> ValueKey {
        let mut keys = self.transit.lock();
        if let Some(key) = keys.get(&day) {
            return key;
        }
        let key = cipher::derive_transit(&self.find_root, day);
        keys.insert(day, key.clone());
        key
    }

    fn value_key(&self, lock: &Lock) -> Result<ValueKey, SealError> {
        if let Some(key) = self.values.lock().get(lock) {
            return Ok(key);
        }
        let mut held = self.file.lock();
        let bucket = held.bucket(&lock.bucket)?.ok_or(SealError::Unavailable)?;
        let subject =
            held.subject(lock.bucket.tenant, lock.subject)?.ok_or(SealError::Unavailable)?;
        let key = cipher::derive(&bucket, &subject, lock);
        self.values.lock().insert(*lock, key.clone());
        Ok(key)
    }
}

impl Held {
    /// The key, `None` if it was never made.
    fn bucket(&mut self, bucket: &Bucket) -> Result<Option<Secret>, SealError> {
        if let Some(key) = self.buckets.get(bucket) {
            return Ok(Some(key));
        }
        match self.file.bucket(bucket).map_err(failed)? {
            Stored::Key(key) => {
                self.buckets.insert(*bucket, key.clone());
                Ok(Some(key))
            }
            Stored::Destroyed => Err(SealError::Destroyed),
            Stored::None => Ok(None),
        }
    }

    fn subject(&mut self, tenant: TenantId, subject: Subject) -> Result<Option<Secret>, SealError> {
        if let Some(key) = self.subjects.get(&(tenant, subject)) {
            return Ok(Some(key));
        }
        match self.file.subject(tenant, subject).map_err(failed)? {
            Stored::Key(key) => {
                self.subjects.insert((tenant, subject), key.clone());
                Ok(Some(key))
            }
            Stored::Destroyed => Err(SealError::Destroyed),
            Stored::None => Ok(None),
        }
    }
}

impl Sealer for KeyStore {
    fn prepare(&self, locks: &[Lock]) -> Result<(), SealError> {
        let mut held = self.file.lock();
        let mut destroyed = false;
        let mut buckets = Vec::new();
        let mut subjects = Vec::new();
        for lock in locks {
            match held.bucket(&lock.bucket) {
                Ok(Some(_)) => {}
                Ok(None) => buckets.push(lock.bucket),
                Err(SealError::Destroyed) => destroyed = true,
                Err(error) => return Err(error),
            }
            match held.subject(lock.bucket.tenant, lock.subject) {
                Ok(Some(_)) => {}
                Ok(None) => subjects.push((lock.bucket.tenant, lock.subject)),
                Err(SealError::Destroyed) => destroyed = true,
                Err(error) => return Err(error),
            }
        }
        if !buckets.is_empty() || !subjects.is_empty() {
            buckets.sort_unstable();
            buckets.dedup();
            subjects.sort_unstable();
            subjects.dedup();
            let generation = held.file.make(&buckets, &subjects).map_err(failed)?;
            self.generation.store(generation, Ordering::Release);
        }
        if destroyed { Err(SealError::Destroyed) } else { Ok(()) }
    }

    fn seal(&self, lock: &Lock, associated: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        self.value_key(lock)?.seal(associated, plain)
    }

    fn unseal(&self, lock: &Lock, associated: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        self.value_key(lock)?.unseal(associated, sealed)
    }

    fn find_hash(&self, tenant: TenantId, field: &str, value: &str) -> Result<[u8; 32], SealError> {
        Ok(cipher::find_hash(&self.find_root, tenant, field, value))
    }

    fn destroy_buckets(&self, buckets: &[Bucket]) -> Result<(), SealError> {
        let mut held = self.file.lock();
        let outcome = held.file.destroy_buckets(buckets);
        for bucket in buckets {
            held.buckets.remove(bucket);
        }
        let gone: std::collections::HashSet<&Bucket> = buckets.iter().collect();
        self.values.lock().retain(|lock| !gone.contains(&lock.bucket));
        self.generation.store(outcome.map_err(failed)?, Ordering::Release);
        Ok(())
    }

    fn destroy_subject(&self, tenant: TenantId, subject: Subject) -> Result<(), SealError> {
        let mut held = self.file.lock();
        let outcome = held.file.destroy_subject(tenant, subject);
        held.subjects.remove(&(tenant, subject));
        self.values.lock().retain(|lock| lock.subject != subject || lock.bucket.tenant != tenant);
        self.generation.store(outcome.map_err(failed)?, Ordering::Release);
        Ok(())
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}

impl TransitSealer for KeyStore {
    fn seal_in_transit(
        &self,
        day: Day,
        associated: &[u8],
        plain: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        self.transit_key(day).seal(associated, plain)
    }

    fn unseal_in_transit(
        &self,
        day: Day,
        associated: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        self.transit_key(day).unseal(associated, sealed)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err wants")]
fn failed(error: KeysError) -> SealError {
    tracing::error!(error = %error, cause = ?std::error::Error::source(&error), "the key store failed");
    SealError::Unavailable
}

/// What the store keeps in the place of a token, cookie or API key. These are random and long, so a
/// plain hash is enough.
pub fn secret_hash(secret: &str) -> SecretHash {
    SecretHash(cipher::sha256(secret.as_bytes()))
}

/// The name of a privacy notice: it changes when its words or its address do.
pub fn notice_hash(text: &str, url: &str) -> NoticeHash {
    NoticeHash(content_hash(format!("{text}\n{url}").as_bytes()))
}

/// SHA-256, for what is compared and not kept secret: a request's body, a notice's words.
pub fn content_hash(bytes: &[u8]) -> [u8; 32] {
    cipher::sha256(bytes)
}

/// Random bytes from the system.
///
/// # Panics
/// If the system has none to give: nothing secret could be made then.
#[expect(clippy::expect_used, reason = "a system without random numbers can make no secret")]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill_random(&mut bytes).expect("the system has random numbers");
    bytes
}

/// A version 7 UUID (RFC 9562): the moment, then chance.
pub fn uuid_v7(now: UnixMillis) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(now.0, &random_bytes()).into_uuid()
}

#[cfg(test)]
mod tests;
