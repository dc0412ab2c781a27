//! SQLite's side of records: runs the statements that are made of their declarations.
//!
//! Not here: what a statement says (`store/record/statement`), what is sealed
//! (`store/record/executor`).

use protocol::ids::{AgentId, SiteId, TenantId};
use protocol::time::UnixMillis;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row as SqlRow, ToSql, params_from_iter};

use super::fault::Fault;
use super::feed::Changed;
use super::read::Reader;
use super::transaction::Transaction;
use crate::privacy::audit::{Act, Action, Actor, ActorKind, ChainId, Detail};
use crate::privacy::seal::{Bucket, Sealer, Subject};
use crate::privacy::sweep::{may_confirm, may_lower};
use crate::store::record::accounts::ClockNote;
use crate::store::record::executor::{self, Asks, Noted, Writes};
use crate::store::record::statement::{Dialect, Statement};
use crate::store::record::{Change, Ends, Row, Select, Table, Value};
use crate::store::{ClockAct, StoreError, Wrote};

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Number(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

fn values(row: &SqlRow<'_>, count: usize) -> Result<Vec<Value>, Fault> {
    let value = |index| {
        Ok(match row.get_ref(index)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => Value::Number(number),
            ValueRef::Text(_) => Value::Text(row.get(index)?),
            ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
            ValueRef::Real(_) => return Err(Fault::Row("value")),
        })
    };
    (0..count).map(value).collect()
}

