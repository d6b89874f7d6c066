//! The body of an answer on its way to the client, while the rest of the request may still go the other way.

use super::client::Client;
use super::gone::Ended;
use super::send::Upload;
use super::work::Work;
use crate::h1::{Coding, Framing, Transfer};
use crate::io::Stream;
use crate::worker::Worker;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// How a relay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relayed {
    /// The client has the whole body.
    Complete,
    /// The instance broke off: the client sees a broken body, never a short success.
    UpstreamBroke,
    /// The instance sent nothing for too long, likewise.
    UpstreamSilent,
    /// The client went away, or read nothing for too long.
    ClientGone,
}

/// An answer's body on its way.
pub(crate) struct Download {
    body: Transfer,
    /// Bytes of data that went to the client.
    pub(crate) sent: u64,
    /// Whether the instance sent more than its answer: the connection is not used again.
    pub(crate) surplus: bool,
    /// Whether it took more than what came along with the head.
    pub(crate) took_time: bool,
}

impl Download {
    pub(crate) fn new(framing: Framing, coding: Coding) -> Self {
        Self { body: Transfer::new(framing, coding), sent: 0, surplus: false, took_time: false }
    }

    /// Whether all of the body has been taken.
    pub(crate) fn is_done(&self) -> bool {
        self.body.is_done()
    }

    /// Takes received bytes into what goes to the client. An error says that the body is malformed.
    pub(crate) fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Relayed> {
        let taken = self.body.take(bytes, out).map_err(|_| Relayed::UpstreamBroke)?;
        self.surplus |= taken.input < bytes.len();
        self.sent += taken.data;
        Ok(())
    }

    /// Moves what can be moved from the instance to the client.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Worker,
        client: &mut Client,
        work: &mut Work,
        from: &mut Stream,
        progress: &mut bool,
    ) -> Poll<Relayed> {
        loop {
            if !work.outgoing.is_empty() {
                match work.outgoing.poll_drain(cx, &mut client.stream) {
                    Poll::Ready(Ok(())) => *progress = true,
                    Poll::Ready(Err(_)) => return Poll::Ready(Relayed::ClientGone),
                    Poll::Pending => return Poll::Pending,
                }
            }
            if self.body.is_done() {
                return Poll::Ready(Relayed::Complete);
            }
            let step = worker.scratch.with(|scratch| {
                let n = match from.poll_receive(cx, scratch) {
                    Poll::Ready(Ok(n)) => n,
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(Relayed::UpstreamBroke)),
                    Poll::Pending => return Poll::Pending,
                };
                *progress = true;
                Poll::Ready(self.step(cx, client, work, &scratch[..n]))
            });
            match step {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(relayed)) => return Poll::Ready(relayed),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Passes on what was received; nothing is the instance's close.
    fn step(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Client,
        work: &mut Work,
        bytes: &[u8],
    ) -> Result<(), Relayed> {
        if bytes.is_empty() {
            return if self.body.close(work.outgoing.buffer()) {
                Ok(())
            } else {
                Err(Relayed::UpstreamBroke)
            };
        }
        if !self.body.is_plain() {
            return self.take(bytes, work.outgoing.buffer());
        }
        let taken = self.body.plain(bytes.len());
        self.surplus |= taken < bytes.len();
        self.sent += taken as u64;
        work.outgoing.poll_pass(cx, &mut client.stream, &bytes[..taken]).map_err(|_| Relayed::ClientGone)
    }
}

/// Relays until the client has everything. `idle` is how long either side may make no progress; an instance that
/// streams events may be silent as long as it likes (`patient`).
#[allow(clippy::too_many_arguments, reason = "the parts of one exchange, borrowed apart")]
pub(crate) async fn relay(
    worker: &Worker,
    client: &mut Client,
    work: &mut Work,
    upload: &mut Upload,
    download: &mut Download,
    stream: &mut Stream,
    idle: Duration,
    patient: bool,
) -> Relayed {
    let mut armed = false;
    poll_fn(|cx| {
        download.took_time |= armed;
        let mut progress = false;
        if !upload.is_done(&work.upload) {
            let before = upload.received;
            // A fault of the upload is no fault of the answer, which goes on; the connections are closed afterwards.
            let _ = upload.poll(cx, worker, client, work, stream);
            progress |= upload.received != before;
        }
        loop {
            match download.poll(cx, worker, client, work, stream, &mut progress) {
                Poll::Ready(relayed) => return Poll::Ready(relayed),
                Poll::Pending if progress || !armed => {
                    client.watchdog.set(Instant::now() + idle);
                    armed = true;
                }
                Poll::Pending => {}
            }
            let ended = if patient { Ended::Gone } else { Ended::Wait };
            if upload.is_done(&work.upload) && client.poll_gone(cx, worker, work, ended).is_ready() {
                return Poll::Ready(Relayed::ClientGone);
            }
            if client.watchdog.poll(cx).is_pending() {
                return Poll::Pending;
            }
            // Whose silence it was: bytes that wait for the client are the client's fault.
            if !work.outgoing.is_empty() {
                return Poll::Ready(Relayed::ClientGone);
            }
            if !patient {
                return Poll::Ready(Relayed::UpstreamSilent);
            }
            progress = true;
        }
    })
    .await
}
