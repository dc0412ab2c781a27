//! A pair of artefacts put back into empty folders.
//!
//! Lives here: the order of steps, and what a restore that is cut off or fails leaves: either
//! folders as they were, or ones that no start takes. Not here: which artefacts are good
//! (`verify`). Called by `livehelp restore`.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use protocol::time::UnixMillis;
use serde::{Deserialize, Serialize};

use super::artefact::{Artefact, ArtefactError, Part, io_error, is_part};
use super::pace::Pacer;
use super::verify::{VerifyError, check_both, choose};
use super::{Manifest, target};
use crate::keys::{KeyStore, KeysError};
use crate::privacy::seal::Sealer as _;
use crate::store::sqlite::{OpenError, SqliteStore};

/// What a file system may have made by itself.
const NOT_OURS: &str = "lost+found";

/// Why nothing was put back. The folders are as they were, unless it says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error(transparent)]
    Verify(#[from] VerifyError),
    #[error(transparent)]
    Artefact(#[from] ArtefactError),
    #[error(
        "{} is not empty: name empty folders (--data, --keys), or give --replace, which moves what is there aside",
        .0.display()
    )]
    NotEmpty(PathBuf),
    #[error(
        "{} was not put there by the restore that was cut off: move it away, then restore once more",
        .0.display()
    )]
    Foreign(PathBuf),
    #[error("cannot move {} aside: if it is a mount of its own, empty it by hand", path.display())]
    Aside {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("what was put into {} is not what the backup has", .0.display())]
    Apart(PathBuf),
    #[error(transparent)]
    Data(#[from] OpenError),
    #[error(transparent)]
    Keys(#[from] KeysError),
}

/// What was put back.
#[derive(Debug)]
pub struct Restored {
    pub data: Artefact,
    pub keys: Artefact,
    /// What was moved aside: from, to.
    pub aside: Vec<(PathBuf, PathBuf)>,
}

impl Restored {
    /// What the data says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.data.manifest
    }
}

/// Puts the newest of these artefacts back into the two folders, which are empty or, with
/// `replace`, moved aside.
///
/// # Errors
/// If the artefacts are not whole or not a pair, the folders are not empty or in use, or a disk
/// fails. What was begun is taken back then.
pub fn restore(
    from: &[PathBuf],
    [data_folder, keys_folder]: [&Path; 2],
    replace: bool,
    now: UnixMillis,
) -> Result<Restored, RestoreError> {
    let (data, keys) = choose(from)?;
    check_both(&data, &keys, &mut Pacer::free())?;
    let folders = [data_folder, keys_folder];
    let mut work = Work { folders, aside: Vec::new(), made: Vec::new(), has_begun: false };
    let put = work.make_room(replace, now).and_then(|()| work.put(&data, &keys));
    match put {
        Ok(()) => Ok(Restored { data, keys, aside: work.aside }),
        Err(error) => {
            work.take_back();
            Err(error)
        }
    }
}

/// What a restore that is cut off leaves in the data folder, so that the next one knows which files
/// are its own.
#[derive(Debug, Serialize, Deserialize)]
struct Half {
    keys_folder: PathBuf,
    parts: Vec<Part>,
}

/// A restore that is under way.
struct Work<'f> {
    folders: [&'f Path; 2],
    aside: Vec<(PathBuf, PathBuf)>,
    /// Files that it made.
    made: Vec<PathBuf>,
    /// No start takes the data folder.
    has_begun: bool,
}

