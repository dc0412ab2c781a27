//! Idempotency of creates: the same `Idempotency-Key` gets the same answer, for a day. Messages
//! have their own ids for that (`sequencer`).

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode, header};
use protocol::ids::TenantId;
use protocol::message::Seq;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ApiState;
use super::json::to_json;
use super::problem::{Problem, ProblemCode};
use crate::keys::content_hash;
use crate::privacy::audit::Act;
use crate::store::{AnswerRow, Beside, Change, Write};

pub(super) const KEY_BYTES_MAX: usize = 255;

/// Tells that the answer is the first one again.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The request's `Idempotency-Key`, if it has one, with the method and path it came to.
#[derive(Debug)]
pub(crate) struct Idempotency {
    key: Option<String>,
    request: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Idempotency {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let key = parts.headers.get("idempotency-key").map(|value| {
            value
                .to_str()
                .ok()
                .map(str::trim)
                .filter(|key| !key.is_empty() && key.len() <= KEY_BYTES_MAX)
                .map(str::to_owned)
                .ok_or_else(|| {
                    Problem::field("Idempotency-Key", "It is 1 to 255 printable ASCII characters.")
                })
        });
        Ok(Self {
            key: key.transpose()?,
            request: format!("{} {}", parts.method, parts.uri.path()),
        })
    }
}

impl Idempotency {
    /// Creates it once: a second request with the same key and body gets the first one's answer,
    /// one with another body a refusal. Answers 201. `make` says what is done and to be stored,
    /// which the answer is stored with, and the answer. Not for what people say: see
    /// [`Idempotency::once_shown`].
    pub(crate) async fn once<T: Serialize>(
        &self,
        state: &ApiState,
        tenant: TenantId,
        owner: &str,
        body: &[u8],
        make: impl Future<Output = Result<(Act, Vec<Change>, T), Problem>>,
    ) -> Result<Response, Problem> {
        let slot = match self.before(state, tenant, owner, body).await? {
            Before::Unnamed => None,
            Before::Answered(answer) => return Ok(self.created(answer, true)),
            Before::New(slot) => Some(slot),
        };
        let (act, mut changes, answer) = make.await?;
        let json = to_json(&answer)?;
        changes.extend(slot.as_ref().map(|slot| slot.keep.change(json.clone())));
        state.carry_out(act, changes).await?;
        Ok(self.created(json, false))
    }

    /// The same where the answer has personal words: what is kept of it is `T`, its ids, and it is
    /// shown anew each time, through the read gate. `create` stores what it is given together with
    /// the thing.
    pub(crate) async fn once_shown<T: Serialize + DeserializeOwned, A: Serialize>(
        &self,
        state: &ApiState,
        (tenant, owner): (TenantId, &str),
        body: &[u8],
        create: impl AsyncFnOnce(Option<Keep>) -> Result<T, Problem>,
        show: impl AsyncFnOnce(T) -> Result<A, Problem>,
    ) -> Result<Response, Problem> {
        let (made, replayed) = match self.before(state, tenant, owner, body).await? {
            Before::Unnamed => (create(None).await?, false),
            Before::Answered(kept) => {
                (serde_json::from_slice(&kept).map_err(|_| Problem::internal())?, true)
            }
            Before::New(slot) => (create(Some(slot.keep.clone())).await?, false),
        };
        Ok(self.created(to_json(&show(made).await?)?, replayed))
    }

