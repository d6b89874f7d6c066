//! `GET /ui/service/{name}` and `GET /ui/instance/{name}/{id}`: why it fares so, and its peers beside it.

use super::super::problem::{Error, Result};
use super::super::providers::provider;
use super::super::query::Query;
use super::super::services::{self, Filter, view};
use super::super::state::AdminState;
use super::super::{breakers, health, resolve, stats, wire};
use super::Shared;
use crate::why::{self, Facts};
use axum::extract::Path;
use axum::{Extension, Json};
use ellie_api::ui::{Check, InstanceDetail, ServiceDetail};
use ellie_api::{Breaker, Event, Route};
use ellie_core::Now;
use ellie_core::model::Instance;
use http::Uri;
use std::collections::HashSet;

/// Instances of one service that are told of; more are counted.
const MAX_LISTED: usize = 100;
/// Events that are told.
const MAX_EVENTS: usize = 50;

/// `GET /ui/service/{name}`
pub(super) async fn service(
    Extension(ui): Extension<Shared>,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Json<ServiceDetail>> {
    Query::new(uri.query()).finish()?;
    Ok(Json(of(&ui.state, &name, None)?))
}

/// `GET /ui/instance/{name}/{id}`
pub(super) async fn instance(
    Extension(ui): Extension<Shared>,
    Path((name, id)): Path<(String, String)>,
    uri: Uri,
) -> Result<Json<InstanceDetail>> {
    Query::new(uri.query()).finish()?;
    let state = &ui.state;
    let found =
        state.ellie().discovery.instance(&name, &id).ok_or_else(|| Error::instance_not_found(&name, &id))?;
    let service = of(state, &name, Some(&id))?;
    Ok(Json(InstanceDetail { instance: view(state).instance(&found), check: check(state, &found), service }))
}

/// How it is checked: what it says, and what the configuration says for all.
fn check(state: &AdminState, i: &Instance) -> Check {
    let settings = state.ellie().settings().health;
    let r = &i.registration;
    let kind = r.check.kind.to_string();
    Check {
        url: (kind == "http").then(|| why::check_url(&view(state).instance(i))),
        interval: wire::millis(r.check.interval.unwrap_or(settings.interval)),
        timeout: wire::millis(r.check.timeout.unwrap_or(settings.timeout)),
        success_threshold: r.check.success_threshold.unwrap_or(settings.thresholds.success),
        failure_threshold: r.check.failure_threshold.unwrap_or(settings.thresholds.failure),
        kind,
    }
}

/// The breaker of a service.
pub(super) fn breaker(state: &AdminState, name: &str) -> Option<Breaker> {
    let now = Now::read();
    let breaker = breakers::get_named(state, name)?;
    Some(wire::breaker(Some(name), &breaker.snapshot(now.instant), &breaker.config(), now))
}

fn of(state: &AdminState, name: &str, id: Option<&str>) -> Result<ServiceDetail> {
    let gone = || Error::service_not_found(name);
    let now = Now::read();
    let detail = services::detail(state, name, &Filter::default()).ok_or_else(gone)?;
    let index = detail.index;
    let mut resolved = resolve::resolved(state, name, &[], true)?;
    let cluster = state.ellie().gateway.table().clusters().get(name, now.instant);
    let mut balance = cluster.map(|cluster| stats::balance(&cluster.stats(now.instant))).unwrap_or_default();
    let routes: Vec<Route> = super::super::routes::all(state).filter(|r| r.service_name == name).collect();
    let mut facts = Facts {
        detail,
        resolved: Some(resolved.clone()),
        health: health::named(state, name),
        breaker: breaker(state, name),
        routes: routes.clone(),
        balance: Some(balance.clone()),
        events: events(state, name),
        providers: state.providers().iter().map(|shown| provider(shown, true)).collect(),
        tags: Vec::new(),
        by_route: stats::by_route(state),
        expiry_paused: state.ellie().registry().expiry_paused(),
    };
    let mut why = why::report(&facts, id);
    // Those without traffic first: they are what one looks for.
    why.instances.sort_by_key(|i| i.routable);
    why.instances.truncate(MAX_LISTED);
    let total = facts.detail.total;
    let mut listed: HashSet<&str> = why.instances.iter().map(|i| i.id.as_str()).collect();
    listed.extend(resolved.candidates.iter().find(|c| c.picked).map(|c| c.id.as_str()));
    let ids: Vec<String> = resolved.candidates.iter().map(|c| c.id.clone()).collect();
    for peer in &ids {
        if listed.len() >= MAX_LISTED {
            break;
        }
        listed.insert(peer);
    }
    let listed: HashSet<String> = listed.into_iter().map(str::to_owned).collect();
    resolved.candidates.retain(|c| listed.contains(&c.id));
    balance.instances.retain(|id, _| listed.contains(id));
    let checks = facts.detail.instances.iter().filter(|i| listed.contains(&i.id));
    let last_checks = checks.filter_map(|i| Some((i.id.clone(), i.last_check.clone()?))).collect();
    let skipped = facts.events.len().saturating_sub(MAX_EVENTS);
    Ok(ServiceDetail {
        index,
        why,
        omitted: total.saturating_sub(listed.len()),
        resolve: resolved,
        balance: balance.instances,
        breaker: facts.breaker,
        routes,
        events: facts.events.split_off(skipped),
        last_checks,
    })
}

/// What happened to a service, oldest first.
fn events(state: &AdminState, name: &str) -> Vec<Event> {
    let all = state.ellie().journal().since(0);
    all.iter().filter(|e| e.entry.service.as_deref() == Some(name)).map(|e| wire::event(e)).collect()
}
