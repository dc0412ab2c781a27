//! Changes and questions carried out: what is personal is sealed and opened, what must be unique is told by its name,
//! and what is over or forgotten is not found.
//!
//! The same for every database: one only has to run a statement ([`Asks`], [`Writes`]).

use protocol::ids::{AgentId, TenantId};

use super::change::{Equal, Select};
use super::statement::{self, Dialect, Range, Statement};
use super::{
    Change, Column, DECLARED, Destroyed, Ends, Forgotten, FoundBy, Holds, Role, Row, Table, Value,
};
use crate::privacy::seal::{Bucket, Lock, RecordKind, SealError, Sealer, Subject};
use crate::store::{StoreError, sealed};

/// Rows that are over and that one transaction deletes, so that no message waits long behind it.
const ENDED_AT_ONCE: u64 = 500;
/// Rows that are over and that a new one sweeps away.
const ENDED_WITH_A_NEW_ONE: u64 = 64;

/// Runs questions.
pub(in crate::store) trait Asks {
    /// Why one did not succeed.
    type Fault: From<StoreError> + From<SealError>;
    const DIALECT: Dialect;

    /// The rows of an answer.
    fn query(&self, statement: &Statement) -> Result<Vec<Vec<Value>>, Self::Fault>;
    fn sealer(&self) -> &dyn Sealer;
    /// Now, Unix ms.
    fn now(&self) -> i64;
    /// A row holds what this program never writes.
    fn damaged(what: &'static str) -> Self::Fault;
}

/// Runs changes, in a transaction that is its caller's.
pub(in crate::store) trait Writes: Asks {
    /// How many rows were changed.
    fn execute(&self, statement: &Statement) -> Result<usize, Self::Fault>;
    /// The number of a bucket, which is made where there is none.
    fn bucket(&mut self, bucket: &Bucket) -> Result<i64, Self::Fault>;
    /// The same fault, or that this is taken where a rule of uniqueness was broken.
    fn taken(fault: Self::Fault, what: &'static str) -> Self::Fault;
    /// A row of this table is new, changed or gone: this one's, about this person.
    fn noted(
        &mut self,
        table: &'static Table,
        tenant: TenantId,
        object: &[u8; 16],
        person: Option<[u8; 16]>,
    ) -> Result<(), Self::Fault>;
    /// The rule that a change broke, where that is the fault.
    fn refused(fault: &Self::Fault) -> Option<&StoreError>;
}

/// The rows that a question finds.
pub(in crate::store) fn select<D: Asks + ?Sized>(
    database: &D,
    select: &Select,
) -> Result<Vec<Row>, D::Fault> {
    let Select { table, of, after, limit } = select;
    let table = *table;
    let of = of.iter().map(|equal| looked_for(database, table, of, equal));
    let of = of.collect::<Result<Vec<_>, _>>()?;
    let above = match table.ends {
        Ends::After(column, ms) => Some((column, database.now().saturating_sub_unsigned(ms))),
        Ends::Never | Ends::At(_) => None,
    };
    let range = Range { above, after: after.as_ref(), limit: limit.map(u64::from) };
    let columns: Vec<_> = table.own().map(|column| column.name).collect();
    let statement = statement::select(table, &columns, &of, &range, D::DIALECT);
    let mut found = Vec::new();
    for row in database.query(&statement)? {
        found.extend(open(database, table, row)?);
    }
    Ok(found)
}

/// How many rows of a table do not open, or are not what this program writes.
pub(in crate::store) fn unreadable<D: Asks + ?Sized>(
    database: &D,
    is_of_the_file: impl Fn(&D::Fault) -> bool,
) -> Result<u64, D::Fault> {
    let mut count = 0;
    for declared in DECLARED {
        let columns: Vec<_> = declared.table.own().map(|column| column.name).collect();
        let all = statement::select(declared.table, &columns, &[], &Range::default(), D::DIALECT);
        for row in database.query(&all)? {
            match open(database, declared.table, row) {
                Ok(None) => {}
                Ok(Some(row)) => count += u64::from(!(declared.reads)(row)),
                Err(fault) if is_of_the_file(&fault) => return Err(fault),
                Err(_) => count += 1,
            }
        }
    }
    Ok(count)
}

/// A value as it stands in its column, where that is a keyed hash.
fn looked_for<D: Asks + ?Sized>(
    database: &D,
    table: &Table,
    of: &[Equal],
    (name, value): &Equal,
) -> Result<Equal, D::Fault> {
    match table.column(name).map(|column| column.role) {
        Some(Role::FoundBy(by)) => Ok((*name, hash(database, table, by, value, of)?)),
        Some(_) => Ok((*name, value.clone())),
        None => Err(D::damaged("column")),
    }
}

fn hash<D: Asks + ?Sized>(
    database: &D,
    table: &Table,
    by: FoundBy,
    value: &Value,
    row: &[Equal],
) -> Result<Value, D::Fault> {
    let Value::Text(text) = value else { return Err(D::damaged(by.field)) };
    let tenant = if by.everywhere { sealed::NO_TENANT } else { tenant_of(table, row) };
    // An address is the same however it is spelled.
    let hash = match by.of {
        Some(_) => database.sealer().find_hash(tenant, by.field, &text.trim().to_lowercase()),
        None => database.sealer().find_hash(tenant, by.field, text),
    };
    Ok(Value::Bytes(hash?.to_vec()))
}

fn get<'r>(row: &'r [Equal], name: &str) -> Option<&'r Value> {
    row.iter().find(|(column, _)| *column == name).map(|(_, value)| value)
}

