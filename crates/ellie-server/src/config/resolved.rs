//! The configuration in force: plain data, complete and valid. Nothing below the composition root reads it whole;
//! each part is handed what it uses.

use super::origin::Effective;
use super::providers::Providers;
use ellie::ServiceDefinition;
use ellie_core::Registration;
use ellie_core::registry::Settings;
use ellie_gateway::route::RetryOn;
use ellie_policy::{balance::Strategy, breaker, threshold};
use ellie_tls::Identity;
use ellie_tls::client::Options;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Everything `ellie serve` needs to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// The file it was read from, where there was one.
    pub file: Option<PathBuf>,
    /// `[api]`
    pub api: Api,
    /// `[dashboard]`
    pub dashboard: Dashboard,
    /// `[gateway]`
    pub gateway: Gateway,
    /// `[discovery]`
    pub discovery: Discovery,
    /// `[health]`
    pub health: Health,
    /// `[load_balancing] strategy`
    pub strategy: Strategy,
    /// `[circuit_breaker]`
    pub breaker: breaker::Config,
    /// `[auth]`
    pub auth: Auth,
    /// `[tls]`
    pub tls: Option<Tls>,
    /// `[upstream_tls]`
    pub upstream_tls: UpstreamTls,
    /// `[storage]`
    pub storage: Storage,
    /// `[log]`
    pub log: Log,
    /// `[providers]`
    pub providers: Providers,
    /// ellie's own registration, from `[service]` or `SERVICE_*`.
    pub own: Option<Own>,
    /// `[[services]]`, in the file's order; names with ids are unique.
    pub services: Vec<Arc<Registration>>,
    /// `[[routes]]`, in the file's order; ids are unique.
    pub routes: Vec<Route>,
    /// `[[processes]]`, in the file's order: what `ellie up` runs.
    pub processes: Vec<ServiceDefinition>,
    /// Every value with where it comes from, in the order of the reference.
    pub effective: Vec<Effective>,
    /// What is legal but probably not meant; logged at start.
    pub warnings: Vec<String>,
}

/// `[api]`
#[derive(Clone, Debug, PartialEq)]
pub struct Api {
    /// `listen`: where the registry's API answers. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// `allowed_hosts`: host names accepted in `Host` beside the listener's own addresses and loopback names
    /// (protection from DNS rebinding); `*` accepts all.
    pub allowed_hosts: Vec<String>,
    /// `max_body`: bytes of a request body.
    pub max_body: usize,
    /// `max_connections`: connections at once; more wait in the kernel's queue.
    pub max_connections: usize,
    /// `request_timeout`: until a request has been read whole.
    pub request_timeout: Duration,
}

/// `[dashboard]`
#[derive(Clone, Debug, PartialEq)]
pub struct Dashboard {
    /// `enabled`
    pub enabled: bool,
    /// `listen`
    pub listen: SocketAddr,
}

/// How requests through the gateway are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Not at all.
    Off,
    /// One line of text a request.
    Text,
    /// One JSON object a request.
    Json,
}

