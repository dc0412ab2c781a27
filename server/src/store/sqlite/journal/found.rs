//! What lies in the journal at a start: whole batches that the database may not have, and whether
//! they follow on it.
//!
//! Not here: writing (the journal itself).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::{
    ALIGN, FILE_BYTES, FILE_HEAD_BYTES, FILE_MAGIC, HALF_BYTES, HEAD_BYTES, Head, JournalFault,
    Known, Need, Reached, StoreId, aligned, path, take,
};
use crate::store::sqlite::row::MessageRow;

/// What a start finds in the file: batches that the database may not have, in the order in which
/// they were written, and how far they reach.
#[derive(Debug, Default)]
pub(in crate::store::sqlite) struct Found {
    batches: Vec<Vec<u8>>,
    pub(in crate::store::sqlite) reached: Reached,
    /// Rows that are known to have been there and are not; only where the loss is accepted.
    pub(in crate::store::sqlite) lost_rows: u64,
}

/// A whole batch, as it lies in a half.
pub(super) struct Piece {
    head: Head,
    pub(super) rows: Vec<u8>,
}

/// The file as it lies there.
pub(super) struct Read {
    head: FileHead,
    pieces: Vec<Piece>,
}

pub(super) enum FileHead {
    Missing,
    /// Nothing but zeros.
    Empty,
    /// Of the version before this one, which had no head.
    Former,
    Damaged,
    Of {
        id: StoreId,
        wiped_epoch: u64,
        is_short: bool,
    },
}

/// Reads what was written after what the database has. `marked` is how far acks went, where that is
/// known.
///
/// # Errors
/// If the file cannot be read, or why it cannot be gone on with.
pub(in crate::store::sqlite) fn find(
    folder: &Path,
    known: &Known,
    marked: Option<Reached>,
) -> io::Result<Result<Found, JournalFault>> {
    let read = Read::of(folder, known)?;
    Ok(read.judge_head(known).and_then(|wiped_epoch| match wiped_epoch {
        // What is there instead holds nothing that is needed.
        None => Ok(Found::none(known.checkpointed)),
        Some(wiped_epoch) => follow(read.pieces, known, wiped_epoch, marked),
    }))
}

/// The same where what is lost is lost: every whole batch that the database may not have.
pub(in crate::store::sqlite) fn salvage(
    folder: &Path,
    known: &Known,
    marked: Option<Reached>,
) -> io::Result<Found> {
    let read = Read::of(folder, known)?;
    let mut found = Found::none(known.checkpointed);
    let (mut epoch, mut rows_before) = (known.checkpointed.epoch, 0);
    for Piece { head, rows } in read.pieces {
        if head.epoch <= known.checkpointed.epoch {
            continue;
        }
        if head.epoch > epoch {
            (epoch, rows_before) = (head.epoch, 0);
        }
        let own = u64::try_from(count(&rows)).unwrap_or_default();
        let until = u64::from(head.rows);
        found.lost_rows += until.saturating_sub(rows_before + own);
        rows_before = until;
        found.reached = head.reached();
        found.batches.push(rows);
    }
    if let Some(marked) = marked.filter(|marked| marked.epoch > known.checkpointed.epoch) {
        let had = if marked.epoch == found.reached.epoch { found.reached.rows } else { 0 };
        if marked.epoch >= found.reached.epoch {
            found.lost_rows += u64::from(marked.rows.saturating_sub(had));
            // What comes next must be later than all that ever was.
            found.reached.epoch = marked.epoch;
        }
    }
    Ok(found)
}

pub(super) fn count(mut rows: &[u8]) -> usize {
    std::iter::from_fn(|| MessageRow::decode(&mut rows)).count()
}

