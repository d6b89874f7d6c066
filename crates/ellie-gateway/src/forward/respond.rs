//! An instance's answer on its way to the client.

use super::client::Client;
use super::plan::Plan;
use super::relay::{Download, Relayed, relay};
use super::request::{Done, Next};
use super::send::Upload;
use super::tunnel::tunnel;
use super::work::Work;
use crate::cluster::{Attempt, Outcome};
use crate::h1::rewrite::ResponseContext;
use crate::h1::{Coding, Framing};
use crate::io::Stream;
use crate::worker::Worker;
use std::io::Write as _;
use tokio::time::Instant;

/// Passes the answer on, whose head is the first `head` bytes of [`Work::answer`]. Leaves `stream` where it is only if
/// it can carry another request.
#[allow(clippy::too_many_arguments, reason = "the parts of one exchange, borrowed apart")]
pub(super) async fn respond(
    worker: &Worker,
    client: &mut Client,
    work: &mut Work,
    plan: &Plan<'_>,
    upload: &mut Upload,
    mut attempt: Attempt,
    connection: &mut Option<Stream>,
    head: usize,
    used: usize,
    done: &mut Done,
) -> Next {
    let Some(mut stream) = connection.take() else { return Next::Abort };
    let now = worker.tick();
    let status = work.response.status;
    done.status = status;
    attempt.answered(Outcome::Status(status), now.into_std());
    if plan.explain {
        let text = worker.shared.table.explain(plan.route, &attempt, now.into_std());
        let _ = write!(work.extra, "X-Ellie-Explain: {text}\r\n");
    }
    let framing = work.response.framing;
    let modern = work.request.minor == 1;
    let coding =
        if modern && !matches!(framing, Framing::Length(_)) { Coding::Chunked } else { Coding::Identity };
    // Without the chunked coding, only a length tells the end of the body.
    let told_by_close = coding == Coding::Identity && !matches!(framing, Framing::Length(_));
    let uploading = !upload.is_done(&work.upload);
    let close = !work.request.keep_alive || worker.is_draining() || told_by_close || uploading;
    worker.with_date(|date| {
        let context = ResponseContext {
            client_minor: work.request.minor,
            close,
            coding: Some(coding),
            date,
            extra: &work.extra,
            request_id: &work.request_id,
        };
        work.response.write_client(&work.answer, head, &context, work.outgoing.buffer());
    });
    let idle = worker.with_live(|live| live.body_timeout);
    if status == 101 {
        if client.flush(&mut work.outgoing, idle).await.is_err() {
            return Next::Abort;
        }
        if let Ok(copied) = tunnel(client, &mut stream, &work.received[used..], &work.answer[head..]).await {
            (done.received, done.sent) = copied;
        }
        attempt.finish(Outcome::Status(status), Instant::now().into_std());
        return Next::Close;
    }
    let mut download = Download::new(framing, coding);
    let mut relayed = download.take(&work.answer[head..], work.outgoing.buffer()).err();
    if relayed.is_none() {
        let patient = !download.is_done() && is_event_stream(work);
        let r = relay(worker, client, work, upload, &mut download, &mut stream, idle, patient).await;
        relayed = Some(r);
    }
    done.sent = download.sent;
    let outcome = match relayed {
        Some(Relayed::Complete) => {
            let ended = if download.took_time { worker.tick() } else { now };
            attempt.finish(Outcome::Status(status), ended.into_std());
            let sent_all = upload.is_done(&work.upload);
            if work.response.keep_alive && !download.surplus && sent_all && !worker.is_draining() {
                *connection = Some(stream);
            }
            return match (close, sent_all) {
                (false, _) => Next::Continue(ended),
                (true, true) => Next::Close,
                (true, false) => Next::Linger,
            };
        }
        Some(Relayed::ClientGone) => return Next::Abort,
        Some(Relayed::UpstreamSilent) => Outcome::Timeout,
        Some(Relayed::UpstreamBroke) | None => Outcome::Reset,
    };
    attempt.finish(outcome, Instant::now().into_std());
    // What has been received goes out first; the missing rest is the client's sign.
    let _ = client.flush(&mut work.outgoing, idle).await;
    Next::Abort
}

/// Whether the answer is a stream of events, which may be silent for as long as nothing happens.
fn is_event_stream(work: &Work) -> bool {
    let value = work.response.field(&work.answer, "content-type");
    value.and_then(|v| v.get(..17)).is_some_and(|v| v.eq_ignore_ascii_case(b"text/event-stream"))
}
