//! A SQLite file looked at without a trace: nothing is made, merged, locked for long or brought up to date.
//!
//! Lives here: one way to open a file for reading alone. Not here: what is looked for (`store`, `keys`).
//! Called by `livehelp check`, through both.

use std::fmt::Write as _;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

/// A log of no more than its header holds nothing, and cannot be read without writing.
const LOG_HEADER_BYTES: u64 = 32;

/// Opens the file. Where a log lies beside it, what stands in the log is read as well.
///
/// # Errors
/// If it cannot be opened.
pub(crate) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let bytes_of = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        std::fs::metadata(Path::new(&name)).map_or(0, |found| found.len())
    };
    // A log can be read only together with its index, which SQLite would otherwise make. Without both the
    // file alone is the truth, or all of it that can be had without writing.
    let has_log = bytes_of("-wal") > LOG_HEADER_BYTES && bytes_of("-shm") > 0;
    let how = if has_log { "readonly_shm=1" } else { "immutable=1" };
    let mut address = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                address.push(char::from(*byte));
            }
            // Writing to a string does not fail.
            _ => drop(write!(address, "%{byte:02X}")),
        }
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(format!("{address}?mode=ro&{how}"), flags)?;
    connection.execute_batch("PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;")?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A file with a log beside it, as a killed server leaves them: copied while they were in use.
    fn left_behind(folder: &Path) -> std::path::PathBuf {
        let (used, left) = (folder.join("used.sqlite"), folder.join("a #?% b.sqlite"));
        let connection = Connection::open(&used).unwrap();
        let begin = "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
                     CREATE TABLE t (x); PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO t VALUES (7);";
        connection.execute_batch(begin).unwrap();
        for ending in ["", "-wal", "-shm"] {
            let named = |path: &Path| format!("{}{ending}", path.display());
            fs::copy(named(&used), named(&left)).unwrap();
        }
        left
    }

    fn rows(path: &Path) -> rusqlite::Result<i64> {
        open(path)?.query_row("SELECT count(*) FROM t", [], |row| row.get(0))
    }

    #[test]
    fn what_stands_in_the_log_is_read_and_no_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = left_behind(folder.path());
        let bytes = |ending: &str| fs::read(format!("{}{ending}", path.display())).unwrap();
        let before = ["", "-wal", "-shm"].map(bytes);
        assert_eq!(rows(&path).unwrap(), 1);
        assert_eq!(["", "-wal", "-shm"].map(bytes), before);
        assert!(open(&path).unwrap().execute("DELETE FROM t", []).is_err());
    }

    #[test]
    fn a_log_that_was_only_begun_or_lost_its_index_stands_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = left_behind(folder.path());
        let wal = fs::File::options().write(true).open(format!("{}-wal", path.display())).unwrap();
        for bytes in [LOG_HEADER_BYTES, 0] {
            wal.set_len(bytes).unwrap();
            assert_eq!(rows(&path).unwrap(), 0, "{bytes}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = left_behind(folder.path());
        fs::remove_file(format!("{}-shm", path.display())).unwrap();
        assert_eq!(rows(&path).unwrap(), 0);
        assert!(!Path::new(&format!("{}-shm", path.display())).exists());
    }
}
