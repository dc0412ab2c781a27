//! The journal: where a batch of messages is synced before it is acked, and from where it is moved
//! into the database later, many batches in one transaction. It is the write-ahead log of messages;
//! a checkpoint (`checkpointer`) moves it into the database. SQLite's own log is its WAL.
//!
//! A file of fixed size, written over and over, so that a sync moves the bytes of a batch and
//! nothing else. Its head says whose it is; then it has two halves, for the epochs in rotation:
//! while one is checkpointed, the other is written. Each batch names its epoch, its number in it
//! and the sum of the batch before it, across epochs too, so that one that is missing is missed.
//! The database knows up to which batch it has everything, and what is later is read from here at
//! start. Bodies are sealed, as in the database.

mod found;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use self::found::FileHead;
pub(super) use self::found::{Found, find, salvage};
use super::file::InPlace;
use super::row::MessageRow;

/// Bytes of a half: some 40,000 messages of a hundred characters.
pub(super) const HALF_BYTES: u64 = 8 * 1024 * 1024;
/// Bytes before the halves: a page, so that nothing that is written later touches them.
const FILE_HEAD_BYTES: u64 = 4096;
const FILE_BYTES: u64 = FILE_HEAD_BYTES + 2 * HALF_BYTES;
const FILE_MAGIC: [u8; 8] = *b"lvhjrnl2";
/// Where a batch may begin, so that one behind a damaged one is found.
const ALIGN: usize = 64;
const MAGIC: [u8; 4] = *b"lvhb";
/// Magic, epoch, commits, number, rows, length of what follows, sum of the batch before, sum of all
/// this.
const HEAD_BYTES: usize = 40;

pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join("livehelp.journal")
}

/// Which data a file belongs to.
pub type StoreId = [u8; 16];

/// A batch's position, and with its sum everything before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Reached {
    pub(super) epoch: u64,
    /// How many batches the epoch has up to here, and how many rows.
    pub(super) batches: u32,
    pub(super) rows: u32,
    /// Of the newest batch, of this epoch or an earlier one.
    pub(super) sum: u32,
}

/// What the database says of its journal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) id: StoreId,
    pub(super) commits: u64,
    /// Up to here it has everything.
    pub(super) checkpointed: Reached,
    pub(super) need: Need,
}

/// Whether there must be a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Need {
    /// All that was ever in one is in the database.
    #[default]
    None,
    /// It may have what the database has not.
    InUse,
    /// There may be one of an earlier version.
    Former,
}

impl Need {
    /// As the database has it.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::InUse => 1,
            Self::Former => 2,
        }
    }

    pub(super) fn from_code(code: u8) -> Self {
        match code {
            0 => Self::None,
            1 => Self::InUse,
            _ => Self::Former,
        }
    }
}

/// Why a journal cannot be gone on with. Each is the end of a sentence that begins with its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JournalFault {
    #[error("is missing")]
    Missing,
    #[error("is empty")]
    Empty,
    #[error("belongs to other data")]
    Foreign,
    #[error("is shorter than it was made")]
    Short,
    #[error("has a damaged head")]
    Head,
    #[error("does not follow on the database beside it")]
    Apart,
    #[error("is older than the database beside it")]
    Older,
    #[error(
        "lacks {batches} batches that were acked: it is older than that, or its end is damaged"
    )]
    Behind { batches: u32 },
    #[error("is damaged in the middle: whole batches lie behind ones that are not")]
    Middle,
}

fn aligned(len: usize) -> usize {
    len.next_multiple_of(ALIGN)
}

/// What stands before a batch's rows.
#[derive(Debug, Clone, Copy)]
struct Head {
    epoch: u64,
    /// What the database had committed before this.
    commits: u64,
    /// In its epoch, from 0 on.
    number: u32,
    /// Of the epoch, with those of this batch.
    rows: u32,
    len: u32,
    before: u32,
    sum: u32,
}

