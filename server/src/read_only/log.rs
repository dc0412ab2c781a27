//! SQLite's log as it lies there: which of its frames follow one another, up to the last commit.
//!
//! SQLite reads a log only with its index, which it makes beside it. Whoever must not write lays
//! the log's pages over the file's unaided. The layout is fixed:
//! <https://sqlite.org/walformat.html>.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

const HEAD_BYTES: usize = 32;
/// Before each page: its number, the pages of the file after a commit, salts, checksums.
const FRAME_HEAD_BYTES: usize = 24;
const MAGIC: u32 = 0x377f_0682;

/// The part of a log that is whole.
#[derive(Debug)]
pub(crate) struct Log {
    bytes: Vec<u8>,
    page_bytes: usize,
    /// So many frames follow one another up to the last commit.
    committed: usize,
}

pub(crate) fn log_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

impl Log {
    /// Reads the log beside a database; an empty one where there is none.
    ///
    /// # Errors
    /// If it is there and cannot be read.
    pub(crate) fn read(database: &Path) -> io::Result<Self> {
        let mut bytes = Vec::new();
        match File::open(log_path(database)) {
            Ok(mut file) => drop(file.read_to_end(&mut bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut log = Self { bytes, page_bytes: 0, committed: 0 };
        log.walk();
        Ok(log)
    }

    /// Whether nothing was ever committed to it.
    pub(crate) fn is_empty(&self) -> bool {
        self.committed == 0
    }

    /// Lays the committed pages over those of the database, which has then what a reader would see.
    pub(crate) fn lay_over(&self, database: &mut Vec<u8>) {
        for (head, page) in (0..self.committed).filter_map(|index| self.frame(index)) {
            let number = usize::try_from(word(head, 0)).unwrap_or(usize::MAX);
            let Some(at) = number.checked_sub(1).and_then(|n| n.checked_mul(self.page_bytes))
            else {
                continue;
            };
            if database.len() < at + self.page_bytes {
                database.resize(at + self.page_bytes, 0);
            }
            if let Some(into) = database.get_mut(at..at + self.page_bytes) {
                into.copy_from_slice(page);
            }
        }
    }

    fn frame(&self, index: usize) -> Option<(&[u8], &[u8])> {
        let bytes = FRAME_HEAD_BYTES + self.page_bytes;
        let at = HEAD_BYTES.checked_add(index.checked_mul(bytes)?)?;
        self.bytes.get(at..at.checked_add(bytes)?)?.split_at_checked(FRAME_HEAD_BYTES)
    }

    /// Goes along the frames as SQLite does after a crash.
    fn walk(&mut self) {
        let Some(head) = self.bytes.get(..HEAD_BYTES) else { return };
        let magic = word(head, 0);
        let is_big = match magic ^ MAGIC {
            0 => false,
            1 => true,
            _ => return,
        };
        let salts = [word(head, 16), word(head, 20)];
        let mut sums = checksum(is_big, [0, 0], head.get(..24).unwrap_or_default());
        if sums != [word(head, 24), word(head, 28)] {
            return;
        }
        self.page_bytes = match word(head, 8) {
            // SQLite's way to write the largest.
            1 => 65_536,
            bytes => usize::try_from(bytes).unwrap_or_default(),
        };
        let mut whole = 0;
        while let Some((head, page)) = self.frame(whole) {
            sums = checksum(is_big, sums, head.get(..8).unwrap_or_default());
            sums = checksum(is_big, sums, page);
            let said = [word(head, 16), word(head, 20)];
            if [word(head, 8), word(head, 12)] != salts || said != sums || word(head, 0) == 0 {
                break;
            }
            whole += 1;
            if word(head, 4) != 0 {
                self.committed = whole;
            }
        }
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..).and_then(|rest| rest.first_chunk());
    word.map_or(0, |word| u32::from_be_bytes(*word))
}

fn checksum(is_big: bool, mut sums: [u32; 2], bytes: &[u8]) -> [u32; 2] {
    let read = if is_big { u32::from_be_bytes } else { u32::from_le_bytes };
    let (pairs, _) = bytes.as_chunks::<8>();
    for [a, b, c, d, e, f, g, h] in pairs {
        sums[0] = sums[0].wrapping_add(read([*a, *b, *c, *d])).wrapping_add(sums[1]);
        sums[1] = sums[1].wrapping_add(read([*e, *f, *g, *h])).wrapping_add(sums[0]);
    }
    sums
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rusqlite::Connection;

    use super::*;

    #[test]
    fn a_log_is_read_up_to_its_last_whole_commit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sqlite");
        let connection = Connection::open(&path).unwrap();
        let begin = "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (x);";
        connection.execute_batch(begin).unwrap();
        let mut ends = Vec::new();
        for number in 0..20 {
            connection.execute("INSERT INTO t VALUES (?1)", [number]).unwrap();
            ends.push(Log::read(&path).unwrap().committed);
        }
        assert!(ends.is_sorted_by(|a, b| a < b), "{ends:?}");
        let log = Log::read(&path).unwrap();
        let mut image = fs::read(&path).unwrap();
        log.lay_over(&mut image);
        assert!(image.len() > fs::read(&path).unwrap().len());
        // One flipped bit in the tenth commit: what is before it is there, what is behind it is
        // not.
        let mut damaged = fs::read(log_path(&path)).unwrap();
        damaged[HEAD_BYTES + ends[9] * (FRAME_HEAD_BYTES + log.page_bytes) - 9] ^= 1;
        fs::write(log_path(&path), &damaged).unwrap();
        assert_eq!(Log::read(&path).unwrap().committed, ends[8]);
        fs::write(log_path(&path), b"").unwrap();
        assert!(Log::read(&path).unwrap().is_empty());
        fs::remove_file(log_path(&path)).unwrap();
        assert!(Log::read(&path).unwrap().is_empty());
    }
}
