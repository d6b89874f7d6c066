//! A new configuration while running: parse, validate, diff, swap. A bad file changes nothing and says why.

use super::logging::Level;
use super::{Running, own_entry, systemd};
use crate::config::{self, Change, Resolved, Sources};
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
    level: Level,
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
    // What waits for a restart is told once, however often the file is read again.
    let mut waiting = Vec::new();
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
        let diff = config::diff(&current, &next);
        let next = config::in_force(&current, next);
        if diff.live.is_empty() {
            tracing::debug!(actor, "configuration read again: nothing to change");
        }
        if !diff.live.is_empty() && !apply(&running, &next, &diff.live, actor).await {
            systemd::ready("serving; the last reload was rejected");
            continue;
        }
        if next.log.level != current.log.level {
            level.set(&next.log.level);
        }
        for change in diff.restart.iter().filter(|change| !waiting.contains(*change)) {
            tracing::warn!("takes effect at the next start only: {change}");
        }
        waiting = diff.restart;
        current = next;
        systemd::ready("serving");
    }
}

/// Puts `next` into force, which differs from the current one by `changes`. Whether that was possible.
async fn apply(running: &Running, next: &Resolved, changes: &[Change], actor: &str) -> bool {
    if let Err(why) = running.reconfigure(next).await {
        tracing::error!("the configuration is not reloaded; the running one stays: {why}");
        running.ellie().journal().record(Now::read(), own_entry(Kind::ConfigRejected, actor, why));
        return false;
    }
    let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
    tracing::info!(actor, "configuration reloaded: {}", changes.join("; "));
    running.ellie().journal().record(Now::read(), own_entry(Kind::ConfigReloaded, actor, changes.join("; ")));
    true
}
