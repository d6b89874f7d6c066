//! Gateway routes: list, add, replace, remove.

use super::body;
use super::fields::{Faults, Fields};
use super::guard::Caller;
use super::json::Value;
use super::kept_routes::NotChanged;
use super::problem::{Error, Result};
use super::query::Query;
use super::state::AdminState;
use super::wire;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use ellie::gateway;
use ellie_api::problem::kind;
use ellie_api::route::{Methods, RateLimit, Route, Routes};
use ellie_core::Now;
use ellie_core::journal::{Entry, Kind};
use ellie_core::model::excerpt;
use ellie_gateway::route::{self, Draft, RateLimitDraft};
use http::{HeaderValue, StatusCode, Uri, header};
use std::sync::Arc;

/// A route as it is sent.
pub(super) fn sent(r: &route::Route) -> Route {
    let pairs =
        |matches: &[route::Match]| matches.iter().map(|m| (m.name.clone(), m.value.clone())).collect();
    Route {
        id: Some(r.id.clone()),
        path: r.path.to_string(),
        method: match r.methods.as_slice() {
            [] => None,
            [one] => Some(Methods::One(one.clone())),
            many => Some(Methods::Many(many.to_vec())),
        },
        host: r.host.as_ref().map(|h| h.as_str().to_owned()),
        headers: pairs(&r.headers),
        query: pairs(&r.query),
        service_name: r.service.to_string(),
        target_path: r.target_path.clone(),
        tags: r.tags.clone(),
        timeout: r.timeout.map(wire::millis),
        try_timeout: r.try_timeout.map(wire::millis),
        retries: r.retries,
        retry_on: r.retry_on.map(|set| set.statuses().to_vec()),
        rate_limit: r.rate_limit.as_ref().map(|l| RateLimit {
            window_ms: wire::millis(l.window),
            max: l.max,
            key: Some(l.key.to_string()),
        }),
        max_body: r.max_body,
        source: Some(r.source.to_string()),
        created_at: Some(wire::time(r.created_at)),
    }
}

fn not_found(id: &str) -> Error {
    Error::new(kind::ROUTE_NOT_FOUND, format!("there is no route `{}`", excerpt(id)))
}

fn failed(error: gateway::Error) -> Error {
    match error {
        gateway::Error::Invalid(found) => {
            let mut faults = Faults::default();
            faults.merge("", found);
            Error::invalid(kind::INVALID_ROUTE, faults)
        }
        gateway::Error::Refused(refused) => match &refused {
            route::Error::Exists(_) => {
                Error::new(kind::CONFLICT, refused.to_string()).with_field("id", "is taken by another route")
            }
            route::Error::NotFound(id) => not_found(id),
            route::Error::OwnedBy { source, .. } => Error::new(kind::MANAGED_ELSEWHERE, refused.to_string())
                .with_field("id", format!("is managed by `{source}`")),
            route::Error::Full => Error::new(kind::CONFLICT, refused.to_string()),
        },
    }
}

/// Reads a route; `source` and `createdAt`, which answers carry, may be sent back and are ignored.
pub(super) fn read(value: Value) -> Result<Draft> {
    let mut faults = Faults::default();
    let mut draft = Draft::default();
    if let Some(mut f) = Fields::of(value, "", &mut faults) {
        draft.id = f.string("id");
        draft.path = f.string("path");
        draft.methods = methods(&mut f);
        draft.host = f.string("host");
        draft.headers = f.pairs("headers", true).into_iter().collect();
        draft.query = f.pairs("query", true).into_iter().collect();
        draft.service_name = f.string("serviceName");
        draft.target_path = f.string("targetPath");
        draft.tags = f.strings("tags");
        draft.timeout = f.integer("timeout");
        draft.try_timeout = f.integer("tryTimeout");
        draft.retries = f.integer("retries");
        draft.retry_on = f.integers("retryOn");
        if let Some(limit) = f.take("rateLimit") {
            draft.rate_limit = rate_limit(limit, f.faults());
        }
        draft.max_body = f.integer("maxBody");
        let _ = (f.take("source"), f.take("createdAt"));
        f.finish();
        // Validated here too, so that faults of both kinds are told at once.
        if let Err(found) = draft.clone().validate() {
            faults.merge("", found);
        }
    }
    if faults.is_empty() { Ok(draft) } else { Err(Error::invalid(kind::INVALID_ROUTE, faults)) }
}

