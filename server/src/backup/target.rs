//! Where artefacts go: names, files that are not finished, and which old ones are let go.
//!
//! An artefact is written under a name that ends in `.part`, with a lock on it, and gets its own
//! name when it is verified. So a finished name is a finished artefact, and whoever comes later can
//! tell what was left by a backup that was cut off from what another one is writing.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use protocol::time::UnixMillis;
use rustix::fs::{RenameFlags, renameat_with};

use super::BackupError;
use super::artefact::{Artefact, Kind, io_error};
use crate::clock::utc;
use crate::folder::free_bytes;

const PREFIX: &str = "livehelp-";
const PART: &str = ".part";
/// Beside the database: manifest, keys, what a file system needs for itself.
const SPARE_BYTES: u64 = 4 * 1024 * 1024;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Two folders, which may be one, and the name for this time.
#[derive(Debug)]
pub(super) struct Target {
    data: PathBuf,
    keys: PathBuf,
    stem: String,
}

/// An artefact that is being written. Gone with the value unless it got its name.
#[derive(Debug)]
pub(super) struct Unfinished {
    pub(super) path: PathBuf,
    pub(super) file: File,
    name: PathBuf,
    is_named: bool,
}

/// `20261124T020419Z`.
pub(super) fn stamp(at: UnixMillis) -> String {
    let at = utc(at);
    let ((year, month, day), (hour, minute, second)) = (at.to_calendar_date(), at.to_hms());
    let month = u8::from(month);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

impl Target {
    /// Looks whether both folders can be used. What an earlier backup left unfinished there is
    /// removed.
    pub(super) fn open(
        data: &Path,
        keys: &Path,
        used: [&Path; 2],
        at: UnixMillis,
    ) -> Result<Self, BackupError> {
        for folder in [data, keys] {
            if !folder.is_absolute() {
                return Err(BackupError::NotAbsolute(folder.to_owned()));
            }
            let found = match std::fs::metadata(folder) {
                Ok(found) => found,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(BackupError::NoFolder(folder.to_owned()));
                }
                Err(source) => return Err(io_error("look at", folder)(source).into()),
            };
            if !found.is_dir() {
                return Err(BackupError::NoFolder(folder.to_owned()));
            }
            if found.permissions().mode() & 0o002 != 0 {
                return Err(BackupError::OpenToAll(folder.to_owned()));
            }
            let real = folder.canonicalize().map_err(io_error("look at", folder))?;
            for used in used {
                if used.canonicalize().is_ok_and(|used| real.starts_with(used)) {
                    return Err(BackupError::Inside {
                        folder: folder.to_owned(),
                        used: used.to_owned(),
                    });
                }
            }
            remove_left(folder)?;
        }
        // Two in one second: the later one is a second later.
        let stem = (0_u64..)
            .map(|second| format!("{PREFIX}{}", stamp(at.plus_ms(second * 1_000))))
            .find(|stem| {
                let is_free = |folder: &Path, kind| !named(folder, stem, kind).exists();
                is_free(data, Kind::Data) && is_free(keys, Kind::Keys)
            })
            .unwrap_or_default();
        Ok(Self { data: data.to_owned(), keys: keys.to_owned(), stem })
    }

    /// Whether there is room for so many bytes of data.
    pub(super) fn check_room(&self, bytes: u64) -> Result<(), BackupError> {
        let needs = bytes.saturating_add(SPARE_BYTES);
        match free_bytes(&self.data) {
            Ok(has) if has < needs => {
                Err(BackupError::NoRoom { folder: self.data.clone(), needs, has })
            }
            _ => Ok(()),
        }
    }

    /// A new file for an artefact, which nobody else can read.
    pub(super) fn begin(&self, kind: Kind) -> Result<Unfinished, BackupError> {
        let folder = match kind {
            Kind::Data => &self.data,
            Kind::Keys => &self.keys,
        };
        let name = named(folder, &self.stem, kind);
        let mut path = name.clone().into_os_string();
        path.push(PART);
        let path = PathBuf::from(path);
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(io_error("make", &path))?;
        let unfinished = Unfinished { path, file, name, is_named: false };
        // A file system without locks tells nobody what is unfinished; then it is not removed
        // either.
        match unfinished.file.try_lock() {
            Ok(()) | Err(TryLockError::Error(_)) => Ok(unfinished),
            Err(TryLockError::WouldBlock) => {
                let source = io::Error::from(io::ErrorKind::ResourceBusy);
                Err(io_error("lock", &unfinished.path)(source).into())
            }
        }
    }
}

impl Unfinished {
    /// Gives it its name, which nothing has yet.
    pub(super) fn name(mut self) -> Result<PathBuf, BackupError> {
        let name = self.name.clone();
        self.file.sync_all().map_err(io_error("sync", &self.path))?;
        rename_new(&self.path, &name).map_err(io_error("name", &name))?;
        self.is_named = true;
        if let Some(folder) = name.parent() {
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(io_error("sync", folder))?;
        }
        Ok(name)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_named
            && let Err(error) = std::fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "an unfinished backup cannot be removed");
        }
    }
}

fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    let here = rustix::fs::CWD;
    match renameat_with(here, from, here, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // Not every file system can: then it is looked first, and one backup runs at a time.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) if !to.exists() => {
            std::fs::rename(from, to)
        }
        Err(error) => Err(error.into()),
    }
}

fn named(folder: &Path, stem: &str, kind: Kind) -> PathBuf {
    folder.join(format!("{stem}.{}", kind.word()))
}

