//! What the pages are told of processes and of providers, and what they do to processes.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Ellie, Page, script};
use serde_json::{Value, json};

/// Reads on until the stream tells what is looked for.
fn until<T>(page: &mut Page, look: impl Fn(&Page) -> Option<T>) -> T {
    loop {
        if let Some(found) = look(page) {
            return found;
        }
        page.event();
    }
}

fn one(page: &Page, name: &str) -> Value {
    let all = page.processes.as_array().unwrap_or_else(|| panic!("no processes: {}", page.processes));
    all.iter().find(|p| p["name"] == name).unwrap_or_else(|| panic!("no {name}: {all:?}")).clone()
}

fn until_state(page: &mut Page, name: &str, state: &str) -> Value {
    until(page, |page| Some(one(page, name)).filter(|p| p["state"] == state))
}

#[test]
fn the_stream_tells_every_step_of_a_process_and_orders_are_carried_out() {
    let ellie = Ellie::up(&[
        script("migrate", "until [ -e go ]; do sleep 0.01; done", "restart = \"never\""),
        script(
            "api",
            "echo hello; exec sleep 1000",
            "dependencies = [{ name = \"migrate\", condition = \"completed\" }]",
        ),
    ]);
    let mut page = Page::open(&ellie, None);
    assert_eq!(page.event(), "snapshot");
    let waiting = until_state(&mut page, "api", "waiting");
    assert_eq!(
        waiting["dependencies"][0],
        json!({"name": "migrate", "condition": "completed", "met": false})
    );
    ellie.touch("go");
    let ready = until_state(&mut page, "api", "ready");
    assert_eq!(
        (&ready["dependencies"][0]["met"], one(&page, "migrate")["state"].as_str()),
        (&json!(true), Some("completed"))
    );
    // Told once, as the API tells it, not every second.
    assert_eq!(ready, ellie.process("api"));

    let bearer = format!("Bearer {}", ellie.token);
    let order = |verb: &str, fields: &[(&str, &str)]| {
        ellie.at_dashboard("PUT", &format!("/api/processes/api/{verb}"), fields, Some(&json!({})))
    };
    order("stop", &[]).expect(401);
    let authorized = [("Authorization", bearer.as_str())];
    order("restart", &[("Authorization", &bearer), ("Origin", "https://evil.example")]).expect(403);
    order("restart", &authorized).expect(202);
    let again = until(&mut page, |page| {
        Some(one(page, "api")).filter(|p| p["state"] == "ready" && p["pid"] != ready["pid"])
    });
    assert!(again["restarts"].as_u64().unwrap() >= ready["restarts"].as_u64().unwrap());
    order("stop", &authorized).expect(202);
    until_state(&mut page, "api", "stopped");
    order("start", &authorized).expect(202);
    until_state(&mut page, "api", "ready");
    let logs = ellie.at_dashboard("GET", "/api/processes/api/logs?tail=400", &[], None).expect(200).json();
    let hellos = logs["lines"].as_array().unwrap().iter().filter(|line| line["text"] == "hello").count();
    assert_eq!(hellos, 3, "{logs}");
    assert_eq!(page.snapshots, 1);
}

#[test]
fn a_server_without_processes_tells_of_none() {
    let ellie = Ellie::builder().ephemeral().start();
    let mut page = Page::open(&ellie, None);
    page.event();
    assert_eq!((&page.processes, &page.providers), (&Value::Null, &Value::Null));
}

#[test]
fn the_stream_tells_why_a_provider_is_down_and_that_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("none.sock");
    let config = format!("[providers.docker]\nenabled = true\nendpoint = \"unix://{}\"\n", socket.display());
    let ellie = Ellie::builder().ephemeral().config(&config).start();
    let mut page = Page::open(&ellie, None);
    page.event();
    let down = until(&mut page, |page| {
        Some(page.providers[0].clone()).filter(|provider| provider["error"].is_string())
    });
    assert_eq!((&down["name"], &down["up"]), (&json!("docker"), &json!(false)));
    std::fs::write(ellie.path("ellie.toml"), "").unwrap();
    ellie.put("/reload", &json!({})).expect(200);
    until(&mut page, |page| (page.providers == json!([])).then_some(()));
}
