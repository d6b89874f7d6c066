//! Which of the configured timeouts a request gets, told by the running binary.

mod common;

use common::{Ellie, Upstream};
use serde_json::json;

/// Starts a server with `config` before an upstream that never answers, asks it, and returns what it says of the
/// time it gave.
fn told(config: &str, route: &str) -> String {
    let upstream = Upstream::start();
    let file = format!(
        "{config}\n[[services]]\nname = \"slow\"\nhost = \"127.0.0.1\"\nport = {}\nhealth_check = {{ type = \"none\" }}\n\
         [[routes]]\npath = \"/slow/*\"\nservice_name = \"slow\"\n{route}\n",
        upstream.address.port()
    );
    let ellie = Ellie::builder().config(&file).ephemeral().start();
    let answer = ellie.through("GET", "/slow/x").expect(504).json();
    upstream.next();
    assert_eq!(answer["type"], "urn:ellie:problem:upstream-timeout");
    let detail = answer["detail"].as_str().expect("a detail");
    detail.split("within ").nth(1).expect("how long it waited").to_owned()
}

#[test]
fn a_routes_timeout_beats_the_gateways_which_beats_the_breakers() {
    let (breaker, gateway) = ("[circuit_breaker]\ntimeout = 51\n", "[gateway]\nrequest_timeout = 52\n");
    assert!(told(breaker, "").starts_with("51ms"), "the breaker's, where nothing else is said");
    assert!(told(&format!("{breaker}{gateway}"), "").starts_with("52ms"), "the gateway's before it");
    assert!(
        told(&format!("{breaker}{gateway}"), "timeout = 53").starts_with("53ms"),
        "the route's before both"
    );
    assert!(told(gateway, "timeout = 5000\ntry_timeout = 54").starts_with("54ms"), "and a try's own");
    assert!(
        told(&format!("{gateway}try_timeout = 47\n"), "").starts_with("47ms"),
        "which the gateway can say too"
    );
}

#[test]
fn what_a_route_of_the_file_can_say_is_what_the_api_can_say() {
    let file = "[[routes]]\nid = \"file\"\npath = \"/file/*\"\nmethod = [\"GET\", \"PUT\"]\nhost = \"a.example\"\n\
                headers = { x-a = \"1\", x-b = true }\nquery = { q = \"2\" }\nservice_name = \"s\"\n\
                target_path = \"/t\"\ntags = [\"v2\"]\ntimeout = \"4s\"\ntry_timeout = \"2s\"\nretries = 3\nretry_on = [503]\n\
                max_body = \"1KiB\"\nrate_limit = { window = \"1s\", max = 9, key = \"header:x-c\" }\n";
    let ellie = Ellie::builder().config(file).ephemeral().start();
    let api = json!({
        "id": "api", "path": "/file/*", "method": ["GET", "PUT"], "host": "a.example",
        "headers": {"x-a": "1", "x-b": null}, "query": {"q": "2"}, "serviceName": "s", "targetPath": "/t",
        "tags": ["v2"], "timeout": 4000, "tryTimeout": 2000, "retries": 3, "retryOn": [503], "maxBody": 1024,
        "rateLimit": {"windowMs": 1000, "max": 9, "key": "header:x-c"},
    });
    ellie.post("/routes", &api).expect(201);
    let shown = |id: &str| {
        let mut route = ellie.get(&format!("/routes/{id}")).expect(200).json();
        for own in ["id", "source", "createdAt"] {
            assert!(route.as_object_mut().expect("an object").remove(own).is_some(), "{own}");
        }
        route
    };
    assert_eq!(shown("file"), shown("api"));
    // Every field that a route can have was said.
    let known = ellie.get("/openapi.json").json()["components"]["schemas"]["Route"]["properties"].clone();
    assert_eq!(shown("api").as_object().map(|o| o.len() + 3), known.as_object().map(serde_json::Map::len));
}
