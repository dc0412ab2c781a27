//! What people asked for about their data: its clock, its proof, and its end. An erasure is carried out
//! from here, and nowhere else.

use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, header};
use protocol::conversation::Role;
use protocol::ids::{AgentId, ConversationId, PrivacyRequestId, VisitorId};
use protocol::personal::Personal;
use protocol::time::UnixMillis;
use serde::{Deserialize, Serialize};

use super::access::Access;
use super::agents::keep_an_admin;
use super::date::{iso_day, parse_day};
use super::idempotency::{Idempotency, Keep};
use super::json::{Answer, Json};
use super::page::{Items, PageQuery};
use super::problem::{Problem, ProblemCode};
use super::request::{Asked, Body, Id, bounded, name};
use super::schema;
use crate::auth::{Scope, normal_email};
use crate::erasure::{self, Counts, EraseError};
use crate::privacy::audit::{Act, Action, ObjectKind};
use crate::privacy::request::{Refusal, RequestKind, RequestState};
use crate::privacy::seal::Subject;
use crate::store::{Change, Page, RequestRow, RequestWords};

/// Characters of a note, a proof or an answer.
pub(super) const WORDS_CHARS_MAX: usize = 4_000;

/// Visitors that are read at once when one is looked for by address.
const VISITORS_PER_PAGE: u16 = 500;

/// People with one address in an Organization; more are no one person.
const SUBJECTS_MAX: usize = 1_000;

/// What somebody asked for about their data.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct PrivacyRequest {
    #[schema(schema_with = schema::privacy_request_id)]
    privacy_request_id: PrivacyRequestId,
    #[schema(schema_with = schema::request_kind)]
    kind: RequestKind,
    #[schema(schema_with = schema::request_state)]
    state: RequestState,
    /// Whom it is about; empty where nobody of that name is known here.
    subjects: Vec<PrivacySubject>,
    /// By what the person was named.
    #[schema(value_type = String)]
    identifier: Personal<String>,
    /// What they said.
    #[schema(value_type = String)]
    note: Personal<String>,
    /// How it was proved that it is theirs.
    #[schema(value_type = String)]
    proof: Personal<String>,
    /// Why it was refused: a reason as `refuse` takes it.
    #[schema(value_type = Option<String>)]
    refusal: Option<Refusal>,
    /// What they were told.
    #[schema(value_type = String)]
    answer: Personal<String>,
    #[schema(value_type = u64)]
    created_at: UnixMillis,
    /// The last day on which an answer is in time, UTC.
    due_on: String,
    /// It is open, and that day is over.
    overdue: bool,
    #[schema(value_type = Option<u64>)]
    ended_at: Option<UnixMillis>,
    /// What is kept of them now, or was before it was erased; null in a list.
    found: Option<Found>,
}

/// What is kept of people, counted.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Found {
    persons: u64,
    conversations: u64,
    messages: u64,
}

impl From<Counts> for Found {
    fn from(Counts { persons, conversations, messages }: Counts) -> Self {
        Self { persons, conversations, messages }
    }
}

/// A certificate as `livehelp certificate verify` reads it.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct ErasureCertificate {
    /// What the erasure did; see docs/privacy.md.
    #[schema(value_type = Object)]
    certificate: (),
    /// Ed25519: algorithm, key and value.
    #[schema(value_type = Object)]
    signature: (),
}

/// A person.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct PrivacySubject {
    #[schema(schema_with = schema::visitor_id)]
    #[serde(skip_serializing_if = "Option::is_none")]
    visitor_id: Option<VisitorId>,
    #[schema(schema_with = schema::agent_id)]
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<AgentId>,
}

