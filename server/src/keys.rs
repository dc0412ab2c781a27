//! The key store: the two locks of every personal value, in a folder of their own. This is
//! envelope encryption: each value is sealed with a key of its bucket and one of its subject, and
//! those are wrapped by the master key. Destroying either ends all that was sealed with it
//! (crypto-shredding).
//!
//! Lives here: the master key, the wrapped bucket and subject keys, derivation, sealing,
//! destruction, and the random numbers and hashes that tokens are made of. The only importer of the
//! crypto crate. Not here: what is sealed and where it lies (`store`), when a key is due
//! (`privacy::sweep`). Called by the assembly, and through the port `privacy::seal::Sealer` by the
//! stores.
//!
//! The folder holds `master.key` (32 random bytes), `keys.sqlite` and `keys.lock`. One process has
//! it at a time, and it is for one data folder: each names the other. Whoever has the data without
//! this folder has noise. Whoever loses this folder has lost the data.

mod cipher;
mod error;
mod file;
mod folder;
mod port;
mod sealing;
mod signing;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use protocol::ids::TenantId;
use protocol::time::{Day, UnixMillis};
use uuid::Uuid;
use zeroize::Zeroizing;

use self::cipher::ValueKey;
use self::file::KeyFile;
use self::port::WrappedKeys as _;
use crate::folder::FolderLock;
use crate::privacy::consent::NoticeHash;
use crate::privacy::seal::{Bucket, Lock, SealError, Sealer as _, SecretHash, Subject};
use crate::recent::Recent;

pub use self::cipher::{Sum, fill_random};
pub use self::error::KeysError;
pub use self::file::Copied;
pub use self::signing::{Signer, is_signed};

/// Derived keys in memory, so that a message need not derive its own: one for each conversation
/// that is active now, and one or two more for a form or a draft. 20,000 conversations that write
/// in turn keep theirs, with room for the others. A key takes 640 bytes and its share of a table:
/// 14 MB for those, 37 MB when both halves are full. Seven eighths of a power of two, so that no
/// half's table doubles for its last keys.
const VALUE_KEYS_HALF_LEN: usize = 28_672;
/// Unwrapped bucket and subject keys in memory.
const LOCK_KEYS_HALF_LEN: usize = 8_192;
/// Yesterday's, today's and tomorrow's key of the way between nodes.
const TRANSIT_KEYS_HALF_LEN: usize = 2;

/// What data lies in, as `store` has it.
const DATABASE: &str = "livehelp.sqlite";

/// Bytes of a key.
const KEY_BYTES: usize = 32;

type Secret = Zeroizing<[u8; KEY_BYTES]>;

/// What data is known by.
pub type StoreId = [u8; 16];

/// The key store of one server.
#[derive(Debug)]
pub struct KeyStore {
    file: Mutex<Held>,
    /// None for keys that are looked at, or in memory.
    lock: Mutex<Option<FolderLock>>,
    /// The last that was asked of the file was done.
    usable: AtomicBool,
    /// The folder's files are the ones that are open.
    in_place: AtomicBool,
    values: Mutex<Recent<Lock, ValueKey>>,
    /// What is on disk; read without the lock.
    generation: AtomicU64,
    find_root: Secret,
    transit: Mutex<Recent<Day, ValueKey>>,
}

