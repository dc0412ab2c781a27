//! Two Organizations with all that the API knows, and a hub that only writes to the store.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use protocol::conversation::{Availability, ConversationState, Role, SiteAvailability};
use protocol::ids::{
    AgentId, ConversationId, KeyId, MessageId, SessionId, SiteId, SiteKey, TagId, TenantId,
    VisitorId,
};
use protocol::message::{self, Author, Seq, Visibility};
use protocol::personal::{Personal, Text};
use protocol::reject::{Reject, RejectCode};
use protocol::time::UnixMillis;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt as _;

use super::super::{Act, ApiConfig, ApiState, Live, admin_router, public_router};
use crate::auth::{
    Allowance, BrakeConfig, Devices, Principal, Rates, RatesConfig, Scope, hash_password, issue,
    new_operator_key, new_tenant_key,
};
use crate::channel::Channel;
use crate::clock::{Clock, ManualClock};
use crate::erasure::{Erasures, Screens};
use crate::hub::{Follow, RefusedOrigin};
use crate::keys::KeyStore;
use crate::metrics::Metrics;
use crate::origin::PublicUrl;
use crate::privacy::consent::NoticeHash;
use crate::privacy::envelope::Flags;
use crate::privacy::ingest::{IngestContext, NewMessage, ingest};
use crate::privacy::policy::{Plan, SiteTimeline};
use crate::privacy::redact::Redactor;
use crate::privacy::seal::Subject;
use crate::store::sqlite::SqliteStore;
use crate::store::{
    AgentRow, Beside, Change, ConversationRow, KeyRow, SessionRow, SiteRow, SiteSettings, Store,
    TagRow, TenantRow, VisitorRow, Write,
};

pub(super) const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
pub(super) const DAY_MS: u64 = 86_400_000;
pub(super) const PASSWORD: &str = "correct horse battery";
/// What may come at once.
pub(super) const MESSAGES_BURST: u64 = 20;
pub(super) const REQUESTS_BURST: u64 = 200;
pub(super) const KEY_REQUESTS_BURST: u64 = 60;
pub(super) const ADDRESS_REQUESTS_BURST: u64 = 80;
pub(super) const ORIGIN: &str = "http://127.0.0.1:8080";

/// What stands for a person in every personal field, to be searched for where none may be.
pub(super) const CANARY: &str = "Canaria";

/// Writes what it is told to the store and notes what it was asked.
#[derive(Debug)]
pub(super) struct FakeLive {
    store: Arc<dyn Store>,
    clock: Arc<ManualClock>,
    pub(super) asked: Mutex<Vec<String>>,
    refused: Mutex<Vec<RefusedOrigin>>,
}

impl FakeLive {
    fn note(&self, what: impl Into<String>) {
        self.asked.lock().push(what.into());
    }
}

fn author(principal: &Principal) -> (TenantId, Author) {
    match principal {
        Principal::Agent { tenant, agent, .. } => (*tenant, Author::Agent(*agent)),
        Principal::Key { tenant, .. } => (*tenant, Author::Bot),
        Principal::Visitor { tenant, .. } => (*tenant, Author::Visitor),
        Principal::Operator { .. } => panic!("the operator says nothing"),
    }
}

#[async_trait]
impl Screens for FakeLive {
    async fn end_conversations(&self, _: TenantId, _: VisitorId) -> Result<(), Reject> {
        Ok(())
    }

    fn forget(&self, _: TenantId, _: Subject, _: &[ConversationId]) {}
}

