//! A SQLite file looked at without a trace: nothing is made, merged, locked for long or brought up
//! to date.
//!
//! Lives here: one way to open a file for reading alone, and what its log says. Not here: what is
//! looked for (`store`, `keys`). Called by `livehelp check` and by a start, through both.

mod log;

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use self::log::Log;
pub(crate) use self::log::log_path;

/// Bytes of file and log up to which both are laid over one another in memory.
const IMAGE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Where a file says that it has a log: two bytes, 2 for yes and 1 for no.
const FORMAT_BYTES: std::ops::Range<usize> = 18..20;

/// Opens the file. Where a log lies beside it, what stands in the log is read as well.
///
/// # Errors
/// If it cannot be opened.
pub(crate) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let bytes_of = |path: &Path| std::fs::metadata(path).map_or(0, |found| found.len());
    let (log, index) = (bytes_of(&log_path(path)), bytes_of(&index_path(path)));
    let has_log = log > 0 && Log::read(path).is_ok_and(|log| !log.is_empty());
    // A log can be read only together with its index, which SQLite would otherwise make.
    let connection = match (has_log, index > 0) {
        (true, true) => open_file(path, "readonly_shm=1")?,
        (true, false) if log + bytes_of(path) <= IMAGE_BYTES_MAX => image(path)?,
        // The file alone is all that can be had without writing.
        (true, false) | (false, _) => open_file(path, "immutable=1")?,
    };
    connection.execute_batch("PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;")?;
    Ok(connection)
}

/// Opens the file without its log: what was moved into it.
///
/// # Errors
/// If it cannot be opened.
pub(crate) fn open_without_log(path: &Path) -> rusqlite::Result<Connection> {
    let connection = open_file(path, "immutable=1")?;
    // In the middle of carrying its first page speaks of pages that the file has not got yet, which
    // is no damage while the log has them; only who might mend a schema is shown such a file.
    connection.execute_batch("PRAGMA writable_schema = ON; PRAGMA trusted_schema = OFF;")?;
    Ok(connection)
}

fn index_path(path: &Path) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-shm");
    name.into()
}

fn open_file(path: &Path, how: &str) -> rusqlite::Result<Connection> {
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
    Connection::open_with_flags(format!("{address}?mode=ro&{how}"), flags)
}

/// The file with its log laid over it, in memory.
fn image(path: &Path) -> rusqlite::Result<Connection> {
    let unread = |error: io::Error| rusqlite::Error::ToSqlConversionFailure(Box::new(error));
    let mut bytes = std::fs::read(path).map_err(unread)?;
    Log::read(path).map_err(unread)?.lay_over(&mut bytes);
    // In memory there is no log that could be asked for.
    if let Some(format) = bytes.get_mut(FORMAT_BYTES) {
        format.fill(1);
    }
    let mut connection = Connection::open_in_memory()?;
    connection.deserialize_read_exact(rusqlite::MAIN_DB, bytes.as_slice(), bytes.len(), true)?;
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
    fn a_log_that_was_only_begun_stands_in_nobodys_way_and_one_without_an_index_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = left_behind(folder.path());
        let wal = fs::File::options().write(true).open(log_path(&path)).unwrap();
        for bytes in [32, 0] {
            wal.set_len(bytes).unwrap();
            assert_eq!(rows(&path).unwrap(), 0, "{bytes}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = left_behind(folder.path());
        fs::remove_file(index_path(&path)).unwrap();
        assert_eq!(rows(&path).unwrap(), 1);
        assert!(!index_path(&path).exists());
        let alone = open_without_log(&path).unwrap();
        assert_eq!(alone.query_row("SELECT count(*) FROM t", [], |row| row.get(0)), Ok(0_i64));
    }

    /// What a kill leaves in the middle of a WAL checkpoint: the first page is there, and those by
    /// which the file grows are not.
    #[test]
    fn a_file_in_the_middle_of_a_wal_checkpoint_is_read_without_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.sqlite");
        let file = Connection::open(&path).unwrap();
        file.execute_batch(
            "PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1)",
        )
        .unwrap();
        drop(file);
        let mut bytes = fs::read(&path).unwrap();
        let pages = u32::from_be_bytes(bytes[28..32].try_into().unwrap());
        bytes[28..32].copy_from_slice(&(pages + 3).to_be_bytes());
        fs::write(&path, bytes).unwrap();
        let alone = open_without_log(&path).unwrap();
        assert_eq!(alone.query_row("SELECT count(*) FROM t", [], |row| row.get(0)), Ok(1_i64));
    }
}
