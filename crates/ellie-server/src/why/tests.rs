//! One fact at a time: what is found, and what to try.

use super::{Facts, report};
use ellie_api::stats::{InstanceBalance, RouteStats, ServiceBalance};
use ellie_api::ui::{Level, Why as Report};
use ellie_api::{Breaker, Instance, ServiceDetail, Status};
use serde_json::json;

pub(crate) fn instance(id: &str) -> Instance {
    serde_json::from_value(json!({
        "id": id, "name": "users", "version": "1.0.0", "host": "127.0.0.1", "port": 3001, "protocol": "http",
        "healthEndpoint": "/health", "tags": ["api"], "weight": 1, "registeredWeight": 1,
        "healthCheck": { "type": "http", "path": "/health", "interval": 30000, "timeout": 5000 },
        "status": "healthy", "reason": "HTTP 200", "since": "2026-01-01T00:00:00Z", "standing": "routable",
        "source": "api", "registeredAt": "2026-01-01T00:00:00Z", "incarnation": 1, "createdIndex": 1,
        "modifiedIndex": 1,
        "lastCheck": { "at": "2026-01-01T00:00:00Z", "tookMs": 3.1, "verdict": "healthy", "output": "HTTP 200" }
    }))
    .unwrap()
}

pub(crate) fn facts(instances: Vec<Instance>) -> Facts {
    let count = |s: Status| instances.iter().filter(|i| i.status == s).count();
    Facts {
        detail: ServiceDetail {
            index: 1,
            name: "users".into(),
            status: Status::Healthy,
            level: "healthy".into(),
            strategy: "health_based".into(),
            healthy: count(Status::Healthy),
            degraded: count(Status::Degraded),
            unhealthy: count(Status::Unhealthy),
            routable: instances.iter().filter(|i| i.is_routable()).count(),
            total: instances.len(),
            count: instances.len(),
            dependencies: Vec::new(),
            instances,
        },
        resolved: None,
        health: None,
        breaker: None,
        routes: serde_json::from_value(json!([{ "id": "u", "path": "/u/*", "serviceName": "users" }]))
            .unwrap(),
        balance: None,
        events: Vec::new(),
        providers: Vec::new(),
        tags: Vec::new(),
        by_route: std::collections::BTreeMap::new(),
        expiry_paused: None,
    }
}

fn breaker(state: &str) -> Breaker {
    serde_json::from_value(json!({
        "name": "users", "state": state, "failures": 6, "successes": 4, "calls": 10, "failureRate": 0.6,
        "probesInFlight": 0, "probeSuccesses": 1, "retryIn": 42000, "openedFor": 18000,
        "totals": { "succeeded": 4, "failed": 6, "ignored": 0, "rejected": 3, "stale": 0, "opened": 1 },
        "config": { "failureThreshold": 5, "recoveryTimeout": 60000, "successThreshold": 3, "timeout": 30000,
                    "monitoringPeriod": 300000, "minimumFailureRate": 0.1 }
    }))
    .unwrap()
}

fn found<'r>(r: &'r Report, id: &str, topic: &str) -> (Level, &'r str) {
    let i = r.instances.iter().find(|i| i.id == id).expect(id);
    let finding = i.findings.iter().find(|f| f.topic == topic).expect(topic);
    (finding.level, &finding.text)
}

fn said<'r>(r: &'r Report, topic: &str) -> (Level, &'r str) {
    let finding = r.findings.iter().find(|f| f.topic == topic).expect(topic);
    (finding.level, &finding.text)
}

#[test]
fn all_well_ends_with_where_to_look_on() {
    let r = report(&facts(vec![instance("a"), instance("b")]), None);
    assert_eq!(r.verdict, "users is routable: 2 of 2 instances get traffic");
    assert!(r.routable && r.instances.iter().all(|i| i.routable));
    assert!(r.instances.iter().flat_map(|i| &i.findings).all(|f| f.level != Level::Problem));
    assert_eq!(said(&r, "routes"), (Level::Ok, "u: * /u/*"));
    assert_eq!(r.hints[0], "ellie resolve users --explain");
}

