//! What the data plane is told once, at its start, and what of it can change while it runs.

use crate::h1::Limits;
use ellie_tls::client::Client;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Whether an address belongs to a proxy whose word about the client is believed.
pub type TrustedProxies = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// The configuration of a [`crate::Gateway`].
#[derive(Clone)]
pub struct Config {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Threads, each with its own listener, runtime and connections; 0 is one a core.
    pub threads: usize,
    /// Bounds of request and response heads.
    pub limits: Limits,
    /// Client connections at once over all threads; more wait in the kernel's queue.
    pub max_connections: usize,
    /// Idle connections kept to one instance by one thread.
    pub max_idle: usize,
    /// How requests are logged.
    pub access_log: AccessLog,
    /// What can change while it runs.
    pub live: Live,
}

/// What can change while the gateway runs; in force within a second.
#[derive(Clone)]
pub struct Live {
    /// Until a request's head has arrived whole, from its first byte.
    pub header_timeout: Duration,
    /// Until an unused client connection is closed.
    pub idle_timeout: Duration,
    /// Until a connection to an instance stands.
    pub connect_timeout: Duration,
    /// Until a body that makes no progress, in either direction, is given up.
    pub body_timeout: Duration,
    /// Until an unused connection to an instance is closed.
    pub upstream_idle_timeout: Duration,
    /// Peers whose `X-Forwarded-*` is believed.
    pub trusted: TrustedProxies,
    /// The server's side of TLS on the listener, in force for the next connection; connections that stand go on.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Whom connections to instances that speak `https` believe, and what they show of themselves.
    pub upstream_tls: Client,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            connect_timeout: Duration::from_secs(2),
            body_timeout: Duration::from_secs(60),
            upstream_idle_timeout: Duration::from_secs(30),
            trusted: Arc::new(|_| false),
            tls: None,
            upstream_tls: Client::default(),
        }
    }
}

impl Config {
    /// The defaults for a listener at `listen`.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            threads: 0,
            limits: Limits::default(),
            max_connections: 20_000,
            max_idle: 256,
            access_log: AccessLog::Off,
            live: Live::default(),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("threads", &self.threads)
            .field("max_connections", &self.max_connections)
            .field("live", &self.live)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("header_timeout", &self.header_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("body_timeout", &self.body_timeout)
            .field("upstream_idle_timeout", &self.upstream_idle_timeout)
            .finish_non_exhaustive()
    }
}

/// How requests are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    /// Not at all.
    #[default]
    Off,
    /// A line of text each.
    Text,
    /// A JSON object each.
    Json,
}
