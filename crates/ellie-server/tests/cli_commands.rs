//! The command line against the running binary: what it prints, and its exit codes to the letter.

mod common;

use common::{Ellie, Peer, free_port, wait_until};
use serde_json::{Value, json};
use std::process::Command;

/// Registers an instance that counts as healthy without a check.
fn register(ellie: &Ellie, name: &str, id: &str) {
    let body =
        json!({ "name": name, "id": id, "host": "127.0.0.1", "port": 9, "healthCheck": { "type": "none" } });
    ellie.post("/services", &body).expect(201);
}

fn code(ran: &common::Ran) -> i32 {
    ran.status.code().unwrap_or(-1)
}

#[test]
fn an_instance_from_registration_to_removal() {
    let ellie = Ellie::start();
    let ran = ellie.cli(&[
        "register",
        "users",
        "--port",
        "9",
        "--id",
        "u1",
        "--version",
        "1.2.0",
        "--tag",
        "api",
        "--meta",
        "env=test",
        "--check",
        "none",
        "-o",
        "json",
    ]);
    let made = ran.success().json();
    assert_eq!(
        (&made["id"], &made["version"], &made["metadata"]["env"]),
        (&json!("u1"), &json!("1.2.0"), &json!("test"))
    );
    let list = ellie.cli(&["services", "-o", "json"]).success().json();
    assert_eq!(list["services"][0]["instances"][0]["id"], "u1");
    assert_eq!(ellie.cli(&["services", "-o", "name"]).success().stdout, "users\n");
    assert_eq!(ellie.cli(&["instances", "users", "-o", "name"]).success().stdout, "u1\n");
    assert_eq!(ellie.cli(&["resolve", "users", "-o", "name"]).success().stdout, "127.0.0.1:9\n");
    assert_eq!(ellie.cli(&["resolve", "users"]).success().stdout, "http://127.0.0.1:9  u1\n");
    ellie.cli(&["weight", "users", "u1", "7"]).success();
    assert_eq!(ellie.get("/services/users/instances/u1").expect(200).json()["weight"], 7);
    ellie.cli(&["drain", "users", "u1", "--reason", "deploy", "--ttl", "5m"]).success();
    let drained = ellie.get("/services/users/instances/u1").expect(200).json();
    assert_eq!(
        (&drained["standing"], &drained["operator"]["draining"]["reason"]),
        (&json!("draining"), &json!("deploy"))
    );
    assert_eq!(code(&ellie.cli(&["resolve", "users"])), 1, "nothing is left to resolve");
    ellie.cli(&["undrain", "users", "u1"]).success();
    ellie.cli(&["maintenance", "users", "u1"]).success();
    ellie.cli(&["maintenance", "users", "u1", "--off"]).success();
    assert_eq!(ellie.get("/services/users/instances/u1").expect(200).json()["standing"], "routable");
    ellie.cli(&["deregister", "users", "u1"]).success();
    assert_eq!(code(&ellie.cli(&["deregister", "users", "u1"])), 4);
    let events = ellie.cli(&["events", "-o", "jsonl"]).success().stdout;
    assert!(events.lines().any(|l| l.contains("deregistered") && l.contains("u1")), "{events}");
}

#[test]
fn exit_codes_say_what_kind_of_failure_it_was() {
    let ellie = Ellie::start();
    assert_eq!(code(&ellie.cli(&["health"])), 0);
    // Of ellie alone, even where nothing of its services works.
    let nothing = json!({ "name": "down", "id": "d1", "host": "127.0.0.1", "port": 9 });
    assert_eq!(ellie.post("/services", &nothing).status, 201);
    wait_until("a verdict on the service", || code(&ellie.cli(&["health"])) == 1);
    assert!(ellie.cli(&["health", "--self"]).success().stdout.contains("is healthy"));
    assert_eq!(code(&ellie.cli(&["health", "--self", "down"])), 2);
    assert_eq!(ellie.delete("/services/down/instances/d1").status, 204);
    assert_eq!(code(&ellie.cli(&["frobnicate"])), 2);
    assert_eq!(code(&ellie.cli(&["register", "users", "--port", "70000"])), 2);
    assert_eq!(code(&ellie.cli(&["instances", "nobody"])), 4);
    assert_eq!(code(&ellie.cli(&["routes", "rm", "nothing"])), 4);
    let refused = ellie.cli(&["register", "a/b", "--port", "1"]);
    assert_eq!(code(&refused), 1);
    assert!(refused.stderr.contains("name: `a/b` has the character `/`"), "{}", refused.stderr);
    let away = ellie.cli(&["--server", &format!("http://127.0.0.1:{}", free_port()), "services"]);
    assert_eq!(code(&away), 3);
    assert!(away.stderr.contains("ellie serve"), "{}", away.stderr);
    let denied =
        ellie.command(&["drain", "users", "u", "--force"]).env("ELLIE_TOKEN", "wrong").output().unwrap();
    assert_eq!(denied.status.code(), Some(6));
    // Something that accepts and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    let late = ellie.cli(&["--server", &silent, "--timeout", "200ms", "services"]);
    assert_eq!(code(&late), 124, "{}", late.stderr);
}