#[async_trait]
impl Live for FakeLive {
    async fn say(
        &self,
        principal: &Principal,
        new_message: NewMessage<'_>,
        beside: Option<Beside>,
    ) -> Result<(Seq, UnixMillis), Reject> {
        let (tenant, author) = author(principal);
        let gone = || Reject::new(RejectCode::NotFound, "no such conversation");
        let room =
            self.store.room(tenant, new_message.conversation, 0).await.unwrap().ok_or_else(gone)?;
        let site = self.store.site(tenant, room.header.site).await.unwrap().unwrap();
        let redactor = Redactor::new(&site.settings.redaction_patterns).unwrap();
        let context = IngestContext {
            tenant,
            site: site.site,
            subject: room.header.visitor,
            timeline: &site.timeline,
            redactor: &redactor,
            flags: Flags::default(),
            channel: Channel::Widget,
        };
        let known = self
            .store
            .message(tenant, new_message.conversation, new_message.message, Seq(0))
            .await
            .unwrap();
        let envelope = ingest(new_message, author, &context, self.clock.now())?;
        if let Some(known) = known {
            let same = known.envelope().says_the_same(&envelope);
            let conflict = Reject::new(RejectCode::Conflict, "another content");
            return if same { Ok((known.seq(), known.envelope().at())) } else { Err(conflict) };
        }
        let sequenced = envelope.sequence(room.seq_last.next());
        let (seq, at) = (sequenced.seq(), sequenced.envelope().at());
        let mut writes = vec![Write::Message(Arc::new(sequenced))];
        writes.extend(beside.map(|beside| beside.at(seq)));
        self.store.write(writes).await.unwrap();
        Ok((seq, at))
    }

    async fn act(
        &self,
        _: &Principal,
        conversation: ConversationId,
        act: Act,
    ) -> Result<(), Reject> {
        let refused = |code, words| Err(Reject::new(code, words));
        let (what, outcome) = match act {
            Act::Close => (format!("close {conversation}"), Ok(())),
            Act::Reopen => {
                (format!("reopen {conversation}"), refused(RejectCode::Conflict, "it is open"))
            }
            Act::Assign(agent) => (format!("assign {conversation} {agent:?}"), Ok(())),
            Act::Transfer(agent) => (
                format!("transfer {conversation} {agent}"),
                refused(RejectCode::AtCapacity, "they have no room"),
            ),
            Act::SetTags(tags) => (format!("set_tags {conversation} {tags:?}"), Ok(())),
            Act::Withdraw | Act::TakeOver { .. } => return Ok(()),
        };
        self.note(what);
        outcome
    }

    fn site_availability(&self, _: TenantId, _: SiteId) -> SiteAvailability {
        SiteAvailability::Busy
    }

    fn origin_refused(&self, site: &SiteRow, origin: &str) {
        self.note(format!("origin_refused {} {origin}", site.site));
        let refused =
            RefusedOrigin { origin: origin.to_owned(), addable: true, at: self.clock.now() };
        self.refused.lock().push(refused);
    }

    fn refused_origins(&self, _: &SiteRow) -> Vec<RefusedOrigin> {
        self.refused.lock().clone()
    }

    fn following(&self) -> &dyn Follow {
        self
    }
}

#[async_trait]
impl Follow for FakeLive {
    fn store(&self) -> &dyn Store {
        &*self.store
    }

    async fn site_changed(&self, site: &SiteRow) {
        self.note(format!("site_changed {}", site.site));
    }

    async fn agent_changed(&self, agent: AgentRow) {
        self.note(format!("agent_changed {}", agent.agent));
    }

    fn session_ended(&self, session: SessionId) {
        self.note(format!("session_ended {session}"));
    }
}

impl ApiState {
    /// Where these tests put what was there before.
    pub(super) fn writes(&self) -> &dyn Store {
        self.live.following().store()
    }
}

/// Whoever asks: a cookie or a key, and the page it comes from.
#[derive(Debug, Clone, Default)]
pub(super) struct By {
    pub(super) cookie: Option<String>,
    pub(super) key: Option<String>,
    pub(super) origin: Option<&'static str>,
    pub(super) once: Option<&'static str>,
}

impl By {
    pub(super) fn nobody() -> Self {
        Self::default()
    }

    pub(super) fn cookie(token: &str) -> Self {
        let cookie = Some(format!("livehelp_session={token}"));
        Self { cookie, origin: Some(ORIGIN), ..Self::default() }
    }

    pub(super) fn key(text: &str) -> Self {
        Self { key: Some(text.to_owned()), ..Self::default() }
    }

    pub(super) fn from(self, origin: Option<&'static str>) -> Self {
        Self { origin, ..self }
    }

    pub(super) fn once(self, key: &'static str) -> Self {
        Self { once: Some(key), ..self }
    }
}

