//! The feed in the database: written in the transaction of the change, read in its order.

use std::collections::HashMap;

use protocol::ids::{SiteId, TenantId};
use protocol::time::Day;
use rusqlite::{OptionalExtension as _, params};

use super::fault::Fault;
use super::read::Reader;
use super::transaction::Transaction;
use crate::store::feed::{FEED_DAYS, FeedEvent};

/// Events that one transaction deletes.
const ENDED_AT_ONCE: u16 = 500;

/// What of an event is not the same for all of one thing.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Changed {
    pub(in crate::store) site: Option<SiteId>,
    pub(in crate::store) kind: u8,
    pub(in crate::store) object: [u8; 16],
    pub(in crate::store) version: u64,
    pub(in crate::store) subject: Option<[u8; 16]>,
}

/// Whose feed is read, and sites that were named in it: the numbers of their rows.
#[derive(Debug, Default)]
pub(super) struct Readers {
    tenants: HashMap<TenantId, i64>,
    sites: HashMap<SiteId, i64>,
}

impl Transaction<'_> {
    /// Whether anybody's feed is read at all: nearly always nobody's, and then nothing is looked
    /// for.
    pub(in crate::store) fn feeds(&mut self) -> Result<bool, Fault> {
        Ok(!self.readers()?.tenants.is_empty())
    }

    fn readers(&mut self) -> Result<&mut Readers, Fault> {
        let read = match self.memory.readers.take() {
            Some(known) => known,
            None => {
                let tenants = self
                    .connection
                    .prepare_cached(
                        "SELECT tenant, id FROM tenants
                     WHERE tenant IN (SELECT tenant FROM feed_readers)",
                    )?
                    .query_map([], |row| Ok((TenantId::from_bytes(row.get(0)?), row.get(1)?)))?
                    .collect::<Result<_, _>>()?;
                Readers { tenants, sites: HashMap::new() }
            }
        };
        Ok(self.memory.readers.insert(read))
    }

    /// The number of a site's row, 0 where there is none.
    fn site_number(&mut self, site: SiteId) -> Result<i64, Fault> {
        if let Some(known) = self.readers()?.sites.get(&site) {
            return Ok(*known);
        }
        let mut statement =
            self.connection.prepare_cached("SELECT id FROM sites WHERE site = ?1")?;
        let found = statement.query_row([site.as_bytes()], |row| row.get(0)).optional()?;
        if let Some(number) = found {
            self.readers()?.sites.insert(site, number);
        }
        Ok(found.unwrap_or(0))
    }

    /// Notes a change, where somebody reads of it.
    pub(in crate::store) fn note_change(
        &mut self,
        tenant: TenantId,
        changed: &Changed,
    ) -> Result<(), Fault> {
        let Some(tenant) = self.readers()?.tenants.get(&tenant).copied() else { return Ok(()) };
        let Changed { site, kind, object, version, subject } = changed;
        let site = site.map_or(Ok(0), |site| self.site_number(site))?;
        self.execute(
            "INSERT INTO feed (tenant, site, kind, object, version, subject, day)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![tenant, site, kind, object, version, subject, self.now.day().0],
        )?;
        Ok(())
    }

    /// Some of the events that are too old; whether there may be more.
    pub(super) fn feed_forget(&mut self, today: Day) -> Result<bool, Fault> {
        let until = today.0.saturating_sub(FEED_DAYS);
        // They lie in the order of their days.
        let gone = self.execute(
            "DELETE FROM feed WHERE id IN (SELECT id FROM feed ORDER BY id LIMIT ?2) AND day < ?1",
            params![until, ENDED_AT_ONCE],
        )?;
        Ok(gone >= usize::from(ENDED_AT_ONCE))
    }
}

impl Reader<'_> {
    /// Events after a position, in the order of their commits.
    pub(in crate::store) fn feed(
        &self,
        tenant: TenantId,
        after: u64,
        limit: u16,
    ) -> Result<Vec<FeedEvent>, Fault> {
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let mut statement = self.connection.prepare_cached(
            "SELECT f.id, s.site, f.kind, f.object, f.version, f.subject, f.day
             FROM feed f LEFT JOIN sites s ON s.id = f.site
             WHERE f.tenant = (SELECT id FROM tenants WHERE tenant = ?1) AND f.id > ?2
             ORDER BY f.id LIMIT ?3",
        )?;
        let events = statement.query_map(params![tenant.as_bytes(), after, limit], |row| {
            let site: Option<[u8; 16]> = row.get(1)?;
            Ok(FeedEvent {
                position: row.get(0)?,
                site: site.map(SiteId::from_bytes),
                kind: row.get(2)?,
                object: row.get(3)?,
                version: row.get(4)?,
                subject: row.get(5)?,
                day: Day(row.get(6)?),
            })
        })?;
        Ok(events.collect::<Result<_, _>>()?)
    }

    /// The position of the newest event of all, 0 before the first.
    pub(in crate::store) fn feed_end(&self) -> Result<u64, Fault> {
        let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'feed'";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row([], |row| row.get(0)).optional()?.unwrap_or_default())
    }
}