/// A new request. The person is named in one way: by their e-mail address, as a visitor, by one of
/// their conversations, or as an agent.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPrivacyRequest {
    #[schema(schema_with = schema::request_kind)]
    kind: RequestKind,
    #[schema(value_type = Option<String>)]
    email: Option<Personal<String>>,
    #[schema(value_type = Option<String>)]
    visitor_id: Option<VisitorId>,
    #[schema(value_type = Option<String>)]
    conversation_id: Option<ConversationId>,
    #[schema(value_type = Option<String>)]
    agent_id: Option<AgentId>,
    /// What they said.
    #[serde(default)]
    #[schema(value_type = String)]
    note: Personal<String>,
    /// The day on which it came, where that was earlier, UTC: its clock runs from then.
    received_on: Option<String>,
}

/// How it was proved that the request is theirs.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Verification {
    #[schema(value_type = String)]
    proof: Personal<String>,
}

/// What the person is told at the end.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Closing {
    #[schema(value_type = String)]
    answer: Personal<String>,
}

/// Why it is refused, and what the person is told.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refused {
    #[schema(schema_with = schema::refusal)]
    refusal: Refusal,
    #[schema(value_type = String)]
    answer: Personal<String>,
}

/// What is kept of the answer to a create: nobody's words.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Made {
    privacy_request: PrivacyRequestId,
}

fn shape(row: RequestRow, found: Option<Counts>, now: UnixMillis) -> PrivacyRequest {
    let (ended_at, due) = (row.ended_at(), row.due);
    let RequestWords { identifier, note, proof, refusal, answer } = row.words.into_exposed();
    let subject = |subject: Subject| match subject {
        Subject::Visitor(visitor) => PrivacySubject { visitor_id: Some(visitor), agent_id: None },
        Subject::Agent(agent) => PrivacySubject { visitor_id: None, agent_id: Some(agent) },
    };
    PrivacyRequest {
        privacy_request_id: row.privacy_request,
        kind: row.kind,
        state: row.state,
        subjects: row.subjects.0.into_iter().map(subject).collect(),
        identifier: Personal::new(identifier),
        note: Personal::new(note),
        proof: Personal::new(proof),
        refusal,
        answer: Personal::new(answer),
        created_at: row.created_at,
        due_on: iso_day(due),
        overdue: row.state.is_open() && now.day() > due,
        ended_at,
        found: found.map(Found::from),
    }
}

/// A request with what is kept of its people; of one that is under way or done, with what was.
async fn show(access: &Access, row: RequestRow) -> Result<PrivacyRequest, Problem> {
    let found = match row.state {
        RequestState::Received | RequestState::Verified => {
            access.state.erasures.found(row.tenant, &row.subjects.0).await?
        }
        RequestState::Working | RequestState::Done | RequestState::Refused => {
            erasure::read(&row.outcome).found
        }
    };
    Ok(shape(row, Some(found), access.state.now()))
}

fn act(access: &Access, action: Action, id: PrivacyRequestId) -> Act {
    access.act(action).on(ObjectKind::Request, *id.as_bytes())
}

async fn find(access: &Access, id: PrivacyRequestId) -> Result<RequestRow, Problem> {
    access.need(Role::Admin, Scope::PrivacyManage)?;
    let row = access.state.store.privacy_request(access.tenant, id).await?;
    row.ok_or_else(|| Problem::not_found("privacy request"))
}

/// GET /v1/privacy-requests
#[utoipa::path(get, path = "/v1/privacy-requests", tag = "privacy",
    operation_id = "list_privacy_requests", params(PageQuery),
    responses((status = 200, body = Items<PrivacyRequest>)))]
pub(crate) async fn list(
    access: Access,
    Asked(query): Asked<PageQuery>,
) -> Answer<Items<PrivacyRequest>> {
    access.need(Role::Admin, Scope::PrivacyManage)?;
    let page = query.parse()?;
    let rows = access.state.store.privacy_requests(access.tenant, page).await?;
    let now = access.state.now();
    let shown = |row| shape(row, None, now);
    Ok(Json(Items::cut(rows, &page, |row| row.privacy_request, shown)))
}

