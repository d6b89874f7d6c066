//! Bad input against the real binary on a socket: for each, the exact status, the problem's `type`, the fields it
//! names, and that nothing was changed: `GET /services` (its index included) and `GET /routes` are as before.

mod common;

use common::{Answer, Ellie, request};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

/// A server with one instance and one route, and what it says of them.
struct Server {
    ellie: Ellie,
    before: [Value; 2],
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let ellie = Ellie::builder().args(arguments.iter().copied()).ephemeral().start();
        ellie.post("/services", &good("orders", "o1")).expect(201);
        ellie
            .post("/routes", &json!({ "id": "r1", "path": "/orders/*", "serviceName": "orders" }))
            .expect(201);
        let before = Self::state(&ellie);
        Self { ellie, before }
    }

    fn state(ellie: &Ellie) -> [Value; 2] {
        ["/services", "/routes"].map(|path| ellie.get(path).expect(200).json())
    }

    #[track_caller]
    fn unchanged(&self, what: &str) {
        assert_eq!(Self::state(&self.ellie), self.before, "{what} changed something");
    }

    fn send(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let authorization = format!("Bearer {}", self.ellie.token);
        let fields = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
        request(self.ellie.api, method, path, &fields, Some(body))
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Sends `body` and holds the answer against what is expected.
    #[track_caller]
    fn refuses(
        &self,
        method: &str,
        path: &str,
        body: impl AsRef<[u8]>,
        status: u16,
        kind: &str,
        fields: &[&str],
    ) {
        let body = body.as_ref();
        let what = format!("{method} {path} {:.120}", String::from_utf8_lossy(body));
        problem(&what, &self.send(method, path, body), status, kind, fields);
        self.unchanged(&what);
    }

    /// A registration that is refused alone, and in a batch whose other items are good.
    #[track_caller]
    fn refuses_registration(&self, body: &str, fields: &[&str]) {
        self.refuses("POST", "/services", body, 422, "invalid-registration", fields);
        let batch = format!(
            r#"{{"registrations":[{},{body}],"deregistrations":[{{"name":"orders","id":"o1"}}]}}"#,
            good("users", "u1")
        );
        let inner: Vec<String> = fields.iter().map(|field| format!("registrations[1].{field}")).collect();
        let inner: Vec<&str> = inner.iter().map(String::as_str).collect();
        self.refuses("POST", "/services/batch", batch, 422, "invalid-registration", &inner);
    }
}

/// A registration that is right, and needs no check.
fn good(name: &str, id: &str) -> Value {
    json!({ "name": name, "id": id, "host": "127.0.0.1", "port": 9, "healthCheck": { "type": "none" } })
}

/// [`good`] with some of its fields replaced.
fn with(fields: Value) -> String {
    let mut body = good("users", "u1");
    let Value::Object(fields) = fields else { panic!("{fields} is no object") };
    for (key, value) in fields {
        body[key] = value;
    }
    body.to_string()
}

#[track_caller]
fn problem(what: &str, answer: &Answer, status: u16, kind: &str, fields: &[&str]) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}");
    let body = answer.json();
    assert_eq!(body["type"], format!("urn:ellie:problem:{kind}"), "{what}: {body}");
    assert_eq!(body["status"], status, "{what}: {body}");
    assert!(!body["title"].as_str().unwrap_or_default().is_empty(), "{what}: {body}");
    let named: Vec<&str> =
        body["errors"].as_array().into_iter().flatten().filter_map(|e| e["field"].as_str()).collect();
    assert_eq!(named, fields, "{what}: {body}");
    assert!(answer.body.len() < 16 << 10, "{what}: an answer of {} bytes", answer.body.len());
}

