//! Providers: how they fare, and what is wrong with what they found.

use super::problem::Result;
use super::query::Query;
use super::state::AdminState;
use super::wire;
use axum::Json;
use axum::extract::State;
use ellie_api::provider::{Note, Provider, Providers, Stale};
use ellie_providers::runner::Handle;
use http::Uri;

/// A provider that runs.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Its source's name.
    pub name: &'static str,
    /// Whom it asks.
    pub endpoint: String,
    /// How it fares.
    pub handle: Handle,
}

/// `GET /providers`
pub(super) async fn list(State(state): State<AdminState>, uri: Uri) -> Result<Json<Providers>> {
    Query::new(uri.query()).finish()?;
    let providers: Vec<Provider> = state.providers().iter().map(|shown| provider(shown, true)).collect();
    Ok(Json(Providers { count: providers.len(), providers }))
}

/// One, with its notes or only their number.
pub(super) fn provider(shown: &Shown, with_notes: bool) -> Provider {
    let report = shown.handle.report();
    let note = |note: &ellie_providers::Note| Note {
        severity: note.severity.as_str().into(),
        subject: note.subject.clone(),
        id: note.id.clone(),
        service: note.service.clone(),
        message: note.message.clone(),
    };
    Provider {
        name: shown.name.into(),
        endpoint: shown.endpoint.clone(),
        up: report.up,
        error: report.error,
        last_sync: report.last_sync.map(wire::time),
        syncs: report.syncs,
        failures: report.failures,
        instances: report.instances,
        stale: report.stale.map(|stale| Stale { since: wire::time(stale.since), reason: stale.reason }),
        note_count: report.notes.len() + report.more_notes,
        notes: if with_notes { report.notes.iter().map(note).collect() } else { Vec::new() },
    }
}
