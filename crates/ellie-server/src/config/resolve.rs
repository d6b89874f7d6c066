//! From layers to [`Resolved`]: every key with its default, its bounds and its place in the reference.

use super::env::{self, Setting};
use super::fault::{Fault, Faults};
use super::origin::Origin;
use super::raw::{self, Table, Value};
use super::read::{Findings, Section, leftover};
use super::resolved::*;
use super::{parse, processes, providers, routes, services, tls};
use ellie_core::registry::Settings;
use ellie_gateway::route::RetryOn;
use ellie_policy::{balance::Strategy, breaker, threshold};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a configuration is made of.
pub(super) struct Input<'a> {
    /// The file's path and content.
    pub(super) file: Option<(&'a Path, &'a [u8])>,
    pub(super) env: &'a BTreeMap<String, String>,
    pub(super) flags: &'a [Setting],
    /// Reads a file that holds a secret or a certificate.
    pub(super) read: &'a dyn Fn(&Path) -> io::Result<String>,
    /// Only to look where a server would listen: what files hold that the configuration names is passed over.
    pub(super) peek: bool,
}

const SECTIONS: [&str; 17] = [
    "api",
    "dashboard",
    "gateway",
    "discovery",
    "health",
    "load_balancing",
    "circuit_breaker",
    "auth",
    "tls",
    "upstream_tls",
    "storage",
    "log",
    "providers",
    "service",
    "services",
    "routes",
    "processes",
];

const MS: Duration = Duration::from_millis(1);
const SHORTEST: Duration = Duration::from_millis(10);

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// Resolves a configuration.
pub(super) fn resolve(input: &Input<'_>) -> Result<Resolved, Faults> {
    let file = match input.file.map(|(path, content)| raw::parse(path, content)).transpose() {
        Ok(table) => table.unwrap_or_default(),
        // Keys of a file that is not TOML can't be told from mistakes: its syntax comes first.
        Err(faults) => {
            return Err(Faults::new(faults).unwrap_or_else(|| Faults::one(Origin::Default, "not TOML")));
        }
    };
    let [aliases, prefixed] = env::environment(input.env);
    let flags = env::flags(input.flags);
    let layers: [&Table; 4] = [&file, &aliases, &prefixed, &flags];
    let base = input.file.and_then(|(path, _)| path.parent());
    let mut out = Findings::default();

    let api = api(&layers, &mut out);
    let dashboard = dashboard(&layers, &mut out);
    let breaker = circuit_breaker(&layers, &mut out);
    let gateway = gateway(&layers, &mut out, breaker.timeout);
    let discovery = discovery(&layers, &mut out);
    let health = health(&layers, &mut out);
    let strategy = {
        let mut s = Section::of(&layers, "load_balancing", &mut out);
        let strategy = s.get("strategy", Strategy::HealthBased, parse::strategy);
        s.finish();
        strategy
    };
    let auth = auth(&layers, &mut out, base, input);
    let files = tls::Files { base, read: input.read, peek: input.peek };
    let tls = tls::listeners(&layers, &mut out, &files);
    let upstream_tls = tls::upstream(&layers, &mut out, &files);
    let storage = storage(&layers, &mut out, base);
    let log = log(&layers, &mut out);
    let providers = providers::read(&layers, &mut out, base);
    let own = own(&layers, &mut out);
    let services = services::read(&layers, &mut out);
    let routes = routes::read(&layers, &mut out);
    let processes = processes::read(&layers, &mut out, base);
    leftover(&layers, &SECTIONS, &mut out);

    let mut listeners = vec![("api.listen", api.listen), ("gateway.listen", gateway.listen)];
    listeners.extend(dashboard.enabled.then_some(("dashboard.listen", dashboard.listen)));
    if !input.peek {
        check_exposure(&listeners, &auth, &mut out);
    }
    // A service that could not be read would look like one that is not there.
    if !discovery.enabled && out.is_clean() {
        without_discovery(&services, &routes, own.is_some(), &mut out);
    }
    if let Some(faults) = out.finish() {
        return Err(faults);
    }
    let enabled = discovery.enabled;
    Ok(Resolved {
        file: input.file.map(|(path, _)| path.to_owned()),
        api,
        dashboard,
        gateway,
        discovery,
        health,
        strategy,
        breaker,
        auth,
        tls,
        upstream_tls,
        storage,
        log,
        own: own.filter(|_| enabled),
        providers,
        services,
        routes,
        processes,
        effective: out.effective,
        warnings: out.warnings,
    })
}

