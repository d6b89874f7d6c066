//! `ellie up`: processes that start in the order of their dependencies, and are services while they are ready.

mod common;

use common::{Ellie, free_port, is_alive, peer, pid, request, script, service, signal, wait_for, wait_until};
use serde_json::json;
use std::net::{Ipv4Addr, TcpListener};

/// Runs until it is told to stop.
const FOREVER: &str = "exec sleep 1000";

#[test]
fn dependents_wait_until_all_is_healthy_and_independents_start_together() {
    let meet = |own: &str, other: &str| {
        format!("touch {own}.up; until [ -e {other}.up ]; do sleep 0.01; done; echo met; {FOREVER}")
    };
    let ellie = Ellie::up(&[
        script("web", FOREVER, "dependencies = [\"api\"]"),
        script("api", FOREVER, "dependencies = [\"db\", \"cache\"]"),
        script("db", &meet("db", "cache"), "ready = { exec = \"test -e go\", interval = \"20ms\" }"),
        script("cache", &meet("cache", "db"), "ready = { log = \"met\" }"),
    ]);
    // Each ends its wait only while the other runs.
    ellie.until_line("db", "met");
    ellie.until_state("cache", "ready");
    let api = ellie.until_state("api", "waiting");
    assert!(api["reason"].as_str().unwrap().contains("db"), "{api}");
    assert_eq!(api["dependencies"][0], json!({"name": "db", "condition": "healthy", "met": false}));
    assert_eq!(api["dependencies"][1]["met"], true);
    assert_eq!(ellie.process("web")["state"], "waiting");
    assert_eq!(ellie.process("db")["state"], "starting");

    ellie.touch("go");
    ellie.until_state("web", "ready");
    assert_eq!(ellie.process("api")["times"]["blocker"], "db");
    let order = [
        ellie.until_line("db", "is ready").0,
        ellie.until_line("api", "started as").0,
        ellie.until_line("api", "is ready").0,
        ellie.until_line("web", "started as").0,
    ];
    assert!(order.is_sorted(), "{order:?}");
}

#[test]
fn started_completed_and_a_log_line_are_waited_for() {
    let ellie = Ellie::up(&[
        script("slow", FOREVER, "ready = { exec = \"false\" }\nstart_timeout = \"10m\""),
        script("task", "until [ -e task.go ]; do sleep 0.01; done", "restart = \"never\""),
        script(
            "cache",
            &format!(
                "until [ -e cache.go ]; do sleep 0.01; done; echo 'cache is warm: 12 entries'; {FOREVER}"
            ),
            "",
        ),
        script("after-start", FOREVER, "dependencies = [{ name = \"slow\", condition = \"started\" }]"),
        script("after-task", FOREVER, "dependencies = [{ name = \"task\", condition = \"completed\" }]"),
        script("after-line", FOREVER, "dependencies = [{ name = \"cache\", log = \"is warm\" }]"),
    ]);
    ellie.until_state("after-start", "ready");
    assert_eq!(ellie.process("slow")["state"], "starting");
    // Ready is not enough for either of these.
    ellie.until_state("cache", "ready");
    assert_eq!(ellie.process("after-line")["state"], "waiting");
    assert_eq!(ellie.process("after-task")["state"], "waiting");
    ellie.touch("task.go");
    ellie.until_state("after-task", "ready");
    assert_eq!(ellie.process("task")["state"], "completed");
    assert_eq!(ellie.process("after-line")["state"], "waiting");
    ellie.touch("cache.go");
    ellie.until_state("after-line", "ready");
}

#[test]
fn a_task_that_fails_holds_its_dependents_back_and_says_so() {
    let ellie = Ellie::up(&[
        script("task", "exit 4", "restart = \"never\""),
        script("api", FOREVER, "dependencies = [{ name = \"task\", condition = \"completed\" }]"),
    ]);
    let task = ellie.until_state("task", "failed");
    assert_eq!(task["lastExit"]["code"], 4);
    let api =
        ellie.until("api", "held back", |api| api["reason"].as_str().is_some_and(|r| r.contains("failed")));
    assert_eq!(api["state"], "waiting");
    assert!(api["pid"].is_null(), "{api}");
    let ran = ellie.cli(&["wait", "task", "--for", "completed"]).expect(1);
    assert!(ran.stderr.contains("exit code 4"), "{}", ran.stderr);
}

