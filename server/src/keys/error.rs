//! Why the keys cannot be used: a sentence for each, which says what to do.

use std::path::PathBuf;

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
    #[error("the keys in {} are older than the data (keys.sqlite has generation {keys}, the data needs {data}): put the newest keys folder back", folder.display())]
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
    /// Another process has them.
    #[error("the keys folder {} is in use by another process, {pid}", folder.display())]
    InUse { folder: PathBuf, pid: u32 },
    /// Their file system has no locks.
    #[error("the file system of {} has no locks: put the folder on another one", path.display())]
    NoLocks {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// They are for other data.
    #[error("the keys in {} are not the keys of {}: they are for the data that lay last in {}", keys.display(), data.display(), bound.display())]
    OtherData { keys: PathBuf, data: PathBuf, bound: PathBuf },
    /// The data that they are for is not there.
    #[error("there is no data in {}, but the keys in {} are for data that lay last in {}: put the data folder back, or make a new server with `livehelp init`", data.display(), keys.display(), bound.display())]
    DataGone { keys: PathBuf, data: PathBuf, bound: PathBuf },
    /// Keys that do not open, or pages that do not fit.
    #[error("{} is damaged ({count} keys do not open): put the keys folder back from its own backup; `livehelp repair` says what can be saved without", path.display())]
    Damaged { path: PathBuf, count: u64 },
    /// Its log was written for a later one.
    #[error("{} is older than its log: put the keys folder back from its own backup", .0.display())]
    OlderThanLog(PathBuf),
    /// Not the file that was opened.
    #[error("{} is another file than the one that was opened", .0.display())]
    Replaced(PathBuf),
    /// No key could be made.
    #[error("there is no room in {}", .0.display())]
    NoRoom(PathBuf),
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

impl KeysError {
    /// Whether the files are not the ones that were opened.
    pub(super) fn is_gone(&self) -> bool {
        if let Self::Io { source, .. } = self {
            return source.kind() == std::io::ErrorKind::NotFound;
        }
        matches!(self, Self::Replaced(_) | Self::WrongMaster(_))
    }
}