#[test]
fn errors_are_json_where_json_is_asked_for() {
    let ellie = Ellie::start();
    let ran = ellie.cli(&["why", "nobody", "-o", "json"]);
    let error: Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(error["error"]["code"], 4);
    assert!(error["error"]["try"][0].as_str().unwrap().starts_with("ellie register nobody"), "{error}");
}

#[test]
fn the_last_instance_with_traffic_is_taken_out_with_force_only() {
    let ellie = Ellie::start();
    register(&ellie, "users", "a");
    register(&ellie, "users", "b");
    ellie.cli(&["drain", "users", "a"]).success();
    for line in [["drain", "users", "b"], ["maintenance", "users", "b"], ["deregister", "users", "b"]] {
        let ran = ellie.cli(&line);
        assert_eq!(code(&ran), 5, "{line:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("a is draining") && ran.stderr.contains("--force"), "{}", ran.stderr);
    }
    assert_eq!(code(&ellie.cli(&["weight", "users", "b", "0"])), 5);
    ellie.cli(&["drain", "users", "b", "--force"]).success();
    register(&ellie, "alone", "a");
    ellie.cli(&["drain", "alone", "a"]).success();
}

#[test]
fn why_explains_and_says_what_to_try() {
    let ellie = Ellie::start();
    let port = free_port().to_string();
    ellie.cli(&["register", "users", "--port", &port, "--id", "u1", "--health", "/health"]).success();
    wait_until("the first check's result", || {
        ellie.get("/services/users/instances/u1").expect(200).json()["checks"].as_u64() > Some(0)
    });
    let ran = ellie.cli(&["why", "users"]).expect(1).stdout;
    assert!(ran.contains("users is not routable: its only instance gets no traffic"), "{ran}");
    assert!(ran.contains("connection refused"), "{ran}");
    assert!(ran.contains(&format!("try: curl -i --max-time 5 http://127.0.0.1:{port}/health")), "{ran}");
    let report = ellie.cli(&["why", "users", "u1", "-o", "json"]).expect(1).json();
    assert_eq!(
        (&report["routable"], &report["instances"][0]["status"]),
        (&json!(false), &json!("unhealthy"))
    );
    let near = ellie.cli(&["why", "usres"]);
    assert_eq!(code(&near), 4);
    assert!(
        near.stderr.contains("did you mean `users`?") && near.stderr.contains("ellie why users"),
        "{}",
        near.stderr
    );
    ellie.cli(&["deregister", "users", "u1"]).success();
    let gone = ellie.cli(&["why", "users"]);
    assert!(gone.stderr.contains("deregistered"), "its removal is remembered: {}", gone.stderr);
}

#[test]
fn routes_breakers_and_strategy() {
    let ellie = Ellie::start();
    register(&ellie, "users", "a");
    ellie
        .cli(&[
            "routes",
            "add",
            "/api/users/*",
            "users",
            "--id",
            "r1",
            "-X",
            "GET",
            "--target-path",
            "/users",
        ])
        .success();
    assert_eq!(ellie.cli(&["routes", "-o", "name"]).success().stdout, "r1\n");
    let taken = ellie.cli(&["routes", "test", "/api/users/7?x=1", "-o", "json"]).success().json();
    assert_eq!((&taken["route"], &taken["target"]), (&json!("r1"), &json!("/users/7?x=1")));
    assert_eq!(code(&ellie.cli(&["routes", "test", "/api/users2"])), 4);
    assert!(ellie.cli(&["routes", "test", "/api/users", "-X", "POST"]).stderr.contains("405"));
    let again = ["routes", "add", "/other", "users", "--id", "r1"];
    assert_eq!(code(&ellie.cli(&again)), 5);
    ellie.cli(&[&again[..], &["--force"]].concat()).success();
    assert_eq!(ellie.get("/routes/r1").expect(200).json()["path"], "/other");
    ellie.cli(&["routes", "rm", "r1"]).success();

    wait_until("the breaker of users", || {
        ellie.cli(&["breakers", "-o", "name"]).success().stdout.contains("users")
    });
    ellie.cli(&["breakers", "force-open", "users", "--ttl", "1m"]).success();
    let why = ellie.cli(&["why", "users"]).expect(1).stdout;
    assert!(
        why.contains("its circuit breaker is open") && why.contains("ellie breakers reset users"),
        "{why}"
    );
    ellie.cli(&["breakers", "reset", "users"]).success();
    ellie.cli(&["why", "users"]).success();
    let held = ellie.cli(&["breakers", "reset", "users", "--ttl", "1h", "--reason", "warms up"]).success();
    assert!(held.stdout.contains("held so for 1h"), "{}", held.stdout);
    let breaker = ellie.get("/breakers/users").expect(200).json();
    assert_eq!((&breaker["state"], &breaker["forced"]["state"]), (&json!("closed"), &json!("closed")));
    assert!(breaker["forced"]["left"].as_u64() > Some(3_000_000), "{breaker}");
    ellie.cli(&["breakers", "reset", "users"]).success();
    assert_eq!(ellie.get("/breakers/users").expect(200).json()["forced"], json!(null));
    assert_eq!(code(&ellie.cli(&["breakers", "reset", "nobody"])), 4);

    ellie.cli(&["strategy", "Round-Robin"]).success();
    ellie.cli(&["strategy", "random", "--service", "users"]).success();
    let all = ellie.cli(&["strategy", "-o", "json"]).success().json();
    assert_eq!(all, json!({ "strategy": "round_robin", "services": { "users": "random" } }));
    assert_eq!(
        ellie.cli(&["strategy", "-o", "jsonl"]).success().stdout,
        "{\"strategy\":\"round_robin\"}\n{\"service\":\"users\",\"strategy\":\"random\"}\n"
    );
    ellie.cli(&["strategy", "default", "--service", "users"]).success();
    let its = ellie.cli(&["strategy", "--service", "users", "-o", "name"]).success().stdout;
    assert_eq!(its, "round_robin\n");
    assert_eq!(code(&ellie.cli(&["strategy", "fastest"])), 2);
    assert_eq!(code(&ellie.cli(&["strategy", "default"])), 2, "of which service?");
    assert_eq!(code(&ellie.cli(&["strategy", "--service", "nobody"])), 4);
    // It may be set before there is a service, and then says so.
    let early = ellie.cli(&["strategy", "random", "--service", "later"]).success().stdout;
    assert!(early.contains("later is not registered yet"), "{early}");

    // What became of a route is told of the service that it leads to.
    let events = ellie.cli(&["events", "--service", "users", "-o", "json"]).success().json();
    let kinds: Vec<_> = events["events"].as_array().unwrap().iter().map(|e| e["kind"].clone()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "route-changed").count(), 3, "{kinds:?}");
}

