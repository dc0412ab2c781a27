//! A conversation that a program or an agent begins for a visitor: over REST, with its first
//! message.
//!
//! Lives here: what differs from a visitor's own beginning (`open`): the first message has its
//! sequence number before anybody can look, and all of it is stored as one batch. Not here: who may
//! ask (`api`). Called by `live`.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use protocol::conversation::{PageView, SiteAvailability};
use protocol::ids::{AgentId, ConversationId, MessageId, SiteId, TenantId, VisitorId};
use protocol::message::{Author, Body, Seq, Visibility};
use protocol::personal::{Personal, Text};
use protocol::reject::{Reject, RejectCode};
use protocol::time::UnixMillis;

use super::conversations::Conversations;
use super::desk::{Desk, Standing};
use super::fanout::Recipients;
use super::open::Opening;
use super::reject::{not_found, only_agents};
use super::speak::take_in;
use super::speaker::Actor;
use super::tally;
use crate::channel::Channel;
use crate::privacy::envelope::Envelope;
use crate::privacy::ingest::NewMessage;
use crate::store::{SecretHash, Write};

/// What is to begin.
#[derive(Debug)]
pub struct Creation<'a> {
    pub conversation: ConversationId,
    pub site: SiteId,
    pub visitor: VisitorId,
    /// Whether the visitor is one of before; else they are new.
    pub is_known: bool,
    /// What they said about themselves: name and e-mail address, as the site's form has them.
    pub form: Vec<(&'a str, &'a str)>,
    pub page: Option<&'a PageView>,
    /// Hash of the privacy notice that they were shown.
    pub notice: Option<&'a str>,
    pub locale: &'a str,
    pub message: MessageId,
    pub text: Text<'a>,
    /// These are the visitor's words, not those of whoever asks.
    pub by_visitor: bool,
    /// Who gets it; without one it waits in the queue.
    pub assignee: Option<AgentId>,
    /// A hash that no token has: a visitor who was created has no browser yet.
    pub secret: SecretHash,
    /// Stored with it, or not at all.
    pub beside: Vec<Write>,
}

impl Conversations {
    /// Begins a conversation: visitor, header, first message and what is to be stored beside them
    /// are on disk when this returns, and everybody who follows the Organization's work was told.
    /// Returns the message's sequence number.
    ///
    /// # Errors
    /// If the site or the visitor is not there, the form lacks what the site requires, a limit is
    /// reached, or the store cannot take it; then nothing has happened.
    pub(crate) async fn create(
        &self,
        tenant: TenantId,
        who: Actor,
        creation: Creation<'_>,
    ) -> Result<Seq, Reject> {
        let began = self.times.instant();
        let desk = self.desks.get(tenant).await?;
        may_give(&desk, who, creation.assignee)?;
        let site = self.sites.get(tenant, creation.site).await?;
        if site.row.timeline.closed_at(self.times.now()).is_some() {
            return Err(Reject::new(RejectCode::SiteClosed, "this site is closed"));
        }
        let [name, email] = self.kept_contact(tenant, &creation).await?;
        let kept = [("name", name.as_ref()), ("email", email.as_ref())];
        let form = with_kept(creation.form, kept);
        let opening = Opening {
            conversation: creation.conversation,
            form,
            page: creation.page,
            notice: creation.notice,
            locale: creation.locale,
            secret: creation.secret,
            secret_expires_at: UnixMillis(0),
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            gpc: false,
        };
        let masked = self.masked(&site, &opening).await?;
        let _id_lock = self.id_lock(creation.conversation.as_bytes()).await;
        self.bound_open(tenant, creation.visitor).await?;
        let now = self.times.record_time();
        let (visitor_row, row) = self.rows(&site, creation.visitor, &opening, masked, now).await?;
        let mut standing = Standing::of(&row);
        let promise = desk.state.lock().routing.site_availability(creation.site);
        standing.channel = Channel::of_widget(promise == SiteAvailability::Unavailable);
        let author = if creation.by_visitor { Author::Visitor } else { who.author() };
        let new_message = NewMessage {
            conversation: creation.conversation,
            message: creation.message,
            seen_seq: Seq(0),
            body: Body::Text(creation.text),
            visibility: Visibility::Everyone,
        };
        let envelope = take_in(
            &site,
            self.times.record_time(),
            new_message,
            author,
            (creation.visitor, &standing),
        )
        .await?;
        let seq = self.first_number(&envelope).await?;
        let sequenced = Arc::new(envelope.sequence(seq));
        let mut writes = vec![
            Write::Visitor(Box::new(visitor_row.clone())),
            Write::Conversation(Box::new(row.clone())),
            Write::Message(Arc::clone(&sequenced)),
        ];
        writes.extend(creation.beside);
        self.store.write(writes).await?;
        let took = self.times.since(began);
        tally::sequenced(&self.metrics, sequenced.envelope(), Recipients::default(), took);
        let (conversation, site) = (row.conversation, row.site);
        // From here on it is there, and what goes wrong is mended by the upkeep.
        let shown = self.take_header(&desk, row, visitor_row).await;
        let came_in = self.assignment.come_in(&desk, conversation, site, creation.assignee).await;
        if let Err(reject) = shown.and(came_in) {
            tracing::warn!(conversation_id = %conversation, reject_code = reject.code.word(), "a created conversation's state was not written; it will be");
        }
        Ok(seq)
    }