/// The pieces as one chain that begins where the database ends.
pub(super) fn follow(
    pieces: Vec<Piece>,
    known: &Known,
    wiped_epoch: u64,
    marked: Option<Reached>,
) -> Result<Found, JournalFault> {
    let checkpointed = known.checkpointed;
    if pieces.iter().any(|piece| piece.head.commits > known.commits) {
        return Err(JournalFault::Apart);
    }
    let has_checkpointed = pieces.iter().any(|piece| piece.head.reached() == checkpointed);
    let mut found = Found::none(checkpointed);
    let mut passed = marked.is_none_or(|marked| marked.epoch <= checkpointed.epoch);
    for Piece { head, rows } in pieces {
        if head.epoch <= checkpointed.epoch {
            continue;
        }
        let at = found.reached;
        let is_next = head.before == at.sum
            && match head.epoch.checked_sub(at.epoch) {
                Some(0) => head.number == at.batches,
                Some(1) => head.number == 0,
                _ => false,
            };
        if !is_next {
            let is_first = at == checkpointed && (head.number == 0 || head.epoch > at.epoch + 1);
            return Err(if is_first { JournalFault::Apart } else { JournalFault::Middle });
        }
        found.reached = head.reached();
        passed |= marked == Some(found.reached);
        found.batches.push(rows);
    }
    let is_older = known.need == Need::InUse
        && found.batches.is_empty()
        && checkpointed.batches > 0
        && wiped_epoch < checkpointed.epoch
        && !has_checkpointed;
    if is_older {
        return Err(JournalFault::Older);
    }
    match marked {
        Some(marked) if !passed => {
            let have = if found.reached.epoch == marked.epoch { found.reached.batches } else { 0 };
            Err(JournalFault::Behind { batches: marked.batches.saturating_sub(have) })
        }
        _ => Ok(found),
    }
}

pub(super) fn part(file: &File, len: u64, begin: u64) -> io::Result<Vec<u8>> {
    let len = len.saturating_sub(begin).min(HALF_BYTES);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
    file.read_exact_at(&mut bytes, begin)?;
    Ok(bytes)
}

/// The whole batches of a half's newest epoch, from the database's on, wherever they lie: behind
/// one that is not whole, too. What is of an epoch before it was left over.
pub(super) fn collect(half: &[u8], known: &Known, into: &mut Vec<Piece>) {
    let mut found: Vec<Piece> = Vec::new();
    let mut at = 0;
    while let Some(rest) = half.get(at..).filter(|rest| rest.len() >= HEAD_BYTES) {
        match piece(rest, &known.id) {
            // Epochs begin with the half: what is behind an older one is older still.
            Some(old) if at == 0 && old.head.epoch < known.checkpointed.epoch => return,
            Some(piece) => {
                at += aligned(HEAD_BYTES + piece.rows.len());
                if piece.head.epoch >= known.checkpointed.epoch {
                    found.push(piece);
                }
            }
            None => at += ALIGN,
        }
    }
    let newest = found.iter().map(|piece| piece.head.epoch).max();
    into.extend(found.into_iter().filter(|piece| Some(piece.head.epoch) == newest));
}

pub(super) fn piece(mut bytes: &[u8], id: &StoreId) -> Option<Piece> {
    let head = Head::read(&mut bytes)?;
    let rows = bytes.get(..usize::try_from(head.len).ok()?)?;
    (head.sum == head.checksum(id, rows)).then(|| Piece { head, rows: rows.to_vec() })
}

impl Found {
    /// Nothing that is later than this.
    pub(in crate::store::sqlite) fn none(reached: Reached) -> Self {
        Self { reached, ..Self::default() }
    }

    pub(in crate::store::sqlite) fn rows(&self) -> impl Iterator<Item = MessageRow<'_>> {
        self.batches.iter().flat_map(|batch| {
            let mut bytes = batch.as_slice();
            std::iter::from_fn(move || MessageRow::decode(&mut bytes))
        })
    }
}

