//! What SQLite leaves between the cells of a page: copies of rows that moved to another one.
//!
//! Lives here: the walk over the file's pages that zeroes such gaps, a slice at a time. Not here:
//! when it is walked (`SqliteStore::clean_up`), and when (`writer`).
//!
//! `PRAGMA secure_delete` zeroes what is deleted. Where rows move between pages at a balance, a
//! page is built anew from the end downward, and what lay above its new first cell stays: rows that
//! are deleted later, on another page, keep a copy there. (Free blocks and free pages have nothing:
//! `secure_delete` zeroes them whole.)
//!
//! Why the bytes may be zeroed below SQLite: they belong to no cell, nothing reads them and no page
//! has a checksum. Nobody else writes the file meanwhile: the log is empty, and the writer's lock
//! is held so that it stays so. No older version of a page comes back: none lies in the log, and
//! the writer's cache is dropped in the same step. A write that is cut off leaves each sector old
//! or new, which differ in the gap alone.
//!
//! A page's buffer may get another number while rows move, and with it a gap from a page that is to
//! come in a walk to one that was: a file of one slice has no such moment, and in a larger one the
//! next walk finds it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::Connection;

/// Pages of a slice, for which an ack may have to wait.
pub(super) const SLICE_PAGES: u32 = 512;
/// Pages up to which a b-tree page is told from any other by its first byte: overflow and free
/// pages begin with a page number, whose high byte is 0 or 1 below this, and never 2, 5, 10 or 13.
/// 128 GiB in pages of 4 KiB.
const PAGES_MAX: u64 = 0x0200_0000;
/// Where SQLite locks; it keeps no data in this page.
const LOCK_AT: u64 = 0x4000_0000;
const HEADER_BYTES: usize = 100;
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// More than these in fragments SQLite never leaves.
const FRAGMENT_BYTES_MAX: u8 = 60;
const CELL_BYTES_MIN: usize = 4;

/// How far a walk over the file is: the page with which its next slice begins; 0: it is at its end.
#[derive(Debug)]
pub(super) struct Walk(AtomicU32);

impl Walk {
    pub(super) const fn new() -> Self {
        Self(AtomicU32::new(1))
    }

    /// Where to go on; `None` at the end.
    pub(super) fn at(&self) -> Option<u32> {
        Some(self.0.load(Ordering::Acquire)).filter(|page| *page > 0)
    }

    pub(super) fn goes_on(&self, at: Option<u32>) {
        self.0.store(at.unwrap_or_default(), Ordering::Release);
    }
}

/// Zeroes the gaps of the next pages, from page `from` on, and syncs them. Where the next slice
/// begins; `None`: this was the last one, or it is no file whose gaps can be told. `is_log_empty`
/// is asked while nobody can write.
///
/// # Errors
/// If the file cannot be read, written or locked. `Ok(Err(InUse))`: the log is not empty.
pub(super) fn clear_slice(
    connection: &Connection,
    file: &File,
    from: u32,
    is_log_empty: impl FnOnce() -> bool,
) -> Result<Result<Option<u32>, InUse>, GapError> {
    // Whatever else has the file open: while this lasts it adds nothing to the log.
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let next = is_log_empty().then(|| clear(file, from)).transpose();
    connection.execute_batch("COMMIT")?;
    // A page that the cache had from before would be written back, with its gap, when it is next
    // changed.
    connection.execute_batch("PRAGMA shrink_memory")?;
    Ok(next?.ok_or(InUse))
}

/// Something is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InUse;

