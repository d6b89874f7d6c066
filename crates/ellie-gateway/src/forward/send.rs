//! One try on one instance: the request goes out and the head of the answer comes back.

use super::client::Client;
use super::gone::Ended;
use super::work::Work;
use crate::h1::rewrite::ResponseContext;
use crate::h1::{Coding, Framing, Limits, Parsed, Transfer};
use crate::io::{Outgoing, Stream};
use crate::worker::Worker;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// The request's body on its way to the instance. What of it is ready to be sent is in [`Work::upload`].
pub(crate) struct Upload {
    pub(crate) body: Transfer,
    /// Bytes of data so far.
    pub(crate) received: u64,
    /// Bytes of data that are allowed.
    most: u64,
    /// Whether anything was read from the client beyond what came with the head: it can't be sent again.
    pub(crate) streamed: bool,
    /// The instance takes no more; its answer may still come.
    broken: bool,
}

/// How the client's side of an exchange ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientFault {
    /// It closed before its body was complete, or does not take what it is sent.
    Gone,
    /// Its body is malformed.
    Malformed,
    /// Its body is larger than the route allows.
    TooLarge,
    /// Its body makes no progress.
    Slow,
}

/// How a try ended without the head of an answer.
#[derive(Debug)]
pub(crate) enum Failed {
    /// No connection.
    Connect {
        /// Whether time ran out.
        timed_out: bool,
        /// What the system said.
        why: String,
    },
    /// The instance closed or reset the connection.
    Reset {
        /// Whether it provably has seen nothing of the request.
        unsent: bool,
    },
    /// Its answer is not HTTP/1.x.
    Malformed(&'static str),
    /// Nothing came in time.
    Timeout,
    /// The client is at fault.
    Client(ClientFault),
}

/// The times that bound one try.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// Until the head of the answer must have come, if the request's body is complete at the beginning.
    pub(crate) deadline: Instant,
    /// The same, from the end of a body that takes its time.
    pub(crate) timeout: Duration,
    /// Until a body that makes no progress is given up.
    pub(crate) body: Duration,
}

impl Upload {
    /// A body framed as the request's head says.
    pub(crate) fn new(framing: Framing, most: u64) -> Self {
        let coding = if framing == Framing::Chunked { Coding::Chunked } else { Coding::Identity };
        Self { body: Transfer::new(framing, coding), received: 0, most, streamed: false, broken: false }
    }

    /// Takes what came along with the head; tells how many bytes of it are the body's.
    pub(crate) fn take(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, ClientFault> {
        let taken = self.body.take(input, out).map_err(|_| ClientFault::Malformed)?;
        self.received += taken.data;
        if self.received > self.most { Err(ClientFault::TooLarge) } else { Ok(taken.input) }
    }

    /// Moves what can be moved from the client to the instance. Ready when all is sent, or when the instance takes no
    /// more: then only its answer can tell why.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Worker,
        client: &mut Client,
        work: &mut Work,
        to: &mut Stream,
    ) -> Poll<Result<(), ClientFault>> {
        loop {
            if self.broken {
                return Poll::Ready(Ok(()));
            }
            match work.upload.poll_drain(cx, to) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => {
                    self.broken = true;
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending => return Poll::Pending,
            }
            if self.body.is_done() {
                return Poll::Ready(Ok(()));
            }
            match self.poll_more(cx, worker, client, work, to) {
                Poll::Ready(Ok(())) => {}
                other => return other,
            }
        }
    }

    /// Reads more of the body from the client and passes it on.
    fn poll_more(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Worker,
        client: &mut Client,
        work: &mut Work,
        to: &mut Stream,
    ) -> Poll<Result<(), ClientFault>> {
        worker.scratch.with(|scratch| {
            let n = match client.stream.poll_receive(cx, scratch) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(ClientFault::Gone)),
                Poll::Ready(Ok(n)) => n,
                Poll::Pending => return Poll::Pending,
            };
            self.streamed = true;
            let input = &scratch[..n];
            let taken = if self.body.is_plain() {
                let taken = self.body.plain(n);
                self.received += taken as u64;
                if self.received > self.most {
                    return Poll::Ready(Err(ClientFault::TooLarge));
                }
                if work.upload.poll_pass(cx, to, &input[..taken]).is_err() {
                    self.broken = true;
                }
                taken
            } else {
                match self.take(input, work.upload.buffer()) {
                    Ok(taken) => taken,
                    Err(fault) => return Poll::Ready(Err(fault)),
                }
            };
            // What follows the body is the next request.
            work.received.extend_from_slice(&input[taken..]);
            Poll::Ready(Ok(()))
        })
    }

    /// The connection that took no more is replaced by a new one.
    pub(crate) fn mend(&mut self) {
        self.broken = false;
    }

    /// Whether everything has been handed to the kernel.
    pub(crate) fn is_done(&self, upload: &Outgoing) -> bool {
        self.body.is_done() && upload.is_empty() && !self.broken
    }
}

