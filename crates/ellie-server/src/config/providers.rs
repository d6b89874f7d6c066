//! `[providers.docker]` and `[providers.swarm]`: what else tells of services.

use super::origin::Origin;
use super::parse;
use super::raw::{Table, Value};
use super::read::{Findings, Section};
use super::resolve::under;
use ellie_core::model::excerpt;
use ellie_providers::endpoint::{Endpoint, Tls};
use ellie_providers::{Address, docker, swarm};
use std::path::Path;
use std::time::Duration;

/// `[providers]`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Providers {
    /// `[providers.docker]`, where enabled.
    pub docker: Option<Provider<docker::Settings>>,
    /// `[providers.swarm]`, where enabled.
    pub swarm: Option<Provider<swarm::Settings>>,
}

/// One provider.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider<T> {
    /// What to follow.
    pub settings: T,
    /// `max_stale`: for how long a set that can't be renewed is served; `None` is for ever.
    pub max_stale: Option<Duration>,
}

const SOCKET: &str = "unix:///var/run/docker.sock";
const SHORTEST: Duration = Duration::from_secs(1);

pub(super) fn read(layers: &[&Table], out: &mut Findings, base: Option<&Path>) -> Providers {
    let mut s = Section::of(layers, "providers", out);
    let mut docker = docker(s.below("docker"), base);
    let swarm = swarm(s.below("swarm"), base);
    s.finish();
    if let Some(docker) = &mut docker {
        // The containers of its tasks, which would be registered twice.
        docker.settings.translation.skip_swarm = swarm.is_some();
    }
    Providers { docker, swarm }
}

fn docker(mut s: Section<'_>, base: Option<&Path>) -> Option<Provider<docker::Settings>> {
    let enabled = s.get("enabled", false, parse::boolean);
    let (endpoint, tls) = daemon(&mut s, base);
    let refresh = s.get("refresh", Duration::from_secs(30), parse::duration(SHORTEST));
    let max_stale = s.get("max_stale", None, parse::duration_or_never(SHORTEST));
    let translation = docker::Translation {
        address: address(&s.get("address", "container".to_owned(), one_of(&["container", "published"]))),
        network: s.opt("network", parse::some_text),
        host: s.get("host", "127.0.0.1".to_owned(), parse::some_text),
        container_health: s.get("container_health", true, parse::boolean),
        skip_swarm: false,
    };
    s.finish();
    let settings = docker::Settings { endpoint: endpoint?, tls, refresh, translation };
    enabled.then_some(Provider { settings, max_stale })
}

fn swarm(mut s: Section<'_>, base: Option<&Path>) -> Option<Provider<swarm::Settings>> {
    let enabled = s.get("enabled", false, parse::boolean);
    let (endpoint, tls) = daemon(&mut s, base);
    let refresh = s.get("refresh", Duration::from_secs(2), parse::duration(SHORTEST));
    let max_stale = s.get("max_stale", None, parse::duration_or_never(SHORTEST));
    let address = address(&s.get("address", "task".to_owned(), one_of(&["task", "published", "vip"])));
    let network = s.opt("network", parse::some_text);
    s.finish();
    let settings = swarm::Settings { endpoint: endpoint?, tls, refresh, address, network };
    enabled.then_some(Provider { settings, max_stale })
}

fn address(text: &str) -> Address {
    match text {
        "published" => Address::Published,
        "vip" => Address::Vip,
        _ => Address::Container,
    }
}

/// Where the daemon answers, and how both prove who they are.
fn daemon(s: &mut Section<'_>, base: Option<&Path>) -> (Option<Endpoint>, Option<Tls>) {
    let endpoint = s.get("endpoint", SOCKET.to_owned(), |value| {
        let text = parse::some_text(value)?;
        match text.parse::<Endpoint>() {
            Ok(_) => Ok(text),
            Err(why) => Err(format!("`{}` can't be used: {why}", excerpt(&text))),
        }
    });
    let endpoint: Option<Endpoint> = endpoint.parse().ok();
    let mut path = |key: &'static str| {
        let text = s.opt(key, parse::some_text);
        let origin = s.origin(key);
        text.map(|text| under(base, origin.as_ref(), &text))
    };
    let (ca, cert, key) = (path("tls_ca"), path("tls_cert"), path("tls_key"));
    let is_asked = ca.is_some() || cert.is_some() || key.is_some();
    let mut fault = |at: &str, message: &str| {
        let (origin, key) = (s.origin(at).unwrap_or(Origin::Default), s.key(at));
        s.out().fault(&origin, key, message);
    };
    match (&cert, &key) {
        (Some(_), None) => fault("tls_cert", "needs tls_key beside it"),
        (None, Some(_)) => fault("tls_key", "needs tls_cert beside it"),
        _ => {}
    }
    if is_asked && matches!(endpoint, Some(Endpoint::Unix(_))) {
        let at = if ca.is_some() { "tls_ca" } else { "tls_cert" };
        fault(at, "means nothing for a socket; set endpoint to tcp://host:2376");
    }
    (endpoint, is_asked.then(|| Tls { ca, identity: cert.zip(key) }))
}

/// One of several words.
fn one_of(words: &'static [&'static str]) -> impl Fn(&Value) -> Result<String, String> {
    move |value| {
        let text = parse::some_text(value)?;
        if words.contains(&text.as_str()) {
            return Ok(text);
        }
        Err(format!("`{}` is not {}", excerpt(&text), words.join(" or ")))
    }
}
