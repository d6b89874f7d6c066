//! A thousand containers that start and die at once. No machine of tests starts so many; what a real daemon said of one
//! (`common/docker/recorded/`) is said again of each, over a socket.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Ellie, Upstream, wait_until};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

const VERSION: &str = include_str!("common/docker/recorded/version.json");
const INFO: &str = include_str!("common/docker/recorded/info.json");
const LIST: &str = include_str!("common/docker/recorded/list.json");
const INSPECT: &str = include_str!("common/docker/recorded/inspect.json");
const START: &str = include_str!("common/docker/recorded/start.json");
const DIE: &str = include_str!("common/docker/recorded/die.json");

const MANY: usize = 1000;

/// What a daemon would answer that has these containers, all on the host's network with a server at `port`.
struct Recorded {
    port: u16,
    running: Mutex<BTreeSet<String>>,
    events: Mutex<Vec<u8>>,
    more_events: Condvar,
    looks: AtomicUsize,
}

impl Recorded {
    fn listen(at: &Path, port: u16) -> Arc<Self> {
        let listener = UnixListener::bind(at).unwrap();
        let daemon = Arc::new(Self {
            port,
            running: Mutex::default(),
            events: Mutex::default(),
            more_events: Condvar::new(),
            looks: AtomicUsize::new(0),
        });
        let answering = Arc::clone(&daemon);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let daemon = Arc::clone(&answering);
                std::thread::spawn(move || daemon.answer(stream));
            }
        });
        daemon
    }

    /// The recording of one container, as that of another.
    fn of(&self, recording: &str, id: &str) -> Value {
        let mut value: Value = serde_json::from_str(recording).unwrap();
        let name = format!("many-{id:.12}");
        let port = json!(self.port.to_string());
        for key in ["Id", "id"] {
            if value.get(key).is_some() {
                value[key] = json!(id);
            }
        }
        if let Some(actor) = value.get_mut("Actor") {
            actor["ID"] = json!(id);
            actor["Attributes"]["name"] = json!(name);
            actor["Attributes"]["service.port"] = port;
        } else if let Some(config) = value.get_mut("Config") {
            config["Labels"]["service.port"] = port;
            value["Name"] = json!(format!("/{name}"));
        } else {
            value["Labels"]["service.port"] = port;
            value["Names"] = json!([format!("/{name}")]);
        }
        value
    }

    fn answer(&self, mut stream: UnixStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let mut field = String::new();
        while reader.read_line(&mut field).is_ok_and(|n| n > 2) {
            field.clear();
        }
        let path = line.split(' ').nth(1).unwrap_or_default().split('?').next().unwrap_or_default();
        let parts: Vec<&str> =
            path.split('/').filter(|part| !part.is_empty() && !part.starts_with("v1.")).collect();
        let (status, body) = match parts[..] {
            ["events"] => return self.stream(stream),
            ["version"] => ("200 OK", VERSION.to_owned()),
            ["info"] => ("200 OK", INFO.to_owned()),
            ["containers", "json"] => {
                let one: Value = serde_json::from_str::<Value>(LIST).unwrap()[0].clone();
                let running = self.running.lock().unwrap().clone();
                let all: Vec<Value> = running.iter().map(|id| self.of(&one.to_string(), id)).collect();
                ("200 OK", json!(all).to_string())
            }
            ["containers", id, "json"] => {
                self.looks.fetch_add(1, Ordering::Relaxed);
                if self.running.lock().unwrap().contains(id) {
                    ("200 OK", self.of(INSPECT, id).to_string())
                } else {
                    ("404 Not Found", json!({ "message": format!("No such container: {id}") }).to_string())
                }
            }
            _ => ("404 Not Found", json!({ "message": "page not found" }).to_string()),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        // Who asked may be gone: its affair.
        let _ = stream.write_all((head + &body).as_bytes());
    }

    /// The events from now on, for as long as they are read.
    fn stream(&self, mut stream: UnixStream) {
        let head = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut events = self.events.lock().unwrap();
        let mut sent = events.len();
        let mut alive = stream.write_all(head.as_bytes()).is_ok();
        while alive {
            events = self.more_events.wait_while(events, |events| events.len() == sent).unwrap();
            let chunk = events[sent..].to_vec();
            sent = events.len();
            drop(events);
            alive = stream.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).is_ok()
                && stream.write_all(&chunk).is_ok()
                && stream.write_all(b"\r\n").is_ok();
            events = self.events.lock().unwrap();
        }
    }

    /// Starts or ends containers, with all their events in one piece.
    fn at_once(&self, ids: &[String], recording: &str) {
        let told: String = ids.iter().map(|id| format!("{}\n", self.of(recording, id))).collect();
        let mut running = self.running.lock().unwrap();
        for id in ids {
            if recording == START {
                running.insert(id.clone());
            } else {
                running.remove(id);
            }
        }
        drop(running);
        self.events.lock().unwrap().extend(told.as_bytes());
        self.more_events.notify_all();
    }
}

#[test]
fn a_thousand_containers_start_and_die_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let upstream = Upstream::start();
    let daemon = Recorded::listen(&socket, upstream.address.port());
    let config = format!(
        "[[routes]]\npath = \"/hosted/*\"\nservice_name = \"hosted\"\ntarget_path = \"/\"\n\
         [providers.docker]\nenabled = true\nendpoint = \"unix://{}\"\nrefresh = \"1h\"\n",
        socket.display()
    );
    let ellie = Ellie::builder().ephemeral().config(&config).start();
    let provider = || ellie.get("/providers").expect(200).json()["providers"][0].clone();
    wait_until("the first set", || provider()["up"] == true);

    let ids: Vec<String> = (0..MANY).map(|n| format!("{n:012x}{:052x}", n * 7919)).collect();
    daemon.at_once(&ids, START);
    wait_until("all of them", || {
        let service = ellie.get("/services/hosted");
        service.status == 200 && service.json()["routable"] == MANY
    });
    wait_until("the report", || provider()["instances"] == MANY);
    let p = provider();
    assert_eq!(p["noteCount"], 0, "{p}");
    assert!(p["syncs"].as_u64().unwrap() < 100, "sets are told of many at once: {p}");
    let looks = daemon.looks.load(Ordering::Relaxed);
    assert!((MANY..MANY + 100).contains(&looks), "{looks} looks at {MANY} containers");
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| ellie.through("GET", "/hosted/x").expect(200).text());
        upstream.next().answer(200, "one of many");
        assert_eq!(asked.join().unwrap(), "one of many");
    });

    // Half of them die, and come back, and all die: in three pieces that nobody waits for.
    let half = &ids[..MANY / 2];
    daemon.at_once(half, DIE);
    daemon.at_once(half, START);
    daemon.at_once(&ids, DIE);
    wait_until("none of them", || {
        ellie.get("/services/hosted").status == 404 && provider()["instances"] == 0
    });
    let p = provider();
    assert_eq!((p["failures"].as_u64(), p["up"].as_bool()), (Some(0), Some(true)), "{p}");
}
