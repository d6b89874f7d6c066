//! A client's connection: heads in, answers out, and when it ends.

use super::gone::Reset;
use super::reply::Own;
use super::request::{self, Next};
use super::work::Work;
use crate::h1::{Invalid, Parsed};
use crate::io::{Outgoing, Stream, Watchdog};
use crate::worker::{Presence, Worker};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::Poll;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

/// A client's connection. While it is idle this is all there is of it: what a request needs is in [`Work`].
pub(crate) struct Client {
    pub(crate) stream: Stream,
    pub(crate) peer: IpAddr,
    pub(crate) watchdog: Watchdog,
    /// Set once its stream has ended while it waited for an answer.
    pub(super) reset: Option<Reset>,
}

/// A head, and when it had arrived.
struct Head {
    work: Box<Work>,
    length: usize,
    at: Instant,
}

/// Why no head came.
enum End {
    /// The client closed, or said nothing for too long: nothing is owed.
    Silent,
    /// A head was begun and not finished in time.
    Slow(Box<Work>),
    /// What came is no request.
    Invalid(Invalid, Box<Work>),
}

/// How long a closing connection is read on, so that the client gets to see the answer instead of a reset.
const LINGER: Duration = Duration::from_secs(2);
/// Bytes that are read on at most while lingering.
const LINGER_BYTES: usize = 1024 * 1024;

/// Serves `stream` until either side ends it.
pub(crate) async fn serve(worker: &Worker, stream: Stream, peer: SocketAddr, presence: &Presence) {
    let mut now = Instant::now();
    let idle = worker.with_live(|live| live.idle_timeout);
    let watchdog = Watchdog::new(now + idle);
    let mut client = Client { stream, peer: peer.ip().to_canonical(), watchdog, reset: None };
    let mut left = None;
    loop {
        let Head { mut work, length, at } = match client.next_head(worker, presence, left.take(), now).await {
            Ok(head) => head,
            Err(End::Silent) => return,
            Err(End::Slow(mut work)) => {
                worker.shared.table.metrics().unrouted(408, Duration::ZERO);
                let _ = Own::timeout().send(worker, &mut client, &mut work, true).await;
                client.linger(worker).await;
                return;
            }
            Err(End::Invalid(invalid, mut work)) => {
                worker.shared.table.metrics().unrouted(invalid.status(), Duration::ZERO);
                let _ = Own::invalid(invalid).send(worker, &mut client, &mut work, true).await;
                client.linger(worker).await;
                return;
            }
        };
        match request::run(worker, &mut client, &mut work, length, at).await {
            Next::Continue(ended) => now = ended,
            Next::Linger => {
                client.linger(worker).await;
                return;
            }
            Next::Close => {
                let _ = client.stream.shutdown().await;
                return;
            }
            Next::Abort => return,
        }
        work.outgoing.clear();
        if work.received.is_empty() {
            worker.give_back(work);
        } else {
            left = Some(work);
        }
    }
}

impl Client {
    /// Waits for a whole head at the beginning of what is received; `left` holds what came behind the last request.
    async fn next_head(
        &mut self,
        worker: &Worker,
        presence: &Presence,
        left: Option<Box<Work>>,
        now: Instant,
    ) -> Result<Head, End> {
        let (idle, header) = worker.with_live(|live| (live.idle_timeout, live.header_timeout));
        let limits = worker.shared.config.limits;
        let mut work = left;
        let mut fresh = work.is_some();
        let mut at = now;
        self.watchdog.set(now + if fresh { header } else { idle });
        poll_fn(|cx| {
            presence.register(cx.waker());
            loop {
                if std::mem::take(&mut fresh)
                    && let Some(mut begun) = work.take()
                {
                    match begun.request.parse(&begun.received, &limits) {
                        Ok(Parsed::Complete(length)) => {
                            return Poll::Ready(Ok(Head { work: begun, length, at }));
                        }
                        Ok(Parsed::Partial) => work = Some(begun),
                        Err(invalid) => return Poll::Ready(Err(End::Invalid(invalid, begun))),
                    }
                }
                let stream = &mut self.stream;
                let read = worker.scratch.with(|scratch| {
                    let read = stream.poll_receive(cx, scratch);
                    if let Poll::Ready(Ok(n @ 1..)) = read {
                        let begun = work.get_or_insert_with(|| worker.lend());
                        begun.received.extend_from_slice(&scratch[..n]);
                    }
                    read
                });
                match read {
                    Poll::Ready(Ok(0) | Err(_)) => {
                        // Half a head and then an end: whoever waits for an answer to it gets one.
                        return Poll::Ready(Err(match work.take() {
                            Some(begun) => {
                                End::Invalid(Invalid::Malformed("the request head is not complete"), begun)
                            }
                            None => End::Silent,
                        }));
                    }
                    Poll::Ready(Ok(n)) => {
                        fresh = true;
                        let first = work.as_ref().is_some_and(|w| w.received.len() == n);
                        if first {
                            at = worker.tick();
                            self.watchdog.set(at + header);
                        }
                    }
                    Poll::Pending => {
                        // A request that is here already is still served in a drain.
                        if work.is_none() && worker.is_draining() {
                            return Poll::Ready(Err(End::Silent));
                        }
                        if self.watchdog.poll(cx).is_pending() {
                            return Poll::Pending;
                        }
                        return Poll::Ready(Err(match work.take() {
                            Some(begun) => End::Slow(begun),
                            None => End::Silent,
                        }));
                    }
                }
            }
        })
        .await
    }

    /// Writes all of `outgoing` within `limit`.
    pub(crate) async fn flush(&mut self, outgoing: &mut Outgoing, limit: Duration) -> io::Result<()> {
        self.watchdog.set(Instant::now() + limit);
        poll_fn(|cx| match outgoing.poll_drain(cx, &mut self.stream) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => self.watchdog.poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
        })
        .await
    }

    /// Closes our side and reads on for a moment: a close with unread bytes would reset the connection and take the
    /// answer away from the client.
    async fn linger(&mut self, worker: &Worker) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        self.watchdog.set(Instant::now() + LINGER);
        let mut room = LINGER_BYTES;
        poll_fn(|cx| {
            loop {
                match worker.scratch.with(|scratch| self.stream.poll_receive(cx, scratch)) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                    Poll::Ready(Ok(n)) if n >= room => return Poll::Ready(()),
                    Poll::Ready(Ok(n)) => room -= n,
                    Poll::Pending => return self.watchdog.poll(cx),
                }
            }
        })
        .await;
    }
}
