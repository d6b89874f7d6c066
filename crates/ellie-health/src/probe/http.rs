//! An HTTP/1.1 check over a connection that is kept from one probe to the next.
//!
//! Between probes a connection is a socket and nothing else: hyper's buffers, which are most of what it would take,
//! are there only while a probe runs, and the probe itself drives it. A close by the server in the meantime shows at
//! the next use, before anything is sent; one that crosses the request shows as a loss before any response byte, or as
//! a 408 that answers nothing, and is tried once more on a new connection. None of it says anything of the instance.

use super::dial::{self, Io};
use super::{Attempt, Bounded, Failure, HEAD_LIMIT, Phase, USER_AGENT, now};
use crate::target::Get;
use crate::verdict::{self, Answer, HttpAnswer};
use bytes::Bytes;
use ellie_tls::client::Alpn;
use http::header::{ACCEPT, HOST, HeaderValue, LOCATION, USER_AGENT as USER_AGENT_HEADER};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::io::{AsyncRead, ReadBuf};

/// What moves a connection's bytes while it is polled; `None` once it has ended.
type Driven = Option<http1::Connection<Io, Empty<Bytes>>>;

/// A connection between probes.
pub(crate) struct Kept {
    io: Io,
    opened: Instant,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("http::Kept").field("opened", &self.opened).finish_non_exhaustive()
    }
}

impl Kept {
    /// Whether the server has let it stand. One that spoke unasked has not: it says that it closes.
    async fn is_alive(&mut self) -> bool {
        let mut byte = [0; 1];
        let mut buffer = ReadBuf::new(&mut byte);
        let mut io = Pin::new(self.io.inner_mut());
        poll_fn(|cx| Poll::Ready(io.as_mut().poll_read(cx, &mut buffer).is_pending())).await
    }
}

/// A connection in use.
struct Client {
    sender: http1::SendRequest<Empty<Bytes>>,
    connection: Driven,
    opened: Instant,
}

/// A response as far as it was read.
struct Reply {
    status: StatusCode,
    location: Option<HeaderValue>,
    body: Bounded,
}

/// A failed exchange.
struct Lost {
    /// Nothing of a response had come.
    unanswered: bool,
    failure: Failure,
}

pub(super) async fn check(
    attempt: &mut Attempt<'_>,
    get: &Get,
    kept: Option<Kept>,
) -> Result<(Answer, Option<Kept>), Failure> {
    if let Some(mut kept) = kept
        && attempt.is_fresh(kept.opened)
        && kept.is_alive().await
    {
        *attempt.phase = Phase::Asked;
        match exchange(kept, get, attempt.phase).await {
            // Servers that close an idle connection may say so by this code, which then is no answer.
            Ok((reply, None)) if reply.status == StatusCode::REQUEST_TIMEOUT => *attempt.retried = true,
            Ok((reply, kept)) => return Ok((judge(attempt, get, &reply), kept)),
            Err(lost) if lost.unanswered => *attempt.retried = true,
            Err(lost) => return Err(lost.failure),
        }
    }
    let io = dial::stream(attempt, Alpn::Http1).await?;
    let (reply, kept) =
        exchange(Kept { io, opened: now() }, get, attempt.phase).await.map_err(|lost| lost.failure)?;
    Ok((judge(attempt, get, &reply), kept))
}

/// One request and its response; the connection, where the next probe can use it.
async fn exchange(on: Kept, get: &Get, phase: &mut Phase) -> Result<(Reply, Option<Kept>), Lost> {
    let mut client = Client::new(on).await?;
    let reply = client.exchange(get, phase).await?;
    let kept = if reply.body.cut { None } else { client.into_kept().await };
    Ok((reply, kept))
}

fn judge(attempt: &Attempt<'_>, get: &Get, reply: &Reply) -> Answer {
    let answer = HttpAnswer {
        status: reply.status,
        location: reply.location.as_ref().map(HeaderValue::as_bytes),
        body: &reply.body.bytes,
        complete: !reply.body.cut,
    };
    verdict::http(&answer, &get.url, attempt.took())
}