#[test]
fn malformed_json_has_its_line_and_column() {
    let server = Server::start(&[]);
    for (body, place) in [
        ("", "the body is empty"),
        (" \n ", "the body is empty"),
        ("{", "line 1, column 1"),
        ("{\"name\": \"users\",\n  \"port\": }", "line 2, column 11"),
        ("{\"name\": \"users\"} {}", "line 1, column 19"),
        ("{'name': 'users'}", "line 1, column 2"),
        ("{\"port\": 01}", "line 1"),
        ("{\"port\": NaN}", "line 1"),
        ("{\"name\": \"\u{1}\"}", "line 1"),
        ("{\"name\": \"\\ud800\"}", "line 1"),
    ] {
        for path in ["/services", "/services/batch", "/routes"] {
            server.refuses("POST", path, body, 400, "malformed-json", &[]);
        }
        let detail = server.send("POST", "/services", body.as_bytes()).json()["detail"].to_string();
        assert!(detail.contains(place), "{body:?}: {detail}");
    }
    server.refuses("POST", "/services", b"{\"name\": \"\xff\"}", 400, "malformed-json", &[]);
    server.refuses("POST", "/services", "[".repeat(100_000), 400, "malformed-json", &[]);
    for body in ["null", "7", "\"users\"", "[]", "true"] {
        server.refuses("POST", "/services", body, 422, "invalid-registration", &["(body)"]);
        server.refuses("POST", "/services/batch", body, 422, "invalid-registration", &["(body)"]);
        server.refuses("POST", "/routes", body, 422, "invalid-route", &["(body)"]);
    }
}