/// POST /v1/privacy-requests
#[utoipa::path(post, path = "/v1/privacy-requests", tag = "privacy",
    operation_id = "create_privacy_request", request_body = NewPrivacyRequest,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = PrivacyRequest), (status = 404), (status = 422)))]
pub(crate) async fn create(
    access: Access,
    once: Idempotency,
    Body { value: new, bytes }: Body<NewPrivacyRequest>,
) -> Result<Response, Problem> {
    let state = &access.state;
    access.need(Role::Admin, Scope::PrivacyManage)?;
    let make = async |keep: Option<Keep>| {
        let now = state.now();
        let (identifier, subjects) = subjects(&access, &new).await?;
        bounded("note", new.note.expose(), WORDS_CHARS_MAX)?;
        let received = received(new.received_on.as_deref(), now)?;
        let words =
            RequestWords { identifier, note: new.note.expose().clone(), ..RequestWords::default() };
        let id = PrivacyRequestId::from_uuid(state.new_uuid());
        let due = new.kind.due(received, |_| false);
        let of = (id, access.tenant);
        let row = RequestRow::new(of, new.kind, subjects, (received, due), words);
        let made = Made { privacy_request: id };
        let mut records = vec![Change::create(row)];
        records.extend(keep.map(|keep| keep.record(&made)).transpose()?);
        state.carry_out(act(&access, Action::RequestOpened, id), records).await?;
        Ok(made)
    };
    let shown =
        async |Made { privacy_request }| show(&access, find(&access, privacy_request).await?).await;
    once.once_shown(state, (access.tenant, &access.owner()), &bytes, make, shown).await
}

/// GET /v1/privacy-requests/{privacy_request_id}
#[utoipa::path(get, path = "/v1/privacy-requests/{privacy_request_id}", tag = "privacy",
    operation_id = "get_privacy_request", params(("privacy_request_id" = String, Path)),
    responses((status = 200, body = PrivacyRequest), (status = 404)))]
pub(crate) async fn get(access: Access, Id(id): Id<PrivacyRequestId>) -> Answer<PrivacyRequest> {
    let row = find(&access, id).await?;
    Ok(Json(show(&access, row).await?))
}

/// POST /v1/privacy-requests/{privacy_request_id}/verify
#[utoipa::path(post, path = "/v1/privacy-requests/{privacy_request_id}/verify", tag = "privacy",
    operation_id = "verify_privacy_request", params(("privacy_request_id" = String, Path)),
    request_body = Verification,
    responses((status = 200, body = PrivacyRequest), (status = 404), (status = 409)))]
pub(crate) async fn verify(
    access: Access,
    Id(id): Id<PrivacyRequestId>,
    Body { value, .. }: Body<Verification>,
) -> Answer<PrivacyRequest> {
    let proof = name("proof", value.proof.expose(), WORDS_CHARS_MAX)?;
    let told = |words| RequestWords { proof, ..words };
    become_state(&access, id, RequestState::Verified, told).await
}

/// POST /v1/privacy-requests/{privacy_request_id}/refuse
#[utoipa::path(post, path = "/v1/privacy-requests/{privacy_request_id}/refuse", tag = "privacy",
    operation_id = "refuse_privacy_request", params(("privacy_request_id" = String, Path)),
    request_body = Refused,
    responses((status = 200, body = PrivacyRequest), (status = 404), (status = 409)))]
pub(crate) async fn refuse(
    access: Access,
    Id(id): Id<PrivacyRequestId>,
    Body { value, .. }: Body<Refused>,
) -> Answer<PrivacyRequest> {
    let answer = name("answer", value.answer.expose(), WORDS_CHARS_MAX)?;
    let refusal = Some(value.refusal);
    let told = |words| RequestWords { refusal, answer, ..words };
    become_state(&access, id, RequestState::Refused, told).await
}

