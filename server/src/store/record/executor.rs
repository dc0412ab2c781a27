//! Changes and questions carried out: what is personal is sealed and opened, what must be unique is
//! told by its name, and what is over or forgotten is not found.
//!
//! The same for every database: one only has to run a statement ([`Asks`], [`Writes`]).

mod ends;
mod sealing;

use protocol::ids::{SiteId, TenantId};

pub(in crate::store) use self::ends::{delete_ended, forget_bucket, forget_person, seal_former};
pub(in crate::store) use self::sealing::lock_needed;
#[cfg(test)]
pub(in crate::store) use self::sealing::lock_of;
use self::sealing::{bound, hash, hashes, looked_for, open, prepared};
use super::audit::newest_below;
use super::change::{Equal, News, Order, Select, is};
use super::statement::{Dialect, Range, Statement};
use super::{
    Change, Column, DECLARED, Ends, Entity as _, Holds, Role, Row, Table, Value, audit, statement,
};
use crate::privacy::audit::{Act, Entry};
use crate::privacy::seal::{Bucket, SealError, Sealer};
use crate::store::{StoreError, Wrote, sealed};

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
    /// A row of this table is new, changed or gone.
    fn noted(
        &mut self,
        table: &'static Table,
        tenant: TenantId,
        noted: &Noted,
    ) -> Result<(), Self::Fault>;
    /// The rule that a change broke, where that is the fault.
    fn refused(fault: &Self::Fault) -> Option<&StoreError>;
}

/// What is told of a changed row.
pub(in crate::store) struct Noted {
    pub(in crate::store) object: [u8; 16],
    pub(in crate::store) person: Option<[u8; 16]>,
    pub(in crate::store) site: Option<SiteId>,
    pub(in crate::store) version: u64,
}

/// The rows that a question finds.
pub(in crate::store) fn select<D: Asks + ?Sized>(
    database: &D,
    select: &Select,
) -> Result<Vec<Row>, D::Fault> {
    let Select { table, of, after, limit, order, any, along, is_short: _ } = select;
    let table = *table;
    let of = of.iter().map(|equal| looked_for(database, table, of, equal));
    let of = of.collect::<Result<Vec<_>, _>>()?;
    let above = match table.ends {
        Ends::After(column, ms) => Some((column, database.now().saturating_sub_unsigned(ms))),
        Ends::Never | Ends::At(_) => None,
    };
    let (after, limit, order, along) = (after.as_ref(), limit.map(u64::from), *order, *along);
    let range = Range { order, along, above, after, limit };
    let columns: Vec<_> = table.own().map(|column| column.name).collect();
    let ask =
        |of: &[Equal]| database.query(&statement::select(table, &columns, of, &range, D::DIALECT));
    let rows = match any {
        None => ask(&of)?,
        Some((column, values)) => {
            let mut rows = Vec::new();
            for value in values {
                rows.extend(ask(&[&of[..], &[(*column, value.clone())]].concat())?);
            }
            merged(rows, &columns, table, &range)
        }
    };
    let mut found = Vec::new();
    for row in rows {
        found.extend(open(database, table, row)?);
    }
    Ok(found)
}

/// Rows of several walks as if they were one.
fn merged(
    mut rows: Vec<Vec<Value>>,
    columns: &[&str],
    table: &Table,
    range: &Range<'_>,
) -> Vec<Vec<Value>> {
    if let Order::Down(by, ..) = range.order {
        let at = |name| columns.iter().position(|column| *column == name);
        let key = |row: &[Value]| {
            let number = at(by).and_then(|at| row.get(at)?.as_moment());
            (number, at(table.id).and_then(|at| row.get(at)?.as_id()))
        };
        rows.sort_by_cached_key(|row| std::cmp::Reverse(key(row)));
    }
    let limit = range.limit.and_then(|limit| usize::try_from(limit).ok());
    rows.truncate(limit.unwrap_or(usize::MAX));
    rows
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

fn get<'r>(row: &'r [Equal], name: &str) -> Option<&'r Value> {
    row.iter().find(|(column, _)| *column == name).map(|(_, value)| value)
}