impl Work<'_> {
    /// Two folders that are empty.
    fn make_room(&mut self, replace: bool, now: UnixMillis) -> Result<(), RestoreError> {
        let [data, keys] = self.folders;
        clear_half(data)?;
        for folder in [data, keys] {
            if is_empty(folder)? {
                continue;
            }
            if !replace {
                return Err(RestoreError::NotEmpty(folder.to_owned()));
            }
            // Whoever has it is told of, and nobody takes it while it moves.
            let _lock = match folder == data {
                true => SqliteStore::lock_to_restore(folder)?,
                false => KeyStore::lock_to_restore(folder, data)?,
            };
            let to = free_name(folder, now);
            std::fs::rename(folder, &to)
                .map_err(|source| RestoreError::Aside { path: folder.to_owned(), source })?;
            self.aside.push((folder.to_owned(), to));
        }
        Ok(())
    }

    fn put(&mut self, data: &Artefact, keys: &Artefact) -> Result<(), RestoreError> {
        let [data_folder, keys_folder] = self.folders;
        let _lock = SqliteStore::lock_to_restore(data_folder)?;
        let half = Half {
            keys_folder: std::path::absolute(keys_folder)
                .map_err(io_error("resolve", keys_folder))?,
            parts: [&keys.manifest.parts[..], &data.manifest.parts[..]].concat(),
        };
        let about = serde_json::to_string(&half)
            .map_err(|error| io_error("write to", data_folder)(io::Error::other(error)))?;
        // From here to the end no start takes the folder.
        SqliteStore::begin_restore(data_folder, &about)
            .map_err(io_error("write to", data_folder))?;
        self.has_begun = true;
        let _keys_lock = KeyStore::lock_to_restore(keys_folder, data_folder)?;
        let mut names = Vec::new();
        for (artefact, folder) in [(keys, keys_folder), (data, data_folder)] {
            for part in &artefact.manifest.parts {
                let (path, name) = (unnamed(folder, &part.name), folder.join(&part.name));
                let file = File::options()
                    .read(true)
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&path)
                    .map_err(io_error("make", &path))?;
                self.made.push(path.clone());
                artefact.write_part(part, &file, &path)?;
                names.push((path, name));
            }
        }
        for (path, name) in names {
            if name.exists() {
                return Err(RestoreError::Foreign(name));
            }
            std::fs::rename(&path, &name).map_err(io_error("name", &name))?;
            self.made.push(name);
        }
        for folder in self.folders {
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(io_error("sync", folder))?;
        }
        SqliteStore::mark_restored(data_folder)?;
        check(self.folders, data)?;
        SqliteStore::end_restore(data_folder).map_err(io_error("write to", data_folder))?;
        Ok(())
    }

    /// The folders as they were, as far as that can be. What says that a restore was cut off goes
    /// last.
    fn take_back(&mut self) {
        let [data, keys] = self.folders;
        let own = [SqliteStore::traces_of(data), KeyStore::traces_of(keys)].concat();
        let begun = self.has_begun.then_some(own).into_iter().flatten();
        let removed = self.made.drain(..).chain(begun).try_for_each(|path| remove(&path));
        if let Err(error) = removed {
            tracing::error!(%error, "what was put back in part stays, and no start takes it: run the restore once more");
            return;
        }
        if self.has_begun {
            drop(SqliteStore::end_restore(data));
        }
        for (folder, aside) in self.aside.drain(..).rev() {
            // Empty by now, or not made yet; a folder that is not stays, and so does what lies
            // aside.
            drop(std::fs::remove_dir(&folder));
            if let Err(error) = std::fs::rename(&aside, &folder) {
                tracing::error!(%error, path = %aside.display(), "what was moved aside stays there");
            }
        }
    }
}

/// Removes what a restore that was cut off left: its own files, and nothing else.
fn clear_half(data: &Path) -> Result<(), RestoreError> {
    let about = SqliteStore::half_restored(data).map_err(io_error("read", data))?;
    let Some(about) = about else { return Ok(()) };
    let _lock = SqliteStore::lock_to_restore(data)?;
    // One that was cut off while it wrote this had made nothing else.
    if let Ok(half) = serde_json::from_str::<Half>(&about) {
        for folder in [half.keys_folder.as_path(), data] {
            for part in &half.parts {
                remove(&unnamed(folder, &part.name))?;
                let path = folder.join(&part.name);
                if path.exists() && !is_part(&path, part)? {
                    return Err(RestoreError::Foreign(path));
                }
                remove(&path)?;
            }
        }
        KeyStore::traces_of(&half.keys_folder).iter().try_for_each(|path| remove(path))?;
    }
    SqliteStore::traces_of(data).iter().try_for_each(|path| remove(path))?;
    SqliteStore::end_restore(data).map_err(io_error("write to", data))?;
    Ok(())
}

/// A file's name until all of them are there.
fn unnamed(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.restoring"))
}

/// Whether what lies in the folders now is what the backup has, and opens.
fn check([data_folder, keys_folder]: [&Path; 2], data: &Artefact) -> Result<(), RestoreError> {
    let apart = || RestoreError::Apart(data_folder.to_owned());
    let looked = SqliteStore::look_at_restored(data_folder)?.ok_or_else(apart)?;
    let keys = KeyStore::look(keys_folder, data_folder, looked.generation())?;
    let keys = keys.ok_or_else(|| RestoreError::Apart(keys_folder.to_owned()))?;
    keys.check()?;
    keys.check_data(keys_folder, data_folder, Some(looked.id()))?;
    looked.check_keys(&keys)?;
    looked.check_rows(&keys)?;
    let is_same = data.manifest.rows == Some(looked.count_rows()?)
        && keys.generation() >= data.manifest.generation;
    if is_same { Ok(()) } else { Err(apart()) }
}

fn is_empty(folder: &Path) -> Result<bool, ArtefactError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(io_error("read", folder)(error)),
    };
    for entry in entries {
        if entry.map_err(io_error("read", folder))?.file_name() != NOT_OURS {
            return Ok(false);
        }
    }
    Ok(true)
}

fn remove(path: &Path) -> Result<(), ArtefactError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// `data.before-20261124T020419Z`, beside the folder.
fn free_name(folder: &Path, now: UnixMillis) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(format!(".before-{}", target::stamp(now)));
    let first = folder.with_file_name(&name);
    let others = (2..).map(|nth: u32| {
        let mut other = name.clone();
        other.push(format!(".{nth}"));
        folder.with_file_name(other)
    });
    std::iter::once(first.clone()).chain(others).find(|path| !path.exists()).unwrap_or(first)
}
