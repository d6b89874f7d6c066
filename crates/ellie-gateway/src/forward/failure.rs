//! What a client is told where no instance's answer is passed on, and what becomes of its connection then.

use super::client::Client;
use super::plan::Plan;
use super::reply::Own;
use super::request::{Done, Next};
use super::send::{ClientFault, Failed, Upload};
use super::work::Work;
use crate::cluster::Upstream;
use crate::h1::{Body, Request};
use crate::problem::Problem;
use crate::worker::Worker;
use std::time::Duration;
use tokio::time::Instant;

/// How many bytes the body takes, if it is there to its end: only then can the connection carry another request
/// after an answer of the gateway itself.
pub(super) fn whole_body(request: &Request, received: &[u8]) -> Option<usize> {
    let mut body = Body::new(request.framing);
    let mut trailers = Vec::new();
    let mut at = 0;
    while !body.is_done() {
        let step = body.next(&received[at..], &mut trailers).ok()?;
        if step.skip + step.data == 0 {
            return None;
        }
        at += step.skip + step.data;
    }
    Some(at)
}

/// Sends an answer of the gateway itself; `whole` says that the request's body is read to its end.
pub(super) async fn answer(
    worker: &Worker,
    client: &mut Client,
    work: &mut Work,
    own: &Own,
    whole: bool,
) -> Next {
    let keep = whole && work.request.keep_alive && !worker.is_draining();
    work.outgoing.clear();
    match (own.send(worker, client, work, !keep).await, keep, whole) {
        (Err(_), ..) => Next::Abort,
        (Ok(()), true, _) => Next::Continue(Instant::now()),
        (Ok(()), false, true) => Next::Close,
        (Ok(()), false, false) => Next::Linger,
    }
}

/// Answers without an instance's answer; tells how many received bytes are used up.
pub(super) async fn answer_without(
    worker: &Worker,
    client: &mut Client,
    work: &mut Work,
    length: usize,
    upload: Option<(&Upload, usize)>,
    done: &mut Done,
    mut own: Own,
) -> (Next, usize) {
    let body = match upload {
        // What of the body came later was not kept.
        Some((upload, early)) if upload.streamed => upload.body.is_done().then_some(early),
        _ => whole_body(&work.request, &work.received[length..]),
    };
    if work.outgoing.has_sent() && !work.outgoing.is_empty() {
        // Half an interim answer is out: nothing can follow it.
        return (Next::Abort, 0);
    }
    done.status = own.problem.status();
    own.fields.extend_from_slice(&work.extra);
    let next = answer(worker, client, work, &own, body.is_some()).await;
    (next, length + body.unwrap_or(0))
}

pub(super) fn fault_problem(plan: &Plan<'_>, fault: ClientFault) -> Own {
    match fault {
        ClientFault::TooLarge => {
            Problem::too_large(plan.route.service(), plan.route.max_body.unwrap_or(u64::MAX)).into()
        }
        ClientFault::Slow => Problem::invalid_request(408, "the request's body makes no progress").into(),
        ClientFault::Malformed | ClientFault::Gone => {
            Problem::invalid_request(400, "the body's chunked coding is malformed").into()
        }
    }
}

/// What is told of a failed try; `limit` is the time that it had.
pub(super) fn failed_problem(
    plan: &Plan<'_>,
    upstream: &Upstream,
    failed: &Failed,
    limit: Duration,
) -> Problem {
    let (service, instance, at) = (plan.route.service(), upstream.id.as_str(), &upstream.authority);
    match failed {
        Failed::Connect { timed_out: false, why } => {
            Problem::bad_gateway(service, instance, &format!("no connection to {at}: {why}"))
        }
        Failed::Connect { timed_out: true, why } => {
            Problem::gateway_timeout(service, instance, &format!("no connection to {at}: {why}"))
        }
        Failed::Timeout => {
            Problem::gateway_timeout(service, instance, &format!("{at} did not answer within {limit:?}"))
        }
        Failed::Malformed(why) => Problem::bad_gateway(service, instance, &format!("{at}: {why}")),
        Failed::Reset { .. } | Failed::Client(_) => {
            Problem::bad_gateway(service, instance, &format!("{at} closed the connection without an answer"))
        }
    }
}