/// POST /v1/privacy-requests/{privacy_request_id}/close
#[utoipa::path(post, path = "/v1/privacy-requests/{privacy_request_id}/close", tag = "privacy",
    operation_id = "close_privacy_request", params(("privacy_request_id" = String, Path)),
    request_body = Closing,
    responses((status = 200, body = PrivacyRequest), (status = 404), (status = 409)))]
pub(crate) async fn close(
    access: Access,
    Id(id): Id<PrivacyRequestId>,
    Body { value, .. }: Body<Closing>,
) -> Answer<PrivacyRequest> {
    let answer = name("answer", value.answer.expose(), WORDS_CHARS_MAX)?;
    if find(&access, id).await?.kind == RequestKind::Erase {
        let words = "An erasure is closed by carrying it out: POST …/erase.";
        return Err(Problem::new(ProblemCode::Conflict, words));
    }
    let told = |words| RequestWords { answer, ..words };
    become_state(&access, id, RequestState::Done, told).await
}

/// POST /v1/privacy-requests/{privacy_request_id}/erase
#[utoipa::path(post, path = "/v1/privacy-requests/{privacy_request_id}/erase", tag = "privacy",
    operation_id = "erase_by_privacy_request", params(("privacy_request_id" = String, Path)),
    responses((status = 200, body = PrivacyRequest), (status = 404), (status = 409)))]
pub(crate) async fn erase(access: Access, Id(id): Id<PrivacyRequestId>) -> Answer<PrivacyRequest> {
    let state = &access.state;
    let row = {
        let _id_lock = state.changes.of(access.tenant.as_bytes()).await;
        let row = find(&access, id).await?;
        if row.kind != RequestKind::Erase {
            let words = "This request is not for an erasure.";
            return Err(Problem::new(ProblemCode::Conflict, words));
        }
        may_follow(&row, RequestState::Working)?;
        keeps_an_admin(&access, &row).await?;
        state.erasures.begin(row, act(&access, Action::RequestChanged, id)).await?
    };
    match state.erasures.carry_out(row).await {
        Ok(row) => Ok(Json(show(&access, row).await?)),
        // It goes on by itself: whoever asks sees it working.
        Err(EraseError::Store(error)) => Err(error.into()),
        Err(
            EraseError::Keys(_)
            | EraseError::Conversation(_)
            | EraseError::Certificate(_)
            | EraseError::StillThere(_),
        ) => {
            let words = "The erasure has begun and is not at its end. It goes on by itself.";
            Err(Problem::new(ProblemCode::StoreUnavailable, words))
        }
    }
}

/// GET /v1/privacy-requests/{privacy_request_id}/certificate
#[utoipa::path(get, path = "/v1/privacy-requests/{privacy_request_id}/certificate",
    tag = "privacy", operation_id = "get_erasure_certificate",
    params(("privacy_request_id" = String, Path)),
    responses((status = 200, body = ErasureCertificate), (status = 404)))]
pub(crate) async fn certificate(
    access: Access,
    Id(id): Id<PrivacyRequestId>,
) -> Result<Response, Problem> {
    let row = find(&access, id).await?;
    if row.certificate.is_empty() {
        return Err(Problem::not_found("certificate"));
    }
    // As it was signed: nothing is added to it.
    let kind = HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, kind)], row.certificate).into_response())
}

/// When it came.
fn received(on: Option<&str>, now: UnixMillis) -> Result<UnixMillis, Problem> {
    let Some(text) = on else { return Ok(now) };
    let wrong = || Problem::field("received_on", "A day until today, such as 2026-11-24.");
    let day = parse_day(text).ok_or_else(wrong)?;
    if day > now.day() { Err(wrong()) } else { Ok(day.start().min(now)) }
}

