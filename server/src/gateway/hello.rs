//! The first frame: who is there, may they be, and what do they have already.

use std::sync::Arc;

use protocol::conversation::ResumePoint;
use protocol::frame::{ClientRole, RequestId, ServerFrame, SiteState, WireLimits};
use protocol::ids::{ConversationId, SessionId, SiteId, SiteKey, TenantId, VisitorId};
use protocol::limits::{
    FRAME_BYTES_MAX, HISTORY_MESSAGES_MAX, List, RESUME_POINTS_MAX, TEXT_CHARS_MAX, WORD_BYTES_MAX,
};
use protocol::message::Seq;
use protocol::personal::Personal;
use protocol::reject::CloseCode;
use protocol::time::UnixMillis;
use secrecy::{ExposeSecret as _, SecretString};

use super::{Accepted, Gateway};
use crate::auth::{admit_visitor, authenticate_session, new_visitor_token, token_hash};
use crate::hub::{FrameSink, Speaker, Watched, Who, tally};
use crate::keys::uuid_v7;
use crate::origin::allowed_origin;
use crate::privacy::envelope::Flags;
use crate::store::{SecretHash, StoreError, VisitorToken, Write};

/// What a client says of itself.
#[derive(Debug)]
pub(super) struct Greeting {
    pub(super) request: RequestId,
    pub(super) role: ClientRole,
    pub(super) locale: String,
    pub(super) resume: Vec<ResumePoint>,
    pub(super) site: Option<SiteKey>,
    pub(super) token: Option<Personal<String>>,
    pub(super) signals: Flags,
}

/// Who was let in, and with what.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) speaker: Speaker,
    pub(super) rooms: Vec<Watched>,
    pub(super) locale: Box<str>,
    pub(super) gpc: bool,
    /// A new visitor's token and until when it holds, for their first row.
    pub(super) token: Option<Box<(SecretHash, UnixMillis)>>,
}

/// Conversations that a visitor goes on with without naming them.
const OWN_CONVERSATIONS_MAX: usize = 16;

fn unavailable(_: StoreError) -> CloseCode {
    CloseCode::Overload
}

impl Gateway {
    /// Lets someone in and sends `welcome`, then what they missed.
    ///
    /// # Errors
    /// The code with which the connection ends.
    pub(super) async fn greet(
        &self,
        accepted: &Accepted,
        greeting: Greeting,
        sink: Arc<dyn FrameSink>,
    ) -> Result<Session, CloseCode> {
        match greeting.role {
            ClientRole::Visitor => self.greet_visitor(accepted, greeting, sink).await,
            ClientRole::Agent => self.greet_agent(accepted, greeting, sink).await,
        }
    }

