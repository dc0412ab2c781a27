//! The folder that the keys lie in: its lock, who may read it, the names of its files,
//! `master.key`.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{KEY_BYTES, KeysError, Secret};
use crate::folder::{self, FolderLock, LockError};
use crate::read_only;

pub(super) fn master_path(folder: &Path) -> PathBuf {
    folder.join("master.key")
}

pub(super) fn new_master_path(folder: &Path) -> PathBuf {
    folder.join("master.key.new")
}

/// The master key that a rotation is going over to.
pub(super) fn next_master_path(folder: &Path) -> PathBuf {
    folder.join("master.key.next")
}

pub(super) fn sqlite_path(folder: &Path) -> PathBuf {
    folder.join("keys.sqlite")
}

/// What the files take; what is not there takes nothing.
pub(super) fn bytes(folder: &Path) -> u64 {
    let sqlite = sqlite_path(folder);
    [read_only::log_path(&sqlite), sqlite, master_path(folder)]
        .iter()
        .filter_map(|path| fs::metadata(path).ok())
        .map(|found| found.len())
        .sum()
}

pub(super) const LOCK_FILE: &str = "keys.lock";

/// Takes the folder, which is there, for this process.
pub(super) fn lock(folder: &Path) -> Result<FolderLock, KeysError> {
    folder::lock(folder, LOCK_FILE).map_err(not_locked(folder))
}

/// The same, and nothing is left there.
pub(super) fn lock_without_trace(folder: &Path) -> Result<FolderLock, KeysError> {
    folder::lock_without_trace(folder, LOCK_FILE).map_err(not_locked(folder))
}

fn not_locked(folder: &Path) -> impl FnOnce(LockError) -> KeysError + '_ {
    move |error| match error {
        LockError::InUse { pid } => KeysError::InUse { folder: folder.to_owned(), pid },
        LockError::NoLocks { path, source } => KeysError::NoLocks { path, source },
        LockError::Io { path, source } => KeysError::Io { act: "write to", path, source },
    }
}

pub(super) fn io_error<'p>(
    act: &'static str,
    path: &'p Path,
) -> impl FnOnce(io::Error) -> KeysError + 'p {
    move |source| KeysError::Io { act, path: path.to_owned(), source }
}

/// Refuses a keys folder in the data folder, or the data folder itself.
pub(super) fn check_apart(folder: &Path, data_folder: &Path) -> Result<(), KeysError> {
    let keys = resolved(folder)?;
    let data = resolved(data_folder)?;
    if keys.starts_with(&data) {
        return Err(KeysError::InsideData { keys, data });
    }
    Ok(())
}

/// The path without links, as far as it exists.
fn resolved(path: &Path) -> Result<PathBuf, KeysError> {
    let path = std::path::absolute(path).map_err(io_error("resolve", path))?;
    let mut existing = path.as_path();
    let mut rest = Vec::new();
    loop {
        match existing.canonicalize() {
            Ok(mut whole) => {
                whole.extend(rest.iter().rev());
                return Ok(whole);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match (existing.parent(), existing.file_name()) {
                    (Some(parent), Some(name)) => {
                        rest.push(name.to_owned());
                        existing = parent;
                    }
                    _ => return Ok(path),
                }
            }
            Err(error) => return Err(io_error("resolve", &path)(error)),
        }
    }
}

/// Whether the folder holds keys. Half of them is an error; a creation that did not come to its
/// end, before anything could have been sealed, counts as none.
pub(super) fn exists(folder: &Path) -> Result<bool, KeysError> {
    let has = |path: &Path| path.try_exists().map_err(io_error("look at", path));
    let (master, sqlite) = (master_path(folder), sqlite_path(folder));
    match (has(&master)?, has(&sqlite)?) {
        (true, true) => Ok(true),
        (false, false) => Ok(false),
        (true, false) => Err(KeysError::Incomplete(sqlite)),
        (false, true) if has(&new_master_path(folder))? => Ok(false),
        (false, true) => Err(KeysError::Incomplete(master)),
    }
}

/// Makes the folder where there is none.
pub(super) fn make_folder(folder: &Path) -> Result<(), KeysError> {
    if !folder.try_exists().map_err(io_error("look at", folder))? {
        if let Some(parent) = folder.parent() {
            fs::create_dir_all(parent).map_err(io_error("make", parent))?;
        }
        DirBuilder::new().mode(0o700).create(folder).map_err(io_error("make", folder))?;
    }
    check_mode(folder, true)
}

pub(super) fn private_file(path: &Path) -> Result<File, KeysError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(io_error("make", path))
}

pub(super) fn check_mode(path: &Path, folder: bool) -> Result<(), KeysError> {
    let mode = fs::metadata(path).map_err(io_error("look at", path))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeysError::Permissions { path: path.to_owned(), mode, folder });
    }
    Ok(())
}

pub(super) fn read_master(path: &Path) -> Result<Secret, KeysError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_BYTES + 1));
    File::open(path)
        .and_then(|file| file.take(64).read_to_end(&mut bytes))
        .map_err(io_error("read", path))?;
    let mut master = Secret::default();
    if bytes.len() != KEY_BYTES {
        return Err(KeysError::NotAMaster(path.to_owned()));
    }
    master.copy_from_slice(&bytes);
    Ok(master)
}

pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all())
}

/// The new master key becomes the master key, and the old one's bytes are overwritten, as far as
/// the disk writes in place.
pub(super) fn take_its_name(folder: &Path) -> Result<(), KeysError> {
    let (next, path) = (next_master_path(folder), master_path(folder));
    let mut old = OpenOptions::new().write(true).open(&path).map_err(io_error("open", &path))?;
    fs::rename(&next, &path).and_then(|()| sync_folder(folder)).map_err(io_error("name", &next))?;
    old.write_all(&[0; KEY_BYTES])
        .and_then(|()| old.sync_all())
        .map_err(io_error("overwrite the old", &path))
}
