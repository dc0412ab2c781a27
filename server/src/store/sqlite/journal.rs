//! The journal: where a batch of messages is synced before it is acked, and from where it is carried into the
//! database later, many batches in one transaction.
//!
//! A file of fixed size, written over and over, so that a sync moves the bytes of a batch and nothing else. It has
//! two halves: while one is carried over, the other is written. Each batch names its epoch; the database
//! knows up to which epoch it has everything (`meta.journal_epoch`), and what is later is read from here at
//! start. Bodies are sealed, as in the database.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::OpenError;
use super::row::MessageRow;

/// Bytes of a half: some 40,000 messages of a hundred characters.
pub(super) const HALF_BYTES: u64 = 8 * 1024 * 1024;
/// Magic, epoch, length of what follows, its checksum with these.
const HEAD_BYTES: usize = 24;
const MAGIC: [u8; 4] = *b"lvhj";

pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join("livehelp.journal")
}

/// The file, and where the next batch goes.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    /// Of what is written now.
    epoch: u64,
    /// Where the half that is written begins, and how much of it is.
    half: u64,
    used: u64,
    /// Something of this epoch may be in the file.
    written: bool,
    /// One batch; kept for its memory.
    batch: Vec<u8>,
}

/// What a start finds in the file: batches that the database may not have, in the order in which they were
/// written, and the newest epoch.
#[derive(Debug, Default)]
pub(super) struct Found {
    batches: Vec<Vec<u8>>,
    pub(super) epoch: u64,
}

impl Found {
    pub(super) fn rows(&self) -> impl Iterator<Item = MessageRow<'_>> {
        self.batches.iter().flat_map(|batch| {
            let mut bytes = batch.as_slice();
            std::iter::from_fn(move || MessageRow::decode(&mut bytes))
        })
    }
}

/// Reads what was written after this epoch. Nothing where there is no file.
///
/// # Errors
/// If the file is there and cannot be read, or if what it has does not follow on this epoch: it is not this
/// database's.
pub(super) fn find(folder: &Path, after: u64) -> Result<Found, OpenError> {
    let path = path(folder);
    let failed = |source| OpenError::Io { act: "read", path: path.clone(), source };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Found { batches: Vec::new(), epoch: after });
        }
        Err(error) => return Err(failed(error)),
    };
    let mut halves = Vec::new();
    for begin in [0, HALF_BYTES] {
        halves.extend(half(&file, begin, after).map_err(failed)?);
    }
    halves.sort_by_key(|found| found.epoch);
    let mut all = Found { batches: Vec::new(), epoch: after };
    for found in halves {
        if found.epoch != all.epoch + 1 {
            return Err(OpenError::JournalApart { path });
        }
        all.batches.extend(found.batches);
        all.epoch = found.epoch;
    }
    Ok(all)
}

/// What a half has that is later than this epoch. Mostly it is nothing, which its first bytes tell.
fn half(file: &File, begin: u64, after: u64) -> io::Result<Option<Found>> {
    let len = file.metadata()?.len().saturating_sub(begin).min(HALF_BYTES);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or_default().min(HEAD_BYTES)];
    file.read_exact_at(&mut bytes, begin)?;
    let Some(head) = Head::read(&mut bytes.as_slice()) else { return Ok(None) };
    if head.epoch <= after {
        return Ok(None);
    }
    bytes.resize(usize::try_from(len).unwrap_or_default(), 0);
    file.read_exact_at(&mut bytes, begin)?;
    let found = batches(&bytes);
    Ok((found.epoch > after).then_some(found))
}

/// The batches of the epoch that a half begins with. The first that is not whole was never synced, and what is of
/// another epoch was left from before.
fn batches(mut half: &[u8]) -> Found {
    let mut found = Found::default();
    while let Some((epoch, rows)) = batch(&mut half) {
        if found.epoch != 0 && found.epoch != epoch {
            break;
        }
        found.epoch = epoch;
        found.batches.push(rows.to_vec());
    }
    found
}

fn batch<'a>(bytes: &mut &'a [u8]) -> Option<(u64, &'a [u8])> {
    let head = Head::read(bytes)?;
    let rows = bytes.split_off(..usize::try_from(head.len).ok()?)?;
    (head.sum == checksum(head.epoch, rows)).then_some((head.epoch, rows))
}

/// What stands before a batch's rows.
struct Head {
    epoch: u64,
    len: u64,
    sum: u32,
}

