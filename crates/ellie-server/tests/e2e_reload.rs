//! A changed file is taken at once, by SIGHUP or by itself; a bad one changes nothing and is told.

mod common;

use common::{Ellie, Upstream, request, wait_for, wait_until};
use serde_json::json;

fn strategy(ellie: &Ellie) -> String {
    let stats = ellie.get("/services/stats").expect(200).json();
    stats["loadBalancer"]["strategy"].as_str().expect("a strategy").to_owned()
}

fn write(ellie: &Ellie, text: &str) {
    std::fs::write(ellie.path("ellie.toml"), text).expect("ellie.toml is written");
}

const ROUND_ROBIN: &str = "[load_balancing]\nstrategy = \"round_robin\"\n";

#[test]
fn a_changed_file_is_taken_without_being_told() {
    let ellie = Ellie::builder().config(ROUND_ROBIN).start();
    assert_eq!(strategy(&ellie), "round_robin");
    write(&ellie, "[load_balancing]\nstrategy = \"random\"\n");
    wait_until("the new strategy is in force", || strategy(&ellie) == "random");
}

#[test]
fn a_file_that_is_replaced_as_editors_do_is_taken_too() {
    let ellie = Ellie::builder().config(ROUND_ROBIN).start();
    let new = ellie.path("ellie.toml.new");
    std::fs::write(&new, "[load_balancing]\nstrategy = \"least_connections\"\n").expect("written");
    std::fs::rename(new, ellie.path("ellie.toml")).expect("renamed");
    wait_until("the new strategy is in force", || strategy(&ellie) == "least_connections");
}

#[test]
fn a_bad_file_keeps_the_running_configuration_and_says_why() {
    let ellie = Ellie::builder().config(ROUND_ROBIN).start();
    write(&ellie, "[load_balancing]\nstrategie = \"random\"\n\n[health]\ninterval = \"soon\"\n");
    ellie.signal("HUP");
    let first = ellie.wait_for_line("the unknown key", |line| line.contains("strategie"));
    assert!(first.contains("ellie.toml:2"), "no file and line: {first}");
    assert!(first.contains("strategy"), "no nearest match: {first}");
    let both = ellie.log();
    assert!(both.contains("ellie.toml:5") && both.contains("soon"), "not every fault is told: {both}");
    assert_eq!(strategy(&ellie), "round_robin");
    ellie.get("/health").expect(200);

    write(&ellie, "[load_balancing]\nstrategy = \"random\"\n");
    ellie.signal("HUP");
    wait_until("the mended file is in force", || strategy(&ellie) == "random");
}

#[test]
fn services_and_routes_of_the_file_come_and_go_with_it() {
    let with = format!(
        "{ROUND_ROBIN}\n[[services]]\nname = \"static\"\nid = \"static-1\"\nhost = \"127.0.0.1\"\nport = 9\n\n\
         [[routes]]\npath = \"/static/*\"\nservice_name = \"static\"\n"
    );
    let ellie = Ellie::builder().config(&with).start();
    ellie.get("/services/static/instances/static-1").expect(200);
    assert_eq!(ellie.get("/routes").json()["count"], 1);
    ellie.delete("/services/static/instances/static-1").expect(409);

    write(&ellie, ROUND_ROBIN);
    ellie.signal("HUP");
    wait_until("the service is gone", || ellie.get("/services/static").status == 404);
    wait_until("the route is gone", || ellie.get("/routes").json()["count"] == 0);
}

