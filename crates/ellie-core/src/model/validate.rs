//! From what was typed to a [`Registration`], reporting every fault at once.

use super::name::RESERVED_NAMES;
use super::{CheckKind, Fault, HealthCheck, InstanceId, Protocol, Registration, ServiceName, excerpt};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The bounds of a registration. They are generous for people and small enough that 100,000 instances stay in memory.
pub mod limits {
    use std::time::Duration;
    /// Tags of one instance.
    pub const TAGS: usize = 64;
    /// Bytes of a tag.
    pub const TAG: usize = 256;
    /// Dependencies of one instance.
    pub const DEPENDENCIES: usize = 64;
    /// Metadata pairs of one instance.
    pub const METADATA: usize = 64;
    /// Bytes of a metadata key.
    pub const METADATA_KEY: usize = 128;
    /// Bytes of a metadata value.
    pub const METADATA_VALUE: usize = 1024;
    /// Bytes of a version or a zone.
    pub const TEXT: usize = 128;
    /// Bytes of a host name (RFC 1035).
    pub const HOST: usize = 253;
    /// Bytes of a path.
    pub const PATH: usize = 1024;
    /// The largest weight.
    pub const WEIGHT: i64 = 65_535;
    /// The longest duration that can be configured.
    pub const DURATION: Duration = Duration::from_secs(366 * 24 * 3600);
    /// The shortest interval, timeout or lease.
    pub const SHORTEST: Duration = Duration::from_millis(10);
}

/// A health check as typed. Durations are integer milliseconds, wide enough that an absurd value is refused, not wrapped.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CheckDraft {
    /// `http`, `tcp`, `grpc`, `ttl` or `none`.
    pub kind: Option<String>,
    /// Path or gRPC service name.
    pub path: Option<String>,
    /// Milliseconds.
    pub interval: Option<i128>,
    /// Milliseconds.
    pub timeout: Option<i128>,
    /// Count.
    pub success_threshold: Option<i128>,
    /// Count.
    pub failure_threshold: Option<i128>,
}

/// A registration as typed, in whatever format it came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Draft {
    /// Required.
    pub name: Option<String>,
    /// Made from the endpoint where absent.
    pub id: Option<String>,
    /// Default `0.0.0`.
    pub version: Option<String>,
    /// Required.
    pub host: Option<String>,
    /// Required.
    pub port: Option<i128>,
    /// Default `http`.
    pub protocol: Option<String>,
    /// A path.
    pub health_endpoint: Option<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// Service names.
    pub dependencies: Vec<String>,
    /// Pairs.
    pub metadata: BTreeMap<String, String>,
    /// Default 1.
    pub weight: Option<i128>,
    /// Milliseconds.
    pub ttl: Option<i128>,
    /// Where it runs.
    pub zone: Option<String>,
    /// How it is checked.
    pub check: Option<CheckDraft>,
}

/// Collects faults and lets validation go on.
struct Faults(Vec<Fault>);

impl Faults {
    fn take<T>(&mut self, result: Result<T, Fault>) -> Option<T> {
        result.map_err(|fault| self.0.push(fault)).ok()
    }

    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Fault::new(field, message));
    }
}

