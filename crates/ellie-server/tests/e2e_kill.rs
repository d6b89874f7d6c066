//! `kill -9` at any instant: nothing acknowledged is lost, nothing taken back returns.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Ellie, wait_until};
use serde_json::{Value, json};

const KILLS: usize = 20;
const WRITERS: usize = 4;
/// Writes that must have been acknowledged in a round before the kill: the process dies in full flight.
const WRITES: usize = 60;

/// What the server has promised: every instance that was acknowledged, and what was acknowledged about it.
#[derive(Default)]
struct Promised {
    /// By id: the port it was registered with.
    there: BTreeMap<String, u16>,
    gone: BTreeSet<String>,
    /// Asked for when the process died: may have happened or not.
    unknown: BTreeSet<String>,
}

#[test]
fn nothing_acknowledged_is_lost_in_twenty_kills() {
    // Takes connections and never answers, so that no check ends and every instance awaits its first one.
    let silent = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let port = silent.local_addr().expect("bound").port();
    let promised = Mutex::new(Promised::default());
    let mut ellie = Ellie::start();
    let folder = ellie.folder();
    for round in 0..KILLS {
        write_until_killed(&mut ellie, round, port, &promised);
        ellie = Ellie::builder().folder(&folder).start();
        compare(&ellie, &mut promised.lock().expect("no writer panics"), round);
    }
    let total = promised.lock().expect("no writer panics").there.len();
    println!("{total} instances, {KILLS} kills, none lost");
    assert!(total > KILLS * WRITES / 4, "the load was no load: {total}");
}

/// Writers register and deregister as fast as they are answered, until the process is killed under them.
fn write_until_killed(ellie: &mut Ellie, round: usize, port: u16, promised: &Mutex<Promised>) {
    let dead = AtomicBool::new(false);
    let written = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let server: &Ellie = ellie;
        for writer in 0..WRITERS {
            let (dead, written) = (&dead, &written);
            scope.spawn(move || {
                for number in 0.. {
                    let id = format!("r{round}-w{writer}-{number}");
                    if !write(server, &id, number, port, promised, dead) {
                        return;
                    }
                    written.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        wait_until("enough writes are acknowledged", || written.load(Ordering::Relaxed) >= WRITES);
        server.signal("KILL");
        dead.store(true, Ordering::Release);
    });
    ellie.kill();
}

/// One instance's life: registered; every fifth deregistered. False once the server is gone.
fn write(
    server: &Ellie,
    id: &str,
    number: usize,
    port: u16,
    promised: &Mutex<Promised>,
    dead: &AtomicBool,
) -> bool {
    let promised = || promised.lock().expect("no writer panics");
    let body = json!({
        "name": "load", "id": id, "host": "127.0.0.1", "port": port, "tags": ["a", id], "metadata": {"number": number.to_string()},
        "healthCheck": {"type": "http", "path": "/health", "interval": 60_000, "timeout": 30_000},
    });
    let lost = |what: &str, answer: std::io::Result<common::Answer>, expected: &[u16]| match answer {
        Ok(answer) => {
            assert!(expected.contains(&answer.status), "{what} {id}: {} {}", answer.status, answer.text());
            false
        }
        Err(error) => {
            // The signal may land a moment before the flag is seen.
            wait_until("the server is known to be dead", || dead.load(Ordering::Acquire));
            drop(error);
            true
        }
    };

    promised().unknown.insert(id.to_owned());
    if lost("register", server.try_call("POST", "/services", Some(&body)), &[201]) {
        return false;
    }
    promised().unknown.remove(id);
    promised().there.insert(id.to_owned(), port);
    if number % 5 == 4 {
        promised().there.remove(id);
        promised().unknown.insert(id.to_owned());
        if lost(
            "deregister",
            server.try_call("DELETE", &format!("/services/load/instances/{id}"), None),
            &[204],
        ) {
            return false;
        }
        promised().unknown.remove(id);
        promised().gone.insert(id.to_owned());
    }
    true
}

fn compare(ellie: &Ellie, promised: &mut Promised, round: usize) {
    let list = ellie.get("/services").expect(200).json();
    let no_services = Vec::new();
    let services = list["services"].as_array().unwrap_or(&no_services);
    let found: BTreeMap<String, &Value> = services
        .iter()
        .flat_map(|service| service["instances"].as_array().into_iter().flatten())
        .map(|instance| (instance["id"].as_str().expect("an id").to_owned(), instance))
        .collect();
    for (id, port) in &promised.there {
        let instance =
            found.get(id).unwrap_or_else(|| panic!("round {round}: {id} was acknowledged and is lost"));
        assert_eq!(instance["port"], *port, "{id}");
        assert_eq!(instance["tags"], json!(["a", id]), "{id}");
        assert_eq!(instance["status"], "unhealthy", "{id}");
        assert_eq!(instance["reason"], "awaiting first check", "{id}");
    }
    for id in &promised.gone {
        assert!(!found.contains_key(id), "round {round}: {id} was deregistered and is back");
    }
    for id in found.keys() {
        let known = promised.there.contains_key(id) || promised.unknown.contains(id);
        assert!(known, "round {round}: {id} was never asked for");
    }
    // What became of the unanswered is settled now, for good.
    for id in std::mem::take(&mut promised.unknown) {
        match found.get(&id) {
            Some(instance) => {
                let port =
                    instance["port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("a port");
                promised.there.insert(id, port);
            }
            None => drop(promised.gone.insert(id)),
        }
    }
}