impl Head {
    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let mut head = bytes.split_off(..HEAD_BYTES)?.strip_prefix(&MAGIC)?;
        Some(Self {
            epoch: u64::from_le_bytes(take(&mut head)?),
            commits: u64::from_le_bytes(take(&mut head)?),
            number: u32::from_le_bytes(take(&mut head)?),
            rows: u32::from_le_bytes(take(&mut head)?),
            len: u32::from_le_bytes(take(&mut head)?),
            before: u32::from_le_bytes(take(&mut head)?),
            sum: u32::from_le_bytes(take(&mut head)?),
        })
    }

    fn bytes(&self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..12].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.commits.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.number.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.rows.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.len.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.before.to_le_bytes());
        bytes[36..].copy_from_slice(&self.sum.to_le_bytes());
        bytes
    }

    fn checksum(&self, id: &StoreId, rows: &[u8]) -> u32 {
        let mut sum = crc32fast::Hasher::new();
        sum.update(id);
        sum.update(&Self { sum: 0, ..*self }.bytes());
        sum.update(rows);
        sum.finalize()
    }

    fn reached(&self) -> Reached {
        Reached { epoch: self.epoch, batches: self.number + 1, rows: self.rows, sum: self.sum }
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    bytes.split_off(..N)?.try_into().ok()
}

/// The file, and where the next batch goes.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    place: InPlace,
    id: StoreId,
    /// What is written.
    reached: Reached,
    /// Where the half that is written begins, and how much of it is.
    half: u64,
    used: u64,
    /// Something of this epoch may be in the file.
    written: bool,
    /// One batch; kept for its memory.
    batch: Vec<u8>,
}

impl Journal {
    /// Opens the file, or makes it in its full size, to go on after what the database has.
    ///
    /// # Errors
    /// If there is no room for it.
    pub(super) fn open(folder: &Path, id: StoreId, checkpointed: Reached) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path(folder))?;
        let len = file.metadata()?.len();
        let head = FileHead::read(&file, len, Need::InUse)?;
        if !matches!(head, FileHead::Of { id: of, is_short: false, .. } if of == id) {
            // Written, not only reserved: the first sync over a reserved block has to sync its
            // place as well.
            blank(&file, 0, FILE_BYTES)?;
            file.set_len(FILE_BYTES)?;
            file.write_all_at(&FileHead::bytes(&id, checkpointed.epoch), 0)?;
            file.sync_all()?;
            File::open(folder)?.sync_all()?;
        }
        let reached =
            Reached { epoch: checkpointed.epoch + 1, batches: 0, rows: 0, ..checkpointed };
        let half = half_of(reached.epoch);
        let place = InPlace::of(path(folder))?;
        Ok(Self { file, place, id, reached, half, used: 0, written: false, batch: Vec::new() })
    }

    /// Whether it still is the file of that name.
    pub(super) fn is_in_place(&self) -> bool {
        self.place.holds()
    }

    /// How far it is written since the last rotation or restart, if anything was.
    pub(super) fn written(&self) -> Option<Reached> {
        self.written.then_some(self.reached)
    }

    /// Whether so much is written that a checkpoint is due.
    pub(super) fn is_filling(&self) -> bool {
        self.used > HALF_BYTES / 2
    }

    /// Appends a batch and syncs it; the database had committed so often. `None`: there is no room
    /// left for it, and nothing was done.
    ///
    /// # Errors
    /// If it cannot be written or synced. What is in the file then is not known; nothing may be
    /// appended before [`Journal::restart`].
    pub(super) fn append<'a>(
        &mut self,
        commits: u64,
        rows: impl Iterator<Item = MessageRow<'a>>,
    ) -> io::Result<Option<Reached>> {
        self.batch.clear();
        self.batch.resize(HEAD_BYTES, 0);
        let mut reached = self.reached;
        for row in rows {
            row.encode(&mut self.batch);
            reached.rows += 1;
        }
        let len = self.batch.len() - HEAD_BYTES;
        self.batch.resize(aligned(self.batch.len()), 0);
        let written = self.batch.len() as u64;
        if self.used + written > HALF_BYTES {
            return Ok(None);
        }
        let mut head = Head {
            epoch: reached.epoch,
            commits,
            number: reached.batches,
            rows: reached.rows,
            len: u32::try_from(len).unwrap_or(u32::MAX),
            before: reached.sum,
            sum: 0,
        };
        let (into, rest) = self.batch.split_at_mut(HEAD_BYTES);
        head.sum = head.checksum(&self.id, rest.get(..len).unwrap_or_default());
        into.copy_from_slice(&head.bytes());
        self.written = true;
        self.file.write_all_at(&self.batch, self.half + self.used)?;
        self.file.sync_data()?;
        self.used += written;
        self.reached = head.reached();
        Ok(Some(self.reached))
    }

    /// Goes on in the other half, of which the database has everything. Gives how far the epoch
    /// went that ended.
    pub(super) fn rotate(&mut self) -> Reached {
        let ended = self.reached;
        self.begin();
        ended
    }

    /// The database has everything: begins an epoch, if anything is in this one.
    pub(super) fn restart(&mut self) {
        if self.written {
            self.begin();
        }
    }

    fn begin(&mut self) {
        let Reached { epoch, sum, .. } = self.reached;
        self.reached = Reached { epoch: epoch + 1, batches: 0, rows: 0, sum };
        (self.half, self.used, self.written) = (half_of(epoch + 1), 0, false);
    }

    /// Overwrites both halves; the database has everything.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn wipe(&mut self) -> io::Result<()> {
        // Said first: a wipe that is cut off must not look like a loss.
        let wiped_epoch = self.reached.epoch - u64::from(!self.written);
        self.file.write_all_at(&FileHead::bytes(&self.id, wiped_epoch), 0)?;
        self.file.sync_data()?;
        blank(&self.file, FILE_HEAD_BYTES, FILE_BYTES)?;
        self.file.sync_data()
    }
}

