//! Circuit breakers: look, force, reset.

use super::body;
use super::fields::{Faults, Fields};
use super::guard::Caller;
use super::problem::{Error, Result};
use super::query::Query;
use super::state::AdminState;
use super::wire;
use axum::extract::{Path, Request, State};
use axum::{Extension, Json};
use ellie::policy::breaker::Breaker as Policy;
use ellie_api::problem::kind;
use ellie_api::{Breaker, Breakers};
use ellie_core::Now;
use ellie_core::model::excerpt;
use http::Uri;
use std::time::Duration;

fn not_found(name: &str) -> Error {
    Error::new(kind::BREAKER_NOT_FOUND, format!("there is no breaker `{}`", excerpt(name)))
}

/// Every breaker by name, as something that is given its name or not.
pub(super) fn all(
    state: &AdminState,
    now: Now,
) -> impl Iterator<Item = (String, impl Fn(Option<&str>) -> Breaker)> {
    state.ellie().gateway.table().clusters().breakers().list().into_iter().map(move |named| {
        let (snapshot, config) = (named.breaker.snapshot(now.instant), named.breaker.config());
        (named.name.to_string(), move |name: Option<&str>| wire::breaker(name, &snapshot, &config, now))
    })
}

/// `GET /breakers`
pub(super) async fn list(State(state): State<AdminState>, uri: Uri) -> Result<Json<Breakers>> {
    Query::new(uri.query()).finish()?;
    let breakers: Vec<Breaker> = all(&state, Now::read()).map(|(name, b)| b(Some(&name))).collect();
    Ok(Json(Breakers { count: breakers.len(), breakers }))
}

/// `GET /breakers/{name}`
pub(super) async fn get(
    State(state): State<AdminState>,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Json<Breaker>> {
    Query::new(uri.query()).finish()?;
    one(&state, &name)
}

/// A breaker by name.
pub(super) fn get_named(state: &AdminState, name: &str) -> Option<std::sync::Arc<Policy>> {
    state.ellie().gateway.table().clusters().breakers().get(name)
}

fn one(state: &AdminState, name: &str) -> Result<Json<Breaker>> {
    let breaker = get_named(state, name).ok_or_else(|| not_found(name))?;
    let now = Now::read();
    Ok(Json(wire::breaker(Some(name), &breaker.snapshot(now.instant), &breaker.config(), now)))
}

/// The `ttl` and `reason` of an operator's call.
async fn terms(state: &AdminState, request: Request) -> Result<(Option<Duration>, Option<String>)> {
    Query::new(request.uri().query()).finish()?;
    let value = body::json(state, request, true).await?;
    let mut faults = Faults::default();
    let mut terms = (None, None);
    if let Some(mut f) = Fields::of(value, "", &mut faults) {
        terms = f.ttl_and_reason();
        f.finish();
    }
    if faults.is_empty() { Ok(terms) } else { Err(Error::invalid(kind::INVALID_REQUEST, faults)) }
}

/// `PUT /breakers/{name}/force-open`
pub(super) async fn force_open(
    State(state): State<AdminState>,
    Path(name): Path<String>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Json<Breaker>> {
    let (ttl, reason) = terms(&state, request).await?;
    let breakers = state.ellie().breakers.acting_as(caller.actor());
    breakers.force_open(&name, ttl, reason.as_deref()).map_err(|_| not_found(&name))?;
    one(&state, &name)
}

/// `PUT /breakers/{name}/force-close`
pub(super) async fn force_close(
    State(state): State<AdminState>,
    Path(name): Path<String>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Json<Breaker>> {
    let (ttl, reason) = terms(&state, request).await?;
    let breakers = state.ellie().breakers.acting_as(caller.actor());
    breakers.force_close(&name, ttl, reason.as_deref()).map_err(|_| not_found(&name))?;
    one(&state, &name)
}

/// `PUT /breakers/{name}/reset`: closed, nothing counted, nothing forced; with a `ttl` held closed for so long first, as
/// for a service that has to warm up.
pub(super) async fn reset(
    State(state): State<AdminState>,
    Path(name): Path<String>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Json<Breaker>> {
    let (ttl, reason) = terms(&state, request).await?;
    let breakers = state.ellie().breakers.acting_as(caller.actor());
    breakers.reset(&name, reason.as_deref()).map_err(|_| not_found(&name))?;
    if ttl.is_some() {
        breakers.force_close(&name, ttl, reason.as_deref()).map_err(|_| not_found(&name))?;
    }
    one(&state, &name)
}
