//! Every route that changes something, with a client that hangs up at each point of it: the act is
//! whole, stored and in force, or was never there.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use protocol::conversation::{Availability, ConversationState, Role};
use protocol::frame::ServerFrame;
use protocol::ids::{
    AgentId, CannedResponseId, ConnectionId, InvitationId, KeyId, PrivacyRequestId, SessionId,
    SuppressionId, TagId,
};
use protocol::personal::Personal;
use protocol::reject::CloseCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower::ServiceExt as _;
use utoipa::openapi::OpenApi;

use super::*;
use crate::api::{ApiConfig, ApiState, admin_router, openapi, openapi_admin, public_router};
use crate::auth::{
    Allowance, BrakeConfig, Devices, Issued, Rates, RatesConfig, Scope, hash_password, issue,
    new_operator_key, new_tenant_key,
};
use crate::bus::memory::MemoryBus;
use crate::clock::{Clock, ManualClock};
use crate::config::Config;
use crate::erasure::Erasures;
use crate::http::{Limits, NoSockets, serve};
use crate::hub::fanout::EncodedFrame;
use crate::hub::{FrameSink, HubConfig, Speaker, Who};
use crate::keys::KeyStore;
use crate::metrics::Metrics;
use crate::origin::PublicUrl;
use crate::privacy::request::{RequestKind, RequestState};
use crate::privacy::suppression::{Identifier, IdentifierKind, SuppressionBasis};
use crate::routing::RoutingConfig;
use crate::store::conformance::{self, NOW};
use crate::store::memory::{MemoryConfig, MemoryStore};
use crate::store::sqlite::SqliteStore;
use crate::store::{
    CannedResponseRow, CannedWords, Change, InvitationRow, KeyRow, Page, PasswordResetRow,
    RequestRow, RequestWords, SecretHash, SessionRow, Store, SuppressionRow, TagRow, Write,
};
use crate::sweep::ClockTrust;
use crate::tasks;

const ORIGIN: &str = "http://127.0.0.1:8080";
const PASSWORD: &str = "correct horse battery";
const DAY_MS: u64 = 86_400_000;

/// Polls after which every act has answered.
const POLLS_MAX: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sqlite,
    Memory,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listener {
    Public,
    Admin,
}

/// An agent's connection, which notes what it is told.
#[derive(Debug)]
struct AgentSink {
    connection: ConnectionId,
    heard: Mutex<BTreeSet<String>>,
    /// The newest version of a conversation that it was told of.
    version: Mutex<u64>,
}

impl FrameSink for AgentSink {
    fn connection(&self) -> ConnectionId {
        self.connection
    }

    fn append(&self, frame: &EncodedFrame<'_>) -> bool {
        if let ServerFrame::Offer { card, .. } = frame.frame() {
            self.heard.lock().insert(format!("an offer of {}", card.conversation));
        }
        if let ServerFrame::Conversation { card } = frame.frame() {
            *self.version.lock() = card.version;
        }
        true
    }

    fn append_ephemeral(&self, _: &EncodedFrame<'_>) {}

    fn flush(&self) {}

    fn close(&self, _: CloseCode) {
        self.heard.lock().insert("the end".to_owned());
    }
}

/// An Organization with something of each kind, behind both routers.
struct World {
    store: Arc<dyn Store>,
    hub: Arc<Hub>,
    trust: Arc<ClockTrust>,
    state: ApiState,
    ids: conformance::World,
    closed: conformance::World,
    waiting: conformance::World,
    colleague: AgentId,
    agent_sinks: Vec<(&'static str, Arc<AgentSink>)>,
    sessions: [SessionId; 2],
    cookies: [String; 2],
    tag: TagId,
    canned: CannedResponseId,
    key: KeyId,
    program: String,
    operator_keys: [KeyId; 2],
    operator: String,
    invitation: InvitationId,
    invitation_token: String,
    reset_token: String,
    _folder: Option<TempDir>,
}

fn rates() -> RatesConfig {
    let many = Allowance::a_minute(1_000_000, 1_000_000);
    let max = 1_000_000;
    RatesConfig {
        visitor_messages: many,
        agent_messages: many,
        frames: many,
        questions: many,
        agents: many,
        keys: many,
        addresses: many,
        logins: BrakeConfig {
            per_account_max: max,
            strangers_max: max,
            per_address_max: max,
            window_ms: 1_000,
        },
    }
}

fn password_hash() -> Arc<str> {
    static HASH: OnceLock<Arc<str>> = OnceLock::new();
    let hash = || hash_password(&SecretString::from(PASSWORD.to_owned())).unwrap();
    HASH.get_or_init(hash).clone()
}

fn key_row(tenant: Option<TenantId>, key: KeyId, secret: SecretHash) -> KeyRow {
    let scopes = if tenant.is_some() { Scope::TENANT } else { Scope::OPERATOR };
    let scopes = scopes.iter().map(|scope| scope.word().to_owned()).collect();
    KeyRow { key, tenant, name: "a program".to_owned(), scopes, secret, created_at: NOW }
}

/// Where a world is kept.
fn kept(kind: Kind, clock: &Arc<ManualClock>) -> (Arc<dyn Store>, Arc<KeyStore>, Option<TempDir>) {
    match kind {
        Kind::Sqlite => {
            let folder = tempfile::tempdir().unwrap();
            let (store, keys) = SqliteStore::open_for_test_at(folder.path(), clock.clone());
            (store, keys, Some(folder))
        }
        Kind::Memory => {
            let keys = Arc::new(KeyStore::in_memory().unwrap());
            let config = MemoryConfig::default();
            let store = MemoryStore::new(keys.clone(), &config, clock.clone());
            (Arc::new(store), keys, None)
        }
    }
}

impl World {
    async fn new(kind: Kind) -> Self {
        let clock = Arc::new(ManualClock::new(NOW));
        let house: Arc<dyn Clock> = clock.clone();
        let (store, keys, folder) = kept(kind, &clock);
        let metrics = Metrics::new();
        let config = HubConfig {
            routing: RoutingConfig::default(),
            visitor_grace_ms: 20_000,
            conversations_per_visitor_max: 10,
            conversations_per_ip_hour_max: 1_000,
            abandoned_ms: None,
        };
        let hub =
            Hub::new(store.clone(), Arc::new(MemoryBus), clock.clone(), metrics.clone(), config);
        let trust = Arc::new(ClockTrust::default());
        let api = ApiConfig {
            public_url: PublicUrl::set(ORIGIN).unwrap(),
            session_ms: 14 * DAY_MS,
            agent_capacity: 7,
            rates: Rates::new(&rates(), &house),
            devices: Devices::new(keys.clone()),
        };
        let live = Arc::new(LiveHub(hub.clone()));
        let erasures = Arc::new(Erasures::new(
            store.clone(),
            keys.clone(),
            hub.clone(),
            clock.clone(),
            metrics.clone(),
            Arc::new(keys.signer()),
        ));
        let state = ApiState::new(
            store.clone(),
            live,
            clock.clone(),
            trust.clone(),
            erasures,
            metrics,
            &api,
        );
        let ids = conformance::World::new(7);
        let mut world = Self {
            hub,
            trust,
            state,
            closed: ids.with_visitor(8),
            waiting: ids.with_visitor(9),
            colleague: AgentId::from_bytes([8; 16]),
            agent_sinks: Vec::new(),
            sessions: [1, 2].map(|n| SessionId::from_bytes([n; 16])),
            cookies: [String::new(), String::new()],
            tag: TagId::from_bytes([1; 16]),
            canned: CannedResponseId::from_bytes([1; 16]),
            key: KeyId::from_bytes([1; 16]),
            operator_keys: [2, 3].map(|n| KeyId::from_bytes([n; 16])),
            program: String::new(),
            operator: String::new(),
            invitation: InvitationId::from_bytes([1; 16]),
            invitation_token: String::new(),
            reset_token: String::new(),
            ids,
            store,
            _folder: folder,
        };
        world.settle().await;
        world
    }