/// Where an epoch lies. The end of the one before stays: a batch that is torn tears nothing that
/// proves something.
fn half_of(epoch: u64) -> u64 {
    FILE_HEAD_BYTES + epoch % 2 * HALF_BYTES
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

    use super::found::piece;
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

    const ID: StoreId = [8; 16];

    fn append(journal: &mut Journal, seqs: std::ops::Range<u64>) -> Reached {
        journal.append(1, seqs.map(row)).unwrap().unwrap()
    }

    fn in_epoch(epoch: u64) -> Reached {
        Reached { epoch, ..Reached::default() }
    }

    fn known(checkpointed: Reached) -> Known {
        Known { id: ID, commits: 1, checkpointed, need: Need::InUse }
    }

    fn find_after(folder: &Path, checkpointed: Reached) -> Result<Found, JournalFault> {
        find(folder, &known(checkpointed), None).unwrap()
    }

    fn found(folder: &Path, checkpointed: Reached) -> (Vec<u64>, u64) {
        let found = find_after(folder, checkpointed).unwrap();
        for have in found.rows() {
            assert_eq!(have, row(have.seq.0), "as it was written");
        }
        (found.rows().map(|row| row.seq.0).collect(), found.reached.epoch)
    }

    #[test]
    fn what_is_later_than_the_database_is_found_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let five = in_epoch(5);
        let no_need = Known { need: Need::None, ..known(five) };
        assert_eq!(find(folder, &no_need, None).unwrap().unwrap().reached, five, "there is none");
        let mut journal = Journal::open(folder, ID, five).unwrap();
        assert_eq!(found(folder, five), (vec![], 5), "there is nothing in it");
        append(&mut journal, 1..4);
        append(&mut journal, 4..6);
        assert_eq!(found(folder, five), (vec![1, 2, 3, 4, 5], 6));
        let six = journal.rotate();
        assert_eq!(six.epoch, 6);
        append(&mut journal, 6..8);
        assert_eq!(found(folder, five), (vec![1, 2, 3, 4, 5, 6, 7], 7));
        assert_eq!(found(folder, six), (vec![6, 7], 7));
        let seven = journal.rotate();
        let eight = append(&mut journal, 8..9);
        let rows = (vec![6, 7, 8], 8);
        assert_eq!(found(folder, six), rows, "what lay below it is of another epoch");
        let apart = find_after(folder, five).err();
        assert_eq!(apart, Some(JournalFault::Apart), "an older database");
        let other = Reached { sum: seven.sum ^ 1, ..seven };
        assert_eq!(find_after(folder, other).err(), Some(JournalFault::Apart), "another end");
        let older = Known { commits: 0, ..known(seven) };
        assert_eq!(find(folder, &older, None).unwrap().err(), Some(JournalFault::Apart));
        journal.restart();
        assert_eq!(found(folder, eight), (vec![], 8));
        journal.wipe().unwrap();
        assert_eq!(found(folder, eight), (vec![], 8));
    }

    /// A change of the file, and what is said of it.
    type Damage = (&'static str, fn(&mut Vec<u8>), JournalFault);

    #[test]
    fn a_journal_that_lacks_what_was_acked_says_how() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut journal = Journal::open(folder, ID, in_epoch(1)).unwrap();
        append(&mut journal, 1..3);
        let two = journal.rotate();
        let older = std::fs::read(path(folder)).unwrap();
        append(&mut journal, 3..5);
        let old = std::fs::read(path(folder)).unwrap();
        append(&mut journal, 5..6);
        let end = append(&mut journal, 6..8);
        let good = std::fs::read(path(folder)).unwrap();
        let damages: [Damage; 9] = [
            ("cut to nothing", Vec::clear, JournalFault::Empty),
            ("all zeros", |bytes| bytes.fill(0), JournalFault::Empty),
            ("the head", |bytes| bytes[9] ^= 1, JournalFault::Head),
            ("cut off", |bytes| bytes.truncate(9_000_000), JournalFault::Short),
            ("the second of three", |bytes| flip(bytes, 1), JournalFault::Middle),
            ("the first of three", |bytes| flip(bytes, 0), JournalFault::Middle),
            ("the last of three", |bytes| flip(bytes, 2), JournalFault::Behind { batches: 1 }),
            (
                "of other data",
                |bytes| bytes[..36].copy_from_slice(&FileHead::bytes(&[9; 16], 0)),
                JournalFault::Foreign,
            ),
            ("its batches gone", |bytes| bytes[4096..].fill(0), JournalFault::Older),
        ];
        for (what, damage, fault) in damages {
            let mut bytes = good.clone();
            damage(&mut bytes);
            std::fs::write(path(folder), &bytes).unwrap();
            let refused = find(folder, &known(two), Some(end)).unwrap();
            assert_eq!(refused.err(), Some(fault), "{what}");
        }
        for (bytes, batches) in [(&old, 2), (&older, 3)] {
            std::fs::write(path(folder), bytes).unwrap();
            let refused = find(folder, &known(two), Some(end)).unwrap();
            assert_eq!(refused.err(), Some(JournalFault::Behind { batches }), "an older copy");
        }
        std::fs::remove_file(path(folder)).unwrap();
        assert_eq!(find_after(folder, two).err(), Some(JournalFault::Missing));
        std::fs::write(path(folder), &good).unwrap();
        assert_eq!(find(folder, &known(two), Some(end)).unwrap().unwrap().rows().count(), 5);
        assert_eq!(found(folder, two).0, [3, 4, 5, 6, 7]);
    }

    /// Flips a bit in a batch of the second half.
    fn flip(bytes: &mut [u8], number: usize) {
        let mut at = usize::try_from(FILE_HEAD_BYTES + HALF_BYTES).unwrap();
        for _ in 0..number {
            let piece = piece(&bytes[at..], &ID).unwrap();
            at += aligned(HEAD_BYTES + piece.rows.len());
        }
        bytes[at + HEAD_BYTES + 50] ^= 0x10;
    }

    #[test]
    fn what_can_be_read_of_a_damaged_journal_is_saved_and_the_rest_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut journal = Journal::open(folder, ID, in_epoch(1)).unwrap();
        for seq in [1, 4, 7] {
            append(&mut journal, seq..seq + 3);
        }
        journal.rotate();
        append(&mut journal, 10..12);
        append(&mut journal, 12..13);
        let end = append(&mut journal, 13..17);
        let mut bytes = std::fs::read(path(folder)).unwrap();
        flip(&mut bytes, 2);
        bytes[4096 + 700] ^= 1;
        std::fs::write(path(folder), &bytes).unwrap();
        let saved = salvage(folder, &known(in_epoch(1)), Some(end)).unwrap();
        let seqs: Vec<_> = saved.rows().map(|row| row.seq.0).collect();
        assert_eq!(seqs, [1, 2, 3, 7, 8, 9, 10, 11, 12]);
        assert_eq!((saved.lost_rows, saved.reached.epoch), (3 + 4, 3));
    }

    #[test]
    fn a_torn_batch_and_what_is_behind_it_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut journal = Journal::open(folder, ID, in_epoch(0)).unwrap();
        append(&mut journal, 1..3);
        let whole = journal.half + journal.used;
        append(&mut journal, 3..5);
        let torn = journal.half + journal.used;
        let bytes = std::fs::read(path(folder)).unwrap();
        for at in (whole..torn - 32).step_by(7) {
            let mut damaged = bytes.clone();
            damaged[usize::try_from(at).unwrap()] ^= 0x40;
            std::fs::write(path(folder), &damaged).unwrap();
            assert_eq!(found(folder, in_epoch(0)), (vec![1, 2], 1), "byte {at}");
        }
    }

    #[test]
    fn what_a_failed_append_may_have_left_is_of_an_epoch_that_ends() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path(), ID, in_epoch(5)).unwrap();
        let mut file = File::open(path(folder.path())).unwrap();
        std::mem::swap(&mut journal.file, &mut file);
        journal.append(1, std::iter::once(row(1))).unwrap_err();
        std::mem::swap(&mut journal.file, &mut file);
        let ended = journal.written().unwrap();
        assert_eq!(ended.epoch, 6, "the disk may have it all the same");
        journal.restart();
        append(&mut journal, 2..3);
        assert_eq!(found(folder.path(), ended), (vec![2], 7));
    }

    #[test]
    fn a_full_half_takes_no_more_until_its_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path(), ID, in_epoch(0)).unwrap();
        let large = MessageRow { body: &BODY, ..row(1) };
        let fits =
            |journal: &mut Journal| journal.append(1, std::iter::once(large)).unwrap().is_some();
        for _ in 0..HALF_BYTES / BODY.len() as u64 - 1 {
            assert!(fits(&mut journal));
        }
        assert!(journal.is_filling());
        assert!(!fits(&mut journal));
        append(&mut journal, 2..3);
        journal.rotate();
        assert!(!journal.is_filling());
        assert!(fits(&mut journal));
        assert_eq!(std::fs::metadata(path(folder.path())).unwrap().len(), FILE_BYTES);
    }

    #[test]
    fn a_journal_of_the_version_before_is_read_once_more() {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = Vec::new();
        for (epoch, seqs) in [(6_u64, 1..3), (6, 3..4), (5, 9..10)] {
            let mut rows = Vec::new();
            seqs.for_each(|seq| row(seq).encode(&mut rows));
            let sum = crc32fast::hash(&[&epoch.to_le_bytes()[..], &rows].concat());
            let len = (rows.len() as u64).to_le_bytes();
            bytes.extend([&b"lvhj"[..], &epoch.to_le_bytes(), &len, &sum.to_le_bytes()].concat());
            bytes.extend(rows);
        }
        bytes.resize(usize::try_from(2 * HALF_BYTES).unwrap(), 0);
        std::fs::write(path(folder.path()), &bytes).unwrap();
        let former = Known { need: Need::Former, ..known(in_epoch(5)) };
        let found = find(folder.path(), &former, None).unwrap().unwrap();
        let seqs: Vec<_> = found.rows().map(|row| row.seq.0).collect();
        assert_eq!((seqs, found.reached.epoch), (vec![1, 2, 3], 6));
        Journal::open(folder.path(), ID, found.reached).unwrap();
        assert_eq!(std::fs::metadata(path(folder.path())).unwrap().len(), FILE_BYTES);
    }
}