/// Why a slice was not walked to its end. Neither says anything of what the file holds.
#[derive(Debug, thiserror::Error)]
pub(super) enum GapError {
    #[error(transparent)]
    Lock(#[from] rusqlite::Error),
    #[error(transparent)]
    File(#[from] io::Error),
}

fn clear(file: &File, from: u32) -> io::Result<Option<u32>> {
    let bytes = file.metadata()?.len();
    let Some(form) = Form::read(file, bytes)? else { return Ok(None) };
    let end = from.saturating_add(SLICE_PAGES).min(form.pages.saturating_add(1));
    let mut page = vec![0; form.page_bytes];
    let mut wrote = false;
    for number in from..end {
        if number == form.lock_page {
            continue;
        }
        let at = u64::from(number - 1) * form.page_bytes as u64;
        file.read_exact_at(&mut page, at)?;
        let Some(gap) = form.gap(&page, number) else { continue };
        let Some(found) = page.get(gap.clone()) else { continue };
        if found.iter().any(|byte| *byte != 0) {
            file.write_all_at(&vec![0; gap.len()], at + gap.start as u64)?;
            wrote = true;
        }
    }
    if wrote {
        file.sync_data()?;
    }
    Ok((end <= form.pages).then_some(end))
}

/// How the file is made up, by its own header.
#[derive(Debug, Clone, Copy)]
struct Form {
    page_bytes: usize,
    /// Of a page, without what is reserved at its end.
    usable: usize,
    pages: u32,
    lock_page: u32,
}

impl Form {
    /// `None` where it is no database, or one whose pages cannot be told apart.
    fn read(file: &File, bytes: u64) -> io::Result<Option<Self>> {
        if bytes < HEADER_BYTES as u64 {
            return Ok(None);
        }
        let mut header = [0; HEADER_BYTES];
        file.read_exact_at(&mut header, 0)?;
        Ok(Self::of(&header, bytes))
    }

    fn of(header: &[u8; HEADER_BYTES], bytes: u64) -> Option<Self> {
        let page_bytes = match u16_at(header, 16)? {
            1 => 65_536,
            bytes => bytes,
        };
        let usable = page_bytes.checked_sub(usize::from(*header.get(20)?))?;
        // A file that is vacuumed by itself has pages that map pointers, which begin with small
        // numbers too.
        let maps_pointers = header.get(52..56)? != [0; 4];
        let is_known = header.starts_with(MAGIC)
            && page_bytes.is_power_of_two()
            && (512..=65_536).contains(&page_bytes)
            && usable >= 480
            && !maps_pointers;
        let size = page_bytes as u64;
        let pages = bytes / size;
        if !is_known || pages == 0 || pages >= PAGES_MAX || !bytes.is_multiple_of(size) {
            return None;
        }
        let lock_page = u32::try_from(LOCK_AT / size + 1).ok()?;
        Some(Self { page_bytes, usable, pages: u32::try_from(pages).ok()?, lock_page })
    }

    /// What belongs to nothing in a b-tree page, between the pointers to its cells and the first of
    /// those. `None` where anything of its head says that it is no such page.
    fn gap(&self, page: &[u8], number: u32) -> Option<Range<usize>> {
        let head = if number == 1 { HEADER_BYTES } else { 0 };
        let is_interior = match *page.get(head)? {
            0x02 | 0x05 => true,
            0x0A | 0x0D => false,
            _ => return None,
        };
        let array = head + if is_interior { 12 } else { 8 };
        let free_block = u16_at(page, head + 1)?;
        let cells = u16_at(page, head + 3)?;
        let content = match u16_at(page, head + 5)? {
            0 => 65_536,
            at => at,
        };
        let fragments = *page.get(head + 7)?;
        let array_end = array + 2 * cells;
        if array_end > content || content > self.usable || fragments > FRAGMENT_BYTES_MAX {
            return None;
        }
        let is_of_content = |at: usize| (content..=self.usable - CELL_BYTES_MIN).contains(&at);
        if free_block != 0 && !is_of_content(free_block) {
            return None;
        }
        if is_interior {
            let last = page.get(head + 8..head + 12)?;
            let last = u32::from_be_bytes(last.try_into().ok()?);
            if last == 0 || last > self.pages {
                return None;
            }
        }
        for cell in 0..cells {
            if !is_of_content(u16_at(page, array + 2 * cell)?) {
                return None;
            }
        }
        Some(array_end..content)
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    let pair = bytes.get(at..at + 2)?;
    Some(usize::from(u16::from_be_bytes(pair.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use proptest::prelude::Rng as _;
    use proptest::test_runner::{RngAlgorithm, TestRng};

    use super::super::{SqliteStore, file};
    use super::*;
    use crate::clock::ManualClock;
    use crate::privacy::seal::Sealer as _;
    use crate::store::conformance::{NOW, World};
    use crate::store::{Retention as _, Store as _, Write};

    const PLANTED: &[u8] = b"left behind by a row";
    /// Cases that are known to leave copies; which they are hangs on SQLite's way to balance.
    const WITH_COPIES: [u8; 5] = [29, 144, 219, 221, 232];

    fn chance(rng: &mut TestRng, of: &[usize]) -> usize {
        of[rng.next_u32() as usize % of.len()]
    }

    struct Case {
        connection: Connection,
        path: PathBuf,
        /// Those of rows that are gone, and of those that stay.
        gone: Vec<Vec<u8>>,
        kept: Vec<(i64, Vec<u8>)>,
    }

    /// Some groups of rows that grow in turn, so that pages are balanced; every second group is
    /// deleted then.
    fn case(folder: &Path, seed: u8) -> Case {
        let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
        let path = file::database_path(folder);
        let connection = file::connect_writer(folder).unwrap();
        connection
            .execute_batch(
                "PRAGMA synchronous = OFF;
                 CREATE TABLE m (id INTEGER PRIMARY KEY, k INTEGER, body BLOB)",
            )
            .unwrap();
        let groups = chance(&mut rng, &[2, 3, 6]);
        let mut next: Vec<i64> = (0..6).map(|group| group * 1_000_000).collect();
        let (mut gone, mut kept) = (Vec::new(), Vec::new());
        for _ in 0..chance(&mut rng, &[12, 30, 80]) {
            let group = rng.next_u32() as usize % groups;
            let mut body = vec![0; chance(&mut rng, &[60, 150, 700, 1_800, 6_000])];
            rng.fill_bytes(&mut body);
            let id = next[group];
            next[group] += 1;
            let row = (id, i64::try_from(group).unwrap(), &body);
            connection.execute("INSERT INTO m VALUES (?1, ?2, ?3)", row).unwrap();
            match group % 2 {
                0 => kept.push((id, body)),
                _ => gone.push(body),
            }
        }
        connection.execute("DELETE FROM m WHERE k % 2 = 1", []).unwrap();
        kept.sort();
        Case { connection, path, gone, kept }
    }

    impl Case {
        fn empty_log(&self) {
            let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
            self.connection.query_row(sql, [], |_| Ok(())).unwrap();
        }

        fn clear(&self) {
            let mut at = Some(1);
            while let Some(from) = at {
                at = clear_slice(&self.connection, &open(&self.path), from, || true)
                    .unwrap()
                    .unwrap();
            }
        }

        fn copies(&self) -> usize {
            let file = fs::read(&self.path).unwrap();
            let tail = |body: &[u8]| <[u8; 16]>::try_from(&body[body.len() - 16..]).unwrap();
            let gone: HashSet<_> = self.gone.iter().map(|body| tail(body)).collect();
            file.windows(16).filter(|bytes| gone.contains(*bytes)).count()
        }

        fn is_whole(&self) {
            let other = Connection::open(&self.path).unwrap();
            let verdict: String =
                other.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
            assert_eq!(verdict, "ok");
            let mut statement = other.prepare("SELECT id, body FROM m ORDER BY id").unwrap();
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            assert_eq!(rows.map(Result::unwrap).collect::<Vec<_>>(), self.kept);
        }
    }

    fn open(path: &Path) -> File {
        File::options().read(true).write(true).open(path).unwrap()
    }

    /// Whether free blocks hold anything but their own heads: `secure_delete` is relied upon for
    /// them.
    fn free_blocks_are_clean(path: &Path) -> bool {
        let bytes = fs::read(path).unwrap();
        let header: &[u8; HEADER_BYTES] = bytes[..HEADER_BYTES].try_into().unwrap();
        let form = Form::of(header, bytes.len() as u64).unwrap();
        bytes.chunks(form.page_bytes).zip(1..).all(|(page, number)| {
            if form.gap(page, number).is_none() {
                return true;
            }
            let head = if number == 1 { HEADER_BYTES } else { 0 };
            let mut at = u16_at(page, head + 1).unwrap();
            while at != 0 {
                let len = u16_at(page, at + 2).unwrap();
                if page[at + 4..at + len].iter().any(|byte| *byte != 0) {
                    return false;
                }
                at = u16_at(page, at).unwrap();
            }
            true
        })
    }

    #[test]
    fn copies_of_rows_that_are_gone_go_and_what_is_there_stays() {
        let mut with_copies = 0;
        for seed in (0..24).chain(WITH_COPIES) {
            let folder = tempfile::tempdir().unwrap();
            let case = case(folder.path(), seed);
            case.empty_log();
            let before = case.copies();
            with_copies += usize::from(before > 0);
            assert!(free_blocks_are_clean(&case.path), "{seed}");
            case.clear();
            assert_eq!(case.copies(), 0, "{seed}: of {before}");
            case.is_whole();
            // What the writer knew of these pages from before is not written again.
            case.connection.execute("UPDATE m SET k = k + 2", []).unwrap();
            case.empty_log();
            assert_eq!(case.copies(), 0, "{seed}: came back");
            case.is_whole();
        }
        assert!(with_copies > 0, "no case shows what is to be cured");
    }

    #[test]
    fn a_large_file_is_walked_in_slices_and_nothing_while_the_log_has_pages() {
        let folder = tempfile::tempdir().unwrap();
        let case = case(folder.path(), 1);
        let insert = "WITH RECURSIVE n (n) AS (VALUES (7000000) UNION ALL SELECT n + 1 FROM n
             WHERE n < 7006000) INSERT INTO m SELECT n, 0, randomblob(900) FROM n";
        case.connection.execute(insert, []).unwrap();
        let bytes = open(&case.path);
        let log = folder.path().join("livehelp.sqlite-wal");
        let is_empty = || fs::metadata(&log).unwrap().len() == 0;
        let refused = clear_slice(&case.connection, &bytes, 1, is_empty).unwrap();
        assert_eq!(refused, Err(InUse));
        assert!(case.connection.is_autocommit());
        case.empty_log();
        let pages = u32::try_from(fs::metadata(&case.path).unwrap().len() / 4_096).unwrap();
        let (mut at, mut slices) = (Some(1), 0);
        while let Some(from) = at {
            assert_eq!(from, 1 + slices * SLICE_PAGES);
            at = clear_slice(&case.connection, &bytes, from, is_empty).unwrap().unwrap();
            slices += 1;
        }
        assert_eq!(slices, pages.div_ceil(SLICE_PAGES));
        assert!(slices > 2);
    }

    #[test]
    fn what_is_no_database_and_pages_that_are_none_of_a_tree_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other");
        let noise: Vec<u8> = (0..20_000_u32).map(|n| (n % 251) as u8 | 1).collect();
        for bytes in [noise.clone(), noise[..50].to_vec(), Vec::new()] {
            fs::write(&path, &bytes).unwrap();
            assert_eq!(clear(&open(&path), 1).unwrap(), None);
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
        let mut header = [0; HEADER_BYTES];
        header[..16].copy_from_slice(MAGIC);
        header[16..18].copy_from_slice(&4_096_u16.to_be_bytes());
        let form = Form::of(&header, 8 * 4_096).unwrap();
        assert_eq!((form.usable, form.pages, form.lock_page), (4_096, 8, 262_145));
        assert!(Form::of(&header, PAGES_MAX * 4_096).is_none(), "too large to tell pages apart");
        assert!(Form::of(&header, 8 * 4_096 + 1).is_none(), "cut off in a page");
        header[52..56].copy_from_slice(&3_u32.to_be_bytes());
        assert!(Form::of(&header, 8 * 4_096).is_none(), "with pages that map pointers");

        let mut leaf = vec![7; 4_096];
        leaf[..12].copy_from_slice(&[0x0D, 0, 0, 0, 2, 0x0F, 0, 0, 0x0F, 0, 0x0F, 0x80]);
        assert_eq!(form.gap(&leaf, 2), Some(12..0x0F00));
        let torn: [(usize, &[u8], &str); 7] = [
            (0, &[0], "another kind"),
            (1, &[0x0E, 0], "a free block in the gap"),
            (3, &[0x20, 0], "pointers beyond the content"),
            (5, &[0x10, 1], "content beyond the page"),
            (7, &[61], "too many fragments"),
            (8, &[0x0E, 0xFF], "a cell in the gap"),
            (10, &[0x0F, 0xFD], "a cell over the page's end"),
        ];
        for (at, bytes, what) in torn {
            let mut page = leaf.clone();
            page[at..at + bytes.len()].copy_from_slice(bytes);
            assert_eq!(form.gap(&page, 2), None, "{what}");
        }
        let mut interior = leaf.clone();
        interior[..16]
            .copy_from_slice(&[0x05, 0, 0, 0, 2, 0x0F, 0, 0, 0, 0, 0, 8, 0x0F, 0, 0x0F, 0x80]);
        assert_eq!(form.gap(&interior, 2), Some(16..0x0F00));
        interior[11] = 9;
        assert_eq!(form.gap(&interior, 2), None, "a child beyond the file");
    }

    /// Something else in every gap that is large enough, as if rows had left it there; how many
    /// these are.
    fn plant(path: &Path) -> usize {
        let mut bytes = fs::read(path).unwrap();
        let header: &[u8; HEADER_BYTES] = bytes[..HEADER_BYTES].try_into().unwrap();
        let form = Form::of(header, bytes.len() as u64).unwrap();
        let mut planted = 0;
        for (page, number) in bytes.chunks_mut(form.page_bytes).zip(1..) {
            if let Some(gap) = form.gap(page, number).filter(|gap| gap.len() >= PLANTED.len()) {
                page[gap.end - PLANTED.len()..gap.end].copy_from_slice(PLANTED);
                planted += 1;
            }
        }
        fs::write(path, bytes).unwrap();
        planted
    }

    fn holds_planted(path: &Path) -> usize {
        let bytes = fs::read(path).unwrap();
        bytes.windows(PLANTED.len()).filter(|found| *found == PLANTED).count()
    }

    #[tokio::test]
    async fn a_clean_up_leaves_nothing_in_the_gaps_also_of_pages_that_are_written_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = file::database_path(&folder.path().join("data"));
        let clock = || Arc::new(ManualClock::new(NOW));
        let world = World::new(1);
        let (store, keys) = SqliteStore::open_for_test_at(folder.path(), clock());
        world.settle(&*store).await;
        store.write(vec![Write::Message(world.message(1, "words"))]).await.unwrap();
        store.close().await;
        drop((store, keys));
        assert!(plant(&path) > 10);
        let (store, keys) = SqliteStore::open_for_test_at(folder.path(), clock());
        // From here on the writer has pages with their gaps in its cache, and others in the log.
        store.write(vec![Write::Message(world.message(2, "words"))]).await.unwrap();
        store.raise_high_water(NOW).await.unwrap();
        let due = store.buckets().await.unwrap();
        assert!(!due.is_empty());
        keys.destroy_buckets(&due).unwrap();
        assert!(holds_planted(&path) > 10);
        store.clean_up(&due).await.unwrap();
        assert_eq!(holds_planted(&path), 0);
        let other = World::new(2);
        other.settle(&*store).await;
        store.write(vec![Write::Message(other.message(1, "words"))]).await.unwrap();
        store.close().await;
        assert_eq!(holds_planted(&path), 0, "came back");
        assert!(file::look(path.parent().unwrap()).is_ok());
    }

    /// Overwrites the head of a page with gap in a real file: it is as it was afterwards, the
    /// others are cleared.
    #[test]
    fn a_torn_page_in_a_file_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let case = case(folder.path(), 2);
        case.empty_log();
        let mut bytes = fs::read(&case.path).unwrap();
        bytes[4_096..4_104].copy_from_slice(&[0x0D, 0, 0, 0xFF, 0xFF, 0, 9, 0]);
        fs::write(&case.path, &bytes).unwrap();
        clear(&open(&case.path), 1).unwrap();
        let after = fs::read(&case.path).unwrap();
        assert_eq!(after[4_096..8_192], bytes[4_096..8_192]);
        assert_eq!(after.len(), bytes.len());
    }
}
