//! Whether artefacts are whole, and can be put back: sums, pages, keys, and every sealed value.
//!
//! Lives here: the judgement of one artefact, of a pair, and of all that lie in folders. Not here:
//! what is done about it. Called before an artefact gets its name, by `livehelp verify`, and by a
//! restore.

use std::path::{Path, PathBuf};

use super::artefact::{Artefact, ArtefactError, Kind, Manifest, hex};
use super::pace::Pacer;
use super::target::artefacts_in;
use crate::keys::{KeyStore, KeysError};
use crate::store::sqlite::{InspectedData, OpenError, SqliteStore};

/// Why artefacts cannot be put back. Each sentence names the file.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error(transparent)]
    Artefact(#[from] ArtefactError),
    #[error("{} is damaged: what is in it is not what its manifest says", .0.display())]
    Apart(PathBuf),
    #[error("{} holds keys that do not open", path.display())]
    Keys {
        path: PathBuf,
        #[source]
        source: Box<KeysError>,
    },
    #[error("{} cannot be opened", path.display())]
    Data {
        path: PathBuf,
        #[source]
        source: Box<OpenError>,
    },
    #[error("{} and {} are of different servers: take a pair of one", data.display(), keys.display())]
    OtherServer { data: PathBuf, keys: PathBuf },
    #[error(
        "{} is older than {} (its keys have generation {has}, the data needs {needs}): take keys that were copied with it or later",
        keys.display(),
        data.display()
    )]
    KeysOlder { data: PathBuf, keys: PathBuf, has: u64, needs: u64 },
    #[error("there is no keys artefact that opens {}: name the folder where they are as well", .0.display())]
    NoKeys(PathBuf),
    #[error("there is no data artefact in {}", .0.display())]
    NoData(PathBuf),
}

/// What was said of one file.
#[derive(Debug)]
pub struct Verdict {
    pub path: PathBuf,
    /// Where its end could be read.
    pub manifest: Option<Manifest>,
    pub fault: Option<VerifyError>,
    /// Of data: the keys with which every value was opened.
    pub opened_with: Option<PathBuf>,
    /// Of data of an earlier version: its values are opened once it is brought to this one.
    pub is_former: bool,
}

/// Keys that were looked at: all of them open.
pub(super) fn keys_of(artefact: &Artefact) -> Result<KeyStore, VerifyError> {
    let path = &artefact.path;
    let failed = |source| VerifyError::Keys { path: path.clone(), source: Box::new(source) };
    let keys = KeyStore::look_at_copy(path, &artefact.small_part("master.key")?).map_err(failed)?;
    keys.check().map_err(failed)?;
    let is_said = crate::privacy::seal::Sealer::generation(&keys) == artefact.manifest.generation
        && keys.data().map_err(failed)?.is_some_and(|id| hex(&id) == artefact.manifest.store_id);
    if is_said { Ok(keys) } else { Err(VerifyError::Apart(path.clone())) }
}

/// Data that was looked at: its pages fit, and it is what its manifest says.
pub(super) fn data_of(artefact: &Artefact, pace: &Pacer) -> Result<InspectedData, VerifyError> {
    let path = &artefact.path;
    let failed = |source| VerifyError::Data { path: path.clone(), source: Box::new(source) };
    let data = SqliteStore::look_at_copy(path, pace.rest()).map_err(failed)?;
    let manifest = &artefact.manifest;
    let is_said = data.version == manifest.schema
        && data.generation() == Some(manifest.generation)
        && data.id().is_some_and(|id| hex(&id) == manifest.store_id)
        && manifest.rows == Some(data.count_rows().map_err(failed)?);
    if is_said { Ok(data) } else { Err(VerifyError::Apart(path.clone())) }
}

/// Whether these keys are this data's, and as new as it is: by what the manifests say.
pub(super) fn check_pair(data: &Artefact, keys: &Artefact) -> Result<(), VerifyError> {
    let (of, with) = (&data.manifest, &keys.manifest);
    if of.store_id != with.store_id {
        return Err(VerifyError::OtherServer { data: data.path.clone(), keys: keys.path.clone() });
    }
    if with.generation < of.generation {
        let (data, keys) = (data.path.clone(), keys.path.clone());
        return Err(VerifyError::KeysOlder {
            data,
            keys,
            has: with.generation,
            needs: of.generation,
        });
    }
    Ok(())
}

/// Whether these keys open every value of this data.
pub(super) fn check_values(
    artefact: &Artefact,
    data: &InspectedData,
    keys: &KeyStore,
) -> Result<(), VerifyError> {
    let failed =
        |source| VerifyError::Data { path: artefact.path.clone(), source: Box::new(source) };
    data.check_keys(keys).and_then(|()| data.check_rows(keys)).map_err(failed)
}

