//! Three real upstreams behind the gateway, one of which crashes and comes back under load.

mod common;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::{Ellie, Nginx, peer, wait_until};

const NAMES: [&str; 3] = ["web-1", "web-2", "web-3"];
const CONNECTIONS: u64 = 16;

/// Each of these tests loads the whole machine; side by side they would only measure each other.
static MACHINE: Mutex<()> = Mutex::new(());

fn machine() -> MutexGuard<'static, ()> {
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn an_upstream_that_crashes_and_returns_costs_no_idempotent_request() {
    crash_and_return("health_based");
}

#[test]
fn under_round_robin_a_passed_check_ends_an_ejection() {
    crash_and_return("round_robin");
}

fn crash_and_return(strategy: &str) {
    let Some(wrk) = peer("wrk", "wrk") else { return };
    let _alone = machine();
    let ellie = Ellie::builder()
        .config(&format!(
            "[health]\ninterval = \"1s\"\ntimeout = \"500ms\"\n\n[load_balancing]\nstrategy = \"{strategy}\"\n"
        ))
        .start();
    let Some(mut upstreams) = start_upstreams(&ellie) else { return };

    let load = Load::start(&wrk, &ellie);
    wait_until("every upstream has served", || upstreams.iter().all(|upstream| upstream.served() > 100));

    upstreams[1].crash();
    wait_until("the crash is seen", || status(&ellie, "web-2") == "unhealthy");
    let failures = failures(&ellie, "web-2");
    let before: Vec<usize> = upstreams.iter().map(Nginx::served).collect();
    wait_until("the others carry on", || {
        upstreams[0].served() > before[0] + 500 && upstreams[2].served() > before[2] + 500
    });
    assert_eq!(
        self::failures(&ellie, "web-2"),
        failures,
        "traffic still goes to an instance known to be down"
    );

    upstreams[1].start_again();
    wait_until("it serves again", || upstreams[1].served() > 100);
    let requests = upstreams[1].requests();
    let first = requests.iter().position(|path| path != "/health").expect("it has served");
    // One check makes it healthy; a second may pass while the first one's news travel.
    assert!((1..=2).contains(&first), "traffic came back after {first} checks, not after one");
    assert_eq!(status(&ellie, "web-2"), "healthy");

    let report = load.stop();
    println!("{report}");
    assert!(!report.contains("Socket errors"), "the gateway itself failed connections:\n{report}");
    assert_eq!(failed_requests(&report), 0, "{report}");
    assert!(requests_in(&report) > 1_000, "the load was no load:\n{report}");
}

#[test]
fn each_strategy_serves_from_every_upstream_and_can_be_switched_under_load() {
    let Some(wrk) = peer("wrk", "wrk") else { return };
    let _alone = machine();
    let ellie = Ellie::start();
    let Some(upstreams) = start_upstreams(&ellie) else { return };
    let load = Load::start(&wrk, &ellie);
    for strategy in ["round_robin", "least_connections", "weighted_round_robin", "random", "health_based"] {
        ellie.put("/load-balancer/strategy", &serde_json::json!({ "strategy": strategy })).expect(200);
        assert_eq!(ellie.get("/services/stats").json()["loadBalancer"]["strategy"], strategy);
        let before: Vec<usize> = upstreams.iter().map(Nginx::served).collect();
        wait_until("each serves under this strategy", || {
            upstreams.iter().zip(&before).all(|(upstream, before)| upstream.served() > before + 100)
        });
    }
    let report = load.stop();
    assert_eq!(failed_requests(&report), 0, "{report}");
    assert!(!report.contains("Socket errors"), "{report}");
}

