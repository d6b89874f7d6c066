//! What systemd hears and hands over: the test is the service manager.

mod common;

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use common::{Ellie, Upstream, free_port, peer, wait_until};
use serde_json::json;

/// The next message that is no sign of life.
fn next(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer).expect("a message");
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if text.trim() != "WATCHDOG=1" {
            return text;
        }
    }
}

#[test]
fn systemd_hears_of_readiness_reloads_life_and_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    let mut ellie = Ellie::builder()
        .env("NOTIFY_SOCKET", path.to_str().expect("text"))
        .env("WATCHDOG_USEC", "200000")
        .config("[health]\ninterval = \"10s\"\n")
        .start();
    let ready = next(&socket);
    assert!(ready.contains("READY=1") && ready.contains("STATUS=serving"), "{ready}");

    let mut buffer = [0; 4096];
    for _ in 0..3 {
        let length = socket.recv(&mut buffer).expect("a sign of life");
        let text = String::from_utf8_lossy(&buffer[..length]);
        // What changed between reading the file and watching it is found by one reload of its own accord.
        assert!(["WATCHDOG=1", "RELOADING=1", "READY=1"].iter().any(|known| text.contains(known)), "{text}");
    }

    std::fs::write(ellie.path("ellie.toml"), "[health]\ninterval = \"11s\"\n").expect("written");
    ellie.signal("HUP");
    ellie.wait_for_line("the reload", |line| line.contains("configuration reloaded"));
    std::fs::write(ellie.path("ellie.toml"), "[health]\nintervall = \"11s\"\n").expect("written");
    ellie.signal("HUP");
    let reload = std::iter::repeat_with(|| next(&socket)).find(|text| text.contains("RELOADING=1"));
    assert!(reload.is_some_and(|text| text.contains("MONOTONIC_USEC=")));
    let rejected = std::iter::repeat_with(|| next(&socket)).find(|text| text.contains("rejected"));
    assert!(rejected.is_some_and(|text| text.contains("READY=1")), "a rejected reload leaves it ready");

    ellie.signal("TERM");
    let stopping = std::iter::repeat_with(|| next(&socket)).find(|text| text.contains("STOPPING=1"));
    assert!(stopping.is_some());
    assert_eq!(ellie.wait().code(), Some(0), "{}", ellie.log());
}

/// Opens a port, names it, and becomes the program that it is given: what systemd does for a socket unit.
const HAND_OVER: &str = r#"
import os, socket, sys
name, port, program = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", port))
listener.listen(64)
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES=name)
os.execv(program[0], program)
"#;

#[test]
fn the_gateway_accepts_on_a_socket_that_was_handed_over() {
    if peer("python3", "python3").is_none() {
        return;
    }
    let port = free_port().to_string();
    let ellie = Ellie::builder().launcher(["python3", "-c", HAND_OVER, "gateway", &port]).start();
    assert_eq!(ellie.gateway.port().to_string(), port);
    let upstream = Upstream::start();
    ellie.post("/services", &upstream.registration("handed")).expect(201);
    ellie.post("/routes", &json!({"path": "/handed/*", "serviceName": "handed"})).expect(201);
    // The gateway's table follows the registry a moment later; this path the upstream answers by itself.
    let ready = json!({"path": "/ready", "serviceName": "handed", "targetPath": "/health"});
    ellie.post("/routes", &ready).expect(201);
    wait_until("the gateway knows it", || ellie.through("GET", "/ready").status == 200);
    std::thread::scope(|scope| {
        let client = scope.spawn(|| ellie.through("GET", "/handed/x"));
        upstream.next().answer(200, "through the handed socket");
        assert_eq!(client.join().expect("no panic").expect(200).text(), "through the handed socket");
    });
}

#[test]
fn a_socket_of_an_unknown_name_is_refused() {
    if peer("python3", "python3").is_none() {
        return;
    }
    let ran = Ellie::builder().launcher(["python3", "-c", HAND_OVER, "web", "0"]).spawn().ended().expect(78);
    assert!(ran.stderr.contains("`web`") && ran.stderr.contains("FileDescriptorName="), "{}", ran.stderr);
}