impl AccessLog {
    /// The name in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// `[gateway]`
#[derive(Clone, Debug, PartialEq)]
pub struct Gateway {
    /// `listen`
    pub listen: SocketAddr,
    /// `threads`: `None` is one a core.
    pub threads: Option<usize>,
    /// `access_log`
    pub access_log: AccessLog,
    /// `trusted_proxies`: peers whose `X-Forwarded-*` is believed.
    pub trusted_proxies: Vec<Network>,
    /// `request_timeout`: the deadline of a request whose route gives none.
    pub request_timeout: Duration,
    /// `try_timeout`: the deadline of one try on one instance where the route gives none; `None` is the whole request's.
    pub try_timeout: Option<Duration>,
    /// `retries`: more tries on other instances where the route says nothing.
    pub retries: u32,
    /// `retry_on`: statuses that are tried again elsewhere where the route says nothing.
    pub retry_on: RetryOn,
    /// `max_body`: bytes of a request body where the route says nothing; `None` is any number.
    pub max_body: Option<u64>,
    /// `body_timeout`: until a body that makes no progress, in either direction, is given up.
    pub body_timeout: Duration,
    /// `rate_limit_ipv6_prefix`: how many leading bits of an IPv6 address make one client of a rate limit.
    pub rate_limit_ipv6_prefix: u8,
    /// `connect_timeout`: until a connection to an instance stands.
    pub connect_timeout: Duration,
    /// `header_timeout`: until a client's request head has arrived whole.
    pub header_timeout: Duration,
    /// `idle_timeout`: until an unused client connection is closed.
    pub idle_timeout: Duration,
    /// `upstream_idle_timeout`: until an unused connection to an instance is closed.
    pub upstream_idle_timeout: Duration,
    /// `max_connections`: client connections at once, over all threads.
    pub max_connections: usize,
    /// `max_head`: bytes of a request or response head.
    pub max_head: usize,
    /// `drain_timeout`: how long requests may finish after a stop.
    pub drain_timeout: Duration,
}

/// `[discovery]`
#[derive(Clone, Debug, PartialEq)]
pub struct Discovery {
    /// `enabled`: false runs the gateway on `[[services]]` alone; the API refuses registrations.
    pub enabled: bool,
    /// `panic_threshold`: with less than this share healthy, traffic goes to all; 0 never.
    pub panic_threshold: f64,
    /// `deregister_unhealthy_after`, `mass_expiry_*`, `max_instances`
    pub registry: Settings,
}

/// `[health]`: what an instance's own check leaves open.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// `interval`: from one probe to the next.
    pub interval: Duration,
    /// `timeout`: until a probe counts as failed.
    pub timeout: Duration,
    /// `success_threshold`, `failure_threshold`: in a row.
    pub thresholds: threshold::Config,
    /// `concurrency`: probes at once.
    pub concurrency: usize,
}

/// `[auth]`
#[derive(Clone, Debug, PartialEq)]
pub struct Auth {
    /// `operator_token` or `operator_token_file`: `None` uses the one that the data directory holds, made at first
    /// start.
    pub operator_token: Option<Secret>,
    /// `protect_reads`: reads need a token even on loopback.
    pub protect_reads: bool,
    /// `insecure`, `--insecure`: listen beyond loopback without authentication configured.
    pub insecure: bool,
}

impl Resolved {
    /// The files whose changes change the configuration: its own, and the certificates and keys that it names.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let tls = self.tls.iter().flat_map(|tls| [&tls.cert, &tls.key]);
        let upstream = &self.upstream_tls;
        let upstream = [&upstream.ca_file, &upstream.client_cert, &upstream.client_key].into_iter().flatten();
        self.file.iter().chain(tls).chain(upstream).cloned().collect()
    }
}

impl Auth {
    /// Whether a listener may be bound to `address`: to loopback always, to what others can reach only where something
    /// is said about who may do what.
    #[must_use]
    pub fn may_listen_on(&self, address: &SocketAddr) -> bool {
        let configured = self.insecure || self.protect_reads || self.operator_token.is_some();
        configured || address.ip().to_canonical().is_loopback()
    }
}

/// `[tls]`: PEM files.
#[derive(Clone, Debug, PartialEq)]
pub struct Tls {
    /// `cert`: the chain, leaf first.
    pub cert: PathBuf,
    /// `key`
    pub key: PathBuf,
    /// What they hold; `None` only where the files were not to be read ([`super::Sources::peek`]).
    pub identity: Option<Identity>,
}

/// `[upstream_tls]`: TLS from ellie to instances, of the gateway and of health checks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpstreamTls {
    /// `ca_file`: the authorities that are believed in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// `client_cert`
    pub client_cert: Option<PathBuf>,
    /// `client_key`
    pub client_key: Option<PathBuf>,
    /// What all of it comes to, the files' contents included.
    pub options: Options,
}

/// `[storage]`
#[derive(Clone, Debug, PartialEq)]
pub struct Storage {
    /// `backend`
    pub backend: Backend,
    /// `data_dir`, `--data-dir`: all state. Unused with [`Backend::Ephemeral`].
    pub data_dir: PathBuf,
}

/// Where registrations last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A database in the data directory.
    Embedded,
    /// Nowhere: nothing is written.
    Ephemeral,
}

impl Backend {
    /// The name in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Ephemeral => "ephemeral",
        }
    }
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// `level`: `error` to `trace`, or `target=level` pairs with commas.
    pub level: String,
    /// `format`
    pub format: LogFormat,
}

/// What log lines look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line, the ready line included.
    Json,
}

