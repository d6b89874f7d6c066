//! Whether a client that waits for its answer is still there.
//!
//! A reset says that it is not. The end of its stream says less: a client that closed its sending half alone still waits
//! for the answer, and TCP tells the two apart only when something is sent, to which a closed socket answers with a
//! reset. So a client of HTTP/1.1 whose stream has ended is sent an interim `100 Continue`, which every client has to
//! be able to skip (RFC 9110, 15.2); from then on a reset, and nothing else, means that it is gone.

use super::client::Client;
use super::work::Work;
use crate::io::{Outgoing, SCRATCH, Stream};
use crate::worker::Worker;
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Sent to learn whether anybody is there.
const PROBE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What follows the end of a client's stream: ready when its connection is reset.
pub(crate) type Reset = Pin<Box<dyn Future<Output = ()>>>;

/// What the end of the client's stream means before its answer has been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It is asked whether it is still there.
    Ask,
    /// It has what it needs of us until a write fails: the answer is being sent, and nothing can be put between.
    Wait,
    /// It is gone: what it is being sent may never end, and nobody half-closes a stream of events.
    Gone,
}

impl Client {
    /// Ready when the client is gone. What it sends meanwhile is the next request, and kept.
    pub(crate) fn poll_gone(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Worker,
        work: &mut Work,
        ended: Ended,
    ) -> Poll<()> {
        loop {
            if let Some(reset) = &mut self.reset {
                return reset.as_mut().poll(cx);
            }
            // A head, what came along with it, and as much again; whoever sends more is not read before its answer.
            if work.received.len() >= worker.shared.config.limits.head + 2 * SCRATCH {
                return Poll::Pending;
            }
            let stream = &mut self.stream;
            let read = worker.scratch.with(|scratch| {
                let read = stream.poll_receive(cx, scratch);
                if let Poll::Ready(Ok(n)) = read {
                    work.received.extend_from_slice(&scratch[..n]);
                }
                read
            });
            match read {
                Poll::Ready(Ok(0)) if ended == Ended::Gone => return Poll::Ready(()),
                Poll::Ready(Ok(0)) => {
                    // Without a descriptor to spare a reset is not heard of; the next write tells.
                    self.reset = Some(reset_of(&self.stream).unwrap_or_else(|_| Box::pin(pending())));
                    if ended == Ended::Ask && work.request.minor == 1 && work.outgoing.is_empty() {
                        let probed = probe(cx, &mut self.stream, &mut work.outgoing);
                        if probed.is_err() {
                            return Poll::Ready(());
                        }
                    }
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

fn probe(cx: &mut Context<'_>, to: &mut Stream, outgoing: &mut Outgoing) -> io::Result<()> {
    let untouched = !outgoing.has_sent();
    outgoing.poll_pass(cx, to, PROBE)?;
    match outgoing.poll_drain(cx, to) {
        Poll::Ready(Ok(())) => {
            // It is no part of an answer: the request may be tried elsewhere as before.
            if untouched {
                outgoing.clear();
            }
            Ok(())
        }
        Poll::Ready(Err(e)) => Err(e),
        Poll::Pending => Ok(()),
    }
}

/// Ready when the connection has been reset. The stream's own registration can't tell: having ended, it is always
/// ready to be read. So it is watched a second time, for errors alone.
fn reset_of(stream: &Stream) -> io::Result<Reset> {
    let watched = TcpStream::from_std(stream.descriptor()?.into())?;
    Ok(Box::pin(async move {
        let _ = watched.ready(Interest::ERROR).await;
    }))
}
