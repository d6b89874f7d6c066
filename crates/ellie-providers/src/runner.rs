//! Keeps a provider running: restarts it with back-off, marks its set as stale meanwhile, and drops a set that has been
//! stale for too long.

use crate::sink::{Failure, Note, Provider, Set, Sink, Target};
use ellie_core::Source;
use ellie_core::model::Stale;
use ellie_policy::Rng;
use ellie_policy::backoff::{Backoff, Config};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How a provider is kept running.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Between two tries.
    pub backoff: Config,
    /// For how long a set that can't be renewed is served; `None` is for ever, as health checks go on meanwhile.
    pub max_stale: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        let backoff = Config { cap: Duration::from_secs(10), ..Config::default() };
        Self { backoff, max_stale: None }
    }
}

/// How a provider fares.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Whether it is connected and its set is current.
    pub up: bool,
    /// Why not.
    pub error: Option<String>,
    /// When it last told its set.
    pub last_sync: Option<SystemTime>,
    /// How often it told its set.
    pub syncs: u64,
    /// How often it could not go on.
    pub failures: u64,
    /// Since when and why its set can't be renewed.
    pub stale: Option<Stale>,
    /// Instances of its set.
    pub instances: usize,
    /// What is to be known about its set, the worst first.
    pub notes: Vec<Note>,
    /// Notes beyond those.
    pub more_notes: usize,
}

/// A look at a provider from outside.
#[derive(Clone, Debug, Default)]
pub struct Handle(Arc<Mutex<Report>>);

impl Handle {
    /// How it fares.
    #[must_use]
    pub fn report(&self) -> Report {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Runs `provider` until `stop`. What it told last stays with the target then.
pub async fn supervise(
    provider: Arc<dyn Provider>,
    target: Arc<dyn Target>,
    settings: Settings,
    handle: Handle,
    stop: CancellationToken,
) {
    let name = provider.name();
    let sink = Sink::new(Source::Provider(name.into()), target, handle.0);
    let mut backoff = Backoff::new(settings.backoff);
    let mut rng = Rng::from_entropy();
    // When the set is dropped, counted from the moment it could not be renewed.
    let mut drop_at: Option<Instant> = None;
    loop {
        let before = sink.with(|report| report.syncs);
        let run = AssertUnwindSafe(provider.run(&sink, stop.clone())).catch_unwind();
        let ended = tokio::select! {
            ended = run => ended,
            () = dropping(&sink, drop_at, before) => {
                drop_set(&sink, settings.max_stale).await;
                drop_at = None;
                continue;
            }
        };
        if stop.is_cancelled() {
            return;
        }
        let why = match ended {
            Ok(Ok(())) => Failure("it ended without being asked to".into()),
            Ok(Err(why)) => why,
            Err(_) => Failure("it panicked; this is a bug of ellie's".into()),
        };
        let synced = sink.with(|report| {
            report.failures += 1;
            report.syncs > before
        });
        if synced {
            backoff.reset();
            drop_at = None;
        }
        if backoff.failures() == 0 {
            tracing::warn!(provider = name, "the set told last is held: {why}");
        }
        sink.stale(&why.0);
        let held = sink.with(|report| report.instances > 0);
        if drop_at.is_none() && held {
            drop_at = settings.max_stale.map(|most| Instant::now() + most);
        }
        let delay = backoff.next_delay(&mut rng);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(delay) => {}
            () = dropping(&sink, drop_at, u64::MAX) => {
                drop_set(&sink, settings.max_stale).await;
                drop_at = None;
            }
        }
    }
}

/// Returns when the stale set is to be dropped: never once the provider has told it anew.
async fn dropping(sink: &Sink, at: Option<Instant>, before: u64) {
    let Some(at) = at else { return std::future::pending().await };
    tokio::time::sleep_until(at).await;
    if sink.with(|report| report.syncs > before) {
        std::future::pending::<()>().await;
    }
}

async fn drop_set(sink: &Sink, after: Option<Duration>) {
    let reason = sink.with(|report| report.error.clone().unwrap_or_default());
    let after = after.unwrap_or_default();
    let reason = format!("{reason}; its set was dropped after {after:?}");
    let told = sink.with(|report| (report.last_sync, report.syncs));
    // A target that is closed has no set any more.
    let _ = sink.replace(Set::default()).await;
    sink.with(|report| (report.last_sync, report.syncs) = told);
    sink.stale(&reason);
}

#[cfg(test)]
mod tests;