/// Whose a row is; what is nobody's has an id that no Organization has.
fn tenant_of(table: &Table, row: &[Equal]) -> TenantId {
    let found = table.tenant.and_then(|name| get(row, name)?.as_id());
    found.map_or(sealed::NO_TENANT, TenantId::from_bytes)
}

/// Carries out one change.
pub(in crate::store) fn change<D: Writes + ?Sized>(
    database: &mut D,
    change: Change,
) -> Result<Wrote, D::Fault> {
    match change {
        Change::Create { table, values, replaces } => {
            let row: Vec<Equal> = table.own().map(|column| column.name).zip(values).collect();
            create(database, table, &row, replaces)?;
            note(database, table, &row)?;
        }
        Change::Put { table, values } => return put(database, table, values),
        Change::Update { table, of, set } => {
            update(database, table, &of, &set)?;
            note(database, table, &of)?;
        }
        Change::Delete { table, of, must_exist } => {
            let gone = database.execute(&statement::delete(table, &of, None, None, D::DIALECT))?;
            match gone {
                0 if must_exist => return Err(StoreError::NotFound.into()),
                0 => return Ok(Wrote::PassedOver),
                _ => note(database, table, &of)?,
            }
        }
        Change::Audit(act) => {
            let entry = next_entry(database, *act)?;
            return self::change(database, Change::create(entry));
        }
    }
    Ok(Wrote::Done)
}

/// The next entry of the act's chain. Whoever writes is the only one who does: what is last in the
/// transaction is last.
fn next_entry<D: Writes + ?Sized>(database: &D, act: Act) -> Result<Entry, D::Fault> {
    let table = Entry::TABLE;
    let of = [is("tenant", act.chain)];
    let range = Range { order: newest_below(i64::MAX), limit: Some(1), ..Range::default() };
    let last = statement::select(table, &audit::LAST, &of, &range, D::DIALECT);
    let last = match database.query(&last)?.pop() {
        None => (0, [0; 32]),
        Some(values) => audit::last(values).ok_or_else(|| D::damaged(table.name))?,
    };
    Ok(act.after(last, |bytes| database.sealer().sum(bytes)))
}

/// Has a change noted, where its table's are and one row is meant.
fn note<D: Writes + ?Sized>(
    database: &mut D,
    table: &'static Table,
    row: &[Equal],
) -> Result<(), D::Fault> {
    match noted(table, row) {
        Some(noted) => database.noted(table, tenant_of(table, row), &noted),
        None => Ok(()),
    }
}

fn noted(table: &'static Table, row: &[Equal]) -> Option<Noted> {
    let object = get(row, table.id).and_then(Value::as_id).filter(|_| table.feed.is_some())?;
    Some(Noted {
        object,
        person: table.person.and_then(|name| get(row, name)?.as_id()),
        site: get(row, "site").and_then(|site| site.as_id().map(SiteId::from_bytes)),
        version: get(row, "version").and_then(Value::as_moment).map_or(0, |version| version.0),
    })
}

/// What is told of a change once it is committed; nothing of tables whose changes are nobody's
/// news.
pub fn news(change: &Change) -> Option<News> {
    let table = change.table();
    let made: Vec<Equal>;
    let row = match change {
        Change::Create { values, .. } | Change::Put { values, .. } => {
            made = table.own().map(|column| column.name).zip(values.iter().cloned()).collect();
            &made
        }
        Change::Update { of, .. } | Change::Delete { of, .. } => of,
        Change::Audit(_) => return None,
    };
    let Noted { object, .. } = noted(table, row)?;
    Some(News { tenant: tenant_of(table, row), kind: table.feed?, object })
}

