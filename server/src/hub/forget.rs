//! What is held here about people, and how it is let go of: crypto-shredding reaches rows, not
//! copies in memory.
//!
//! Lives here: the list of those places, beside the inventory, and what screens are told. Not here:
//! keys (`keys`), rows (`store`), what is over by its day (`upkeep`), the order of an erasure's
//! steps (`erasure`, which calls it).

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use protocol::frame::ServerFrame;
use protocol::ids::{ConversationId, TenantId, VisitorId};
use protocol::personal::Personal;
use protocol::reject::{CloseCode, Reject, RejectCode};

use super::Hub;
use super::fanout::{EncodedFrame, FrameSink};
use super::speaker::Actor;
use crate::erasure::Screens;
use crate::privacy::envelope::Tag;
use crate::privacy::gate::Reader;
use crate::privacy::seal::{Bucket, Subject};
use crate::store::inventory::InMemory;

impl Hub {
    /// Every place in memory that has something about a person.
    pub const HELD: &'static [InMemory<Self>] = &[
        InMemory {
            name: "live rooms",
            forget_subject: |hub, tenant, subject| {
                hub.forget_said(|tag| {
                    tag.tenant == tenant && Subject::Visitor(tag.subject) == subject
                });
            },
            forget_bucket: |hub, bucket| {
                hub.forget_said(|tag| {
                    let Tag { tenant, site, class, ingest_day: day, .. } = *tag;
                    *bucket == Bucket { tenant, site: Some(site), class, day }
                });
            },
        },
        InMemory {
            name: "desks",
            forget_subject: Self::forget_on_desk,
            forget_bucket: Self::forget_headers,
        },
        InMemory {
            name: "caches of sites, sessions and keys",
            forget_subject: |hub, tenant, subject| {
                let Some(desk) = hub.desks.live(tenant) else { return };
                let Subject::Agent(agent) = subject else { return };
                let sinks = desk.state.lock().agent_sinks(agent);
                sinks.iter().for_each(|sink| sink.close(CloseCode::NotAuthenticated));
            },
            // Ids and hashes, which no bucket has.
            forget_bucket: |_, _| {},
        },
    ];

    /// Tells every screen on which these conversations stand that they are erased.
    fn tell_forgotten(&self, tenant: TenantId, conversations: &[ConversationId]) {
        let desk = self.desks.live(tenant);
        let mut flush: Vec<Arc<dyn FrameSink>> = Vec::new();
        for conversation in conversations {
            let board = desk.as_ref().map(|desk| desk.state.lock().board.clone());
            let mut sinks = board.unwrap_or_default();
            for reader in [Reader::Agents, Reader::Visitor] {
                sinks.extend(self.rooms.sinks(*conversation, reader));
            }
            let forget = ServerFrame::Forget { conversation: *conversation, messages: None };
            let frame = EncodedFrame::new(forget);
            let mut told = BTreeSet::new();
            sinks.retain(|sink| told.insert(sink.connection()));
            for sink in &sinks {
                sink.append(&frame);
            }
            flush.extend(sinks);
        }
        for sink in flush {
            sink.flush();
        }
    }

    /// Their browsers come back as somebody new.
    fn close_visitor(&self, tenant: TenantId, visitor: VisitorId) {
        let Some(desk) = self.desks.live(tenant) else { return };
        let guest = desk.state.lock().visitors.get(&visitor).map(|guest| guest.sinks.clone());
        for sink in guest.unwrap_or_default() {
            sink.close(CloseCode::NotAuthenticated);
        }
    }

    /// Newest messages of live rooms.
    fn forget_said(&self, goes: impl Fn(&Tag) -> bool) {
        for room in self.rooms.all() {
            // One that was dropped meanwhile keeps nothing.
            room.with(|live| live.sequencer_mut().forget_dead(&goes)).unwrap_or_default();
        }
    }

    /// A visitor's headers, contact data and page; an agent's name and address.
    fn forget_on_desk(&self, tenant: TenantId, subject: Subject) {
        let Some(desk) = self.desks.live(tenant) else { return };
        let mut state = desk.state.lock();
        match subject {
            Subject::Visitor(visitor) => {
                let theirs = state.headers.values_mut();
                for header in theirs.filter(|header| header.row.visitor == visitor) {
                    header.forget_form();
                    header.forget_contact();
                    header.newest = None;
                }
                if let Some(guest) = state.visitors.get_mut(&visitor) {
                    guest.page = None;
                }
            }
            Subject::Agent(agent) => {
                if let Some(seat) = state.agents.get_mut(&agent) {
                    seat.row.name = Personal::default();
                    seat.row.email = Personal::default();
                    seat.row.active = false;
                }
            }
        }
    }

    /// Forms, pages and contact data that were sealed in a bucket.
    fn forget_headers(&self, bucket: &Bucket) {
        let Some(desk) = self.desks.live(bucket.tenant) else { return };
        let goes = |site, class, day| {
            *bucket == Bucket { tenant: bucket.tenant, site: Some(site), class, day }
        };
        desk.state.lock().forget(&goes);
    }
}

#[async_trait]
impl Screens for Hub {
    async fn end_conversations(&self, tenant: TenantId, visitor: VisitorId) -> Result<(), Reject> {
        for conversation in self.desks.open_conversations(tenant, visitor).await? {
            let closed = self.conversations.close(tenant, Actor::Program, conversation).await;
            match closed {
                Err(reject) if reject.code != RejectCode::NotFound => return Err(reject),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn forget(&self, tenant: TenantId, subject: Subject, conversations: &[ConversationId]) {
        for place in Self::HELD {
            (place.forget_subject)(self, tenant, subject);
        }
        self.tell_forgotten(tenant, conversations);
        if let Subject::Visitor(visitor) = subject {
            self.close_visitor(tenant, visitor);
        }
    }
}
