//! The commands of the service manager against a running one: what they print, and their exit codes.

mod common;

use common::{Ellie, pid, script, wait_until};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

/// Runs until it is told to stop.
const FOREVER: &str = "exec sleep 1000";

/// `web` needs `api`, which needs a task.
fn system() -> Ellie {
    let ellie = Ellie::up(&[
        script("migrate", "echo migrating; until [ -e go ]; do sleep 0.01; done", "restart = \"never\""),
        script(
            "api",
            &format!("echo 'api says hello'; {FOREVER}"),
            "dependencies = [{ name = \"migrate\", condition = \"completed\" }]\nport = \"offer\"",
        ),
        script("web", FOREVER, "dependencies = [\"api\"]\nreplicas = 2"),
    ]);
    ellie.touch("go");
    ellie.until_state("web.2", "ready");
    ellie.until_state("web.1", "ready");
    ellie
}

#[test]
fn ps_lists_what_runs() {
    let ellie = system();
    let page = ellie.cli(&["ps"]).success().stdout;
    let rows: Vec<Vec<&str>> = page.lines().map(|line| line.split_whitespace().collect()).collect();
    // A column with nothing in it is left out.
    assert_eq!(rows[0], ["NAME", "STATE", "PID", "PORT", "SINCE", "REASON"]);
    assert_eq!(rows[1][..2], ["migrate", "completed"]);
    let api = ellie.process("api");
    assert_eq!(rows[2][..4], ["api", "ready", &api["pid"].to_string(), &api["port"].to_string()]);
    assert_eq!((rows[3][0], rows[4][0]), ("web.1", "web.2"));
    assert_eq!(ellie.cli(&["ps", "-o", "name"]).success().stdout, "migrate\napi\nweb.1\nweb.2\n");
    let json = ellie.cli(&["ps", "-o", "json"]).success().json();
    assert_eq!((&json["count"], &json["processes"][1]["name"]), (&json!(4), &json!("api")));

    let without = Ellie::start();
    assert!(without.cli(&["ps"]).success().stdout.contains("ellie up"));
    without.cli(&["logs"]).expect(4);
}

#[test]
fn orders_are_carried_out_and_unknown_names_are_not_found() {
    let ellie = system();
    let before = pid(&ellie.process("api"));
    assert_eq!(ellie.cli(&["restart", "api"]).success().stdout, "api: is being restarted\n");
    ellie.until("api", "another process", |unit| unit["state"] == "ready" && pid(unit) != before);
    ellie.cli(&["stop", "web"]).success();
    ellie.cli(&["wait", "web", "--for", "stopped"]).success();
    ellie.cli(&["start", "web.2"]).success();
    ellie.cli(&["wait", "web.2"]).success();
    assert_eq!(ellie.process("web.1")["state"], "stopped");
    for command in ["start", "stop", "restart", "wait", "logs"] {
        let ran = ellie.cli(&[command, "wbe"]).expect(4);
        assert!(ran.stderr.contains("did you mean `web`?"), "{command}: {}", ran.stderr);
    }
    ellie.cli(&["stop"]).expect(2);
}

#[test]
fn down_stops_everything_and_the_server() {
    let mut ellie = system();
    let ran = ellie.cli(&["down"]).success();
    assert!(ran.stdout.ends_with("Down.\n"), "{}", ran.stdout);
    assert_eq!(ellie.wait().code(), Some(0));
    ellie.cli(&["ps"]).expect(3);
}

#[test]
fn logs_are_shown_and_followed() {
    let ellie = system();
    let page = ellie.cli(&["logs", "api"]).success().stdout;
    assert!(page.lines().any(|line| line == "api | api says hello"), "{page}");
    assert!(!page.contains("migrating"), "{page}");
    let page = ellie.cli(&["logs"]).success().stdout;
    assert!(page.lines().any(|line| line == "migrate | migrating"), "{page}");
    assert!(page.lines().any(|line| line == "api     | api says hello"), "{page}");
    let last = ellie.cli(&["logs", "api", "-n", "1", "-o", "name"]).success().stdout;
    assert_eq!(last.lines().count(), 1);

    let mut follower = ellie.command(&["logs", "-f", "api"]).stdout(Stdio::piped()).spawn().expect("it runs");
    let mut lines = BufReader::new(follower.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line == "api | api says hello"), "past lines come first");
    ellie.cli(&["restart", "api"]).success();
    assert!(lines.any(|line| line.starts_with("api · asked to restart")));
    assert!(lines.any(|line| line == "api | api says hello"), "what comes is shown");
    follower.kill().expect("it runs");
    follower.wait().expect("it has ended");
}

#[test]
fn the_graph_is_drawn_for_terminals_and_for_graphviz() {
    let ellie = system();
    let page = ellie.cli(&["graph"]).success().stdout;
    let lines: Vec<&str> = page.lines().map(str::trim_end).collect();
    assert!(lines[0].starts_with("web") && lines[0].ends_with("ready"), "{page}");
    assert!(lines[1].starts_with("└─ api") && lines[1].ends_with("needed healthy"), "{page}");
    assert!(lines[2].starts_with("   └─ migrate") && lines[2].ends_with("needed completed"), "{page}");
    let dot = ellie.cli(&["graph", "--dot"]).success().stdout;
    assert!(dot.starts_with("digraph"), "{dot}");
    assert!(dot.contains("\"web\" -> \"api\" [label=\"healthy\"]"), "{dot}");
    assert!(dot.contains("\"api\" -> \"migrate\" [label=\"completed\"]"), "{dot}");
}