/// A request stands otherwise from now on.
async fn become_state(
    access: &Access,
    id: PrivacyRequestId,
    next: RequestState,
    told: impl FnOnce(RequestWords) -> RequestWords,
) -> Answer<PrivacyRequest> {
    let state = &access.state;
    let _id_lock = state.changes.of(access.tenant.as_bytes()).await;
    let row = find(access, id).await?;
    may_follow(&row, next)?;
    let words = Personal::new(told(row.words.expose().clone()));
    let mut row = row.become_at(next, state.now());
    row.words = words;
    let columns = &["state", "words", "ended_at", "ends_at"];
    let action = if next.is_open() { Action::RequestChanged } else { Action::RequestClosed };
    let act = act(access, action, id);
    state.carry_out(act, vec![Change::update(row.clone(), columns)]).await?;
    Ok(Json(show(access, row).await?))
}

fn may_follow(row: &RequestRow, next: RequestState) -> Result<(), Problem> {
    if row.state.may_become(next) {
        return Ok(());
    }
    let words = if row.state == RequestState::Received {
        "It has to be verified first: POST …/verify.".to_owned()
    } else {
        format!("This request is `{}`.", row.state.word())
    };
    Err(Problem::new(ProblemCode::Conflict, words))
}

/// Nobody erases the last of an Organization's admins.
async fn keeps_an_admin(access: &Access, row: &RequestRow) -> Result<(), Problem> {
    for subject in &row.subjects.0 {
        if let Subject::Agent(agent) = subject
            && let Some(agent) = access.state.store.agent(access.tenant, *agent).await?
            && agent.active
            && agent.role == Role::Admin
        {
            // As for their account: programs do not unmake admins.
            access.person()?;
            keep_an_admin(&access.state, &agent).await?;
        }
    }
    Ok(())
}

/// By what the person was named, and who that is here.
async fn subjects(
    access: &Access,
    new: &NewPrivacyRequest,
) -> Result<(String, Vec<Subject>), Problem> {
    let (store, tenant) = (&access.state.store, access.tenant);
    match (&new.email, new.visitor_id, new.conversation_id, new.agent_id) {
        (Some(email), None, None, None) => {
            let normal = normal_email(email.expose())
                .map_err(|_| Problem::field("email", "This is not an e-mail address."))?;
            let found = visitors_with(access, &normal).await?;
            Ok((email.expose().clone(), found))
        }
        (None, Some(visitor), None, None) => {
            let row = store.visitor(tenant, visitor).await?;
            row.ok_or_else(|| Problem::not_found("visitor"))?;
            Ok((visitor.to_string(), vec![Subject::Visitor(visitor)]))
        }
        (None, None, Some(conversation), None) => {
            let row = store.conversation(tenant, conversation).await?;
            let row = row.ok_or_else(|| Problem::not_found("conversation"))?;
            Ok((conversation.to_string(), vec![Subject::Visitor(row.visitor)]))
        }
        (None, None, None, Some(agent)) => {
            let row = store.agent(tenant, agent).await?;
            row.ok_or_else(|| Problem::not_found("agent"))?;
            Ok((agent.to_string(), vec![Subject::Agent(agent)]))
        }
        _ => {
            let words = "Name the person in one way: `email`, `visitor_id`, `conversation_id` or \
                         `agent_id`.";
            Err(Problem::field("email", words))
        }
    }
}

/// Every visitor of the Organization with this address, however it was typed.
async fn visitors_with(
    access: &Access,
    normal: &Personal<String>,
) -> Result<Vec<Subject>, Problem> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = Page { limit: VISITORS_PER_PAGE, after };
        let rows = access.state.store.visitors(access.tenant, page).await?;
        after = rows.last().map(|row| row.visitor);
        let full = rows.len() >= usize::from(VISITORS_PER_PAGE);
        let theirs = rows.into_iter().filter(|row| {
            let email = row.email.as_ref().and_then(|email| normal_email(email.expose()).ok());
            email.is_some_and(|email| email.expose() == normal.expose())
        });
        found.extend(theirs.map(|row| Subject::Visitor(row.visitor)));
        if found.len() > SUBJECTS_MAX {
            let words = "Too many visitors have this address. Name the visitor.";
            return Err(Problem::field("email", words));
        }
        if !full {
            return Ok(found);
        }
    }
}