/// One Organization and what it has.
#[derive(Debug)]
pub(super) struct Company {
    pub(super) tenant: TenantId,
    pub(super) site: SiteRow,
    pub(super) admin: AgentRow,
    pub(super) agent: AgentRow,
    pub(super) by_admin: By,
    pub(super) by_agent: By,
    /// A key with every scope, and its id.
    pub(super) by_key: By,
    pub(super) key: KeyId,
    pub(super) by_poor_key: By,
    pub(super) session: SessionId,
    pub(super) tag: TagId,
    pub(super) visitor: VisitorId,
    pub(super) conversation: ConversationId,
    /// Said by the visitor, by the agent, and as a note, in this order.
    pub(super) messages: Vec<MessageId>,
}

pub(super) struct World {
    pub(super) public: Router,
    pub(super) admin: Router,
    pub(super) state: ApiState,
    pub(super) live: Arc<FakeLive>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) a: Company,
    pub(super) b: Company,
    pub(super) by_operator: By,
    _folder: TempDir,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// The code of the problem that it is.
    pub(super) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub(super) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    #[track_caller]
    pub(super) fn expect_code(self, status: u16, code: &str) -> Self {
        let answer = self.expect(status);
        assert_eq!(answer.code(), code, "{}", answer.text);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        answer
    }
}

pub(super) async fn send(
    router: &Router,
    by: &By,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> Answer {
    let mut request = Request::builder()
        .method(Method::from_bytes(method.to_uppercase().as_bytes()).unwrap())
        .uri(path)
        .header(header::HOST, "127.0.0.1:8080");
    let fields = [
        (header::COOKIE.as_str(), by.cookie.clone()),
        (header::AUTHORIZATION.as_str(), by.key.as_ref().map(|key| format!("Bearer {key}"))),
        (header::ORIGIN.as_str(), by.origin.map(str::to_owned)),
        ("idempotency-key", by.once.map(str::to_owned)),
        (header::CONTENT_TYPE.as_str(), body.as_ref().map(|_| String::from("application/json"))),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            request = request.header(name, value);
        }
    }
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    answer(router, request.body(body).unwrap()).await
}

pub(super) async fn answer(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    Answer { status: head.status, headers: head.headers, text }
}

impl World {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(NOW));
        let (store, keys) = SqliteStore::open_for_test_at(folder.path(), clock.clone());
        let live = Arc::new(FakeLive {
            store: store.clone(),
            clock: clock.clone(),
            asked: Mutex::default(),
            refused: Mutex::default(),
        });
        let erasures = Arc::new(Erasures::new(
            store.clone(),
            keys.clone(),
            live.clone(),
            clock.clone(),
            Metrics::new(),
            Arc::new(keys.signer()),
        ));
        let state = ApiState::new(
            store.clone(),
            live.clone(),
            clock.clone(),
            Arc::default(),
            erasures,
            Metrics::new(),
            &settings(&clock, keys),
        );
        let a = company(&state, "ada").await;
        let b = company(&state, "bob").await;
        let operator = new_operator_key();
        let row = KeyRow {
            key: KeyId::from_uuid(state.new_uuid()),
            tenant: None,
            name: String::from("operator"),
            scopes: Scope::OPERATOR.iter().map(|scope| scope.word().to_owned()).collect(),
            secret: operator.hash,
            created_at: NOW,
        };
        store.change(vec![Change::create(row)]).await.unwrap();
        let (public, admin) = (public_router(state.clone()), admin_router(state.clone()));
        let by_operator = By::key(operator.text.expose_secret());
        Self { public, admin, state, live, clock, a, b, by_operator, _folder: folder }
    }

    pub(super) async fn get(&self, by: &By, path: &str) -> Answer {
        send(&self.public, by, "GET", path, None).await
    }

    pub(super) async fn delete(&self, by: &By, path: &str) -> Answer {
        send(&self.public, by, "DELETE", path, None).await
    }

    pub(super) async fn post(&self, by: &By, path: &str, body: Value) -> Answer {
        send(&self.public, by, "POST", path, Some(body)).await
    }

    pub(super) async fn patch(&self, by: &By, path: &str, body: Value) -> Answer {
        send(&self.public, by, "PATCH", path, Some(body)).await
    }

    pub(super) async fn put(&self, by: &By, path: &str, body: Value) -> Answer {
        send(&self.public, by, "PUT", path, Some(body)).await
    }

    pub(super) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.live.asked.lock())
    }

    /// Signs in over the API, and gives the session's token.
    pub(super) async fn login(&self, email: &str, password: &str) -> Answer {
        let body = serde_json::json!({ "email": email, "password": password });
        self.post(&By::nobody().from(Some(ORIGIN)), "/v1/sessions", body).await
    }
}

