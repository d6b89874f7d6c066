//! The demo's clients: a steady stream of requests through the gateway.

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// What the clients saw, by kind of answer.
#[derive(Debug, Default)]
pub(super) struct Seen {
    ok: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
    broken: AtomicU64,
}

/// The counts of [`Seen`] at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// 2xx.
    pub(super) ok: u64,
    /// 5xx of a service.
    pub(super) failed: u64,
    /// 503 and 429 of the gateway itself.
    pub(super) refused: u64,
    /// No answer at all.
    pub(super) broken: u64,
}

impl Seen {
    pub(super) fn counts(&self) -> Counts {
        Counts {
            ok: self.ok.load(Relaxed),
            failed: self.failed.load(Relaxed),
            refused: self.refused.load(Relaxed),
            broken: self.broken.load(Relaxed),
        }
    }

    fn count(&self, status: u16) {
        let slot = match status {
            200..=299 => &self.ok,
            429 | 503 => &self.refused,
            _ => &self.failed,
        };
        slot.fetch_add(1, Relaxed);
    }
}

/// Clients per path.
const CLIENTS: usize = 4;
/// From one request of a client to its next.
const PACE: Duration = Duration::from_millis(50);

/// Starts clients for each path; they end with `stop`.
pub(super) fn start(
    gateway: SocketAddr,
    paths: &'static [&'static str],
    stop: &CancellationToken,
) -> Arc<Seen> {
    let seen = Arc::new(Seen::default());
    for path in paths {
        for _ in 0..CLIENTS {
            let (seen, stop) = (seen.clone(), stop.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = client(gateway, path, &seen) => {}
                }
            });
        }
    }
    seen
}

async fn client(gateway: SocketAddr, path: &str, seen: &Seen) {
    let mut tick = tokio::time::interval(PACE);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut connection = None;
    loop {
        tick.tick().await;
        match request(gateway, path, &mut connection).await {
            Ok(status) => seen.count(status),
            Err(_) => {
                connection = None;
                seen.broken.fetch_add(1, Relaxed);
            }
        }
    }
}

type Connection = SendRequest<Empty<Bytes>>;

async fn request(
    gateway: SocketAddr,
    path: &str,
    kept: &mut Option<Connection>,
) -> Result<u16, Box<dyn std::error::Error + Send + Sync>> {
    let sender = match kept {
        Some(sender) if !sender.is_closed() => sender,
        _ => {
            let stream = TcpStream::connect(gateway).await?;
            let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(async move {
                // What went wrong reaches the sender too.
                let _ = connection.await;
            });
            kept.insert(sender)
        }
    };
    sender.ready().await?;
    let request = Request::get(path).header("host", "demo.localhost").body(Empty::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    response.into_body().collect().await?;
    Ok(status)
}