/// A pair, looked through from end to end.
pub(super) fn check_both(
    data: &Artefact,
    keys: &Artefact,
    pace: &mut Pacer,
) -> Result<(), VerifyError> {
    check_pair(data, keys)?;
    keys.check_sums(pace)?;
    data.check_sums(pace)?;
    let opened = keys_of(keys)?;
    check_values(data, &data_of(data, pace)?, &opened)
}

/// The artefacts that files and folders name; of a folder all that lie in it.
///
/// # Errors
/// If a folder cannot be read.
pub fn gather(given: &[PathBuf]) -> Result<Vec<PathBuf>, VerifyError> {
    let mut paths = Vec::new();
    for path in given {
        if path.is_dir() {
            let found = artefacts_in(path).map_err(super::artefact::io_error("read", path))?;
            paths.extend(found.into_iter().map(|(_, path)| path));
        } else {
            paths.push(path.clone());
        }
    }
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// Looks through every one of these artefacts. Data is opened with the newest keys among them that
/// are its own.
pub fn verify(paths: &[PathBuf]) -> Vec<Verdict> {
    let mut verdicts: Vec<Verdict> = Vec::new();
    let mut data: Vec<(usize, Artefact)> = Vec::new();
    let mut keys: Vec<Artefact> = Vec::new();
    for path in paths {
        let mut verdict = Verdict {
            path: path.clone(),
            manifest: None,
            fault: None,
            opened_with: None,
            is_former: false,
        };
        let looked = Artefact::open(path).map_err(VerifyError::from).and_then(|artefact| {
            verdict.manifest = Some(artefact.manifest.clone());
            artefact.check_sums(&mut Pacer::free())?;
            Ok(artefact)
        });
        match looked {
            Ok(artefact) if artefact.manifest.kind == Kind::Data => {
                data.push((verdicts.len(), artefact));
            }
            Ok(artefact) => match keys_of(&artefact) {
                Ok(_) => keys.push(artefact),
                Err(fault) => verdict.fault = Some(fault),
            },
            Err(fault) => verdict.fault = Some(fault),
        }
        verdicts.push(verdict);
    }
    for (nth, artefact) in data {
        let Some(verdict) = verdicts.get_mut(nth) else { continue };
        let looked = data_of(&artefact, &Pacer::free()).and_then(|data| {
            verdict.is_former = data.version < data.known;
            let with = fitting(&artefact, &keys)?;
            check_values(&artefact, &data, &keys_of(with)?)?;
            Ok(with.path.clone())
        });
        match looked {
            Ok(with) => verdict.opened_with = Some(with),
            Err(fault) => verdict.fault = Some(fault),
        }
    }
    verdicts
}

/// The newest keys among these that are this data's: they forget the most. Where none are, why the
/// nearest is not.
fn fitting<'k>(data: &Artefact, keys: &'k [Artefact]) -> Result<&'k Artefact, VerifyError> {
    let own = keys.iter().filter(|keys| keys.manifest.store_id == data.manifest.store_id);
    let newest = own.max_by_key(|keys| (keys.manifest.generation, keys.manifest.reaches));
    let Some(newest) = newest.or(keys.first()) else {
        return Err(VerifyError::NoKeys(data.path.clone()));
    };
    check_pair(data, newest).map(|()| newest)
}

/// What to put back of these: the newest data, and the newest keys that open it.
///
/// # Errors
/// If there is no data among them, or there are no keys that open it.
pub(super) fn choose(given: &[PathBuf]) -> Result<(Artefact, Artefact), VerifyError> {
    let (mut data, mut keys, mut faults) = (Vec::new(), Vec::new(), Vec::new());
    for path in gather(given)? {
        match Artefact::open(&path) {
            Ok(artefact) if artefact.manifest.kind == Kind::Data => data.push(artefact),
            Ok(artefact) => keys.push(artefact),
            Err(fault) if given.contains(&path) => return Err(fault.into()),
            Err(fault) => faults.push((path, fault)),
        }
    }
    let Some(newest) = data.into_iter().max_by_key(|artefact| artefact.manifest.reaches) else {
        let nowhere = || given.first().cloned().unwrap_or_default();
        let fault = faults.pop().map(|(_, fault)| fault.into());
        return Err(fault.unwrap_or_else(|| VerifyError::NoData(nowhere())));
    };
    // One that lies among others and is damaged must not let an older one pass for the newest.
    let is_later = |path: &Path| path.file_name() > newest.path.file_name();
    if let Some(at) = faults.iter().position(|(path, _)| is_later(path)) {
        return Err(faults.swap_remove(at).1.into());
    }
    let keys = fitting(&newest, &keys)?.clone();
    Ok((newest, keys))
}
