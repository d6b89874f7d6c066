//! What the operating system asks: stop, stop now, read the configuration again.

use std::io;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Follows signals for the rest of the process's life: the first SIGTERM or SIGINT cancels `stop`, the second calls
/// `at_once` with 128 + its number, a third ends the process with it; SIGHUP notifies `reload`.
pub(super) fn follow<F>(
    stop: CancellationToken,
    reload: Arc<Notify>,
    at_once: impl FnOnce(i32) -> F + Send + 'static,
) -> io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut at_once = Some(at_once);
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut hup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        loop {
            let number = tokio::select! {
                _ = term.recv() => 15,
                _ = int.recv() => 2,
                _ = hup.recv() => {
                    reload.notify_one();
                    continue;
                }
            };
            if stop.is_cancelled() {
                tracing::warn!("a second signal: ending at once");
                match at_once.take() {
                    Some(at_once) => drop(tokio::spawn(at_once(128 + number))),
                    None => std::process::exit(128 + number),
                }
                continue;
            }
            tracing::info!(
                signal = number,
                "stopping: deregistering, then finishing requests in flight; once more to end at once"
            );
            stop.cancel();
        }
    });
    Ok(())
}
