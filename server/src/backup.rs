//! Backups of the running server, and what is done with them afterwards.
//!
//! Lives here: the order in which data and keys are taken, the two artefacts that come of it,
//! whether they are whole, and how they are put back. Not here: how the database and the keys are
//! read (`store`, `keys`), who may ask (`api`) and what the command line says (`cli`).
//!
//! The order: first the data as of one moment, then the keys as of a later one. A key is on disk
//! before anything that it seals, so the keys have every one that the data needs; and one that was
//! destroyed while the data was copied is in neither. See docs/adr/0033.

mod artefact;
mod pace;
mod restore;
mod target;
mod verify;

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use protocol::time::UnixMillis;
use tokio::task::JoinHandle;

use self::artefact::{add_part, finish, io_error};
use self::pace::{Pacer, Progress};
use self::target::{Target, Unfinished};
use crate::clock::Clock;
use crate::keys::{KeyStore, KeysError, StoreId};
use crate::metrics::Metrics;
use crate::store::sqlite::{Copied, CopyError, FileBytes, OpenError, Rows, SqliteStore};
use crate::tasks;

pub use self::artefact::{Artefact, ArtefactError, Kind, Manifest, Part};
pub use self::restore::{RestoreError, Restored, restore};
pub use self::verify::{Verdict, VerifyError, gather, verify};

const MIB: u64 = 1024 * 1024;

/// What a backup reads and writes in a second where nobody says otherwise.
pub const RATE_MIB: u32 = 32;

/// How old a keys artefact gets where old ones are let go.
pub const KEYS_DAYS: u32 = 30;

