//! What every table of records must do on every database: made from the declarations, so that a new
//! one has it for free.

mod postgres;

use std::sync::Arc;

use protocol::ids::{AgentId, TenantId};
use protocol::time::UnixMillis;

use super::executor::{Asks, Writes};
use super::*;
use crate::keys::KeyStore;
use crate::privacy::seal::{Sealer, Subject};
use crate::store::sqlite::RecordsInMemory;
use crate::store::{StoreError, Wrote};

const NOW: UnixMillis = crate::store::conformance::NOW;

fn now() -> i64 {
    i64::try_from(NOW.0).unwrap()
}

/// The kind of rows on which others hang.
const OUTER: u8 = 250;

/// A row of a table, a different one for each `n`; all are of one person in one Organization.
fn sample(table: &'static Table, kind: u8, n: u8) -> Vec<Value> {
    let own = |column: &Column| match (column.role, column.holds) {
        (Role::Sealed, _) => Value::Text(format!("Personal {n} in {}", column.name)),
        (Role::FoundBy(_), _) => Value::Text(format!("key {n}")),
        (Role::Within, _) => id_of(OUTER, n),
        (Role::Outer, _) if Some(column.name) == table.tenant => id_of(OUTER, 0),
        (Role::Outer, _) if Some(column.name) == table.person => id_of(OUTER, 100),
        (Role::Outer, _) => id_of(OUTER, n),
        (_, Holds::Number) if is_a_day(table, column.name) => {
            Value::Number(i64::from(NOW.day().0) + i64::from(n))
        }
        (_, Holds::Number) => Value::Number(now() + i64::from(n)),
        (_, Holds::Text) => Value::Text(format!("{} {n}", column.name)),
        (_, Holds::Bytes) if column.name == table.id => id_of(kind, n),
        (_, Holds::Bytes) if Some(column.name) == table.tenant => id_of(kind, 0),
        (_, Holds::Bytes) if is_of_another(table, column.name) => id_of(kind, 100),
        (_, Holds::Bytes) => id_of(kind, n),
    };
    table.own().map(own).collect()
}

fn is_a_day(table: &Table, name: &str) -> bool {
    let seal = table.seal.as_ref();
    seal.is_some_and(|seal| {
        matches!(seal.kind, SealKind::Contact | SealKind::Draft) && seal.since == name
    })
}

fn id_of(kind: u8, n: u8) -> Value {
    let mut id = [n; 16];
    id[0] = kind;
    Value::Bytes(id.to_vec())
}

/// Whether a column is the id of a person who has several rows.
fn is_of_another(table: &Table, name: &str) -> bool {
    Some(name) == table.person && !table.unique.contains(&[name].as_slice())
}

/// What a reader gets of it.
fn as_read(table: &'static Table, values: &[Value]) -> Vec<Value> {
    let read = |(column, value): (&Column, &Value)| match (column.role, value) {
        (Role::Sealed, Value::Text(text)) => Value::Bytes(text.clone().into_bytes()),
        // The value itself is kept nowhere.
        (Role::FoundBy(_), _) => Value::Null,
        _ => value.clone(),
    };
    table.own().zip(values).map(read).collect()
}

fn all<D: Asks>(database: &D, of: &Select) -> Vec<Vec<Value>>
where
    D::Fault: std::fmt::Debug,
{
    let table = of.table;
    let rows = executor::select(database, of).unwrap();
    let blank = |(column, value)| match column {
        Column { role: Role::FoundBy(_), .. } => Value::Null,
        _ => value,
    };
    rows.into_iter()
        .map(|row| table.own().zip(row.values()).map(|(c, v)| blank((*c, v))).collect())
        .collect()
}

fn any(table: &'static Table) -> Select {
    Select::of(table, Vec::new())
}

fn equal(table: &'static Table, values: &[Value], names: &[&str]) -> Vec<(&'static str, Value)> {
    let own = table.own().map(|column| column.name).zip(values.iter().cloned());
    own.filter(|(name, _)| names.contains(name)).collect()
}