#[test]
fn a_failing_check_is_told_with_the_request_to_repeat_by_hand() {
    let mut i = instance("a");
    (i.status, i.standing, i.consecutive_failures) = (Status::Unhealthy, "unhealthy".into(), 4);
    i.reason = "connection refused (127.0.0.1:3001)".into();
    let r = report(&facts(vec![i, instance("b")]), Some("a"));
    assert_eq!(r.verdict, "users a gets no traffic");
    let (level, text) = found(&r, "a", "health");
    assert_eq!(level, Level::Problem);
    assert!(text.starts_with("unhealthy: connection refused (127.0.0.1:3001)"), "{text}");
    assert!(text.ends_with("; 4 checks failed in a row"), "{text}");
    assert_eq!(found(&r, "a", "check").1, "GET http://127.0.0.1:3001/health every 30s, timeout 5s");
    assert_eq!(r.hints[0], "curl -i --max-time 5 http://127.0.0.1:3001/health");
    assert_eq!(r.instances.len(), 1, "the other was not asked for");
}

#[test]
fn operators_are_named_with_their_reason() {
    let mark = json!({ "by": "ci", "reason": "deploy", "at": "2026-01-01T00:00:00Z" });
    let mut drained = instance("a");
    drained.standing = "draining".into();
    drained.operator.draining = serde_json::from_value(mark.clone()).unwrap();
    let mut off = instance("b");
    off.standing = "maintenance".into();
    off.operator.maintenance = serde_json::from_value(mark).unwrap();
    let mut light = instance("c");
    (light.standing, light.weight) = ("weight-zero".into(), 0);
    let r = report(&facts(vec![drained, off, light]), None);
    assert_eq!(r.verdict, "users is not routable: none of its 3 instances gets traffic");
    assert!(
        found(&r, "a", "draining").1.starts_with("by ci ")
            && found(&r, "a", "draining").1.contains(": deploy; until")
    );
    assert_eq!(found(&r, "b", "maintenance").0, Level::Problem);
    assert_eq!(found(&r, "c", "weight").0, Level::Problem);
    assert_eq!(
        r.hints,
        ["ellie undrain users a", "ellie maintenance users b --off", "ellie weight users c default"]
    );
}

#[test]
fn an_open_breaker_outweighs_healthy_instances() {
    let mut f = facts(vec![instance("a")]);
    f.breaker = Some(breaker("open"));
    let r = report(&f, None);
    assert!(!r.routable && r.verdict.contains("circuit breaker is open"), "{}", r.verdict);
    assert_eq!(
        said(&r, "breaker"),
        (Level::Problem, "open since 18s: requests are refused with 503; probe in 42s")
    );
    assert!(r.hints[0].starts_with("ellie breakers reset users"));
    f.breaker = Some(breaker("half_open"));
    assert_eq!(said(&report(&f, None), "breaker").1, "half open, testing: 1/3 probes succeeded");
}

#[test]
fn tags_that_do_not_match_are_named() {
    let mut f = facts(vec![instance("a")]);
    f.tags = vec!["api".into(), "v2".into()];
    let r = report(&f, None);
    assert!(!r.routable);
    assert_eq!(said(&r, "tags"), (Level::Problem, "0 of 1 instances have api and v2"));
    assert_eq!(found(&r, "a", "tags").1, "lacks v2; it has api");
}

#[test]
fn an_ejected_instance_and_a_missing_route_are_told() {
    let mut f = facts(vec![instance("a")]);
    f.routes.clear();
    let ejected = InstanceBalance { ejected_for: Some(30_000), failures: 5, ..InstanceBalance::default() };
    f.balance =
        Some(ServiceBalance { instances: [("a".to_owned(), ejected)].into(), ..ServiceBalance::default() });
    let r = report(&f, None);
    assert_eq!(found(&r, "a", "outlier").1, "ejected for 30s more after too many failures in a row");
    assert_eq!(said(&r, "routes").0, Level::Info);
    assert!(r.hints.iter().any(|h| h.starts_with("ellie routes add")), "{:?}", r.hints);
}

