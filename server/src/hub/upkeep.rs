//! What happens by itself: the start, deadlines, what is written lazily, the clock's mark.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use protocol::conversation::Presence;
use protocol::ids::{MessageId, TenantId};
use protocol::reject::Reject;
use protocol::time::UnixMillis;
use uuid::{NoContext, Timestamp, Uuid};

use super::desk::{Desk, Header};
use super::shard::RoomHandle;
use super::{Hub, store_reject};
use crate::privacy::sweep::is_due;
use crate::routing::Input;
use crate::store::{MarkRow, StoreError, Write};

/// Milliseconds between two looks at the deadlines.
const TICK_MS: u64 = 200;

/// Ticks between two writings of marks: they are worth less than a sync each.
const TICKS_PER_MARKS: u64 = 5;

/// Ticks between two looks at the clock's mark.
const TICKS_PER_HIGH_WATER: u64 = 300;

impl Hub {
    /// Brings back every conversation that was under way.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn start(self: &Arc<Self>) -> Result<(), Reject> {
        let mark = self.store.high_water().await.map_err(|error| store_reject(&error))?;
        self.first_marked(mark);
        let rows = self.store.conversations_live().await.map_err(|error| store_reject(&error))?;
        for row in rows {
            let desk = self.desk(row.tenant).await?;
            self.know_site(row.tenant, row.site).await;
            let visitor = self.store.visitor(row.tenant, row.visitor).await;
            let Some(visitor) = visitor.map_err(|error| store_reject(&error))? else { continue };
            let input = Input::Restore {
                conversation: row.conversation,
                site: row.site,
                version: row.version,
                state: row.state,
                assignee: row.assignee,
                waiting_since: row.waiting_since,
                offline_message: row.offline_message,
            };
            // The store knows more; it is asked before this one is closed.
            let created_at = row.created_at;
            desk.state.lock().insert(Header::new(row, visitor, created_at));
            self.route(&desk, input).await?;
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
            self.turn_desks().await;
            self.fill_gaps().await;
            self.forget_owed();
            if ticks.is_multiple_of(TICKS_PER_MARKS) {
                self.write_marks();
                self.tally_standing();
                self.close_abandoned(ticks / TICKS_PER_MARKS).await;
            }
            if ticks.is_multiple_of(TICKS_PER_HIGH_WATER) {
                self.follow_high_water().await;
                self.forget_dead();
            }
        }
        self.write_marks();
        self.follow_high_water().await;
    }

    /// Deadlines, grace, sessions that are over, places far behind in the line, and headers that could not be written
    /// before.
    pub(super) async fn turn_desks(self: &Arc<Self>) {
        for desk in self.all_desks() {
            let now = self.now();
            Self::close_lines(&desk, |line| now >= line.expires_at);
            let (due, places, unwritten, gone) = {
                let mut state = desk.state.lock();
                let due = state.routing.next_deadline().is_some_and(|deadline| deadline <= now);
                let grace_ms = self.config.visitor_grace_ms;
                let mut gone = Vec::new();
                state.visitors.retain(|visitor, guest| {
                    let over = guest.lost_at.is_some_and(|lost| now.ms_since(lost) >= grace_ms);
                    if over && guest.presence == Presence::Connected {
                        gone.push(*visitor);
                    }
                    !over
                });
                gone.iter().for_each(|visitor| state.left(*visitor, now));
                let places = state.routing.tell_places();
                (due, places, std::mem::take(&mut state.unwritten), gone)
            };
            // Nothing is written with them, so that nothing can fail.
            self.run(&desk, places).await.unwrap_or_default();
            for visitor in gone {
                self.tell_presence(&desk, visitor);
            }
            if due && let Err(reject) = self.route(&desk, Input::Tick).await {
                tracing::warn!(tenant_id = %desk.tenant, reject_code = reject.code.word(), "the queue's change was not written; it will be");
            }
            if !unwritten.is_empty() && self.persist(&desk, &unwritten).await.is_ok() {
                tracing::info!(tenant_id = %desk.tenant, "conversations that waited for the store are written");
            }
        }
    }

    fn write_marks(self: &Arc<Self>) {
        for room in self.rooms.all() {
            self.write_floor(&room);
            let dirty = room.with(|live| {
                let marks = live.take_dirty_marks()?;
                Some((live.tenant(), live.conversation(), marks))
            });
            let Ok(Some((tenant, conversation, marks))) = dirty else { continue };
            let writes = marks
                .into_iter()
                .map(|marks| {
                    Write::Mark(MarkRow {
                        tenant,
                        conversation,
                        author: marks.author,
                        delivered: marks.delivered,
                        seen: marks.seen,
                    })
                })
                .collect();
            // Lost marks cost nobody a word: they are set again by the next one seen.
            if let Ok(slot) = self.store.try_reserve() {
                slot.write(writes, Box::new(|_| {}));
            }
            self.drop_if_idle(conversation);
        }
    }

    /// Where the newest places became void: the store is told that they were given, so that the room can be
    /// dropped.
    fn write_floor(self: &Arc<Self>, room: &RoomHandle) {
        let floor = room
            .with(|live| Some((live.tenant(), live.conversation(), live.sequencer().unlasting()?)));
        let Ok(Some((tenant, conversation, seq))) = floor else { return };
        let Ok(slot) = self.store.try_reserve() else { return };
        let (hub, room) = (Arc::clone(self), room.clone());
        let fate = move |fate: Result<(), StoreError>| {
            if fate.is_ok() && room.with(|live| live.sequencer_mut().lasts(seq)).is_ok() {
                hub.drop_if_idle(conversation);
            }
        };
        slot.write(vec![Write::Floor { tenant, conversation, seq }], Box::new(fate));
    }

    /// The mark is the sweep's to raise; the reads follow it.
    async fn follow_high_water(&self) {
        if let Ok(stored) = self.store.high_water().await {
            // Lower than before only where the operator lowered it.
            self.marked(stored);
        }
    }

    /// Every desk that is loaded; the map is let go of before any of them is locked.
    pub(super) fn all_desks(&self) -> Vec<Arc<Desk>> {
        self.desks.iter().filter_map(|cell| cell.get().cloned()).collect()
    }

    /// Takes out of memory what the sweep may destroy: by the mark, for it does not come back.
    fn forget_dead(&self) {
        let mark = self.high_water.lock().mark.day();
        let dead = |site, class, day| {
            self.live_site(site).is_some_and(|site| is_due(&site.row.timeline, class, day, mark))
        };
        for desk in self.all_desks() {
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

    /// A fresh id for a line of the system.
    pub(super) fn message_id(now: UnixMillis) -> MessageId {
        let nanos = u32::try_from(now.0 % 1_000).unwrap_or(0) * 1_000_000;
        MessageId::from_uuid(Uuid::new_v7(Timestamp::from_unix(NoContext, now.0 / 1_000, nanos)))
    }

    /// Headers that wait for the store, for tests and readiness.
    pub fn unwritten(&self, tenant: TenantId) -> BTreeSet<protocol::ids::ConversationId> {
        self.live_desk(tenant).map(|desk| desk.state.lock().unwritten.clone()).unwrap_or_default()
    }
}
