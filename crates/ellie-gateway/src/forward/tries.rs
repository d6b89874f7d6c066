//! A request's tries: on which instances, how often, and when no more.

use super::client::Client;
use super::failure::{answer_without, failed_problem, fault_problem};
use super::gone::Ended;
use super::plan::Plan;
use super::relay::Download;
use super::reply::Own;
use super::request::{Done, Next};
use super::respond::respond;
use super::send::{ClientFault, Failed, Times, Upload, exchange};
use super::work::Work;
use crate::cluster::{Outcome, Upstream};
use crate::h1::Coding;
use crate::h1::rewrite::RequestContext;
use crate::io::Stream;
use crate::problem::Problem;
use crate::upstream::connect;
use crate::worker::Worker;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use tokio::time::Instant;

/// Tries instances until one answers, and passes the answer on. Tells how many received bytes are used up.
pub(super) async fn forward(
    worker: &Worker,
    client: &mut Client,
    work: &mut Work,
    length: usize,
    plan: &Plan<'_>,
    started: Instant,
    done: &mut Done,
) -> (Next, usize) {
    let route = plan.route;
    let now = started.into_std();
    route.cluster.note_request(now);
    let admitted = route.cluster.admit(now, &mut worker.rng.borrow_mut(), &[]);
    let mut attempt = match admitted {
        Ok(attempt) => attempt,
        Err(refusal) => {
            let own = Own::from(Problem::from(&refusal));
            return answer_without(worker, client, work, length, None, done, own).await;
        }
    };
    let method = work.request.method.get(&work.received);
    let head_only = method == b"HEAD";
    let idempotent = is_idempotent(method);
    let deadline = started + route.timeout;
    let mut times = Times {
        deadline: deadline.min(started + route.try_timeout),
        timeout: route.try_timeout,
        body: worker.with_live(|live| live.body_timeout),
    };
    // Instances that failed; empty, and unallocated, for nearly all requests.
    let mut tried: Vec<u64> = Vec::new();
    let (mut stream, mut upload, early, head) = loop {
        let upstream = attempt.upstream().clone();
        let mut upload = Upload::new(work.request.framing, route.max_body.unwrap_or(u64::MAX));
        let early = match fill(work, &mut upload, client, length, plan, &upstream) {
            Ok(early) => early,
            Err(fault) => {
                drop(attempt);
                let own = fault_problem(plan, fault);
                return answer_without(worker, client, work, length, None, done, own).await;
            }
        };
        let tried_one =
            try_on(worker, client, work, &mut upload, &upstream, idempotent, head_only, times).await;
        done.received = upload.received;
        let failed = match tried_one {
            Ok((stream, head)) => {
                let status = work.response.status;
                // A whole request, of which no byte of an answer has gone to the client.
                let untouched = upload.is_done(&work.upload) && !upload.streamed && !work.outgoing.has_sent();
                let at = worker.tick();
                if route.retry_on.contains(status)
                    && idempotent
                    && untouched
                    && at < deadline
                    && tried.len() < route.retries as usize
                {
                    tried.push(upstream.identity);
                    let now = at.into_std();
                    // Where there is no other, this answer is the one there is.
                    if let Ok(other) = attempt.another(now, &mut worker.rng.borrow_mut(), &tried) {
                        attempt = attempt.give_way(other, Outcome::Status(status), now);
                        times.deadline = deadline.min(at + route.try_timeout);
                        route.stats.retried();
                        set_aside(worker, work, &upstream, stream, head, at);
                        continue;
                    }
                }
                done.instance = Some(upstream);
                break (stream, upload, early, head);
            }
            Err(failed) => failed,
        };
        if let Failed::Client(fault) = failed {
            // The instance is not to blame: dropped is cancelled.
            drop(attempt);
            done.instance = Some(upstream);
            if fault == ClientFault::Gone {
                return (Next::Abort, 0);
            }
            let own = fault_problem(plan, fault);
            return answer_without(worker, client, work, length, Some((&upload, early)), done, own).await;
        }
        let at = Instant::now();
        let outcome = outcome_of(&failed);
        let unsent = matches!(failed, Failed::Connect { .. } | Failed::Reset { unsent: true });
        // Nothing that reached the client may be taken back, nor a body that has been streamed be sent again.
        let untouched = !upload.streamed && !work.outgoing.has_sent();
        let lost = matches!(failed, Failed::Reset { .. } | Failed::Timeout);
        let again = untouched && (unsent || (idempotent && lost)) && at < deadline;
        if again && tried.len() < route.retries as usize {
            tried.push(upstream.identity);
            let next = attempt.retry(outcome, at.into_std(), &mut worker.rng.borrow_mut(), &tried);
            if let Ok(next) = next {
                attempt = next;
                times.deadline = deadline.min(at + route.try_timeout);
                route.stats.retried();
                work.outgoing.clear();
                continue;
            }
        } else {
            attempt.finish(outcome, at.into_std());
        }
        let limit = if times.deadline < deadline { route.try_timeout } else { route.timeout };
        let own = Own::from(failed_problem(plan, &upstream, &failed, limit));
        done.instance = Some(upstream);
        return answer_without(worker, client, work, length, Some((&upload, early)), done, own).await;
    };
    let next =
        respond(worker, client, work, plan, &mut upload, attempt, &mut stream, head, early + length, done)
            .await;
    done.received = upload.received;
    if let (Next::Continue(at), Some(upstream), Some(stream)) = (next, &done.instance, stream) {
        let room = worker.shared.config.max_idle;
        worker.pool.borrow_mut().put(upstream.identity, stream, at, room);
    }
    (next, length + early)
}

