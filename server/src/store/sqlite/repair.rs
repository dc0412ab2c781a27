//! What can be read of a journal that a start refuses, taken over where the rest is given up.
//!
//! Lives here: what is saved, what is lost, and the state from which the next start goes on. Not
//! here: what a start refuses (`opening`, `journal`). Called by `livehelp repair`.

use std::path::{Path, PathBuf};

use protocol::time::UnixMillis;
use rusqlite::OptionalExtension as _;

use super::OpenError;
use super::ack_mark;
use super::file::{self, Meta};
use super::journal::{self, Need, StoreId};
use super::opening::{judge_keys, unwritten};
use super::row::MessageRow;
use super::transaction::{Memory, Transaction};
use crate::privacy::seal::Sealer;

/// What a repair did, or would do.
#[derive(Debug)]
pub struct Repaired {
    /// What a start would say; none where it would take the data as it is.
    pub fault: Option<OpenError>,
    /// Messages that only the journal had.
    pub saved: usize,
    /// As far as one knows.
    pub lost: u64,
    /// Writes to the database that were acked and are not in it.
    pub lost_commits: u64,
    /// Keys that do not open; what they sealed is lost with them.
    pub lost_keys: usize,
    /// The data, where it has a name.
    pub id: Option<StoreId>,
}

/// Takes over what can be read of a journal that a start would refuse, and makes what is there the
/// truth. The folder is taken. Without `accept_loss` nothing is changed.
///
/// # Errors
/// If the database itself cannot be used.
pub fn repair(
    folder: &Path,
    sealer: &dyn Sealer,
    now: UnixMillis,
    accept_loss: bool,
) -> Result<Repaired, OpenError> {
    let fault = file::look_inside(folder).err();
    if let Some(fault @ (OpenError::Corrupt { .. } | OpenError::Gone { .. })) = fault {
        return Err(fault);
    }
    let path = file::database_path(folder);
    let failed = |act| file::refused(act, &path);
    let connection = file::connect_unjudged(folder)?;
    let meta = file::meta(&connection).map_err(failed("read"))?;
    let Some(Meta { known, generation, keys_fingerprint }) = meta else {
        return Ok(Repaired { fault, saved: 0, lost: 0, lost_commits: 0, lost_keys: 0, id: None });
    };
    judge_keys(&path, generation, keys_fingerprint, sealer)?;
    let marked = match ack_mark::find(folder) {
        Ok(ack_mark::Found::Mark(mark)) if mark.id == known.id => Some(mark),
        _ => None,
    };
    let journal_path = journal::path(folder);
    let reached = marked.map(|mark| mark.journal);
    let found =
        journal::salvage(folder, &known, reached).map_err(file::io("read", &journal_path))?;
    let lost_commits = marked.map_or(0, |mark| mark.commits.saturating_sub(known.commits));
    // Rows of an older database's future have nothing there to hang on.
    let mut has_home = connection
        .prepare(
            "SELECT EXISTS (SELECT 1 FROM conversations WHERE id = ?1)
                 AND EXISTS (SELECT 1 FROM buckets WHERE id = ?2)",
        )
        .map_err(failed("read"))?;
    let mut rows: Vec<MessageRow<'_>> = Vec::new();
    let mut lost = found.lost_rows;
    for row in found.rows() {
        let fits: Option<bool> = has_home
            .query_row([row.conversation, row.bucket], |row| row.get(0))
            .optional()
            .map_err(failed("read"))?;
        match fits {
            Some(true) => rows.push(row),
            _ => lost += 1,
        }
    }
    drop(has_home);
    let saved = rows.len();
    let repaired = Repaired { fault, saved, lost, lost_commits, lost_keys: 0, id: Some(known.id) };
    // Where nothing is wrong nothing is put aside.
    if !accept_loss || repaired.fault.is_none() {
        return Ok(repaired);
    }
    file::is_judged(folder, &connection)?;
    let begun = connection.unchecked_transaction().map_err(failed("write to"))?;
    let mut memory = Memory::new();
    let mut transaction = Transaction { connection: &begun, memory: &mut memory, sealer, now };
    let commits = known.commits.max(marked.map_or(0, |mark| mark.commits)) + 1;
    transaction
        .checkpoint_rows(rows.into_iter())
        .and_then(|()| {
            transaction.note((commits, 0), &found.reached, Need::None, sealer.generation())
        })
        .map_err(|fault| unwritten(fault, failed("write to")))?;
    begun.commit().map_err(failed("write to"))?;
    // Only now: until then it can be begun anew.
    for (from, to) in [
        (journal_path, aside(folder, "livehelp.journal")),
        (ack_mark::path(folder), aside(folder, "livehelp.mark")),
    ] {
        match std::fs::rename(&from, to) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(file::io("put aside", &from)(error));
            }
            _ => {}
        }
    }
    Ok(repaired)
}

/// A name for what is put aside; what an earlier repair left keeps its own.
fn aside(folder: &Path, name: &str) -> PathBuf {
    let first = folder.join(format!("{name}.damaged"));
    let others = (2..).map(|nth: u32| folder.join(format!("{name}.damaged.{nth}")));
    std::iter::once(first.clone()).chain(others).find(|path| !path.exists()).unwrap_or(first)
}