#[test]
fn a_drained_upstream_gets_no_new_request_and_loses_none() {
    let Some(wrk) = peer("wrk", "wrk") else { return };
    let _alone = machine();
    let ellie = Ellie::start();
    let Some(upstreams) = start_upstreams(&ellie) else { return };
    let load = Load::start(&wrk, &ellie);
    wait_until("every upstream has served", || upstreams.iter().all(|upstream| upstream.served() > 100));

    ellie.cli(&["drain", "web", "web-3"]).success();
    // Requests that were under way when the table was swapped are still logged; then it is still.
    wait_until("nothing is in flight to it", || {
        let stats = ellie.get("/services/stats").json();
        let instance = &stats["loadBalancer"]["services"]["web"]["instances"]["web-3"];
        instance.is_null() || instance["inFlight"] == 0
    });
    let (drained, others) = (upstreams[2].served(), upstreams[0].served());
    wait_until("the others carry on", || upstreams[0].served() > others + 500);
    let late = upstreams[2].served() - drained;
    assert!(late as u64 <= CONNECTIONS, "{late} requests reached a drained instance");

    ellie.cli(&["undrain", "web", "web-3"]).success();
    let drained = upstreams[2].served();
    wait_until("it serves again", || upstreams[2].served() > drained + 100);
    let report = load.stop();
    assert_eq!(failed_requests(&report), 0, "{report}");
}

/// Three nginx registered as `web` by the command line, routed at `/web/*`, and healthy.
fn start_upstreams(ellie: &Ellie) -> Option<Vec<Nginx>> {
    let folder = ellie.folder();
    let upstreams: Vec<Nginx> =
        NAMES.iter().map(|name| Nginx::start(folder.path(), name)).collect::<Option<Vec<_>>>()?;
    for upstream in &upstreams {
        let port = upstream.port.to_string();
        let place = ["--id", &upstream.name, "--host", "127.0.0.1", "--port", &port, "--health", "/health"];
        ellie.cli(&[&["register", "web"][..], &place].concat()).success();
    }
    ellie
        .post("/routes", &serde_json::json!({"path": "/web/*", "serviceName": "web", "targetPath": "/"}))
        .expect(201);
    wait_until("all three are healthy", || NAMES.iter().all(|id| status(ellie, id) == "healthy"));
    // The route is in force when it answers.
    wait_until("the route answers", || ellie.through("GET", "/web/hello").status == 200);
    Some(upstreams)
}

fn status(ellie: &Ellie, id: &str) -> String {
    let instance = ellie.get(&format!("/services/web/instances/{id}")).expect(200).json();
    instance["status"].as_str().expect("a status").to_owned()
}

/// Requests that the gateway sent to this instance and that failed.
fn failures(ellie: &Ellie, id: &str) -> u64 {
    let stats = ellie.get("/services/stats").expect(200).json();
    let instance = &stats["loadBalancer"]["services"]["web"]["instances"][id];
    instance["failures"].as_u64().unwrap_or_default() + instance["timeouts"].as_u64().unwrap_or_default()
}

/// wrk through the gateway, until it is told to stop.
struct Load(std::process::Child);

impl Load {
    fn start(wrk: &Path, ellie: &Ellie) -> Self {
        let child = Command::new(wrk)
            .args(["-t", "1", "-d", "10m", "--timeout", "30s", "-c", &CONNECTIONS.to_string()])
            .arg(format!("http://{}/web/hello", ellie.gateway))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("wrk starts");
        Self(child)
    }

    /// Interrupts it, as ^C would, and returns its report.
    fn stop(mut self) -> String {
        let status =
            Command::new("kill").args(["-INT", &self.0.id().to_string()]).status().expect("kill runs");
        assert!(status.success(), "wrk had ended by itself");
        let mut report = String::new();
        let mut output = self.0.stdout.take().expect("piped");
        std::io::Read::read_to_string(&mut output, &mut report).expect("wrk's report");
        report
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn failed_requests(report: &str) -> u64 {
    number_after(report, "Non-2xx or 3xx responses:").unwrap_or_default()
}

fn requests_in(report: &str) -> u64 {
    let line = report.lines().find(|line| line.contains(" requests in ")).unwrap_or_default();
    line.split_whitespace().next().and_then(|count| count.parse().ok()).unwrap_or_default()
}

fn number_after(report: &str, label: &str) -> Option<u64> {
    report.split_once(label)?.1.split_whitespace().next()?.parse().ok()
}

#[test]
fn the_report_of_the_load_is_read_correctly() {
    let report = "  1234 requests in 2.00s, 5KB read\n  Non-2xx or 3xx responses: 17\nRequests/sec: 5\n";
    assert_eq!((requests_in(report), failed_requests(report)), (1234, 17));
    assert_eq!(failed_requests("  1 requests in 2.00s\n"), 0);
}