/// A table's keyed hashes of sealed columns.
fn hashes(table: &'static Table) -> impl Iterator<Item = (&'static Column, FoundBy)> {
    table.columns.iter().filter_map(|column| match column.role {
        Role::FoundBy(by) => by.of.map(|_| (column, by)),
        Role::Plain | Role::Sealed | Role::Bucket | Role::Former { .. } => None,
    })
}

/// Whose a row is; what is nobody's has an id that no Organization has.
fn tenant_of(table: &Table, row: &[Equal]) -> TenantId {
    let found = table.tenant.and_then(|name| get(row, name)?.as_id());
    found.map_or(sealed::NO_TENANT, TenantId::from_bytes)
}

/// The lock of a row.
fn lock<D: Asks + ?Sized>(table: &Table, row: &[Equal]) -> Result<Lock, D::Fault> {
    let lock = || {
        let (seal, person) = (table.seal.as_ref()?, get(row, table.person?)?.as_id()?);
        let day = get(row, seal.since)?.as_moment()?.day();
        let bucket = Bucket { tenant: tenant_of(table, row), site: None, class: seal.class, day };
        let subject = Subject::Agent(AgentId::from_bytes(person));
        Some(Lock { bucket, subject, kind: RecordKind::Account })
    };
    lock().ok_or_else(|| D::damaged(table.name))
}

/// What a sealed value is bound to.
fn bound<D: Asks + ?Sized>(
    table: &Table,
    column: &Column,
    row: &[Equal],
) -> Result<Vec<u8>, D::Fault> {
    let mut bound = format!("{}.{}\0", table.name, column.name).into_bytes();
    for name in table.seal.iter().flat_map(|seal| seal.bound) {
        if Some(*name) == table.tenant {
            bound.extend_from_slice(tenant_of(table, row).as_bytes());
        } else {
            let value = get(row, name).and_then(Value::as_bytes);
            bound.extend_from_slice(value.ok_or_else(|| D::damaged(table.name))?);
        }
    }
    Ok(bound)
}

