//! The form of a record on disk: JSON, so that a person can read it and a later version can add to it.
//!
//! Fields that this version doesn't know are passed over, fields that an earlier version didn't write take their
//! defaults. [`VERSION`] grows only when a field changes its meaning; a record beyond it is refused.

use ellie_core::model::{CheckDraft, Draft, Fault, Mark, Operator, Record, Registration, Source};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The newest form of a record that is understood.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Stored {
    v: u32,
    registration: StoredRegistration,
    source: String,
    #[serde(default, skip_serializing_if = "StoredOperator::is_empty")]
    operator: StoredOperator,
    /// Nanoseconds since 1970, as all times here.
    registered_at: u64,
}

#[derive(Serialize, Deserialize)]
struct StoredRegistration {
    name: String,
    id: String,
    version: String,
    host: String,
    port: u16,
    protocol: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    health_endpoint: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dependencies: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    weight: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zone: Option<String>,
    check: StoredCheck,
}

#[derive(Serialize, Deserialize)]
struct StoredCheck {
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    interval_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    success_threshold: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure_threshold: Option<u32>,
}

#[derive(Default, Serialize, Deserialize)]
struct StoredOperator {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    draining: Option<StoredMark>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    maintenance: Option<StoredMark>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weight: Option<StoredWeight>,
}

impl StoredOperator {
    fn is_empty(&self) -> bool {
        self.draining.is_none() && self.maintenance.is_none() && self.weight.is_none()
    }
}

#[derive(Serialize, Deserialize)]
struct StoredWeight {
    weight: u32,
    mark: StoredMark,
}

#[derive(Serialize, Deserialize)]
struct StoredMark {
    by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
}

/// The record as it is written.
pub(crate) fn encode(record: &Record) -> Result<Vec<u8>, serde_json::Error> {
    let r = &record.registration;
    let c = &r.check;
    serde_json::to_vec(&Stored {
        v: VERSION,
        registration: StoredRegistration {
            name: r.name.to_string(),
            id: r.id.to_string(),
            version: r.version.clone(),
            host: r.host.clone(),
            port: r.port,
            protocol: r.protocol.to_string(),
            health_endpoint: r.health_endpoint.clone(),
            tags: r.tags.clone(),
            dependencies: r.dependencies.clone(),
            metadata: r.metadata.clone(),
            weight: r.weight,
            ttl_ms: r.ttl.map(millis),
            zone: r.zone.clone(),
            check: StoredCheck {
                kind: c.kind.to_string(),
                path: c.path.clone(),
                interval_ms: c.interval.map(millis),
                timeout_ms: c.timeout.map(millis),
                success_threshold: c.success_threshold,
                failure_threshold: c.failure_threshold,
            },
        },
        source: source_text(&record.source),
        operator: StoredOperator {
            draining: record.operator.draining.as_ref().map(mark_out),
            maintenance: record.operator.maintenance.as_ref().map(mark_out),
            weight: record
                .operator
                .weight
                .as_ref()
                .map(|(weight, mark)| StoredWeight { weight: *weight, mark: mark_out(mark) }),
        },
        registered_at: nanos(record.registered_at),
    })
}

/// The record that was written, or what is wrong with it.
pub(crate) fn decode(bytes: &[u8]) -> Result<Record, Refused> {
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    let wrong = |e: serde_json::Error| Refused::Wrong(e.to_string());
    let version: Version = serde_json::from_slice(bytes).map_err(wrong)?;
    if version.v > VERSION {
        return Err(Refused::Newer { found: version.v, known: VERSION });
    }
    let stored: Stored = serde_json::from_slice(bytes).map_err(wrong)?;
    let operator = Operator {
        draining: stored.operator.draining.map(mark_in),
        maintenance: stored.operator.maintenance.map(mark_in),
        weight: stored.operator.weight.map(|w| (w.weight, mark_in(w.mark))),
    };
    Ok(Record {
        registration: Arc::new(registration_in(stored.registration).map_err(|faults| {
            let faults: Vec<String> = faults.iter().map(Fault::to_string).collect();
            Refused::Wrong(faults.join("; "))
        })?),
        source: source_of(&stored.source),
        operator,
        registered_at: time(stored.registered_at),
    })
}

/// Why a record isn't taken.
#[derive(Debug)]
pub(crate) enum Refused {
    Newer { found: u32, known: u32 },
    Wrong(String),
}