#[test]
fn services_and_routes_of_the_file_change_with_it() {
    let file = |port: u16, target: &str| {
        format!(
            "[[services]]\nname = \"static\"\nid = \"static-1\"\nhost = \"127.0.0.1\"\nport = {port}\n\
             tags = [\"t{port}\"]\n[[routes]]\nid = \"r\"\npath = \"/static/*\"\nservice_name = \"static\"\n\
             target_path = \"{target}\"\n"
        )
    };
    let [first, second] = [Upstream::start(), Upstream::start()];
    let ellie = Ellie::builder().config(&file(first.address.port(), "/one")).start();
    ellie.post("/services", &second.registration("dynamic")).expect(201);
    ellie.post("/routes", &json!({ "id": "d", "path": "/dynamic/*", "serviceName": "dynamic" })).expect(201);
    let before = ellie.get("/services/dynamic/instances/dynamic-1").expect(200).json();

    write(&ellie, &file(second.address.port(), "/two"));
    ellie.signal("HUP");
    let (port, tag) = (second.address.port(), format!("t{}", second.address.port()));
    wait_until("the instance has moved", || {
        let one = ellie.get("/services/static/instances/static-1").expect(200).json();
        one["port"] == port && one["tags"][0] == *tag
    });
    wait_until("the route has another target", || ellie.get("/routes/r").json()["targetPath"] == "/two");
    // What the API was told is nobody's business here.
    let after = ellie.get("/services/dynamic/instances/dynamic-1").expect(200).json();
    assert_eq!(
        (&before["incarnation"], &before["createdIndex"]),
        (&after["incarnation"], &after["createdIndex"])
    );
    ellie.get("/routes/d").expect(200);
    // A request takes the new way once the moved instance has been checked.
    wait_until("it is healthy", || ellie.get("/services/static").json()["routable"] == 1);
    let gateway = ellie.gateway;
    // The gateway's table follows the registry a moment later.
    let asking = std::thread::spawn(move || {
        wait_for("the gateway to know it", || {
            request(gateway, "GET", "/static/x", &[], None).ok().filter(|answer| answer.status != 503)
        })
    });
    let asked = second.next();
    assert_eq!(asked.line, "GET /two/x");
    asked.answer(200, "moved");
    assert_eq!(asking.join().expect("no panic").text(), "moved");
}

#[test]
fn what_waits_for_a_restart_is_told_and_nothing_of_it_is_in_force() {
    let ellie = Ellie::builder().config(ROUND_ROBIN).start();
    write(&ellie, "[discovery]\nenabled = false\n[log]\nlevel = \"debug\"\n");
    ellie.signal("HUP");
    ellie.wait_for_line("what waits", |line| {
        line.contains("takes effect at the next start only: discovery.enabled: true → false")
    });
    wait_until("what does not wait", || strategy(&ellie) == "health_based");
    let body = json!({ "name": "users", "host": "127.0.0.1", "port": 9, "healthCheck": { "type": "none" } });
    ellie.post("/services", &body).expect(201);
    // The level is in force: the next reload, which changes nothing, is told at `debug`.
    ellie.signal("HUP");
    ellie.wait_for_line("a line at debug", |line| line.contains("nothing to change"));
}

#[test]
fn without_discovery_only_the_services_of_the_file_are_there() {
    let ellie = Ellie::start();
    let body = json!({ "name": "users", "id": "u1", "host": "127.0.0.1", "port": 9, "healthCheck": { "type": "none" } });
    ellie.post("/services", &body).expect(201);
    let folder = ellie.folder();
    drop(ellie);
    let off = Ellie::builder()
        .folder(&folder)
        .env("SERVICE_DISCOVERY_ENABLED", "false")
        .env("SERVICE_NAME", "own")
        .config("[[services]]\nname = \"static\"\nid = \"s1\"\nhost = \"127.0.0.1\"\nport = 9\n")
        .start();
    let list = off.get("/services").expect(200).json();
    assert_eq!((&list["count"], &list["services"][0]["name"]), (&json!(1), &json!("static")), "{list}");
    let refused = off.post("/services", &body).expect(403).json();
    assert_eq!(refused["type"], "urn:ellie:problem:disabled");
    drop(off);
    std::fs::remove_file(folder.path().join("ellie.toml")).expect("removed");
    let on = Ellie::builder().folder(&folder).start();
    on.get("/services/users/instances/u1").expect(200);
    on.get("/services/static").expect(404);
}

#[test]
fn nothing_starts_on_a_bad_file() {
    let ran = Ellie::builder().config("[gatewy]\nlisten = \"127.0.0.1:0\"\n").spawn().ended().expect(78);
    assert!(ran.stderr.contains("ellie.toml:1") && ran.stderr.contains("gateway"), "{}", ran.stderr);
}