impl Draft {
    /// Checks every field.
    ///
    /// # Errors
    /// All faults, in the order of the fields.
    pub fn validate(self) -> Result<Registration, Vec<Fault>> {
        let mut f = Faults(Vec::new());
        let name = match self.name {
            Some(name) => f.take(ServiceName::new(&name)),
            None => f.take(Err(Fault::new("name", "is required"))),
        };
        let given_id = self.id.as_deref().and_then(|id| f.take(InstanceId::new(id)));
        let version = self.version.unwrap_or_else(|| "0.0.0".into());
        plain_text(&mut f, "version", &version, limits::TEXT);
        let host = match self.host {
            Some(host) => f.take(check_host(&host)),
            None => f.take(Err(Fault::new("host", "is required: a host name or an address"))),
        };
        let port = match self.port {
            Some(port) => f.take(check_port("port", port)),
            None => f.take(Err(Fault::new("port", "is required: 1 to 65535"))),
        };
        let protocol = match &self.protocol {
            Some(p) => f.take(p.parse()),
            None => Some(Protocol::Http),
        };
        if let Some(path) = &self.health_endpoint {
            check_path(&mut f, "healthEndpoint", path);
        }
        let tags = texts(&mut f, "tags", self.tags, limits::TAGS, limits::TAG);
        let dependencies = dependencies(&mut f, self.dependencies, name.as_ref());
        check_metadata(&mut f, &self.metadata);
        let weight = self.weight.unwrap_or(1);
        if !(0..=i128::from(limits::WEIGHT)).contains(&weight) {
            f.add("weight", format!("is {weight}; 0 to {} is allowed", limits::WEIGHT));
        }
        let ttl = self.ttl.and_then(|ms| f.take(duration("ttl", ms)));
        if let Some(zone) = &self.zone {
            plain_text(&mut f, "zone", zone, limits::TEXT);
        }
        let protocol_or = protocol.unwrap_or(Protocol::Http);
        let check =
            check_draft(&mut f, self.check, protocol_or, self.health_endpoint.is_some(), ttl.is_some());
        let (Some(name), Some(host), Some(port), Some(protocol), true) =
            (name, host, port, protocol, f.0.is_empty())
        else {
            return Err(f.0);
        };
        let id = match given_id {
            Some(id) => id,
            None => generated_id(&name, &host, port).map_err(|fault| vec![fault])?,
        };
        Ok(Registration {
            name,
            id,
            version,
            host,
            port,
            protocol,
            health_endpoint: self.health_endpoint,
            tags,
            dependencies,
            metadata: self.metadata,
            weight: weight as u32,
            ttl,
            zone: self.zone,
            check,
        })
    }
}

/// The id of an instance that gave none: the same endpoint gets the same id, so registering again replaces. The
/// suffix is FNV-1a (64 bit) of the endpoint.
fn generated_id(name: &ServiceName, host: &str, port: u16) -> Result<InstanceId, Fault> {
    let endpoint = format!("{host}:{port}");
    let hash = endpoint
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let name: String = name.as_str().chars().take(100).collect();
    InstanceId::new(&format!("{name}-{:08x}", (hash ^ (hash >> 32)) as u32))
}

fn check_draft(
    f: &mut Faults,
    draft: Option<CheckDraft>,
    protocol: Protocol,
    endpoint: bool,
    lease: bool,
) -> HealthCheck {
    let draft = draft.unwrap_or_default();
    // Nothing said: the endpoint's check, else what the protocol suggests. A lease alone is a check by heartbeats.
    let implied = match protocol {
        _ if endpoint && matches!(protocol, Protocol::Http | Protocol::Https) => CheckKind::Http,
        Protocol::Grpc => CheckKind::Grpc,
        _ if lease => CheckKind::Ttl,
        _ => CheckKind::Tcp,
    };
    let kind = draft.kind.and_then(|k| f.take(k.parse())).unwrap_or(implied);
    if let (CheckKind::Http, Some(path)) = (kind, &draft.path) {
        check_path(f, "healthCheck.path", path);
    }
    if let (CheckKind::Grpc, Some(path)) = (kind, &draft.path) {
        plain_text(f, "healthCheck.path", path, limits::PATH);
    }
    if kind == CheckKind::Ttl && !lease {
        f.add("ttl", "is required with healthCheck.type `ttl`: how long a heartbeat holds, in milliseconds");
    }
    let mut time = |field: &str, ms: Option<i128>| ms.and_then(|ms| f.take(duration(field, ms)));
    let interval = time("healthCheck.interval", draft.interval);
    let timeout = time("healthCheck.timeout", draft.timeout);
    let mut count = |field: &str, n: Option<i128>| {
        n.and_then(|n| {
            if (1..=1000).contains(&n) {
                return Some(n as u32);
            }
            f.add(field, format!("is {n}; 1 to 1000 is allowed"));
            None
        })
    };
    let success_threshold = count("healthCheck.successThreshold", draft.success_threshold);
    let failure_threshold = count("healthCheck.failureThreshold", draft.failure_threshold);
    HealthCheck { kind, path: draft.path, interval, timeout, success_threshold, failure_threshold }
}

