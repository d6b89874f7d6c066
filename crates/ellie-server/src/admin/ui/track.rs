//! `GET /ui/history`: what the pages show of the time before they were opened.

use super::super::problem::Result;
use super::super::query::Query;
use super::super::wire;
use super::Shared;
use super::history::{COARSE, FINE, SPAN};
use axum::{Extension, Json};
use ellie_api::ui::History;
use ellie_core::Now;
use http::Uri;

/// Events that are told; more are counted.
const MAX_EVENTS: usize = 1000;

/// The handler.
pub(super) async fn history(Extension(ui): Extension<Shared>, uri: Uri) -> Result<Json<History>> {
    let mut query = Query::new(uri.query());
    let only = query.one("service");
    query.finish()?;
    let now = Now::read();
    let since = now.wall.checked_sub(SPAN).unwrap_or(now.wall);
    let about = |name: Option<&String>| only.as_ref().is_none_or(|only| name == Some(only));
    let mut events = ui.state.ellie().journal().since(0);
    events.retain(|e| e.at >= since && about(e.entry.service.as_ref()));
    let skipped = events.len().saturating_sub(MAX_EVENTS);
    let (total, services) = {
        let sampler = ui.sampler();
        (sampler.lines.total(), sampler.lines.services(only.as_deref()).collect())
    };
    Ok(Json(History {
        at: wire::time(now.wall),
        fine: FINE,
        coarse: COARSE,
        total,
        services,
        events: events[skipped..].iter().map(|e| wire::event(e)).collect(),
        events_skipped: skipped as u64,
    }))
}
