//! The specification's health response, read the way strangers write it.

use ellie_core::model::{HealthBody, Memory};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The most dependencies kept of one answer.
const DEPENDENCIES: usize = 64;
/// The longest text kept of one answer, in characters.
const TEXT: usize = 128;

/// The body of an answer, where it is a JSON object with at least one of the format's fields in the format's type. A
/// field of another type is passed over: it must not fail a check that is otherwise well.
pub(crate) fn parse(bytes: &[u8]) -> Option<HealthBody> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii();
    if bytes.first() != Some(&b'{') {
        return None;
    }
    let object: Map<String, Value> = serde_json::from_slice(bytes).ok()?;
    let body = HealthBody {
        status: object.get("status").and_then(Value::as_str).and_then(|s| s.parse().ok()),
        uptime: object.get("uptime").and_then(number),
        version: object.get("version").and_then(Value::as_str).map(|v| v.chars().take(TEXT).collect()),
        memory: object.get("memory").and_then(memory),
        dependencies: object.get("dependencies").map(dependencies).unwrap_or_default(),
    };
    (body != HealthBody::default()).then_some(body)
}

/// A count or size; a negative one means nothing here.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().filter(|n| n.is_finite() && *n >= 0.0)
}

/// `{used, total, percentage}` of the format, or what Node's `process.memoryUsage()` gives, as the specification's own
/// example sends it: `heapUsed` of `heapTotal`.
fn memory(value: &Value) -> Option<Memory> {
    let field = |name: &str| value.get(name).and_then(number);
    let used = field("used").or_else(|| field("heapUsed"))?;
    let total = field("total").or_else(|| field("heapTotal"))?;
    let percentage = field("percentage").or_else(|| (total > 0.0).then(|| used / total * 100.0))?;
    Some(Memory { used, total, percentage: percentage.min(100.0) })
}

fn dependencies(value: &Value) -> BTreeMap<String, bool> {
    let Some(object) = value.as_object() else { return BTreeMap::new() };
    object
        .iter()
        .filter_map(|(name, up)| Some((name.chars().take(TEXT).collect(), up.as_bool()?)))
        .take(DEPENDENCIES)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ellie_core::Status;

    #[test]
    fn the_specifications_example_is_understood() {
        let body = parse(
            br#"{ "status": "healthy", "timestamp": "2024-01-15T10:30:00Z", "uptime": 3600, "version": "1.0.0",
                  "memory": { "used": 128, "total": 512, "percentage": 25 },
                  "dependencies": { "redis": true, "database": true } }"#,
        )
        .unwrap();
        assert_eq!(body.status, Some(Status::Healthy));
        assert_eq!(body.uptime, Some(3600.0));
        assert_eq!(body.version.as_deref(), Some("1.0.0"));
        assert_eq!(body.memory, Some(Memory { used: 128.0, total: 512.0, percentage: 25.0 }));
        assert_eq!(body.dependencies, BTreeMap::from([("redis".into(), true), ("database".into(), true)]));
    }

    #[test]
    fn what_node_sends_is_understood() {
        let body = parse(
            br#"{"status":"degraded","timestamp":"2026-01-01T00:00:00.000Z","uptime":12.25,
                 "memory":{"rss":44056576,"heapTotal":6000000,"heapUsed":4500000,"external":1,"arrayBuffers":2},
                 "dependencies":{"redis":false,"database":true}}"#,
        )
        .unwrap();
        assert_eq!(body.status, Some(Status::Degraded));
        assert_eq!(body.memory, Some(Memory { used: 4.5e6, total: 6e6, percentage: 75.0 }));
        assert!(!body.dependencies["redis"]);
    }

    #[test]
    fn a_field_of_an_odd_type_is_passed_over_and_the_rest_is_kept() {
        let body = parse(
            br#"{"status":"Unhealthy","uptime":"3 days","version":7,"memory":[1],"dependencies":{"a":"yes","b":true,"c":{"up":true}},
                 "status2":null,"memory2":{"used":-1}}"#,
        )
        .unwrap();
        assert_eq!(body.status, Some(Status::Unhealthy));
        assert_eq!((body.uptime, body.version, body.memory), (None, None, None));
        assert_eq!(body.dependencies, BTreeMap::from([("b".into(), true)]));
        for odd in [
            r#"{"status":"healthy","memory":{"used":-1,"total":5}}"#,
            r#"{"status":"healthy","memory":{"used":1,"total":0}}"#,
            r#"{"status":"healthy","memory":{"rss":1}}"#,
            r#"{"status":"healthy","memory":null,"dependencies":null,"uptime":-4}"#,
            r#"{"status":"healthy","dependencies":["redis"],"uptime":1e999}"#,
        ] {
            let body = parse(odd.as_bytes());
            // A number beyond f64 is not JSON to the parser: such a body is none of the format.
            let Some(body) = body else {
                assert!(odd.contains("1e999"));
                continue;
            };
            assert_eq!(body, HealthBody { status: Some(Status::Healthy), ..HealthBody::default() }, "{odd}");
        }
    }

    #[test]
    fn what_is_not_the_format_is_none() {
        for other in [
            "",
            "OK",
            "null",
            "[]",
            "\"healthy\"",
            "{}",
            r#"{"status":"UP"}"#,
            r#"{"status":"healthy""#,
            r#"{"status":1}"#,
        ] {
            assert_eq!(parse(other.as_bytes()), None, "{other}");
        }
        assert!(parse(b"\xef\xbb\xbf {\"status\":\"healthy\"}\r\n").is_some());
        let deep = format!("{{\"status\":\"healthy\",\"a\":{}1{}}}", "[".repeat(5000), "]".repeat(5000));
        assert_eq!(parse(deep.as_bytes()), None, "nesting is bounded");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let many: Vec<String> = (0..1000).map(|n| format!("\"{n}{}\":true", "x".repeat(300))).collect();
        let body = parse(
            format!("{{\"version\":\"{}\",\"dependencies\":{{{}}}}}", "v".repeat(9999), many.join(","))
                .as_bytes(),
        )
        .unwrap();
        assert_eq!(body.version.unwrap().len(), TEXT);
        assert_eq!(body.dependencies.len(), DEPENDENCIES);
        assert!(body.dependencies.keys().all(|name| name.len() == TEXT));
    }
}