    #[expect(clippy::too_many_lines, reason = "one row after the other")]
    async fn settle(&mut self) {
        let (ids, store) = (self.ids, self.store.clone());
        store.change(vec![Change::create(ids.tenant_row())]).await.unwrap();
        store.change(vec![Change::create(ids.site_row())]).await.unwrap();
        let mut admin = ids.agent_row();
        admin.password_hash = password_hash();
        let mut colleague = admin.clone();
        colleague.agent = self.colleague;
        colleague.role = Role::Agent;
        colleague.email = Personal::new("colleague@example.test".to_owned());
        colleague.availability = Availability::Available;
        for agent in [&admin, &colleague] {
            store.change(vec![Change::create(agent.clone())]).await.unwrap();
        }
        let tag = TagRow { tag: self.tag, tenant: ids.tenant, name: "a label".to_owned() };
        store.change(vec![Change::create(tag)]).await.unwrap();
        let [shortcut, title, text] = ["parcel", "Parcel", "It is on its way."].map(str::to_owned);
        let words = CannedWords { shortcut, title, text };
        let canned = CannedResponseRow::new(self.canned, ids.tenant, None, words, NOW);
        store.change(vec![Change::create(canned)]).await.unwrap();
        let erased = Identifier::of(IdentifierKind::Email, "erased@example.test").unwrap();
        let (id, basis) = (SuppressionId::from_bytes([1; 16]), SuppressionBasis::Erasure);
        let erased = SuppressionRow::new(id, ids.tenant, &erased, basis, None, NOW);
        store.change(vec![Change::create(erased)]).await.unwrap();
        let program = new_tenant_key();
        self.program = program.text.expose_secret().to_owned();
        store
            .change(vec![Change::create(key_row(Some(ids.tenant), self.key, program.hash))])
            .await
            .unwrap();
        let operator = new_operator_key();
        let secrets = [operator.hash, new_operator_key().hash];
        for (key, secret) in self.operator_keys.into_iter().zip(secrets) {
            store.change(vec![Change::create(key_row(None, key, secret))]).await.unwrap();
        }
        self.operator = operator.text.expose_secret().to_owned();
        let Issued { text, hash } = issue("lhi_");
        self.invitation_token = text.expose_secret().to_owned();
        let invitation = InvitationRow {
            invitation: self.invitation,
            tenant: ids.tenant,
            email: Personal::new("invited@example.test".to_owned()),
            role: Role::Agent,
            secret: hash,
            created_at: NOW,
            expires_at: NOW.plus_ms(DAY_MS),
        };
        store.change(vec![Change::create(invitation)]).await.unwrap();
        let Issued { text, hash } = issue("lhp_");
        self.reset_token = text.expose_secret().to_owned();
        let link = PasswordResetRow {
            tenant: ids.tenant,
            agent: self.colleague,
            secret: hash,
            created_at: NOW,
            expires_at: NOW.plus_ms(DAY_MS),
        };
        store.change(vec![link.issue()]).await.unwrap();
        let states = [
            (ids, ConversationState::Active),
            (self.closed, ConversationState::Closed),
            (self.waiting, ConversationState::Queued),
        ];
        for (of, state) in states {
            let mut row = of.conversation_row();
            row.state = state;
            if state != ConversationState::Queued {
                (row.assignee, row.waiting_since) = (Some(ids.agent), None);
            }
            row.closed_at = (state == ConversationState::Closed).then_some(NOW);
            row.tags = Vec::new();
            let writes = vec![
                Write::Visitor(Box::new(of.visitor_row())),
                Write::Conversation(Box::new(row)),
                Write::Message(of.message(1, "hello")),
            ];
            store.write(writes).await.unwrap();
        }
        self.hub.start().await.unwrap();
        // Whose session it is; two are the admin's.
        let people =
            [("admin", admin.agent), ("admin again", admin.agent), ("colleague", self.colleague)];
        for (n, (name, agent)) in people.into_iter().enumerate() {
            let session = self.sessions.get(n).copied();
            let session = session.unwrap_or_else(|| SessionId::from_bytes([9; 16]));
            let Issued { text, hash } = issue("lhs_");
            let cookie = format!("livehelp_session={}", text.expose_secret());
            if let Some(place) = self.cookies.get_mut(n) {
                *place = cookie;
            }
            let row = SessionRow {
                session,
                agent,
                tenant: ids.tenant,
                secret: hash,
                client: Personal::new("Firefox".to_owned()),
                created_at: NOW,
                expires_at: NOW.plus_ms(DAY_MS),
            };
            store.change(vec![Change::create(row)]).await.unwrap();
            let agent_sink = Arc::new(AgentSink {
                connection: ConnectionId::from_uuid(uuid::Uuid::new_v4()),
                heard: Mutex::default(),
                version: Mutex::new(0),
            });
            let sink: Arc<dyn FrameSink> = agent_sink.clone();
            let who = Who::Agent { agent, session };
            let speaker = Speaker { tenant: ids.tenant, who, sink };
            self.hub.presence().agent_connected(&speaker, NOW.plus_ms(DAY_MS)).await.unwrap();
            self.agent_sinks.push((name, agent_sink));
        }
    }