#[test]
fn a_configuration_that_is_named_is_not_passed_over() {
    let ellie = Ellie::start();
    let bad = ellie.path("bad.toml");
    std::fs::write(&bad, "bogus = 1\n").unwrap();
    for file in [bad.to_str().unwrap(), "/nowhere/ellie.toml"] {
        for command in [&["services"][..], &["token", "ls"], &["config", "show"]] {
            let ran = ellie.cli(&[&["--config", file], command].concat());
            assert_eq!(code(&ran), 78, "{command:?}: {}", ran.stderr);
        }
        assert_eq!(code(&ellie.cli(&["--config", file, "doctor"])), 1, "which tells it among others");
    }
}

#[test]
fn a_gateway_that_is_taken_for_the_api_is_told_so() {
    let ellie = Ellie::start();
    let gateway = format!("http://{}", ellie.gateway);
    let ran = ellie.cli(&["--server", &gateway, "services"]);
    assert_eq!(code(&ran), 4);
    assert!(ran.stderr.contains("is a gateway, not an API"), "{}", ran.stderr);
}

#[test]
fn tokens_are_accepted_and_revoked_while_it_runs() {
    let ellie = Ellie::start();
    let data = ellie.path("data");
    let data = data.to_str().unwrap();
    let token = ellie
        .cli(&["token", "create", "--name", "ci", "--scope", "register", "--data-dir", data])
        .success()
        .stdout;
    let token = token.trim().to_owned();
    let with = |arguments: &[&str]| {
        ellie.command(arguments).env("ELLIE_TOKEN", &token).output().unwrap().status.code().unwrap_or(-1)
    };
    wait_until("the token is accepted", || {
        with(&["register", "users", "-p", "9", "--check", "none", "--id", "a"]) == 0
    });
    assert_eq!(with(&["strategy", "random"]), 6, "its scope is smaller");
    assert_eq!(ellie.cli(&["token", "ls", "-o", "name", "--data-dir", data]).success().stdout, "ci\n");
    let again = ["token", "create", "--name", "ci", "--scope", "read", "--data-dir", data];
    assert_eq!(code(&ellie.cli(&again)), 5);
    ellie.cli(&["token", "revoke", "ci", "--data-dir", data]).success();
    assert_eq!(code(&ellie.cli(&["token", "revoke", "ci", "--data-dir", data])), 4);
    wait_until("the token is refused", || {
        with(&["register", "users", "-p", "9", "--check", "none", "--id", "a"]) == 6
    });
}

