//! What a health check is and what it reported.

use super::{Fault, Status, excerpt};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

/// How an instance's health is found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CheckKind {
    /// GET of a path over HTTP or HTTPS, as the instance's protocol says.
    Http,
    /// A TCP connection is accepted.
    Tcp,
    /// `grpc.health.v1.Health/Check`.
    Grpc,
    /// The instance reports by itself with heartbeats.
    Ttl,
    /// Never checked: healthy as long as it is registered.
    None,
}

impl CheckKind {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Grpc => "grpc",
            Self::Ttl => "ttl",
            Self::None => "none",
        }
    }

    /// Whether ellie sends something: `ttl` and `none` are passive.
    #[must_use]
    pub fn is_active(self) -> bool {
        matches!(self, Self::Http | Self::Tcp | Self::Grpc)
    }
}

impl fmt::Display for CheckKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CheckKind {
    type Err = Fault;

    fn from_str(s: &str) -> Result<Self, Fault> {
        Ok(match s {
            "http" | "https" => Self::Http,
            "tcp" => Self::Tcp,
            "grpc" => Self::Grpc,
            "ttl" => Self::Ttl,
            "none" => Self::None,
            _ => {
                return Err(Fault::new(
                    "healthCheck.type",
                    format!("`{}` is not http, tcp, grpc, ttl or none", excerpt(s)),
                ));
            }
        })
    }
}

/// One instance's check; what is `None` follows the configuration's defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is sent.
    pub kind: CheckKind,
    /// The path of an HTTP check, the service's name of a gRPC one.
    pub path: Option<String>,
    /// From one probe to the next.
    pub interval: Option<Duration>,
    /// Until a probe counts as failed.
    pub timeout: Option<Duration>,
    /// Successes in a row that make it healthy.
    pub success_threshold: Option<u32>,
    /// Failures in a row that make it unhealthy.
    pub failure_threshold: Option<u32>,
}

/// The memory part of the specification's health response.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Memory {
    /// In use, in the unit the service reports.
    pub used: f64,
    /// In all, in the same unit.
    pub total: f64,
    /// Used of total, 0 to 100.
    pub percentage: f64,
}

/// What a check's body told, where it is in the specification's health response format.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HealthBody {
    /// `status`, where it is one of the three.
    pub status: Option<Status>,
    /// Seconds since the service started.
    pub uptime: Option<f64>,
    /// The version that answered.
    pub version: Option<String>,
    /// Its memory.
    pub memory: Option<Memory>,
    /// Its dependencies and whether each is reachable; at most 64 are kept.
    pub dependencies: BTreeMap<String, bool>,
}

/// One probe's result.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckReport {
    /// When it ended.
    pub at: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// What this probe alone says, before thresholds.
    pub verdict: Status,
    /// A sentence for people: `HTTP 503`, `connection refused (127.0.0.1:3001)`, `no answer within 5s`.
    pub output: String,
    /// The HTTP or gRPC status code, where there was an answer.
    pub code: Option<u16>,
    /// The body, where it was understood.
    pub body: Option<HealthBody>,
}
