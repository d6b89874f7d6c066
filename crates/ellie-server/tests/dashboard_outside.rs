//! The dashboard's listener as strangers meet it: foreign pages, rebound names, proxies in front, eyes on the log.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Ellie, Peer, free_port, peer, request, text_of, wait_until};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::Command;

/// Every call of the API's document below `/api`, and what pages alone read: method and path.
fn calls(ellie: &Ellie) -> Vec<(String, String)> {
    let document = ellie.get("/openapi.json").expect(200).json();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path.replace("{name}", "orders").replace("{id}", "a");
        for method in ["get", "post", "put", "delete"].into_iter().filter(|m| item.get(m).is_some()) {
            all.push((method.to_uppercase(), format!("/api{path}")));
        }
    }
    let own = ["stream", "history", "config", "service/orders", "instance/orders/a"];
    all.extend(own.map(|page| ("GET".to_owned(), format!("/api/ui/{page}"))));
    all.push(("POST".to_owned(), "/api/ui/route-test".to_owned()));
    assert!(all.len() > 30, "{all:?}");
    all
}

fn registered(ellie: &Ellie) {
    let body =
        json!({"name": "orders", "id": "a", "host": "127.0.0.1", "port": 9, "healthCheck": {"type": "none"}});
    ellie.post("/services", &body).expect(201);
    ellie.post("/routes", &json!({"id": "a", "path": "/a", "serviceName": "orders"})).expect(201);
}

/// All that a call could change.
fn state(ellie: &Ellie) -> Vec<Value> {
    let fields = [("Accept", "application/json")];
    let journal = request(ellie.api, "GET", "/events", &fields, None).unwrap().expect(200).json();
    let read =
        ["/services", "/routes", "/load-balancer/strategy"].map(|path| ellie.get(path).expect(200).json());
    let forced = ellie.get("/breakers/orders").expect(200).json()["forced"].clone();
    read.into_iter().chain([journal["lastId"].clone(), forced]).collect()
}

#[test]
fn no_call_and_no_page_answers_to_another_name() {
    let ellie = Ellie::builder().ephemeral().start();
    registered(&ellie);
    let before = state(&ellie);
    let bearer = format!("Bearer {}", ellie.token);
    let pages = [
        "/",
        "/ui",
        "/ui/",
        "/ui/services",
        "/ui/favicon.svg",
        "/ui/assets/x.js",
        "/nothing",
        "/api/nothing",
    ];
    let pages = pages.map(|path| ("GET".to_owned(), path.to_owned()));
    for (method, path) in calls(&ellie).into_iter().chain(pages) {
        let fields = [("Host", "evil.example"), ("Authorization", &bearer)];
        let answer = ellie.at_dashboard(&method, &path, &fields, None);
        assert_eq!(answer.status, 421, "{method} {path}");
        assert!(answer.header("content-security-policy").unwrap().contains("default-src 'none'"), "{path}");
    }
    assert_eq!(state(&ellie), before);
}

