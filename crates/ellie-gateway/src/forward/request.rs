//! One request, from its head to its end: planned, tried, answered, counted and logged.

use super::client::Client;
use super::plan::{plan, refuse};
use super::tries;
use super::work::Work;
use crate::access::Line;
use crate::cluster::Upstream;
use crate::table::CompiledRoute;
use crate::worker::Worker;
use std::sync::Arc;
use tokio::time::Instant;

/// What becomes of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It carries the next request; this one ended then.
    Continue(Instant),
    /// It is closed; all that was sent has been read.
    Close,
    /// It is closed, and what the client is still sending is read for a moment, so that it sees the answer.
    Linger,
    /// It is cut: the client must not take what it got for whole.
    Abort,
}

/// What the request came to, for metrics and the log.
#[derive(Default)]
pub(super) struct Done {
    /// The status that the client was sent; 0 where it went away before.
    pub(super) status: u16,
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) instance: Option<Arc<Upstream>>,
}

/// Serves the request whose head is the first `length` bytes received.
pub(crate) async fn run(
    worker: &Worker,
    client: &mut Client,
    work: &mut Work,
    length: usize,
    started: Instant,
) -> Next {
    let table = worker.table();
    let plan = match plan(worker, &table, client, work, started) {
        Ok(plan) => plan,
        Err(refused) => return refuse(worker, client, work, length, started, *refused).await,
    };
    let stats = &plan.route.stats;
    stats.begin();
    // The future may be dropped at any await, when a drain runs out of time.
    let mut counted = Counted { route: plan.route, done: Done::default(), open: true };
    let done = &mut counted.done;
    let (next, used) = tries::forward(worker, client, work, length, &plan, started, done).await;
    let ended = if let Next::Continue(at) = next { at } else { Instant::now() };
    let took = ended.saturating_duration_since(started);
    if done.status != 0 {
        stats.record(done.status, took, done.received, done.sent);
        counted.open = false;
    }
    if let Some(log) = &worker.shared.log {
        let done = &counted.done;
        log.record(&Line {
            at: ellie_core::Now::read().wall,
            client: plan.client,
            method: work.request.method.get(&work.received),
            target: work.request.path(&work.received),
            status: if done.status == 0 { 499 } else { done.status },
            took,
            received: done.received,
            sent: done.sent,
            route: plan.route.id(),
            service: plan.route.service(),
            instance: done.instance.as_deref().map_or("-", |u| u.id.as_str()),
            request_id: &work.request_id,
        });
    }
    work.received.drain(..used.min(work.received.len()));
    next
}

/// A request that was begun is recorded, or counts as abandoned.
struct Counted<'t> {
    route: &'t CompiledRoute,
    done: Done,
    open: bool,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if self.open {
            self.route.stats.abandon();
        }
    }
}