fn after(seconds: u64) -> String {
    let at = ellie_core::Now::read().wall + std::time::Duration::from_secs(seconds);
    humantime::format_rfc3339_millis(at).to_string()
}

#[test]
fn a_lease_about_to_end_is_told_unless_expiry_is_paused() {
    let lease = |left: u64| {
        let mut i = instance("a");
        i.lease = serde_json::from_value(json!({
            "ttl": 3_600_000, "expiresAt": after(left), "renewedAt": "2026-01-01T00:00:00Z" }))
        .unwrap();
        facts(vec![i])
    };
    assert_eq!(found(&report(&lease(3_000), None), "a", "lease").0, Level::Ok);
    let r = report(&lease(600), None);
    let finding = r.instances[0].findings.iter().find(|f| f.topic == "lease").unwrap();
    assert_eq!(finding.level, Level::Warning);
    assert!(finding.details[0].starts_with("about to end"), "{finding:?}");
    assert!(r.routable, "until then it gets traffic");
    let mut paused = lease(0);
    paused.expiry_paused = Some("16 % of all leases ended in one minute".into());
    let r = report(&paused, None);
    assert_eq!(
        said(&r, "leases"),
        (Level::Warning, "expiry is paused: 16 % of all leases ended in one minute")
    );
    assert!(r.instances[0].findings.iter().all(|f| f.details.iter().all(|d| !d.starts_with("about to end"))));
}

#[test]
fn rate_limits_are_told_with_what_they_refused() {
    let mut f = facts(vec![instance("a")]);
    f.routes = serde_json::from_value(json!([
        { "id": "u", "path": "/u/*", "serviceName": "users", "rateLimit": { "windowMs": 60_000, "max": 100 } },
        { "id": "o", "path": "/o/*", "serviceName": "other", "rateLimit": { "windowMs": 60_000, "max": 7 } }
    ]))
    .unwrap();
    assert_eq!(
        said(&report(&f, None), "rate limit"),
        (Level::Info, "u: 100 in 1m a client; 0 refused with 429")
    );
    f.by_route.insert("u".into(), RouteStats { rate_limited: 3, ..RouteStats::default() });
    assert_eq!(
        said(&report(&f, None), "rate limit"),
        (Level::Warning, "u: 100 in 1m a client; 3 refused with 429")
    );
}

#[test]
fn a_route_whose_tags_no_instance_has_is_in_the_way() {
    let mut f = facts(vec![instance("a")]);
    f.routes = serde_json::from_value(
        json!([{ "id": "u", "path": "/u/*", "serviceName": "users", "tags": ["v2"] }]),
    )
    .unwrap();
    let r = report(&f, None);
    assert_eq!(said(&r, "routes").0, Level::Problem);
    assert!(r.hints.contains(&"ellie why users --tag v2".to_owned()), "{:?}", r.hints);
    f.detail.instances[0].tags.push("v2".into());
    assert_eq!(said(&report(&f, None), "routes").0, Level::Ok);
}

#[test]
fn degraded_instances_panic_and_the_first_check_are_told() {
    let mut standby = instance("a");
    (standby.status, standby.standing) = (Status::Degraded, "degraded-standby".into());
    let mut waiting = instance("b");
    (waiting.status, waiting.standing) = (Status::Unhealthy, "unhealthy".into());
    (waiting.reason, waiting.last_check) = ("awaiting first check".into(), None);
    let mut f = facts(vec![standby, waiting, instance("c")]);
    let r = report(&f, None);
    assert_eq!(found(&r, "a", "standby").0, Level::Problem);
    assert!(found(&r, "b", "health").1.starts_with("unhealthy: awaiting first check"));
    assert!(r.hints.iter().any(|h| h.starts_with("ellie watch users -n 1")), "{:?}", r.hints);
    f.detail.level = "panic".into();
    assert!(said(&report(&f, None), "level").1.contains("every instance gets traffic"));
}
