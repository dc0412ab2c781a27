//! Presence: which agents and visitors are connected, on which pages they stand, and when they are
//! gone. It is a fact, where availability is a choice.
//!
//! Not here: sockets (`gateway`), who is in a conversation (`attend`), what an agent's coming and
//! going means for what they have (`routing`).

use std::sync::Arc;

use protocol::conversation::{PageView, Presence as There, SiteAvailability, VisitorCard};
use protocol::frame::ServerFrame;
use protocol::ids::{ConversationId, SessionId, VisitorId};
use protocol::reject::{CloseCode, Reject};
use protocol::time::UnixMillis;
use smallvec::SmallVec;

use super::assignment::Assignment;
use super::desk::{AgentConnection, Desk, Guest};
use super::desks::Desks;
use super::fanout::{FrameSink, tell_all};
use super::form::checked_page;
use super::pages::PageOrigins;
use super::reject::not_found;
use super::sites::Sites;
use super::speaker::{Speaker, Who};
use super::times::Times;
use crate::origin::allowed_origin;
use crate::privacy::envelope::Flags;
use crate::routing::Input;
use crate::store::SiteRow;

/// Everyone's connections.
#[derive(Debug)]
pub(crate) struct Presence {
    pub(super) times: Arc<Times>,
    pub(super) sites: Arc<Sites>,
    pub(super) desks: Arc<Desks>,
    pub(super) assignment: Arc<Assignment>,
    pub(super) pages: PageOrigins,
    /// Milliseconds after a visitor's last connection until agents hear that the visitor is gone.
    pub(super) grace_ms: u64,
}

impl Presence {
    /// An agent connects: they are told what is offered to them, and may be offered more.
    /// `expires_at` is the end of their session, and then of this connection.
    pub(crate) async fn agent_connected(
        &self,
        speaker: &Speaker,
        expires_at: UnixMillis,
    ) -> Result<(), Reject> {
        let Who::Agent { agent, session, .. } = speaker.who else { return Ok(()) };
        let desk = self.desks.get(speaker.tenant).await?;
        let pending: Vec<_> = {
            let mut state = desk.state.lock();
            let seat = state.agents.get_mut(&agent).filter(|seat| seat.row.active);
            let seat = seat.ok_or_else(|| not_found("there is no such agent"))?;
            let sink = Arc::clone(&speaker.sink);
            seat.connections.push(AgentConnection { sink, session, expires_at });
            state.routing.offers_to(agent)
        };
        self.assignment.route(&desk, Input::AgentConnected { agent }).await?;
        self.assignment.tell_offers(&desk, agent, &pending, &speaker.sink).await;
        Ok(())
    }

    /// A visitor connects. Returns what their site may promise now.
    pub(crate) async fn visitor_connected(
        &self,
        speaker: &Speaker,
        signals: Flags,
    ) -> Result<SiteAvailability, Reject> {
        let Who::Visitor { site, visitor } = speaker.who else {
            return Ok(SiteAvailability::Unavailable);
        };
        let desk = self.desks.get(speaker.tenant).await?;
        let (came, availability) = {
            let mut state = desk.state.lock();
            state.routing.know_site(site);
            let availability = state.routing.site_availability(site);
            let guest = state.visitors.entry(visitor).or_insert_with(|| Guest {
                site,
                sinks: SmallVec::new(),
                lost_at: None,
                presence: There::Gone,
                page: None,
                signals: Flags::default(),
            });
            // What one of their windows asked for holds for all that is said while they are here.
            guest.signals = guest.signals.union(signals);
            guest.sinks.push(Arc::clone(&speaker.sink));
            guest.lost_at = None;
            let came = guest.presence == There::Gone;
            guest.presence = There::Connected;
            (came, availability)
        };
        if came {
            self.tell_presence(&desk, visitor);
        }
        Ok(availability)
    }

    /// A connection is over.
    pub(crate) async fn disconnected(&self, speaker: &Speaker) {
        let Some(desk) = self.desks.live(speaker.tenant) else { return };
        let connection = speaker.sink.connection();
        let agent_gone = {
            let mut state = desk.state.lock();
            match speaker.who {
                Who::Agent { agent, .. } => {
                    state.remove_connection(connection);
                    let last =
                        state.agents.get(&agent).is_some_and(|seat| seat.connections.is_empty());
                    last.then_some(agent)
                }
                Who::Visitor { visitor, .. } => {
                    if let Some(guest) = state.visitors.get_mut(&visitor) {
                        guest.sinks.retain(|sink| sink.connection() != connection);
                        if guest.sinks.is_empty() {
                            guest.lost_at = Some(self.times.now());
                        }
                    }
                    None
                }
            }
        };
        if let Some(agent) = agent_gone
            && let Err(reject) = self.assignment.route(&desk, Input::AgentGone { agent }).await
        {
            tracing::warn!(agent_id = %agent, reject_code = reject.code.word(), "an agent's leaving was not written; it will be");
        }
    }