fn api(layers: &[&Table], out: &mut Findings) -> Api {
    let mut s = Section::of(layers, "api", out);
    let api = Api {
        listen: s.get("listen", loopback(5000), parse::address),
        allowed_hosts: s.get("allowed_hosts", Vec::new(), parse::list(64, parse::some_text)),
        max_body: s.get("max_body", 1 << 20, parse::size(1 << 10, 64 << 20)),
        max_connections: s.get("max_connections", 1024, parse::count(1, 1 << 20)),
        request_timeout: s.get("request_timeout", Duration::from_secs(10), parse::duration(SHORTEST)),
    };
    s.finish();
    api
}

fn dashboard(layers: &[&Table], out: &mut Findings) -> Dashboard {
    let mut s = Section::of(layers, "dashboard", out);
    let dashboard = Dashboard {
        enabled: s.get("enabled", true, parse::boolean),
        listen: s.get("listen", loopback(8080), parse::address),
    };
    s.finish();
    dashboard
}

fn gateway(layers: &[&Table], out: &mut Findings, breaker_timeout: Duration) -> Gateway {
    let mut s = Section::of(layers, "gateway", out);
    let seconds = Duration::from_secs;
    let gateway = Gateway {
        listen: s.get("listen", loopback(8000), parse::address),
        threads: s.opt("threads", parse::count(1, 1024)),
        access_log: s.get("access_log", AccessLog::Off, parse::access_log),
        trusted_proxies: s.get("trusted_proxies", Vec::new(), parse::list(256, parse::network)),
        // The breaker's `timeout` is the specification's request timeout: one is enough to say.
        request_timeout: s.get("request_timeout", breaker_timeout, parse::duration(SHORTEST)),
        try_timeout: s.opt("try_timeout", parse::duration(MS)),
        retries: s.get("retries", 2, parse::within(0, ellie_gateway::route::limits::RETRIES)),
        retry_on: s.get("retry_on", RetryOn::default(), parse::retry_on),
        max_body: s.opt("max_body", parse::size_up_to(ellie_gateway::route::limits::BODY)),
        body_timeout: s.get("body_timeout", seconds(60), parse::duration(SHORTEST)),
        rate_limit_ipv6_prefix: s.get("rate_limit_ipv6_prefix", 64, parse::within(1, 128)),
        connect_timeout: s.get("connect_timeout", seconds(5), parse::duration(SHORTEST)),
        header_timeout: s.get("header_timeout", seconds(10), parse::duration(SHORTEST)),
        idle_timeout: s.get("idle_timeout", seconds(75), parse::duration(SHORTEST)),
        upstream_idle_timeout: s.get("upstream_idle_timeout", seconds(60), parse::duration(SHORTEST)),
        max_connections: s.get("max_connections", 16_384, parse::count(1, 1 << 20)),
        max_head: s.get("max_head", 64 << 10, parse::size(1 << 10, 1 << 20)),
        drain_timeout: s.get("drain_timeout", seconds(30), parse::duration(Duration::ZERO)),
    };
    s.finish();
    gateway
}

fn discovery(layers: &[&Table], out: &mut Findings) -> Discovery {
    let mut s = Section::of(layers, "discovery", out);
    let d = Settings::default();
    let discovery = Discovery {
        enabled: s.get("enabled", true, parse::boolean),
        panic_threshold: s.get("panic_threshold", 0.0, parse::share),
        registry: Settings {
            deregister_unhealthy_after: s.get(
                "deregister_unhealthy_after",
                d.deregister_unhealthy_after,
                parse::duration_or_never(SHORTEST),
            ),
            mass_expiry_share: s.get("mass_expiry_share", d.mass_expiry_share, parse::share),
            mass_expiry_minimum: s.get(
                "mass_expiry_minimum",
                d.mass_expiry_minimum,
                parse::count(1, 1 << 24),
            ),
            mass_expiry_interval: s.get(
                "mass_expiry_interval",
                d.mass_expiry_interval,
                parse::duration(SHORTEST),
            ),
            mass_expiry_pause: s.get("mass_expiry_pause", d.mass_expiry_pause, parse::duration(SHORTEST)),
            max_instances: s.get("max_instances", d.max_instances, parse::count(1, 10_000_000)),
        },
    };
    s.finish();
    discovery
}