    async fn greet_visitor(
        &self,
        accepted: &Accepted,
        greeting: Greeting,
        sink: Arc<dyn FrameSink>,
    ) -> Result<Session, CloseCode> {
        let key = greeting.site.as_ref().ok_or(CloseCode::SiteClosed)?;
        let site = self.hub.sites().by_key(key).await.map_err(|_| CloseCode::Overload)?;
        let site = site.ok_or(CloseCode::SiteClosed)?;
        let origin = accepted.origin.as_deref().unwrap_or_default();
        if !allowed_origin(&site.row.settings.origins, origin) {
            self.hub.sites().refuse_origin((site.row.tenant, site.row.site), origin);
            return Err(CloseCode::OriginNotAllowed);
        }
        let now = self.clock.now();
        if site.row.timeline.closed_at(now).is_some() {
            return Err(CloseCode::SiteClosed);
        }
        let (tenant, site) = (site.row.tenant, site.row.site);
        let shown = greeting.token.as_ref().map(|token| token.expose().as_str());
        let shown = shown.filter(|token| token.len() <= WORD_BYTES_MAX);
        let life_ms = self.config.now().visitor_token_ms;
        let known = match shown {
            Some(token) => {
                self.known_visitor(tenant, site, token, now).await.map_err(unavailable)?
            }
            None => None,
        };
        // What it names is read from the store.
        if let Some((token, _)) = known.as_ref().filter(|_| !greeting.resume.is_empty()) {
            let counted = self.rates.visitor_questions.take(&token.visitor);
            counted.map_err(|_| CloseCode::TooFast)?;
        }
        let is_known = known.is_some();
        let (visitor, fresh, secret, expires_at) = match known {
            Some((token, fresh)) => (token.visitor, fresh, None, token.secret_expires_at),
            // Nobody we know: a new visitor, of whom nothing is written before they open a
            // conversation.
            None => {
                let issued = new_visitor_token();
                let visitor = VisitorId::from_uuid(uuid_v7(now));
                (visitor, Some(issued.text), Some(issued.hash), now.plus_ms(life_ms))
            }
        };
        let speaker = Speaker { tenant, who: Who::Visitor { site, visitor }, sink };
        let points = if is_known {
            self.own_conversations(&speaker, visitor, &greeting.resume).await?
        } else {
            Vec::new()
        };
        let signals = greeting.signals.union(accepted.signals);
        self.hub.presence().stands_on(&*speaker.sink, origin);
        let availability = self.hub.presence().visitor_connected(&speaker, signals).await;
        let availability = availability.map_err(|_| CloseCode::Overload)?;
        // Asked once more: a change of the list closed the connections that there were, and this
        // was none of them.
        let still = self.hub.sites().by_key(key).await.map_err(|_| CloseCode::Overload)?;
        if !still.is_some_and(|site| allowed_origin(&site.row.settings.origins, origin)) {
            self.farewell(&speaker, &[]).await;
            return Err(CloseCode::OriginNotAllowed);
        }
        let welcome = ServerFrame::Welcome {
            request: greeting.request,
            session: SessionId::from_uuid(uuid::Uuid::new_v4()),
            now,
            heartbeat_ms: ms_u32(self.config.now().heartbeat_visitor_ms),
            limits: wire_limits(),
            conversations: List::new(points.iter().map(|point| point.conversation)),
            token: fresh.map(|token| Personal::new(token.expose_secret().to_owned())),
            token_expires_at: Some(expires_at),
            visitor: Some(visitor),
            site: Some(SiteState { site, availability }),
            agent: None,
        };
        crate::hub::tell(&*speaker.sink, welcome);
        let rooms = self.attend_all(&speaker, &points).await;
        let (locale, gpc) = (greeting.locale.into_boxed_str(), signals.gpc());
        let token = secret.map(|secret| Box::new((secret, expires_at)));
        Ok(Session { speaker, rooms, locale, gpc, token })
    }

    /// The visitor whose token it is, and a fresh one where theirs is old; on disk when this
    /// returns.
    async fn known_visitor(
        &self,
        tenant: TenantId,
        site: SiteId,
        token: &str,
        now: UnixMillis,
    ) -> Result<Option<(VisitorToken, Option<SecretString>)>, StoreError> {
        let life_ms = self.config.now().visitor_token_ms;
        let admit = async || {
            let known = self.store.visitor_by_secret(tenant, site, token_hash(token)).await?;
            Ok(known.and_then(|mut row| {
                let admitted = admit_visitor(&mut row, token, life_ms, now)?;
                Some((row, admitted))
            }))
        };
        let Some((row, admitted)) = admit().await? else { return Ok(None) };
        if !admitted.changed {
            return Ok(Some((row, admitted.fresh)));
        }
        // Two windows that come with the same old token get one new one, not each its own.
        let _id_lock = self.hub.conversations().id_lock(row.visitor.as_bytes()).await;
        let Some((row, admitted)) = admit().await? else { return Ok(None) };
        if admitted.changed {
            self.store.write(vec![Write::VisitorToken(Box::new(row.clone()))]).await?;
        }
        Ok(Some((row, admitted.fresh)))
    }

    /// What the visitor goes on with: what they name that is theirs, and whatever of theirs is
    /// open.
    async fn own_conversations(
        &self,
        speaker: &Speaker,
        visitor: VisitorId,
        named: &[ResumePoint],
    ) -> Result<Vec<ResumePoint>, CloseCode> {
        let tenant = speaker.tenant;
        let open = self.hub.desks().open_conversations(tenant, visitor).await;
        let open = open.map_err(|_| CloseCode::Overload)?;
        let mut points = Vec::new();
        for point in named.iter().take(RESUME_POINTS_MAX) {
            let theirs = open.contains(&point.conversation) || {
                let row = self.store.conversation(tenant, point.conversation).await;
                row.map_err(unavailable)?.is_some_and(|row| row.visitor == visitor)
            };
            if theirs {
                points.push(point.clone());
            }
        }
        let unnamed: Vec<_> = open
            .into_iter()
            .take(OWN_CONVERSATIONS_MAX)
            .filter(|open| points.iter().all(|point| point.conversation != *open))
            .collect();
        // What is open goes on in any case, and `welcome` names all that do.
        points.truncate(RESUME_POINTS_MAX.saturating_sub(unnamed.len()));
        points.extend(unnamed.into_iter().map(from_the_start));
        Ok(points)
    }