/// The kind of artefact that a file's name says, and whether it is unfinished.
fn told_by_name(path: &Path) -> Option<(Kind, bool)> {
    let name = path.file_name()?.to_str()?.strip_prefix(PREFIX)?;
    let (name, is_part) = match name.strip_suffix(PART) {
        Some(name) => (name, true),
        None => (name, false),
    };
    let kind = [Kind::Data, Kind::Keys].into_iter().find(|kind| {
        name.strip_suffix(kind.word())
            .is_some_and(|stamp| stamp.len() == 17 && stamp.ends_with('.'))
    })?;
    Some((kind, is_part))
}

/// Every finished artefact in a folder by its name, the oldest first.
pub(super) fn artefacts_in(folder: &Path) -> io::Result<Vec<(Kind, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if let Some((kind, false)) = told_by_name(&path) {
            found.push((kind, path));
        }
    }
    found.sort_by(|(_, one), (_, other)| one.cmp(other));
    Ok(found)
}

/// Removes what a backup that was cut off left: nobody has a lock on it.
fn remove_left(folder: &Path) -> Result<(), BackupError> {
    for entry in std::fs::read_dir(folder).map_err(io_error("read", folder))? {
        let path = entry.map_err(io_error("read", folder))?.path();
        if !matches!(told_by_name(&path), Some((_, true))) {
            continue;
        }
        let is_left = File::open(&path).is_ok_and(|file| {
            // Held by nobody, and ours to decide on.
            file.try_lock().is_ok() && file.metadata().is_ok_and(|found| is_mine(found.uid()))
        });
        if is_left {
            std::fs::remove_file(&path).map_err(io_error("remove", &path))?;
            tracing::info!(path = %path.display(), "what a backup that was cut off left is removed");
        }
    }
    Ok(())
}

fn is_mine(owner: u32) -> bool {
    owner == rustix::process::geteuid().as_raw()
}

/// Lets go of old artefacts of this data: all but the newest `keep` of each kind, and keys that are
/// older than so many days. The newest of each kind stays. Returns those that are gone.
pub(super) fn let_go(
    folders: [&Path; 2],
    store_id: &str,
    keep: usize,
    keys_days: u64,
    now: UnixMillis,
) -> Result<Vec<PathBuf>, BackupError> {
    let mut gone = Vec::new();
    for (kind, folder) in [(Kind::Data, folders[0]), (Kind::Keys, folders[1])] {
        let mut own: Vec<(UnixMillis, PathBuf)> = Vec::new();
        for (_, path) in artefacts_in(folder)
            .map_err(io_error("read", folder))?
            .into_iter()
            .filter(|(found, _)| *found == kind)
        {
            // What cannot be read is not ours to judge.
            let Ok(Artefact { manifest, .. }) = Artefact::open(&path) else { continue };
            if manifest.store_id == store_id && manifest.kind == kind {
                own.push((manifest.reaches, path));
            }
        }
        own.sort();
        own.reverse();
        let old = now.0.saturating_sub(keys_days.saturating_mul(DAY_MS));
        for (nth, (at, path)) in own.into_iter().enumerate() {
            let is_old = kind == Kind::Keys && at.0 < old;
            if nth > 0 && (nth >= keep || is_old) {
                std::fs::remove_file(&path).map_err(io_error("remove", &path))?;
                gone.push(path);
            }
        }
    }
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::rfc3339;

    #[test]
    fn names_sort_by_time_and_are_known_again() {
        assert_eq!(stamp(UnixMillis(1_795_485_859_999)), "20261124T020419Z");
        assert_eq!(rfc3339(UnixMillis(1_795_485_859_007)), "2026-11-24T02:04:19.007Z");
        let told = |name: &str| told_by_name(Path::new(name));
        assert_eq!(told("/b/livehelp-20261124T020419Z.data"), Some((Kind::Data, false)));
        assert_eq!(told("/b/livehelp-20261124T020419Z.keys.part"), Some((Kind::Keys, true)));
        for other in
            ["livehelp-.data", "livehelp.sqlite", "20261124T020419Z.data", "livehelp-x.data"]
        {
            assert_eq!(told(other), None, "{other}");
        }
    }

    #[test]
    fn an_unfinished_file_is_gone_without_its_name_and_never_takes_the_name_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let open = || Target::open(path, path, [Path::new("/nowhere"); 2], UnixMillis(0)).unwrap();
        let first = open();
        let unfinished = first.begin(Kind::Data).unwrap();
        let part = unfinished.path.clone();
        assert_eq!(std::fs::metadata(&part).unwrap().permissions().mode() & 0o777, 0o600);
        open();
        assert!(part.exists(), "one that is being written is left alone");
        drop(unfinished);
        assert!(!part.exists());
        // As a kill leaves it.
        std::fs::write(&part, "half").unwrap();
        open();
        assert!(!part.exists());
        let one = open().begin(Kind::Data).unwrap();
        std::fs::write(&one.name, "there already").unwrap();
        assert!(one.name().is_err());
        assert_eq!(artefacts_in(path).unwrap().len(), 1);
        assert_eq!(open().stem, "livehelp-19700101T000001Z");
    }

    #[test]
    fn a_folder_that_all_can_write_to_or_that_is_in_use_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let open = |to: &Path| Target::open(to, to, [path, Path::new("/nowhere")], UnixMillis(0));
        assert!(matches!(open(&path.join("none")), Err(BackupError::NoFolder(_))));
        assert!(matches!(open(Path::new("here")), Err(BackupError::NotAbsolute(_))));
        let inside = path.join("inside");
        std::fs::create_dir(&inside).unwrap();
        assert!(matches!(open(&inside), Err(BackupError::Inside { .. })));
        let beside = tempfile::tempdir().unwrap();
        std::fs::set_permissions(beside.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(open(beside.path()), Err(BackupError::OpenToAll(_))));
    }
}
