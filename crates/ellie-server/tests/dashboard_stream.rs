//! The stream of the dashboard over sockets: what a browser makes of it is what the registry has.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Ellie, Page};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::BufRead;

fn entry(name: &str, id: usize, version: usize) -> Value {
    json!({"name": name, "id": format!("i{id}"), "host": "127.0.0.1", "port": 9, "version": version.to_string(),
           "healthCheck": {"type": "none"}})
}

/// What the registry has, in the words of the stream.
fn compare(page: &Page, ellie: &Ellie) {
    let listed = ellie.get("/services").expect(200).json();
    assert_eq!(listed["index"].as_u64(), Some(page.index));
    let services = listed["services"].as_array().unwrap();
    assert_eq!(services.len(), page.services.len());
    for service in services {
        let own = &page.services[service["name"].as_str().unwrap()];
        let instances = service["instances"].as_array().unwrap();
        assert_eq!(own["instances"].as_object().unwrap().len(), instances.len());
        assert_eq!(own["total"].as_u64(), Some(instances.len() as u64));
        let routable = instances.iter().filter(|i| i["standing"] == "routable").count();
        assert_eq!(own["routable"].as_u64(), Some(routable as u64));
        for i in instances {
            let row = &own["instances"][i["id"].as_str().unwrap()];
            for part in
                ["host", "port", "version", "weight", "status", "standing", "reason", "since", "source"]
            {
                assert_eq!(row[part], i[part], "{part} of {}", i["id"]);
            }
            let marks = i["operator"].as_object().unwrap();
            assert_eq!(row["operator"].as_object().map_or(0, serde_json::Map::len), marks.len());
        }
    }
}

#[test]
fn a_thousand_changes_arrive_as_the_registry_has_them() {
    let ellie = Ellie::builder().ephemeral().start();
    let first: Vec<Value> = (0..200).map(|n| entry(&format!("s{}", n % 20), n, 0)).collect();
    ellie.post("/services/batch", &json!({"registrations": first})).expect(200);
    let mut page = Page::open(&ellie, None);
    assert_eq!(page.event(), "snapshot");
    compare(&page, &ellie);
    let mut index = 0;
    for round in 1..=100_usize {
        let name = format!("s{}", round % 20);
        let some: Vec<Value> = (0..8).map(|k| entry(&name, round * 8 + k, round)).collect();
        let known: Vec<Value> =
            (0..2).map(|_| json!({"name": name, "id": format!("i{}", round % 20)})).take(1).collect();
        let gone = if round % 40 < 20 { known } else { Vec::new() };
        let body = json!({"registrations": some, "deregistrations": gone});
        let done = ellie.call("POST", "/services/batch", Some(&body));
        // What is gone already can't go again: the batch as a whole is refused then, and sent without it.
        let done = if done.status == 200 {
            done
        } else {
            ellie.post("/services/batch", &json!({"registrations": some})).expect(200)
        };
        index = done.json()["index"].as_u64().unwrap();
        let id = format!("/services/{name}/instances/i{}", round * 8);
        let operation = [
            ("drain", json!({})),
            ("weight", json!({"weight": 7})),
            ("maintenance", json!({"enabled": true})),
        ];
        let (word, body) = &operation[round % 3];
        index =
            index.max(ellie.put(&format!("{id}/{word}"), body).expect(200).json()["index"].as_u64().unwrap());
    }
    assert!(index >= 1000, "{index} changes");
    page.until(index);
    assert_eq!(page.snapshots, 1);
    compare(&page, &ellie);
    let mut fresh = Page::open(&ellie, None);
    fresh.event();
    assert_eq!(fresh.services, page.services);
}