/// Says in the data folder when the newest backup was finished.
const MARK_FILE: &str = "livehelp.backup";

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("`store` = memory keeps nothing that could be backed up")]
    Memory,
    #[error("a backup is under way already")]
    UnderWay,
    #[error("the server stops: the backup was given up and leaves nothing")]
    Stopped,
    #[error("{} must be an absolute path: it is the server that writes there", .0.display())]
    NotAbsolute(PathBuf),
    #[error("there is no folder {}: make it, and let the server write there", .0.display())]
    NoFolder(PathBuf),
    #[error("{} can be written to by everyone on this machine: chmod o-w it", .0.display())]
    OpenToAll(PathBuf),
    #[error("{} lies inside {}: a backup belongs elsewhere", folder.display(), used.display())]
    Inside { folder: PathBuf, used: PathBuf },
    #[error("{} has no room: the backup needs {needs} bytes, {has} are free", folder.display())]
    NoRoom { folder: PathBuf, needs: u64, has: u64 },
    #[error("the disk of {} runs short of room: what is written during a backup needs some until it is done", .0.display())]
    DataRoom(PathBuf),
    #[error("the keys name no data yet: start the server once")]
    Unbound,
    #[error("the data could not be copied")]
    Copy(#[from] CopyError),
    #[error("the keys could not be copied")]
    Keys(#[from] KeysError),
    #[error("the data could not be looked at")]
    Data(#[from] OpenError),
    #[error(transparent)]
    Artefact(#[from] ArtefactError),
    #[error("what was written is not whole")]
    Verify(#[from] VerifyError),
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Where the data goes: an absolute path on the server's machine.
    pub to: PathBuf,
    /// Where the keys go, if elsewhere.
    pub keys_to: Option<PathBuf>,
    /// MiB in a second at most.
    pub rate_mib: u32,
    /// How many artefacts of each kind stay; `None`: all.
    pub keep: Option<usize>,
    /// Where some are let go: how many days a keys artefact stays.
    pub keys_days: u32,
}

/// A backup that is finished.
#[derive(Debug, Clone)]
pub struct Made {
    pub data: PathBuf,
    pub keys: PathBuf,
    pub data_bytes: u64,
    pub keys_bytes: u64,
    pub rows: Rows,
    /// Everything that was acked before is in it.
    pub reaches: UnixMillis,
    pub made_at: UnixMillis,
    /// Older artefacts that were let go.
    pub let_go: Vec<PathBuf>,
}

/// How a backup stands.
#[derive(Debug, Clone)]
pub enum Standing {
    /// It copies, or looks through what it copied.
    Running { is_verifying: bool, done_bytes: u64, of_bytes: u64 },
    /// It is finished.
    Done(Made),
    /// It failed and left nothing; the whole sentence.
    Failed(String),
}

/// The newest backup of this process.
#[derive(Debug)]
enum Newest {
    None,
    Running { progress: Arc<Progress>, task: Option<JoinHandle<()>> },
    Done(Made),
    Failed(String),
}

/// The backups of one server: one at a time.
#[derive(Debug)]
pub struct Backups {
    /// None where nothing is kept.
    source: Option<Source>,
    newest: Mutex<Newest>,
    /// The server ends: nothing is begun any more.
    is_closed: AtomicBool,
}

#[derive(Debug, Clone)]
struct Source {
    store: Arc<SqliteStore>,
    keys: Arc<KeyStore>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    data_folder: PathBuf,
    keys_folder: PathBuf,
}

impl Default for Backups {
    /// Of a server that keeps nothing.
    fn default() -> Self {
        Self::of(None)
    }
}

impl Backups {
    /// Of this data and these keys, which lie in these folders. When the last backup was finished
    /// is known again.
    pub fn new(
        store: Arc<SqliteStore>,
        keys: Arc<KeyStore>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        [data_folder, keys_folder]: [PathBuf; 2],
    ) -> Self {
        match last(&data_folder) {
            Ok(Some(at)) => metrics.backed_up(at),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "when the last backup was finished cannot be read")
            }
        }
        let source = Source { store, keys, clock, metrics, data_folder, keys_folder };
        Self::of(Some(source))
    }

    fn of(source: Option<Source>) -> Self {
        let newest = Mutex::new(Newest::None);
        Self { source, newest, is_closed: AtomicBool::new(false) }
    }

    /// Begins a backup and goes on by itself.
    ///
    /// # Errors
    /// If one is under way, nothing is kept, or the folders cannot be used. Nothing was made then.
    pub fn begin(self: &Arc<Self>, wish: Wish) -> Result<(), BackupError> {
        let source = self.source.clone().ok_or(BackupError::Memory)?;
        let mut newest = self.newest.lock();
        if self.is_closed.load(Ordering::Acquire) {
            return Err(BackupError::Stopped);
        }
        if matches!(*newest, Newest::Running { .. }) {
            return Err(BackupError::UnderWay);
        }
        let target = source.target(&wish)?;
        let progress = Arc::<Progress>::default();
        let (all, of) = (Arc::clone(self), Arc::clone(&progress));
        let task = tasks::spawn("backup", async move {
            let outcome = source.back_up(&wish, target, &of).await;
            *all.newest.lock() = match outcome {
                Ok(made) => Newest::Done(made),
                Err(error) => Newest::Failed(sentence(&error)),
            };
        });
        *newest = Newest::Running { progress, task: Some(task) };
        Ok(())
    }

    /// How the newest backup stands; `None` where there was none since the start.
    pub fn standing(&self) -> Option<Standing> {
        Some(match &*self.newest.lock() {
            Newest::None => return None,
            Newest::Running { progress, .. } => Standing::Running {
                is_verifying: progress.is_verifying.load(Ordering::Acquire),
                done_bytes: progress.done_bytes.load(Ordering::Acquire),
                of_bytes: progress.of_bytes.load(Ordering::Acquire),
            },
            Newest::Done(made) => Standing::Done(made.clone()),
            Newest::Failed(words) => Standing::Failed(words.clone()),
        })
    }

    /// Gives up what is under way, and waits until it has left nothing. Nothing is begun any more.
    pub async fn stop(&self) {
        let task = {
            let mut newest = self.newest.lock();
            self.is_closed.store(true, Ordering::Release);
            match &mut *newest {
                Newest::Running { progress, task } => {
                    progress.stop.store(true, Ordering::Release);
                    task.take()
                }
                Newest::None | Newest::Done(_) | Newest::Failed(_) => None,
            }
        };
        if let Some(task) = task
            && task.await.is_err()
        {
            tracing::error!("the backup ended by a fault");
        }
    }
}

/// An error with all its causes, once each.
pub fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        // Transparent errors repeat themselves as their own cause.
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

impl Source {
    fn target(&self, wish: &Wish) -> Result<Target, BackupError> {
        let keys_to = wish.keys_to.as_ref().unwrap_or(&wish.to);
        let used = [self.data_folder.as_path(), self.keys_folder.as_path()];
        Target::open(&wish.to, keys_to, used, self.clock.now())
    }

    async fn back_up(
        self,
        wish: &Wish,
        target: Target,
        progress: &Arc<Progress>,
    ) -> Result<Made, BackupError> {
        let outcome = self.try_to(wish, &target, progress).await;
        match &outcome {
            Ok(made) => {
                self.metrics.backed_up(made.made_at);
                tracing::info!(
                    data = %made.data.display(),
                    keys = %made.keys.display(),
                    count = made.rows.messages,
                    "a backup is finished and verified"
                );
            }
            Err(error) => tracing::error!(
                %error,
                cause = ?std::error::Error::source(error),
                "there is no backup; nothing is left of it"
            ),
        }
        outcome
    }

    async fn try_to(
        &self,
        wish: &Wish,
        target: &Target,
        progress: &Arc<Progress>,
    ) -> Result<Made, BackupError> {
        let FileBytes { database, log, journal, .. } = self.store.bytes();
        target.check_room(database + log + journal)?;
        let rate = u64::from(wish.rate_mib.max(1)) * MIB;
        let pace = Pacer::of(rate, Arc::clone(progress), self.data_folder.clone());
        let unfinished = target.begin(Kind::Data)?;
        // Before it begins: what is acked while the copy is prepared may be in it or not.
        let reaches = self.clock.now();
        let copied = self.store.copy(unfinished.path.clone(), pace.clone()).await;
        let copied = copied.map_err(|error| self.why(progress, error.into()))?;
        let (of, wish, kept) = (self.clone(), wish.clone(), Arc::clone(progress));
        let keys = target.begin(Kind::Keys)?;
        let finishing = tokio::task::spawn_blocking(move || {
            of.finish(unfinished, keys, &copied, reaches, pace, &kept)
                .and_then(|made| of.afterwards(&wish, made))
        });
        let finished = finishing.await.unwrap_or(Err(BackupError::Stopped));
        finished.map_err(|error| self.why(progress, error))
    }

    /// A backup that was told to stop has one reason, wherever it stood.
    fn why(&self, progress: &Progress, error: BackupError) -> BackupError {
        if progress.data_is_short_of_room.load(Ordering::Acquire) {
            return BackupError::DataRoom(self.data_folder.clone());
        }
        if progress.is_stopped() { BackupError::Stopped } else { error }
    }

    /// The data lies there: the keys beside it, both looked through, both named.
    fn finish(
        &self,
        data: Unfinished,
        keys: Unfinished,
        copied: &Copied,
        reaches: UnixMillis,
        mut pace: Pacer,
        progress: &Progress,
    ) -> Result<Made, BackupError> {
        progress.is_verifying.store(true, Ordering::Release);
        let Copied { id, version, generation, rows, .. } = *copied;
        let mut manifest = Manifest::new(Kind::Data, id, generation, reaches);
        (manifest.schema, manifest.rows) = (version, Some(rows));
        add_part(&data.file, &data.path, &mut manifest, "livehelp.sqlite", &mut pace)?;
        manifest.made_at = self.clock.now();
        finish(&data.file, &data.path, &manifest)?;
        self.write_keys(&keys, id)?;
        let both = (Artefact::open(&data.path)?, Artefact::open(&keys.path)?);
        verify::check_both(&both.0, &both.1, &mut pace)?;
        if progress.is_stopped() {
            return Err(BackupError::Stopped);
        }
        let (data_bytes, keys_bytes) = (both.0.bytes, both.1.bytes);
        // The keys first: data that has its name has its keys.
        let keys = keys.name()?;
        let data = data.name().inspect_err(|_| {
            // Nothing half: what is left of it opens nothing that is missing.
            if let Err(error) = std::fs::remove_file(&keys) {
                tracing::warn!(path = %keys.display(), %error, "keys without their data stay");
            }
        })?;
        let made_at = self.clock.now();
        let let_go = Vec::new();
        Ok(Made { data, keys, data_bytes, keys_bytes, rows, reaches, made_at, let_go })
    }

    /// After the data was copied, so that every key that it needs is there, and none that was
    /// destroyed by now.
    fn write_keys(&self, keys: &Unfinished, id: StoreId) -> Result<(), BackupError> {
        let reaches = self.clock.now();
        let copied = self.keys.copy()?;
        if copied.data != Some(id) {
            return Err(BackupError::Unbound);
        }
        let Unfinished { file, path, .. } = keys;
        let mut manifest = Manifest::new(Kind::Keys, id, copied.generation, reaches);
        let mut at = 0;
        let operator_key = copied.operator_key.as_ref().map(|text| text.as_slice());
        for (name, bytes) in [
            ("keys.sqlite", Some(copied.image.as_slice())),
            ("master.key", Some(copied.master.as_slice())),
            ("operator-key", operator_key),
        ] {
            let Some(bytes) = bytes else { continue };
            file.write_all_at(bytes, at).map_err(io_error("write", path))?;
            at += bytes.len() as u64;
            add_part(file, path, &mut manifest, name, &mut Pacer::free())?;
        }
        manifest.made_at = self.clock.now();
        finish(file, path, &manifest)?;
        Ok(())
    }

    /// It is finished: nothing of this undoes it.
    fn afterwards(&self, wish: &Wish, mut made: Made) -> Result<Made, BackupError> {
        if let Err(error) = note(&self.data_folder, made.made_at) {
            tracing::warn!(%error, "when this backup was finished is not known after a restart");
        }
        let Some(keep) = wish.keep else { return Ok(made) };
        let folders = [wish.to.as_path(), wish.keys_to.as_deref().unwrap_or(&wish.to)];
        let store_id = artefact::hex(&self.store.id());
        let keys_days = u64::from(wish.keys_days);
        match target::let_go(folders, &store_id, keep.max(1), keys_days, made.made_at) {
            Ok(gone) => made.let_go = gone,
            Err(error) => {
                tracing::warn!(%error, "older backups could not be let go; the new one is good");
            }
        }
        Ok(made)
    }
}

/// When the last backup of this data was finished.
fn last(data_folder: &Path) -> std::io::Result<Option<UnixMillis>> {
    match std::fs::read_to_string(data_folder.join(MARK_FILE)) {
        Ok(text) => Ok(text.trim().parse().ok().map(UnixMillis)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn note(data_folder: &Path, at: UnixMillis) -> std::io::Result<()> {
    let (path, next) = (data_folder.join(MARK_FILE), data_folder.join(format!("{MARK_FILE}.next")));
    std::fs::write(&next, format!("{}\n", at.0))?;
    std::fs::File::open(&next)?.sync_all()?;
    std::fs::rename(&next, &path)
}

#[cfg(test)]
mod tests;
