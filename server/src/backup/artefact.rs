//! An artefact: one file, whose end says what it is and what its bytes add up to.
//!
//! It begins with a SQLite file, which any program that reads those can open in place. Behind it
//! lie the further parts, then the manifest (JSON), then 48 bytes: a magic word, the length of the
//! manifest, and the sum of it. Every byte counts in one of the sums, so that none can change
//! without being noticed.
//!
//! Lives here: the format, written and read. Not here: whether what is in it is whole (`verify`),
//! and names (`target`).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use protocol::time::UnixMillis;
use serde::{Deserialize, Serialize};

use super::pace::Pacer;
use crate::keys::{Sum, content_hash};
use crate::metrics::{COMMIT, VERSION};
use crate::store::sqlite::{Rows, StoreId};

/// Raised when an older livehelp must not take an artefact.
const FORMAT: u32 = 1;
const MAGIC: [u8; 8] = *b"lvhpback";
const FOOT_BYTES: usize = 48;
/// Far more than a manifest has.
const MANIFEST_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes that are read and summed at a time.
const READ_BYTES: usize = 256 * 1024;
/// Longer than a master key or an operator's key.
const SMALL_BYTES_MAX: u64 = 64 * 1024;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The database, sealed.
    Data,
    /// What opens it.
    Keys,
}

impl Kind {
    /// The ending of its file's name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Keys => "keys",
        }
    }

    /// The parts that it may have; they are named as the files of a folder are.
    fn parts(self) -> &'static [&'static str] {
        match self {
            Self::Data => &["livehelp.sqlite"],
            Self::Keys => &["keys.sqlite", "master.key", "operator-key"],
        }
    }

    /// Without these there is nothing to be put back.
    fn needed(self) -> &'static [&'static str] {
        match self {
            Self::Data => &["livehelp.sqlite"],
            Self::Keys => &["keys.sqlite", "master.key"],
        }
    }
}

/// A file of a folder, as it lies in an artefact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub name: String,
    pub bytes: u64,
    /// SHA-256, in hex.
    pub sha256: String,
}

/// What an artefact says of itself. Fields that a reader does not know are passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    pub kind: Kind,
    /// Of the livehelp that made it.
    pub version: String,
    pub commit: String,
    /// Which data it is of, in hex.
    pub store_id: String,
    /// Of the tables; 0 for keys.
    pub schema: u32,
    /// Of keys: the number that they have. Of data: the number that its keys must have at least.
    pub generation: u64,
    /// Milliseconds since 1970: everything that was acked before is in it.
    pub reaches: UnixMillis,
    /// When it was finished, likewise.
    pub made_at: UnixMillis,
    /// How far the ledger of erasures had come; this version keeps none.
    pub erasures: u64,
    /// Of data: how much is in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<Rows>,
    /// In the order in which they lie there, from the first byte on, without a gap.
    pub parts: Vec<Part>,
}

