//! What the operating system asks: stop, stop now, read the configuration again.

use std::io;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Follows signals for the rest of the process's life: the first SIGTERM or SIGINT cancels `stop`, the second ends the
/// process at once with 128 + its number; SIGHUP notifies `reload`.
pub(super) fn follow(stop: CancellationToken, reload: Arc<Notify>) -> io::Result<()> {
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
                std::process::exit(128 + number);
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