    fn router(&self, listener: Listener) -> Router {
        match listener {
            Listener::Public => public_router(self.state.clone()),
            Listener::Admin => admin_router(self.state.clone()),
        }
    }

    /// All that can be seen of it, in words without the ids that are made by the way.
    async fn seen(&self) -> String {
        // What was begun is at its end, and what was handed to the store is stored.
        self.state.acts().ended().await;
        self.store.write(Vec::new()).await.unwrap();
        let (ids, store) = (self.ids, &self.store);
        let mut seen = String::new();
        let mut tenants = store.tenants(Page { limit: 100, after: None }).await.unwrap();
        tenants.sort_by(|one, other| one.name.cmp(&other.name));
        for row in &tenants {
            writeln!(seen, "tenant {}", row.name).unwrap();
        }
        for row in store.sites(ids.tenant, Page { limit: 100, after: None }).await.unwrap() {
            let shape = |row: &SiteRow| {
                let closed = row.timeline.closed_at(NOW).is_some();
                let settings = &row.settings;
                let rules = (&settings.origins, &settings.redaction_patterns);
                format!("{} {rules:?} {:?} closed {closed}", row.name, row.timeline.plan(NOW))
            };
            let in_force = self.hub.sites().get(ids.tenant, row.site).await.unwrap();
            assert_eq!(shape(&row), shape(&in_force.row), "stored and not in force");
            writeln!(seen, "site {}", shape(&row)).unwrap();
        }
        for row in store.agents(ids.tenant, Page { limit: 100, after: None }).await.unwrap() {
            let card = self.hub.desks().own_card(ids.tenant, row.agent).await.unwrap();
            assert_eq!((card.name.clone(), card.role), (row.name.clone(), Some(row.role)));
            let same = row.password_hash == password_hash();
            let sessions = store.sessions(ids.tenant, row.agent).await.unwrap().len();
            let email = row.email.expose();
            writeln!(
                seen,
                "agent {email} active {} password as before {same} sessions {sessions}",
                row.active
            )
            .unwrap();
        }
        self.see_heard(&mut seen);
        self.see_access(&mut seen).await;
        self.see_conversations(&mut seen).await;
        let mark = store.high_water().await.unwrap();
        writeln!(seen, "clock {:?} {}", self.trust.standing(), mark.0).unwrap();
        seen
    }

    fn see_heard(&self, seen: &mut String) {
        for (name, agent_sink) in &self.agent_sinks {
            // A conversation that was made by the way has an id of its own each time.
            let known = [self.ids, self.closed, self.waiting].map(|of| of.conversation.to_string());
            let heard = agent_sink.heard.lock().clone();
            let general = |what: String| match what.strip_prefix("an offer of ") {
                Some(id) if !known.iter().any(|of| of == id) => "an offer of a new one".to_owned(),
                _ => what,
            };
            let heard: BTreeSet<String> = heard.into_iter().map(general).collect();
            writeln!(seen, "{name} heard {heard:?}").unwrap();
        }
    }

    async fn see_access(&self, seen: &mut String) {
        let (ids, store) = (self.ids, &self.store);
        for row in store.invitations(ids.tenant).await.unwrap() {
            writeln!(seen, "invitation {}", row.email.expose()).unwrap();
        }
        for tenant in [Some(ids.tenant), None] {
            for row in store.keys(tenant).await.unwrap() {
                writeln!(seen, "key {} of {}", row.name, tenant.is_some()).unwrap();
            }
        }
        for row in store.tags(ids.tenant).await.unwrap() {
            writeln!(seen, "tag {}", row.name).unwrap();
        }
        let all = Page { limit: 100, after: None };
        for row in store.privacy_requests(ids.tenant, all).await.unwrap() {
            let (state, words) = (row.state, row.words.expose());
            let (proof, refusal) = (&words.proof, words.refusal);
            writeln!(seen, "asked {state:?} {proof} {refusal:?} {}", words.answer).unwrap();
        }
        for row in store.suppressions(ids.tenant, Page { limit: 100, after: None }).await.unwrap() {
            writeln!(seen, "suppression {} {}", row.kind.word(), row.basis.word()).unwrap();
        }
        for row in store.canned_responses(ids.tenant).await.unwrap() {
            let words = row.words.expose();
            writeln!(seen, "canned {} {} {}", words.shortcut, words.title, row.used).unwrap();
        }
    }

    async fn see_conversations(&self, seen: &mut String) {
        let (ids, store) = (self.ids, &self.store);
        let filter = crate::store::ConversationFilter::default();
        let all = Page { limit: 100, after: None };
        let mut rows = store.conversations(ids.tenant, &filter, all).await.unwrap();
        rows.sort_by_key(|row| row.conversation);
        for row in rows {
            let open = self.hub.desks().open_conversations(ids.tenant, row.visitor).await.unwrap();
            let is_open = row.state != ConversationState::Closed;
            assert_eq!(open.contains(&row.conversation), is_open, "stored and not in force");
            let (state, to, labels) = (row.state, row.assignee, row.tags.len());
            writeln!(seen, "conversation {state:?} {to:?} labels {labels}").unwrap();
            let said = store.messages(ids.tenant, row.conversation, Seq(0), None, 100).await;
            for sequenced in said.unwrap() {
                let said = sequenced.envelope().author();
                writeln!(seen, "    {} {said:?}", sequenced.seq().0).unwrap();
            }
        }
    }
}

/// A request that changes something.
struct Ask {
    listener: Listener,
    method: String,
    path: String,
    cookie: Option<String>,
    key: Option<String>,
    once: bool,
    body: Option<Value>,
}

impl Ask {
    fn bytes(&self) -> Option<String> {
        self.body.as_ref().map(Value::to_string)
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![("host", "127.0.0.1:8080".to_owned()), ("origin", ORIGIN.to_owned())];
        fields.extend(self.cookie.clone().map(|cookie| ("cookie", cookie)));
        fields.extend(self.key.as_ref().map(|key| ("authorization", format!("Bearer {key}"))));
        fields.extend(self.once.then(|| ("idempotency-key", "once".to_owned())));
        fields.extend(self.bytes().map(|_| ("content-type", "application/json".to_owned())));
        fields
    }