/// Lets go of an answer that is not passed on. Its connection is kept if all of it came along with its head.
fn set_aside(
    worker: &Worker,
    work: &Work,
    upstream: &Upstream,
    stream: Option<Stream>,
    head: usize,
    now: Instant,
) {
    let Some(stream) = stream.filter(|_| work.response.keep_alive) else { return };
    let mut download = Download::new(work.response.framing, Coding::Identity);
    let whole = download.take(&work.answer[head..], &mut Vec::new()).is_ok() && download.is_done();
    if whole && !download.surplus {
        worker.pool.borrow_mut().put(upstream.identity, stream, now, worker.shared.config.max_idle);
    }
}

/// Writes the head, and the body as far as it came along, for `upstream`. Tells how many bytes came along.
fn fill(
    work: &mut Work,
    upload: &mut Upload,
    client: &Client,
    length: usize,
    plan: &Plan<'_>,
    upstream: &Upstream,
) -> Result<usize, ClientFault> {
    let context = RequestContext {
        client: client.peer,
        trusted: plan.trusted,
        tls: !matches!(client.stream, Stream::Plain(_)),
        request_id: &work.request_id,
        target: &work.target,
        fallback_host: upstream.authority.as_bytes(),
    };
    work.upload.clear();
    let out = work.upload.buffer();
    work.request.write_upstream(&work.received, length, &context, out);
    upload.take(&work.received[length..], out)
}

/// One try on one instance: on a kept connection where there is one, and once on a new one in place of a kept one
/// that the instance had closed.
#[allow(clippy::too_many_arguments, reason = "the parts of one exchange, borrowed apart")]
async fn try_on(
    worker: &Worker,
    client: &mut Client,
    work: &mut Work,
    upload: &mut Upload,
    upstream: &Upstream,
    idempotent: bool,
    head_only: bool,
    times: Times,
) -> Result<(Option<Stream>, usize), Failed> {
    let (connect_timeout, idle) = worker.with_live(|live| (live.connect_timeout, live.upstream_idle_timeout));
    let kept = worker.pool.borrow_mut().take(upstream.identity, worker.latest(), idle);
    if let Some(mut stream) = kept {
        worker.shared.table.metrics().upstream_reused();
        match exchange(worker, client, work, upload, &mut stream, head_only, times).await {
            // The instance closed the kept connection under the request: its right, and not its failure.
            Err(Failed::Reset { unsent })
                if (unsent || idempotent) && !upload.streamed && work.answer.is_empty() =>
            {
                work.upload.rewind();
                upload.mend();
            }
            Ok(head) => return Ok((Some(stream), head)),
            Err(failed) => return Err(failed),
        }
    }
    // Not the thread's copy: whom to believe is in force at once.
    let tls = upstream.tls.then(|| worker.shared.live.load().upstream_tls.clone());
    let left = times.deadline.saturating_duration_since(Instant::now());
    let mut connecting = pin!(connect(upstream, tls.as_ref(), connect_timeout.min(left)));
    let connected = poll_fn(|cx| match connecting.as_mut().poll(cx) {
        Poll::Ready(connected) => Poll::Ready(Some(connected)),
        // What comes before the end of the request's body is not ours to read yet.
        Poll::Pending if !upload.body.is_done() => Poll::Pending,
        Poll::Pending => client.poll_gone(cx, worker, work, Ended::Ask).map(|()| None),
    });
    let mut stream = match connected.await {
        Some(Ok(stream)) => stream,
        Some(Err(e)) => {
            let timed_out = e.kind() == std::io::ErrorKind::TimedOut;
            return Err(Failed::Connect { timed_out, why: e.to_string() });
        }
        None => return Err(Failed::Client(ClientFault::Gone)),
    };
    worker.shared.table.metrics().upstream_opened();
    let head = exchange(worker, client, work, upload, &mut stream, head_only, times).await?;
    Ok((Some(stream), head))
}

fn outcome_of(failed: &Failed) -> Outcome {
    match failed {
        Failed::Connect { .. } => Outcome::ConnectFailed,
        Failed::Timeout => Outcome::Timeout,
        Failed::Reset { .. } | Failed::Malformed(_) | Failed::Client(_) => Outcome::Reset,
    }
}

/// Methods that may be sent twice (RFC 9110, 9.2.2).
fn is_idempotent(method: &[u8]) -> bool {
    matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE")
}