fn registration_in(r: StoredRegistration) -> Result<Registration, Vec<Fault>> {
    // Through the same door as every registration: a value that exists is valid, wherever it comes from.
    Draft {
        name: Some(r.name),
        id: Some(r.id),
        version: Some(r.version),
        host: Some(r.host),
        port: Some(r.port.into()),
        protocol: Some(r.protocol),
        health_endpoint: r.health_endpoint,
        tags: r.tags,
        dependencies: r.dependencies,
        metadata: r.metadata,
        weight: Some(r.weight.into()),
        ttl: r.ttl_ms.map(Into::into),
        zone: r.zone,
        check: Some(CheckDraft {
            kind: Some(r.check.kind),
            path: r.check.path,
            interval: r.check.interval_ms.map(Into::into),
            timeout: r.check.timeout_ms.map(Into::into),
            success_threshold: r.check.success_threshold.map(Into::into),
            failure_threshold: r.check.failure_threshold.map(Into::into),
        }),
    }
    .validate()
}

const PROVIDER: &str = "provider:";

fn source_text(source: &Source) -> String {
    match source {
        Source::Provider(name) => format!("{PROVIDER}{name}"),
        other => other.to_string(),
    }
}

fn source_of(text: &str) -> Source {
    match text {
        "config" => Source::Config,
        "own" => Source::Own,
        _ => match text.strip_prefix(PROVIDER) {
            Some(name) => Source::Provider(name.into()),
            None => Source::Api,
        },
    }
}

fn mark_out(mark: &Mark) -> StoredMark {
    StoredMark {
        by: mark.by.clone(),
        reason: mark.reason.clone(),
        at: nanos(mark.at),
        until: mark.until.map(nanos),
    }
}

fn mark_in(mark: StoredMark) -> Mark {
    Mark { by: mark.by, reason: mark.reason, at: time(mark.at), until: mark.until.map(time) }
}

fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

/// Good until the year 2554; a clock before 1970 is read as 1970.
fn nanos(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn time(nanos: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ellie_core::Now;

    fn record() -> Record {
        let draft = Draft {
            name: Some("api".into()),
            id: Some("api-1".into()),
            version: Some("1.2.3".into()),
            host: Some("::1".into()),
            port: Some(3001),
            protocol: Some("https".into()),
            health_endpoint: Some("/health".into()),
            tags: vec!["a".into(), "b c".into()],
            dependencies: vec!["db".into()],
            metadata: [("k".into(), "ünï \"quoted\"".into())].into(),
            weight: Some(7),
            ttl: Some(30_000),
            zone: Some("eu-1".into()),
            check: Some(CheckDraft {
                kind: Some("http".into()),
                path: Some("/h?x=1".into()),
                interval: Some(1_000),
                timeout: Some(500),
                success_threshold: Some(2),
                failure_threshold: Some(3),
            }),
        };
        let now = Now::read().wall;
        let mark = Mark { by: "op".into(), reason: Some("why".into()), at: now, until: Some(now) };
        Record {
            registration: Arc::new(draft.validate().unwrap()),
            source: Source::Api,
            operator: Operator {
                draining: Some(mark.clone()),
                maintenance: Some(Mark { reason: None, until: None, ..mark.clone() }),
                weight: Some((3, mark)),
            },
            registered_at: now,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let record = record();
        assert_eq!(decode(&encode(&record).unwrap()).unwrap(), record);
        let plain =
            Record { operator: Operator::default(), source: Source::Provider("docker".into()), ..record };
        assert_eq!(decode(&encode(&plain).unwrap()).unwrap(), plain);
    }

    #[test]
    fn added_fields_are_passed_over_and_absent_ones_take_their_defaults() {
        let json = r#"{"v":1,"later":[1],"source":"api","registered_at":5,"operator":{"x":1},
            "registration":{"name":"a","id":"b","version":"1","host":"h","port":1,"protocol":"tcp","weight":1,
            "colour":"red","check":{"kind":"tcp","more":true}}}"#;
        let record = decode(json.as_bytes()).unwrap();
        assert_eq!(record.registration.tags, Vec::<String>::new());
        assert_eq!(record.operator, Operator::default());
    }

    #[test]
    fn a_newer_record_and_an_invalid_one_are_told_apart() {
        assert!(matches!(decode(br#"{"v":2,"whatever":1}"#), Err(Refused::Newer { found: 2, known: 1 })));
        assert!(matches!(decode(b"nonsense"), Err(Refused::Wrong(_))));
        let mut bytes = String::from_utf8(encode(&record()).unwrap()).unwrap();
        bytes = bytes.replace("\"::1\"", "\"a b\"");
        assert!(matches!(decode(bytes.as_bytes()), Err(Refused::Wrong(m)) if m.contains("host")));
    }
}