fn query(connection: &Connection, statement: &Statement) -> Result<Vec<Vec<Value>>, Fault> {
    let mut prepared = connection.prepare_cached(&statement.sql)?;
    let count = prepared.column_count();
    let mut rows = prepared.query(params_from_iter(&statement.values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(values(row, count)?);
    }
    Ok(found)
}

macro_rules! asks {
    ($asker:ty) => {
        impl Asks for $asker {
            type Fault = Fault;
            const DIALECT: Dialect = Dialect::Sqlite;

            fn query(&self, statement: &Statement) -> Result<Vec<Vec<Value>>, Fault> {
                query(self.connection, statement)
            }

            fn sealer(&self) -> &dyn Sealer {
                self.sealer
            }

            fn now(&self) -> i64 {
                i64::try_from(self.now.0).unwrap_or(i64::MAX)
            }

            fn damaged(what: &'static str) -> Fault {
                Fault::Row(what)
            }
        }
    };
}

asks!(Reader<'_>);
asks!(Transaction<'_>);

impl Writes for Transaction<'_> {
    fn execute(&self, statement: &Statement) -> Result<usize, Fault> {
        Transaction::execute(self, &statement.sql, params_from_iter(&statement.values))
    }

    fn bucket(&mut self, bucket: &Bucket) -> Result<i64, Fault> {
        self.bucket_id(bucket)
    }

    fn taken(fault: Fault, what: &'static str) -> Fault {
        fault.exists(what)
    }

    fn noted(
        &mut self,
        table: &'static Table,
        tenant: TenantId,
        noted: &Noted,
    ) -> Result<(), Fault> {
        let Some(kind) = table.feed else { return Ok(()) };
        let Noted { object, person: subject, version, .. } = *noted;
        let site = (table.name == "sites").then(|| SiteId::from_bytes(object)).or(noted.site);
        self.note_change(tenant, &Changed { site, kind, object, version, subject })
    }

    fn refused(fault: &Fault) -> Option<&StoreError> {
        if let Fault::Refused(error) = fault { Some(error) } else { None }
    }
}

impl Transaction<'_> {
    pub(super) fn change(&mut self, change: Change) -> Result<Wrote, Fault> {
        let is_of_readers = change.table().name == "feed_readers";
        let wrote = executor::change(self, change)?;
        if is_of_readers {
            self.memory.readers = None;
        }
        Ok(wrote)
    }

    /// Behind the destruction of an agent's key: what it sealed goes, and the hash by which their
    /// address could be looked for. Their id stays, for transcripts name it.
    pub(in crate::store) fn forget_agent(
        &mut self,
        tenant: TenantId,
        agent: AgentId,
    ) -> Result<(), Fault> {
        let forgotten = executor::forget_person(self, tenant, Subject::Agent(agent))?;
        match forgotten.iter().any(|(table, rows)| table.name == "agents" && *rows > 0) {
            true => Ok(()),
            false => Err(StoreError::NotFound.into()),
        }
    }

    /// Some of the sessions, invitations and password links that are over; whether there may be
    /// more.
    pub(in crate::store) fn delete_ended(&mut self, at: UnixMillis) -> Result<bool, Fault> {
        let events = self.feed_forget(at.day())?;
        let at = i64::try_from(at.0).unwrap_or(i64::MAX);
        let more = executor::delete_ended(self, at, |ends| match ends {
            Ends::At(column) => Some(column),
            Ends::Never | Ends::After(..) => None,
        })?;
        Ok(more || events)
    }

    /// Some of the answers that were kept until this moment; whether there may be more.
    pub(in crate::store) fn answers_forget(&mut self, until: UnixMillis) -> Result<bool, Fault> {
        let until = i64::try_from(until.0).unwrap_or(i64::MAX);
        executor::delete_ended(self, until, |ends| match ends {
            Ends::After(column, _) => Some(column),
            Ends::Never | Ends::At(_) => None,
        })
    }

    pub(in crate::store) fn raise_high_water(&mut self, at: UnixMillis) -> Result<(), Fault> {
        self.execute("UPDATE meta SET high_water = max(high_water, ?1)", [at.0]).map(drop)
    }

    pub(in crate::store) fn destroying(&mut self, by: UnixMillis) -> Result<bool, Fault> {
        let sql = "UPDATE meta SET destroyed_by = max(destroyed_by, ?1) WHERE high_water >= ?1";
        Ok(self.execute(sql, [by.0])? > 0)
    }

    /// The operator's word on the clock, if it may count.
    pub(in crate::store) fn clock_act(&mut self, act: ClockAct) -> Result<bool, Fault> {
        let sql = "SELECT high_water, destroyed_by FROM meta";
        let (mark, destroyed_by) = self
            .connection
            .query_row(sql, [], |row| Ok((UnixMillis(row.get(0)?), UnixMillis(row.get(1)?))))?;
        let allowed = if act.lower {
            may_lower(mark, act.wall, destroyed_by)
        } else {
            may_confirm(mark, act.wall)
        };
        if !allowed {
            return Ok(false);
        }
        if act.lower {
            self.execute("UPDATE meta SET high_water = ?1", [act.wall.0])?;
        }
        let code = 1 + u16::from(act.lower);
        let note = ClockNote { at: act.wall, key: act.key, act: code, mark_before: mark };
        self.change(Change::create(note))?;
        let action = if act.lower { Action::ClockLowered } else { Action::ClockConfirmed };
        let actor = Actor::new(ActorKind::Operator, *act.key.as_bytes());
        let moment = |at: UnixMillis| i64::try_from(at.0).unwrap_or(i64::MAX);
        let audited = Act::new(ChainId::OPERATOR, act.wall, actor, action)
            .with(Detail::OldMark, moment(mark))
            .with(Detail::NewMark, moment(if act.lower { act.wall } else { mark }));
        self.change(Change::audit(audited))?;
        Ok(true)
    }
}

impl Reader<'_> {
    pub(in crate::store) fn select(&self, select: &Select) -> Result<Vec<Row>, Fault> {
        executor::select(self, select)
    }

    pub(in crate::store) fn high_water(&self) -> Result<UnixMillis, Fault> {
        let sql = "SELECT high_water FROM meta";
        Ok(UnixMillis(self.connection.query_row(sql, [], |row| row.get(0))?))
    }
}
