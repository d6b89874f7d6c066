//! From what `docker inspect` says of a container to an offer. Pure.

use crate::labels::{self, Address, Labels};
use crate::{Note, Severity};
use bollard::models::{
    ContainerInspectResponse, ContainerState, EndpointSettings, HealthStatusEnum, PortBinding,
};
use ellie_core::Fault;
use ellie_core::model::{Offer, excerpt, limits};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// How containers become instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Which address is registered, where a container's `ellie.address` says nothing.
    pub address: Address,
    /// The network whose address is registered, where `ellie.network` says nothing. A name that compose has put its
    /// project's name before counts too.
    pub network: Option<String>,
    /// The address at which ports published on all of the host's addresses, and containers on the host's network, are
    /// reached.
    pub host: String,
    /// Whether a container gets no traffic while the HEALTHCHECK of its image says `starting` or `unhealthy`.
    pub container_health: bool,
    /// Whether containers of Swarm's tasks are left to the provider of Swarm.
    pub skip_swarm: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: Address::Container,
            network: None,
            host: "127.0.0.1".into(),
            container_health: true,
            skip_swarm: false,
        }
    }
}

/// What a container is to the registry.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Nobody wants it registered, or it does not run.
    Ignored,
    /// It is registered; there may be something to say about it.
    Offered(Offer, Vec<Note>),
    /// It is not registered, and why.
    Noted(Vec<Note>),
}

/// The label by which Swarm marks its containers.
const SWARM: &str = "com.docker.swarm.task.id";

/// How long an id is shown: as long as `docker ps` does.
pub(super) const SHORT: usize = 12;

pub(super) fn short(id: &str) -> &str {
    id.get(..SHORT).unwrap_or(id)
}

/// Judges one container. `own_networks` are the ids of the networks that ellie itself is on.
#[must_use]
pub fn translate(
    container: &ContainerInspectResponse,
    settings: &Settings,
    own_networks: &BTreeSet<String>,
) -> Verdict {
    let config = container.config.as_ref();
    let empty = HashMap::new();
    let all = config.and_then(|c| c.labels.as_ref()).unwrap_or(&empty);
    let Some(facts) = Facts::of(container, settings, own_networks, all) else { return Verdict::Ignored };
    let mut labels = labels::read(all);
    if !labels.is_wanted() {
        return Verdict::Ignored;
    }
    let state = container.state.clone().unwrap_or_default();
    if !state.running.unwrap_or(false) || state.dead.unwrap_or(false) {
        return Verdict::Ignored;
    }
    let name = labels.draft.name.get_or_insert_with(|| facts.implied_name());
    let note = Noting { subject: facts.name.to_owned(), id: facts.id.to_owned(), service: name.clone() };
    if state.paused.unwrap_or(false) || state.restarting.unwrap_or(false) {
        let how = if state.paused.unwrap_or(false) { "paused" } else { "restarting" };
        return Verdict::Noted(vec![note.of(Severity::Absent, format!("the container is {how}"))]);
    }
    let mut warnings: Vec<Note> =
        labels::unknown(&labels.unknown).map(|what| note.of(Severity::Warning, what)).into_iter().collect();
    let mut faults = std::mem::take(&mut labels.faults);
    match facts.endpoint(&labels) {
        Ok((host, port, doubts)) => {
            labels.draft.host = Some(host);
            labels.draft.port = Some(port);
            warnings.extend(doubts.into_iter().map(|doubt| note.of(Severity::Warning, doubt)));
        }
        Err(fault) => {
            // So that what else is wrong is told too.
            labels.draft.host = Some("0.0.0.0".into());
            labels.draft.port = Some(1);
            faults.push(fault);
        }
    }
    facts.describe(&mut labels, all);
    let registration = match labels.draft.validate() {
        Ok(registration) if faults.is_empty() => registration,
        validated => {
            faults.extend(validated.err().unwrap_or_default());
            let fault = |f: Fault| note.of(Severity::Fault, f.to_string());
            return Verdict::Noted(faults.into_iter().map(fault).chain(warnings).collect());
        }
    };
    let withheld = settings.container_health.then(|| withheld(&state)).flatten();
    Verdict::Offered(Offer { registration: Arc::new(registration), withheld }, warnings)
}

struct Noting {
    subject: String,
    id: String,
    service: String,
}

