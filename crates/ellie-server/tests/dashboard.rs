//! The dashboard's listener over sockets: its files, the API below `/api`, who may do what.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::Ellie;
use serde_json::json;

#[test]
fn the_pages_are_served_relative_to_wherever_they_stand() {
    let ellie = Ellie::builder().ephemeral().start();
    for root in ["/", "/ui"] {
        let answer = ellie.at_dashboard("GET", root, &[], None).expect(307);
        assert_eq!(answer.header("location"), Some("ui/"), "{root}: relative, for a path in front");
    }
    for (path, base) in [
        ("/ui/", "./"),
        ("/ui/index.html", "./"),
        ("/ui/services", "./"),
        ("/ui/services/orders", "../"),
        ("/ui/services/orders/instances/a%2Fb?tab=checks", "../../../"),
        ("/ui/routes/", "../"),
    ] {
        let answer = ellie.at_dashboard("GET", path, &[], None).expect(200);
        assert!(answer.text().contains(&format!("<base href=\"{base}\">")), "{path}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        let policy = answer.header("content-security-policy").unwrap();
        for rule in
            ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "form-action 'none'"]
        {
            assert!(policy.contains(rule), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        let etag = answer.header("etag").unwrap();
        let again = ellie.at_dashboard("GET", path, &[("If-None-Match", etag)], None).expect(304);
        assert!(again.body.is_empty());
        let head = ellie.at_dashboard("HEAD", path, &[], None).expect(200);
        assert_eq!(head.header("content-length"), Some(answer.body.len().to_string().as_str()));
    }
    let tag = |path: &str| ellie.at_dashboard("GET", path, &[], None).header("etag").map(str::to_owned);
    assert_ne!(tag("/ui/services"), tag("/ui/services/orders"), "other bytes, another tag");
    ellie.at_dashboard("POST", "/ui/", &[], None).expect(405);
    for none in ["/ui/assets/index-of-another-release.js", "/nothing", "/uix", "/ui/assets/"] {
        let answer = ellie.at_dashboard("GET", none, &[], None).expect(404);
        assert!(!answer.text().contains("<html"), "{none}");
    }
    // Not served: the build's notes.
    let notes = ellie.at_dashboard("GET", "/ui/SOURCES.sha256", &[], None);
    assert!(notes.text().contains("<base href"), "a page like any unknown name");
}

/// Every file there is, in every coding there is.
#[test]
fn files_come_as_they_were_built() {
    let ellie = Ellie::builder().ephemeral().start();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("ui-dist");
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let file = entry.unwrap().path();
            let path = file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            if file.is_dir() {
                folders.push(file);
                continue;
            }
            if matches!(path.as_str(), "index.html" | "SOURCES.sha256") {
                continue;
            }
            if path.ends_with(".br") || path.ends_with(".gz") {
                continue;
            }
            let plain = std::fs::read(&file).unwrap();
            let url = format!("/ui/{path}");
            let answer = ellie.at_dashboard("GET", &url, &[], None).expect(200);
            assert_eq!(answer.body, plain, "{path}");
            assert_eq!(answer.header("content-encoding"), None);
            if path.starts_with("assets/") {
                assert_eq!(answer.header("cache-control"), Some("public, max-age=31536000, immutable"));
            }
            for (suffix, coding) in [("br", "br"), ("gz", "gzip")] {
                let Ok(built) = std::fs::read(root.join(format!("{path}.{suffix}"))) else { continue };
                let coded = ellie.at_dashboard("GET", &url, &[("Accept-Encoding", coding)], None).expect(200);
                assert_eq!(coded.header("content-encoding"), Some(coding), "{path}");
                assert_eq!(coded.body, built, "{path}");
                assert_ne!(coded.header("etag"), answer.header("etag"));
                assert_eq!(coded.header("vary"), Some("accept-encoding"));
                let etag = coded.header("etag").unwrap();
                let fields = [("Accept-Encoding", coding), ("If-None-Match", etag)];
                ellie.at_dashboard("GET", &url, &fields, None).expect(304);
                let refused = [("Accept-Encoding", "br;q=0, gzip;q=0")];
                let plain_again = ellie.at_dashboard("GET", &url, &refused, None).expect(200);
                assert_eq!(plain_again.body, plain);
            }
        }
    }
}

