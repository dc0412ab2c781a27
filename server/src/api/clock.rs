//! The server's clock as the operator sees it: retention destroys by it, so one that nothing
//! explains is theirs to confirm.

use protocol::time::UnixMillis;
use serde::{Deserialize, Serialize};

use super::ApiState;
use super::access::OperatorAccess;
use super::date::{iso_day, iso_moment};
use super::json::{Answer, Json};
use super::problem::{Problem, ProblemCode};
use super::request::Body;
use crate::auth::Scope;
use crate::store::ClockAct;
use crate::sweep::Standing;

/// The clock, and how far retention has gone by it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ClockState {
    /// `trusted`; `ahead`: nothing explains how far it ran, sweeps wait for it to be right or
    /// confirmed; `behind`: it stepped back, sweeps wait; `unknown`: not judged since the start.
    standing: &'static str,
    /// What the clock says, UTC.
    now: String,
    /// Its day, as a confirmation names it.
    today: String,
    /// The latest time that was trusted: nothing is destroyed that is due after it.
    #[schema(value_type = u64)]
    trusted_until: UnixMillis,
}

/// The operator's word.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confirmation {
    /// The day that it really is, UTC, such as 2026-11-24; refused where the clock says another.
    today: String,
}

/// GET /v1/clock
#[utoipa::path(get, path = "/v1/clock", tag = "clock", operation_id = "get_clock",
    responses((status = 200, body = ClockState)))]
pub(crate) async fn get(access: OperatorAccess) -> Answer<ClockState> {
    access.need(Scope::ClockConfirm)?;
    Ok(Json(shape(&access.state).await?))
}

/// POST /v1/clock/confirm
#[utoipa::path(post, path = "/v1/clock/confirm", tag = "clock", operation_id = "confirm_clock",
    request_body = Confirmation,
    responses((status = 200, body = ClockState), (status = 409), (status = 422)))]
pub(crate) async fn confirm(
    access: OperatorAccess,
    Body { value: word, .. }: Body<Confirmation>,
) -> Answer<ClockState> {
    let refused = "The latest trusted time lies after the clock: retention would destroy by that, not by what you confirm. If that time is wrong, lower it; otherwise correct the clock.";
    act(&access.state, &access, &word, false, refused).await?;
    tracing::info!(key_id = %access.key, "the operator confirmed the clock: sweeps go on by it");
    Ok(Json(shape(&access.state).await?))
}

/// POST /v1/clock/lower
#[utoipa::path(post, path = "/v1/clock/lower", tag = "clock", operation_id = "lower_clock_mark",
    request_body = Confirmation,
    responses((status = 200, body = ClockState), (status = 409), (status = 422)))]
pub(crate) async fn lower(
    access: OperatorAccess,
    Body { value: word, .. }: Body<Confirmation>,
) -> Answer<ClockState> {
    let refused = "The latest trusted time stays: it does not lie after the clock, or something was destroyed by it.";
    act(&access.state, &access, &word, true, refused).await?;
    tracing::warn!(key_id = %access.key, "the operator put the latest trusted time back to the clock's: what it hid is shown again");
    Ok(Json(shape(&access.state).await?))
}

/// Has the operator's word count, if they looked at a calendar and the mark lets it.
async fn act(
    state: &ApiState,
    access: &OperatorAccess,
    word: &Confirmation,
    lower: bool,
    refused: &'static str,
) -> Result<(), Problem> {
    access.need(Scope::ClockConfirm)?;
    let now = state.now();
    if word.today != iso_day(now.day()) {
        let words = "The server's clock says another day. Correct the clock, or look at the calendar again.";
        return Err(Problem::field("today", words));
    }
    if !state.retention.clock_act(ClockAct { key: access.key, wall: now, lower }).await? {
        return Err(Problem::new(ProblemCode::Conflict, refused));
    }
    state.metrics.audit_entries_total.inc();
    state.clock_trust.confirm(now, state.clock.instant());
    Ok(())
}

async fn shape(state: &ApiState) -> Result<ClockState, Problem> {
    let now = state.now();
    Ok(ClockState {
        standing: match state.clock_trust.standing() {
            Standing::Unknown => "unknown",
            Standing::Trusted => "trusted",
            Standing::Ahead => "ahead",
            Standing::Behind => "behind",
        },
        now: iso_moment(now),
        today: iso_day(now.day()),
        trusted_until: state.store.high_water().await?,
    })
}