    fn request(&self) -> Request<Body> {
        let mut request = Request::builder().method(self.method.as_str()).uri(&self.path);
        for (name, value) in self.fields() {
            request = request.header(name, value);
        }
        request.body(self.bytes().map_or_else(Body::empty, Body::from)).unwrap()
    }

    /// The same on a connection.
    fn wire(&self) -> String {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method.to_uppercase(), self.path);
        for (name, value) in self.fields() {
            write!(text, "{name}: {value}\r\n").unwrap();
        }
        let body = self.bytes().unwrap_or_default();
        write!(text, "content-length: {}\r\n\r\n{body}", body.len()).unwrap();
        text
    }
}

/// Every route that may change something: listener, method, path, and whether it takes an
/// `Idempotency-Key`.
fn routes() -> Vec<(Listener, String, String, bool)> {
    let mut routes = Vec::new();
    let documents = [(Listener::Public, openapi()), (Listener::Admin, openapi_admin())];
    for (listener, document) in documents {
        let document: Value = serde_json::from_str(&OpenApi::to_json(&document).unwrap()).unwrap();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                // A backup changes nothing of what is looked at here; its own tests cut it off.
                let is_backup = path == "/v1/backups";
                if is_backup || ["get", "head", "options"].contains(&method.as_str()) {
                    continue;
                }
                let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
                let once = parameters.iter().any(|known| known["name"] == "Idempotency-Key");
                routes.push((listener, method.to_uppercase(), path.clone(), once));
            }
        }
    }
    routes
}

/// What a route is asked for. A new route without a case fails here.
#[expect(clippy::too_many_lines, reason = "one arm a route: a flat list reads best whole")]
fn ask(world: &World, (listener, method, path, once): &(Listener, String, String, bool)) -> Ask {
    use Listener::{Admin, Public};
    let today = "2026-09-21";
    let new_site = json!({ "name": "New shop", "origins": ["https://new.example"] });
    let mut cookie = world.cookies.first().cloned();
    let invite = json!({ "email": "new@example.test", "role": "agent" });
    let body = match (listener, method.as_str(), path.as_str()) {
        (Public, "POST", "/v1/sessions") => {
            cookie = None;
            Some(json!({ "email": "grace@example.test", "password": PASSWORD }))
        }
        (Public, "PATCH", "/v1/agents/{agent_id}") => Some(json!({ "state": "deactivated" })),
        (Public, "PUT", "/v1/agents/{agent_id}/password") => {
            Some(json!({ "current_password": PASSWORD, "new_password": "another long password" }))
        }
        (Public, "POST", "/v1/sites") => Some(new_site),
        (Public, "PATCH", "/v1/sites/{site_id}") => Some(json!({
            "origins": ["https://other.example"], "redaction_patterns": ["order-[0-9]+"] })),
        (Public, "POST", "/v1/invitations") => Some(invite),
        (Public, "POST", "/v1/invitations/lookup") => {
            Some(json!({ "token": world.invitation_token }))
        }
        (Public, "POST", "/v1/invitations/accept") => Some(json!({
            "token": world.invitation_token, "name": "Ivy", "password": "another long password" })),
        (Public, "POST", "/v1/password-resets/lookup") => {
            Some(json!({ "token": world.reset_token }))
        }
        (Public, "POST", "/v1/password-resets/use") => Some(json!({
            "token": world.reset_token, "password": "another long password" })),
        (Public, "POST", "/v1/conversations/{conversation_id}/assign") => {
            Some(json!({ "agent_id": world.colleague.to_string() }))
        }
        (Public, "POST", "/v1/conversations/{conversation_id}/transfer") => {
            Some(json!({ "agent_id": world.colleague.to_string() }))
        }
        (Public, "POST", "/v1/conversations") => Some(json!({
            "site_id": world.ids.site.to_string(),
            "visitor": { "name": "Ada", "email": "ada@example.test" },
            "message": { "text": "created" } })),
        (Public, "POST", "/v1/conversations/{conversation_id}/take-over") => {
            Some(json!({ "from": world.ids.agent.to_string(),
                "agent_id": world.colleague.to_string() }))
        }
        (Public, "PUT", "/v1/conversations/{conversation_id}/tags") => {
            Some(json!({ "tags": [world.tag.to_string()] }))
        }
        (Public, "POST", "/v1/conversations/{conversation_id}/messages") => {
            Some(json!({ "text": "on its way" }))
        }
        (Public, "POST", "/v1/canned-responses") => {
            Some(json!({ "shortcut": "late", "title": "Late", "text": "It is late." }))
        }
        (Public, "PATCH", "/v1/canned-responses/{canned_response_id}") => {
            Some(json!({ "title": "Another" }))
        }
        (Public, "POST", "/v1/privacy-requests") => {
            Some(json!({ "kind": "erase", "email": "nobody@example.test" }))
        }
        (Public, "POST", "/v1/privacy-requests/{privacy_request_id}/verify") => {
            Some(json!({ "proof": "a call" }))
        }
        (Public, "POST", "/v1/privacy-requests/{privacy_request_id}/refuse") => {
            Some(json!({ "refusal": "not-ours", "answer": "Ask them." }))
        }
        (Public, "POST", "/v1/privacy-requests/{privacy_request_id}/close") => {
            Some(json!({ "answer": "Here it is." }))
        }
        (Public, "POST", "/v1/suppressions") => {
            Some(json!({ "kind": "email", "identifier": "gone@example.test", "basis": "erasure" }))
        }
        (Public, "POST", "/v1/suppressions/lift") => Some(
            json!({ "kind": "email", "identifier": "erased@example.test", "proof": "a letter" }),
        ),
        (Public, "POST", "/v1/tags") => Some(json!({ "name": "a new label" })),
        (Public, "PATCH", "/v1/tags/{tag_id}") => Some(json!({ "name": "another name" })),
        (Public, "POST", "/v1/keys") => {
            Some(json!({ "name": "a new program", "scopes": ["tags:read"] }))
        }
        (Admin, "POST", "/v1/tenants") => {
            Some(json!({ "name": "New Ltd", "privacy_contact": "privacy@new.example" }))
        }
        (Admin, "POST", "/v1/tenants/{tenant_id}/sites") => Some(json!({
            "name": "New shop", "origins": [], "plan": "team" })),
        (Admin, "POST", "/v1/tenants/{tenant_id}/invitations") => Some(invite),
        (Admin, "POST", "/v1/tenants/{tenant_id}/password-resets") => {
            Some(json!({ "email": "colleague@example.test" }))
        }
        (Admin, "PUT", "/v1/sites/{site_id}/plan") => Some(json!({ "plan": "free" })),
        (Admin, "POST", "/v1/operator-keys") => {
            Some(json!({ "name": "a new hand", "scopes": ["tenants:read"] }))
        }
        (Admin, "POST", "/v1/clock/confirm" | "/v1/clock/lower") => Some(json!({ "today": today })),
        (Public, "DELETE", "/v1/sessions/current" | "/v1/sessions/{session_id}")
        | (Public, "DELETE", "/v1/invitations/{invitation_id}" | "/v1/tags/{tag_id}")
        | (Public, "DELETE", "/v1/keys/{key_id}")
        | (Public, "DELETE", "/v1/canned-responses/{canned_response_id}")
        | (Public, "POST", "/v1/canned-responses/{canned_response_id}/use")
        | (Public, "POST", "/v1/privacy-requests/{privacy_request_id}/erase")
        | (Public, "POST", "/v1/agents/{agent_id}/password-reset")
        | (Public, "POST", "/v1/conversations/{conversation_id}/close")
        | (Public, "POST", "/v1/conversations/{conversation_id}/withdraw")
        | (Public, "POST", "/v1/conversations/{conversation_id}/reopen")
        | (Admin, "POST", "/v1/sites/{site_id}/close" | "/v1/sites/{site_id}/reopen")
        | (Admin, "DELETE", "/v1/operator-keys/{key_id}") => None,
        _ => panic!("{method} {path} changes something: say here what it is asked for"),
    };
    let conversation = match path.rsplit('/').next() {
        Some("reopen") => world.closed,
        Some("assign") => world.waiting,
        _ => world.ids,
    };
    let agent = if path.ends_with("/password") { world.ids.agent } else { world.colleague };
    let key = if *listener == Public { world.key } else { world.operator_keys[1] };
    let path = path
        .replace("{conversation_id}", &conversation.conversation.to_string())
        .replace("{agent_id}", &agent.to_string())
        .replace("{site_id}", &world.ids.site.to_string())
        .replace("{tenant_id}", &world.ids.tenant.to_string())
        .replace("{session_id}", &world.sessions[1].to_string())
        .replace("{invitation_id}", &world.invitation.to_string())
        .replace("{canned_response_id}", &world.canned.to_string())
        .replace("{privacy_request_id}", &ASKED.to_string())
        .replace("{tag_id}", &world.tag.to_string())
        .replace("{key_id}", &key.to_string());
    assert!(!path.contains('{'), "{path}");
    Ask {
        listener: *listener,
        method: method.clone(),
        path,
        cookie: cookie.filter(|_| *listener == Public),
        key: (*listener == Admin).then(|| world.operator.clone()),
        once: *once,
        body,
    }
}