/// What the lock on the file guards: derived keys go into memory and out of it under the same lock,
/// so that none survives the destruction of what it came from.
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
        Self::open_by(KeyFile::open, folder, data_folder, generation_of_data)
    }

    /// The same where some keys may not open, to save what the others sealed.
    ///
    /// # Errors
    /// As [`KeyStore::open`], but for single keys.
    pub fn open_to_repair(
        folder: &Path,
        data_folder: &Path,
        generation_of_data: Option<u64>,
    ) -> Result<Self, KeysError> {
        Self::open_by(KeyFile::open_unchecked, folder, data_folder, generation_of_data)
    }

    /// How many keys do not open; with `accept_loss` they are destroyed, so that the rest can be
    /// used.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn give_up_unreadable(&self, accept_loss: bool) -> Result<usize, KeysError> {
        let mut held = self.file.lock();
        let unreadable = held.file.unreadable()?;
        if accept_loss && !unreadable.is_empty() {
            held.file.give_up(&unreadable)?;
            self.generation.store(held.file.generation()?, Ordering::Release);
        }
        Ok(unreadable.len())
    }

    fn open_by(
        open: fn(&Path) -> Result<KeyFile, KeysError>,
        folder: &Path,
        data_folder: &Path,
        generation_of_data: Option<u64>,
    ) -> Result<Self, KeysError> {
        folder::check_apart(folder, data_folder)?;
        if !folder::exists(folder)? && generation_of_data.is_some() {
            return Err(KeysError::Missing(folder.to_owned()));
        }
        folder::make_folder(folder)?;
        let lock = folder::lock(folder)?;
        if !folder::exists(folder)? {
            file::create(folder)?;
        }
        let keys = Self::from_file(open(folder)?, Some(lock))?;
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

    /// Looks at the keys in `folder` as a start would, without making or changing anything; `None`
    /// where there are none and no data needs any.
    ///
    /// # Errors
    /// As [`KeyStore::open`].
    pub fn look(
        folder: &Path,
        data_folder: &Path,
        generation_of_data: Option<u64>,
    ) -> Result<Option<Self>, KeysError> {
        folder::check_apart(folder, data_folder)?;
        if !folder::exists(folder)? {
            return match generation_of_data {
                Some(_) => Err(KeysError::Missing(folder.to_owned())),
                None => Ok(None),
            };
        }
        Self::from_file(KeyFile::look(folder)?, None).map(Some)
    }

    /// The keys as they are now, with all that is needed to open them; none that was destroyed is
    /// in it. While the file is read once into memory, no key is made or destroyed.
    ///
    /// # Errors
    /// If the folder cannot be read, or is not the one that was opened.
    pub fn copy(&self) -> Result<Copied, KeysError> {
        self.file.lock().file.copy()
    }

    /// Looks at keys that were copied into the file at `path`, under this master key.
    ///
    /// # Errors
    /// If the file is damaged, from a later version, or has another master key.
    pub fn look_at_copy(path: &Path, master: &[u8]) -> Result<Self, KeysError> {
        Self::from_file(KeyFile::look_at_copy(path, master)?, None)
    }

    /// For which data they are; `None` before there was any.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn data(&self) -> Result<Option<StoreId>, KeysError> {
        Ok(self.file.lock().file.data()?.map(|(id, _)| id))
    }

    /// Takes a folder for this process, into which a copy is to be put; makes it where there is
    /// none.
    ///
    /// # Errors
    /// If it lies in the data folder, another process has it, others could read it, or it cannot be
    /// made.
    pub fn lock_to_restore(folder: &Path, data_folder: &Path) -> Result<FolderLock, KeysError> {
        folder::check_apart(folder, data_folder)?;
        folder::make_folder(folder)?;
        folder::lock(folder)
    }

    /// What a restore makes in a keys folder beside the copy.
    pub fn traces_of(folder: &Path) -> Vec<PathBuf> {
        vec![folder.join(folder::LOCK_FILE)]
    }

    /// Whether every key opens.
    ///
    /// # Errors
    /// If one does not, or the file cannot be read.
    pub fn check(&self) -> Result<(), KeysError> {
        self.file.lock().file.check()
    }

    /// Whether these keys are for this data, which has this id; `None` where there is no data.
    ///
    /// # Errors
    /// If they are for other data, or for data that is not there.
    pub fn check_data(
        &self,
        folder: &Path,
        data_folder: &Path,
        data: Option<Option<StoreId>>,
    ) -> Result<(), KeysError> {
        let Some((id, bound)) = self.file.lock().file.data()? else { return Ok(()) };
        let keys = folder.to_owned();
        match data {
            None => Err(KeysError::DataGone { keys, data: data_folder.to_owned(), bound }),
            Some(Some(data)) if data != id => {
                let data = data_folder.join(DATABASE);
                Err(KeysError::OtherData { keys, data, bound })
            }
            // Data of before it had a name proves by its own mark whose keys it needs.
            Some(_) => Ok(()),
        }
    }

    /// From now on these keys are for the data in this folder.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn bind(&self, data_folder: &Path, data: StoreId) -> Result<(), KeysError> {
        let path = data_folder.canonicalize().unwrap_or_else(|_| data_folder.to_owned());
        let mut held = self.file.lock();
        if held.file.data()? == Some((data, path.clone())) {
            return Ok(());
        }
        let generation = held.file.bind(Some((data, &path)))?;
        self.generation.store(generation, Ordering::Release);
        Ok(())
    }

    /// Lets the keys be for new data, unless what they are for is still where it lay.
    ///
    /// # Errors
    /// If it is, or the file cannot be written.
    pub fn unbind(&self, folder: &Path, data_folder: &Path) -> Result<(), KeysError> {
        let mut held = self.file.lock();
        let Some((_, bound)) = held.file.data()? else { return Ok(()) };
        let here = data_folder.canonicalize().unwrap_or_else(|_| data_folder.to_owned());
        if bound != here && bound.join(DATABASE).exists() {
            let (keys, data) = (folder.to_owned(), data_folder.join(DATABASE));
            return Err(KeysError::OtherData { keys, data, bound });
        }
        let generation = held.file.bind(None)?;
        self.generation.store(generation, Ordering::Release);
        Ok(())
    }

    /// Whether keys could be read and made when that was last tried.
    pub fn is_usable(&self) -> bool {
        self.usable.load(Ordering::Acquire)
    }

    /// Tries whether the folder can be used; blocks for a moment.
    ///
    /// # Errors
    /// If it cannot.
    pub fn probe(&self) -> Result<(), KeysError> {
        let held = self.file.lock();
        let outcome = held.file.probe(!self.is_usable());
        self.usable.store(outcome.is_ok(), Ordering::Release);
        let gone = outcome.as_ref().is_err_and(KeysError::is_gone);
        self.in_place.store(!gone, Ordering::Release);
        outcome
    }

    /// Bytes of the files in this folder, with the log: what they take on disk.
    pub fn bytes(folder: &Path) -> u64 {
        folder::bytes(folder)
    }

    /// Lets go of the folder; whoever still has these keys has no use for them.
    pub fn close(&self) {
        drop(self.lock.lock().take());
    }

    /// Makes the keys of a new server.
    ///
    /// # Errors
    /// If there are keys already, or as [`KeyStore::open`].
    pub fn create(folder: &Path, data_folder: &Path) -> Result<Self, KeysError> {
        folder::check_apart(folder, data_folder)?;
        folder::make_folder(folder)?;
        let lock = folder::lock(folder)?;
        if folder::exists(folder)? {
            return Err(KeysError::Exists(folder.to_owned()));
        }
        file::create(folder)?;
        Self::from_file(KeyFile::open(folder)?, Some(lock))
    }

    /// Keys that stand in no file and are gone when the process ends, as is all that was sealed
    /// with them.
    ///
    /// # Errors
    /// If the system has no random numbers to give.
    pub fn in_memory() -> Result<Self, KeysError> {
        Self::from_file(KeyFile::in_memory()?, None)
    }

    /// The same for a process that has this folder to itself: something else of its own lies there.
    ///
    /// # Errors
    /// As above; and if the folder is in use or cannot be made.
    pub fn in_memory_beside(folder: &Path) -> Result<Self, KeysError> {
        folder::make_folder(folder)?;
        Self::from_file(KeyFile::in_memory()?, Some(folder::lock_without_trace(folder)?))
    }

    fn from_file(file: KeyFile, lock: Option<FolderLock>) -> Result<Self, KeysError> {
        let generation = AtomicU64::new(file.generation()?);
        let find_root = file.find_root();
        let held = Held {
            file,
            buckets: Recent::new(LOCK_KEYS_HALF_LEN),
            subjects: Recent::new(LOCK_KEYS_HALF_LEN),
        };
        Ok(Self {
            file: Mutex::new(held),
            lock: Mutex::new(lock),
            usable: AtomicBool::new(true),
            in_place: AtomicBool::new(true),
            values: Mutex::new(Recent::new(VALUE_KEYS_HALF_LEN)),
            generation,
            find_root,
            transit: Mutex::new(Recent::new(TRANSIT_KEYS_HALF_LEN)),
        })
    }

    /// Wraps every key anew under a fresh master key: a copy of the old one then opens nothing that
    /// is here. The server must be stopped; returns how many keys there are.
    ///
    /// # Errors
    /// If the folder cannot be written; the keys stay usable, under the old master key or the new
    /// one.
    pub fn rotate_master(&self) -> Result<usize, KeysError> {
        let mut held = self.file.lock();
        let wrapped = held.file.rotate();
        self.generation.store(held.file.generation()?, Ordering::Release);
        wrapped
    }

    /// Notes that the file failed; the next probe finds out whether it still does.
    fn unusable(&self, error: SealError) -> SealError {
        self.usable.store(false, Ordering::Release);
        error
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

    /// What signs as this server.
    pub fn signer(&self) -> Signer {
        Signer::of(&self.find_root)
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
