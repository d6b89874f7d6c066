//! How providers fare.

use super::text::{Kind, Writer};
use crate::admin::AdminState;
use std::time::UNIX_EPOCH;

pub(super) fn providers(w: &mut Writer, state: &AdminState) {
    let shown = state.providers();
    if shown.is_empty() {
        return;
    }
    let all: Vec<_> = shown.iter().map(|shown| (shown.name, shown.handle.report())).collect();
    let mut f = w.family(
        Kind::Gauge,
        "ellie_provider_up",
        "Whether a provider is connected and its set is current; 0: what it told last is served.",
    );
    for (name, report) in &all {
        f.sample(&[("provider", name)], u8::from(report.up));
    }
    let mut f = w.family(Kind::Gauge, "ellie_provider_instances", "Instances that a provider tells.");
    for (name, report) in &all {
        f.sample(&[("provider", name)], report.instances);
    }
    let mut f = w.family(
        Kind::Gauge,
        "ellie_provider_notes",
        "Containers or tasks with a fault or a warning, or that are absent for their state.",
    );
    for (name, report) in &all {
        f.sample(&[("provider", name)], report.notes.len() + report.more_notes);
    }
    let mut f = w.family(
        Kind::Gauge,
        "ellie_provider_last_sync_timestamp_seconds",
        "When a provider last told its set, in seconds since 1970.",
    );
    for (name, report) in &all {
        if let Some(at) = report.last_sync {
            f.sample(&[("provider", name)], at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
        }
    }
    let mut f = w.family(Kind::Counter, "ellie_provider_syncs_total", "Sets that a provider told.");
    for (name, report) in &all {
        f.sample(&[("provider", name)], report.syncs);
    }
    let mut f =
        w.family(Kind::Counter, "ellie_provider_failures_total", "How often a provider could not go on.");
    for (name, report) in &all {
        f.sample(&[("provider", name)], report.failures);
    }
}