impl Read {
    fn of(folder: &Path, known: &Known) -> io::Result<Self> {
        let file = match File::open(path(folder)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { head: FileHead::Missing, pieces: Vec::new() });
            }
            Err(error) => return Err(error),
        };
        let len = file.metadata()?.len();
        let mut pieces = Vec::new();
        let head = FileHead::read(&file, len, known.need)?;
        if let FileHead::Former = head {
            for begin in [0, HALF_BYTES] {
                former::pieces(&part(&file, len, begin)?, known.checkpointed, &mut pieces);
            }
        } else {
            for begin in [FILE_HEAD_BYTES, FILE_HEAD_BYTES + HALF_BYTES] {
                collect(&part(&file, len, begin)?, known, &mut pieces);
            }
        }
        pieces.sort_by_key(|piece| (piece.head.epoch, piece.head.number));
        Ok(Self { head, pieces })
    }

    /// Up to which epoch it was wiped; `None` where it need not be looked into.
    fn judge_head(&self, known: &Known) -> Result<Option<u64>, JournalFault> {
        match (&self.head, known.need) {
            (FileHead::Of { id, .. }, _) if *id != known.id => Err(JournalFault::Foreign),
            (FileHead::Of { is_short: true, .. }, Need::InUse) => Err(JournalFault::Short),
            (FileHead::Of { wiped_epoch, .. }, _) => Ok(Some(*wiped_epoch)),
            (FileHead::Former, Need::Former) => Ok(Some(0)),
            (_, Need::None | Need::Former) => Ok(None),
            (FileHead::Missing, Need::InUse) => Err(JournalFault::Missing),
            (FileHead::Empty, Need::InUse) => Err(JournalFault::Empty),
            (FileHead::Former | FileHead::Damaged, Need::InUse) => Err(JournalFault::Head),
        }
    }
}

impl FileHead {
    pub(super) fn read(file: &File, len: u64, need: Need) -> io::Result<Self> {
        let mut bytes = [0; 36];
        if len < bytes.len() as u64 {
            return Ok(if len == 0 { Self::Empty } else { Self::Damaged });
        }
        file.read_exact_at(&mut bytes, 0)?;
        if need == Need::Former && len == 2 * HALF_BYTES {
            return Ok(Self::Former);
        }
        let (content, sum) = bytes.split_at(32);
        if content.starts_with(&FILE_MAGIC) && sum == crc32fast::hash(content).to_le_bytes() {
            let (id, wiped) = (content.get(8..24), content.get(24..32));
            if let (Some(Ok(id)), Some(Ok(wiped))) =
                (id.map(TryInto::try_into), wiped.map(TryInto::try_into))
            {
                let wiped_epoch = u64::from_le_bytes(wiped);
                return Ok(Self::Of { id, wiped_epoch, is_short: len < FILE_BYTES });
            }
        }
        let mut rest = vec![0; usize::try_from(len).unwrap_or_default()];
        file.read_exact_at(&mut rest, 0)?;
        Ok(if rest.iter().all(|byte| *byte == 0) { Self::Empty } else { Self::Damaged })
    }

    pub(super) fn bytes(id: &StoreId, wiped_epoch: u64) -> Vec<u8> {
        let mut bytes = [&FILE_MAGIC[..], id, &wiped_epoch.to_le_bytes()].concat();
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }
}

/// The journal of the version before: no head, batches without a chain. It is read once more and
/// never written.
mod former {
    use super::{Head, Piece, Reached, take};

    const MAGIC: [u8; 4] = *b"lvhj";
    const HEAD_BYTES: usize = 24;

    /// The batches of the epoch that a half begins with, linked as a chain would link them. What is
    /// not whole was never synced.
    pub(in crate::store::sqlite) fn pieces(
        mut half: &[u8],
        checkpointed: Reached,
        into: &mut Vec<Piece>,
    ) {
        let (mut first, mut number, mut rows_before) = (None, 0, 0);
        while let Some((epoch, rows)) = batch(&mut half) {
            if *first.get_or_insert(epoch) != epoch || epoch <= checkpointed.epoch {
                break;
            }
            rows_before += u32::try_from(super::count(rows)).unwrap_or(u32::MAX);
            let sum = checkpointed.sum;
            let head =
                Head { epoch, commits: 0, number, rows: rows_before, len: 0, before: sum, sum };
            into.push(Piece { head, rows: rows.to_vec() });
            number += 1;
        }
    }

    fn batch<'a>(bytes: &mut &'a [u8]) -> Option<(u64, &'a [u8])> {
        let mut head = bytes.split_off(..HEAD_BYTES)?.strip_prefix(&MAGIC)?;
        let epoch = u64::from_le_bytes(take(&mut head)?);
        let len = u64::from_le_bytes(take(&mut head)?);
        let said = u32::from_le_bytes(take(&mut head)?);
        let rows = bytes.split_off(..usize::try_from(len).ok()?)?;
        let mut sum = crc32fast::Hasher::new();
        sum.update(&epoch.to_le_bytes());
        sum.update(rows);
        (said == sum.finalize()).then_some((epoch, rows))
    }
}