impl Head {
    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let head = bytes.split_off(..HEAD_BYTES)?.strip_prefix(&MAGIC)?;
        let (epoch, rest) = head.split_first_chunk()?;
        let (len, rest) = rest.split_first_chunk()?;
        Some(Self {
            epoch: u64::from_le_bytes(*epoch),
            len: u64::from_le_bytes(*len),
            sum: u32::from_le_bytes(*rest.first_chunk()?),
        })
    }

    fn write(&self, into: &mut [u8]) {
        let (epoch, len) = (self.epoch.to_le_bytes(), self.len.to_le_bytes());
        let parts = MAGIC.iter().chain(&epoch).chain(&len);
        let bytes = parts.copied().chain(self.sum.to_le_bytes());
        into.iter_mut().zip(bytes).for_each(|(into, byte)| *into = byte);
    }
}

fn checksum(epoch: u64, rows: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&epoch.to_le_bytes());
    sum.update(rows);
    sum.finalize()
}

impl Journal {
    /// Opens the file, or makes it in its full size, for epochs after this one.
    ///
    /// # Errors
    /// If there is no room for it.
    pub(super) fn open(folder: &Path, after: u64) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path(folder))?;
        let (have, want) = (file.metadata()?.len(), 2 * HALF_BYTES);
        if have < want {
            // Written, not only reserved: the first sync over a reserved block has to sync its place as well.
            blank(&file, have, want)?;
            file.sync_all()?;
            File::open(folder)?.sync_all()?;
        }
        Ok(Self { file, epoch: after + 1, half: 0, used: 0, written: false, batch: Vec::new() })
    }

    /// The epoch of what was written since the last turn or restart, if anything was.
    pub(super) fn written_epoch(&self) -> Option<u64> {
        self.written.then_some(self.epoch)
    }

    /// Whether so much is written that it should be carried over.
    pub(super) fn is_filling(&self) -> bool {
        self.used > HALF_BYTES / 2
    }

    /// Appends a batch and syncs it. `false`: there is no room left for it, and nothing was done.
    ///
    /// # Errors
    /// If it cannot be written or synced. What is in the file then is not known; nothing may be appended before
    /// [`Journal::restart`].
    pub(super) fn append<'a>(
        &mut self,
        rows: impl Iterator<Item = MessageRow<'a>>,
    ) -> io::Result<bool> {
        self.batch.clear();
        self.batch.resize(HEAD_BYTES, 0);
        rows.for_each(|row| row.encode(&mut self.batch));
        let len = self.batch.len() as u64;
        if self.used + len > HALF_BYTES {
            return Ok(false);
        }
        let (head, rows) = self.batch.split_at_mut(HEAD_BYTES);
        let sum = checksum(self.epoch, rows);
        Head { epoch: self.epoch, len: rows.len() as u64, sum }.write(head);
        self.written = true;
        self.file.write_all_at(&self.batch, self.half + self.used)?;
        self.file.sync_data()?;
        self.used += len;
        Ok(true)
    }

    /// Goes on in the other half, of which the database has everything. Gives the epoch that ended.
    pub(super) fn turn(&mut self) -> u64 {
        let ended = self.epoch;
        self.half = HALF_BYTES - self.half;
        self.begin(ended + 1);
        ended
    }

    /// The database has everything: begins this half anew, if anything is in it.
    pub(super) fn restart(&mut self) {
        if self.written {
            self.begin(self.epoch + 1);
        }
    }

    fn begin(&mut self, epoch: u64) {
        (self.epoch, self.used, self.written) = (epoch, 0, false);
    }

    /// Overwrites both halves; the database has everything.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn wipe(&mut self) -> io::Result<()> {
        blank(&self.file, 0, 2 * HALF_BYTES)?;
        self.file.sync_data()
    }
}