fn health(layers: &[&Table], out: &mut Findings) -> Health {
    let mut s = Section::of(layers, "health", out);
    let d = threshold::Config::default();
    let interval = s.get("interval", Duration::from_secs(30), parse::duration(SHORTEST));
    let health = Health {
        interval,
        // A probe that may outlast the interval would never be late.
        timeout: s.get("timeout", Duration::from_secs(5).min(interval), parse::duration(SHORTEST)),
        thresholds: threshold::Config {
            success: s.get("success_threshold", d.success, parse::within(1, 1000)),
            failure: s.get("failure_threshold", d.failure, parse::within(1, 1000)),
        },
        concurrency: s.get("concurrency", 256, parse::count(1, 65_536)),
    };
    s.finish();
    health
}

fn circuit_breaker(layers: &[&Table], out: &mut Findings) -> breaker::Config {
    let mut s = Section::of(layers, "circuit_breaker", out);
    let d = breaker::Config::default();
    let recovery_timeout = s.get("recovery_timeout", d.recovery_timeout, parse::duration(MS));
    let config = breaker::Config {
        failure_threshold: s.get("failure_threshold", d.failure_threshold, parse::within(1, 1_000_000)),
        recovery_timeout,
        success_threshold: s.get("success_threshold", d.success_threshold, parse::within(1, 1024)),
        timeout: s.get("timeout", d.timeout, parse::duration(MS)),
        monitoring_period: s.get("monitoring_period", d.monitoring_period, parse::duration(MS)),
        minimum_failure_rate: s.get("minimum_failure_rate", d.minimum_failure_rate, parse::share),
        max_recovery_timeout: s.get(
            "max_recovery_timeout",
            d.max_recovery_timeout.max(recovery_timeout),
            parse::duration(MS),
        ),
    };
    if s.out().is_clean() {
        for fault in config.validate().err().unwrap_or_default() {
            let key = s.key(fault.field);
            let origin = s.out().origin_of(&key);
            s.out().fault(&origin, key, fault.message);
        }
    }
    s.finish();
    config
}

pub(super) fn under(base: Option<&Path>, origin: Option<&Origin>, path: &str) -> PathBuf {
    match (base, origin) {
        // What a file says is meant from where the file is, wherever ellie is started.
        (Some(base), Some(Origin::File { .. })) => base.join(path),
        _ => path.into(),
    }
}

fn auth(layers: &[&Table], out: &mut Findings, base: Option<&Path>, input: &Input<'_>) -> Auth {
    let mut s = Section::of(layers, "auth", out);
    let in_token = |value: &Value| {
        let text = parse::any_text(value)?;
        check_token(text.trim_end_matches(['\r', '\n'])).map(Secret::new)
    };
    let token = s.opt("operator_token", in_token);
    let file = s.opt("operator_token_file", parse::some_text);
    let auth = Auth {
        operator_token: secret(&mut s, token, file, base, input),
        protect_reads: s.get("protect_reads", false, parse::boolean),
        insecure: s.get("insecure", false, parse::boolean),
    };
    s.finish();
    if auth.operator_token.as_ref().is_some_and(|token| token.expose().len() < 16) {
        out.warnings.push("auth.operator_token is shorter than 16 characters: it can be guessed".into());
    }
    auth
}

/// Of a secret and a file that holds it, the one set in the higher layer holds.
fn secret(
    s: &mut Section<'_>,
    token: Option<Secret>,
    file: Option<String>,
    base: Option<&Path>,
    input: &Input<'_>,
) -> Option<Secret> {
    let origin = s.origin("operator_token_file");
    let Some((file, origin)) = file.zip(origin) else { return token };
    let key = s.key("operator_token_file");
    match (s.layer("operator_token"), s.layer("operator_token_file")) {
        (token_layer, file_layer) if token_layer > file_layer => return token,
        (token_layer, file_layer) if token_layer == file_layer => {
            s.out().fault(&origin, key, "operator_token is set as well; one of the two is enough");
            return token;
        }
        _ => {}
    }
    let path = under(base, Some(&origin), &file);
    let content = (input.read)(&path).map_err(|error| format!("`{}` can't be read: {error}", path.display()));
    let checked = content.and_then(|content| {
        check_token(content.trim()).map_err(|message| format!("`{}` {message}", path.display()))
    });
    match checked {
        Ok(token) => Some(Secret::new(token)),
        Err(_) if input.peek => None,
        Err(message) => {
            s.out().fault(&origin, key, message);
            None
        }
    }
}