#[test]
fn no_call_is_taken_from_a_page_of_others_not_even_with_the_token() {
    let ellie = Ellie::builder().ephemeral().start();
    registered(&ellie);
    let before = state(&ellie);
    let bearer = format!("Bearer {}", ellie.token);
    let foreign: [&[(&str, &str)]; 4] = [
        &[("Origin", "https://evil.example")],
        &[("Origin", "null")],
        &[("Origin", "http://127.0.0.1:1"), ("Sec-Fetch-Site", "same-site")],
        // An image, a script or a form of another page has no `Origin`.
        &[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors")],
    ];
    for (method, path) in calls(&ellie) {
        for fields in foreign {
            let mut fields = fields.to_vec();
            fields.push(("Authorization", &bearer));
            let answer = ellie.at_dashboard(&method, &path, &fields, None);
            assert_eq!(answer.status, 403, "{method} {path} {fields:?}");
            assert_eq!(answer.header("access-control-allow-origin"), None);
            assert_eq!(answer.json()["type"], "urn:ellie:problem:cross-origin");
        }
    }
    assert_eq!(state(&ellie), before);
    // A link to what is read is followed, one to what is done does nothing.
    let link = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Authorization", &bearer)];
    ellie.at_dashboard("GET", "/api/services", &link, None).expect(200);
    ellie.at_dashboard("GET", "/ui/services", &link, None).expect(200);
    ellie.at_dashboard("POST", "/api/services", &link, Some(&json!({}))).expect(403);
    // Our own page, as a browser tells it.
    let own = format!("http://{}", ellie.dashboard.unwrap());
    let fields = [("Origin", own.as_str()), ("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "cors")];
    ellie.at_dashboard("GET", "/api/services", &fields, None).expect(200);
}

#[test]
fn every_answer_says_that_nothing_runs_but_our_own_files() {
    let ellie = Ellie::builder().ephemeral().start();
    registered(&ellie);
    let reads = calls(&ellie).into_iter().filter(|(method, _)| method == "GET").map(|(_, path)| path);
    // Streams do not end; their heads are those of the others.
    let reads = reads
        .filter(|path| !["/api/ui/stream", "/api/services/watch", "/api/events"].contains(&path.as_str()));
    let pages = ["/", "/ui/", "/ui/services/a", "/ui/favicon.svg", "/ui/assets/none.js", "/nothing"];
    for path in reads.chain(pages.map(str::to_owned)) {
        let answer = ellie.at_dashboard("GET", &path, &[], None);
        let policy =
            answer.header("content-security-policy").unwrap_or_else(|| panic!("{path} has no policy"));
        for rule in ["default-src 'none'", "frame-ancestors 'none'"] {
            assert!(policy.contains(rule), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{path}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"), "{path}");
        assert_eq!(answer.header("set-cookie"), None, "{path}");
        if path.starts_with("/api") {
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        }
    }
}

/// Not in an address, where histories and proxies keep it; not in the log, however much that tells.
#[test]
fn a_token_is_taken_from_its_field_alone_and_is_in_no_log() {
    let ellie = Ellie::builder().ephemeral().env("ELLIE_LOG__LEVEL", "trace").start();
    registered(&ellie);
    let wrong = "a-token-that-somebody-mistyped-98765";
    let strategy = json!({"strategy": "random"});
    for name in ["token", "access_token", "bearer"] {
        let path = format!("/api/load-balancer/strategy?{name}={}", ellie.token);
        let answer = ellie.at_dashboard("PUT", &path, &[], Some(&strategy));
        assert_eq!(answer.status, 401, "{name}");
        let path = format!("/api/services?{name}={}", ellie.token);
        let answer = ellie.at_dashboard("GET", &path, &[], None).expect(400);
        assert!(!answer.text().contains(&ellie.token), "{}", answer.text());
        ellie.at_dashboard("GET", &format!("/ui/?{name}={}", ellie.token), &[], None).expect(200);
    }
    let field = |token: &str| format!("Bearer {token}");
    for token in [wrong, &ellie.token] {
        let status = if token == wrong { 401 } else { 200 };
        let fields = [("Authorization", field(token))];
        let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
        ellie.at_dashboard("PUT", "/api/load-balancer/strategy", &fields, Some(&strategy)).expect(status);
    }
    let basic = [("Authorization", format!("Basic {}", ellie.token))];
    let basic = basic.each_ref().map(|(name, value)| (*name, value.as_str()));
    ellie.at_dashboard("GET", "/api/services", &basic, None).expect(401);
    for path in ["/events", "/services/stats", "/metrics"] {
        let fields = [("Accept", "application/json")];
        let text = request(ellie.api, "GET", path, &fields, None).unwrap().text();
        assert!(!text.contains(&ellie.token) && !text.contains(wrong), "{path}");
    }
    let config = ellie.at_dashboard("GET", "/api/ui/config", &[], None).expect(200).text();
    assert!(config.contains("auth.operator_token") && !config.contains(&ellie.token));
    let log = ellie.log();
    assert!(log.contains("\"level\":\"DEBUG\""), "the log tells all: {log}");
    assert!(!log.contains(&ellie.token) && !log.contains(wrong), "{log}");
}

#[test]
fn whatever_is_read_changes_nothing() {
    let ellie = Ellie::builder().ephemeral().start();
    registered(&ellie);
    let before = state(&ellie);
    let streams = ["/api/ui/stream", "/api/services/watch", "/api/events"];
    for (method, path) in calls(&ellie) {
        if method == "GET" && !streams.contains(&path.as_str()) {
            // One process is asked for where none is run.
            let status = if path.starts_with("/api/processes/") { 404 } else { 200 };
            ellie.at_dashboard("GET", &path, &[], None).expect(status);
            ellie.at_dashboard("HEAD", &path, &[], None);
        }
    }
    ellie.at_dashboard("GET", "/api/services/orders/resolve?explain=true", &[], None).expect(200);
    ellie.at_dashboard("GET", "/api/events", &[("Accept", "application/json")], None).expect(200);
    ellie.at_dashboard("POST", "/api/ui/route-test", &[], Some(&json!({"path": "/a"}))).expect(200);
    assert_eq!(state(&ellie), before);
}

/// An nginx that has the dashboard below `/tools/ellie/`, as the documentation says.
fn proxy(ellie: &Ellie, host: &str) -> Option<(Peer, SocketAddr)> {
    let program = peer("nginx", "nginx-light")?;
    let port = free_port();
    let folder = ellie.path(format!("proxy-{port}"));
    std::fs::create_dir_all(&folder).unwrap();
    let (at, to) = (folder.display(), ellie.dashboard.unwrap());
    let text = format!(
        "daemon off; master_process off; pid {at}/nginx.pid;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi;
  uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location /tools/ellie/ {{ proxy_pass http://{to}/; proxy_set_header Host {host}; proxy_http_version 1.1;
                              proxy_buffering off; }}
  }}
}}
"
    );
    let config = folder.join("nginx.conf");
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(program);
    command.arg("-p").arg(&folder).arg("-c").arg(&config).arg("-e").arg(folder.join("error.log"));
    let mut nginx = Peer::spawn("nginx", &mut command, &folder.join("out.log"));
    wait_until("nginx listens", || {
        assert!(nginx.is_running(), "nginx ended: {}", text_of(&folder.join("error.log")));
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    Some((nginx, SocketAddr::from(([127, 0, 0, 1], port))))
}

/// Where a browser that is at `from` goes by a relative address.
fn follow(from: &str, relative: &str) -> String {
    let mut at: Vec<&str> = from.rsplit_once('/').unwrap().0.split('/').collect();
    for part in relative.split('/') {
        match part {
            "." => {}
            ".." => drop(at.pop()),
            name => at.push(name),
        }
    }
    at.join("/")
}

#[test]
fn below_a_path_of_a_real_proxy_everything_is_found() {
    let ellie = Ellie::builder().ephemeral().start();
    registered(&ellie);
    let Some((_nginx, front)) = proxy(&ellie, "$http_host") else { return };
    let get = |path: &str| request(front, "GET", path, &[], None).unwrap();
    let moved = get("/tools/ellie/").expect(307);
    assert_eq!(follow("/tools/ellie/", moved.header("location").unwrap()), "/tools/ellie/ui/");
    for page in ["/tools/ellie/ui/", "/tools/ellie/ui/services/orders", "/tools/ellie/ui/services/orders/a"] {
        let text = get(page).expect(200).text();
        let attribute = |name: &str, text: &str| -> Vec<String> {
            let wanted = format!(" {name}=\"");
            let parts = text.split(&wanted).skip(1);
            parts.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
        };
        let base = attribute("href", text.split("<base").nth(1).unwrap()).remove(0);
        let base = follow(page, &base);
        assert_eq!(base, "/tools/ellie/ui/", "{page}");
        let head = text.split("<base").nth(1).unwrap();
        let files: Vec<String> =
            attribute("src", head).into_iter().chain(attribute("href", head).into_iter().skip(1)).collect();
        assert!(files.iter().any(|file| file.ends_with(".js")), "{files:?}");
        for file in files {
            let found = get(&follow(&base, &file)).expect(200);
            assert!(!found.header("content-type").unwrap().starts_with("text/html"), "{file}");
        }
        let api = follow(&base, "../api/services");
        assert_eq!(get(&api).expect(200).json()["count"], 1);
    }
    let (bearer, own) = (format!("Bearer {}", ellie.token), format!("http://{front}"));
    let act = |front: SocketAddr, fields: &[(&str, &str)]| {
        let mut all = vec![("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        all.extend_from_slice(fields);
        let path = "/tools/ellie/api/services/orders/instances/a/drain";
        request(front, "PUT", path, &all, Some(b"{}")).unwrap()
    };
    act(front, &[("Origin", &own)]).expect(200);
    act(front, &[("Origin", "https://evil.example")]).expect(403);
    // A proxy that puts its own `Host`: the browser's word for "same page" is what is left.
    let Some((_second, front)) = proxy(&ellie, "$proxy_host") else { return };
    let own = format!("http://{front}");
    act(front, &[("Origin", &own), ("Sec-Fetch-Site", "same-origin")]).expect(200);
    act(front, &[("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")]).expect(403);
    act(front, &[("Origin", &own)]).expect(403);
}

/// The stream comes through a proxy as it is made, event by event.
#[test]
fn the_stream_comes_through_a_real_proxy() {
    use std::io::{BufRead, BufReader, Write};
    let ellie = Ellie::builder().ephemeral().start();
    registered(&ellie);
    let Some((_nginx, front)) = proxy(&ellie, "$http_host") else { return };
    let mut stream = std::net::TcpStream::connect(front).unwrap();
    stream.set_read_timeout(Some(common::HANG)).unwrap();
    write!(stream, "GET /tools/ellie/api/ui/stream HTTP/1.1\r\nHost: {front}\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut until = |wanted: &str| {
        for line in lines.by_ref() {
            let line = line.unwrap();
            if line.contains(wanted) {
                return line;
            }
        }
        panic!("the stream ended before `{wanted}`")
    };
    until("event: snapshot");
    until("event: tick");
    ellie.put("/services/orders/instances/a/drain", &json!({})).expect(200);
    until("event: delta");
    assert!(until("data: ").contains("draining"));
}