#[test]
fn who_comes_back_goes_on_and_after_a_restart_begins_anew() {
    let mut ellie = Ellie::start();
    ellie.post("/services", &entry("a", 1, 1)).expect(201);
    let mut page = Page::open(&ellie, None);
    page.event();
    let id = page.id.clone();
    drop(page);
    let index = ellie.post("/services", &entry("a", 2, 1)).expect(201).json()["index"].as_u64().unwrap();
    let mut again = Page::open(&ellie, Some(&id));
    again.services = BTreeMap::new();
    again.until(index);
    assert_eq!(again.snapshots, 0, "only what was missed");
    assert_eq!(again.services["a"]["instances"].as_object().unwrap().len(), 1);
    let id = again.id.clone();
    let folder = ellie.folder();
    ellie.kill();
    let restarted = Ellie::builder().folder(&folder).start();
    let mut page = Page::open(&restarted, Some(&id));
    assert_eq!(page.event(), "snapshot");
    compare(&page, &restarted);
}

#[test]
fn ticks_tell_of_traffic_by_route_service_and_instance() {
    let ellie = Ellie::builder().ephemeral().start();
    let upstream = common::Upstream::start();
    let mut body = upstream.registration("orders");
    body["healthCheck"] = json!({"type": "none"});
    ellie.post("/services", &body).expect(201);
    ellie.post("/routes", &json!({"id": "r", "path": "/*", "serviceName": "orders"})).expect(201);
    let mut page = Page::open(&ellie, None);
    page.event();
    let gateway = ellie.gateway;
    let asking = std::thread::spawn(move || common::request(gateway, "GET", "/x", &[], None).unwrap().status);
    let asked = upstream.next();
    while page.tick["services"]["orders"]["inFlight"] != json!(1) {
        page.event();
    }
    assert_eq!(page.tick["instances"]["orders"]["orders-1"][1], 1);
    assert_eq!(page.tick["routes"]["r"]["inFlight"], 1);
    asked.answer(500, "no");
    assert_eq!(asking.join().unwrap(), 500);
    while page.tick["services"]["orders"]["errors"] != json!(1.0) {
        page.event();
    }
    let figures = page.tick["instances"]["orders"]["orders-1"].clone();
    assert_eq!(figures.as_array().unwrap().len(), 7);
    assert_eq!(
        (&figures[4], &figures[5]),
        (&json!(1.0), &json!(1.0)),
        "all of the traffic, as intended: {figures}"
    );
    assert!(page.tick["p95"].is_f64() && page.tick["rps"].as_f64() > Some(0.0), "{}", page.tick);
    assert_eq!(page.tick["breakers"]["orders"]["failures"], 1);
}

/// The end of the server ends streams at once and nothing waits for them.
#[test]
fn a_stop_ends_the_stream() {
    let mut ellie = Ellie::builder().ephemeral().start();
    let mut page = Page::open(&ellie, None);
    page.event();
    ellie.signal("TERM");
    let mut rest = String::new();
    while page.lines.read_line(&mut rest).is_ok_and(|n| n > 0) {}
    assert!(ellie.wait().success());
}

#[test]
fn looking_changes_nothing() {
    let ellie = Ellie::builder().ephemeral().start();
    ellie.post("/services", &entry("a", 1, 1)).expect(201);
    let state = || {
        let stats = ellie.get("/services/stats").json();
        let events = common::request(ellie.api, "GET", "/events", &[("Accept", "application/json")], None);
        (stats["registry"].clone(), stats["gateway"].clone(), events.unwrap().json()["lastId"].clone())
    };
    let before = state();
    let mut page = Page::open(&ellie, None);
    for _ in 0..3 {
        page.event();
    }
    for path in [
        "/api/ui/history",
        "/api/ui/service/a",
        "/api/ui/instance/a/i1",
        "/api/ui/config",
        "/ui/",
        "/api/services",
    ] {
        ellie.at_dashboard("GET", path, &[], None).expect(200);
    }
    ellie.at_dashboard("POST", "/api/ui/route-test", &[], Some(&json!({"path": "/"}))).expect(200);
    assert_eq!(state(), before);
    ellie.at_dashboard("GET", "/api/ui/stream?x=1", &[], None).expect(400);
}