    /// The sequence number of its first message, which nobody has heard of: it is not yet to be
    /// looked at.
    async fn first_number(&self, envelope: &Envelope) -> Result<Seq, Reject> {
        if let Some(seq) = self.bus.sequence_here(envelope, Seq(0)) {
            return Ok(seq);
        }
        self.bus.sequence(envelope, Seq(0)).await.map_err(|_| {
            let words = "no sequence number could be given; try again";
            Reject::new(RejectCode::Overload, words).retry_after_ms(1_000)
        })
    }

    /// Name and e-mail address that are kept of a visitor of before, whom the site must have.
    async fn kept_contact(
        &self,
        tenant: TenantId,
        creation: &Creation<'_>,
    ) -> Result<[Option<Personal<String>>; 2], Reject> {
        if !creation.is_known {
            return Ok([None, None]);
        }
        let row = self.store.visitor(tenant, creation.visitor).await?;
        let row = row.filter(|row| row.site == creation.site);
        let row = row.ok_or_else(|| not_found("this site has no such visitor"))?;
        let shown = self.sites.shown();
        Ok([row.name.clone(), row.email.clone()]
            .map(|value| shown.contact((row.site, row.contact_day), value)))
    }
}

/// The form's answers. Whoever is known need not say again who they are.
fn with_kept<'a>(
    mut form: Vec<(&'a str, &'a str)>,
    kept: [(&'a str, Option<&'a Personal<String>>); 2],
) -> Vec<(&'a str, &'a str)> {
    for (field, kept) in kept {
        if let Some(kept) = kept
            && form.iter().all(|(given, _)| *given != field)
        {
            form.push((field, kept.expose()));
        }
    }
    form
}

/// Only who may give to others names another agent.
fn may_give(desk: &Desk, who: Actor, assignee: Option<AgentId>) -> Result<(), Reject> {
    let Some(to) = assignee else { return Ok(()) };
    let state = desk.state.lock();
    let supervises = match who {
        Actor::Visitor { .. } => return Err(only_agents()),
        Actor::Agent { agent, .. } => {
            let supervises = state.supervises(agent);
            if agent != to && !supervises {
                let words = "only a supervisor gives a conversation to another agent";
                return Err(Reject::new(RejectCode::Forbidden, words));
            }
            supervises
        }
        Actor::Program => true,
    };
    if state.routing.takes(to, supervises) {
        return Ok(());
    }
    let words = "this agent is not connected or has no room; without one it waits in the queue";
    Err(Reject::new(RejectCode::AtCapacity, words))
}