/// What somebody asked for.
const ASKED: PrivacyRequestId = PrivacyRequestId::from_bytes([3; 16]);

/// What must be so before a route can do what it does.
async fn prepare(world: &World, path: &str) {
    if path == "/v1/clock/lower" {
        world.store.raise_high_water(NOW.plus_ms(2 * DAY_MS)).await.unwrap();
    }
    if path.ends_with("/withdraw") {
        let transfer = Act::Transfer { conversation: world.ids.conversation, to: world.colleague };
        world.hub.acts().run(world.ids.tenant, Actor::Program, transfer).await.unwrap();
    }
    if path.contains("{tag_id}") {
        // One that is live and one that is closed have it.
        for of in [world.ids, world.closed] {
            let tags = vec![world.tag];
            world
                .hub
                .conversations()
                .set_tags(world.ids.tenant, of.conversation, tags)
                .await
                .unwrap();
        }
    }
    if path.contains("{privacy_request_id}") {
        let kind = if path.ends_with("/erase") { RequestKind::Erase } else { RequestKind::Access };
        let words = RequestWords { identifier: String::from("ada"), ..RequestWords::default() };
        let of = (ASKED, world.ids.tenant);
        let row = RequestRow::new(of, kind, Vec::new(), (NOW, NOW.day()), words);
        let is_new = path.ends_with("/verify") || path.ends_with("/refuse");
        let row = if is_new { row } else { row.become_at(RequestState::Verified, NOW) };
        world.store.change(vec![Change::create(row)]).await.unwrap();
    }
    if path == "/v1/sites/{site_id}/reopen" {
        let mut row = world.ids.site_row();
        row.timeline.push(NOW, crate::privacy::policy::SiteEvent::Closed);
        world.store.change(vec![row.clone().change()]).await.unwrap();
        world.hub.presence().site_changed(&row).await;
    }
}

/// A future that is dropped after so many polls, when it would be polled once more.
struct Cut<F> {
    inner: Pin<Box<F>>,
    polls: usize,
}

impl<F: Future> Future for Cut<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        self.inner.as_mut().poll(cx).map(Some)
    }
}

async fn send(world: &World, ask: &Ask, polls: usize) -> Option<Response<Body>> {
    let answer = world.router(ask.listener).oneshot(ask.request());
    Cut { inner: Box::pin(answer), polls }.await.map(Result::unwrap)
}

async fn text(answer: Response<Body>) -> (u16, String, String) {
    let status = answer.status().as_u16();
    let replayed = answer.headers().get("idempotent-replayed");
    let replayed = replayed.map_or("", |value| value.to_str().unwrap()).to_owned();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, replayed, String::from_utf8(body.to_vec()).unwrap())
}