/// All of it, on an empty database whose clock stands at [`NOW`].
pub(super) fn conformance<D: Writes>(database: &mut D, sealer: &dyn Sealer)
where
    D::Fault: std::fmt::Debug,
{
    for (kind, declared) in (1..).zip(DECLARED) {
        let table = declared.table;
        hang(database, table);
        let rows: Vec<_> = (1..=3).map(|n| sample(table, kind, n)).collect();
        for row in &rows {
            create(database, table, row).unwrap();
        }
        let read: Vec<_> = rows.iter().map(|row| as_read(table, row)).collect();
        assert_eq!(
            all(database, &any(table)),
            read,
            "{}: in the order of their making",
            table.name
        );
        found(database, table, &rows);
        pages(database, table, &rows);
        changes(database, table, kind);
        puts(database, table, kind);
        ends(database, table, kind);
        forgets(database, sealer, table, kind);
        clear(database, table);
        if let Some(outer) = table.within {
            clear(database, outer);
        }
    }
}

/// Rows on which samples can hang.
fn hang<D: Writes>(database: &mut D, table: &'static Table)
where
    D::Fault: std::fmt::Debug,
{
    let Some(outer) = table.within else { return };
    for n in 1..=9 {
        create(database, outer, &sample(outer, OUTER, n)).unwrap();
    }
}

fn is_refused<D: Writes>(outcome: &Result<Wrote, D::Fault>, error: &StoreError) -> bool {
    outcome.as_ref().is_err_and(|fault| D::refused(fault) == Some(error))
}

fn create<D: Writes>(
    database: &mut D,
    table: &'static Table,
    values: &[Value],
) -> Result<Wrote, D::Fault> {
    let create = Change::Create { table, values: values.to_vec(), replaces: None };
    executor::change(database, create)
}

fn clear<D: Writes>(database: &mut D, table: &'static Table)
where
    D::Fault: std::fmt::Debug,
{
    let all = Change::Delete { table, of: Vec::new(), must_exist: false };
    executor::change(database, all).unwrap();
}

/// By what is unique, and a second one with the same is refused.
fn found<D: Writes>(database: &mut D, table: &'static Table, rows: &[Vec<Value>])
where
    D::Fault: std::fmt::Debug,
{
    for columns in table.unique {
        let derived = columns.iter().find_map(|name| match table.column(name)?.role {
            Role::FoundBy(by) => by.of.map(|of| (*name, of)),
            Role::Plain | Role::Sealed | Role::Bucket | Role::Former { .. } => None,
            Role::Counted | Role::Within | Role::Outer => None,
        });
        let mut of = equal(table, &rows[1], columns);
        if let Some((name, source)) = derived {
            // However it is spelled.
            let Some(Value::Text(text)) = equal(table, &rows[1], &[source]).pop().map(|of| of.1)
            else {
                panic!("{name} is a hash of a text");
            };
            of.push((name, Value::Text(format!(" {} ", text.to_uppercase()))));
        }
        let one = Select { of, ..any(table) };
        assert_eq!(all(database, &one), [as_read(table, &rows[1])], "{} {columns:?}", table.name);
    }
    if !table.unique.is_empty() {
        let again = create(database, table, &rows[0]);
        assert!(
            is_refused::<D>(&again, &StoreError::Exists { what: table.taken }),
            "{}",
            table.name
        );
    }
}

fn pages<D: Writes>(database: &mut D, table: &'static Table, rows: &[Vec<Value>])
where
    D::Fault: std::fmt::Debug,
{
    let first = Select { limit: Some(2), ..any(table) };
    assert_eq!(all(database, &first).len(), 2, "{}", table.name);
    if !table.own().any(|column| column.name == table.id && column.role == Role::Plain) {
        return;
    }
    let of = equal(table, &rows[1], &table.tenant.into_iter().collect::<Vec<_>>());
    let after = equal(table, &rows[1], &[table.id]).pop().map(|of| of.1);
    let rest = Select { of: of.clone(), after, limit: Some(9), ..any(table) };
    let left =
        if table.tenant == Some(table.id) { Vec::new() } else { vec![as_read(table, &rows[2])] };
    assert_eq!(all(database, &rest), left, "{}: after the second", table.name);
    let unknown = Select { of, after: Some(id_of(255, 255)), ..any(table) };
    assert!(!all(database, &unknown).is_empty(), "{}: from the beginning", table.name);
}

fn changes<D: Writes>(database: &mut D, table: &'static Table, kind: u8)
where
    D::Fault: std::fmt::Debug,
{
    let (row, other) = (sample(table, kind, 2), sample(table, kind, 7));
    let seal = table.seal.as_ref();
    let fixed = |name: &str| {
        let lock = seal.is_some_and(|seal| {
            let flag = seal.or_class.is_some_and(|(flag, _)| flag == name);
            flag || name == "site"
                || table.within.is_some()
                || seal.since == name
                || seal.bound.contains(&name)
        });
        lock || name == table.id || Some(name) == table.tenant || Some(name) == table.person
    };
    let keyed = table.own().any(|column| column.name == table.id);
    if keyed {
        let changed: Vec<_> =
            table.own().map(|column| column.name).filter(|name| !fixed(name)).collect();
        let mut expected = row.clone();
        for (at, column) in table.own().enumerate() {
            if changed.contains(&column.name) {
                expected[at] = other[at].clone();
            }
        }
        let key = equal(table, &row, &[table.id]);
        if !changed.is_empty() && table.own().all(|column| !matches!(column.role, Role::FoundBy(_)))
        {
            let set = equal(table, &other, &changed);
            let update = |of: Vec<_>| Change::Update { table, of, set: set.clone() };
            executor::change(database, update(key.clone())).unwrap();
            let one = Select { of: key.clone(), ..any(table) };
            assert_eq!(all(database, &one), [as_read(table, &expected)], "{}", table.name);
            let nowhere = update(vec![(table.id, id_of(255, 255))]);
            let refused = executor::change(database, nowhere);
            assert!(is_refused::<D>(&refused, &StoreError::NotFound), "{}", table.name);
        }
        let plain = table.column(table.id).is_some_and(|column| column.role == Role::Plain);
        if plain {
            let gone = |must_exist| Change::Delete { table, of: key.clone(), must_exist };
            executor::change(database, gone(true)).unwrap();
            assert_eq!(all(database, &any(table)).len(), 2, "{}", table.name);
            executor::change(database, gone(false)).unwrap();
            let refused = executor::change(database, gone(true));
            assert!(is_refused::<D>(&refused, &StoreError::NotFound), "{}", table.name);
        }
    }
    clear(database, table);
}

/// What is put again changes, but for what stays; another's id is taken, and an older version is
/// passed over.
fn puts<D: Writes>(database: &mut D, table: &'static Table, kind: u8)
where
    D::Fault: std::fmt::Debug,
{
    let put = |database: &mut D, values: &[Value]| {
        executor::change(database, Change::Put { table, values: values.to_vec() })
    };
    let first = sample(table, kind, 2);
    let Some(again) = &table.again else {
        assert!(put(database, &first).is_err(), "{}", table.name);
        return;
    };
    put(database, &first).unwrap();
    let (mut second, mut expected) = (sample(table, kind, 7), first.clone());
    for (at, column) in table.own().enumerate() {
        let hangs = matches!(column.role, Role::Within | Role::Outer);
        if hangs || column.name == table.id || again.stays.contains(&column.name) {
            second[at] = first[at].clone();
        }
        expected[at] = second[at].clone();
    }
    put(database, &second).unwrap();
    assert_eq!(all(database, &any(table)), [as_read(table, &expected)], "{}", table.name);
    if again.version.is_some() {
        assert_eq!(put(database, &first).unwrap(), Wrote::PassedOver, "{}", table.name);
        assert_eq!(all(database, &any(table)), [as_read(table, &expected)], "{}", table.name);
    }
    for name in again.alike {
        let mut others = second.clone();
        let at = table.own().position(|column| column.name == *name).unwrap();
        others[at] = id_of(200, 200);
        let refused = put(database, &others);
        assert!(is_refused::<D>(&refused, &StoreError::Exists { what: table.taken }));
        assert_eq!(all(database, &any(table)), [as_read(table, &expected)], "{}", table.name);
    }
    // Without anything to seal.
    let bare = table.own().zip(&second).map(|(column, value)| match column.role == Role::Sealed {
        true => Value::Null,
        false => value.clone(),
    });
    let may_be_bare = table.own().all(|column| column.role != Role::Sealed || column.optional);
    let put = put(database, &bare.collect::<Vec<_>>());
    assert_eq!(put.is_ok(), may_be_bare, "{}", table.name);
    assert!(!may_be_bare || is_blank(table, &all(database, &any(table))[0]), "{}", table.name);
    clear(database, table);
}

fn ends<D: Writes>(database: &mut D, table: &'static Table, kind: u8)
where
    D::Fault: std::fmt::Debug,
{
    for n in 1..=3 {
        create(database, table, &sample(table, kind, n)).unwrap();
    }
    let until = now() + 2;
    let left = match table.ends {
        Ends::Never => 3,
        Ends::At(_) | Ends::After(..) => 1,
    };
    let passes = |ends| match ends {
        Ends::At(column) | Ends::After(column, _) => Some(column),
        Ends::Never => None,
    };
    assert!(!executor::delete_ended(database, until, passes).unwrap());
    assert_eq!(all(database, &any(table)).len(), left, "{}", table.name);
    clear(database, table);
}

/// Behind the destruction of a key: what is personal cannot be read before the clean-up, and is not
/// there after it.
fn forgets<D: Writes>(database: &mut D, sealer: &dyn Sealer, table: &'static Table, kind: u8)
where
    D::Fault: std::fmt::Debug,
{
    let Some(person) = table.person else { return };
    let row = sample(table, kind, 1);
    let id = |name| equal(table, &row, &[name]).pop().and_then(|of| of.1.as_id()).unwrap();
    let tenant = TenantId::from_bytes(id(table.tenant.unwrap()));
    let own: Vec<_> = table.own().map(|column| column.name).zip(row.iter().cloned()).collect();
    let lock = executor::lock_of(table, &own);
    let agent = Subject::Agent(AgentId::from_bytes(id(person)));
    let subject = lock.map_or(agent, |lock| lock.subject);
    for by_bucket in [true, false] {
        create(database, table, &row).unwrap();
        if let (Some(seal), true) = (&table.seal, !by_bucket) {
            sealer.destroy_subject(tenant, subject).unwrap();
            let rows = all(database, &any(table));
            assert_eq!(
                rows.len(),
                usize::from(seal.destroyed == Destroyed::Nameless),
                "{}",
                table.name
            );
            assert!(rows.iter().all(|row| is_blank(table, row)), "{}", table.name);
            assert!(create(database, table, &row).is_err(), "no key is made again: {}", table.name);
        }
        if by_bucket {
            let (Some(lock), Some(_)) = (lock, table.bucket()) else {
                clear(database, table);
                continue;
            };
            let number = database.bucket(&lock.bucket).unwrap();
            executor::forget_bucket(database, number).unwrap();
        } else {
            executor::forget_person(database, tenant, subject).unwrap();
        }
        let left = all(database, &any(table));
        for name in table.erased.iter().filter(|_| !by_bucket) {
            let open = equal(table, &left[0], &[name]);
            assert_eq!(open, [(*name, Value::Text(String::new()))], "{}", table.name);
        }
        match table.forgotten {
            Forgotten::Stays => panic!("{} is about a person", table.name),
            Forgotten::Deleted => assert!(left.is_empty(), "{}", table.name),
            Forgotten::Blanked { flag } => {
                assert!(left.iter().all(|row| is_blank(table, row)), "{}", table.name);
                let flag = flag.and_then(|flag| equal(table, &left[0], &[flag]).pop());
                assert!(flag.is_none_or(|(_, value)| value == Value::Number(0)));
            }
        }
        clear(database, table);
    }
}

fn is_blank(table: &'static Table, row: &[Value]) -> bool {
    let sealed = table.own().zip(row).filter(|(column, _)| column.role == Role::Sealed);
    sealed.into_iter().all(|(_, value)| *value == Value::Null)
}

#[test]
fn every_table_does_on_sqlite_what_it_declares() {
    let keys = Arc::new(KeyStore::in_memory().unwrap());
    let mut records = RecordsInMemory::new().unwrap();
    records
        .step(&*keys, NOW, |transaction| {
            conformance(transaction, &*keys);
            Ok(())
        })
        .unwrap();
}

#[test]
fn every_class_of_a_seal_is_one_that_the_sweep_or_an_erasure_ends() {
    for declared in DECLARED {
        let Some(seal) = &declared.table.seal else { continue };
        assert!(declared.table.person.is_some(), "{}", declared.table.name);
        let own = [RetentionClass::UserAccount, RetentionClass::Operational];
        let of_a_site = declared.table.column("site").is_some();
        assert!(own.contains(&seal.class) != of_a_site, "{}", declared.table.name);
        assert_eq!(declared.table.is_of_visitors(), of_a_site, "{}", declared.table.name);
    }
}
