//! A new configuration while running: parse, validate, diff, swap. A bad file changes nothing and says why.

use super::{Running, own_entry, systemd};
use crate::config::{self, Resolved, Sources};
use ellie::core::Now;
use ellie::core::journal::Kind;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// From the first sign of a changed file to reading it: a file that is written in place is empty for a moment.
const SETTLE: Duration = Duration::from_millis(100);

/// Follows SIGHUP (`asked`) and changes of the file until `stop`.
pub(super) async fn follow(
    running: Running,
    mut current: Resolved,
    sources: Sources,
    asked: Arc<Notify>,
    stop: CancellationToken,
) {
    let touched = Arc::new(Notify::new());
    // Kept alive: dropping it ends the watch.
    let _watcher = current.file.clone().and_then(|file| {
        let touched = touched.clone();
        config::watch::Watcher::new(file.clone(), move || touched.notify_one())
            .map_err(|e| tracing::warn!(file = %file.display(), "changes of the file are not seen: {e}; SIGHUP reloads it"))
            .ok()
    });
    // What changed between reading the file and watching it is found by reading it once more.
    touched.notify_one();
    loop {
        let actor = tokio::select! {
            () = stop.cancelled() => return,
            () = asked.notified() => "SIGHUP",
            () = touched.notified() => {
                tokio::time::sleep(SETTLE).await;
                "file change"
            }
        };
        systemd::reloading();
        let next = match config::load(sources.clone()) {
            Ok(next) => next,
            Err(faults) => {
                tracing::error!("the configuration is not reloaded; the running one stays:\n{faults}");
                let message = format!("the running configuration stays: {faults}");
                running
                    .ellie()
                    .journal()
                    .record(Now::read(), own_entry(Kind::ConfigRejected, actor, message));
                systemd::ready("serving; the last reload was rejected");
                continue;
            }
        };
        if apply(&running, &current, &next, actor).await {
            current = next;
            systemd::ready("serving");
        } else {
            systemd::ready("serving; the last reload was rejected");
        }
    }
}

/// Carries over what can change while running; tells what needs a restart. Whether `next` is now the current one.
async fn apply(running: &Running, current: &Resolved, next: &Resolved, actor: &str) -> bool {
    let diff = config::diff(current, next);
    for change in &diff.restart {
        tracing::warn!("takes effect at the next start only: {change}");
    }
    if diff.live.is_empty() {
        tracing::debug!(actor, "configuration read again: nothing to change");
        return true;
    }
    if let Err(why) = running.reconfigure(next).await {
        tracing::error!("the configuration is not reloaded; the running one stays: {why}");
        running.ellie().journal().record(Now::read(), own_entry(Kind::ConfigRejected, actor, why));
        return false;
    }
    let changes: Vec<String> = diff.live.iter().map(ToString::to_string).collect();
    tracing::info!(actor, "configuration reloaded: {}", changes.join("; "));
    running.ellie().journal().record(Now::read(), own_entry(Kind::ConfigReloaded, actor, changes.join("; ")));
    true
}