/// Sends the request and waits for the head of the final answer; interim answers (1xx) go to the client meanwhile.
/// Tells the length of the head in [`Work::answer`].
pub(crate) async fn exchange(
    worker: &Worker,
    client: &mut Client,
    work: &mut Work,
    upload: &mut Upload,
    stream: &mut Stream,
    head_only: bool,
    times: Times,
) -> Result<usize, Failed> {
    let limits = worker.shared.config.limits;
    work.answer.clear();
    let mut uploading = !upload.body.is_done();
    client.watchdog.set(if uploading { Instant::now() + times.body } else { times.deadline });
    poll_fn(|cx| {
        let before = upload.received;
        let sent = upload.poll(cx, worker, client, work, stream);
        if let Poll::Ready(Err(fault)) = sent {
            return Poll::Ready(Err(Failed::Client(fault)));
        }
        if uploading {
            if upload.body.is_done() || sent.is_ready() {
                uploading = false;
                client.watchdog.set(Instant::now() + times.timeout);
            } else if upload.received != before {
                client.watchdog.set(Instant::now() + times.body);
            }
        }
        match poll_head(cx, worker, client, work, stream, &limits, head_only) {
            Poll::Ready(Ok(length)) => Poll::Ready(Ok(length)),
            Poll::Ready(Err(Broken::Malformed(why))) => Poll::Ready(Err(Failed::Malformed(why))),
            Poll::Ready(Err(Broken::Client)) => Poll::Ready(Err(Failed::Client(ClientFault::Gone))),
            Poll::Ready(Err(Broken::Closed)) => {
                let unsent = !work.upload.has_sent() && !upload.streamed;
                Poll::Ready(Err(Failed::Reset { unsent }))
            }
            Poll::Pending
                if upload.is_done(&work.upload)
                    && client.poll_gone(cx, worker, work, Ended::Ask).is_ready() =>
            {
                Poll::Ready(Err(Failed::Client(ClientFault::Gone)))
            }
            Poll::Pending => client.watchdog.poll(cx).map(|()| {
                // Whose silence it is: an instance that takes what it is sent waits for the client.
                let waits = uploading && work.upload.is_empty();
                Err(if waits { Failed::Client(ClientFault::Slow) } else { Failed::Timeout })
            }),
        }
    })
    .await
}

/// Why the head of an answer does not come.
enum Broken {
    Closed,
    Malformed(&'static str),
    Client,
}

fn poll_head(
    cx: &mut Context<'_>,
    worker: &Worker,
    client: &mut Client,
    work: &mut Work,
    stream: &mut Stream,
    limits: &Limits,
    head_only: bool,
) -> Poll<Result<usize, Broken>> {
    loop {
        if !work.outgoing.is_empty() {
            match work.outgoing.poll_drain(cx, &mut client.stream) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Broken::Client)),
                // An interim answer waits for the client; the final one waits behind it.
                Poll::Pending => return Poll::Pending,
            }
        }
        if !work.answer.is_empty() {
            match work.response.parse(&work.answer, limits, head_only) {
                Ok(Parsed::Complete(_)) if work.response.status == 101 && !work.request.upgrade => {
                    return Poll::Ready(Err(Broken::Malformed(
                        "it switched protocols without having been asked",
                    )));
                }
                Ok(Parsed::Complete(length))
                    if work.response.status >= 200 || work.response.status == 101 =>
                {
                    return Poll::Ready(Ok(length));
                }
                Ok(Parsed::Complete(length)) => {
                    // HTTP/1.0 knows no interim answers.
                    if work.request.minor == 1 {
                        let context = ResponseContext { client_minor: 1, ..Default::default() };
                        work.response.write_client(&work.answer, length, &context, work.outgoing.buffer());
                    }
                    work.answer.drain(..length);
                    continue;
                }
                Ok(Parsed::Partial) => {}
                Err(_) => return Poll::Ready(Err(Broken::Malformed("its answer is not valid HTTP/1.1"))),
            }
        }
        let answer = &mut work.answer;
        let read = worker.scratch.with(|scratch| {
            let read = stream.poll_receive(cx, scratch);
            if let Poll::Ready(Ok(n)) = read {
                answer.extend_from_slice(&scratch[..n]);
            }
            read
        });
        match read {
            Poll::Ready(Ok(0)) if !work.answer.is_empty() => {
                return Poll::Ready(Err(Broken::Malformed(
                    "it closed the connection inside the head of its answer",
                )));
            }
            Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Broken::Closed)),
            Poll::Ready(Ok(_)) => {}
            Poll::Pending => return Poll::Pending,
        }
    }
}