/// A bearer token has to fit into a header.
fn check_token(text: &str) -> Result<String, String> {
    match text {
        "" => Err("is empty".into()),
        text if text.len() > 1024 => Err(format!("is {} bytes long; at most 1024 are allowed", text.len())),
        text if !text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err("has a space or a character that is not ASCII".into())
        }
        text => Ok(text.into()),
    }
}

fn storage(layers: &[&Table], out: &mut Findings, base: Option<&Path>) -> Storage {
    let mut s = Section::of(layers, "storage", out);
    let backend = s.get("backend", Backend::Embedded, parse::backend);
    let data_dir = s.get("data_dir", "./ellie-data".to_owned(), parse::some_text);
    let origin = s.origin("data_dir");
    s.finish();
    Storage { backend, data_dir: under(base, origin.as_ref(), &data_dir) }
}

fn log(layers: &[&Table], out: &mut Findings) -> Log {
    let mut s = Section::of(layers, "log", out);
    let log = Log {
        level: s.get("level", "info".to_owned(), parse::log_level),
        format: s.get("format", LogFormat::Text, parse::log_format),
    };
    s.finish();
    log
}

fn own(layers: &[&Table], out: &mut Findings) -> Option<Own> {
    let mut s = Section::of(layers, "service", out);
    let own = Own {
        name: String::new(),
        id: s.opt("id", parse::some_text),
        version: s.opt("version", parse::some_text),
        host: s.opt("host", parse::some_text),
        port: s.opt("port", parse::within(1, u16::MAX)),
        tags: s.get("tags", Vec::new(), parse::list(64, parse::some_text)),
    };
    let Some(name) = s.opt("name", parse::some_text) else {
        let lonely = ["id", "version", "host", "port", "tags"].iter().filter_map(|key| s.origin(key)).next();
        s.finish();
        if let Some(origin) = lonely {
            // Not a fault: SERVICE_PORT and its like are common names that may be meant for somebody else.
            out.warnings
                .push(format!("{origin} is ignored: ellie registers itself only where SERVICE_NAME is set"));
        }
        return None;
    };
    let own = Own { name, ..own };
    // The address that will be bound is not known yet; everything else is checked now.
    for fault in own.registration(loopback(5000)).err().unwrap_or_default() {
        let field = fault.field.split(['[', '.']).next().unwrap_or_default();
        let (origin, key) = (s.origin(field).unwrap_or(Origin::Default), s.key(&fault.field));
        s.out().fault(&origin, key, fault.message);
    }
    s.finish();
    Some(own)
}

/// Refuses to be reachable from elsewhere with nothing said about who may.
fn check_exposure(listeners: &[(&str, SocketAddr)], auth: &Auth, out: &mut Findings) {
    for (key, address) in listeners.iter().filter(|(_, address)| !auth.may_listen_on(address)) {
        let origin = out.origin_of(key);
        out.fault(
            &origin,
            *key,
            format!(
                "{address} can be reached from other machines and no authentication is configured; set \
                 auth.operator_token_file (or ELLIE_AUTH__OPERATOR_TOKEN), or auth.protect_reads = true to rely on \
                 the token in the data directory; --insecure starts all the same"
            ),
        );
    }
}

fn without_discovery(services: &services::Services, routes: &[Route], own: bool, out: &mut Findings) {
    let off = out.origin_of("discovery.enabled");
    for route in routes.iter().filter(|r| !services.iter().any(|s| s.name.as_str() == r.service_name)) {
        out.extend(vec![Fault {
            origin: off.clone(),
            key: "discovery.enabled".into(),
            message: format!(
                "is false, so [[services]] are all there is, and none of them is `{}`, which route `{}` leads to",
                route.service_name, route.id
            ),
        }]);
    }
    if own {
        out.warnings.push("service.name is ignored: discovery is disabled".into());
    }
}
