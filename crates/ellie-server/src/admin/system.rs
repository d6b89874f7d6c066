//! ellie itself: its health, its metrics, its description.

use super::openapi;
use super::problem::Result;
use super::query::Query;
use super::state::AdminState;
use super::wire;
use crate::metrics::{self, process};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use ellie_api::health::OwnHealth;
use ellie_api::{Status, instance::Memory};
use ellie_core::Now;
use http::{HeaderMap, StatusCode, Uri, header};
use std::collections::BTreeMap;

/// `GET /health`: 200 while ellie can do its work, 503 while it can't, as the specification's best practice has it.
pub(super) async fn health(State(state): State<AdminState>, uri: Uri) -> Result<Response> {
    Query::new(uri.query()).finish()?;
    let now = Now::read();
    let dependencies =
        BTreeMap::from([("store".to_owned(), state.ellie().registrar().report().failing.is_none())]);
    let all = dependencies.values().all(|up| *up);
    let memory = process::memory();
    let mib = |bytes: u64| (bytes as f64 / f64::from(1 << 20)).round();
    let percentage = memory.used as f64 * 100.0 / memory.total.max(1) as f64;
    let health = OwnHealth {
        status: if all { Status::Healthy } else { Status::Degraded },
        timestamp: wire::time(now.wall),
        uptime: now.instant.saturating_duration_since(state.started().instant).as_secs(),
        version: env!("CARGO_PKG_VERSION").into(),
        memory: Memory {
            used: mib(memory.used),
            total: mib(memory.total),
            percentage: (percentage * 10.0).round() / 10.0,
        },
        dependencies,
    };
    let status = if all { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok((status, Json(health)).into_response())
}

/// `GET /metrics`
pub(super) async fn metrics(
    State(state): State<AdminState>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response> {
    Query::new(uri.query()).finish()?;
    let accepted: Vec<&str> =
        headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok()).collect();
    let format = metrics::Format::negotiate(&accepted.join(","));
    let text = metrics::collect(&state, format);
    Ok(([(header::CONTENT_TYPE, format.content_type())], text).into_response())
}

/// `GET /openapi.json`
pub(super) async fn openapi(uri: Uri) -> Result<Response> {
    Query::new(uri.query()).finish()?;
    Ok(([(header::CONTENT_TYPE, "application/json")], openapi::DOCUMENT).into_response())
}