/// The token in an answer's `Set-Cookie`.
pub(super) fn token(answer: &Answer) -> String {
    let cookie = answer.header("set-cookie");
    let pair = cookie.split(';').next().unwrap();
    pair.strip_prefix("livehelp_session=").unwrap().to_owned()
}

/// Small numbers, none of them a default.
fn settings(clock: &Arc<ManualClock>, keys: Arc<KeyStore>) -> ApiConfig {
    let house: Arc<dyn Clock> = clock.clone();
    ApiConfig {
        public_url: PublicUrl::set(ORIGIN).unwrap(),
        session_ms: 14 * DAY_MS,
        agent_capacity: 7,
        rates: Rates::new(&rates(), &house),
        devices: Devices::new(keys),
    }
}

/// Small numbers here, too.
fn rates() -> RatesConfig {
    let many = Allowance::a_minute(1_000_000, 1_000_000);
    RatesConfig {
        visitor_messages: many,
        agent_messages: Allowance::a_minute(60, MESSAGES_BURST),
        frames: many,
        questions: many,
        agents: Allowance::a_minute(120, REQUESTS_BURST),
        keys: Allowance::a_minute(60, KEY_REQUESTS_BURST),
        addresses: Allowance::a_minute(60, ADDRESS_REQUESTS_BURST),
        logins: BrakeConfig {
            per_account_max: 10,
            strangers_max: 25,
            per_address_max: 40,
            window_ms: 600_000,
        },
    }
}

fn password_hash() -> Arc<str> {
    static HASH: OnceLock<Arc<str>> = OnceLock::new();
    let hash = || hash_password(&SecretString::from(PASSWORD.to_owned())).unwrap();
    HASH.get_or_init(hash).clone()
}

pub(super) async fn agent(state: &ApiState, tenant: TenantId, name: &str, role: Role) -> AgentRow {
    let row = AgentRow {
        agent: AgentId::from_uuid(state.new_uuid()),
        tenant,
        name: Personal::new(format!("{CANARY} {name}")),
        email: Personal::new(format!("{CANARY}.{name}@example.test").to_lowercase()),
        role,
        active: true,
        capacity: 3,
        availability: Availability::Offline,
        password_hash: password_hash(),
        created_at: NOW,
    };
    state.writes().change(vec![Change::create(row.clone())]).await.unwrap();
    row
}

async fn session(state: &ApiState, agent: &AgentRow) -> (SessionId, By) {
    let secret = issue("lhs_");
    let row = SessionRow {
        session: SessionId::from_uuid(state.new_uuid()),
        agent: agent.agent,
        tenant: agent.tenant,
        secret: secret.hash,
        client: Personal::new(String::from("Firefox, Linux")),
        created_at: NOW,
        expires_at: NOW.plus_ms(14 * DAY_MS),
    };
    state.writes().change(vec![Change::create(row.clone())]).await.unwrap();
    (row.session, By::cookie(secret.text.expose_secret()))
}

async fn key(state: &ApiState, tenant: TenantId, scopes: &[Scope]) -> (KeyId, By) {
    let secret = new_tenant_key();
    let key = KeyId::from_uuid(state.new_uuid());
    let row = KeyRow {
        key,
        tenant: Some(tenant),
        name: String::from("a program"),
        scopes: scopes.iter().map(|scope| scope.word().to_owned()).collect(),
        secret: secret.hash,
        created_at: NOW,
    };
    state.writes().change(vec![Change::create(row)]).await.unwrap();
    (key, By::key(secret.text.expose_secret()))
}

