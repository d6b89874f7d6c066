//! Changing the registry: register, batch, heartbeat, deregister, and what operators decide.

use super::fields::{Faults, Fields};
use super::guard::Caller;
use super::problem::{Error, Result};
use super::query::Query;
use super::services::{view, with_index};
use super::state::AdminState;
use super::{body, registration, wire};
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use ellie::discovery::{self, Item};
use ellie_api::problem::kind;
use ellie_api::service::{BatchDone, BatchItem, Heartbeat, Key, Registered};
use ellie_core::model::{Instance, limits};
use ellie_core::registry::{ChangeKind, Operation};
use ellie_core::{InstanceId, ServiceName};
use http::{HeaderValue, StatusCode, header};
use std::sync::Arc;
use std::time::Duration;

type Ids = Path<(String, String)>;

/// What the facade says, as a problem. `at` names the item of a batch.
pub(super) fn failed(error: discovery::Error, at: impl Fn(usize) -> String) -> Error {
    match error {
        discovery::Error::Invalid(found) => {
            let mut faults = Faults::default();
            faults.merge("", found);
            Error::invalid(kind::INVALID_REGISTRATION, faults)
        }
        discovery::Error::Rejected { at: index, rejected } => Error::rejected(&rejected, &at(index)),
        other => {
            tracing::error!(cause = %other, "a change could not be made durable");
            Error::new(kind::STORE_UNAVAILABLE, "it can't be made durable at the moment; nothing was changed")
                .retry_after(1)
        }
    }
}

fn single(error: discovery::Error) -> Error {
    failed(error, |_| String::new())
}

fn refuse_if_disabled(state: &AdminState) -> Result<()> {
    if state.settings().discovery_enabled {
        return Ok(());
    }
    Err(Error::new(
        kind::DISABLED,
        "registration is switched off (`discovery.enabled`, SERVICE_DISCOVERY_ENABLED); the configuration's services \
         are all there is",
    ))
}

/// An instance with the index it was last changed at.
fn registered(state: &AdminState, instance: &Instance, index: u64) -> Registered {
    Registered { index, instance: view(state).instance(instance) }
}

