//! The composition root: from a resolved configuration to a running system, and back to nothing in order.

mod error;
mod listen;
mod logging;
mod providers;
mod ready;
mod reload;
mod running;
mod settings;
mod signals;
mod systemd;

pub use error::Error;
pub use ready::Addresses;
pub use running::Running;
pub use systemd::Handed;

use crate::config::{Resolved, Sources};
use ellie::core::Now;
use ellie::core::journal::{Entry, Kind};
use std::sync::Arc;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Runs `ellie serve` until a signal ends it. `sources` tell the next configuration when a reload is asked for.
///
/// # Errors
/// Why it could not start. Once it runs it ends only by signals, with success.
pub fn serve(resolved: &Resolved, sources: Sources) -> Result<(), Error> {
    let level = logging::init(&resolved.log);
    runtime()?.block_on(async {
        let started = Now::read();
        let stop = CancellationToken::new();
        let reload = Arc::new(Notify::new());
        signals::follow(stop.clone(), reload.clone()).map_err(Error::Runtime)?;
        let running = Running::start_on(resolved.clone(), Handed::take(&resolved.auth)?).await?;
        ready::print(
            resolved.log.format,
            running.addresses(),
            running.operator(),
            ready::elapsed(started.wall),
        );
        let reloading = running.configured().asks().map(|asks| {
            let waiting = Vec::new();
            let (running, current) = (running.clone(), resolved.clone());
            let followed = reload::Reload { running, level, current, sources, waiting };
            tokio::spawn(followed.follow(reload, asks, stop.clone()))
        });
        systemd::ready("serving");
        // Until the end, not until `stop`: finishing requests may take longer than the watchdog's patience.
        let alive = CancellationToken::new();
        let watchdog = tokio::spawn(systemd::watchdog(alive.clone()));
        stop.cancelled().await;
        systemd::stopping();
        if let Some(reloading) = reloading {
            reloading.abort();
        }
        running.stop(running.drain_timeout()).await;
        alive.cancel();
        // A panic of it has been told of already.
        let _ = watchdog.await;
        Ok(())
    })
}

/// Where log lines go; see [`logging::init`].
pub(crate) fn logging(log: &crate::config::Log) {
    let _ = logging::init(log);
}

/// Follows the signals that end the process; see [`signals::follow`].
pub(crate) fn follow_signals(stop: CancellationToken, reload: Arc<Notify>) -> Result<(), Error> {
    signals::follow(stop, reload).map_err(Error::Runtime)
}

/// The runtime of everything but the gateway, which has threads of its own: a scrape never stalls a request.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 4))
        .thread_name("ellie")
        .enable_all()
        .build()
        .map_err(Error::Runtime)
}

/// A journal entry about ellie itself.
fn own_entry(kind: Kind, actor: &str, message: impl Into<String>) -> Entry {
    Entry { kind, service: None, instance: None, actor: actor.into(), message: message.into() }
}
