//! From the configuration to what each part is handed: nothing below reads a configuration whole.

use super::Error;
use crate::admin;
use crate::config::{self, AccessLog, Backend, RateKey, Resolved};
use arc_swap::ArcSwap;
use ellie::Settings;
use ellie_core::Fault;
use ellie_gateway::route::{Draft, RateLimitDraft, Route};
use ellie_tls::IdentityFault;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The settings of the system's parts; `tls` is the gateway's side of TLS.
pub(super) fn of(resolved: &Resolved, tls: Option<Arc<rustls::ServerConfig>>) -> Settings {
    let mut settings = Settings { registry: resolved.discovery.registry.clone(), ..Settings::default() };
    settings.health.interval = resolved.health.interval;
    settings.health.timeout = resolved.health.timeout;
    settings.health.thresholds = resolved.health.thresholds;
    settings.health.concurrency = resolved.health.concurrency;
    settings.clusters.strategy = resolved.strategy;
    settings.clusters.panic_threshold = resolved.discovery.panic_threshold;
    settings.clusters.breaker = resolved.breaker.clone();
    settings.upstream_tls = resolved.upstream_tls.options.clone();

    let from = &resolved.gateway;
    settings.routes.timeout = from.request_timeout;
    settings.routes.try_timeout = from.try_timeout;
    settings.routes.retries = from.retries;
    settings.routes.retry_on = from.retry_on;
    settings.routes.max_body = from.max_body;
    settings.routes.ipv6_prefix = from.rate_limit_ipv6_prefix;
    let gateway = &mut settings.gateway;
    gateway.listen = from.listen;
    gateway.threads = from.threads.unwrap_or(0);
    gateway.limits.head = from.max_head;
    gateway.max_connections = from.max_connections;
    gateway.access_log = match from.access_log {
        AccessLog::Off => ellie_gateway::AccessLog::Off,
        AccessLog::Text => ellie_gateway::AccessLog::Text,
        AccessLog::Json => ellie_gateway::AccessLog::Json,
    };
    gateway.live.header_timeout = from.header_timeout;
    gateway.live.idle_timeout = from.idle_timeout;
    gateway.live.body_timeout = from.body_timeout;
    gateway.live.connect_timeout = from.connect_timeout;
    gateway.live.upstream_idle_timeout = from.upstream_idle_timeout;
    let trusted = from.trusted_proxies.clone();
    gateway.live.tls = tls;
    gateway.live.trusted = Arc::new(move |ip| trusted.iter().any(|network| network.contains(ip)));
    settings
}

/// What the API is told, bound to `listen`.
pub(super) fn admin(
    resolved: &Resolved,
    listen: SocketAddr,
    dashboard: Option<SocketAddr>,
) -> admin::Settings {
    admin::Settings {
        listen,
        allowed_hosts: resolved.api.allowed_hosts.clone(),
        origins: dashboard.map(|address| origins(address, resolved.tls.is_some())).unwrap_or_default(),
        protect_reads: resolved.auth.protect_reads,
        discovery_enabled: resolved.discovery.enabled,
        store: if resolved.discovery.enabled { resolved.storage.backend } else { Backend::Ephemeral }
            .as_str(),
        max_body: resolved.api.max_body,
        request_timeout: resolved.api.request_timeout,
        panic_threshold: resolved.discovery.panic_threshold,
    }
}

/// The dashboard's pages as a browser names them.
fn origins(address: SocketAddr, tls: bool) -> Vec<String> {
    let scheme = if tls { "https" } else { "http" };
    let mut origins = vec![format!("{scheme}://{address}")];
    if address.ip().is_loopback() || address.ip().is_unspecified() {
        origins.push(format!("{scheme}://localhost:{}", address.port()));
    }
    origins
}

/// The bounds of the API's and the dashboard's listeners.
pub(super) fn admin_limits(
    resolved: &Resolved,
    tls: Option<Arc<ArcSwap<rustls::ServerConfig>>>,
) -> admin::Limits {
    admin::Limits {
        max_connections: resolved.api.max_connections,
        request_timeout: resolved.api.request_timeout,
        tls,
        ..admin::Limits::default()
    }
}

/// The listeners' side of TLS, where they speak it.
pub(super) fn tls(resolved: &Resolved) -> Result<Option<Arc<rustls::ServerConfig>>, Error> {
    let Some(tls) = &resolved.tls else { return Ok(None) };
    let unusable = |why: &dyn std::fmt::Display| Error::Configuration(format!("[tls] can't be used: {why}"));
    let identity = tls.identity.as_ref().ok_or_else(|| unusable(&"its files were not read"))?;
    ellie_tls::server::config(identity).map(Some).map_err(|fault| match fault {
        IdentityFault::Certificate(why) | IdentityFault::Key(why) => unusable(&why),
    })
}

/// The configured routes as the gateway takes them.
pub(super) fn routes(resolved: &Resolved) -> Result<Vec<Route>, Vec<Fault>> {
    let mut routes = Vec::with_capacity(resolved.routes.len());
    let mut faults = Vec::new();
    for (n, route) in resolved.routes.iter().enumerate() {
        match draft(route).validate() {
            Ok(route) => routes.push(route),
            Err(more) => {
                faults.extend(
                    more.into_iter().map(|f| Fault::new(format!("routes[{n}].{}", f.field), f.message)),
                );
            }
        }
    }
    if faults.is_empty() { Ok(routes) } else { Err(faults) }
}

fn draft(route: &config::Route) -> Draft {
    Draft {
        id: Some(route.id.clone()),
        path: Some(route.path.clone()),
        methods: route.methods.clone(),
        host: route.host.clone(),
        headers: route.headers.clone(),
        query: route.query.clone(),
        service_name: Some(route.service_name.clone()),
        target_path: route.target_path.clone(),
        tags: route.tags.clone(),
        timeout: route.timeout.map(milliseconds),
        try_timeout: route.try_timeout.map(milliseconds),
        retries: route.retries.map(i128::from),
        retry_on: route.retry_on.map(|set| set.statuses().iter().copied().map(i128::from).collect()),
        rate_limit: route.rate_limit.as_ref().map(|limit| RateLimitDraft {
            window_ms: Some(milliseconds(limit.window)),
            max: Some(i128::from(limit.max)),
            key: match &limit.key {
                RateKey::Client => None,
                key => Some(key.to_string()),
            },
        }),
        max_body: route.max_body.map(i128::from),
    }
}

/// Bounded by what a configuration may say, so far below the limit.
fn milliseconds(duration: Duration) -> i128 {
    i128::try_from(duration.as_millis()).unwrap_or(i128::MAX)
}