/// A row as its entity reads it; `None` where its key is destroyed and it is not found any more.
fn open<D: Asks + ?Sized>(
    database: &D,
    table: &'static Table,
    row: Vec<Value>,
) -> Result<Option<Row>, D::Fault> {
    let Some(seal) = &table.seal else { return Ok(Some(Row::new(row))) };
    let row: Vec<Equal> = table.own().map(|column| column.name).zip(row).collect();
    let lock = lock::<D>(table, &row)?;
    let mut opened = Vec::with_capacity(row.len());
    for (column, (_, value)) in table.own().zip(&row) {
        if column.role != Role::Sealed {
            opened.push(value.clone());
            continue;
        }
        let bound = bound::<D>(table, column, &row)?;
        let plain = match value {
            Value::Null => None,
            // A key is destroyed, and the clean-up has been here.
            Value::Bytes(sealed) if sealed.is_empty() => None,
            Value::Bytes(sealed) => {
                sealed::unless_destroyed(database.sealer().unseal(&lock, &bound, sealed))?
            }
            Value::Number(_) | Value::Text(_) => return Err(SealError::Tampered.into()),
        };
        if plain.is_none() && seal.destroyed == Destroyed::Gone {
            return Ok(None);
        }
        opened.push(plain.map_or(Value::Null, Value::Bytes));
    }
    Ok(Some(Row::new(opened)))
}

/// Carries out one change.
pub(in crate::store) fn change<D: Writes + ?Sized>(
    database: &mut D,
    change: Change,
) -> Result<(), D::Fault> {
    match change {
        Change::Create { table, values, replaces } => {
            let row: Vec<Equal> = table.own().map(|column| column.name).zip(values).collect();
            create(database, table, &row, replaces)?;
            note(database, table, &row)
        }
        Change::Update { table, of, set } => {
            update(database, table, &of, &set)?;
            note(database, table, &of)
        }
        Change::Delete { table, of, must_exist } => {
            let gone = database.execute(&statement::delete(table, &of, None, None, D::DIALECT))?;
            match gone {
                0 if must_exist => Err(StoreError::NotFound.into()),
                0 => Ok(()),
                _ => note(database, table, &of),
            }
        }
    }
}

/// Has a change noted, where its table's are and one row is meant.
fn note<D: Writes + ?Sized>(
    database: &mut D,
    table: &'static Table,
    row: &[Equal],
) -> Result<(), D::Fault> {
    let object = get(row, table.id).and_then(Value::as_id);
    let Some(object) = object.filter(|_| table.feed.is_some()) else { return Ok(()) };
    let person = table.person.and_then(|name| get(row, name)?.as_id());
    database.noted(table, tenant_of(table, row), &object, person)
}

fn create<D: Writes + ?Sized>(
    database: &mut D,
    table: &'static Table,
    row: &[Equal],
    replaces: Option<&'static str>,
) -> Result<(), D::Fault> {
    let mut whole = complete(database, table, row, row)?;
    let former = table.columns.iter().filter(|column| matches!(column.role, Role::Former { .. }));
    whole.extend(former.map(|column| (column.name, empty(column))));

    if let Ends::After(column, ms) = table.ends {
        let until = Some((column, database.now().saturating_sub_unsigned(ms)));
        // The one whose place it takes, if that is over, and some others with it.
        for columns in table.unique {
            let of: Vec<_> =
                whole.iter().filter(|(name, _)| columns.contains(name)).cloned().collect();
            database.execute(&statement::delete(table, &of, until, None, D::DIALECT))?;
        }
        let some = Some(ENDED_WITH_A_NEW_ONE);
        database.execute(&statement::delete(table, &[], until, some, D::DIALECT))?;
    }
    if let Some(equal) = replaces.and_then(|column| row.iter().find(|(name, _)| *name == column)) {
        let of = std::slice::from_ref(equal);
        database.execute(&statement::delete(table, of, None, None, D::DIALECT))?;
    }
    let inserted = database.execute(&statement::insert(table, whole, D::DIALECT));
    inserted.map_err(|fault| D::taken(fault, table.taken))?;
    Ok(())
}

