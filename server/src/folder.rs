//! A folder that one process has to itself.
//!
//! Lives here: the lock on a folder, who holds it, and how much room is left. Not here: what lies
//! in it (`store`, `keys`). Called by both.
//!
//! Two things are locked: the folder itself, which nobody can take away from under the lock, and a
//! file in it, which names the process and is all there is on file systems that lock no folders.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Whoever only asks who has a folder holds its lock for a moment: how often it is tried again, and
/// how far apart.
const ASKED_LOOKS: u32 = 10;
const ASKED_LOOK: Duration = Duration::from_millis(10);

/// Held as long as a process uses the folder; the system lets go of it when the process ends.
#[derive(Debug)]
pub struct FolderLock {
    _folder: Option<File>,
    _file: Option<File>,
}

/// Why a folder cannot be had.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Another process has it; 0 where it did not say which.
    InUse { pid: u32 },
    /// Its file system has no locks.
    NoLocks { path: PathBuf, source: io::Error },
    /// The file cannot be made or opened.
    Io { path: PathBuf, source: io::Error },
}

/// Takes the folder, which is there, for this process. `name` is its lock file.
pub(crate) fn lock(folder: &Path, name: &str) -> Result<FolderLock, LockError> {
    let path = folder.join(name);
    let opened = File::open(folder);
    let whole = opened.map_err(|source| LockError::Io { path: folder.to_owned(), source })?;
    let whole = match locked(&whole) {
        Ok(()) => Some(whole),
        Err(TryLockError::WouldBlock) => return Err(LockError::InUse { pid: pid_in(&path) }),
        Err(TryLockError::Error(_)) => None,
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|source| LockError::Io { path: path.clone(), source })?;
    match locked(&file) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(LockError::InUse { pid: pid_in(&path) }),
        Err(TryLockError::Error(source)) => return Err(LockError::NoLocks { path, source }),
    }
    // A full disk may have no room for the name; the lock holds without it.
    if let Err(error) = write_pid(&mut file) {
        tracing::debug!(%error, "the lock does not name this process");
    }
    Ok(FolderLock { _folder: whole, _file: Some(file) })
}

/// Takes the folder without leaving anything in it; where its file system locks no folders, nobody
/// is kept out.
pub(crate) fn lock_without_trace(folder: &Path, name: &str) -> Result<FolderLock, LockError> {
    let opened = File::open(folder);
    let whole = opened.map_err(|source| LockError::Io { path: folder.to_owned(), source })?;
    match locked(&whole) {
        Ok(()) => Ok(FolderLock { _folder: Some(whole), _file: None }),
        Err(TryLockError::WouldBlock) => Err(LockError::InUse { pid: pid_in(&folder.join(name)) }),
        Err(TryLockError::Error(_)) => Ok(FolderLock { _folder: None, _file: None }),
    }
}

/// Bytes that this user may still write where the folder lies, or would lie if it is not there yet.
///
/// # Errors
/// If its file system cannot be asked.
pub(crate) fn free_bytes(folder: &Path) -> io::Result<u64> {
    let there = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let found = rustix::fs::statvfs(there)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Whoever only asks who has the folder holds it for a moment.
#[expect(clippy::disallowed_methods, reason = "at a start, before anything is served")]
fn locked(file: &File) -> Result<(), TryLockError> {
    for _ in 0..ASKED_LOOKS {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(ASKED_LOOK),
            outcome => return outcome,
        }
    }
    file.try_lock()
}

/// Over what stood there: a file that is emptied first would need room.
fn write_pid(file: &mut File) -> io::Result<()> {
    let text = format!("{}\n", std::process::id());
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.set_len(u64::try_from(text.len()).unwrap_or_default())
}

/// The process that has the folder now; `None` where nobody does. Nothing is made for the question.
pub(crate) fn user(folder: &Path, name: &str) -> Result<Option<u32>, LockError> {
    let path = folder.join(name);
    for held in [folder, &path] {
        let file = match File::open(held) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(LockError::Io { path: held.to_owned(), source }),
        };
        // Let go of at once, with the file. What cannot be locked shows when it has to be.
        if let Err(TryLockError::WouldBlock) = file.try_lock_shared() {
            return Ok(Some(pid_in(&path)));
        }
    }
    Ok(None)
}

/// The pid that a lock file names; 0 where it cannot be read.
fn pid_in(path: &Path) -> u32 {
    let mut pid = String::new();
    let read = File::open(path).and_then(|file| file.take(16).read_to_string(&mut pid));
    read.ok().and_then(|_| pid.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_that_is_left_is_that_of_the_file_system_whether_the_folder_is_there_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let (there, to_be) = (free_bytes(folder.path()), free_bytes(&folder.path().join("a/b")));
        // Others write to it meanwhile.
        let near = |one: u64, other: u64| one.abs_diff(other) < 1 << 30;
        let of_system = rustix::fs::statvfs(folder.path()).unwrap();
        let (there, to_be) = (there.unwrap(), to_be.unwrap());
        assert!(there > 0 && near(there, to_be), "{there} {to_be}");
        assert!(near(there, of_system.f_bavail * of_system.f_frsize));
    }

    #[test]
    fn a_folder_is_one_process_s_even_if_its_lock_file_is_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let held = lock(folder.path(), "lock").unwrap();
        let in_use =
            |outcome| matches!(outcome, Err(LockError::InUse { pid }) if pid == std::process::id());
        assert!(in_use(lock(folder.path(), "lock")));
        assert_eq!(user(folder.path(), "lock").unwrap(), Some(std::process::id()));
        std::fs::remove_file(folder.path().join("lock")).unwrap();
        assert!(matches!(lock(folder.path(), "lock"), Err(LockError::InUse { pid: 0 })));
        assert!(!folder.path().join("lock").exists(), "nothing was made");
        drop(held);
        std::fs::write(folder.path().join("lock"), "an older and longer text\n").unwrap();
        let held = lock(folder.path(), "lock").unwrap();
        let text = std::fs::read_to_string(folder.path().join("lock")).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
        drop(held);
        assert_eq!(user(folder.path(), "lock").unwrap(), None);
    }
}
