//! What time alone brings about: leases that end, operator states that lapse, instances that failed for too long.

use crate::Registrar;
use ellie_core::Now;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

/// How long it waits before it tries again what the store didn't take.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Deadlines are met within this; it also bounds how often an instant that is always due could wake the task.
const GRAIN: Duration = Duration::from_millis(5);

/// Carries out through `registrar` what becomes due in its registry, sleeping from one deadline to the next, until
/// `stop` resolves or the registrar is closed.
pub async fn expire(registrar: Registrar, stop: impl Future<Output = ()>) {
    let registry = registrar.registry().clone();
    let mut stop = pin!(stop);
    loop {
        let now = Now::read();
        let due = registry.due(now);
        let mut wake = None;
        if !due.is_empty() {
            match registrar.carry_out(due).await {
                Ok(_) => {}
                Err(crate::registrar::Error::Closed) => return,
                // The writer has told the log why.
                Err(_) => wake = Some(now.instant + AFTER_FAILURE),
            }
        }
        let wake = wake.or_else(|| registry.next_deadline().map(|at| at.max(now.instant + GRAIN)));
        let sleep = async {
            match wake {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = &mut stop => return,
            () = sleep => {}
            () = registry.deadline_moved() => {}
        }
    }
}
