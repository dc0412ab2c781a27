//! Records, which SQLite keeps in memory, and what is asked of them with each page: a site's
//! timeline.

use std::collections::HashMap;

use protocol::ids::SiteId;

use super::Shared;
use crate::metrics::StoreOp;
use crate::privacy::policy::SiteTimeline;
use crate::store::record::{Entity as _, Select, is};
use crate::store::sqlite::{Fault, Reader, RecordsInMemory, Transaction};
use crate::store::{SiteRow, StoreError};

/// All of them, under one lock; no message passes here.
pub(super) struct MemoryRecords {
    pub(super) sqlite: RecordsInMemory,
    /// Of sites that were asked for since one was written.
    pub(super) timelines: HashMap<SiteId, Option<SiteTimeline>>,
}

impl MemoryRecords {
    /// `None` where there is no memory for them.
    pub(super) fn new() -> Option<Self> {
        let sqlite = RecordsInMemory::new().ok()?;
        Some(Self { sqlite, timelines: HashMap::new() })
    }
}

/// Where there are none.
pub(super) fn no_records() -> Fault {
    StoreError::Unavailable { act: "keep records in memory" }.into()
}

impl Shared {
    pub(super) fn read_records<T>(
        &self,
        act: &'static str,
        read: impl FnOnce(&Reader<'_>) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let records = self.records.lock();
        let outcome = match records.as_ref() {
            Some(records) => records.sqlite.read(&*self.sealer, self.clock.now(), read),
            None => Err(no_records()),
        };
        drop(records);
        outcome.map_err(|fault| {
            if !matches!(fault, Fault::Refused(_)) {
                self.stats.failed(StoreOp::Read);
            }
            fault.told(act)
        })
    }

    /// A change of its own, all of it or nothing.
    pub(super) fn write_records<T>(
        &self,
        act: &'static str,
        write: impl FnOnce(&mut Transaction<'_>) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let mut records = self.records.lock();
        let outcome = match records.as_mut() {
            Some(MemoryRecords { sqlite, .. }) => {
                let outcome = sqlite.step(&*self.sealer, self.clock.now(), write);
                sqlite.end(outcome.is_ok()).and(outcome)
            }
            None => Err(no_records()),
        };
        drop(records);
        outcome.map_err(|fault| self.records_failed(fault, act))
    }

    pub(super) fn records_failed(&self, fault: Fault, act: &'static str) -> StoreError {
        if matches!(fault, Fault::Keys(_)) {
            self.stats.failed(StoreOp::Keys);
        }
        fault.told(act)
    }

    /// Of this site; `None` where it is not known.
    pub(super) fn timeline(&self, site: SiteId) -> Option<SiteTimeline> {
        let mut records = self.records.lock();
        let records = records.as_mut()?;
        if let Some(known) = records.timelines.get(&site) {
            return known.clone();
        }
        let of = Select::all::<SiteRow>(vec![is("site", site)]);
        let found =
            records.sqlite.read(&*self.sealer, self.clock.now(), |reader| reader.select(&of));
        let found = found.map_err(|fault| fault.told("read a site")).ok()?.pop();
        let timeline = found.and_then(SiteRow::from_row).map(|row| row.timeline);
        records.timelines.insert(site, timeline.clone());
        timeline
    }
}
