//! SIGTERM: out of the registry, no new work, what is under way is finished, exit 0. Twice: at once.

mod common;

use std::net::TcpStream;

use common::{Ellie, Upstream, request, wait_until};
use serde_json::json;

/// A server that registers itself as `ellie-backend`, with a route to an upstream whose answers the test holds back.
fn server(upstream: &Upstream) -> Ellie {
    let ellie = Ellie::builder()
        .env("SERVICE_NAME", "ellie-backend")
        .env("SERVICE_VERSION", "1.0.0")
        .env("SERVICE_HOST", "localhost")
        .env("SERVICE_PORT", "5000")
        .env("SERVICE_TAGS", "api,backend,critical")
        .start();
    ellie.post("/services", &upstream.registration("slow")).expect(201);
    ellie.post("/routes", &json!({"path": "/slow/*", "serviceName": "slow"})).expect(201);
    // The gateway's table follows the registry a moment later; this path the upstream answers by itself.
    let ready = json!({"path": "/ready", "serviceName": "slow", "targetPath": "/health"});
    ellie.post("/routes", &ready).expect(201);
    wait_until("the gateway knows it", || ellie.through("GET", "/ready").status == 200);
    ellie
}

#[test]
fn a_request_in_flight_is_finished_and_the_exit_is_clean() {
    let upstream = Upstream::start();
    let mut ellie = server(&upstream);
    let own = ellie.get("/services/ellie-backend").expect(200).json();
    assert_eq!(own["instances"][0]["tags"], json!(["api", "backend", "critical"]));
    assert_eq!(own["instances"][0]["port"], 5000);
    assert_eq!(own["instances"][0]["version"], "1.0.0");

    let gateway = ellie.gateway;
    let client = std::thread::spawn(move || request(gateway, "GET", "/slow/job", &[], None));
    let job = upstream.next();
    ellie.signal("TERM");
    wait_until("the gateway takes no new connection", || TcpStream::connect(gateway).is_err());
    assert!(ellie.is_running(), "it left a request behind:\n{}", ellie.log());

    job.answer(200, "done");
    let answer = client.join().expect("no panic").expect("an answer");
    assert_eq!((answer.status, answer.text().as_str()), (200, "done"));
    assert_eq!(ellie.wait().code(), Some(0), "{}", ellie.log());

    let next = Ellie::builder().folder(&ellie.folder()).start();
    next.get("/services/ellie-backend").expect(404);
    next.get("/services/slow/instances/slow-1").expect(200);
}

#[test]
fn the_journal_says_that_it_deregistered_itself() {
    let upstream = Upstream::start();
    let mut ellie = server(&upstream);
    let api = ellie.api;
    let stream =
        std::thread::spawn(move || request(api, "GET", "/events", &[("Accept", "text/event-stream")], None));
    std::thread::scope(|scope| {
        scope.spawn(|| ellie.through("GET", "/slow/job"));
        let job = upstream.next();
        ellie.signal("TERM");
        job.answer(200, "done");
    });
    assert_eq!(ellie.wait().code(), Some(0));
    let events = stream.join().expect("no panic").expect("the stream ends in order").text();
    let last = events.lines().rfind(|line| line.contains("ellie-backend")).unwrap_or_default();
    assert!(last.contains("deregistered"), "{events}");
}

#[test]
fn a_second_signal_does_not_wait() {
    let upstream = Upstream::start();
    let mut ellie = server(&upstream);
    let gateway = ellie.gateway;
    let client = std::thread::spawn(move || request(gateway, "GET", "/slow/job", &[], None));
    let job = upstream.next();
    ellie.signal("TERM");
    wait_until("the gateway takes no new connection", || TcpStream::connect(gateway).is_err());
    assert!(ellie.is_running());
    ellie.signal("TERM");
    assert_eq!(ellie.wait().code(), Some(128 + 15), "{}", ellie.log());
    assert!(client.join().expect("no panic").is_err(), "a cut request must not look like an answer");
    drop(job);
}

#[test]
fn routes_outlive_a_crash_as_they_were() {
    let mut ellie = Ellie::start();
    let route = |id: &str, path: &str| {
        json!({ "id": id, "path": path, "serviceName": "users", "method": ["GET", "HEAD"],
        "host": "*.example.com", "headers": { "x-a": "1", "x-b": null }, "targetPath": "/t", "timeout": 1500,
        "retries": 1, "tags": ["v2"], "rateLimit": { "windowMs": 60000, "max": 3, "key": "header:x-key" } })
    };
    for (id, path) in [("r3", "/a/*"), ("r1", "/b"), ("r2", "/c/*")] {
        ellie.post("/routes", &route(id, path)).expect(201);
    }
    ellie.put("/routes/r1", &route("r1", "/d/*")).expect(200);
    ellie.delete("/routes/r2").expect(204);
    let before = ellie.get("/routes").expect(200).json();
    assert_eq!(before["count"], 2);
    ellie.kill();

    let folder = ellie.folder();
    let mut next = Ellie::builder().folder(&folder).start();
    assert_eq!(next.get("/routes").expect(200).json(), before);
    let events = next.cli(&["events", "-o", "json"]).success().stdout;
    assert!(!events.contains("route-changed"), "nothing changed: {events}");

    // What can't be written is not acknowledged and not in force.
    let data = next.path("data");
    std::fs::create_dir(data.join("routes.new")).expect("something in the way");
    let refused = next.post("/routes", &route("r4", "/e"));
    assert_eq!(
        (refused.status, &refused.json()["type"]),
        (503, &json!("urn:ellie:problem:store-unavailable"))
    );
    assert_eq!(next.delete("/routes/r1").status, 503);
    assert_eq!(next.get("/routes").expect(200).json(), before);
    let events = next.cli(&["events", "-o", "json"]).success().stdout;
    assert!(events.contains("was taken back"), "the journal says so: {events}");
    std::fs::remove_dir(data.join("routes.new")).expect("out of the way");
    next.delete("/routes/r1").expect(204);
    next.kill();

    // A file that is not ours is told of, not overwritten.
    std::fs::write(
        data.join("routes.json"),
        "{\"count\": 1, \"routes\": [{\"path\": \"x\", \"serviceName\": \"s\"}]}",
    )
    .expect("written");
    let ended = Ellie::builder().folder(&folder).spawn().ended();
    assert_eq!(ended.code(), 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("routes.json: routes[0]: "), "{}", ended.stderr);
}
