//! Ports of a service: without a container nothing translates them.

use super::Reader;
use super::tree::{Entry, Kind, Node};
use crate::definition::{Definition, Port};
use ellie_core::model::excerpt;

/// Where a port of a process is reached, and where it would listen in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Published {
    host: Option<String>,
    published: Option<u16>,
    target: u16,
}

/// `[host:][published:]target[/protocol]`; `None` where it is no TCP port.
fn published(text: &str) -> Result<Option<Published>, String> {
    let wrong = || format!("`{}` is no port such as 8080 or 127.0.0.1:8080:80", excerpt(text));
    let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    if protocol != "tcp" {
        return Ok(None);
    }
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong);
    if numbers.contains('-') && !numbers.contains('[') {
        return Err(format!("`{}` is a range; a process has one port", excerpt(text)));
    }
    let (rest, target) = match numbers.rsplit_once(':') {
        None => return Ok(Some(Published { host: None, published: None, target: port(numbers)? })),
        Some((rest, target)) => (rest, port(target)?),
    };
    let (host, outer) = match rest.rsplit_once(':') {
        None => (None, rest),
        Some((host, outer)) => (Some(host.trim_matches(['[', ']']).to_owned()), outer),
    };
    let outer = if outer.is_empty() { None } else { Some(port(outer)?) };
    Ok(Some(Published { host, published: outer, target }))
}

impl Reader<'_> {
    /// Where it listens.
    pub(super) fn ports(&mut self, name: &str, node: &Node, d: &mut Definition) {
        let alone = std::slice::from_ref(node);
        let items = if let Kind::List(items) = &node.kind { items.as_slice() } else { alone };
        let mut found: Vec<(usize, Published)> = Vec::new();
        for item in items {
            let port = match &item.kind {
                Kind::Map(_) => self.long_port(item),
                _ => self.parsed("ports", item, published).flatten(),
            };
            found.extend(port.map(|port| (item.line, port)));
        }
        let Some((line, first)) = found.first() else { return };
        if let Some((line, _)) = found.get(1) {
            self.note(*line, format!("`{name}` is registered with its first port only"));
        }
        match first.published {
            Some(port) if port != first.target => self.note(
                *line,
                format!(
                    "`{name}` has to listen on {port}, which PORT tells it, and not on {}: nothing translates ports",
                    first.target
                ),
            ),
            _ => {}
        }
        d.port = Port::Fixed(first.published.unwrap_or(first.target));
        if let Some(host) = first.host.as_ref().filter(|host| !matches!(host.as_str(), "0.0.0.0" | "::" | ""))
        {
            d.host.clone_from(host);
        }
        if d.replicas > 1 {
            self.note(*line, format!("the replicas of `{name}` get a free port each, in PORT"));
            d.port = Port::Allot;
        }
    }

    fn long_port(&mut self, node: &Node) -> Option<Published> {
        let (mut host, mut outer, mut target, mut tcp) = (None, None, None, true);
        for Entry { key, value, line } in self.map("ports", node) {
            let port = |text: &str| match text.parse::<u16>() {
                Ok(port) if port > 0 => Ok(port),
                _ => Err(format!("`{}` is no port", excerpt(text))),
            };
            match key.as_str() {
                "target" => target = self.parsed(key, value, port),
                "published" => outer = self.parsed(key, value, port),
                "host_ip" => host = self.text(key, value).map(ToOwned::to_owned),
                "protocol" => tcp = self.text(key, value) == Some("tcp"),
                "mode" | "name" | "app_protocol" => {}
                _ => self.fault(*line, format!("`ports` has an unknown key `{}`", excerpt(key))),
            }
        }
        target.filter(|_| tcp).map(|target| Published { host, published: outer, target })
    }
}