#[test]
fn what_runs_elsewhere_is_waited_for() {
    let port = free_port();
    let external = format!(
        "[[processes]]\nname = \"redis\"\nexternal = {{ tcp = \"127.0.0.1:{port}\", interval = \"20ms\" }}\n"
    );
    let ellie = Ellie::up(&[external, script("api", FOREVER, "dependencies = [\"redis\"]")]);
    let redis = ellie
        .until("redis", "asked", |redis| redis["reason"].as_str().is_some_and(|r| r.contains("refused")));
    assert_eq!((&redis["external"], &redis["pid"]), (&json!(true), &json!(null)));
    assert_eq!(ellie.process("api")["state"], "waiting");
    let _redis = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is still free");
    ellie.until_state("api", "ready");
}

#[test]
fn a_service_is_registered_checked_and_routed_while_it_runs() {
    if peer("python3", "python3").is_none() {
        return;
    }
    let route = "[[routes]]\npath = \"/api/*\"\nservice_name = \"api\"\n".to_owned();
    let ellie = Ellie::up(&[service("api", "replicas = 2\nready = { http = \"/health\" }"), route]);
    let units = wait_for("both replicas", || {
        let units = ellie.get("/processes/api").expect(200).json();
        let all = units["processes"].as_array()?.iter().all(|unit| unit["state"] == "ready");
        all.then_some(units)
    });
    let instances = ellie.get("/services/api").expect(200).json();
    for i in 0..2 {
        let (unit, instance) = (&units["processes"][i], &instances["instances"][i]);
        assert_eq!((&instance["id"], &instance["port"]), (&unit["name"], &unit["port"]));
        assert_eq!((&instance["status"], &instance["source"]), (&json!("healthy"), &json!("process")));
        assert_eq!(instance["healthEndpoint"], "/health");
    }
    wait_until("the gateway knows it", || ellie.through("GET", "/api/x").status == 200);
    assert_eq!(ellie.through("GET", "/api/x").text(), "api");

    // A restart registers it anew: nothing is left of having been taken out of traffic.
    let before = pid(&ellie.process("api.1"));
    ellie.put("/processes/api.1/restart", &json!({})).expect(202);
    ellie.until("api.1", "another process", |unit| unit["state"] == "ready" && pid(unit) != before);
    wait_until("both to be sent traffic again", || ellie.get("/services/api").json()["routable"] == 2);

    ellie.put("/processes/api/stop", &json!({})).expect(202);
    ellie.until_state("api.1", "stopped");
    ellie.until_state("api.2", "stopped");
    wait_until("it is no service any more", || ellie.get("/services/api").status == 404);
    assert_eq!(ellie.through("GET", "/api/x").status, 503);
    ellie.put("/processes/api/start", &json!({})).expect(202);
    wait_until("it is a service again", || ellie.through("GET", "/api/x").status == 200);
}

