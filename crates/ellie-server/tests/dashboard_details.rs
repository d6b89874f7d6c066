//! What a page of one thing reads, over sockets: why, the route tester, history; wrong input; nothing changes by it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::Ellie;
use serde_json::{Value, json};

fn ask(ellie: &Ellie, body: &Value) -> Value {
    ellie.at_dashboard("POST", "/api/ui/route-test", &[], Some(body)).expect(200).json()
}

fn read(ellie: &Ellie, path: &str) -> Value {
    ellie.at_dashboard("GET", path, &[], None).expect(200).json()
}

fn fill(ellie: &Ellie) {
    for (id, tag, weight) in [("a", "v1", 1), ("b", "v2", 3)] {
        let body = json!({"name": "orders", "id": id, "host": "127.0.0.1", "port": 9, "tags": [tag],
                          "weight": weight, "healthCheck": {"type": "none"}, "dependencies": ["payments"]});
        ellie.post("/services", &body).expect(201);
    }
    ellie
        .post(
            "/routes",
            &json!({"id": "all", "path": "/api/orders/*", "serviceName": "orders", "targetPath": "/o"}),
        )
        .expect(201);
    let narrow = json!({"id": "v2", "path": "/api/orders/*", "serviceName": "orders", "method": "GET",
                        "headers": {"x-version": "2"}, "tags": ["v2"]});
    ellie.post("/routes", &narrow).expect(201);
    ellie
        .post("/routes", &json!({"id": "gone", "path": "/gone", "method": "GET", "serviceName": "nobody"}))
        .expect(201);
}

#[test]
fn a_page_of_one_instance_has_its_why_and_its_peers() {
    let ellie = Ellie::builder().ephemeral().start();
    fill(&ellie);
    ellie.put("/services/orders/instances/a/drain", &json!({"reason": "deploy"})).expect(200);
    let page = read(&ellie, "/api/ui/instance/orders/a");
    assert_eq!(page["instance"], {
        let mut own = ellie.get("/services/orders/instances/a").expect(200).json();
        own.as_object_mut().unwrap().remove("index");
        own
    });
    let told: Value = serde_json::from_str(&ellie.cli(&["why", "orders", "a", "-o", "json"]).stdout).unwrap();
    for part in ["service", "instance", "verdict", "routable", "try"] {
        assert_eq!(page["why"][part], told[part], "{part}: the page and the command line say the same");
    }
    assert_eq!(page["why"]["routable"], false);
    let findings = page["why"]["instances"][0]["findings"].as_array().unwrap();
    assert!(findings.iter().any(|f| f["topic"] == "draining" && f["level"] == "problem"), "{findings:?}");
    assert_eq!(page["check"]["type"], "none");
    assert_eq!(page["check"]["interval"], 30_000, "what the configuration says for all");
    let candidates = page["resolve"]["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 2);
    assert!(page["balance"]["b"]["inFlight"].is_u64());
    assert_eq!(page["routes"].as_array().unwrap().len(), 2);
    assert_eq!(page["events"].as_array().unwrap().last().unwrap()["kind"], "operator-changed");
    assert_eq!(page["omitted"], 0);

    let whole = read(&ellie, "/api/ui/service/orders");
    assert_eq!(whole["why"]["instances"].as_array().unwrap().len(), 2);
    assert_eq!(whole["why"]["instances"][0]["id"], "a", "what gets no traffic comes first");
    for none in ["/api/ui/service/x", "/api/ui/instance/orders/x", "/api/ui/instance/x/a"] {
        ellie.at_dashboard("GET", none, &[], None).expect(404);
    }
    ellie.at_dashboard("GET", "/api/ui/service/orders?x=1", &[], None).expect(400);
}

#[test]
fn a_large_service_is_told_of_in_bounds() {
    let ellie = Ellie::builder().ephemeral().start();
    let many: Vec<Value> = (0..300)
        .map(|n| {
            json!({"name": "many", "id": format!("i{n:03}"), "host": "127.0.0.1", "port": 9,
                        "healthCheck": {"type": "none"}})
        })
        .collect();
    ellie.post("/services/batch", &json!({"registrations": many})).expect(200);
    ellie.put("/services/many/instances/i250/drain", &json!({})).expect(200);
    let page = read(&ellie, "/api/ui/service/many");
    assert_eq!(page["why"]["instances"][0]["id"], "i250");
    assert_eq!(page["why"]["instances"].as_array().unwrap().len(), 100);
    assert_eq!(page["omitted"].as_u64().unwrap() + page["balance"].as_object().unwrap().len() as u64, 300);
    assert!(page["why"]["verdict"].as_str().unwrap().contains("299 of 300"), "{}", page["why"]["verdict"]);
    let page = read(&ellie, "/api/ui/instance/many/i299");
    assert_eq!(page["why"]["instances"].as_array().unwrap().len(), 1);
    let peers = page["resolve"]["candidates"].as_array().unwrap();
    assert!(peers.len() <= 101 && peers.iter().any(|c| c["id"] == "i299"));
}

#[test]
fn the_route_tester_says_where_a_request_would_go() {
    let ellie = Ellie::builder().ephemeral().start();
    fill(&ellie);
    let before = (ellie.get("/services/stats").json()["gateway"].clone(), ellie.get("/routes").json());
    let answer = ask(&ellie, &json!({"path": "/api/orders/7?x=1"}));
    assert_eq!((&answer["outcome"], &answer["route"]["id"]), (&json!("routed"), &json!("all")));
    assert_eq!(answer["target"], "/o/7?x=1");
    assert_eq!(answer["resolve"]["candidates"].as_array().unwrap().len(), 2);
    let verdicts: Vec<_> = answer["considered"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["id"].as_str().unwrap(), c["verdict"].as_str().unwrap()))
        .collect();
    assert_eq!(verdicts, [("v2", "header"), ("all", "matched")]);
    let answer = ask(&ellie, &json!({"path": "/api/orders/7", "headers": {"X-Version": "2"}, "host": "h"}));
    assert_eq!((&answer["route"]["id"], &answer["resolve"]["instance"]["id"]), (&json!("v2"), &json!("b")));
    let answer = ask(&ellie, &json!({"path": "/gone", "method": "post"}));
    assert_eq!((&answer["outcome"], &answer["allow"]), (&json!("method_not_allowed"), &json!("GET")));
    let answer = ask(&ellie, &json!({"path": "/gone"}));
    assert!(answer["verdict"].as_str().unwrap().contains("nobody has registered"), "{answer}");
    assert!(answer.get("resolve").is_none());
    assert_eq!(ask(&ellie, &json!({"path": "/nothing"}))["outcome"], "not_found");
    ellie.put("/breakers/orders/force-open", &json!({})).expect(200);
    let answer = ask(&ellie, &json!({"path": "/api/orders/7"}));
    assert!(answer["verdict"].as_str().unwrap().contains("breaker is open"), "{answer}");
    assert_eq!(answer["breaker"]["state"], "open");
    assert_eq!((ellie.get("/services/stats").json()["gateway"].clone(), ellie.get("/routes").json()), before);

    for (bad, field) in [
        (json!({}), "path"),
        (json!({"path": "api"}), "path"),
        (json!({"path": 7}), "path"),
        (json!({"path": "/", "method": "G T"}), "method"),
        (json!({"path": "/", "headers": {"a": 1}}), "headers.a"),
        (json!({"path": "/", "hots": "x"}), "hots"),
        (json!({"path": format!("/{}", "x".repeat(9000))}), "path"),
    ] {
        let problem = ellie.at_dashboard("POST", "/api/ui/route-test", &[], Some(&bad)).expect(422).json();
        assert_eq!(problem["errors"][0]["field"], field, "{bad}");
    }
    let foreign = [("Origin", "https://evil.example")];
    ellie.at_dashboard("POST", "/api/ui/route-test", &foreign, Some(&json!({"path": "/"}))).expect(403);
}