/// A create that is sent again has happened once, and answers the same from then on.
async fn happens_once(world: &World, ask: &Ask, whole: &str) {
    let (status, _, first) = text(send(world, ask, POLLS_MAX).await.unwrap()).await;
    assert_eq!(status, 201, "{first}");
    let (status, replayed, again) = text(send(world, ask, POLLS_MAX).await.unwrap()).await;
    assert_eq!((status, replayed.as_str(), &again), (201, "true", &first));
    assert_eq!(world.seen().await, whole, "{} {}", ask.method, ask.path);
}

async fn cut_at_every_await(kind: Kind) {
    for route in routes() {
        let whole = World::new(kind).await;
        prepare(&whole, &route.2).await;
        let before = whole.seen().await;
        let answer = send(&whole, &ask(&whole, &route), POLLS_MAX).await;
        let (status, _, words) = text(answer.expect("it has answered by then")).await;
        assert!((200..300).contains(&status), "{route:?}: {status} {words}");
        let after = whole.seen().await;
        for polls in 0.. {
            let world = World::new(kind).await;
            prepare(&world, &route.2).await;
            let ask = ask(&world, &route);
            let answered = send(&world, &ask, polls).await.is_some();
            let seen = world.seen().await;
            let is_whole = seen == after || (seen == before && !answered);
            assert!(is_whole, "{route:?} cut after {polls} polls\n{seen}\n--- whole\n{after}");
            if ask.once {
                happens_once(&world, &ask, &after).await;
            }
            if answered {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_act_is_whole_or_not_there_wherever_its_client_hangs_up() {
    cut_at_every_await(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_act_in_memory_is_whole_or_not_there_wherever_its_client_hangs_up() {
    cut_at_every_await(Kind::Memory).await;
}

/// Serves one connection, to which `client` speaks, and ends.
async fn serve_one(
    world: &World,
    listener: Listener,
    limits: Limits,
    wire: &str,
    stays: bool,
) -> Vec<u8> {
    let bound = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = bound.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let router = world.router(listener);
    let serving = serve(bound, None, router, Arc::new(NoSockets), limits, Metrics::new(), stopped);
    let serving = tasks::spawn("a listener", serving);
    let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
    client.write_all(wire.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    if stays {
        let mut head = [0; 512];
        let read = client.read(&mut head).await.unwrap();
        answer.extend_from_slice(&head[..read]);
    }
    drop(client);
    stop.send_replace(true);
    serving.await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_act_is_whole_or_not_there_whenever_the_connection_breaks_or_the_server_stops_waiting() {
    let usual = Limits::of(&Config::defaults());
    let hasty = Limits { request: Duration::from_micros(1), ..usual.clone() };
    let mut gone_on = 0;
    for route in routes() {
        let whole = World::new(Kind::Memory).await;
        prepare(&whole, &route.2).await;
        let before = whole.seen().await;
        send(&whole, &ask(&whole, &route), POLLS_MAX).await.unwrap();
        let after = whole.seen().await;
        for (limits, stays) in [(&usual, false), (&hasty, true)] {
            let world = World::new(Kind::Memory).await;
            prepare(&world, &route.2).await;
            let ask = ask(&world, &route);
            let answer = serve_one(&world, route.0, limits.clone(), &ask.wire(), stays).await;
            let seen = world.seen().await;
            let told = String::from_utf8_lossy(&answer).into_owned();
            assert!(seen == before || seen == after, "{route:?}: {told}\n{seen}\n---\n{after}");
            gone_on += usize::from(seen == after && told.starts_with("HTTP/1.1 408"));
            if ask.once {
                happens_once(&world, &ask, &after).await;
            }
        }
    }
    assert!(gone_on > 0, "of no act the server stopped waiting");
}

impl World {
    /// The version of a conversation as REST shows it.
    async fn version(&self, conversation: ConversationId) -> u64 {
        let ask = Ask {
            listener: Listener::Public,
            method: "GET".to_owned(),
            path: format!("/v1/conversations/{conversation}"),
            cookie: self.cookies.first().cloned(),
            key: None,
            once: false,
            body: None,
        };
        let (status, _, body) = text(send(self, &ask, POLLS_MAX).await.unwrap()).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str::<Value>(&body).unwrap()["version"].as_u64().unwrap()
    }

    async fn change(&self, method: &str, path: String, body: Value) {
        let ask = Ask {
            listener: Listener::Public,
            method: method.to_owned(),
            path,
            cookie: self.cookies.first().cloned(),
            key: None,
            once: false,
            body: Some(body),
        };
        let (status, _, words) = text(send(self, &ask, POLLS_MAX).await.unwrap()).await;
        assert!((200..300).contains(&status), "{words}");
    }
}

#[tokio::test]
async fn every_change_that_a_conversation_shows_raises_its_version() {
    let world = World::new(Kind::Sqlite).await;
    let (open, closed) = (world.ids.conversation, world.closed.conversation);
    let agent_sink = &world.agent_sinks[2].1;
    let session = SessionId::from_bytes([9; 16]);
    let who = Who::Agent { agent: world.colleague, session };
    let sink: Arc<dyn FrameSink> = agent_sink.clone();
    let speaker = Speaker { tenant: world.ids.tenant, who, sink };
    world
        .hub
        .attendance()
        .attend(&speaker, open, None, protocol::frame::RequestId(1))
        .await
        .unwrap();
    let labels = |of: ConversationId| format!("/v1/conversations/{of}/tags");
    let admin = format!("/v1/agents/{}", world.ids.agent);
    let mut before = world.version(open).await;
    assert_eq!(*agent_sink.version.lock(), before);
    let changes = [
        ("PUT", labels(open), json!({ "tags": [world.tag.to_string()] })),
        ("PUT", labels(open), json!({ "tags": [] })),
        ("PATCH", admin, json!({ "name": "Grace Hopper" })),
    ];
    for (method, path, body) in changes {
        world.change(method, path.clone(), body).await;
        assert_eq!(*agent_sink.version.lock(), before + 1, "{method} {path}");
        assert_eq!(world.version(open).await, before + 1, "{method} {path}");
        before += 1;
    }
    // The visitor says in another conversation who they are.
    let visitor = Who::Visitor { site: world.ids.site, visitor: world.ids.visitor };
    let opening = crate::hub::Opening {
        conversation: ConversationId::from_uuid(uuid::Uuid::now_v7()),
        form: vec![("email", "ada.lovelace@example.test")],
        page: None,
        notice: None,
        locale: "en",
        secret: SecretHash([0; 32]),
        secret_expires_at: UnixMillis(0),
        address: std::net::Ipv4Addr::LOCALHOST.into(),
        gpc: false,
    };
    let theirs = Speaker { who: visitor, ..speaker.clone() };
    world.hub.conversations().open(&theirs, opening).await.unwrap();
    assert_eq!(world.version(open).await, before + 1, "another e-mail address");
    assert_eq!(*agent_sink.version.lock(), before + 1);
    let before = world.version(closed).await;
    world.change("PUT", labels(closed), json!({ "tags": [world.tag.to_string()] })).await;
    assert_eq!(world.version(closed).await, before + 1, "a closed one");
}

impl World {
    /// Asks as the Organization's program does.
    async fn program(
        &self,
        method: &str,
        path: &str,
        once: bool,
        body: Option<Value>,
    ) -> (u16, Value) {
        let ask = Ask {
            listener: Listener::Public,
            method: method.to_owned(),
            path: path.to_owned(),
            cookie: None,
            key: Some(self.program.clone()),
            once,
            body,
        };
        let (status, _, body) = text(send(self, &ask, POLLS_MAX).await.unwrap()).await;
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }
}

#[tokio::test]
async fn a_created_conversation_is_like_one_that_a_visitor_opens() {
    for kind in [Kind::Sqlite, Kind::Memory] {
        let world = World::new(kind).await;
        let site = world.ids.site.to_string();
        let path = "/v1/conversations";
        let new = |visitor: Value, more: Value| {
            let mut body = json!({
                "site_id": site, "visitor": visitor, "message": { "text": "Where is it?" } });
            for (name, value) in more.as_object().unwrap() {
                body[name.as_str()] = value.clone();
            }
            Some(body)
        };
        let ada = json!({ "name": "Ada", "email": "ada@example.test", "locale": "de-DE" });
        let (status, made) = world.program("POST", path, true, new(ada.clone(), json!({}))).await;
        assert_eq!(status, 201, "{made}");
        // The colleague is available and has room: they are asked at once.
        assert_eq!((&made["state"], &made["seq_last"]), (&json!("offered"), &json!(1)));
        assert_eq!(made["preview"], "Where is it?");
        assert_eq!(made["last_author"]["kind"], "visitor");
        assert_eq!(made["visitor"]["locale"], "de-DE");
        let heard = world.agent_sinks[2].1.heard.lock().clone();
        let offer = format!("an offer of {}", made["conversation_id"].as_str().unwrap());
        assert!(heard.contains(&offer), "{heard:?}");
        // The same visitor again, by id: who they are is known, and the words are the program's
        // own.
        let visitor = &made["visitor"]["visitor_id"];
        let own = json!({ "visitor_id": visitor, "message": { "text": "News", "author": "me" } });
        let (status, again) = world.program("POST", path, false, new(json!({}), own)).await;
        assert_eq!(status, 201, "{again}");
        assert_eq!(again["visitor"]["visitor_id"], *visitor);
        assert_eq!(again["visitor"]["name"], made["visitor"]["name"]);
        assert_eq!(again["last_author"]["kind"], "bot");
        assert_ne!(again["conversation_id"], made["conversation_id"]);
        // Given to somebody at once: nobody else is asked.
        let given = json!({ "assignee": world.colleague.to_string() });
        let (status, given) = world.program("POST", path, false, new(ada.clone(), given)).await;
        assert_eq!((status, &given["state"]), (201, &json!("active")), "{given}");
        assert_eq!(given["assignee"], world.colleague.to_string());
        let offer = format!("an offer of {}", given["conversation_id"].as_str().unwrap());
        assert!(!world.agent_sinks[2].1.heard.lock().contains(&offer));
        // What is refused has begun nothing.
        let before = world.seen().await;
        let refused = [
            (new(json!({}), json!({})), 422, "invalid"),
            (new(ada.clone(), json!({ "message": { "text": " " } })), 422, "invalid"),
            (
                new(ada.clone(), json!({ "site_id": "sit_00000000000000000000000000000001" })),
                422,
                "invalid",
            ),
            (
                new(ada.clone(), json!({ "visitor_id": "vis_00000000000000000000000000000001" })),
                422,
                "invalid",
            ),
            (
                new(ada.clone(), json!({ "assignee": "agt_00000000000000000000000000000001" })),
                422,
                "invalid",
            ),
        ];
        for (body, status, code) in refused {
            let (was, problem) = world.program("POST", path, false, body.clone()).await;
            assert_eq!((was, &problem["code"]), (status, &json!(code)), "{body:?} {problem}");
        }
        assert_eq!(world.seen().await, before);
        // After a restart it waits like any other.
        let rows = world.store.conversations_live().await.unwrap();
        assert!(rows.iter().any(|row| json!(row.conversation) == made["conversation_id"]));
    }
}

#[tokio::test]
async fn a_labels_new_name_and_its_end_raise_every_version() {
    for kind in [Kind::Sqlite, Kind::Memory] {
        let world = World::new(kind).await;
        let (open, closed) = (world.ids.conversation, world.closed.conversation);
        for of in [open, closed] {
            world
                .hub
                .conversations()
                .set_tags(world.ids.tenant, of, vec![world.tag])
                .await
                .unwrap();
        }
        let versions = async || [world.version(open).await, world.version(closed).await];
        let before = versions().await;
        let tag = format!("/v1/tags/{}", world.tag);
        let renamed = json!({ "name": "renamed" });
        world.change("PATCH", tag.clone(), renamed.clone()).await;
        assert_eq!(versions().await, before.map(|version| version + 1));
        world.change("PATCH", tag.clone(), renamed).await;
        assert_eq!(versions().await, before.map(|version| version + 1), "it is the same name");
        let (_, shown) =
            world.program("GET", &format!("/v1/conversations/{closed}"), false, None).await;
        assert_eq!(shown["labels"], json!([{ "tag_id": world.tag, "name": "renamed" }]));
        let (status, _) = world.program("DELETE", &tag, false, None).await;
        assert_eq!(status, 204);
        assert_eq!(versions().await, before.map(|version| version + 2));
        for of in [open, closed] {
            let row = world.store.conversation(world.ids.tenant, of).await.unwrap().unwrap();
            assert!(row.tags.is_empty());
        }
    }
}

/// What of a conversation moves with what is said and read in it: `seq_last`, `marks` and
/// `updated_at` order that, and a version would be another with each message.
const OF_WHAT_IS_SAID: [&str; 8] = [
    "seq_last",
    "preview",
    "last_author",
    "last_message_at",
    "last_message_time",
    "marks",
    "updated_at",
    "updated_time",
];

/// Acts that raise the version of a conversation.
const RAISE: [&str; 10] = [
    "POST /v1/conversations/{conversation_id}/close",
    "POST /v1/conversations/{conversation_id}/reopen",
    "POST /v1/conversations/{conversation_id}/assign",
    "POST /v1/conversations/{conversation_id}/transfer",
    "POST /v1/conversations/{conversation_id}/take-over",
    "POST /v1/conversations/{conversation_id}/withdraw",
    "PUT /v1/conversations/{conversation_id}/tags",
    "PATCH /v1/tags/{tag_id}",
    "DELETE /v1/tags/{tag_id}",
    // What they have goes back into the queue once they are deactivated.
    "PATCH /v1/agents/{agent_id}",
];

/// All others, with the reason why they leave the versions that there are.
const LEAVE: [(&str, &[&str]); 8] = [
    (
        "what agents say often is no part of a conversation before they say it",
        &[
            "POST /v1/canned-responses",
            "PATCH /v1/canned-responses/{canned_response_id}",
            "DELETE /v1/canned-responses/{canned_response_id}",
            "POST /v1/canned-responses/{canned_response_id}/use",
        ],
    ),
    (
        "an erasure ends the conversations that it takes before, and a request is none",
        &[
            "POST /v1/privacy-requests",
            "POST /v1/privacy-requests/{privacy_request_id}/verify",
            "POST /v1/privacy-requests/{privacy_request_id}/refuse",
            "POST /v1/privacy-requests/{privacy_request_id}/close",
            "POST /v1/privacy-requests/{privacy_request_id}/erase",
        ],
    ),
    ("it begins another conversation", &["POST /v1/conversations"]),
    ("see `OF_WHAT_IS_SAID`", &["POST /v1/conversations/{conversation_id}/messages"]),
    ("no conversation has it yet", &["POST /v1/tags"]),
    (
        "who signs in with what is no part of a conversation",
        &[
            "POST /v1/sessions",
            "DELETE /v1/sessions/current",
            "DELETE /v1/sessions/{session_id}",
            "PUT /v1/agents/{agent_id}/password",
            "POST /v1/agents/{agent_id}/password-reset",
            "POST /v1/password-resets/lookup",
            "POST /v1/password-resets/use",
            "POST /v1/invitations",
            "POST /v1/invitations/lookup",
            "POST /v1/invitations/accept",
            "DELETE /v1/invitations/{invitation_id}",
            "POST /v1/keys",
            "DELETE /v1/keys/{key_id}",
            "POST /v1/suppressions",
            "POST /v1/suppressions/lift",
            "POST /v1/operator-keys",
            "DELETE /v1/operator-keys/{key_id}",
            "POST /v1/tenants/{tenant_id}/invitations",
            "POST /v1/tenants/{tenant_id}/password-resets",
        ],
    ),
    (
        "conversations name their site by its id alone",
        &[
            "POST /v1/sites",
            "PATCH /v1/sites/{site_id}",
            "POST /v1/tenants",
            "POST /v1/tenants/{tenant_id}/sites",
            "PUT /v1/sites/{site_id}/plan",
            "POST /v1/sites/{site_id}/close",
            "POST /v1/sites/{site_id}/reopen",
        ],
    ),
    ("the clock's mark is nobody's", &["POST /v1/clock/confirm", "POST /v1/clock/lower"]),
];

impl World {
    /// The three conversations as REST shows them, by whoever may still ask.
    async fn shown(&self) -> Vec<Value> {
        let mut shown = Vec::new();
        for of in [self.ids, self.closed, self.waiting] {
            let path = format!("/v1/conversations/{}", of.conversation);
            let (mut status, mut row) = self.program("GET", &path, false, None).await;
            if status == 401 {
                let ask = Ask {
                    listener: Listener::Public,
                    method: "GET".to_owned(),
                    path,
                    cookie: self.cookies.first().cloned(),
                    key: None,
                    once: false,
                    body: None,
                };
                let (again, _, body) = text(send(self, &ask, POLLS_MAX).await.unwrap()).await;
                (status, row) = (again, serde_json::from_str(&body).unwrap());
            }
            assert_eq!(status, 200, "{row}");
            for name in OF_WHAT_IS_SAID {
                row.as_object_mut().unwrap().remove(name);
            }
            shown.push(row);
        }
        shown
    }
}

#[tokio::test]
async fn every_act_of_the_contract_that_changes_a_conversation_raises_its_version() {
    let mut left: BTreeSet<String> = BTreeSet::new();
    let mut raised: BTreeSet<String> = BTreeSet::new();
    for route in routes() {
        let act = format!("{} {}", route.1, route.2);
        let world = World::new(Kind::Memory).await;
        prepare(&world, &route.2).await;
        let before = world.shown().await;
        let answer = send(&world, &ask(&world, &route), POLLS_MAX).await;
        let (status, _, words) = text(answer.expect("it has answered by then")).await;
        assert!((200..300).contains(&status), "{act}: {status} {words}");
        world.state.acts().ended().await;
        let mut rises = false;
        for (was, is) in before.iter().zip(world.shown().await) {
            let rose = is["version"].as_u64() > was["version"].as_u64();
            assert!(rose || is == *was, "{act} changes\n{was}\ninto\n{is}");
            rises |= rose;
        }
        if rises { &mut raised } else { &mut left }.insert(act);
    }
    let strings = |acts: &[&str]| acts.iter().map(|act| (*act).to_owned()).collect::<Vec<_>>();
    assert_eq!(raised, BTreeSet::from_iter(strings(&RAISE)));
    let listed = LEAVE.iter().flat_map(|(_, acts)| strings(acts));
    assert_eq!(left, listed.collect::<BTreeSet<_>>(), "each stands in one of the lists");
}

mod audit;
