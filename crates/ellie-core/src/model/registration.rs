//! A validated registration: what a service says of itself.

use super::{CheckKind, Fault, HealthCheck, InstanceId, ServiceName, excerpt};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What an instance speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1 in the clear.
    Http,
    /// HTTP over TLS.
    Https,
    /// gRPC: HTTP/2 in the clear.
    Grpc,
    /// Bytes.
    Tcp,
}

impl Protocol {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Grpc => "grpc",
            Self::Tcp => "tcp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Protocol {
    type Err = Fault;

    fn from_str(s: &str) -> Result<Self, Fault> {
        Ok(match s {
            "http" => Self::Http,
            "https" => Self::Https,
            "grpc" => Self::Grpc,
            "tcp" => Self::Tcp,
            _ => {
                return Err(Fault::new(
                    "protocol",
                    format!("`{}` is not http, https, grpc or tcp", excerpt(s)),
                ));
            }
        })
    }
}

/// What a service says of one of its instances. Made by [`super::Draft::validate`]; immutable afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The service.
    pub name: ServiceName,
    /// The instance, unique in the service.
    pub id: InstanceId,
    /// Free text, shown and matched, never compared as a number.
    pub version: String,
    /// A host name or an address, without brackets.
    pub host: String,
    /// 1 to 65535.
    pub port: u16,
    /// What it speaks.
    pub protocol: Protocol,
    /// The path of its health endpoint, where it told one.
    pub health_endpoint: Option<String>,
    /// Without duplicates, in the order given.
    pub tags: Vec<String>,
    /// Names of services it needs, without duplicates, in the order given.
    pub dependencies: Vec<String>,
    /// Free key-value pairs.
    pub metadata: BTreeMap<String, String>,
    /// Its share beside others; 0 gets nothing while another has more.
    pub weight: u32,
    /// The lease: removed when not renewed for this long.
    pub ttl: Option<Duration>,
    /// Where it runs, for locality.
    pub zone: Option<String>,
    /// How its health is found out.
    pub check: HealthCheck,
}

impl Registration {
    /// `host:port`, an IPv6 address in brackets.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Whether it has every one of `tags`.
    pub fn has_tags<S: AsRef<str>>(&self, tags: &[S]) -> bool {
        tags.iter().all(|t| self.tags.iter().any(|own| own == t.as_ref()))
    }

    /// The path of an HTTP check.
    #[must_use]
    pub fn check_path(&self) -> &str {
        self.check.path.as_deref().or(self.health_endpoint.as_deref()).unwrap_or("/health")
    }

    /// Whether the same process could be behind both: anything else is a new incarnation with fresh live state.
    #[must_use]
    pub fn same_endpoint(&self, other: &Self) -> bool {
        self.host == other.host
            && self.port == other.port
            && self.protocol == other.protocol
            && self.version == other.version
    }

    /// What a new instance's reason is until something is known of it, or `None` where nothing is ever checked.
    #[must_use]
    pub fn initial_reason(&self) -> Option<&'static str> {
        match self.check.kind {
            CheckKind::None => None,
            CheckKind::Ttl => Some("awaiting first heartbeat"),
            _ => Some("awaiting first check"),
        }
    }
}