    async fn greet_agent(
        &self,
        accepted: &Accepted,
        greeting: Greeting,
        sink: Arc<dyn FrameSink>,
    ) -> Result<Session, CloseCode> {
        let origin = accepted.origin.as_deref().unwrap_or_default();
        let config = self.config.now();
        if !config.public_url.admits(origin, accepted.host.as_deref(), accepted.secure) {
            return Err(CloseCode::OriginNotAllowed);
        }
        let now = self.clock.now();
        let signed_in = authenticate_session(&*self.store, &accepted.sessions, now).await;
        let signed_in = signed_in.map_err(unavailable)?.ok_or(CloseCode::NotAuthenticated)?;
        let tenant = signed_in.agent.tenant;
        let agent = signed_in.agent.agent;
        let session = signed_in.session.session;
        let who = Who::Agent { agent, session };
        let speaker = Speaker { tenant, who, sink };
        if !greeting.resume.is_empty() {
            let counted = self.rates.agent_questions.take(&agent);
            counted.map_err(|_| CloseCode::TooFast)?;
        }
        let card =
            self.hub.desks().own_card(tenant, agent).await.map_err(|_| CloseCode::Overload)?;
        let mut points = Vec::new();
        for point in greeting.resume.into_iter().take(RESUME_POINTS_MAX) {
            let row = self.store.conversation(tenant, point.conversation).await;
            if row.map_err(unavailable)?.is_some() {
                points.push(point);
            }
        }
        let welcome = ServerFrame::Welcome {
            request: greeting.request,
            session,
            now,
            heartbeat_ms: ms_u32(self.config.now().heartbeat_agent_ms),
            limits: wire_limits(),
            conversations: List::new(points.iter().map(|point| point.conversation)),
            token: None,
            token_expires_at: None,
            visitor: None,
            site: None,
            agent: Some(card),
        };
        crate::hub::tell(&*speaker.sink, welcome);
        let rooms = self.attend_all(&speaker, &points).await;
        if let Err(code) = self.seat_agent(accepted, &speaker, signed_in.session.expires_at).await {
            // They are told to come back: nothing of this connection may stay behind.
            self.farewell(&speaker, &rooms).await;
            return Err(code);
        }
        let (locale, gpc) = (greeting.locale.into_boxed_str(), greeting.signals.gpc());
        Ok(Session { speaker, rooms, locale, gpc, token: None })
    }

    /// Takes a connection out of everything it was let into.
    pub(super) async fn farewell(&self, speaker: &Speaker, rooms: &[Watched]) {
        for watched in rooms {
            self.hub.attendance().leave(speaker, watched);
        }
        self.hub.presence().disconnected(speaker).await;
    }

    /// From here on they hear of offers, and of the end of their session.
    async fn seat_agent(
        &self,
        accepted: &Accepted,
        speaker: &Speaker,
        expires_at: UnixMillis,
    ) -> Result<(), CloseCode> {
        let seated = self.hub.presence().agent_connected(speaker, expires_at).await;
        seated.map_err(|_| CloseCode::Overload)?;
        // Asked once more: a session that was ended since the first time closed the connections
        // that it had then, and this was none of them.
        let now = self.clock.now();
        let still = authenticate_session(&*self.store, &accepted.sessions, now).await;
        still.map_err(unavailable)?.map(|_| ()).ok_or(CloseCode::NotAuthenticated)
    }

    async fn attend_all(&self, speaker: &Speaker, points: &[ResumePoint]) -> Vec<Watched> {
        let mut rooms = Vec::with_capacity(points.len());
        for point in points {
            let nobody = RequestId(0);
            match self
                .hub
                .attendance()
                .attend(speaker, point.conversation, Some(point), nobody)
                .await
            {
                Ok(watched) => rooms.push(watched),
                Err(reject) => tally::refuse(&self.metrics, &*speaker.sink, nobody, reject),
            }
        }
        rooms
    }
}

fn from_the_start(conversation: ConversationId) -> ResumePoint {
    ResumePoint { conversation, seq: Seq(0), message: None, at: None }
}

fn ms_u32(ms: u64) -> u32 {
    u32::try_from(ms).unwrap_or(u32::MAX)
}

fn wire_limits() -> WireLimits {
    WireLimits {
        frame_bytes_max: u32::try_from(FRAME_BYTES_MAX).unwrap_or(u32::MAX),
        text_chars_max: u32::try_from(TEXT_CHARS_MAX).unwrap_or(u32::MAX),
        history_messages_max: HISTORY_MESSAGES_MAX,
    }
}
