//! The debugging commands that people are told to type, typed: `curl` and `jq` against the real binary.

mod common;

use std::process::Command;

use common::{Ellie, Ran, Upstream, peer, wait_until};
use serde_json::{Value, json};

/// Runs `command` in a shell, port 5000 replaced by the one this server got.
fn shell(ellie: &Ellie, command: &str) -> Ran {
    let command = command.replace(":5000", &format!(":{}", ellie.api.port()));
    let output = Command::new("bash").args(["-o", "pipefail", "-c", &command]).output().expect("a shell");
    Ran::from(output).success()
}

/// A server that knows two healthy services, one of which has a forced-open breaker.
fn server() -> Option<(Ellie, [Upstream; 2])> {
    peer("curl", "curl")?;
    peer("jq", "jq")?;
    let ellie = Ellie::start();
    let upstreams = [Upstream::start(), Upstream::start()];
    for (upstream, name) in upstreams.iter().zip(["user-service", "auth-service"]) {
        ellie.post("/services", &upstream.registration(name)).expect(201);
        ellie.post("/routes", &json!({"path": format!("/{name}/*"), "serviceName": name})).expect(201);
    }
    wait_until("both are healthy", || ellie.get("/services/health").json()["status"] == "healthy");
    ellie.put("/breakers/auth-service/force-open", &json!({"reason": "a drill"})).expect(200);
    Some((ellie, upstreams))
}

#[test]
fn registration_is_checked_with_curl() {
    let Some((ellie, _upstreams)) = server() else { return };
    let list = shell(&ellie, "curl -sS http://localhost:5000/services").json();
    assert_eq!(list["count"], 2);
    assert!(list["index"].is_u64());
    let names: Vec<&Value> =
        list["services"].as_array().expect("a list").iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["auth-service", "user-service"]);
    assert_eq!(list["services"][1]["instances"][0]["id"], "user-service-1");
}

#[test]
fn system_health_is_viewed_with_curl() {
    let Some((ellie, _upstreams)) = server() else { return };
    let health = shell(&ellie, "curl -sS http://localhost:5000/services/health").json();
    assert_eq!(health["status"], "healthy");
    assert_eq!(health["services"]["user-service"]["status"], "healthy");
    assert_eq!(health["services"]["user-service"]["healthy"], 1);
    assert_eq!(health["summary"]["total"], 2);
    assert!(health["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{health}");
}

#[test]
fn statistics_are_read_with_curl() {
    let Some((ellie, _upstreams)) = server() else { return };
    let stats = shell(&ellie, "curl -sS http://localhost:5000/services/stats").json();
    for part in ["registry", "healthChecks", "loadBalancer", "circuitBreaker", "gateway"] {
        assert!(stats[part].is_object(), "no {part} in {stats}");
    }
    assert_eq!(stats["loadBalancer"]["strategy"], "health_based");
}

#[test]
fn breaker_states_are_picked_out_with_jq() {
    let Some((ellie, _upstreams)) = server() else { return };
    let breakers =
        shell(&ellie, "curl -sS http://localhost:5000/services/stats | jq '.circuitBreaker'").json();
    assert_eq!(breakers["user-service"]["state"], "closed");
    assert_eq!(breakers["auth-service"]["state"], "open");
    let state =
        "curl -sS http://localhost:5000/services/stats | jq -r '.circuitBreaker[\"auth-service\"].state'";
    assert_eq!(shell(&ellie, state).stdout, "open\n");
}

#[test]
fn own_health_has_the_documented_format() {
    let Some((ellie, _upstreams)) = server() else { return };
    let health = shell(&ellie, "curl -sS --fail http://localhost:5000/health").json();
    assert_eq!(health["status"], "healthy");
    assert!(health["uptime"].is_u64());
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    for field in ["used", "total", "percentage"] {
        assert!(health["memory"][field].is_number(), "no memory.{field} in {health}");
    }
    assert!(
        health["dependencies"].as_object().is_some_and(|all| all.values().all(Value::is_boolean)),
        "{health}"
    );
}

#[test]
fn a_large_answer_is_compressed_for_a_client_that_asks() {
    let Some((ellie, _upstreams)) = server() else { return };
    let head = shell(&ellie, "curl -sS --compressed -D - -o /dev/null http://localhost:5000/services").stdout;
    assert!(head.to_ascii_lowercase().contains("content-encoding: gzip"), "{head}");
    let head = shell(&ellie, "curl -sS -D - -o /dev/null http://localhost:5000/services").stdout;
    assert!(!head.to_ascii_lowercase().contains("content-encoding"), "{head}");
}

#[test]
fn a_write_without_the_token_is_refused_and_with_it_taken() {
    let Some((ellie, _upstreams)) = server() else { return };
    let body = r#"{"name": "late", "host": "127.0.0.1", "port": 9}"#;
    let write = |token: &str| {
        let field =
            if token.is_empty() { String::new() } else { format!("-H 'Authorization: Bearer {token}'") };
        let curl = "curl -sS -w '\\n%{http_code}' -H 'Content-Type: application/json'";
        shell(&ellie, &format!("{curl} {field} -d '{body}' http://localhost:5000/services")).stdout
    };
    for token in ["", "wrong"] {
        let refused = write(token);
        let (problem, code) = refused.rsplit_once('\n').expect("body and code");
        assert_eq!(code, "401", "{refused}");
        let problem: Value = serde_json::from_str(problem).expect("a problem in JSON");
        assert_eq!(problem["type"], "urn:ellie:problem:unauthorized");
    }
    assert_eq!(ellie.get("/services").json()["count"], 2, "a refused write changed the registry");
    assert!(write(&ellie.token).ends_with("\n201"));
    assert_eq!(ellie.get("/services").json()["count"], 3);
}