    fn created(&self, json: Vec<u8>, replayed: bool) -> Response {
        let location = self.location(&json);
        let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        let mut response = (StatusCode::CREATED, kind, json).into_response();
        if replayed {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
        if let Some(location) = location {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }

    /// Where what was made is read, changed or deleted.
    fn location(&self, json: &[u8]) -> Option<HeaderValue> {
        let (_, path) = self.request.split_once(' ')?;
        let (under, collection) = path.rsplit_once('/')?;
        let id = match collection {
            "canned-responses" => "canned_response_id",
            "privacy-requests" => "privacy_request_id",
            "conversations" => "conversation_id",
            "invitations" => "invitation_id",
            "keys" | "operator-keys" => "key_id",
            "messages" => "message_id",
            "sites" => "site_id",
            "tags" => "tag_id",
            "tenants" => "tenant_id",
            _ => return None,
        };
        // On the operator's listener a site stands for itself, and an invitation cannot be asked
        // for.
        let path = match (under.starts_with("/v1/tenants/"), collection) {
            (true, "sites") => "/v1/sites",
            (true, _) => return None,
            (false, _) => path,
        };
        let made: serde_json::Value = serde_json::from_slice(json).ok()?;
        HeaderValue::try_from(format!("{path}/{}", made[id].as_str()?)).ok()
    }

    /// What is known of a request with this key.
    async fn before<'a>(
        &self,
        state: &'a ApiState,
        tenant: TenantId,
        owner: &str,
        body: &[u8],
    ) -> Result<Before<'a>, Problem> {
        let Some(key) = &self.key else { return Ok(Before::Unnamed) };
        // What the caller chose as a key is nobody's business: only its hash is kept.
        let slot = content_hash(format!("{tenant} {owner} {key}").as_bytes());
        let kept_as: String = slot.iter().map(|byte| format!("{byte:02x}")).collect();
        let request = request_hash(&self.request, body);
        let in_flight = InFlight::take(state, slot)?;
        match state.store.idempotent_answer(tenant, &kept_as).await? {
            None => {
                // A clock that stepped back would seal it under a day whose key may be gone.
                let at = state.now().max(state.store.high_water().await?);
                let row = AnswerRow { tenant, key: kept_as, request, answer: Vec::new(), at };
                Ok(Before::New(Slot { keep: Keep(row), _in_flight: in_flight }))
            }
            Some(kept) if kept.request == request => Ok(Before::Answered(kept.answer)),
            Some(_) => Err(Problem::new(
                ProblemCode::IdempotencyConflict,
                "This Idempotency-Key came before with another request. Use a new key.",
            )),
        }
    }
}

/// What is known of a request.
enum Before<'a> {
    /// It has no key.
    Unnamed,
    /// Its key is new.
    New(Slot<'a>),
    /// It came before: what was kept of the answer.
    Answered(Vec<u8>),
}

/// Where the answer to a new key goes; nobody else works on it meanwhile.
struct Slot<'a> {
    keep: Keep,
    _in_flight: InFlight<'a>,
}

/// How an answer is kept, but for what it says.
#[derive(Clone)]
pub(crate) struct Keep(AnswerRow);

impl Keep {
    fn change(&self, answer: Vec<u8>) -> Change {
        Change::create(AnswerRow { answer, ..self.0.clone() })
    }

    /// Keeps this of an answer.
    pub(crate) fn record<T: Serialize>(self, of: &T) -> Result<Change, Problem> {
        let answer = serde_json::to_vec(of).map_err(|_| Problem::internal())?;
        Ok(self.change(answer))
    }

    /// Keeps what `of` makes of the sequence number of a message, with the message.
    pub(crate) fn beside<T: Serialize>(
        self,
        of: impl Fn(Seq) -> T + Send + Sync + 'static,
    ) -> Beside {
        Beside::new(move |seq| {
            // Ids and numbers: there is nothing in them that JSON does not take.
            let answer = serde_json::to_vec(&of(seq)).unwrap_or_default();
            Write::Record(self.change(answer))
        })
    }
}

/// Two requests with one key never run at the same time.
struct InFlight<'a> {
    state: &'a ApiState,
    slot: [u8; 32],
}

impl<'a> InFlight<'a> {
    fn take(state: &'a ApiState, slot: [u8; 32]) -> Result<Self, Problem> {
        if state.in_flight.lock().insert(slot) {
            return Ok(Self { state, slot });
        }
        Err(Problem::new(
            ProblemCode::IdempotencyInProgress,
            "A request with this Idempotency-Key is being worked on. Ask again in a moment.",
        )
        .retry_after_ms(1_000))
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.state.in_flight.lock().remove(&self.slot);
    }
}

fn request_hash(request: &str, body: &[u8]) -> [u8; 32] {
    content_hash(&[request.as_bytes(), b"\n", body].concat())
}