#[test]
fn unknown_fields_and_parameters_are_refused_with_a_guess() {
    let server = Server::start(&[]);
    server.refuses_registration(&with(json!({ "helthEndpoint": "/h" })), &["helthEndpoint"]);
    server.refuses_registration(&with(json!({ "Port": 1, "address": "a" })), &["Port", "address"]);
    server.refuses_registration(
        &with(json!({ "healthCheck": { "type": "http", "intervall": 5 } })),
        &["healthCheck.intervall"],
    );
    let answer = server.send("POST", "/services", with(json!({ "helthEndpoint": "/h" })).as_bytes());
    assert!(answer.text().contains("did you mean `healthEndpoint`?"), "{}", answer.text());

    let one = "/services/orders/instances/o1";
    server.refuses("PUT", &format!("{one}/drain"), r#"{"reson":"x"}"#, 422, "invalid-request", &["reson"]);
    server.refuses(
        "PUT",
        &format!("{one}/heartbeat"),
        r#"{"state":"healthy"}"#,
        422,
        "invalid-request",
        &["state"],
    );
    server.refuses("PUT", &format!("{one}/check"), r#"{"now":true}"#, 422, "invalid-request", &["now"]);
    server.refuses(
        "PUT",
        "/load-balancer/strategy",
        r#"{"strategy":"random","name":"x"}"#,
        422,
        "invalid-request",
        &["name"],
    );
    server.refuses(
        "POST",
        "/services/batch",
        r#"{"register":[]}"#,
        422,
        "invalid-registration",
        &["register"],
    );
    server.refuses(
        "POST",
        "/routes",
        r#"{"path":"/a","serviceName":"a","rateLimit":{"windowMs":1000,"max":1,"burst":5}}"#,
        422,
        "invalid-route",
        &["rateLimit.burst"],
    );
    for (query, field) in [
        ("tags=a", "tags"),
        ("status=fine", "status"),
        ("index=-1", "index"),
        ("wait=soon", "wait"),
        ("index=1&index=2", "index"),
    ] {
        server.refuses("GET", &format!("/services?{query}"), "", 400, "invalid-query", &[field]);
    }
    server.refuses(
        "POST",
        "/services?force=true",
        good("users", "u1").to_string(),
        400,
        "invalid-query",
        &["force"],
    );
}

#[test]
fn duplicate_keys_are_refused_at_every_depth() {
    let server = Server::start(&[]);
    for (body, field) in [
        (r#"{"name":"users","name":"users","host":"h","port":1}"#, "name"),
        (r#"{"name":"users","host":"h","port":1,"port":2}"#, "port"),
        (r#"{"name":"users","host":"h","port":1,"metadata":{"a":"1","a":"2"}}"#, "metadata.a"),
        (
            r#"{"name":"users","host":"h","port":1,"healthCheck":{"type":"tcp","type":"none"}}"#,
            "healthCheck.type",
        ),
    ] {
        server.refuses_registration(body, &[field]);
    }
    server.refuses(
        "POST",
        "/services/batch",
        r#"{"registrations":[],"registrations":[]}"#,
        422,
        "invalid-registration",
        &["registrations"],
    );
    server.refuses(
        "POST",
        "/routes",
        r#"{"path":"/a","path":"/b","serviceName":"a"}"#,
        422,
        "invalid-route",
        &["path"],
    );
    // One instance twice in a batch would make the order of its items a meaning.
    let twice = json!({ "registrations": [good("users", "u1"), good("users", "u1")] });
    server.refuses(
        "POST",
        "/services/batch",
        twice.to_string(),
        422,
        "invalid-registration",
        &["registrations[1]"],
    );
    let twice =
        json!({ "deregistrations": [{ "name": "orders", "id": "o1" }, { "name": "orders", "id": "o1" }] });
    server.refuses(
        "POST",
        "/services/batch",
        twice.to_string(),
        422,
        "invalid-registration",
        &["deregistrations[1]"],
    );
}

#[test]
fn bodies_of_10_mb_are_refused_whether_or_not_they_say_so() {
    let server = Server::start(&[]);
    let mut body = good("users", "u1").to_string().into_bytes();
    body.resize(10 << 20, b' ');
    for path in ["/services", "/services/batch", "/routes"] {
        server.refuses("POST", path, &body, 413, "body-too-large", &[]);
    }
    for path in ["/services/orders/instances/o1/heartbeat", "/services/orders/instances/o1/drain"] {
        server.refuses("PUT", path, &body, 413, "body-too-large", &[]);
    }
    // Without a length, in chunks: the bound is on what arrives.
    let mut stream = connect(&server, "POST", "/services", "Transfer-Encoding: chunked\r\n");
    for chunk in body.chunks(1 << 16) {
        let sent = write!(stream, "{:x}\r\n", chunk.len())
            .and_then(|()| stream.write_all(chunk))
            .and_then(|()| stream.write_all(b"\r\n"));
        if sent.is_err() {
            break;
        }
    }
    let _ = stream.write_all(b"0\r\n\r\n");
    problem("chunks", &answer(stream), 413, "body-too-large", &[]);
    server.unchanged("a body in chunks");
    // Who asks before sending is told without having sent anything.
    let expecting = "Expect: 100-continue\r\nContent-Length: 10485760\r\n";
    let stream = connect(&server, "POST", "/services", expecting);
    problem("announced", &answer(stream), 413, "body-too-large", &[]);
    server.unchanged("an announced body");
}

#[test]
fn ports_hosts_and_names_that_can_not_be() {
    let server = Server::start(&[]);
    for port in
        [json!(0), json!(70000), json!(-1), json!(65536), json!(80.5), json!("80"), json!(1e30), json!([80])]
    {
        server.refuses_registration(&with(json!({ "port": port })), &["port"]);
    }
    for host in [
        "",
        " ",
        "a b",
        "a\tb",
        "a\u{7}b",
        "a\r\nb",
        "a\u{0}b",
        "http://a",
        "a:80",
        "a/b",
        "user@a",
        "-a",
        "a..b",
        "[::1",
        "a\u{202e}b",
    ] {
        server.refuses_registration(&with(json!({ "host": host })), &["host"]);
    }
    server.refuses_registration(&with(json!({ "host": "a.".repeat(130) })), &["host"]);
    for name in [
        "a/b",
        "/",
        "../services",
        "",
        " ",
        "a b",
        "a\u{1b}[2J",
        "a\nb",
        "é",
        "health",
        "stats",
        "batch",
        "watch",
        "a%2Fb",
    ] {
        server.refuses_registration(&with(json!({ "name": name })), &["name"]);
    }
    server.refuses_registration(&with(json!({ "name": "n".repeat(10_000) })), &["name"]);
    for id in ["a/b", "", "a b", "a\u{0}"] {
        server.refuses_registration(&with(json!({ "id": id })), &["id"]);
    }
    // All at once, in the order of the fields.
    let all = with(
        json!({ "name": "stats", "host": "a b", "port": 70000, "protocol": "ftp", "healthEndpoint": "x", "weight": -1 }),
    );
    server.refuses_registration(&all, &["name", "host", "port", "protocol", "healthEndpoint", "weight"]);
    server.refuses("POST", "/services", "{}", 422, "invalid-registration", &["name", "host", "port"]);
}

#[test]
fn names_with_slashes_in_a_path_are_no_service() {
    let server = Server::start(&[]);
    for name in ["a%2Fb", "..%2Forders", "%00", "a%20b", "%1b%5B2J"] {
        server.refuses("GET", &format!("/services/{name}"), "", 404, "service-not-found", &[]);
        for (method, call) in [("DELETE", ""), ("PUT", "/drain"), ("PUT", "/heartbeat")] {
            let path = format!("/services/{name}/instances/o1{call}");
            server.refuses(method, &path, "", 404, "instance-not-found", &[]);
        }
    }
    server.refuses("GET", "/services/%ff", "", 400, "bad-request", &[]);
    server.refuses("GET", "/services/orders/", "", 404, "not-found", &[]);
    server.refuses("GET", "/services/../services", "", 404, "not-found", &[]);
}

#[test]
fn tags_and_metadata_are_bounded() {
    let server = Server::start(&[]);
    server.refuses_registration(&with(json!({ "tags": ["fine", "x".repeat(10 << 10)] })), &["tags[1]"]);
    server.refuses_registration(&with(json!({ "tags": vec!["t"; 1000] })), &["tags"]);
    server.refuses_registration(
        &with(json!({ "tags": ["", "a\u{7}b", 7] })),
        &["tags[2]", "tags[0]", "tags[1]"],
    );
    let pairs: serde_json::Map<String, Value> = (0..10_000).map(|i| (format!("k{i}"), json!("v"))).collect();
    server.refuses_registration(&with(json!({ "metadata": pairs })), &["metadata"]);
    server.refuses_registration(&with(json!({ "metadata": { "k": "v".repeat(100_000) } })), &["metadata.k"]);
    server.refuses_registration(&with(json!({ "metadata": { "k": { "deep": 1 } } })), &["metadata.k"]);
    server.refuses_registration(&with(json!({ "metadata": ["k", "v"] })), &["metadata"]);
    let long = "k".repeat(10_000);
    let body = with(json!({ "metadata": { &long: "v" } }));
    let answer = server.send("POST", "/services", body.as_bytes());
    let field = answer.json()["errors"][0]["field"].as_str().unwrap_or_default().to_owned();
    assert!(field.starts_with("metadata.kkk") && field.len() < 200, "{field}");
    problem("a long key", &answer, 422, "invalid-registration", &[&field]);
    server.unchanged("a long key");
    server.refuses_registration(&with(json!({ "version": "v".repeat(10_000) })), &["version"]);
    server.refuses_registration(&with(json!({ "zone": "z\u{0}" })), &["zone"]);
    server.refuses_registration(&with(json!({ "dependencies": vec!["d"; 1000] })), &["dependencies"]);
}

#[test]
fn durations_that_are_negative_or_overflow() {
    let server = Server::start(&[]);
    let overflowing = "99999999999999999999999999";
    for bad in [
        "-1",
        "-9223372036854775809",
        "0",
        "1",
        "9223372036854775808",
        overflowing,
        "1e30",
        "1e300",
        "0.5",
        "\"30s\"",
    ] {
        server.refuses_registration(
            &format!(r#"{{"name":"users","host":"h","port":1,"ttl":{bad}}}"#),
            &["ttl"],
        );
        for field in ["interval", "timeout"] {
            let body = format!(
                r#"{{"name":"users","host":"h","port":1,"healthCheck":{{"type":"tcp","{field}":{bad}}}}}"#
            );
            server.refuses_registration(&body, &[&format!("healthCheck.{field}")]);
        }
        for call in ["drain", "undrain"] {
            let path = format!("/services/orders/instances/o1/{call}");
            server.refuses("PUT", &path, format!(r#"{{"ttl":{bad}}}"#), 422, "invalid-request", &["ttl"]);
        }
        let forced = format!(r#"{{"ttl":{bad}}}"#);
        server.refuses("PUT", "/breakers/orders/force-open", forced, 422, "invalid-request", &["ttl"]);
        if bad == "1" {
            continue; // A millisecond is enough for a request on loopback.
        }
        let route = format!(
            r#"{{"path":"/a","serviceName":"orders","timeout":{bad},"rateLimit":{{"windowMs":{bad},"max":1}}}}"#
        );
        server.refuses("POST", "/routes", route, 422, "invalid-route", &["timeout", "rateLimit.windowMs"]);
    }
    for (call, body, field) in [
        ("weight", r#"{"weight":70000}"#, "weight"),
        ("weight", r#"{"weight":-1}"#, "weight"),
        ("weight", "{}", "weight"),
        ("maintenance", "{}", "enabled"),
        ("maintenance", r#"{"enabled":"yes"}"#, "enabled"),
        ("heartbeat", r#"{"status":"splendid"}"#, "status"),
        ("drain", r#"{"reason":"a\u0007b"}"#, "reason"),
    ] {
        let path = format!("/services/orders/instances/o1/{call}");
        server.refuses("PUT", &path, body, 422, "invalid-request", &[field]);
    }
}

#[test]
fn cyclic_dependencies_are_told_with_their_path() {
    let server = Server::start(&[]);
    server.refuses_registration(&with(json!({ "dependencies": ["users"] })), &["dependencies[0]"]);

    let server = Server::start(&[]);
    let mut a = good("a", "a1");
    a["dependencies"] = json!(["b"]);
    server.ellie.post("/services", &a).expect(201);
    let mut b = good("b", "b1");
    b["dependencies"] = json!(["c"]);
    server.ellie.post("/services", &b).expect(201);
    let server = Server { before: Server::state(&server.ellie), ..server };
    let mut c = good("c", "c1");
    c["dependencies"] = json!(["orders", "a"]);
    server.refuses("POST", "/services", c.to_string(), 409, "dependency-cycle", &["dependencies"]);
    let told = server.send("POST", "/services", c.to_string().as_bytes()).json();
    let message = told["errors"][0]["message"].as_str().unwrap_or_default();
    assert!(message.contains("a → b → c → a") || message.contains("c → a → b → c"), "{message}");
    let batch = json!({ "registrations": [good("users", "u1"), c] });
    server.refuses(
        "POST",
        "/services/batch",
        batch.to_string(),
        409,
        "dependency-cycle",
        &["registrations[1].dependencies"],
    );
}

#[test]
fn routes_that_can_not_be() {
    let server = Server::start(&[]);
    let route = |path: &str| json!({ "path": path, "serviceName": "orders" }).to_string();
    for path in [
        "/a/*/b", "/*/b", "/a*", "/a/b*", "*", "a/b", "", "/a/**", "/a b", "/a\u{0}", "/a?x=1", "/a#b",
        "/a/../b",
    ] {
        server.refuses("POST", "/routes", route(path), 422, "invalid-route", &["path"]);
        server.refuses("PUT", "/routes/r1", route(path), 422, "invalid-route", &["path"]);
    }
    for (body, field) in [
        (json!({ "path": "/a", "serviceName": "a/b" }), "serviceName"),
        (json!({ "path": "/a" }), "serviceName"),
        (json!({ "path": "/a", "serviceName": "a", "method": "GE T" }), "method"),
        (json!({ "path": "/a", "serviceName": "a", "targetPath": "users" }), "targetPath"),
        (json!({ "path": "/a", "serviceName": "a", "targetPath": "/users/*" }), "targetPath"),
        (
            json!({ "path": "/a", "serviceName": "a", "rateLimit": { "windowMs": 1000, "max": 0 } }),
            "rateLimit.max",
        ),
        (json!({ "path": "/a", "serviceName": "a", "rateLimit": { "windowMs": 1000 } }), "rateLimit.max"),
        (json!({ "path": "/a", "serviceName": "a", "retries": -1 }), "retries"),
        (json!({ "path": "/a", "serviceName": "a", "host": "a b" }), "host"),
        (json!({ "path": "/a", "serviceName": "a", "headers": { "a b": "x" } }), "headers.a b"),
    ] {
        server.refuses("POST", "/routes", body.to_string(), 422, "invalid-route", &[field]);
    }
    server.refuses(
        "POST",
        "/routes",
        json!({ "id": "r1", "path": "/b", "serviceName": "b" }).to_string(),
        409,
        "conflict",
        &["id"],
    );
    server.refuses("PUT", "/routes/r2", route("/b"), 404, "route-not-found", &[]);
    server.refuses(
        "PUT",
        "/routes/r1",
        json!({ "id": "r2", "path": "/b", "serviceName": "b" }).to_string(),
        422,
        "invalid-route",
        &["id"],
    );
    server.refuses("DELETE", "/routes/r2", "", 404, "route-not-found", &[]);
}

/// A route may be there before its service is: the gateway says so until then, and looking registers nothing.
#[test]
fn routes_to_unknown_services_answer_503_until_they_are_known() {
    let server = Server::start(&[]);
    let route = json!({ "id": "r2", "path": "/ghost/*", "serviceName": "ghost" });
    server.ellie.post("/routes", &route).expect(201);
    let answer = common::wait_for("the gateway's next table", || {
        Some(server.ellie.through("GET", "/ghost/x")).filter(|answer| answer.status != 404)
    });
    problem("an unknown service", &answer, 503, "unknown-service", &[]);
    assert_eq!(answer.json()["service"], "ghost");
    assert_eq!(answer.header("retry-after"), Some("1"));
    problem(
        "an unknown breaker",
        &server.send("PUT", "/breakers/ghost2/reset", b""),
        404,
        "breaker-not-found",
        &[],
    );
    problem("asking for it", &server.send("GET", "/services/ghost", b""), 404, "service-not-found", &[]);
    server.ellie.delete("/routes/r2").expect(204);
    server.unchanged("a route to an unknown service");
}

#[test]
fn tokens_of_the_wrong_scope() {
    let ellie = Ellie::start();
    ellie.post("/services", &good("orders", "o1")).expect(201);
    ellie.post("/routes", &json!({ "id": "r1", "path": "/orders/*", "serviceName": "orders" })).expect(201);
    let before = Server::state(&ellie);
    let data = ellie.path("data");
    let token = |scope: &str| {
        let data = data.to_str().expect("the folder's name is UTF-8");
        let made = ellie.cli(&["token", "create", "--name", scope, "--scope", scope, "--data-dir", data]);
        made.success().stdout.trim().to_owned()
    };
    let (read, register) = (token("read"), token("register"));
    let call = |token: Option<&str>, method: &str, path: &str, body: &str| {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let mut fields = vec![("Content-Type", "application/json")];
        fields.extend(bearer.as_deref().map(|bearer| ("Authorization", bearer)));
        request(ellie.api, method, path, &fields, Some(body.as_bytes())).expect("an answer")
    };
    common::wait_until("the tokens are known", || {
        [&read, &register].iter().all(|token| call(Some(token), "GET", "/services", "").status == 200)
    });
    let registration = good("users", "u1").to_string();
    let route = json!({ "path": "/users/*", "serviceName": "users" }).to_string();
    let one = "/services/orders/instances/o1";
    let registering = [
        ("POST", "/services".to_owned(), registration.as_str()),
        ("POST", "/services/batch".to_owned(), r#"{"deregistrations":[{"name":"orders","id":"o1"}]}"#),
        ("PUT", format!("{one}/heartbeat"), "{}"),
        ("DELETE", one.to_owned(), ""),
    ];
    let operating = [
        ("PUT", format!("{one}/drain"), ""),
        ("PUT", format!("{one}/undrain"), ""),
        ("PUT", format!("{one}/maintenance"), r#"{"enabled":true}"#),
        ("PUT", format!("{one}/weight"), r#"{"weight":0}"#),
        ("PUT", format!("{one}/check"), ""),
        ("POST", "/routes".to_owned(), route.as_str()),
        ("PUT", "/routes/r1".to_owned(), route.as_str()),
        ("DELETE", "/routes/r1".to_owned(), ""),
        ("PUT", "/breakers/orders/force-open".to_owned(), ""),
        ("PUT", "/breakers/orders/force-close".to_owned(), ""),
        ("PUT", "/breakers/orders/reset".to_owned(), ""),
        ("PUT", "/load-balancer/strategy".to_owned(), r#"{"strategy":"random"}"#),
    ];
    for (method, path, body) in registering.iter().chain(&operating) {
        let what = format!("{method} {path}");
        for (token, error) in [(None, ""), (Some("no-such-token"), "invalid_token")] {
            let answer = call(token, method, path, body);
            problem(&what, &answer, 401, "unauthorized", &[]);
            let challenge = answer.header("www-authenticate").unwrap_or_default();
            assert!(
                challenge.starts_with("Bearer realm=\"ellie\"") && challenge.contains(error),
                "{challenge}"
            );
        }
        let answer = call(Some(&read), method, path, body);
        problem(&what, &answer, 403, "forbidden", &[]);
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        assert!(challenge.contains("error=\"insufficient_scope\""), "{challenge}");
    }
    for (method, path, body) in &operating {
        let answer = call(Some(&register), method, path, body);
        problem(&format!("{method} {path}"), &answer, 403, "forbidden", &[]);
        assert!(answer.text().contains("`register`; this call needs `operate`"), "{}", answer.text());
    }
    // The scope is looked at before the body: who may not ask learns nothing about what would be right.
    problem("malformed", &call(Some(&read), "POST", "/services", "{"), 403, "forbidden", &[]);
    assert_eq!(Server::state(&ellie), before);
    call(Some(&register), "POST", "/services", &registration).expect(201);
}

#[test]
fn half_open_sockets_get_an_answer_where_one_is_owed_and_lose_their_place() {
    let server = Server::start(&["--set", "api.request_timeout=2s", "--set", "api.max_connections=2"]);
    // Closed for writing in the middle of the body: it will never be whole.
    let mut stream = connect(&server, "POST", "/services", "Content-Length: 100\r\n");
    stream.write_all(b"{\"name\":").expect("written");
    stream.shutdown(Shutdown::Write).expect("half closed");
    problem("half a body", &answer(stream), 400, "bad-request", &[]);
    server.unchanged("half a body");
    // Closed after a whole request: only its sender's side is over.
    let mut stream = connect(&server, "POST", "/services", "Content-Length: 2\r\n");
    stream.write_all(b"{}").expect("written");
    stream.shutdown(Shutdown::Write).expect("half closed");
    problem("a whole request", &answer(stream), 422, "invalid-registration", &["name", "host", "port"]);
    // Closed in the middle of the head: nothing was asked.
    let mut stream = TcpStream::connect(server.ellie.api).expect("connected");
    stream.write_all(b"POST /services HTTP/1.1\r\nHost: loc").expect("written");
    stream.shutdown(Shutdown::Write).expect("half closed");
    assert_eq!(rest(&mut stream), b"");
    // Silent ones hold every place there is, until they are given up; then the next in line is served.
    let mut silent = [(); 2].map(|()| TcpStream::connect(server.ellie.api).expect("connected"));
    server.unchanged("a half-open socket");
    for stream in &mut silent {
        assert_eq!(rest(stream), b"", "closed without an answer: nothing was asked");
    }
}

#[test]
fn slow_writers_are_told_that_they_are_too_slow() {
    let server = Server::start(&["--set", "api.request_timeout=2s"]);
    let body = |fields| connect(&server, "POST", "/services", fields);
    let head = || {
        let mut stream = TcpStream::connect(server.ellie.api).expect("connected");
        stream.write_all(b"POST /services HTTP/1.1\r\nHost: localhost\r\n").expect("written");
        stream
    };
    // One that stops, and one that never stops trickling: the bound is on the whole. All wait at the same time.
    std::thread::scope(|all| {
        all.spawn(|| {
            let mut stream = body("Content-Length: 100\r\n");
            stream.write_all(b"{\"name\":").expect("written");
            problem("a body that stops", &answer(stream), 408, "body-timeout", &[]);
        });
        all.spawn(|| {
            let stream = body("Transfer-Encoding: chunked\r\n");
            problem("a body that trickles", &trickle(stream, b"1\r\n \r\n"), 408, "body-timeout", &[]);
        });
        all.spawn(|| problem("a head that stops", &answer(head()), 408, "head-timeout", &[]));
        all.spawn(|| problem("a head that trickles", &trickle(head(), b"X"), 408, "head-timeout", &[]));
    });
    server.unchanged("a slow writer");
}

#[test]
fn what_is_not_http_is_refused_without_harm() {
    let server = Server::start(&[]);
    let long = [b"GET /services HTTP/1.1\r\nX: ".as_slice(), &[b'a'; 100_000], b"\r\n\r\n"].concat();
    let many: String = (0..200).map(|i| format!("X{i}: 1\r\n")).collect();
    let many = format!("GET /services HTTP/1.1\r\nHost: localhost\r\n{many}\r\n");
    let two =
        "POST /services HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}";
    for (bytes, status) in [
        (b"\x00\x01\x02\x03\r\n\r\n".as_slice(), 400),
        (b"GET /services HTTP/9.9\r\nHost: localhost\r\n\r\n", 400),
        (b"G\x01T /services HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (two.as_bytes(), 400),
        (&long, 431),
        (many.as_bytes(), 431),
    ] {
        let mut stream = TcpStream::connect(server.ellie.api).expect("connected");
        // It may be refused before it was sent whole.
        let _ = stream.write_all(bytes);
        let answer = rest(&mut stream);
        let what = String::from_utf8_lossy(bytes.get(..60).unwrap_or(bytes)).into_owned();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let kind = if status == 400 { "bad-request" } else { "head-too-large" };
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{what:?}: {answer}");
        assert!(answer.contains("\r\ncontent-type: application/problem+json\r\n"), "{what:?}: {answer}");
        assert!(answer.contains(&format!("\"type\":\"urn:ellie:problem:{kind}\"")), "{what:?}: {answer}");
        server.unchanged(&what);
    }
    let fields = [("Host", "evil.example")];
    let rebound = request(server.ellie.api, "GET", "/services", &fields, None).expect("an answer");
    problem("another host", &rebound, 421, "unknown-host", &[]);
    let fields =
        [("Content-Type", "text/html"), ("Authorization", &*format!("Bearer {}", server.ellie.token))];
    let page = request(server.ellie.api, "POST", "/services", &fields, Some(b"<p>")).expect("an answer");
    problem("not JSON", &page, 415, "unsupported-media-type", &[]);
    server.refuses("PATCH", "/services", "", 405, "method-not-allowed", &[]);
    server.refuses("POST", "/service", "{}", 404, "not-found", &[]);
}

/// A connection on which a request's head has been sent.
fn connect(server: &Server, method: &str, path: &str, fields: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.ellie.api).expect("connected");
    let token = &server.ellie.token;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n{fields}\r\n"
    )
    .expect("written");
    stream
}

/// Writes `bytes` again and again until the other side has had enough, and reads what it says.
fn trickle(stream: TcpStream, bytes: &'static [u8]) -> Answer {
    let mut writer = stream.try_clone().expect("a second handle");
    let writing = std::thread::spawn(move || {
        while writer.write_all(bytes).is_ok() {
            common::pause();
        }
    });
    let answer = answer(stream);
    writing.join().expect("the writer ends");
    answer
}

fn answer(mut stream: TcpStream) -> Answer {
    Answer::parse(&rest(&mut stream), "POST").expect("a whole answer")
}

/// Everything until the other side closes. A reset after the answer (it was still being written to) ends it too.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(common::HANG)).expect("a deadline");
    let mut all = Vec::new();
    if let Err(error) = stream.read_to_end(&mut all) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
    }
    all
}