/// A row, new or changed; one that is older than what is there is passed over.
fn put<D: Writes + ?Sized>(
    database: &mut D,
    table: &'static Table,
    values: Vec<Value>,
) -> Result<Wrote, D::Fault> {
    let again = table.again.as_ref().ok_or_else(|| D::damaged(table.name))?;
    let row: Vec<Equal> = table.own().map(|column| column.name).zip(values).collect();
    let whole = complete(database, table, &row, &row)?;
    if database.execute(&statement::put(table, again, whole, D::DIALECT))? > 0 {
        note(database, table, &row)?;
        return Ok(Wrote::Done);
    }
    let id = get(&row, table.id).map(|id| (table.id, id.clone()));
    let of: Vec<_> = id.into_iter().collect();
    let there = statement::select(table, again.alike, &of, &Range::default(), D::DIALECT);
    let there = database.query(&there)?.pop().unwrap_or_default();
    let is_alike = again.alike.iter().zip(&there).all(|(name, had)| get(&row, name) == Some(had));
    match is_alike {
        true => Ok(Wrote::PassedOver),
        false => Err(StoreError::Exists { what: table.taken }.into()),
    }
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

/// Values as they stand in their columns: sealed, and what the store fills itself beside them.
/// `row` is what is known of the row.
fn complete<D: Writes + ?Sized>(
    database: &mut D,
    table: &'static Table,
    row: &[Equal],
    values: &[Equal],
) -> Result<Vec<Equal>, D::Fault> {
    let mut whole = Vec::with_capacity(table.columns.len());
    // First, since others are bound to them.
    for (name, value) in values {
        match table.column(name).map(|column| column.role) {
            None | Some(Role::Sealed | Role::Outer) => {}
            Some(Role::Within) => whole.push((*name, outer_number(database, table, row)?)),
            Some(_) => whole.push(looked_for(database, table, row, &(*name, value.clone()))?),
        }
    }
    let known: Vec<Equal> = whole.iter().chain(row).cloned().collect();
    let mut sealed_bucket = None;
    let mut locked = None;
    let mut looked_at = false;
    for (name, value) in values {
        let Some(column) = table.column(name).filter(|column| column.role == Role::Sealed) else {
            continue;
        };
        looked_at = true;
        if column.optional && *value == Value::Null {
            whole.push((column.name, Value::Null));
            continue;
        }
        let lock = match locked {
            Some(lock) => lock,
            None => *locked.insert(prepared(database, table, row)?),
        };
        let plain = value.as_bytes().ok_or_else(|| D::damaged(table.name))?;
        let bound = bound::<D>(table, column, &known)?;
        // Of what is put nothing is sealed once a key is destroyed; the rest of the row is nobody's
        // words.
        let sealed = match lock {
            None => Value::Null,
            Some(lock) => {
                sealed_bucket = Some(lock.bucket);
                Value::Bytes(database.sealer().seal(&lock, &bound, plain)?)
            }
        };
        whole.push((column.name, sealed));
        for (by, of) in hashes(table).filter(|(_, of)| of.of == Some(column.name)) {
            whole.push((by.name, hash(database, table, of, value, row)?));
        }
    }
    if let Some(column) = table.bucket().filter(|_| looked_at) {
        let number = match &sealed_bucket {
            Some(bucket) => Value::Number(database.bucket(bucket)?),
            None => Value::Null,
        };
        whole.push((column.name, number));
    }
    Ok(whole)
}

/// The number of the row on which this one hangs; not found where it is not as this one says.
fn outer_number<D: Writes + ?Sized>(
    database: &D,
    table: &'static Table,
    row: &[Equal],
) -> Result<Value, D::Fault> {
    let outer = table.within.ok_or_else(|| D::damaged(table.name))?;
    let hangs = table.own().zip(row).filter_map(|(column, (name, value))| {
        let is_within = column.role == Role::Within;
        let name = if is_within { outer.id } else { *name };
        (is_within || column.role == Role::Outer).then(|| (name, value.clone()))
    });
    let of: Vec<Equal> = hangs.collect();
    let found = database.query(&statement::number(outer, &of, D::DIALECT))?.pop();
    Ok(found.and_then(|mut row| row.pop()).ok_or(StoreError::NotFound)?)
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
        let site = table.column("site").map(|column| column.name);
        let own = [seal.since, table.id].into_iter().chain(table.tenant).chain(table.person);
        let own = own.chain(site).chain(seal.or_class.map(|(flag, _)| flag));
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

/// What stands in a column that holds nothing.
fn empty(column: &Column) -> Value {
    match column.holds {
        _ if column.optional => Value::Null,
        Holds::Number => Value::Number(0),
        Holds::Text => Value::Text(String::new()),
        Holds::Bytes => Value::Bytes(Vec::new()),
    }
}