impl LogFormat {
    /// The name in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// ellie's own registration. Host and port are those of the API's listener where absent, known once it is bound.
#[derive(Clone, Debug, PartialEq)]
pub struct Own {
    /// `name`
    pub name: String,
    /// `id`
    pub id: Option<String>,
    /// `version`: `None` is ellie's own.
    pub version: Option<String>,
    /// `host`
    pub host: Option<String>,
    /// `port`
    pub port: Option<u16>,
    /// `tags`
    pub tags: Vec<String>,
}

impl Own {
    /// The registration, for an API bound to `api`: checked by `GET /health` there, or at `host:port` where given.
    ///
    /// # Errors
    /// The faults of the draft; parsing has checked every field but the address that was bound.
    pub fn registration(&self, api: SocketAddr) -> Result<Registration, Vec<ellie_core::Fault>> {
        let ip = match api.ip() {
            ip if !ip.is_unspecified() => ip,
            IpAddr::V4(_) => IpAddr::from([127, 0, 0, 1]),
            IpAddr::V6(_) => IpAddr::from(std::net::Ipv6Addr::LOCALHOST),
        };
        ellie_core::model::Draft {
            name: Some(self.name.clone()),
            id: self.id.clone(),
            version: Some(self.version.clone().unwrap_or_else(|| env!("CARGO_PKG_VERSION").into())),
            host: Some(self.host.clone().unwrap_or_else(|| ip.to_string())),
            port: Some(i128::from(self.port.unwrap_or(api.port()))),
            health_endpoint: Some("/health".into()),
            tags: self.tags.clone(),
            ..ellie_core::model::Draft::default()
        }
        .validate()
    }
}

/// `[[routes]]`: a route in the specification's shape. Paths, names and bounds are checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// `id`: made from method, host and path where not given.
    pub id: String,
    /// `path`: `/users` or `/users/*`.
    pub path: String,
    /// `method`: one or more, in capitals; empty is any.
    pub methods: Vec<String>,
    /// `host`: an exact host name, or `*.example.com`.
    pub host: Option<String>,
    /// `headers`: name (lower case) and the exact value, or `None` for "is there".
    pub headers: Vec<(String, Option<String>)>,
    /// `query`: name and the exact value, or `None` for "is there".
    pub query: Vec<(String, Option<String>)>,
    /// `service_name`
    pub service_name: String,
    /// `target_path`: `None` keeps the path.
    pub target_path: Option<String>,
    /// `tags`: only instances with all of them.
    pub tags: Vec<String>,
    /// `timeout`
    pub timeout: Option<Duration>,
    /// `try_timeout`: `None` is the gateway's default.
    pub try_timeout: Option<Duration>,
    /// `retries`: more tries on other instances for what may be retried; `None` is the gateway's default.
    pub retries: Option<u32>,
    /// `retry_on`: statuses that are tried again elsewhere; `None` is the gateway's default.
    pub retry_on: Option<RetryOn>,
    /// `max_body`: bytes; `None` is the gateway's default.
    pub max_body: Option<u64>,
    /// `rate_limit`
    pub rate_limit: Option<RateLimit>,
}

/// `rate_limit = { window, max, key }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// `window`
    pub window: Duration,
    /// `max`: requests in a window.
    pub max: u32,
    /// `key`
    pub key: RateKey,
}

/// Whose requests a rate limit counts together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RateKey {
    /// `client`: those of one client address.
    Client,
    /// `header:NAME`: those with the same value of this header.
    Header(String),
    /// `global`: all of the route.
    Global,
}

impl fmt::Display for RateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client => f.write_str("client"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Global => f.write_str("global"),
        }
    }
}

/// An address prefix such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its first address.
    pub address: IpAddr,
    /// How many leading bits count.
    pub prefix: u8,
}

impl Network {
    /// Whether `ip` lies in it; an IPv4 address in IPv6 clothes counts as IPv4.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let bits = |ip: IpAddr, width: u32| match ip {
            IpAddr::V4(v4) => u128::from(u32::from(v4)) << (128 - width),
            IpAddr::V6(v6) => u128::from(v6),
        };
        let (own, ip) = (self.address.to_canonical(), ip.to_canonical());
        if own.is_ipv4() != ip.is_ipv4() {
            return false;
        }
        let width = if own.is_ipv4() { 32 } else { 128 };
        let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
        bits(own, width) & mask == bits(ip, width) & mask
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// A secret: never shown, not by `Debug` either.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself, for the one place that compares or sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
