//! One probe: a target in, an answer out, within a time limit.

mod dial;
mod grpc;
mod http;
mod tcp;

use crate::target::{Target, What};
use crate::verdict::Answer;
use bytes::Bytes;
use ellie_tls::client::Client;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The most that is read of an answer's body.
pub(crate) const BODY_LIMIT: usize = 64 * 1024;
/// The most that is read of a response head.
const HEAD_LIMIT: usize = 32 * 1024;
/// Who asks.
const USER_AGENT: &str = concat!("ellie/", env!("CARGO_PKG_VERSION"), " (health check)");

/// What a probe ended with.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Something is known of the instance.
    Answer(Answer),
    /// Nothing is: ellie itself ran out of something. Not the instance's fault, so no verdict on it.
    Inconclusive(String),
}

/// A finished probe.
#[derive(Debug)]
pub(crate) struct Probed<C> {
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
    /// The connection, where it can be used again.
    pub(crate) connection: Option<C>,
    /// Whether a kept connection turned out to be closed as it was used, and a new one was tried.
    pub(crate) retried: bool,
}

/// What the checker needs of probing; a trait so that its schedule can be tested without sockets.
pub(crate) trait Probe: Send + Sync {
    /// What is kept from one probe of an instance to the next.
    type Connection: Send;

    /// Probes `target`, on `kept` if that still serves.
    fn probe(
        &self,
        target: Arc<Target>,
        kept: Option<Self::Connection>,
        limits: Limits,
    ) -> impl Future<Output = Probed<Self::Connection>> + Send;
}

/// What bounds one probe.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Until it has failed.
    pub(crate) timeout: Duration,
    /// The oldest connection that is used again.
    pub(crate) connection_age: Duration,
}

/// Why there is no answer.
#[derive(Debug)]
enum Failure {
    /// The instance's doing, or the network's.
    Remote(String),
    /// Ellie's own: no file descriptor, no local port, no memory.
    Local(String),
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Remote(text) => Self::Answer(Answer::failed(text)),
            Failure::Local(text) => Self::Inconclusive(text),
        }
    }
}

/// How far a probe has come, for the sentence of one that ran out of time.
#[derive(Debug)]
enum Phase {
    Resolving,
    Connecting(SocketAddr),
    Handshaking,
    Asked,
    Reading(usize),
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolving => f.write_str("still resolving the name"),
            Self::Connecting(address) => write!(f, "not connected to {address}"),
            Self::Handshaking => f.write_str("connected, TLS handshake unfinished"),
            Self::Asked => f.write_str("connected, no response head"),
            Self::Reading(bytes) => write!(f, "response head received, body unfinished after {bytes} bytes"),
        }
    }
}

/// A connection kept between probes.
#[derive(Debug)]
pub(crate) enum Connection {
    Http(http::Kept),
    Grpc(grpc::Client),
}

/// What a probe works with while it runs.
struct Attempt<'a> {
    target: &'a Target,
    tls: &'a Client,
    started: Instant,
    deadline: Instant,
    connection_age: Duration,
    phase: &'a mut Phase,
    retried: &'a mut bool,
}

impl Attempt<'_> {
    /// Whether a connection opened then is still to be used.
    fn is_fresh(&self, opened: Instant) -> bool {
        self.started.saturating_duration_since(opened) < self.connection_age
    }

    fn took(&self) -> Duration {
        now().saturating_duration_since(self.started)
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Probes over real sockets.
#[derive(Debug)]
pub(crate) struct Sockets {
    // Held for a clone or a swap.
    tls: Mutex<Client>,
}

impl Sockets {
    pub(crate) fn new(tls: Client) -> Self {
        Self { tls: Mutex::new(tls) }
    }

    /// Whom connections believe from now on; those that are kept stay.
    pub(crate) fn set_tls(&self, tls: Client) {
        *self.tls.lock().unwrap_or_else(PoisonError::into_inner) = tls;
    }
}

impl Probe for Sockets {
    type Connection = Connection;

    async fn probe(
        &self,
        target: Arc<Target>,
        kept: Option<Connection>,
        limits: Limits,
    ) -> Probed<Connection> {
        let started = now();
        let tls = self.tls.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (mut phase, mut retried) = (Phase::Resolving, false);
        let attempt = Attempt {
            target: &target,
            tls: &tls,
            started,
            deadline: started + limits.timeout,
            connection_age: limits.connection_age,
            phase: &mut phase,
            retried: &mut retried,
        };
        let result = tokio::time::timeout(limits.timeout, attempt.run(kept)).await;
        let took = now().saturating_duration_since(started);
        let (outcome, connection) = match result {
            Ok(Ok((answer, connection))) => (Outcome::Answer(answer), connection),
            Ok(Err(failure)) => (failure.into(), None),
            Err(_) => {
                let text =
                    format!("no answer within {:?} ({phase}) from {}", limits.timeout, target.authority);
                (Outcome::Answer(Answer::failed(text)), None)
            }
        };
        Probed { outcome, took, connection, retried }
    }
}

impl Attempt<'_> {
    async fn run(mut self, kept: Option<Connection>) -> Result<(Answer, Option<Connection>), Failure> {
        match (&self.target.what, kept) {
            (What::Unaskable(why), _) => Ok((Answer::failed(why.clone()), None)),
            (What::Connect, _) => Ok((tcp::check(&mut self).await?, None)),
            (What::Get(get), kept) => {
                let kept =
                    kept.and_then(|c| if let Connection::Http(client) = c { Some(client) } else { None });
                let (answer, client) = http::check(&mut self, get, kept).await?;
                Ok((answer, client.map(Connection::Http)))
            }
            (What::Grpc(grpc), kept) => {
                let kept =
                    kept.and_then(|c| if let Connection::Grpc(client) = c { Some(client) } else { None });
                let (answer, client) = grpc::check(&mut self, grpc, kept).await?;
                Ok((answer, client.map(Connection::Grpc)))
            }
        }
    }
}

/// A body as far as it is read: at most [`BODY_LIMIT`].
#[derive(Debug, Default)]
struct Bounded {
    bytes: Vec<u8>,
    cut: bool,
}

impl Bounded {
    /// Takes a piece; `false` once there is no room for more.
    fn push(&mut self, piece: &Bytes) -> bool {
        let room = BODY_LIMIT - self.bytes.len();
        self.bytes.extend_from_slice(&piece[..piece.len().min(room)]);
        self.cut = piece.len() > room;
        !self.cut
    }
}