impl Client {
    async fn new(Kept { io, opened }: Kept) -> Result<Self, Lost> {
        let lost = |error| Lost { unanswered: true, failure: failure(&error) };
        let (sender, connection) =
            http1::Builder::new().max_buf_size(HEAD_LIMIT).handshake(io).await.map_err(lost)?;
        let mut client = Self { sender, connection: Some(connection), opened };
        drive(&mut client.connection, client.sender.ready()).await.map_err(lost)?;
        Ok(client)
    }

    /// The connection, unless its last response ended it.
    async fn into_kept(mut self) -> Option<Kept> {
        poll_fn(|cx| {
            poll(&mut self.connection, cx);
            Poll::Ready(())
        })
        .await;
        let connection = self.connection.filter(|_| self.sender.is_ready())?;
        let parts = connection.into_parts();
        parts.read_buf.is_empty().then_some(Kept { io: parts.io, opened: self.opened })
    }

    async fn exchange(&mut self, get: &Get, phase: &mut Phase) -> Result<Reply, Lost> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = get.path.clone();
        let headers = request.headers_mut();
        headers.insert(HOST, get.host.clone());
        headers.insert(USER_AGENT_HEADER, HeaderValue::from_static(USER_AGENT));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*;q=0.5"));
        let response = self.sender.send_request(request);
        let response = drive(&mut self.connection, response)
            .await
            .map_err(|error| Lost { unanswered: !error.is_parse(), failure: failure(&error) })?;
        let (head, mut stream) = response.into_parts();
        let mut body = Bounded::default();
        *phase = Phase::Reading(0);
        while let Some(frame) = drive(&mut self.connection, stream.frame()).await {
            let frame =
                frame.map_err(|error| Lost { unanswered: false, failure: body_failure(&error, &body) })?;
            if let Some(piece) = frame.data_ref() {
                let more = body.push(piece);
                *phase = Phase::Reading(body.bytes.len());
                if !more {
                    break;
                }
            }
        }
        let location = if head.status.is_redirection() { head.headers.get(LOCATION).cloned() } else { None };
        Ok(Reply { status: head.status, location, body })
    }
}

/// Lets the connection do its work. Its error, if any, also reaches the request that suffers from it.
fn poll(connection: &mut Driven, cx: &mut Context<'_>) {
    if let Some(running) = connection
        && Pin::new(running).poll(cx).is_ready()
    {
        *connection = None;
    }
}

/// Awaits `future`, which waits for `connection`.
async fn drive<F: Future>(connection: &mut Driven, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        poll(connection, cx);
        future.as_mut().poll(cx)
    })
    .await
}

/// The words for what went wrong before the response's head was complete.
fn failure(error: &hyper::Error) -> Failure {
    if error.is_parse_too_large() {
        return Failure::Remote(format!("the response's head is over {} KiB", HEAD_LIMIT / 1024));
    }
    if error.is_parse() {
        return Failure::Remote(format!("the answer is not HTTP: {error}"));
    }
    if let Some(error) = source(error) {
        return dial::lost(error, "a response");
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return Failure::Remote("connection closed before a response".into());
    }
    Failure::Remote(format!("no response: {error}"))
}

fn body_failure(error: &hyper::Error, body: &Bounded) -> Failure {
    let after = format!("in the response's body, after {} bytes", body.bytes.len());
    match source(error) {
        Some(error)
            if error.kind() != io::ErrorKind::InvalidData && error.kind() != io::ErrorKind::InvalidInput =>
        {
            dial::io_failure(error, |text| format!("{text} {after}"))
        }
        Some(error) => Failure::Remote(format!("the answer is not HTTP: {error}, {after}")),
        None => Failure::Remote(format!("connection closed {after}")),
    }
}

fn source(error: &hyper::Error) -> Option<&io::Error> {
    std::error::Error::source(error)?.downcast_ref()
}