/// A duration in milliseconds between [`limits::SHORTEST`] and [`limits::DURATION`].
pub(super) fn duration(field: &str, ms: i128) -> Result<Duration, Fault> {
    let (least, most) = (limits::SHORTEST.as_millis() as i128, limits::DURATION.as_millis() as i128);
    if ms < 0 {
        return Err(Fault::new(field, format!("is {ms} ms; a duration can't be negative")));
    }
    if !(least..=most).contains(&ms) {
        return Err(Fault::new(field, format!("is {ms} ms; {least} to {most} is allowed")));
    }
    Ok(Duration::from_millis(ms as u64))
}

fn check_port(field: &str, port: i128) -> Result<u16, Fault> {
    match u16::try_from(port) {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(Fault::new(field, format!("is {port}; 1 to 65535 is allowed"))),
    }
}

fn check_host(host: &str) -> Result<String, Fault> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if bare.parse::<std::net::IpAddr>().is_ok() {
        return Ok(bare.into());
    }
    let fault = |message: String| Err(Fault::new("host", message));
    if host.is_empty() {
        return fault("must not be empty".into());
    }
    if host.len() > limits::HOST {
        return fault(format!("is {} bytes long; at most {} are allowed", host.len(), limits::HOST));
    }
    if let Some(c) = host.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))) {
        return fault(format!(
            "`{}` has the character `{}`; give a host name or an address, without scheme and port",
            excerpt(host),
            c.escape_debug()
        ));
    }
    let label_ok = |l: &str| !l.is_empty() && l.len() <= 63 && !l.starts_with('-') && !l.ends_with('-');
    if !host.strip_suffix('.').unwrap_or(host).split('.').all(label_ok) {
        return fault(format!(
            "`{}` is not a host name: its labels are 1 to 63 characters, no `-` at an end",
            excerpt(host)
        ));
    }
    Ok(host.into())
}

fn check_path(f: &mut Faults, field: &str, path: &str) {
    if !path.starts_with('/') {
        f.add(field, format!("`{}` must begin with `/`", excerpt(path)));
    } else if path.len() > limits::PATH {
        f.add(field, format!("is {} bytes long; at most {} are allowed", path.len(), limits::PATH));
    } else if path.bytes().any(|b| b <= b' ' || b >= 0x7f || b == b'#') {
        f.add(
            field,
            format!(
                "`{}` has a space, a control, `#` or a non-ASCII character; percent-encode it",
                excerpt(path)
            ),
        );
    }
}

fn plain_text(f: &mut Faults, field: &str, s: &str, most: usize) {
    if s.len() > most {
        f.add(field, format!("is {} bytes long; at most {most} are allowed", s.len()));
    } else if s.chars().any(char::is_control) {
        f.add(field, format!("`{}` has a control character", excerpt(s)));
    }
}

fn texts(f: &mut Faults, field: &str, values: Vec<String>, most: usize, longest: usize) -> Vec<String> {
    if values.len() > most {
        f.add(field, format!("has {} entries; at most {most} are allowed", values.len()));
        return Vec::new();
    }
    let mut seen = BTreeSet::new();
    let mut out = Vec::with_capacity(values.len());
    for (i, value) in values.into_iter().enumerate() {
        let at = format!("{field}[{i}]");
        if value.is_empty() {
            f.add(at, "must not be empty");
            continue;
        }
        plain_text(f, &at, &value, longest);
        if seen.insert(value.clone()) {
            out.push(value);
        }
    }
    out
}

fn dependencies(f: &mut Faults, values: Vec<String>, own: Option<&ServiceName>) -> Vec<String> {
    let values = texts(f, "dependencies", values, limits::DEPENDENCIES, super::MAX_NAME);
    for (i, value) in values.iter().enumerate() {
        if RESERVED_NAMES.contains(&value.as_str()) {
            f.add(format!("dependencies[{i}]"), format!("`{value}` can't be the name of a service"));
        } else if let Err(fault) = ServiceName::new(value) {
            f.add(format!("dependencies[{i}]"), fault.message);
        }
        if own.is_some_and(|own| own.as_str() == value) {
            f.add(
                format!("dependencies[{i}]"),
                format!("a service can't depend on itself: {value} → {value}"),
            );
        }
    }
    values
}

