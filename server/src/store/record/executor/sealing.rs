//! How a row is sealed and opened: its lock, what its values are bound to, and the keyed hashes by
//! which it is found.
//!
//! Not here: when that is done (the executor).

use protocol::ids::{AgentId, ConversationId, SiteId, VisitorId};
use protocol::time::Day;

use super::{Asks, Writes, get, tenant_of};
use crate::privacy::seal::{Bucket, Lock, RecordKind, SealError, Subject};
use crate::store::record::change::Equal;
use crate::store::record::{
    Column, Destroyed, Entity, FoundBy, Role, Row, Seal, SealKind, Table, Value,
};
use crate::store::{StoreError, sealed};

/// A value as it stands in its column, where that is a keyed hash.
pub(super) fn looked_for<D: Asks + ?Sized>(
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

pub(super) fn hash<D: Asks + ?Sized>(
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

/// A table's keyed hashes of sealed columns.
pub(super) fn hashes(table: &'static Table) -> impl Iterator<Item = (&'static Column, FoundBy)> {
    table.columns.iter().filter_map(|column| {
        let Role::FoundBy(by @ FoundBy { of: Some(_), .. }) = column.role else { return None };
        Some((column, by))
    })
}

/// The lock of a row.
pub(in crate::store) fn lock_of(table: &Table, row: &[Equal]) -> Option<Lock> {
    let (seal, person) = (table.seal.as_ref()?, get(row, table.person?)?.as_id()?);
    let since = get(row, seal.since)?.as_moment()?;
    let site = || get(row, "site")?.as_id().map(SiteId::from_bytes);
    let (of_agent, of_visitor) = (AgentId::from_bytes(person), VisitorId::from_bytes(person));
    let (site, day, subject, kind) = match seal.kind {
        SealKind::Account => (None, since.day(), Subject::Agent(of_agent), RecordKind::Account),
        SealKind::Contact => {
            let day = Day(u16::try_from(since.0).ok()?);
            (Some(site()?), day, Subject::Visitor(of_visitor), RecordKind::Contact)
        }
        SealKind::Draft => {
            let day = Day(u16::try_from(since.0).ok()?);
            let id = ConversationId::from_bytes(get(row, "conversation")?.as_id()?);
            (Some(site()?), day, Subject::Visitor(of_visitor), RecordKind::Draft(id))
        }
        SealKind::Header => {
            let id = ConversationId::from_bytes(get(row, table.id)?.as_id()?);
            let kind = RecordKind::Conversation(id);
            (Some(site()?), since.day(), Subject::Visitor(of_visitor), kind)
        }
    };
    let other = seal.or_class.filter(|(flag, _)| get(row, flag) == Some(&Value::Number(1)));
    let class = other.map_or(seal.class, |(_, class)| class);
    Some(Lock { bucket: Bucket { tenant: tenant_of(table, row), site, class, day }, subject, kind })
}

/// The lock that a row needs, where it has anything to seal.
pub(in crate::store) fn lock_needed<E: Entity>(row: E) -> Option<Lock> {
    let columns = E::TABLE.own();
    let row: Vec<Equal> = columns.map(|column| column.name).zip(row.into_values()).collect();
    let sealed = E::TABLE
        .own()
        .zip(&row)
        .find(|(column, (_, value))| column.role == Role::Sealed && *value != Value::Null);
    sealed.and_then(|_| lock_of(E::TABLE, &row))
}

pub(super) fn lock<D: Asks + ?Sized>(table: &Table, row: &[Equal]) -> Result<Lock, D::Fault> {
    lock_of(table, row).ok_or_else(|| D::damaged(table.name))
}

/// What a sealed value is bound to.
pub(super) fn bound<D: Asks + ?Sized>(
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
pub(super) fn open<D: Asks + ?Sized>(
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

/// Whether a row is put without what it sealed, once a key of it is destroyed.
pub(super) fn may_stand_without(table: &Table) -> bool {
    let is_nameless = |seal: &Seal| seal.destroyed == Destroyed::Nameless;
    table.again.is_some() && table.seal.as_ref().is_some_and(is_nameless)
}

/// A row's lock, with its keys made; none where one is destroyed and the row may stand without what
/// it sealed.
pub(super) fn prepared<D: Writes + ?Sized>(
    database: &D,
    table: &'static Table,
    row: &[Equal],
) -> Result<Option<Lock>, D::Fault> {
    let lock = lock::<D>(table, row)?;
    match database.sealer().prepare(&[lock]) {
        Ok(()) => Ok(Some(lock)),
        Err(SealError::Destroyed) if may_stand_without(table) => Ok(None),
        Err(SealError::Destroyed) => Err(StoreError::NotFound.into()),
        Err(error) => Err(error.into()),
    }
}
