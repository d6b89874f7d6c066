//! Checking now, reading the configuration again, and what the dashboard tells of the configuration.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Ellie, Upstream, wait_for};
use serde_json::{Value, json};

fn config(ellie: &Ellie) -> Value {
    ellie.at_dashboard("GET", "/api/ui/config", &[], None).expect(200).json()
}

fn item<'c>(config: &'c Value, key: &str) -> &'c Value {
    config["items"].as_array().unwrap().iter().find(|i| i["key"] == key).unwrap_or_else(|| panic!("{key}"))
}

#[test]
fn a_reload_is_answered_with_what_it_changed() {
    let ellie = Ellie::builder()
        .ephemeral()
        .config("[health]\ninterval = \"40s\"\n")
        .env("ELLIE_GATEWAY__IDLE_TIMEOUT", "50s")
        .start();
    let before = config(&ellie);
    assert_eq!(item(&before, "health.interval")["value"], "\"40s\"");
    assert_eq!(item(&before, "health.interval")["origin"]["kind"], "file");
    assert_eq!(item(&before, "health.interval")["origin"]["line"], 2);
    assert_eq!(item(&before, "gateway.idle_timeout")["origin"]["name"], "ELLIE_GATEWAY__IDLE_TIMEOUT");
    assert_eq!(item(&before, "api.listen")["restart"], true);
    assert_eq!(item(&before, "gateway.threads")["origin"]["kind"], "default");
    assert!(!before.to_string().contains(&ellie.token), "secrets are masked");
    assert_eq!((&before["pending"], &before["reloadable"]), (&json!([]), &json!(true)));

    let write = |text: &str| std::fs::write(ellie.path("ellie.toml"), text).unwrap();
    // The watch of the file may be first to take it: what counts is that afterwards it is in force.
    write("[health]\ninterval = \"20s\"\n[log]\nformat = \"text\"\n");
    let done = ellie.put("/reload", &json!({})).expect(200).json();
    let after = config(&ellie);
    assert_eq!(item(&after, "health.interval")["value"], "\"20s\"");
    assert!(done["restart"].is_array() && done["changed"].is_array(), "{done}");

    write("[health]\ninterval = \"nonsense\"\nintervall = 1\n");
    let problem = ellie.put("/reload", &json!({})).expect(422).json();
    assert_eq!(problem["type"], "urn:ellie:problem:invalid-configuration");
    let fields: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|e| e["field"].clone()).collect();
    assert!(fields.contains(&json!("health.interval")) && fields.len() == 2, "{problem}");
    assert_eq!(item(&config(&ellie), "health.interval")["value"], "\"20s\"", "the running one stays");
    let failed = ellie.cli(&["reload"]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(failed.stderr.contains("ellie check-config"), "{}", failed.stderr);

    write("[health]\ninterval = \"20s\"\n");
    ellie.cli(&["reload"]).success();
    assert!(ellie.cli(&["reload"]).success().stdout.contains("nothing is different"));
    let accept = [("Accept", "application/json")];
    let journal =
        common::request(ellie.api, "GET", "/events?kind=config-rejected", &accept, None).unwrap().json();
    let told: Vec<_> = journal["events"].as_array().unwrap().iter().map(|e| &e["actor"]).collect();
    assert!(told.iter().any(|actor| **actor == "operator"), "{journal}");
}

#[test]
fn reload_needs_the_scope_and_a_body_without_fields() {
    let ellie = Ellie::start();
    let data = ellie.path("data");
    let data = data.to_str().unwrap();
    let made = ellie
        .cli(&["token", "create", "--name", "agent", "--scope", "register", "--data-dir", data, "-o", "json"])
        .success()
        .json();
    let token = made["token"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
    let bearer = format!("Bearer {token}");
    ellie.at_dashboard("PUT", "/api/reload", &[], None).expect(401);
    // The file of tokens is looked at twice a second.
    wait_for("the new token", || {
        let answer = ellie.at_dashboard("PUT", "/api/reload", &[("Authorization", &bearer)], None);
        (answer.status != 401).then(|| answer.expect(403))
    });
    let check = "/api/services/x/instances/y/check";
    ellie.at_dashboard("PUT", check, &[("Authorization", &bearer)], None).expect(403);
    ellie.put("/reload", &json!({"file": "x"})).expect(422);
    ellie.put("/reload?now=1", &json!({})).expect(400);
    ellie.call("POST", "/reload", None).expect(405);
}

#[test]
fn a_check_now_is_told_and_fails_as_the_check_does() {
    let ellie = Ellie::builder().ephemeral().start();
    let upstream = Upstream::start();
    let port = upstream.address.port();
    let body = json!({"name": "orders", "id": "a", "host": "127.0.0.1", "port": port, "healthEndpoint": "/health",
                      "healthCheck": {"type": "http", "interval": 3_600_000}});
    ellie.post("/services", &body).expect(201);
    let said = ellie.cli(&["check", "orders", "a"]).success();
    assert!(said.stdout.contains("healthy"), "{}", said.stdout);
    let result = ellie.cli(&["check", "orders", "a", "-o", "json"]).success().json();
    assert_eq!((&result["verdict"], &result["code"]), (&json!("healthy"), &json!(200)));
    // A port that was free a moment ago: nobody listens.
    let gone = json!({"name": "orders", "id": "b", "host": "127.0.0.1", "port": common::free_port(),
                      "healthCheck": {"type": "tcp", "interval": 3_600_000}});
    ellie.post("/services", &gone).expect(201);
    let failed = ellie.cli(&["check", "orders", "b"]);
    assert_eq!(failed.status.code(), Some(1), "{}", failed.stdout);
    assert!(failed.stderr.contains("ellie why orders b"), "{}", failed.stderr);
    assert_eq!(ellie.cli(&["check", "orders", "nobody"]).status.code(), Some(4));
}