fn check_metadata(f: &mut Faults, metadata: &BTreeMap<String, String>) {
    if metadata.len() > limits::METADATA {
        f.add("metadata", format!("has {} keys; at most {} are allowed", metadata.len(), limits::METADATA));
        return;
    }
    for (key, value) in metadata {
        let at = format!("metadata.{}", excerpt(key));
        if key.is_empty() {
            f.add("metadata", "has an empty key");
        }
        plain_text(f, &at, key, limits::METADATA_KEY);
        if value.len() > limits::METADATA_VALUE {
            f.add(
                at,
                format!("is {} bytes long; at most {} are allowed", value.len(), limits::METADATA_VALUE),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> Draft {
        Draft { name: Some("api".into()), host: Some("127.0.0.1".into()), port: Some(80), ..Draft::default() }
    }

    fn fields(draft: Draft) -> Vec<String> {
        draft.validate().unwrap_err().into_iter().map(|f| f.field).collect()
    }

    #[test]
    fn a_minimal_draft_gets_the_documented_defaults() {
        let r = draft().validate().unwrap();
        assert_eq!((r.weight, r.protocol, r.check.kind), (1, Protocol::Http, CheckKind::Tcp));
        assert!(r.id.as_str().starts_with("api-"), "{}", r.id);
        assert_eq!(r.id, draft().validate().unwrap().id, "the same endpoint, the same id");
        assert_ne!(r.id, Draft { port: Some(81), ..draft() }.validate().unwrap().id);
        let r = Draft { health_endpoint: Some("/h".into()), ..draft() }.validate().unwrap();
        assert_eq!((r.check.kind, r.check_path()), (CheckKind::Http, "/h"));
        let r = Draft { ttl: Some(30_000), ..draft() }.validate().unwrap();
        assert_eq!((r.check.kind, r.initial_reason()), (CheckKind::Ttl, Some("awaiting first heartbeat")));
    }

    #[test]
    fn every_fault_is_reported_at_once() {
        let bad = Draft {
            name: Some("a/b".into()),
            host: Some("a b".into()),
            port: Some(70_000),
            protocol: Some("ftp".into()),
            weight: Some(-1),
            ttl: Some(-5),
            tags: vec!["x".repeat(10_240)],
            metadata: (0..10_000).map(|i| (i.to_string(), String::new())).collect(),
            check: Some(CheckDraft {
                interval: Some(i128::MAX),
                failure_threshold: Some(0),
                ..CheckDraft::default()
            }),
            ..Draft::default()
        };
        assert_eq!(
            fields(bad),
            [
                "name",
                "host",
                "port",
                "protocol",
                "tags[0]",
                "metadata",
                "weight",
                "ttl",
                "healthCheck.interval",
                "healthCheck.failureThreshold"
            ]
        );
    }

    #[test]
    fn hosts_and_ports_are_checked() {
        for host in ["", "http://x", "a b", "a\n", "-a", "a..b", "[::1", "a:80"] {
            assert_eq!(fields(Draft { host: Some(host.into()), ..draft() }), ["host"], "{host:?}");
        }
        for host in ["localhost", "::1", "[::1]", "10.0.0.1", "a_b.example.com", "example.com."] {
            assert!(Draft { host: Some(host.into()), ..draft() }.validate().is_ok(), "{host}");
        }
        for port in [0, -1, 65_536, 70_000] {
            assert_eq!(fields(Draft { port: Some(port), ..draft() }), ["port"]);
        }
    }

    #[test]
    fn a_service_cannot_depend_on_itself() {
        assert_eq!(
            fields(Draft { dependencies: vec!["db".into(), "api".into()], ..draft() }),
            ["dependencies[1]"]
        );
    }
}