#[test]
fn analyze_finds_the_critical_path() {
    let ellie = system();
    let report = ellie.cli(&["analyze", "-o", "json"]).success().json();
    let path: Vec<&str> =
        report["criticalPath"].as_array().expect("a list").iter().filter_map(|name| name.as_str()).collect();
    assert_eq!(path[..2], ["migrate", "api"]);
    assert!(path[2].starts_with("web."), "{path:?}");
    let steps = report["steps"].as_array().expect("a list");
    assert_eq!(steps.len(), 4);
    let api = steps.iter().find(|step| step["name"] == "api").expect("it was ready");
    assert_eq!((&api["blocker"], &api["critical"]), (&json!("migrate"), &json!(true)));
    let page = ellie.cli(&["analyze"]).success().stdout;
    assert!(page.contains("migrate → api → web."), "{page}");
}

#[test]
fn wait_tells_by_its_exit_code() {
    let ellie = Ellie::up(&[
        script("task", "until [ -e go ]; do sleep 0.01; done", "restart = \"never\""),
        script("bad", "exit 1", "restart = \"never\""),
        script("slow", FOREVER, "ready = { exec = \"test -e ready\", interval = \"20ms\" }"),
    ]);
    ellie.cli(&["wait", "slow", "--for", "started"]).success();
    let late = ellie.cli(&["wait", "slow", "--for", "healthy", "--timeout", "50ms"]).expect(124);
    assert!(late.stderr.contains("slow is starting"), "{}", late.stderr);
    let never = ellie.cli(&["wait", "bad"]).expect(1);
    assert!(never.stderr.contains("exit code 1"), "{}", never.stderr);
    ellie.touch("go");
    ellie.cli(&["wait", "task", "--for", "completed", "--timeout", "60s"]).success();
    ellie.touch("ready");
    let ran = ellie.cli(&["wait", "slow", "--timeout", "60s"]).success();
    assert_eq!(ran.stdout, "slow: ready\n");
    ellie.cli(&["wait", "nobody"]).expect(4);
}

#[test]
fn up_prints_what_the_processes_write_unless_told_not_to() {
    let chatty = [script("chatty", &format!("echo 'what it says'; {FOREVER}"), "")];
    let loud = Ellie::up(&chatty);
    loud.wait_for_line("its line", |line| {
        line.contains("\"process\":\"chatty\"") && line.contains("what it says")
    });
    let quiet = Ellie::builder().up(&chatty).args(["--quiet"]).start();
    quiet.until_line("chatty", "what it says");
    quiet.cli(&["down"]).success();
    wait_until("it is gone", || quiet.try_call("GET", "/health", None).is_err());
    assert!(!quiet.log().contains("what it says"), "{}", quiet.log());
}

#[test]
fn a_procfile_is_run_with_its_env_file() {
    let folder = std::sync::Arc::new(tempfile::TempDir::new().expect("a temporary folder"));
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("writable");
    write("Procfile", "web: echo \"$GREETING on $PORT\"; exec sleep 1000\nworker: exec sleep 1000\n");
    write(".env", "GREETING=\"good morning\"\n");
    let ellie = Ellie::builder().folder(&folder).verb("up").start();
    let line = ellie.until_line("web", "good morning on ").1;
    assert_eq!(json!(line.parse::<u16>().expect("a port")), ellie.process("web")["port"]);
    ellie.until_state("worker", "ready");
}

#[test]
fn a_compose_file_is_run_without_containers() {
    let folder = std::sync::Arc::new(tempfile::TempDir::new().expect("a temporary folder"));
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("writable");
    let port = common::free_port();
    write(".env", "GREETING=good morning\n");
    write("users.env", "FROM_FILE=yes\n");
    write(
        "compose.yaml",
        &format!(
            r#"
services:
  users:
    image: example/users
    command: ["sh", "-c", "echo \"$GREETING $$FROM_FILE $$OWN on $$PORT\"; touch healthy; exec sleep 1000"]
    env_file: users.env
    environment: {{ OWN: too }}
    healthcheck: {{ test: ["CMD", "test", "-e", "healthy"], interval: 100ms }}
    ports: ["{port}:80"]
    volumes: ["./data:/data"]
    depends_on: {{ migrate: {{ condition: service_completed_successfully }} }}
  web:
    command: sleep 1000
    depends_on: {{ users: {{ condition: service_healthy }} }}
  migrate: {{ command: "true" }}
"#
        ),
    );
    let ellie = Ellie::builder().folder(&folder).verb("up").args(["compose.yaml"]).start();
    ellie.until_line("users", &format!("good morning yes too on {port}"));
    ellie.until_state("web", "ready");
    assert_eq!(ellie.process("migrate")["state"], "completed");
    let log = ellie.log();
    for note in [
        "compose.yaml:10: `users` runs without a container: `volumes` is left out",
        "nothing translates ports",
    ] {
        assert!(log.contains(note), "{note}\n{log}");
    }
    let users = ellie.get("/services/users").expect(200).json();
    assert_eq!(users["instances"][0]["port"], port);
}