/// Writes zeros.
fn blank(file: &File, from: u64, to: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
    let mut at = from;
    while at < to {
        let len = usize::try_from(to - at).unwrap_or(usize::MAX).min(ZEROS.len());
        let zeros = ZEROS.get(..len).unwrap_or_default();
        file.write_all_at(zeros, at)?;
        at += len as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use protocol::message::Seq;
    use protocol::retention::RetentionClass;
    use protocol::time::Day;

    use super::*;

    static BODY: [u8; 1024 * 1024] = [5; 1024 * 1024];

    fn row(seq: u64) -> MessageRow<'static> {
        MessageRow {
            conversation: 7,
            seq: Seq(seq),
            bucket: 3,
            message: [9; 16],
            author: 1,
            agent: seq.is_multiple_of(2).then_some([4; 16]),
            visibility: 1,
            at: 11,
            seen_seq: seq - 1,
            purposes: 2,
            flags: 3,
            policy: 4,
            class: RetentionClass::Transcript,
            ingest_day: Day(13),
            body: &BODY[..100 + usize::try_from(seq).unwrap()],
        }
    }

    fn append(journal: &mut Journal, seqs: std::ops::Range<u64>) {
        assert!(journal.append(seqs.map(row)).unwrap());
    }

    fn found(folder: &Path, after: u64) -> (Vec<u64>, u64) {
        let found = find(folder, after).unwrap();
        for have in found.rows() {
            assert_eq!(have, row(have.seq.0), "as it was written");
        }
        (found.rows().map(|row| row.seq.0).collect(), found.epoch)
    }

    #[test]
    fn what_is_later_than_the_database_is_found_in_order() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(found(folder.path(), 5), (vec![], 5), "there is no file");
        let mut journal = Journal::open(folder.path(), 5).unwrap();
        assert_eq!(found(folder.path(), 5), (vec![], 5), "there is nothing in it");
        append(&mut journal, 1..4);
        append(&mut journal, 4..6);
        assert_eq!(found(folder.path(), 5), (vec![1, 2, 3, 4, 5], 6));
        assert_eq!(journal.turn(), 6);
        append(&mut journal, 6..8);
        assert_eq!(found(folder.path(), 5), (vec![1, 2, 3, 4, 5, 6, 7], 7));
        assert_eq!(found(folder.path(), 6), (vec![6, 7], 7));
        assert_eq!(journal.turn(), 7);
        append(&mut journal, 8..9);
        assert_eq!(
            found(folder.path(), 6),
            (vec![6, 7, 8], 8),
            "what lay below it is of another epoch"
        );
        let gap = find(folder.path(), 5);
        assert!(matches!(gap, Err(OpenError::JournalApart { .. })), "an older database: {gap:?}");
        journal.restart();
        assert_eq!(found(folder.path(), 8), (vec![], 8));
        journal.wipe().unwrap();
        assert_eq!(found(folder.path(), 0), (vec![], 0));
    }

    #[test]
    fn a_torn_batch_and_what_is_behind_it_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path(), 0).unwrap();
        append(&mut journal, 1..3);
        let whole = journal.used;
        append(&mut journal, 3..5);
        let torn = journal.used;
        append(&mut journal, 5..6);
        let bytes = std::fs::read(path(folder.path())).unwrap();
        for at in whole..torn {
            let mut damaged = bytes.clone();
            damaged[usize::try_from(at).unwrap()] ^= 0x40;
            std::fs::write(path(folder.path()), &damaged).unwrap();
            assert_eq!(found(folder.path(), 0), (vec![1, 2], 1), "byte {at}");
        }
        std::fs::write(path(folder.path()), &bytes[..usize::try_from(torn).unwrap()]).unwrap();
        assert_eq!(found(folder.path(), 0), (vec![1, 2, 3, 4], 1), "a file that was cut off");
    }

    #[test]
    fn what_a_failed_append_may_have_left_is_of_an_epoch_that_ends() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path(), 5).unwrap();
        let mut file = File::open(path(folder.path())).unwrap();
        std::mem::swap(&mut journal.file, &mut file);
        journal.append(std::iter::once(row(1))).unwrap_err();
        std::mem::swap(&mut journal.file, &mut file);
        assert_eq!(journal.written_epoch(), Some(6), "the disk may have it all the same");
        journal.restart();
        append(&mut journal, 2..3);
        assert_eq!(found(folder.path(), 6), (vec![2], 7));
    }

    #[test]
    fn a_full_half_takes_no_more_until_it_is_carried_over() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path(), 0).unwrap();
        let large = MessageRow { body: &BODY, ..row(1) };
        for _ in 0..HALF_BYTES / BODY.len() as u64 - 1 {
            assert!(journal.append(std::iter::once(large)).unwrap());
        }
        assert!(journal.is_filling());
        assert!(!journal.append(std::iter::once(large)).unwrap());
        append(&mut journal, 2..3);
        journal.turn();
        assert!(!journal.is_filling());
        assert!(journal.append(std::iter::once(large)).unwrap());
        assert_eq!(std::fs::metadata(path(folder.path())).unwrap().len(), 2 * HALF_BYTES);
    }
}
