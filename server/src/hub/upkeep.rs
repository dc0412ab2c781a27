//! What happens by itself: the start, deadlines, what is written lazily, the clock's mark.

use std::sync::Arc;
use std::time::Duration;

use protocol::reject::Reject;

use super::desk::{Contact, Header};
use super::handle::RoomHandle;
use super::{Hub, tally};
use crate::routing::Input;
use crate::store::{ReceiptRow, StoreError, Write};

/// Milliseconds between two looks at the deadlines.
const TICK_MS: u64 = 200;

/// Ticks between two writings of receipts: they are worth less than a sync each.
const TICKS_PER_RECEIPTS: u64 = 5;

/// Ticks between two looks at the clock's mark.
const TICKS_PER_HIGH_WATER: u64 = 300;

impl Hub {
    /// Brings back every conversation that was under way.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn start(&self) -> Result<(), Reject> {
        let mark = self.store.high_water().await?;
        self.times.first_marked(mark);
        let rows = self.store.conversations_live().await?;
        for row in rows {
            let desk = self.desks.get(row.tenant).await?;
            self.sites.know(row.tenant, row.site).await;
            let Some(visitor) = self.store.visitor(row.tenant, row.visitor).await? else {
                continue;
            };
            let input = Input::Restore {
                conversation: row.conversation,
                site: row.site,
                version: row.version,
                state: row.state,
                assignee: row.assignee,
                waiting_since: row.waiting_since,
                channel: row.channel,
            };
            // The store knows more; it is asked before this one is closed.
            let created_at = row.created_at;
            desk.state.lock().insert(Header::new(row, Contact::of(visitor), created_at));
            self.assignment.route(&desk, input).await?;
        }
        Ok(())
    }

    /// Runs until the shutdown begins.
    pub async fn upkeep(self: Arc<Self>, mut shutdown: tokio::sync::watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(Duration::from_millis(TICK_MS));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut ticks = 0u64;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                _ = shutdown.wait_for(|down| *down) => break,
            }
            ticks = ticks.wrapping_add(1);
            self.tick_desks().await;
            self.rooms.fill_gaps().await;
            self.lanes.forget_owed();
            if ticks.is_multiple_of(TICKS_PER_RECEIPTS) {
                self.write_receipts();
                self.tally_standing();
                self.conversations.close_abandoned(ticks / TICKS_PER_RECEIPTS).await;
            }
            if ticks.is_multiple_of(TICKS_PER_HIGH_WATER) {
                self.follow_high_water().await;
                self.forget_dead();
            }
        }
        self.write_receipts();
        self.follow_high_water().await;
    }

    /// Deadlines, grace, sessions that are over, positions far behind in the queue, and headers
    /// that could not be written before.
    pub(super) async fn tick_desks(&self) {
        for desk in self.desks.all() {
            let now = self.times.now();
            self.presence.tick(&desk, now);
            let (due, positions, unwritten) = {
                let mut state = desk.state.lock();
                let due = state.routing.next_deadline().is_some_and(|deadline| deadline <= now);
                let positions = state.routing.tell_positions();
                (due, positions, std::mem::take(&mut state.unwritten))
            };
            // Nothing is written with them, so that nothing can fail.
            self.assignment.run(&desk, positions).await.unwrap_or_default();
            if due && let Err(reject) = self.assignment.route(&desk, Input::Tick).await {
                tracing::warn!(tenant_id = %desk.tenant, reject_code = reject.code.word(), "the queue's change was not written; it will be");
            }
            if !unwritten.is_empty() && self.desks.persist(&desk, &unwritten).await.is_ok() {
                tracing::info!(tenant_id = %desk.tenant, "conversations that waited for the store are written");
            }
        }
    }

    /// Sets what is the sum over everything that lives.
    pub(super) fn tally_standing(&self) {
        let (desks, rooms) = (self.desks.all(), self.rooms.len());
        tally::standing(&self.metrics, &desks, rooms, self.times.now());
    }

    pub(super) fn write_receipts(&self) {
        for room in self.rooms.all() {
            self.write_floor(&room);
            let looked = room.with(|live| {
                let dirty = live.take_dirty_receipts();
                (live.tenant(), live.conversation(), dirty, live.is_idle())
            });
            let Ok((tenant, conversation, dirty, is_idle)) = looked else { continue };
            let writes: Vec<_> = dirty
                .into_iter()
                .flatten()
                .map(|receipts| {
                    Write::Receipt(ReceiptRow {
                        tenant,
                        conversation,
                        author: receipts.author,
                        delivered: receipts.delivered,
                        seen: receipts.seen,
                    })
                })
                .collect();
            // Lost receipts cost nobody a word: they are set again by the next one seen.
            if !writes.is_empty()
                && let Ok(slot) = self.store.try_reserve()
            {
                slot.write(writes, Box::new(|_| {}));
            }
            // Somebody who was never in it may have loaded it, such as a program that says
            // something.
            if is_idle {
                self.desks.drop_if_idle(conversation);
            }
        }
    }

    /// Where the newest sequence numbers became void: the store is told that they were given, so
    /// that the room can be dropped.
    fn write_floor(&self, room: &RoomHandle) {
        let floor = room
            .with(|live| Some((live.tenant(), live.conversation(), live.sequencer().unlasting()?)));
        let Ok(Some((tenant, conversation, seq))) = floor else { return };
        let Ok(slot) = self.store.try_reserve() else { return };
        let (desks, room) = (Arc::clone(&self.desks), room.clone());
        let outcome = move |outcome: Result<(), StoreError>| {
            if outcome.is_ok() && room.with(|live| live.sequencer_mut().lasts(seq)).is_ok() {
                desks.drop_if_idle(conversation);
            }
        };
        slot.write(vec![Write::Floor { tenant, conversation, seq }], Box::new(outcome));
    }

    /// The mark is the sweep's to raise; the reads follow it.
    async fn follow_high_water(&self) {
        if let Ok(stored) = self.store.high_water().await {
            // Lower than before only where the operator lowered it.
            self.times.marked(stored);
        }
    }

    /// Takes out of memory what the sweep may destroy: by the mark, for it does not come back.
    fn forget_dead(&self) {
        let mark = self.times.marked_day();
        let dead = |site, class, day| self.sites.is_due(site, (class, day), mark);
        for desk in self.desks.all() {
            desk.state.lock().forget(&dead);
        }
        for room in self.rooms.all() {
            // One that was dropped meanwhile keeps nothing.
            room.with(|live| {
                live.sequencer_mut().forget_dead(|tag| dead(tag.site, tag.class, tag.ingest_day))
            })
            .unwrap_or_default();
        }
    }
}
