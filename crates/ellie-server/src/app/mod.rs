//! The composition root: from a resolved configuration to a running system, and back to nothing in order.

mod develop;
mod error;
pub(crate) mod lines;
mod listen;
mod logging;
mod processes;
mod providers;
mod ready;
mod reload;
mod running;
mod settings;
mod signals;
mod systemd;

pub use error::Error;
pub use processes::Processes;
pub use ready::Addresses;
pub use running::Running;
pub use systemd::Handed;

use crate::config::{Resolved, Sources};
use ellie::core::Now;
use ellie::core::journal::{Entry, Kind};
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// What to try with a server that has just started.
const SERVER_NEXT: [&str; 3] = [
    "ellie register my-service --port 3000 --health /health",
    "ellie routes add '/api/*' my-service",
    "ellie why my-service",
];
/// The same where it runs processes.
const PROCESSES_NEXT: [&str; 3] = [
    "ellie ps              in another terminal",
    "ellie logs -f NAME",
    "^C                    stops everything in order, twice at once",
];

/// Runs `ellie serve` until a signal ends it. `sources` tell the next configuration when a reload is asked for.
///
/// # Errors
/// Why it could not start. Once it runs it ends only by signals, with success.
pub fn serve(resolved: &Resolved, sources: Sources) -> Result<(), Error> {
    run(resolved, sources, None)
}

/// Runs `ellie up`: the same, and `processes`, which are started in order, and stopped in the reverse one first.
///
/// # Errors
/// Why it could not start.
pub fn up(resolved: &Resolved, sources: Sources, processes: &Processes) -> Result<(), Error> {
    run(resolved, sources, Some(processes))
}

fn run(resolved: &Resolved, sources: Sources, processes: Option<&Processes>) -> Result<(), Error> {
    let level = logging::init(&resolved.log);
    runtime()?.block_on(async {
        let started = Now::read();
        let stop = CancellationToken::new();
        let reload = Arc::new(Notify::new());
        let manager: Arc<OnceLock<ellie::ServiceManager>> = Arc::default();
        let killed = manager.clone();
        signals::follow(stop.clone(), reload.clone(), async move |code| processes::kill(&killed, code).await)
            .map_err(Error::Runtime)?;
        let running = Running::start_on(resolved.clone(), Handed::take(&resolved.auth)?).await?;
        // Before anybody is told that it is ready: the API has an answer about every process by then.
        let supervised = match processes {
            Some(processes) => Some((processes, processes::manage(&running, resolved, processes, &stop)?)),
            None => None,
        };
        ready::print(
            resolved.log.format,
            running.addresses(),
            running.operator(),
            ready::elapsed(started.wall),
            if supervised.is_some() { PROCESSES_NEXT } else { SERVER_NEXT },
        );
        let reloading = running.configured().asks().map(|asks| {
            let waiting = Vec::new();
            let (running, current) = (running.clone(), resolved.clone());
            let followed = reload::Reload { running, level, current, sources, waiting };
            tokio::spawn(followed.follow(reload, asks, stop.clone()))
        });
        let printed = CancellationToken::new();
        let mut printing = None;
        if let Some((processes, started)) = supervised {
            let names = started.plan().slots().iter().map(|slot| slot.unit.clone()).collect();
            let print = processes::print(started.logs().clone(), names, resolved.log.format, printed.clone());
            printing = processes.print.then(|| tokio::spawn(print));
            let _ = manager.set(started.clone());
            // It fails only where the manager has ended, and that happens below.
            let _ = started.up().await;
            if processes.develop {
                tokio::spawn(develop::follow(started));
            }
        } else if !resolved.processes.is_empty() {
            tracing::info!("the processes of the configuration are not started: `ellie up` does that");
        }
        systemd::ready("serving");
        // Until the end, not until `stop`: finishing requests may take longer than the watchdog's patience.
        let alive = CancellationToken::new();
        let watchdog = tokio::spawn(systemd::watchdog(alive.clone()));
        stop.cancelled().await;
        systemd::stopping();
        if let Some(reloading) = reloading {
            reloading.abort();
        }
        if let Some(manager) = manager.get() {
            manager.down().await;
        }
        printed.cancel();
        if let Some(printing) = printing {
            let _ = printing.await;
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
    signals::follow(stop, reload, async |code| std::process::exit(code)).map_err(Error::Runtime)
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