async fn company(state: &ApiState, name: &str) -> Company {
    let tenant = TenantId::from_uuid(state.new_uuid());
    let row = TenantRow {
        tenant,
        name: format!("{name} Ltd"),
        privacy_contact: Personal::new(format!("privacy@{name}.example")),
        created_at: NOW,
    };
    state.writes().change(vec![Change::create(row)]).await.unwrap();
    let admin = agent(state, tenant, &format!("{name}-admin"), Role::Admin).await;
    let plain = agent(state, tenant, &format!("{name}-agent"), Role::Agent).await;
    let (session_id, by_admin) = session(state, &admin).await;
    let (_, by_agent) = session(state, &plain).await;
    let (key_id, by_key) = key(state, tenant, Scope::TENANT).await;
    let (_, by_poor_key) = key(state, tenant, &[]).await;
    let site = SiteRow {
        site: SiteId::from_uuid(state.new_uuid()),
        tenant,
        site_key: SiteKey::from_random(*state.new_uuid().as_bytes()),
        name: format!("{name}'s shop"),
        timeline: SiteTimeline::new(NOW, Plan::Free),
        settings: SiteSettings::default(),
        created_at: NOW,
    };
    state.writes().change(vec![Change::create(site.clone())]).await.unwrap();
    let tag = TagId::from_uuid(state.new_uuid());
    let row = TagRow { tag, tenant, name: format!("{name}-label") };
    state.writes().change(vec![Change::create(row)]).await.unwrap();
    let (visitor, conversation) = conversation(state, &site, plain.agent).await;
    let messages = talk(state, &site, visitor, conversation, plain.agent, session_id).await;
    Company {
        tenant,
        site,
        admin,
        agent: plain,
        by_admin,
        by_agent,
        by_key,
        key: key_id,
        by_poor_key,
        session: session_id,
        tag,
        visitor,
        conversation,
        messages,
    }
}

async fn conversation(
    state: &ApiState,
    site: &SiteRow,
    assignee: AgentId,
) -> (VisitorId, ConversationId) {
    let visitor = VisitorId::from_uuid(state.new_uuid());
    let conversation = ConversationId::from_uuid(state.new_uuid());
    let row = VisitorRow {
        visitor,
        tenant: site.tenant,
        site: site.site,
        name: Some(Personal::new(format!("{CANARY} Visitor"))),
        email: Some(Personal::new(format!("{CANARY}@visitor.example"))),
        locale: String::from("en"),
        contact_day: NOW.day(),
        secret: issue("lhv_").hash,
        secret_before: None,
        secret_expires_at: NOW.plus_ms(90 * DAY_MS),
        created_at: NOW,
    };
    let header = ConversationRow {
        conversation,
        tenant: site.tenant,
        site: site.site,
        visitor,
        version: 1,
        state: ConversationState::Active,
        assignee: Some(assignee),
        channel: Channel::Widget,
        agents: vec![assignee],
        tags: Vec::new(),
        form: vec![(String::from("name"), Personal::new(format!("{CANARY} Visitor")))],
        page_url: Some(Personal::new(String::from("https://shop.example/a"))),
        page_title: None,
        notice: Some(NoticeHash([0xa1; 32])),
        locale: String::from("en"),
        created_at: NOW,
        waiting_since: None,
        closed_at: None,
    };
    let writes = vec![Write::Visitor(Box::new(row)), Write::Conversation(Box::new(header))];
    state.writes().write(writes).await.unwrap();
    (visitor, conversation)
}

async fn talk(
    state: &ApiState,
    site: &SiteRow,
    visitor: VisitorId,
    conversation: ConversationId,
    agent: AgentId,
    session: SessionId,
) -> Vec<MessageId> {
    let tenant = site.tenant;
    let visitor = Principal::Visitor { tenant, site: site.site, visitor };
    let agent = Principal::Agent { tenant, agent, role: Role::Agent, session };
    let lines = [
        (&visitor, "Where is my parcel?", Visibility::Everyone),
        (&agent, "It is on\nits way.", Visibility::Everyone),
        (&agent, "He is a good customer.", Visibility::Agents),
    ];
    let mut messages = Vec::new();
    for (principal, text, visibility) in lines {
        let message = MessageId::from_uuid(state.new_uuid());
        let body = message::Body::Text(Text::new(text));
        let new_message = NewMessage { conversation, message, seen_seq: Seq(0), body, visibility };
        state.live.say(principal, new_message, None).await.unwrap();
        messages.push(message);
    }
    messages
}
