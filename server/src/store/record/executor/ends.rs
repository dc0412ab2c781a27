//! The ends of rows: what is over, what a person or a bucket had, and what a former version left in
//! the open.

use protocol::ids::TenantId;

use super::{Noted, Writes, empty, update};
use crate::privacy::seal::Subject;
use crate::store::StoreError;
use crate::store::record::change::Equal;
use crate::store::record::executor::sealing::hashes;
use crate::store::record::statement::Range;
use crate::store::record::{Column, DECLARED, Ends, Forgotten, Role, Table, Value, statement};

/// Rows that are over and that one transaction deletes, so that no message waits long behind it.
pub(super) const ENDED_AT_ONCE: u64 = 500;

/// Deletes some of the rows that were over at `at`, Unix ms; whether there may be more. Of those
/// that end by the clock or of those that are kept for a while.
pub(in crate::store) fn delete_ended<D: Writes + ?Sized>(
    database: &mut D,
    at: i64,
    passes: impl Fn(Ends) -> Option<&'static str>,
) -> Result<bool, D::Fault> {
    let mut more = false;
    for table in DECLARED.iter().map(|declared| declared.table) {
        let Some(column) = passes(table.ends) else { continue };
        let some = Some(ENDED_AT_ONCE);
        let ended = statement::delete(table, &[], Some((column, at)), some, D::DIALECT);
        let deleted = database.execute(&ended)?;
        more |= u64::try_from(deleted).unwrap_or(u64::MAX) >= ENDED_AT_ONCE;
    }
    Ok(more)
}

/// Behind the destruction of a person's key: all that is theirs goes. How many rows of each table.
pub(in crate::store) fn forget_person<D: Writes + ?Sized>(
    database: &mut D,
    tenant: TenantId,
    subject: Subject,
) -> Result<Vec<(&'static Table, usize)>, D::Fault> {
    let mut forgotten = Vec::new();
    let (person, is_visitor) = match &subject {
        Subject::Agent(agent) => (agent.as_bytes(), false),
        Subject::Visitor(visitor) => (visitor.as_bytes(), true),
    };
    let tables = DECLARED.iter().map(|declared| declared.table);
    for table in tables.filter(|table| table.is_of_visitors() == is_visitor) {
        let Some(column) = table.person else { continue };
        let theirs = (column, Value::Bytes(person.to_vec()));
        let whose = table.tenant.map(|name| (name, Value::Bytes(tenant.as_bytes().to_vec())));
        let of: Vec<_> = std::iter::once(theirs).chain(whose).collect();
        let rows = forget(database, table, &of, table.erased)?;
        if rows > 0 && column == table.id && table.feed.is_some() {
            let (object, person) = (*person, Some(*person));
            database.noted(table, tenant, &Noted { object, person, site: None, version: 0 })?;
        }
        forgotten.push((table, rows));
    }
    Ok(forgotten)
}

/// Behind the destruction of a bucket's key: what was sealed in it goes.
pub(in crate::store) fn forget_bucket<D: Writes + ?Sized>(
    database: &mut D,
    bucket: i64,
) -> Result<(), D::Fault> {
    for table in DECLARED.iter().map(|declared| declared.table) {
        if let Some(column) = table.bucket() {
            forget(database, table, &[(column.name, Value::Number(bucket))], &[])?;
        }
    }
    Ok(())
}

pub(super) fn forget<D: Writes + ?Sized>(
    database: &mut D,
    table: &'static Table,
    of: &[Equal],
    erased: &[&str],
) -> Result<usize, D::Fault> {
    let flag = match table.forgotten {
        Forgotten::Stays => return Ok(0),
        Forgotten::Deleted => {
            return database.execute(&statement::delete(table, of, None, None, D::DIALECT));
        }
        Forgotten::Blanked { flag } => flag,
    };
    // Each has its own id in the place of the hash, and no hash is so short: no two rows are alike.
    let hashes: Vec<_> = hashes(table).map(|(by, _)| by.name).collect();
    let goes = |column: &&Column| match column.role {
        Role::Sealed | Role::Former { .. } => true,
        Role::Bucket => column.optional,
        Role::Plain | Role::FoundBy(_) | Role::Counted | Role::Within | Role::Outer => {
            erased.contains(&column.name)
        }
    };
    let blank = table.columns.iter().filter(goes).map(|column| (column.name, empty(column)));
    let blank: Vec<Equal> = blank.chain(flag.map(|flag| (flag, Value::Number(0)))).collect();
    if hashes.is_empty() {
        return database.execute(&statement::update(table, of, blank, D::DIALECT));
    }
    let ids = statement::select(table, &[table.id], of, &Range::default(), D::DIALECT);
    let ids = database.query(&ids)?;
    for id in ids.iter().filter_map(|row| row.first()) {
        let hashes = hashes.iter().map(|name| (*name, id.clone()));
        let blank = blank.iter().cloned().chain(hashes).collect();
        let of = [(table.id, id.clone())];
        database.execute(&statement::update(table, &of, blank, D::DIALECT))?;
    }
    Ok(ids.len())
}

/// Seals what a former version had in the open.
pub(in crate::store) fn seal_former<D: Writes + ?Sized>(database: &mut D) -> Result<(), D::Fault> {
    for table in DECLARED.iter().map(|declared| declared.table) {
        for column in table.columns {
            let Role::Former { now } = column.role else { continue };
            let own = [table.id].into_iter().chain(table.tenant).chain([column.name]);
            let columns: Vec<_> = own.collect();
            let all = statement::select(table, &columns, &[], &Range::default(), D::DIALECT);
            for row in database.query(&all)? {
                let mut of: Vec<Equal> = columns.iter().copied().zip(row).collect();
                let Some((_, open)) = of.pop() else { continue };
                if open == empty(column) {
                    continue;
                }
                match update(database, table, &of, &[(now, open)]) {
                    Err(fault) if D::refused(&fault) != Some(&StoreError::NotFound) => {
                        return Err(fault);
                    }
                    // Where its key is destroyed nothing is kept of it.
                    Ok(()) | Err(_) => {}
                }
                let none = vec![(column.name, empty(column))];
                database.execute(&statement::update(table, &of, none, D::DIALECT))?;
            }
        }
    }
    Ok(())
}
