//! The task that keeps the table in step with registry, routes and strategies.

use crate::table::TableHandle;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// After each compilation the task rests so many times as long as it took: a storm of changes costs at most a fifth of
/// a core, and what comes meanwhile is compiled together.
const REST: u32 = 4;
/// But no longer than this.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// Runs until `stop`. A single change after a quiet time is in force at once.
pub async fn run(handle: Arc<TableHandle>, stop: CancellationToken) {
    let mut registry = handle.clusters().registry().watch();
    let mut clusters = handle.clusters().watch();
    let mut routes = handle.routes().watch();
    loop {
        // Seen before they are read, so that what comes meanwhile wakes again.
        registry.borrow_and_update();
        clusters.borrow_and_update();
        routes.borrow_and_update();
        let began = Instant::now();
        handle.refresh(began.into_std());
        let rest = (began.elapsed() * REST).min(LONGEST_REST);
        tokio::select! {
            () = sleep(rest) => {}
            () = stop.cancelled() => return,
        }
        tokio::select! {
            () = changed(&mut registry) => {}
            () = changed(&mut clusters) => {}
            () = changed(&mut routes) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// The senders live in the handle, which the task holds; a closed channel would never change again.
async fn changed(watch: &mut watch::Receiver<u64>) {
    if watch.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