#[test]
fn a_process_is_told_its_port_the_server_and_a_token_of_its_own() {
    if peer("python3", "python3").is_none() {
        return;
    }
    let speak = r#"
import json, os, time, urllib.request, urllib.error
def call(method, path, body=None):
    request = urllib.request.Request(os.environ["ELLIE_URL"] + path, method=method)
    request.add_header("Authorization", "Bearer " + os.environ["ELLIE_TOKEN"])
    if body is not None:
        request.add_header("Content-Type", "application/json")
        request.data = json.dumps(body).encode()
    try:
        return urllib.request.urlopen(request).status
    except urllib.error.HTTPError as error:
        return error.code
me = {"name": "self", "id": "s1", "host": "127.0.0.1", "port": int(os.environ["PORT"]), "healthCheck": {"type": "none"}}
print("registered", call("POST", "/services", me))
print("may stop others", call("PUT", "/processes/-/stop"))
print("may drain", call("PUT", "/services/self/instances/s1/drain", {}))
print("secret", os.environ.get("ELLIE_AUTH__OPERATOR_TOKEN", "(unset)"))
print("service", os.environ["SERVICE_NAME"], os.environ["SERVICE_PORT"] == os.environ["PORT"])
while True:
    time.sleep(1000)
"#;
    let process = format!(
        "[[processes]]\nname = \"speaker\"\ncommand = [\"python3\", \"-uc\", '''{speak}''']\nport = \"offer\"\n"
    );
    // Without a data directory the harness gives it the operator's token in its environment.
    let ellie = Ellie::builder().up(&[process]).ephemeral().start();
    assert_eq!(ellie.until_line("speaker", "registered ").1, "201");
    assert_eq!(ellie.until_line("speaker", "may stop others ").1, "403");
    assert_eq!(ellie.until_line("speaker", "may drain ").1, "403");
    assert_eq!(ellie.until_line("speaker", "secret ").1, "(unset)");
    assert_eq!(ellie.until_line("speaker", "service ").1, "speaker True");
    ellie.get("/services/self/instances/s1").expect(200);
}

#[test]
fn a_dead_dependency_restarts_whoever_asked_for_that_and_leaves_the_rest() {
    let quick = "backoff = { base = \"10ms\", cap = \"20ms\" }";
    let ellie = Ellie::up(&[
        script("db", FOREVER, quick),
        script("follower", FOREVER, "dependencies = [{ name = \"db\", restart = true }]"),
        script("loner", FOREVER, "dependencies = [\"db\"]"),
    ]);
    let db = pid(&ellie.until_state("db", "ready"));
    let follower = pid(&ellie.until_state("follower", "ready"));
    let loner = pid(&ellie.until_state("loner", "ready"));
    signal(db, "KILL");
    let again = ellie.until("db", "started again", |unit| unit["restarts"] == 1 && unit["state"] == "ready");
    assert_eq!(again["lastExit"]["signal"], 9);
    ellie.until("follower", "another process", |unit| unit["state"] == "ready" && pid(unit) != follower);
    assert!(!is_alive(follower));
    assert_eq!(pid(&ellie.process("loner")), loner);
    assert_eq!(ellie.process("loner")["restarts"], 0);
}

#[test]
fn a_sick_process_is_restarted() {
    if peer("python3", "python3").is_none() {
        return;
    }
    let live = "live = { http = \"/health\", interval = \"20ms\", failures = 2 }\n\
                backoff = { base = \"10ms\", cap = \"20ms\" }";
    let ellie = Ellie::up(&[service("api", live)]);
    let before = pid(&ellie.until_state("api", "ready"));
    ellie.touch("api.sick");
    ellie.until_line("api", "no longer works");
    std::fs::remove_file(ellie.path("api.sick")).expect("it is there");
    ellie.until("api", "another process", |unit| unit["state"] == "ready" && pid(unit) != before);
    assert!(!is_alive(before));
}

#[test]
fn one_signal_drains_in_reverse_order_and_lets_requests_finish() {
    if peer("python3", "python3").is_none() {
        return;
    }
    let route = "[[routes]]\npath = \"/slow\"\nservice_name = \"api\"\n".to_owned();
    let mut ellie = Ellie::up(&[
        script("db", FOREVER, ""),
        service("api", "dependencies = [\"db\"]\nready = { http = \"/health\" }\ndrain_timeout = \"10m\""),
        script("web", FOREVER, "dependencies = [\"api\"]"),
        route,
    ]);
    ellie.until_state("web", "ready");
    wait_until("the gateway knows it", || ellie.get("/services/api/resolve").status == 200);
    let gateway = ellie.gateway;
    let client = std::thread::spawn(move || request(gateway, "GET", "/slow", &[], None));
    wait_until("the request has arrived", || ellie.path("api.asked").exists());
    ellie.signal("INT");
    ellie.until_state("web", "stopped");
    ellie.until_state("api", "draining");
    assert_eq!(ellie.process("db")["state"], "ready");
    ellie.touch("api.go");
    let answer = client.join().expect("no panic").expect("an answer");
    assert_eq!((answer.status, answer.text().as_str()), (200, "api"));
    assert_eq!(ellie.wait().code(), Some(0), "{}", ellie.log());
    let log = ellie.log();
    let places = ["web", "api", "db"].map(|name| {
        let process = format!("\"process\":\"{name}\"");
        log.lines().position(|line| line.contains(&process) && line.contains("\"stopped: "))
    });
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}\n{log}");
}