fn methods(f: &mut Fields<'_>) -> Vec<String> {
    match f.take("method") {
        None => Vec::new(),
        Some(Value::String(one)) if one == "*" => Vec::new(),
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(items)) => {
            let mut out = Vec::with_capacity(items.len());
            for (i, item) in items.into_iter().enumerate() {
                match item {
                    Value::String(s) => out.push(s),
                    other => {
                        f.fault(&format!("method[{i}]"), format!("must be a string, is {}", other.kind()));
                    }
                }
            }
            out
        }
        Some(other) => {
            f.fault("method", format!("must be a string or an array of strings, is {}", other.kind()));
            Vec::new()
        }
    }
}

fn rate_limit(value: Value, faults: &mut Faults) -> Option<RateLimitDraft> {
    let mut f = Fields::of(value, "rateLimit", faults)?;
    let draft =
        RateLimitDraft { window_ms: f.integer("windowMs"), max: f.integer("max"), key: f.string("key") };
    f.finish();
    Some(draft)
}

/// All routes, in the order in which they win over each other.
pub(super) fn all(state: &AdminState) -> impl Iterator<Item = Route> + use<> {
    state.ellie().gateway.routes().into_iter().map(|r| sent(&r))
}

/// `GET /routes`
pub(super) async fn list(State(state): State<AdminState>, uri: Uri) -> Result<Json<Routes>> {
    Query::new(uri.query()).finish()?;
    let routes: Vec<Route> = all(&state).collect();
    Ok(Json(Routes { count: routes.len(), routes }))
}

/// `GET /routes/{id}`
pub(super) async fn get(
    State(state): State<AdminState>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<Route>> {
    Query::new(uri.query()).finish()?;
    let route = state.ellie().gateway.route(&id).ok_or_else(|| not_found(&id))?;
    Ok(Json(sent(&route)))
}

/// Makes a change, and keeps it where routes are kept.
async fn changed(
    state: &AdminState,
    caller: &Caller,
    change: impl FnOnce(&ellie::ApiGateway) -> std::result::Result<Arc<route::Route>, gateway::Error>
    + Send
    + 'static,
) -> Result<Arc<route::Route>> {
    let gateway = state.ellie().gateway.acting_as(caller.actor());
    let Some(kept) = state.kept_routes() else { return change(&gateway).map_err(failed) };
    let done = tokio::task::spawn_blocking(move || kept.change(&gateway, change)).await;
    match done.map_err(|e| Error::internal(&e))? {
        Ok(route) => Ok(route),
        Err(NotChanged::Refused(error)) => Err(failed(error)),
        Err(NotChanged::NotWritten(error)) => {
            tracing::error!(cause = %error, "a change of the routes could not be made durable");
            // The journal has told of the change already.
            let entry = Entry {
                kind: Kind::RouteChanged,
                service: None,
                instance: None,
                actor: caller.actor().to_string(),
                message: "the last change of a route was taken back: it could not be made durable".into(),
            };
            state.ellie().journal().record(Now::read(), entry);
            let detail = "it can't be made durable at the moment; nothing was changed";
            Err(Error::new(kind::STORE_UNAVAILABLE, detail).retry_after(1))
        }
    }
}

/// `POST /routes`
pub(super) async fn add(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response> {
    Query::new(request.uri().query()).finish()?;
    let draft = read(body::json(&state, request, false).await?)?;
    let route = changed(&state, &caller, |gateway| gateway.register_route(draft)).await?;
    let mut response = (StatusCode::CREATED, Json(sent(&route))).into_response();
    if let Ok(location) = HeaderValue::try_from(format!("/routes/{}", route.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// `PUT /routes/{id}`
pub(super) async fn replace(
    State(state): State<AdminState>,
    Path(id): Path<String>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Json<Route>> {
    Query::new(request.uri().query()).finish()?;
    let mut draft = read(body::json(&state, request, false).await?)?;
    if draft.id.as_ref().is_some_and(|given| *given != id) {
        let mut faults = Faults::default();
        faults.add("id", format!("is not the id in the path, `{}`", excerpt(&id)));
        return Err(Error::invalid(kind::INVALID_ROUTE, faults));
    }
    state.ellie().gateway.route(&id).ok_or_else(|| not_found(&id))?;
    draft.id = Some(id.clone());
    let route = changed(&state, &caller, move |gateway| gateway.replace_route(&id, draft)).await?;
    Ok(Json(sent(&route)))
}

/// `DELETE /routes/{id}`
pub(super) async fn remove(
    State(state): State<AdminState>,
    Path(id): Path<String>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<StatusCode> {
    Query::new(uri.query()).finish()?;
    changed(&state, &caller, move |gateway| gateway.remove_route(&id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