impl Noting {
    fn of(&self, severity: Severity, message: String) -> Note {
        let (subject, id, service) = (self.subject.clone(), self.id.clone(), Some(self.service.clone()));
        Note { severity, subject, id, service, message }
    }
}

/// What an image's own HEALTHCHECK has against traffic.
fn withheld(state: &ContainerState) -> Option<String> {
    let health = state.health.as_ref()?;
    match health.status? {
        HealthStatusEnum::STARTING => Some("its HEALTHCHECK has not passed yet".into()),
        HealthStatusEnum::UNHEALTHY => {
            let last = health.log.as_ref().and_then(|log| log.last());
            let output = last.and_then(|result| result.output.as_deref()).unwrap_or_default().trim();
            let said = if output.is_empty() { String::new() } else { format!(": {}", excerpt(output)) };
            Some(format!("its HEALTHCHECK says unhealthy{said}"))
        }
        _ => None,
    }
}

struct Facts<'a> {
    id: &'a str,
    name: &'a str,
    image: &'a str,
    mode: &'a str,
    /// By name, so that the first one is always the same.
    networks: BTreeMap<&'a str, &'a EndpointSettings>,
    /// TCP ports that the image or the command line exposes, with where they are published.
    ports: BTreeMap<u16, &'a [PortBinding]>,
    labels: &'a HashMap<String, String>,
    settings: &'a Settings,
    own_networks: &'a BTreeSet<String>,
}

impl<'a> Facts<'a> {
    fn of(
        container: &'a ContainerInspectResponse,
        settings: &'a Settings,
        own_networks: &'a BTreeSet<String>,
        labels: &'a HashMap<String, String>,
    ) -> Option<Self> {
        if settings.skip_swarm && labels.contains_key(SWARM) {
            return None;
        }
        let config = container.config.as_ref();
        let network = container.network_settings.as_ref();
        let mut ports = BTreeMap::new();
        for port in config.and_then(|c| c.exposed_ports.as_ref()).into_iter().flatten() {
            if let Some(port) = tcp(port) {
                ports.insert(port, &[][..]);
            }
        }
        for (port, bindings) in network.and_then(|n| n.ports.as_ref()).into_iter().flatten() {
            if let Some(port) = tcp(port) {
                ports.insert(port, bindings.as_deref().unwrap_or_default());
            }
        }
        let networks = network.and_then(|n| n.networks.as_ref()).into_iter().flatten();
        Some(Self {
            id: short(container.id.as_deref()?),
            name: container.name.as_deref().unwrap_or_default().trim_start_matches('/'),
            image: config.and_then(|c| c.image.as_deref()).unwrap_or_default(),
            mode: container.host_config.as_ref().and_then(|h| h.network_mode.as_deref()).unwrap_or_default(),
            networks: networks.map(|(name, settings)| (name.as_str(), settings)).collect(),
            ports,
            labels,
            settings,
            own_networks,
        })
    }

    /// The service of a container that is wanted but says no name.
    fn implied_name(&self) -> String {
        let by_label = |key: &str| self.labels.get(key).cloned();
        by_label("com.docker.compose.service")
            .or_else(|| by_label("com.docker.swarm.service.name"))
            .unwrap_or_else(|| self.name.to_owned())
    }

    /// What is not said but known.
    fn describe(&self, labels: &mut Labels, all: &HashMap<String, String>) {
        let draft = &mut labels.draft;
        draft.id.get_or_insert_with(|| self.id.to_owned());
        if draft.version.is_none() {
            draft.version = all.get("org.opencontainers.image.version").filter(|v| !v.is_empty()).cloned();
        }
        for (key, value) in [("docker.container", self.name), ("docker.image", self.image)] {
            if draft.metadata.len() < limits::METADATA && !value.is_empty() {
                draft.metadata.entry(key.into()).or_insert_with(|| value.to_owned());
            }
        }
    }

    /// Host and port, and what about them was a guess.
    fn endpoint(&self, labels: &Labels) -> Result<(String, i128, Vec<String>), Fault> {
        let mut doubts = Vec::new();
        let port = self.port(labels, &mut doubts)?;
        if self.mode == "host" {
            return Ok((self.settings.host.clone(), port, doubts));
        }
        match labels.address.unwrap_or(self.settings.address) {
            Address::Published => {
                let (host, port) = self.published(port)?;
                Ok((host, port, doubts))
            }
            Address::Container => {
                let host = self.own_address(labels, &mut doubts)?;
                Ok((host, port, doubts))
            }
            Address::Vip => {
                let message = "a container has no virtual address, only a service of Swarm has";
                Err(Fault::new("ellie.address", message))
            }
        }
    }