#[test]
fn a_second_signal_kills_at_once() {
    let stubborn = script("stubborn", "trap '' TERM; while :; do sleep 1000; done", "stop_timeout = \"10m\"");
    let mut ellie = Ellie::up(&[stubborn]);
    let child = pid(&ellie.until_state("stubborn", "ready"));
    ellie.signal("INT");
    ellie.until_state("stubborn", "stopping");
    assert!(ellie.is_running());
    assert!(is_alive(child));
    ellie.signal("INT");
    assert_eq!(ellie.wait().code(), Some(130), "{}", ellie.log());
    assert!(!is_alive(child));
}

#[test]
fn kill_9_of_ellie_leaves_no_orphans_and_the_next_start_no_ghosts() {
    if peer("python3", "python3").is_none() {
        return;
    }
    // One that leaves its session, as daemons do, and one that ignores what it is told.
    let tree = "setsid sh -c 'echo deep $$; exec sleep 1000' & trap '' TERM HUP INT; echo shallow $$; while :; do sleep 1000; done";
    let processes = [script("tree", tree, ""), service("api", "ready = { http = \"/health\" }")];
    let mut ellie = Ellie::up(&processes);
    let pids: Vec<u32> = ["deep ", "shallow "]
        .map(|text| ellie.until_line("tree", text).1.trim().parse().expect("a process id"))
        .into_iter()
        .chain([pid(&ellie.until_state("api", "ready"))])
        .collect();
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    ellie.kill();
    wait_until("all of them are gone", || !pids.iter().any(|pid| is_alive(*pid)));

    // The same data: what was registered went with its process.
    let held = [
        service("api", "dependencies = [\"gate\"]"),
        script("gate", FOREVER, "ready = { exec = \"test -e go\" }"),
    ];
    let next = Ellie::builder().folder(&ellie.folder()).up(&held).start();
    wait_until("the registration of the killed one is withdrawn", || next.get("/services/api").status == 404);
    next.touch("go");
    next.until_state("api", "ready");
    assert_eq!(next.get("/services/api").expect(200).json()["count"], 1);
}

#[test]
fn dev_restarts_what_has_changed() {
    let app = script("app", "cat source.txt; exec sleep 1000", "watch = [\"source.txt\"]");
    let other = script("other", FOREVER, "watch = [\"elsewhere\"]");
    let folder = std::sync::Arc::new(tempfile::TempDir::new().expect("a temporary folder"));
    std::fs::write(folder.path().join("source.txt"), "first\n").expect("a file can be written");
    std::fs::create_dir(folder.path().join("elsewhere")).expect("a folder can be made");
    let ellie = Ellie::builder().folder(&folder).up(&[app, other]).verb("dev").start();
    ellie.until_line("app", "first");
    let kept = pid(&ellie.until_state("other", "ready"));
    ellie.wait_for_line("files are watched", |line| line.contains("files are watched"));
    std::fs::write(folder.path().join("source.txt"), "second\n").expect("a file can be written");
    ellie.until_line("app", "second");
    ellie.wait_for_line("which file", |line| line.contains("source.txt") && line.contains("restarting it"));
    assert_eq!(pid(&ellie.process("other")), kept);
}
