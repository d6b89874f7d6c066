//! Debian's Prometheus scrapes the running binary, and promtool reads what it exposes.

mod common;

use std::io::Write;
use std::process::{Command, Stdio};

use common::{Ellie, Peer, Ran, Upstream, free_port, peer, request, wait_for, wait_until};
use serde_json::{Value, json};

/// A service `shop` with one instance, a route to it, and one request answered through the gateway.
fn used(ellie: &Ellie) -> Upstream {
    let upstream = Upstream::start();
    ellie.post("/services", &upstream.registration("shop")).expect(201);
    ellie.post("/routes", &json!({"path": "/shop/*", "serviceName": "shop", "targetPath": "/"})).expect(201);
    wait_until("shop is healthy", || ellie.get("/services/shop").json()["status"] == "healthy");
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| {
            wait_for("the route answers", || {
                Some(ellie.through("GET", "/shop/one")).filter(|answer| answer.status == 200)
            })
        });
        upstream.next().answer(200, "one");
        assert_eq!(answer.join().expect("no panic").text(), "one");
    });
    upstream
}

#[test]
fn prometheus_scrapes_it_and_finds_the_three_metrics_under_their_names() {
    let Some(program) = peer("prometheus", "prometheus") else { return };
    let ellie = Ellie::start();
    let _upstream = used(&ellie);

    let port = free_port();
    let config = ellie.path("prometheus.yml");
    let scrape = format!(
        "scrape_configs:\n- job_name: ellie\n  scrape_interval: 1s\n  static_configs:\n  - targets: ['{}']\n",
        ellie.api
    );
    std::fs::write(&config, scrape).expect("prometheus.yml is written");
    let mut command = Command::new(program);
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", ellie.path("tsdb").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let log = ellie.path("prometheus.log");
    let mut prometheus = Peer::spawn("prometheus", &mut command, &log);

    let mut query = |query: &str| -> Value {
        wait_for(&format!("Prometheus knows {query}"), || {
            assert!(prometheus.is_running(), "Prometheus ended: {}", common::text_of(&log));
            let path = format!("/api/v1/query?query={}", query.replace('"', "%22"));
            let answer = request(([127, 0, 0, 1], port).into(), "GET", &path, &[], None).ok()?;
            let result = (answer.status == 200).then(|| answer.json()["data"]["result"].clone())?;
            (result.as_array()?.len() == 1).then(|| result[0].clone())
        })
    };
    let value = |sample: &Value| {
        sample["value"][1].as_str().and_then(|text| text.parse::<f64>().ok()).expect("a number")
    };

    assert!((value(&query("up{job=\"ellie\"}==1")) - 1.0).abs() < f64::EPSILON);
    assert!((value(&query("ellie_service_health{service=\"shop\"}")) - 1.0).abs() < f64::EPSILON);
    assert!(value(&query("ellie_service_response_time_ms{service=\"shop\"}")) >= 0.0);
    assert!(value(&query("ellie_circuit_breaker_state{service=\"shop\"}")).abs() < f64::EPSILON);
    assert!(value(&query("scrape_samples_scraped{job=\"ellie\"}")) > 20.0);
}

#[test]
fn promtool_finds_fault_with_one_name_alone_the_one_that_is_given() {
    let Some(promtool) = peer("promtool", "prometheus") else { return };
    let ellie = Ellie::builder().ephemeral().start();
    let _upstream = used(&ellie);
    let metrics = ellie.get("/metrics").expect(200).text();
    // This name is given, with a unit that the convention would spell out; promtool says so, and of nothing else.
    let given = "ellie_service_response_time_ms";
    let others: String =
        metrics.lines().filter(|line| !line.contains(given)).map(|line| format!("{line}\n")).collect();
    let checked = check(&promtool, &others).success();
    assert_eq!(checked.stdout + &checked.stderr, "");
    let all = check(&promtool, &metrics);
    let said = all.stdout + &all.stderr;
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        matches!(lines[..], [line] if line.starts_with(given) && line.contains("abbreviated units")),
        "one line, about one name: {said}"
    );
}

fn check(promtool: &std::path::Path, metrics: &str) -> Ran {
    let mut check = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts");
    check.stdin.take().expect("piped").write_all(metrics.as_bytes()).expect("promtool reads");
    Ran::from(check.wait_with_output().expect("promtool ends"))
}

#[test]
fn the_reference_names_every_metric() {
    let reference = include_str!("../../../docs/metrics.md");
    let ellie = Ellie::start();
    let _upstream = used(&ellie);
    let metrics = ellie.get("/metrics").expect(200).text();
    let names: Vec<&str> =
        metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(names.len() > 40, "{names:?}");
    for name in names {
        assert!(reference.contains(&format!("| `{name}` |")), "docs/metrics.md does not tell of {name}");
    }
}

#[test]
fn the_metrics_follow_the_service() {
    let ellie = Ellie::builder().ephemeral().start();
    let upstream = used(&ellie);
    let sample = |name: &str| {
        let metrics = ellie.get("/metrics").expect(200).text();
        let wanted = format!("{name}{{service=\"shop\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&wanted)).map(str::to_owned)
    };
    assert_eq!(sample("ellie_service_health").as_deref(), Some("1"));
    assert_eq!(sample("ellie_circuit_breaker_state").as_deref(), Some("0"));

    ellie.put("/breakers/shop/force-open", &json!({})).expect(200);
    assert_eq!(sample("ellie_circuit_breaker_state").as_deref(), Some("2"));
    let refused = ellie.through("GET", "/shop/two");
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));

    ellie.delete("/services/shop/instances/shop-1").expect(204);
    assert_eq!(sample("ellie_service_health"), None, "a service that is gone has no health");
    drop(upstream);
}