/// Values as they stand in their columns: sealed, and what the store fills itself beside them. `row` is what is known of
/// the row.
fn complete<D: Writes + ?Sized>(
    database: &mut D,
    table: &'static Table,
    row: &[Equal],
    values: &[Equal],
) -> Result<Vec<Equal>, D::Fault> {
    let mut whole = Vec::with_capacity(table.columns.len());
    // First, since others are bound to them.
    for (name, value) in values {
        if table.column(name).is_some_and(|column| column.role != Role::Sealed) {
            whole.push(looked_for(database, table, row, &(*name, value.clone()))?);
        }
    }
    let known: Vec<Equal> = whole.iter().chain(row).cloned().collect();
    let mut sealed_bucket = None;
    for (name, value) in values {
        let Some(column) = table.column(name).filter(|column| column.role == Role::Sealed) else {
            continue;
        };
        let lock = lock::<D>(table, row)?;
        let plain = value.as_bytes().ok_or_else(|| D::damaged(table.name))?;
        match database.sealer().prepare(&[lock]) {
            Ok(()) => {}
            Err(SealError::Destroyed) => return Err(StoreError::NotFound.into()),
            Err(error) => return Err(error.into()),
        }
        let bound = bound::<D>(table, column, &known)?;
        let sealed = database.sealer().seal(&lock, &bound, plain)?;
        whole.push((column.name, Value::Bytes(sealed)));
        sealed_bucket = Some(lock.bucket);
        for (by, of) in hashes(table).filter(|(_, of)| of.of == Some(column.name)) {
            whole.push((by.name, hash(database, table, of, value, row)?));
        }
    }
    if let Some(bucket) = sealed_bucket {
        let number = Value::Number(database.bucket(&bucket)?);
        whole.extend(table.bucket().map(|column| (column.name, number)));
    }
    Ok(whole)
}

fn update<D: Writes + ?Sized>(
    database: &mut D,
    table: &'static Table,
    of: &[Equal],
    set: &[Equal],
) -> Result<(), D::Fault> {
    let sealed = |name: &str| table.column(name).is_some_and(|column| column.role == Role::Sealed);
    let mut row = Vec::new();
    if let Some(seal) = table.seal.as_ref().filter(|_| set.iter().any(|(name, _)| sealed(name))) {
        // What was sealed for a person before they were forgotten must not come after it.
        let hashes: Vec<_> = hashes(table).map(|(by, _)| by.name).collect();
        let own = [seal.since, table.id].into_iter().chain(table.tenant).chain(table.person);
        let columns: Vec<_> = own.chain(seal.bound.iter().copied()).collect();
        let asked: Vec<_> = columns.iter().chain(&hashes).copied().collect();
        let asked_for = statement::select(table, &asked, of, &Range::default(), D::DIALECT);
        let mut found = database.query(&asked_for)?.pop().ok_or(StoreError::NotFound)?;
        let blank = found.split_off(columns.len());
        row = columns.into_iter().zip(found).collect();
        if blank.iter().any(|hash| Some(hash) == get(&row, table.id)) {
            return Err(StoreError::NotFound.into());
        }
    }
    let whole = complete(database, table, &row, set)?;
    let changed = database.execute(&statement::update(table, of, whole, D::DIALECT));
    match changed.map_err(|fault| D::taken(fault, table.taken))? {
        0 => Err(StoreError::NotFound.into()),
        _ => Ok(()),
    }
}

/// Deletes some of the rows that were over at `at`, Unix ms; whether there may be more. Of those that end by the clock or
/// of those that are kept for a while.
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
    person: &[u8; 16],
) -> Result<Vec<(&'static Table, usize)>, D::Fault> {
    let mut forgotten = Vec::new();
    for table in DECLARED.iter().map(|declared| declared.table) {
        let Some(column) = table.person else { continue };
        let theirs = (column, Value::Bytes(person.to_vec()));
        let whose = table.tenant.map(|name| (name, Value::Bytes(tenant.as_bytes().to_vec())));
        let of: Vec<_> = std::iter::once(theirs).chain(whose).collect();
        let rows = forget(database, table, &of)?;
        if rows > 0 && column == table.id && table.feed.is_some() {
            database.noted(table, tenant, person, Some(*person))?;
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
            forget(database, table, &[(column.name, Value::Number(bucket))])?;
        }
    }
    Ok(())
}

fn forget<D: Writes + ?Sized>(
    database: &mut D,
    table: &'static Table,
    of: &[Equal],
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
        Role::Plain | Role::FoundBy(_) => false,
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

/// What stands in a column that holds nothing.
fn empty(column: &Column) -> Value {
    match column.holds {
        _ if column.optional => Value::Null,
        Holds::Number => Value::Number(0),
        Holds::Text => Value::Text(String::new()),
        Holds::Bytes => Value::Bytes(Vec::new()),
    }
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