#[test]
fn the_api_is_below_api_with_the_same_rules() {
    let ellie = Ellie::builder().ephemeral().start();
    let bearer = format!("Bearer {}", ellie.token);
    let body =
        json!({"name": "orders", "id": "a", "host": "127.0.0.1", "port": 9, "healthCheck": {"type": "none"}});
    // A path with parameters needs the scope that it needs at the API's own listener.
    ellie.at_dashboard("POST", "/api/services", &[], Some(&body)).expect(401);
    ellie.at_dashboard("POST", "/api/services", &[("Authorization", &bearer)], Some(&body)).expect(201);
    let drain = "/api/services/orders/instances/a/drain";
    ellie.at_dashboard("PUT", drain, &[], Some(&json!({}))).expect(401);
    ellie.at_dashboard("PUT", drain, &[("Authorization", "Bearer nonsense")], Some(&json!({}))).expect(401);
    ellie.at_dashboard("PUT", drain, &[("Authorization", &bearer)], Some(&json!({}))).expect(200);
    let listed = ellie.at_dashboard("GET", "/api/services?tag=x", &[], None).expect(200).json();
    assert_eq!(listed["count"], 0);
    let mut one = ellie.at_dashboard("GET", "/api/services/orders", &[], None).expect(200).json();
    let mut same = ellie.get("/services/orders").expect(200).json();
    for answer in [&mut one, &mut same] {
        answer["instances"][0]["lastCheck"].take();
    }
    assert_eq!(one, same);
    ellie.at_dashboard("GET", "/api/nothing", &[], None).expect(404);
    ellie.at_dashboard("GET", "/apiservices", &[], None).expect(404);
}

#[test]
fn pages_of_others_write_nothing() {
    let ellie = Ellie::builder().ephemeral().start();
    let bearer = format!("Bearer {}", ellie.token);
    let own = format!("http://{}", ellie.dashboard.unwrap());
    let put = |fields: &[(&str, &str)]| {
        let mut all = vec![("Authorization", bearer.as_str())];
        all.extend_from_slice(fields);
        let body = json!({"strategy": "random"});
        ellie.at_dashboard("PUT", "/api/load-balancer/strategy", &all, Some(&body))
    };
    put(&[("Origin", &own)]).expect(200);
    put(&[]).expect(200);
    // A proxy has put its own name for us in place of the one that the browser asked for.
    put(&[("Origin", "https://ops.example"), ("Sec-Fetch-Site", "same-origin")]).expect(200);
    // Through a tunnel: the browser asked for another port.
    put(&[("Host", "localhost:9000"), ("Origin", "http://localhost:9000")]).expect(200);
    put(&[("Origin", "https://evil.example")]).expect(403);
    put(&[("Origin", "http://127.0.0.1:1")]).expect(403);
    put(&[("Origin", "null")]).expect(403);
    put(&[("Sec-Fetch-Site", "cross-site")]).expect(403);
    put(&[("Sec-Fetch-Site", "same-site")]).expect(403);
    // A name that was bound to this address (DNS rebinding): neither pages nor the API answer to it.
    put(&[("Host", "evil.example"), ("Origin", "http://evil.example"), ("Sec-Fetch-Site", "same-origin")])
        .expect(421);
    ellie.at_dashboard("GET", "/ui/", &[("Host", "evil.example")], None).expect(421);
    ellie.at_dashboard("GET", "/", &[("Host", "evil.example")], None).expect(421);
}

/// The pages have no data: they are there for whoever is to be asked for a token.
#[test]
fn protected_reads_protect_data_and_not_the_pages() {
    let ellie = Ellie::builder().ephemeral().config("[auth]\nprotect_reads = true\n").start();
    ellie.at_dashboard("GET", "/ui/", &[], None).expect(200);
    ellie.at_dashboard("GET", "/api/services", &[], None).expect(401);
    let bearer = format!("Bearer {}", ellie.token);
    ellie.at_dashboard("GET", "/api/services", &[("Authorization", &bearer)], None).expect(200);
}
