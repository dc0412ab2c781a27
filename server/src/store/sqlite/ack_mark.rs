//! The high-water mark of acks: how far they went, beside the database and its journal: a file that
//! says so loses nothing when it is lost, and shows that one of them was lost or put back from
//! earlier.
//!
//! Written after each sync and before completions run, and not synced itself: it survives the end
//! of the process, and after a loss of power it is older than what it speaks of, which does no
//! harm. Two slots, written in rotation, each with its checksum, so that one that was cut off
//! leaves the other.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::journal::{Reached, StoreId};

const MAGIC: [u8; 4] = *b"lvhm";
const BYTES: usize = 72;
/// The second slot lies in another sector.
const SLOTS: [u64; 2] = [0, 512];

pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join("livehelp.mark")
}

/// What was acked at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AckMark {
    pub(super) id: StoreId,
    /// How often the database committed, and how often when all of its log was last checkpointed
    /// into the file.
    pub(super) commits: u64,
    pub(super) in_file: u64,
    pub(super) journal: Reached,
}

/// What lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Mark(AckMark),
    Missing,
    Damaged,
}

pub(super) fn find(folder: &Path) -> io::Result<Found> {
    match std::fs::read(path(folder)) {
        Ok(bytes) => Ok(newest(&bytes).map_or(Found::Damaged, |(_, mark)| Found::Mark(mark))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Missing),
        Err(error) => Err(error),
    }
}

fn newest(bytes: &[u8]) -> Option<(u64, AckMark)> {
    let slots = SLOTS.map(|at| bytes.get(usize::try_from(at).ok()?..).and_then(decode));
    slots.into_iter().flatten().max_by_key(|(writes, _)| *writes)
}

fn decode(mut bytes: &[u8]) -> Option<(u64, AckMark)> {
    let content = bytes.get(..BYTES - 4)?;
    let said = bytes.get(BYTES - 4..BYTES)?;
    if said != crc32fast::hash(content).to_le_bytes() {
        return None;
    }
    let mut next = || bytes.split_off(..8)?.try_into().ok().map(u64::from_le_bytes);
    let _magic = next()?;
    let (writes, commits, in_file, epoch) = (next()?, next()?, next()?, next()?);
    let (batches, rows) = halves(next()?);
    let id = bytes.split_off(..16)?.try_into().ok()?;
    let sum = u32::from_le_bytes(bytes.split_off(..4)?.try_into().ok()?);
    content.starts_with(&MAGIC).then_some(())?;
    Some((writes, AckMark { id, commits, in_file, journal: Reached { epoch, batches, rows, sum } }))
}

fn halves(both: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = both.to_le_bytes();
    (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
}

fn encode(writes: u64, mark: &AckMark) -> [u8; BYTES] {
    let Reached { epoch, batches, rows, sum } = mark.journal;
    let mut bytes = [0; BYTES];
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[8..16].copy_from_slice(&writes.to_le_bytes());
    bytes[16..24].copy_from_slice(&mark.commits.to_le_bytes());
    bytes[24..32].copy_from_slice(&mark.in_file.to_le_bytes());
    bytes[32..40].copy_from_slice(&epoch.to_le_bytes());
    bytes[40..44].copy_from_slice(&batches.to_le_bytes());
    bytes[44..48].copy_from_slice(&rows.to_le_bytes());
    bytes[48..64].copy_from_slice(&mark.id);
    bytes[64..68].copy_from_slice(&sum.to_le_bytes());
    let sum = crc32fast::hash(&bytes[..68]);
    bytes[68..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// The file, held open by the writer.
#[derive(Debug)]
pub(super) struct AckMarkFile {
    /// None where it cannot be made: then nothing is marked.
    file: Option<File>,
    writes: u64,
    pub(super) mark: AckMark,
}

impl AckMarkFile {
    /// Begins with this mark; what stood there was heeded before.
    pub(super) fn begin(folder: &Path, mark: AckMark) -> Self {
        let writes = std::fs::read(path(folder)).ok().and_then(|bytes| newest(&bytes));
        let writes = writes.map_or(0, |(writes, _)| writes);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path(folder));
        let file = match file {
            Ok(file) => Some(file),
            Err(error) => {
                tracing::warn!(%error, "how far acks go is not marked");
                None
            }
        };
        let mut begun = Self { file, writes, mark };
        begun.write();
        begun
    }

    /// The database committed for the so-manieth time.
    pub(super) fn committed(&mut self, commits: u64, checkpointed: Reached) {
        self.mark.commits = commits;
        if self.mark.journal.epoch <= checkpointed.epoch {
            self.mark.journal = checkpointed;
        }
        self.write();
    }

    /// All that was committed is in the file itself.
    pub(super) fn wal_checkpointed(&mut self) {
        self.mark.in_file = self.mark.commits;
        self.write();
    }

    /// The journal has a batch more.
    pub(super) fn appended(&mut self, reached: Reached) {
        self.mark.journal = reached;
        self.write();
    }

    fn write(&mut self) {
        let Some(file) = &self.file else { return };
        self.writes += 1;
        let [even, odd] = SLOTS;
        let at = if self.writes.is_multiple_of(2) { even } else { odd };
        if let Err(error) = file.write_all_at(&encode(self.writes, &self.mark), at) {
            // The one before stands: it asks for less than there is.
            tracing::warn!(%error, "how far acks go cannot be marked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_whole_mark_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert_eq!(find(folder).unwrap(), Found::Missing);
        let mut mark = AckMark { id: [7; 16], commits: 3, in_file: 2, journal: Reached::default() };
        let mut file = AckMarkFile::begin(folder, mark);
        let reached = Reached { epoch: 4, batches: 5, rows: 6, sum: 7 };
        file.appended(reached);
        file.committed(9, Reached::default());
        (mark.commits, mark.journal) = (9, reached);
        assert_eq!(find(folder).unwrap(), Found::Mark(mark));
        let good = std::fs::read(path(folder)).unwrap();
        let newest = if file.writes.is_multiple_of(2) { 0 } else { 512 };
        for at in newest..newest + BYTES {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            std::fs::write(path(folder), &bytes).unwrap();
            let before = Found::Mark(AckMark { commits: 3, ..mark });
            assert_eq!(find(folder).unwrap(), before, "the one before it, byte {at}");
        }
        std::fs::write(path(folder), b"").unwrap();
        assert_eq!(find(folder).unwrap(), Found::Damaged);
        std::fs::write(path(folder), &good).unwrap();
        assert_eq!(AckMarkFile::begin(folder, mark).writes, file.writes + 1);
    }
}
