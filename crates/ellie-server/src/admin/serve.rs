//! A listener with its limits: connections, heads, idle and slow peers, peers that are gone.

use super::problem::Error;
use super::unparsed::Unparsed;
use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::Request;
use ellie_api::Problem;
use ellie_api::problem::{MEDIA_TYPE, kind};
use futures_util::future::{Either, select};
use http::StatusCode;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep, sleep};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// After a failed accept, which is most often a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a stopped listener waits for the connections it has.
const LINGER: Duration = Duration::from_secs(5);
/// How long, and for how many bytes, a peer is listened to that has been told that what it sent is no request.
const LISTEN_AFTER: Duration = Duration::from_secs(1);
const MOST_READ_AFTER: u64 = 256 << 10;

/// The limits of a listener.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at once; more wait in the kernel's queue.
    pub max_connections: usize,
    /// Until a request's head has been read, which is also how long a connection may idle; a TLS handshake has as long.
    pub request_timeout: Duration,
    /// How long a peer may take nothing of an answer.
    pub write_stall: Duration,
    /// Header fields of a request.
    pub max_headers: usize,
    /// Bytes of a request's head.
    pub max_head: usize,
    /// Speak TLS with what this holds when a connection comes.
    pub tls: Option<Arc<ArcSwap<rustls::ServerConfig>>>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 4096,
            request_timeout: Duration::from_secs(30),
            write_stall: Duration::from_secs(30),
            max_headers: 64,
            max_head: 32 << 10,
            tls: None,
        }
    }
}

/// The address at which a request arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Local(pub(super) SocketAddr);

/// Serves `router` until `stop`; then finishes the requests under way, for a few seconds at most, and returns.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(limits.max_connections.max(1)));
    let connections = TaskTracker::new();
    let limits = Arc::new(limits);
    // Where a request arrived decides what it may do without a token.
    let router = match listener.local_addr() {
        Ok(local) => router.layer(axum::Extension(Local(local))),
        Err(_) => router,
    };
    loop {
        // A place first: what can't be served is not accepted.
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = async {
                let place = places.clone().acquire_owned().await;
                (place, listener.accept().await)
            } => accepted,
        };
        match accepted {
            (Ok(place), Ok((stream, _))) => {
                let (router, limits, stop) = (router.clone(), limits.clone(), stop.clone());
                connections.spawn(async move {
                    connection(stream, router, &limits, stop).await;
                    drop(place);
                });
            }
            (_, Ok(_)) => {}
            (_, Err(error)) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(LINGER, connections.wait()).await.is_err() {
        tracing::warn!(left = connections.len(), "connections were still open when the listener ended");
    }
}

async fn connection(stream: TcpStream, router: Router, limits: &Limits, stop: CancellationToken) {
    tune(&stream, limits.write_stall);
    let stream = Stalling { inner: stream, most: limits.write_stall, stalled: None };
    match &limits.tls {
        None => http(stream, router, limits, stop).await,
        Some(tls) => {
            let handshake = encrypt(stream, tls.load_full());
            match tokio::time::timeout(limits.request_timeout, handshake).await {
                Ok(Ok(Some(stream))) => http(stream, router, limits, stop).await,
                Ok(Ok(None)) => tracing::debug!("a client spoke HTTP in the clear on a port that speaks TLS"),
                Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                Err(_) => tracing::debug!("a TLS handshake took too long"),
            }
        }
    }
}

/// Shakes hands; `None` if the client spoke in the clear, and has been told.
async fn encrypt(
    mut stream: Stalling<TcpStream>,
    tls: Arc<rustls::ServerConfig>,
) -> io::Result<Option<TlsStream<Stalling<TcpStream>>>> {
    let mut first = [0];
    if stream.inner.peek(&mut first).await? == 1 && ellie_tls::server::is_plain_http(first[0]) {
        ellie_tls::server::refuse_plain_http(&mut stream).await;
        return Ok(None);
    }
    TlsAcceptor::from(tls).accept(stream).await.map(Some)
}

/// A peer that vanished is noticed while it is silent (keep-alive probes) and while it is written to.
fn tune(stream: &TcpStream, patience: Duration) {
    let socket = socket2::SockRef::from(stream);
    let keepalive = socket2::TcpKeepalive::new().with_time(patience).with_interval(patience / 3);
    let tuned = [
        socket.set_tcp_keepalive(&keepalive),
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(patience * 2)),
        socket.set_tcp_nodelay(true),
    ];
    for error in tuned.into_iter().filter_map(Result::err) {
        tracing::debug!(%error, "a socket option was refused");
    }
}

async fn http<S>(stream: S, router: Router, limits: &Limits, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        router.clone().oneshot(request.map(axum::body::Body::new) as Request)
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.request_timeout)
        .max_headers(limits.max_headers)
        .max_buf_size(limits.max_head.max(8 << 10))
        .half_close(false);
    let mut connection = builder.serve_connection(TokioIo::new(Unparsed::new(stream)), service);
    let stopping = pin!(stop.cancelled());
    let ended = match select(&mut connection, stopping).await {
        Either::Left((ended, _)) => ended,
        Either::Right(((), _)) => {
            Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    let timed_out = matches!(&ended, Err(error) if error.is_timeout());
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
    let parts = connection.into_parts();
    let (stream, refused) = parts.io.into_inner().into_parts();
    let error = match refused {
        // Nothing at all is a connection that idled; half a head is a request that is owed an answer.
        None if timed_out && !parts.read_buf.is_empty() => {
            let most = limits.request_timeout;
            Error::new(kind::HEAD_TIMEOUT, format!("the head did not arrive within {most:?}"))
        }
        None => return,
        Some(400) => Error::new(kind::BAD_REQUEST, "what was sent is not a request in HTTP/1.1 or HTTP/1.0"),
        Some(_) => Error::new(
            kind::HEAD_TOO_LARGE,
            format!(
                "the request's line and header fields are more than {} bytes or {} fields",
                limits.max_head, limits.max_headers
            ),
        ),
    };
    refuse(stream, &error.into_problem()).await;
}

/// Tells a problem to whoever sent what did not become a request.
async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, problem: &Problem) {
    let body = serde_json::to_string(problem).unwrap_or_default();
    let reason = StatusCode::from_u16(problem.status).ok().and_then(|s| s.canonical_reason()).unwrap_or("");
    let answer = format!(
        "HTTP/1.1 {} {reason}\r\nconnection: close\r\ncontent-type: {MEDIA_TYPE}\r\n\
         cache-control: no-store\r\nx-content-type-options: nosniff\r\ncontent-length: {}\r\n\r\n{body}",
        problem.status,
        body.len()
    );
    if stream.write_all(answer.as_bytes()).await.is_ok() && stream.shutdown().await.is_ok() {
        // Closing on what the peer still sends would be a reset, which may overtake the answer.
        let (mut rest, mut nowhere) = (stream.take(MOST_READ_AFTER), tokio::io::sink());
        let _ = tokio::time::timeout(LISTEN_AFTER, tokio::io::copy(&mut rest, &mut nowhere)).await;
    }
}

/// A stream whose writes fail when the peer takes nothing for too long.
struct Stalling<S> {
    inner: S,
    most: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncWrite + Unpin> Stalling<S> {
    fn watch<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let most = self.most;
        let stalled =
            self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + most)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing of its answer")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stalling<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stalling<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.watch(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.watch(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        self.watch(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.watch(cx, polled)
    }
}