    fn port(&self, labels: &Labels, doubts: &mut Vec<String>) -> Result<i128, Fault> {
        if let Some(port) = labels.draft.port {
            return Ok(port);
        }
        let Some(lowest) = self.ports.keys().next() else {
            let message = "the container exposes no TCP port; say which by the label `service.port`";
            return Err(Fault::new("service.port", message));
        };
        if self.ports.len() > 1 {
            let all: Vec<String> = self.ports.keys().map(ToString::to_string).collect();
            let all = all.join(", ");
            doubts.push(format!("exposes the ports {all}; {lowest} is taken: say which by `service.port`"));
        }
        Ok(i128::from(*lowest))
    }

    /// Where the container's `port` is published on the host.
    fn published(&self, port: i128) -> Result<(String, i128), Fault> {
        let bindings = u16::try_from(port).ok().and_then(|port| self.ports.get(&port)).copied();
        let any = |host: &str| matches!(host, "" | "0.0.0.0" | "::");
        let mut found: Vec<(String, i128)> = bindings
            .into_iter()
            .flatten()
            .filter_map(|b| {
                let host = b.host_ip.as_deref().unwrap_or_default();
                let host = if any(host) { &self.settings.host } else { host };
                Some((host.to_owned(), i128::from(b.host_port.as_deref()?.parse::<u16>().ok()?)))
            })
            .collect();
        // IPv4 before IPv6, then a fixed order.
        found.sort_by(|a, b| (a.0.contains(':'), a).cmp(&(b.0.contains(':'), b)));
        found.into_iter().next().ok_or_else(|| {
            let message = format!("port {port} of the container is not published on the host (`-p`)");
            Fault::new("service.port", message)
        })
    }

    /// The container's address: on the network asked for, else on one that ellie is on too, else on the first by name.
    fn own_address(&self, labels: &Labels, doubts: &mut Vec<String>) -> Result<String, Fault> {
        let with_address: BTreeMap<&str, &str> =
            self.networks.iter().filter_map(|(name, n)| Some((*name, address(n)?))).collect();
        let asked = labels.network.as_deref().or(self.settings.network.as_deref());
        if let Some(asked) = asked {
            let composed = format!("_{asked}");
            let found = with_address.get(asked).or_else(|| {
                with_address.iter().find(|(name, _)| name.ends_with(&composed)).map(|(_, address)| address)
            });
            return found.map(|address| (*address).to_owned()).ok_or_else(|| {
                let on: Vec<&str> = self.networks.keys().copied().collect();
                let on = if on.is_empty() { "none".to_owned() } else { on.join(", ") };
                let message =
                    format!("the container is not on the network `{}`; it is on {on}", excerpt(asked));
                Fault::new("ellie.network", message)
            });
        }
        let shared = self.networks.iter().find(|(name, n)| {
            let id = n.network_id.as_deref().unwrap_or_default();
            with_address.contains_key(*name) && self.own_networks.contains(id)
        });
        if let Some(address) = shared.and_then(|(name, _)| with_address.get(name)) {
            return Ok((*address).to_owned());
        }
        let Some((first, address)) = with_address.iter().next() else {
            let message = match self.mode.strip_prefix("container:") {
                Some(other) => format!(
                    "the container uses the network of container {}: put the labels there, or register the published port",
                    short(other)
                ),
                None => "the container has no address: it is on no network".to_owned(),
            };
            return Err(Fault::new("host", message));
        };
        if !self.own_networks.is_empty() {
            doubts.push(format!("shares no network with ellie; its address on `{first}` is taken"));
        } else if with_address.len() > 1 {
            let all: Vec<&str> = with_address.keys().copied().collect();
            let all = all.join(", ");
            doubts
                .push(format!("is on the networks {all}; `{first}` is taken: say which by `ellie.network`"));
        }
        Ok((*address).to_owned())
    }
}

/// `8080/tcp`
fn tcp(port: &str) -> Option<u16> {
    let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
    number.parse().ok().filter(|_| protocol == "tcp")
}

fn address(network: &EndpointSettings) -> Option<&str> {
    let v4 = network.ip_address.as_deref().filter(|address| !address.is_empty());
    v4.or_else(|| network.global_ipv6_address.as_deref().filter(|address| !address.is_empty()))
}

#[cfg(test)]
mod tests;
