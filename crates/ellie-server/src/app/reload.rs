//! A new configuration while running: parse, validate, diff, swap. A bad file changes nothing and says why.

use super::logging::Level;
use super::{Running, own_entry, systemd};
use crate::admin::configured::{Ask, Loaded, Refused};
use crate::config::{self, Change, Resolved, Sources};
use ellie::core::Now;
use ellie::core::journal::Kind;
use ellie_api::Reloaded;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

/// From the first sign of a changed file to reading it: a file that is written in place is empty for a moment.
const SETTLE: Duration = Duration::from_millis(100);

/// Who asks for a reload where a file has changed.
const FILE_CHANGE: &str = "file change";

/// What is watched, and by whom. Dropping it ends the watch.
#[derive(Default)]
struct Watch {
    files: Vec<PathBuf>,
    watcher: Option<config::watch::Watcher>,
}

impl Watch {
    /// Watches `files`; `touched` is told of changes.
    fn follow(&mut self, files: Vec<PathBuf>, touched: &Arc<Notify>) {
        if files == self.files {
            return;
        }
        let tell = touched.clone();
        self.watcher = config::watch::Watcher::new(&files, move || tell.notify_one())
            .map_err(|e| {
                let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
                tracing::warn!(files = names.join(", "), "changes are not seen: {e}; SIGHUP reloads them");
            })
            .ok();
        // What changed before somebody looked is found by reading once more.
        touched.notify_one();
        self.files = files;
    }
}

/// Reads the configuration again, for whoever asks.
pub(super) struct Reload {
    pub(super) running: Running,
    pub(super) level: Level,
    pub(super) current: Resolved,
    pub(super) sources: Sources,
    /// What waits for a restart is told once, however often the file is read again.
    pub(super) waiting: Vec<Change>,
}

impl Reload {
    /// Follows SIGHUP (`asked`), `PUT /reload` (`asks`) and changes of the file until `stop`.
    pub(super) async fn follow(
        mut self,
        asked: Arc<Notify>,
        mut asks: mpsc::Receiver<Ask>,
        stop: CancellationToken,
    ) {
        let touched = Arc::new(Notify::new());
        let mut watch = Watch::default();
        watch.follow(self.current.files(), &touched);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = asked.notified() => drop(self.once("SIGHUP").await),
                Some(ask) = asks.recv() => {
                    // Who asked may have gone.
                    let _ = ask.answer.send(self.once(&ask.actor).await);
                }
                () = touched.notified() => {
                    tokio::time::sleep(SETTLE).await;
                    drop(self.once(FILE_CHANGE).await);
                }
            }
            watch.follow(self.current.files(), &touched);
        }
    }

    /// Reads the configuration and puts it into force, or tells why not.
    async fn once(&mut self, actor: &str) -> Result<Reloaded, Refused> {
        systemd::reloading();
        let done = self.attempt(actor).await;
        match &done {
            Ok(_) => systemd::ready("serving"),
            // One change of a file can be seen several times; what is wrong with it is told once.
            Err(refused)
                if actor == FILE_CHANGE && self.running.configured().was_rejected(&refused.to_string()) =>
            {
                systemd::ready("serving; the last reload was rejected");
            }
            Err(refused) => {
                let why = refused.to_string();
                tracing::error!("the configuration is not reloaded; the running one stays:\n{why}");
                let now = Now::read();
                self.running.configured().reject(now.wall, &why);
                let message = format!("the running configuration stays: {why}");
                self.running.ellie().journal().record(now, own_entry(Kind::ConfigRejected, actor, message));
                systemd::ready("serving; the last reload was rejected");
            }
        }
        done
    }

    async fn attempt(&mut self, actor: &str) -> Result<Reloaded, Refused> {
        let next = config::load(self.sources.clone()).map_err(Refused::Faults)?;
        let diff = config::diff(&self.current, &next);
        let next = config::in_force(&self.current, next);
        let said = |changes: &[Change]| changes.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (changed, restart) = (said(&diff.live), said(&diff.restart));
        if changed.is_empty() {
            tracing::debug!(actor, "configuration read again: nothing to change");
        } else {
            self.running.reconfigure(&next).await.map_err(Refused::Impossible)?;
            let all = changed.join("; ");
            tracing::info!(actor, "configuration reloaded: {all}");
            self.running.ellie().journal().record(Now::read(), own_entry(Kind::ConfigReloaded, actor, all));
        }
        if next.log.level != self.current.log.level {
            self.level.set(&next.log.level);
        }
        for change in diff.restart.iter().filter(|change| !self.waiting.contains(*change)) {
            tracing::warn!("takes effect at the next start only: {change}");
        }
        self.running.configured().set(Loaded {
            resolved: Arc::new(next.clone()),
            at: Now::read().wall,
            pending: diff.restart.clone(),
            rejected: None,
        });
        self.waiting = diff.restart;
        self.current = next;
        Ok(Reloaded { changed, restart })
    }
}