/// `POST /services`
pub(super) async fn register(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response> {
    Query::new(request.uri().query()).finish()?;
    let value = body::json(&state, request, false).await?;
    refuse_if_disabled(&state)?;
    let mut faults = Faults::default();
    let Some(registration) = registration::registration(value, "", &mut faults) else {
        return Err(Error::invalid(kind::INVALID_REGISTRATION, faults));
    };
    let discovery = state.ellie().discovery.acting_as(caller.actor());
    let done = discovery.register_service(registration).await.map_err(single)?;
    let status = if done.replaced { StatusCode::OK } else { StatusCode::CREATED };
    let r = &done.instance.registration;
    let location = HeaderValue::try_from(format!("/services/{}/instances/{}", r.name, r.id));
    let mut response = with_index(done.index, (status, Json(registered(&state, &done.instance, done.index))));
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// `POST /services/batch`
pub(super) async fn batch(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response> {
    Query::new(request.uri().query()).finish()?;
    let value = body::large_json(&state, request).await?;
    refuse_if_disabled(&state)?;
    let mut faults = Faults::default();
    let Some(batch) = registration::batch(value, &mut faults) else {
        return Err(Error::invalid(kind::INVALID_REGISTRATION, faults));
    };
    let removed = batch.deregistrations.len();
    let deregistered: Vec<Key> = batch
        .deregistrations
        .iter()
        .map(|(name, id)| Key { name: name.to_string(), id: id.to_string() })
        .collect();
    let keys: Vec<(ServiceName, InstanceId)> =
        batch.registrations.iter().map(|r| (r.name.clone(), r.id.clone())).collect();
    let items = batch
        .deregistrations
        .into_iter()
        .map(|(name, id)| Item::Deregister { name, id })
        .chain(batch.registrations.into_iter().map(|r| Item::Register(Arc::new(r))))
        .collect();
    let discovery = state.ellie().discovery.acting_as(caller.actor());
    let applied = discovery.batch(items).await.map_err(|e| {
        failed(e, |i| match i.checked_sub(removed) {
            Some(i) => format!("registrations[{i}]"),
            None => format!("deregistrations[{i}]"),
        })
    })?;
    let created: std::collections::HashSet<_> = applied
        .changes
        .iter()
        .filter(|c| c.kind == ChangeKind::Registered)
        .map(|c| (c.name.clone(), c.id.clone()))
        .collect();
    let registered = keys
        .into_iter()
        .map(|key| BatchItem {
            created: created.contains(&key),
            name: key.0.to_string(),
            id: key.1.to_string(),
        })
        .collect();
    let done = BatchDone { index: applied.index, registered, deregistered };
    Ok(with_index(done.index, Json(done)))
}

/// `GET /services/{name}/instances/{id}`
pub(super) async fn get(
    State(state): State<AdminState>,
    Path((name, id)): Ids,
    request: Request,
) -> Result<Response> {
    Query::new(request.uri().query()).finish()?;
    let snapshot = state.ellie().registry().snapshot();
    let instance = snapshot.instance(&name, &id).ok_or_else(|| Error::instance_not_found(&name, &id))?;
    Ok(with_index(snapshot.index, Json(registered(&state, instance, snapshot.index))))
}

/// `DELETE /services/{name}/instances/{id}`
pub(super) async fn deregister(
    State(state): State<AdminState>,
    Path((name, id)): Ids,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response> {
    Query::new(request.uri().query()).finish()?;
    known(&state, &name, &id)?;
    let discovery = state.ellie().discovery.acting_as(caller.actor());
    let index = discovery.deregister_service(&name, &id).await.map_err(single)?;
    Ok(with_index(index, StatusCode::NO_CONTENT))
}

/// What can't be a name is not registered: 404, as for one that could.
fn known(state: &AdminState, name: &str, id: &str) -> Result<Arc<Instance>> {
    state.ellie().discovery.instance(name, id).ok_or_else(|| Error::instance_not_found(name, id))
}

/// `PUT …/heartbeat`
pub(super) async fn heartbeat(
    State(state): State<AdminState>,
    Path((name, id)): Ids,
    request: Request,
) -> Result<Response> {
    Query::new(request.uri().query()).finish()?;
    let value = body::json(&state, request, true).await?;
    let mut faults = Faults::default();
    let mut status = None;
    if let Some(mut f) = Fields::of(value, "", &mut faults) {
        if let Some(text) = f.string("status") {
            match text.parse() {
                Ok(parsed) => status = Some(parsed),
                Err(ellie_core::Fault { message, .. }) => f.fault("status", message),
            }
        }
        f.finish();
    }
    if !faults.is_empty() {
        return Err(Error::invalid(kind::INVALID_REQUEST, faults));
    }
    known(&state, &name, &id)?;
    state.ellie().discovery.heartbeat(&name, &id, status).map_err(single)?;
    let instance = known(&state, &name, &id)?;
    let index = state.ellie().registry().snapshot().index;
    let answer = Heartbeat {
        index,
        status: wire::status(instance.status),
        reason: instance.reason.to_string(),
        lease: view(&state).lease(&instance),
    };
    Ok(with_index(index, Json(answer)))
}

/// `PUT …/check`: a check now, beside the schedule.
pub(super) async fn check(
    State(state): State<AdminState>,
    Path((name, id)): Ids,
    request: Request,
) -> Result<Response> {
    Query::new(request.uri().query()).finish()?;
    no_fields(body::json(&state, request, true).await?)?;
    known(&state, &name, &id)?;
    let report =
        state.ellie().health.check_now(&name, &id).await.map_err(|e| match known(&state, &name, &id) {
            Err(gone) => gone,
            Ok(_) => Error::new(kind::CHECK_FAILED, e.to_string()),
        })?;
    Ok(Json(wire::check(&report)).into_response())
}

/// A body that says nothing.
pub(super) fn no_fields(value: super::json::Value) -> Result<()> {
    let mut faults = Faults::default();
    if let Some(f) = Fields::of(value, "", &mut faults) {
        f.finish();
    }
    if faults.is_empty() { Ok(()) } else { Err(Error::invalid(kind::INVALID_REQUEST, faults)) }
}

/// `PUT …/drain`
pub(super) async fn drain(
    State(state): State<AdminState>,
    Path(ids): Ids,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response> {
    operate(&state, &ids, &caller, request, |_| Some(Operation::Drain)).await
}

/// `PUT …/undrain`
pub(super) async fn undrain(
    State(state): State<AdminState>,
    Path(ids): Ids,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response> {
    operate(&state, &ids, &caller, request, |_| Some(Operation::Undrain)).await
}

/// `PUT …/maintenance`
pub(super) async fn maintenance(
    State(state): State<AdminState>,
    Path(ids): Ids,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response> {
    operate(&state, &ids, &caller, request, |f| {
        let given = f.given("enabled");
        match given {
            Some(super::json::Value::Bool(on)) => Some(Operation::Maintenance(on)),
            Some(other) => {
                f.fault("enabled", format!("must be a boolean, is {}", other.kind()));
                None
            }
            None => {
                f.fault("enabled", "is required: true or false");
                None
            }
        }
    })
    .await
}

/// `PUT …/weight`
pub(super) async fn weight(
    State(state): State<AdminState>,
    Path(ids): Ids,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response> {
    operate(&state, &ids, &caller, request, |f| match f.given("weight") {
        Some(super::json::Value::Null) => Some(Operation::Weight(None)),
        Some(super::json::Value::Int(n)) => {
            let weight = u32::try_from(n).ok().filter(|w| i64::from(*w) <= limits::WEIGHT);
            if weight.is_none() {
                f.fault("weight", format!("is {n}; 0 to {} is allowed", limits::WEIGHT));
            }
            weight.map(|w| Operation::Weight(Some(w)))
        }
        Some(other) => {
            f.fault("weight", format!("must be an integer or null, is {}", other.kind()));
            None
        }
        None => {
            f.fault(
                "weight",
                format!("is required: 0 to {}, or null for the registered weight", limits::WEIGHT),
            );
            None
        }
    })
    .await
}

async fn operate(
    state: &AdminState,
    (name, id): &(String, String),
    caller: &Caller,
    request: Request,
    read: impl FnOnce(&mut Fields<'_>) -> Option<Operation>,
) -> Result<Response> {
    Query::new(request.uri().query()).finish()?;
    let value = body::json(state, request, true).await?;
    let mut faults = Faults::default();
    let mut operation = None;
    let (mut ttl, mut reason): (Option<Duration>, Option<String>) = (None, None);
    if let Some(mut f) = Fields::of(value, "", &mut faults) {
        operation = read(&mut f);
        (ttl, reason) = f.ttl_and_reason();
        f.finish();
    }
    let (Some(operation), true) = (operation, faults.is_empty()) else {
        return Err(Error::invalid(kind::INVALID_REQUEST, faults));
    };
    known(state, name, id)?;
    let discovery = state.ellie().discovery.acting_as(caller.actor());
    let instance = discovery.operate(name, id, operation, ttl, reason).await.map_err(single)?;
    let index = instance.modified_index;
    Ok(with_index(index, Json(registered(state, &instance, index))))
}