#[test]
fn a_command_is_registered_for_as_long_as_it_runs() {
    let ellie = Ellie::start();
    let port = free_port().to_string();
    // The instance's port is held by this test: the command itself needs only to live.
    let listener = std::net::TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();
    let mut command: Command = ellie.command(&[
        "run",
        "--name",
        "job",
        "--id",
        "j1",
        "--port",
        &port,
        "--check",
        "tcp",
        "--ttl",
        "1m",
        "--drain",
        "0",
        "--",
        "sh",
        "-c",
        "trap 'exit 9' TERM; while :; do sleep 0.05; done",
    ]);
    let log = ellie.path("run.log");
    let mut run = Peer::spawn("ellie run", &mut command, &log);
    wait_until("it is registered", || ellie.get("/services/job/instances/j1").status == 200);
    Command::new("kill").args(["-TERM", &run.id().to_string()]).status().unwrap();
    wait_until("the command ends", || !run.is_running());
    assert_eq!(ellie.get("/services/job/instances/j1").status, 404, "{}", common::text_of(&log));
    drop(listener);
    assert_eq!(code(&ellie.cli(&["run", "--name", "x", "--", "sh", "-c", "exit 7"])), 7);
    assert_eq!(code(&ellie.cli(&["run", "--name", "x", "--", "sh", "-c", "kill -KILL $$"])), 137);
    assert_eq!(code(&ellie.cli(&["run", "--", "/no/such/program"])), 1);
    let away = format!("http://127.0.0.1:{}", free_port());
    let ran = ellie.cli(&["--server", &away, "run", "--name", "x", "--at-once", "--", "sh", "-c", "exit 3"]);
    assert_eq!(code(&ran), 3, "a server that is away does not end it: {}", ran.stderr);
}

#[test]
fn bad_configurations_end_with_78_and_every_fault() {
    let ellie = Ellie::start();
    let file = ellie.path("bad.toml");
    std::fs::write(&file, "[gateway]\ntreads = 2\n[health]\ninterval = \"soon\"\n").unwrap();
    let file = file.to_str().unwrap();
    for line in [
        vec!["check-config", file],
        vec!["serve", "--config", file],
        vec!["config", "show", "--config", file],
    ] {
        let ran = ellie.cli(&line);
        assert_eq!(code(&ran), 78, "{line:?}");
        assert!(
            ran.stderr.contains(":2:1: gateway.treads: unknown key; did you mean `threads`?")
                && ran.stderr.contains(":4:12: health.interval: `soon` is not a duration"),
            "{}",
            ran.stderr
        );
    }
    let open = ellie.cli(&["serve", "--ephemeral", "--api-listen", "0.0.0.0:0"]);
    assert_eq!(code(&open), 78);
    assert!(
        open.stderr.contains("ELLIE_AUTH__OPERATOR_TOKEN") && open.stderr.contains("--insecure"),
        "{}",
        open.stderr
    );
    let shown =
        ellie.command(&["config", "show", "--origin"]).env("HEALTH_CHECK_INTERVAL", "1234").output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown
            .lines()
            .any(|l| l.starts_with("interval = \"1s 234ms\"") && l.ends_with("# env HEALTH_CHECK_INTERVAL")),
        "{shown}"
    );
}

#[test]
fn what_is_made_from_the_program_itself() {
    let ellie = Ellie::start();
    assert!(ellie.cli(&["completions", "bash"]).success().stdout.contains("complete"));
    assert!(ellie.cli(&["man"]).success().stdout.contains(".TH ellie"));
    assert_eq!(ellie.cli(&["openapi"]).success().json(), ellie.get("/openapi.json").expect(200).json());
    let doctor = ellie.cli(&["doctor", "-o", "json"]).success().json();
    assert!(
        doctor.as_array().unwrap().iter().any(|f| f["topic"] == "server" && f["level"] == "ok"),
        "{doctor}"
    );
    assert!(!ellie.cli(&["services"]).stdout.contains('\u{1b}'), "no colours in a pipe");
}