/// Why a file is no artefact that can be used. Each sentence names it.
#[derive(Debug, thiserror::Error)]
pub enum ArtefactError {
    #[error("cannot {act} {}", path.display())]
    Io {
        act: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is no livehelp backup, or its end is missing or damaged", .0.display())]
    NoEnd(PathBuf),
    #[error("{} is a backup of format {found}, this livehelp knows {known}: use a newer one", path.display())]
    Newer { path: PathBuf, found: u32, known: u32 },
    #[error("{} is damaged: its {part} is not what was written", path.display())]
    Sum { path: PathBuf, part: String },
    #[error("{} is damaged: its manifest does not fit what is there", .0.display())]
    Manifest(PathBuf),
    #[error("{} has a part that this livehelp does not know: use a newer one", .0.display())]
    UnknownPart(PathBuf),
    #[error("it was stopped")]
    Stopped,
}

/// An artefact whose end was read.
#[derive(Debug, Clone)]
pub struct Artefact {
    pub path: PathBuf,
    pub manifest: Manifest,
    /// Size of the whole file.
    pub bytes: u64,
}

impl Manifest {
    /// Without parts; they come as they are written.
    pub(super) fn new(kind: Kind, store: StoreId, generation: u64, reaches: UnixMillis) -> Self {
        Self {
            format: FORMAT,
            kind,
            version: VERSION.to_owned(),
            commit: COMMIT.to_owned(),
            store_id: hex(&store),
            schema: 0,
            generation,
            reaches,
            made_at: reaches,
            erasures: 0,
            rows: None,
            parts: Vec::new(),
        }
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Takes in what lies in the file from its last part's end on, as the next part.
pub(super) fn add_part(
    file: &File,
    path: &Path,
    manifest: &mut Manifest,
    name: &str,
    pace: &mut Pacer,
) -> Result<(), ArtefactError> {
    let begin: u64 = manifest.parts.iter().map(|part| part.bytes).sum();
    let len = file.metadata().map_err(io_error("look at", path))?.len();
    let bytes = len.saturating_sub(begin);
    let sha256 = hex(&sum(file, path, begin, bytes, pace)?);
    manifest.parts.push(Part { name: name.to_owned(), bytes, sha256 });
    Ok(())
}

/// Writes manifest and foot, and syncs.
pub(super) fn finish(file: &File, path: &Path, manifest: &Manifest) -> Result<(), ArtefactError> {
    let text = serde_json::to_vec_pretty(manifest)
        .map_err(|error| io_error("describe", path)(io::Error::other(error)))?;
    let mut foot = Vec::with_capacity(FOOT_BYTES);
    foot.extend_from_slice(&MAGIC);
    foot.extend_from_slice(&(text.len() as u64).to_le_bytes());
    foot.extend_from_slice(&content_hash(&[&foot[..], &text[..]].concat()));
    let begin: u64 = manifest.parts.iter().map(|part| part.bytes).sum();
    file.write_all_at(&text, begin)
        .and_then(|()| file.write_all_at(&foot, begin + text.len() as u64))
        .and_then(|()| file.sync_all())
        .map_err(io_error("write", path))
}

impl Artefact {
    /// Reads the end of a file: what it says of itself. Nothing is said of the rest.
    ///
    /// # Errors
    /// If it is none of ours, of a later format, or its end is damaged.
    pub fn open(path: &Path) -> Result<Self, ArtefactError> {
        let found = std::fs::metadata(path).map_err(io_error("read", path))?;
        let no_end = || ArtefactError::NoEnd(path.to_owned());
        let bytes = found.len();
        if !found.is_file() || bytes < FOOT_BYTES as u64 {
            return Err(no_end());
        }
        let file = File::open(path).map_err(io_error("read", path))?;
        let mut foot = [0; FOOT_BYTES];
        file.read_exact_at(&mut foot, bytes - FOOT_BYTES as u64).map_err(io_error("read", path))?;
        let (said, sum) = foot.split_at(16);
        let (magic, len) = said.split_at(8);
        let len = u64::from_le_bytes(len.try_into().map_err(|_| no_end())?);
        let end = bytes - FOOT_BYTES as u64;
        if magic != MAGIC || len > MANIFEST_BYTES_MAX || len > end {
            return Err(no_end());
        }
        let mut text = vec![0; usize::try_from(len).unwrap_or_default()];
        file.read_exact_at(&mut text, end - len).map_err(io_error("read", path))?;
        if sum != content_hash(&[said, &text[..]].concat()) {
            return Err(no_end());
        }
        let refused = || ArtefactError::Manifest(path.to_owned());
        // The number first: a later format may have other fields.
        let format: Format = serde_json::from_slice(&text).map_err(|_| refused())?;
        if format.format > FORMAT {
            let (found, known) = (format.format, FORMAT);
            return Err(ArtefactError::Newer { path: path.to_owned(), found, known });
        }
        let manifest: Manifest = serde_json::from_slice(&text).map_err(|_| refused())?;
        let kind = manifest.kind;
        let has = |name: &&str| manifest.parts.iter().filter(|part| part.name == *name).count();
        if manifest.parts.iter().any(|part| !kind.parts().contains(&part.name.as_str())) {
            return Err(ArtefactError::UnknownPart(path.to_owned()));
        }
        let mut lens = manifest.parts.iter().map(|part| part.bytes);
        let fits = lens.try_fold(0_u64, u64::checked_add) == Some(end - len)
            && manifest
                .parts
                .first()
                .is_some_and(|part| kind.parts().first() == Some(&&*part.name))
            && kind.needed().iter().all(|name| has(name) == 1)
            && kind.parts().iter().all(|name| has(name) <= 1);
        if !fits {
            return Err(refused());
        }
        Ok(Self { path: path.to_owned(), manifest, bytes })
    }

    /// Whether every part is what was written.
    ///
    /// # Errors
    /// The first that is not, or that the file cannot be read.
    pub(super) fn check_sums(&self, pace: &mut Pacer) -> Result<(), ArtefactError> {
        let file = File::open(&self.path).map_err(io_error("read", &self.path))?;
        let mut begin = 0;
        for part in &self.manifest.parts {
            if hex(&sum(&file, &self.path, begin, part.bytes, pace)?) != part.sha256 {
                let (path, part) = (self.path.clone(), part.name.clone());
                return Err(ArtefactError::Sum { path, part });
            }
            begin += part.bytes;
        }
        Ok(())
    }

    /// A part that is small.
    pub(super) fn small_part(
        &self,
        name: &str,
    ) -> Result<zeroize::Zeroizing<Vec<u8>>, ArtefactError> {
        let refused = || ArtefactError::Manifest(self.path.clone());
        let (begin, part) = self.part(name).ok_or_else(refused)?;
        if part.bytes > SMALL_BYTES_MAX {
            return Err(refused());
        }
        let bytes = usize::try_from(part.bytes).unwrap_or_default();
        let mut content = zeroize::Zeroizing::new(vec![0; bytes]);
        File::open(&self.path)
            .and_then(|file| file.read_exact_at(&mut content, begin))
            .map_err(io_error("read", &self.path))?;
        Ok(content)
    }

    /// Writes a part into a new file, syncs it, and sums what was written.
    pub(super) fn write_part(
        &self,
        part: &Part,
        to: &File,
        into: &Path,
    ) -> Result<(), ArtefactError> {
        let refused = || ArtefactError::Manifest(self.path.clone());
        let (begin, _) = self.part(&part.name).ok_or_else(refused)?;
        let from = File::open(&self.path).map_err(io_error("read", &self.path))?;
        let mut buffer = zeroize::Zeroizing::new(vec![0; READ_BYTES]);
        let mut done = 0;
        while done < part.bytes {
            let piece = piece(&mut buffer, part.bytes - done);
            from.read_exact_at(piece, begin + done).map_err(io_error("read", &self.path))?;
            to.write_all_at(piece, done).map_err(io_error("write", into))?;
            done += piece.len() as u64;
        }
        to.sync_all().map_err(io_error("sync", into))?;
        if hex(&sum(to, into, 0, part.bytes, &mut Pacer::free())?) != part.sha256 {
            let (path, part) = (into.to_owned(), part.name.clone());
            return Err(ArtefactError::Sum { path, part });
        }
        Ok(())
    }

    fn part(&self, name: &str) -> Option<(u64, &Part)> {
        let mut begin = 0;
        for part in &self.manifest.parts {
            if part.name == name {
                return Some((begin, part));
            }
            begin += part.bytes;
        }
        None
    }
}

/// Whether a file is this part as it was written.
pub(super) fn is_part(path: &Path, part: &Part) -> Result<bool, ArtefactError> {
    let file = File::open(path).map_err(io_error("read", path))?;
    let bytes = file.metadata().map_err(io_error("read", path))?.len();
    let is_same =
        bytes == part.bytes && hex(&sum(&file, path, 0, bytes, &mut Pacer::free())?) == part.sha256;
    Ok(is_same)
}

/// The one field that every format has.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

fn piece(buffer: &mut [u8], left: u64) -> &mut [u8] {
    let len = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
    buffer.split_at_mut(len).0
}

fn sum(
    file: &File,
    path: &Path,
    begin: u64,
    bytes: u64,
    pace: &mut Pacer,
) -> Result<[u8; 32], ArtefactError> {
    let mut buffer = zeroize::Zeroizing::new(vec![0; READ_BYTES]);
    let (mut sum, mut done) = (Sum::default(), 0);
    while done < bytes {
        let piece = piece(&mut buffer, bytes - done);
        file.read_exact_at(piece, begin + done).map_err(io_error("read", path))?;
        sum.add(piece);
        done += piece.len() as u64;
        if !pace.passed(piece.len() as u64) {
            return Err(ArtefactError::Stopped);
        }
    }
    Ok(sum.finish())
}

pub(super) fn io_error<'p>(
    act: &'static str,
    path: &'p Path,
) -> impl FnOnce(io::Error) -> ArtefactError + 'p {
    move |source| ArtefactError::Io { act, path: path.to_owned(), source }
}