    /// Tells agents that a visitor came, went, or turned a page.
    fn tell_presence(&self, desk: &Desk, visitor: VisitorId) {
        let shown = self.sites.shown();
        let told = {
            let state = desk.state.lock();
            let cards: Vec<(ConversationId, VisitorCard)> = state
                .conversations_of(visitor)
                .iter()
                .filter_map(|conversation| {
                    Some((*conversation, state.guest_card(*conversation, &shown)?))
                })
                .collect();
            (cards, state.board.clone())
        };
        let (cards, board) = told;
        for (conversation, card) in cards {
            let presence = card.presence.unwrap_or(There::Gone);
            let frame = ServerFrame::Presence { conversation, presence, visitor: Some(card) };
            tell_all(&board, frame);
        }
    }

    /// The visitor is on another page.
    pub(crate) async fn page(&self, speaker: &Speaker, page: &PageView) -> Result<(), Reject> {
        let Who::Visitor { site, visitor } = speaker.who else { return Ok(()) };
        let site = self.sites.get(speaker.tenant, site).await?;
        // Where masks cannot be used nothing of it is kept, and nobody is refused for it.
        let Ok(page) = checked_page(&site, page).await else { return Ok(()) };
        let desk = self.desks.get(speaker.tenant).await?;
        let known = {
            let mut state = desk.state.lock();
            let guest = state.visitors.get_mut(&visitor);
            guest.map(|guest| guest.page = Some(Box::new(page))).is_some()
        };
        if known {
            self.tell_presence(&desk, visitor);
        }
        Ok(())
    }

    /// A session is over: its connections are, too.
    pub(crate) fn session_ended(&self, session: SessionId) {
        for desk in self.desks.all() {
            Self::close_connections(&desk, |one| one.session == session);
        }
    }

    /// Ends the connections of agents for which `over` holds.
    fn close_connections(desk: &Desk, over: impl Fn(&AgentConnection) -> bool) {
        let sinks: Vec<_> = {
            let state = desk.state.lock();
            let sinks = state.agents.values().flat_map(|seat| seat.connections.iter());
            sinks.filter(|one| over(one)).map(|one| Arc::clone(&one.sink)).collect()
        };
        for sink in sinks {
            sink.close(CloseCode::NotAuthenticated);
        }
    }

    /// Notes on which page a connection stands that was let in.
    pub(crate) fn stands_on(&self, sink: &dyn FrameSink, origin: &str) {
        sink.stand_on(self.pages.number(origin));
    }

    /// A site was stored anew.
    pub(crate) async fn site_changed(&self, row: &SiteRow) {
        if self.sites.changed(row).await {
            self.close_pages_not_listed(row);
        }
    }

    /// Ends the connections of pages that the site does not list any more. A page whose origin is
    /// not known by a number is asked to come back, and is judged then.
    fn close_pages_not_listed(&self, row: &SiteRow) {
        let Some(desk) = self.desks.live(row.tenant) else { return };
        let sinks: Vec<_> = {
            let state = desk.state.lock();
            let guests = state.visitors.values().filter(|guest| guest.site == row.site);
            guests.flat_map(|guest| guest.sinks.iter().map(Arc::clone)).collect()
        };
        for sink in sinks {
            match self.pages.origin(sink.stands_on()) {
                Some(origin) if allowed_origin(&row.settings.origins, &origin) => {}
                Some(_) => sink.close(CloseCode::OriginNotAllowed),
                None => sink.close(CloseCode::Elsewhere),
            }
        }
    }

    /// One tick: sessions that are over, and visitors whose grace is.
    pub(super) fn tick(&self, desk: &Desk, now: UnixMillis) {
        Self::close_connections(desk, |one| now >= one.expires_at);
        let mut gone = Vec::new();
        {
            let mut state = desk.state.lock();
            state.visitors.retain(|visitor, guest| {
                let over = guest.lost_at.is_some_and(|lost| now.ms_since(lost) >= self.grace_ms);
                if over && guest.presence == There::Connected {
                    gone.push(*visitor);
                }
                !over
            });
            gone.iter().for_each(|visitor| state.left(*visitor, now));
        }
        for visitor in gone {
            self.tell_presence(desk, visitor);
        }
    }
}