#[test]
fn pages_are_read_with_a_token_where_reads_need_one_and_nowhere_else() {
    let ellie = Ellie::builder().ephemeral().config("[auth]\nprotect_reads = true\n").start();
    let bearer = format!("Bearer {}", ellie.token);
    for path in ["/api/ui/history", "/api/ui/stream", "/api/ui/service/x", "/api/ui/instance/x/y"] {
        ellie.at_dashboard("GET", path, &[], None).expect(401);
    }
    ellie.at_dashboard("POST", "/api/ui/route-test", &[], Some(&json!({"path": "/"}))).expect(401);
    ellie.at_dashboard("GET", "/api/ui/history", &[("Authorization", &bearer)], None).expect(200);
    // Made for the pages: no part of the API.
    for path in ["/ui/history", "/ui/stream"] {
        ellie.get(path).expect(404);
    }
}

#[test]
fn history_has_what_happened_and_its_bounds() {
    let ellie = Ellie::builder().ephemeral().start();
    fill(&ellie);
    let history = read(&ellie, "/api/ui/history");
    assert_eq!(history["fine"], json!({"step": 1000, "points": 120}));
    assert_eq!(history["coarse"], json!({"step": 10000, "points": 180}));
    let kinds: Vec<_> = history["events"].as_array().unwrap().iter().map(|e| e["kind"].clone()).collect();
    assert!(kinds.contains(&json!("registered")) && kinds.contains(&json!("route-changed")), "{kinds:?}");
    for _ in 0..20 {
        ellie.through("GET", "/api/orders/7");
    }
    let track = common::wait_for("a second with traffic", || {
        let history = read(&ellie, "/api/ui/history");
        let track = history["services"]["orders"].clone();
        track["fine"]["rps"]
            .as_array()
            .is_some_and(|all| all.iter().any(|n| n.as_f64() > Some(0.0)))
            .then_some(track)
    });
    let lengths = ["rps", "errors", "p95", "state"].map(|part| track["fine"][part].as_array().unwrap().len());
    assert!(lengths.iter().all(|n| *n == lengths[0] && *n <= 120), "{lengths:?}");
    let only = read(&ellie, "/api/ui/history?service=unheard-of");
    assert_eq!((&only["services"], &only["events"]), (&json!({}), &json!([])));
    ellie.at_dashboard("GET", "/api/ui/history?services=x", &[], None).expect(400);
}
