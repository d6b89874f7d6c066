//! What is said of one route: read back as it was told, in force, and counted under its name.

mod common;

use common::{Answer, Ellie, Upstream, request, wait_for, wait_until};
use serde_json::{Value, json};

/// The values of `metric` with all of `labels`, added up.
fn metric(ellie: &Ellie, metric: &str, labels: &[&str]) -> f64 {
    let text = ellie.get("/metrics").expect(200).text();
    text.lines()
        .filter(|line| line.starts_with(metric) && labels.iter().all(|label| line.contains(label)))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum()
}

fn everything() -> Value {
    json!({
        "id": "all", "path": "/all/*", "method": ["GET", "POST"], "host": "api.example.com",
        "headers": { "x-canary": "yes", "x-trace": null }, "query": { "beta": "1" }, "serviceName": "users",
        "targetPath": "/users", "tags": ["v2"], "timeout": 9000, "tryTimeout": 800, "retries": 1,
        "retryOn": [502, 503], "rateLimit": { "windowMs": 60000, "max": 7, "key": "header:x-key" }, "maxBody": 4096,
    })
}

/// A route as it was told, without what the server adds.
fn told(mut route: Value) -> Value {
    if let Some(fields) = route.as_object_mut() {
        fields.remove("source");
        fields.remove("createdAt");
    }
    route
}

#[test]
fn every_value_of_a_route_is_read_back_from_the_api_and_from_the_file() {
    let file = r#"
[[routes]]
id = "all"
path = "/all/*"
method = ["GET", "POST"]
host = "api.example.com"
headers = { x-canary = "yes", x-trace = true }
query = { beta = "1" }
service_name = "users"
target_path = "/users"
tags = ["v2"]
timeout = "9s"
try_timeout = "800ms"
retries = 1
retry_on = [503, 502, 503]
rate_limit = { window = "60s", max = 7, key = "header:x-key" }
max_body = "4KiB"
"#;
    let ellie = Ellie::builder().config(file).start();
    let from_file = ellie.get("/routes/all").expect(200).json();
    assert_eq!((&from_file["source"], told(from_file.clone())), (&json!("config"), everything()));

    let mut sent = everything();
    sent["id"] = "mine".into();
    sent["path"] = "/mine/*".into();
    let added = ellie.post("/routes", &sent).expect(201).json();
    assert_eq!(told(added), sent);
    assert_eq!(told(ellie.get("/routes/mine").expect(200).json()), sent);
    for (key, value) in [
        ("timeout", json!(1)),
        ("tryTimeout", json!(null)),
        ("retries", json!(0)),
        ("retryOn", json!([])),
        ("retryOn", json!([429, 599])),
        ("rateLimit", json!({ "windowMs": 1000, "max": 1, "key": "global" })),
        ("maxBody", json!(0)),
    ] {
        if value.is_null() {
            sent.as_object_mut().expect("an object").remove(key);
        } else {
            sent[key] = value;
        }
        if key == "timeout" {
            sent["tryTimeout"] = json!(1);
        }
        assert_eq!(told(ellie.call("PUT", "/routes/mine", Some(&sent)).expect(200).json()), sent, "{key}");
    }
    assert_eq!(told(ellie.get("/routes/mine").expect(200).json()), sent);
}

#[test]
fn bad_values_of_retry_on_name_their_field() {
    let ellie = Ellie::start();
    for bad in [json!([404]), json!([503, "502"]), json!(503), json!([600]), json!([-1]), json!([1e3])] {
        let body = json!({ "path": "/a", "serviceName": "a", "retryOn": bad });
        let refused = ellie.post("/routes", &body).expect(422).json();
        let field = refused["errors"][0]["field"].as_str().unwrap_or_default();
        assert!(field.starts_with("retryOn"), "{bad}: {refused}");
    }
    let many: Vec<u16> = (500..509).collect();
    let body = json!({ "path": "/a", "serviceName": "a", "retryOn": many });
    assert!(ellie.post("/routes", &body).expect(422).text().contains("at most 8"));
}

#[test]
fn a_routes_traffic_is_counted_under_its_name() {
    let upstream = Upstream::start();
    let ellie = Ellie::start();
    ellie.post("/services", &upstream.registration("users")).expect(201);
    let route = json!({
        "id": "limited", "path": "/limited/*", "serviceName": "users",
        "rateLimit": { "windowMs": 3_600_000, "max": 3 },
    });
    ellie.post("/routes", &route).expect(201);
    ellie.post("/routes", &json!({ "id": "other", "path": "/other", "serviceName": "users" })).expect(201);
    wait_until("the instance is healthy", || ellie.get("/services/users").json()["routable"] == 1);
    let gateway = ellie.gateway;
    let asking = std::thread::spawn(move || {
        let get = |path: &str| request(gateway, "GET", path, &[], None).expect("an answer");
        // The gateway's table follows the registry a moment later; what it refuses till then has no instance.
        let first =
            wait_for("the gateway to know it", || Some(get("/other")).filter(|a: &Answer| a.status == 200));
        let limited: Vec<u16> = (0..5).map(|_| get("/limited/x").status).collect();
        (first.status, limited)
    });
    upstream.next().answer(200, "ok");
    for status in [200, 200, 500] {
        upstream.next().answer(status, "ok");
    }
    assert_eq!(asking.join().expect("no panic"), (200, vec![200, 200, 500, 429, 429]));
    let of = |name: &str, labels: &[&str]| metric(&ellie, name, labels);
    let limited = "route=\"limited\"";
    wait_until("the last request is counted", || of("ellie_gateway_requests_total", &[limited]) >= 5.0);
    assert_eq!(of("ellie_gateway_requests_total", &[limited, "2xx"]), 2.0);
    assert_eq!(of("ellie_gateway_requests_total", &[limited, "5xx"]), 1.0);
    assert_eq!(of("ellie_gateway_requests_total", &[limited, "4xx"]), 2.0);
    assert_eq!(of("ellie_gateway_rate_limited_total", &[limited]), 2.0);
    assert_eq!(of("ellie_gateway_rate_limited_total", &["route=\"other\""]), 0.0);
    assert_eq!(of("ellie_gateway_request_duration_seconds_count", &[limited]), 5.0);
    assert_eq!(of("ellie_gateway_requests_total", &["route=\"other\"", "2xx"]), 1.0);
    // A replaced route goes on counting; a removed one is forgotten.
    ellie
        .call("PUT", "/routes/limited", Some(&json!({ "path": "/limited/*", "serviceName": "users" })))
        .expect(200);
    assert_eq!(of("ellie_gateway_requests_total", &[limited]), 5.0);
    ellie.delete("/routes/limited").expect(204);
    assert_eq!(of("ellie_gateway_requests_total", &[limited]), 0.0);
}
