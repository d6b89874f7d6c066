//! Containers of a real daemon: found by their labels, checked, sent traffic, drained and removed.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Daemon, Ellie, wait_for, wait_until, with_docker};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex};

const USERS: [&str; 4] = ["-l", "service.name=users", "-l", "service.healthEndpoint=/health"];

const ROUTE: &str = "[[routes]]\npath = \"/users/*\"\nservice_name = \"users\"\ntarget_path = \"/\"\n";

/// A server that follows the daemon and checks often.
fn ellie(daemon: &Daemon, more: &str) -> Ellie {
    let endpoint = daemon.endpoint();
    let config = format!(
        "[health]\ninterval = \"1s\"\ntimeout = \"1s\"\n{ROUTE}\n[providers.docker]\nenabled = true\nendpoint = \"{endpoint}\"\n{more}"
    );
    Ellie::builder().ephemeral().config(&config).start()
}

fn provider(ellie: &Ellie) -> Value {
    ellie.get("/providers").expect(200).json()["providers"][0].clone()
}

fn instance(ellie: &Ellie, id: &str) -> Option<Value> {
    let answer = ellie.get(&format!("/services/users/instances/{id}"));
    (answer.status == 200).then(|| answer.json())
}

#[track_caller]
fn routable(ellie: &Ellie, id: &str) -> Value {
    wait_for("the container's traffic", || instance(ellie, id).filter(|i| i["standing"] == "routable"))
}

#[track_caller]
fn gone(ellie: &Ellie, id: &str) {
    wait_until("the container's removal", || instance(ellie, id).is_none());
}

/// The kinds of the journal's entries about an instance, in their order.
fn story(ellie: &Ellie, id: &str) -> Vec<String> {
    let authorization = format!("Bearer {}", ellie.token);
    let fields = [("Accept", "application/json"), ("Authorization", authorization.as_str())];
    let events = common::request(ellie.api, "GET", "/events?service=users", &fields, None).unwrap();
    let events = events.expect(200).json();
    let events = events["events"].as_array().unwrap().clone();
    let kinds = events.iter().filter(|e| e["instance"] == id);
    kinds.map(|e| e["kind"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_container_is_found_checked_routed_drained_and_removed() {
    with_docker("a_container_is_found_checked_routed_drained_and_removed", &[], |daemon| {
        let ellie = ellie(daemon, "");
        let options = [
            "-e",
            "NAME=one",
            "-e",
            "LINGER=3000",
            "-l",
            "service.tags=api,backend",
            "-l",
            "service.version=1.2.3",
        ];
        let one = daemon.container("users-1", &[&USERS[..], &options].concat());
        let i = routable(&ellie, &one);
        assert_eq!((i["version"].as_str(), i["source"].as_str()), (Some("1.2.3"), Some("docker")));
        assert_eq!(i["tags"], serde_json::json!(["api", "backend"]));
        assert_eq!(i["metadata"]["docker.container"], "users-1");
        wait_until("its first answer", || ellie.through("GET", "/users/x").status == 200);
        assert!(ellie.through("GET", "/users/x").text().starts_with("one "));

        // Another one takes over while the first is stopped: a request in flight finishes, none fails.
        let gateway = ellie.gateway;
        let slow = std::thread::spawn(move || {
            common::request(gateway, "GET", "/users/slow?ms=6000", &[], None).unwrap()
        });
        wait_until("the slow request's way to the container", || {
            ellie.get("/services/stats").json()["loadBalancer"]["services"]["users"]["instances"][&one]["inFlight"]
                == 1
        });
        let two = daemon.container("users-2", &[&USERS[..], &["-e", "NAME=two"]].concat());
        routable(&ellie, &two);
        wait_until("its first answer", || ellie.through("GET", "/users/x").text().starts_with("two "));
        std::thread::scope(|scope| {
            scope.spawn(|| daemon.docker(&["stop", "-t", "60", "users-1"]));
            wait_until("the draining", || instance(&ellie, &one).is_none_or(|i| i["standing"] == "draining"));
            let mut answers = Vec::new();
            while instance(&ellie, &one).is_some() {
                answers.push(ellie.through("GET", "/users/x").expect(200).text());
            }
            // The gateway follows the registry a moment later.
            let last = answers.iter().rposition(|answer| answer.starts_with("one ")).map_or(0, |at| at + 1);
            assert!(answers.len() - last > 10, "a draining container got new requests: {answers:?}");
        });
        assert!(slow.join().unwrap().expect(200).text().starts_with("one "));
        // Its check may fail once it listens no more: each kind at its first time.
        let mut told: Vec<String> = Vec::new();
        for kind in story(&ellie, &one) {
            if !told.contains(&kind) {
                told.push(kind);
            }
        }
        let order = ["registered", "status-changed", "operator-changed", "deregistered"];
        assert_eq!(told, order, "{told:?}");

        daemon.docker(&["kill", "users-2"]);
        gone(&ellie, &two);
        wait_until("nobody's answer", || ellie.through("GET", "/users/x").status == 503);
        wait_until("the report", || provider(&ellie)["instances"] == 0);
        assert_eq!(provider(&ellie)["up"], true);
        let metrics = ellie.get("/metrics").expect(200).text();
        assert!(metrics.contains("ellie_provider_up{provider=\"docker\"} 1"), "{metrics}");
    });
}

#[test]
fn what_happens_to_a_container_shows() {
    with_docker("what_happens_to_a_container_shows", &[], |daemon| {
        let ellie = ellie(daemon, "");
        let one = daemon.container("users-1", &USERS);
        let before = routable(&ellie, &one);

        // A rename is no other instance; nor is what was known of it lost.
        daemon.docker(&["rename", "users-1", "users-x"]);
        let renamed = wait_for("the new name", || {
            instance(&ellie, &one).filter(|i| i["metadata"]["docker.container"] == "users-x")
        });
        assert_eq!(
            (&renamed["incarnation"], &renamed["status"]),
            (&before["incarnation"], &before["status"])
        );

        // A restart is another life.
        daemon.docker(&["restart", "-t", "1", "users-x"]);
        wait_until("another life", || {
            instance(&ellie, &one).is_some_and(|i| i["incarnation"].as_u64() > before["incarnation"].as_u64())
        });
        routable(&ellie, &one);

        // Recreated with another label.
        daemon.docker(&["rm", "-f", "users-x"]);
        gone(&ellie, &one);
        let two = daemon.container("users-x", &[&USERS[..], &["-l", "service.version=2"]].concat());
        assert_eq!(routable(&ellie, &two)["version"], "2");

        daemon.docker(&["pause", "users-x"]);
        gone(&ellie, &two);
        wait_until("why it is gone", || {
            ellie.cli(&["why", "users-x"]).expect(4).stderr.contains("is paused")
        });
        daemon.docker(&["unpause", "users-x"]);
        routable(&ellie, &two);

        // The image's own check keeps traffic away and gives it back. There is no shell for `--health-cmd`.
        let dockerfile =
            "FROM backend:test\nHEALTHCHECK --interval=300ms --retries=1 CMD [\"/backend\", \"check\"]\n";
        std::fs::write(daemon.folder().join("Dockerfile"), dockerfile).unwrap();
        let build = std::process::Command::new("docker")
            .args(["-H", &daemon.endpoint(), "build", "-q", "-t", "checked:test", "-f"])
            .arg(daemon.folder().join("Dockerfile"))
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/docker"))
            .env("DOCKER_BUILDKIT", "0")
            .env("HOME", daemon.folder())
            .output()
            .unwrap();
        assert!(build.status.success(), "{}", String::from_utf8_lossy(&build.stderr));
        let run = [&["run", "-d", "--name", "checked"], &USERS[..], &["checked:test"]].concat();
        let three = daemon.docker(&run)[..12].to_owned();
        routable(&ellie, &three);
        daemon.docker(&["exec", "checked", "/backend", "sick"]);
        let sick = wait_for("the verdict of its own check", || {
            instance(&ellie, &three).filter(|i| i["standing"] == "draining")
        });
        let reason = sick["operator"]["draining"]["reason"].as_str().unwrap();
        assert!(reason.contains("HEALTHCHECK says unhealthy: says 503"), "{reason}");
        daemon.docker(&["exec", "checked", "/backend", "well"]);
        routable(&ellie, &three);
    });
}

#[test]
fn networks_and_published_ports() {
    with_docker("networks_and_published_ports", &[], |daemon| {
        for network in ["front", "back"] {
            daemon.docker(&["network", "create", network]);
        }
        let both = daemon.docker(
            &[
                &["create", "--name", "both", "--network", "front"],
                &USERS[..],
                &["-l", "ellie.network=back", "-p", "127.0.0.1::8080", common::IMAGE],
            ]
            .concat(),
        );
        let both = both[..12].to_owned();
        daemon.docker(&["network", "connect", "back", "both"]);
        daemon.docker(&["start", "both"]);
        let ellie = ellie(daemon, "");
        let address = |network: &str| {
            let format = format!("{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}");
            daemon.docker(&["inspect", "-f", &format, "both"])
        };
        assert_eq!(routable(&ellie, &both)["host"], address("back"));
        // The network it wants is taken away and given back.
        daemon.docker(&["network", "disconnect", "back", "both"]);
        gone(&ellie, &both);
        wait_until("why it is gone", || {
            ellie.cli(&["why", "both"]).expect(4).stderr.contains("not on the network `back`")
        });
        daemon.docker(&["network", "connect", "back", "both"]);
        routable(&ellie, &both);

        let port = daemon.docker(&["port", "both", "8080/tcp"]);
        let published = port.lines().next().unwrap().to_owned();
        let config = std::fs::read_to_string(ellie.path("ellie.toml")).unwrap();
        // Live: the running server takes the other address.
        std::fs::write(ellie.path("ellie.toml"), format!("{config}address = \"published\"\n")).unwrap();
        let moved = wait_for("the published address", || {
            instance(&ellie, &both)
                .filter(|i| format!("{}:{}", i["host"].as_str().unwrap(), i["port"]) == published)
        });
        assert_eq!(moved["source"], "docker");
        routable(&ellie, &both);
        // And without the provider nothing of it is left.
        std::fs::write(ellie.path("ellie.toml"), config.replace("enabled = true", "enabled = false"))
            .unwrap();
        gone(&ellie, &both);
        wait_until("the end of the provider", || ellie.get("/providers").json()["count"] == 0);
    });
}

#[test]
fn a_restart_of_the_daemon_costs_no_instance() {
    with_docker("a_restart_of_the_daemon_costs_no_instance", &["--live-restore"], |daemon| {
        let ellie = ellie(daemon, "");
        let (one, two) = (daemon.container("users-1", &USERS), daemon.container("users-2", &USERS));
        let before = (routable(&ellie, &one), routable(&ellie, &two));
        daemon.kill();
        let stale = wait_for("the mark", || Some(provider(&ellie)).filter(|p| p["up"] == false));
        assert!(stale["stale"]["reason"].as_str().unwrap().contains("docker.sock"), "{stale}");
        assert_eq!(ellie.through("GET", "/users/x").status, 200);
        let why = ellie.cli(&["why", "users"]).success().stdout;
        assert!(why.contains("what docker told is stale"), "{why}");
        assert!(ellie.cli(&["doctor"]).expect(1).stdout.contains("stale"));
        assert!(ellie.get("/metrics").text().contains("ellie_provider_up{provider=\"docker\"} 0"));
        daemon.start();
        wait_until("the fresh set", || provider(&ellie)["up"] == true);
        let after = (routable(&ellie, &one), routable(&ellie, &two));
        assert_eq!(
            (&after.0["incarnation"], &after.1["incarnation"]),
            (&before.0["incarnation"], &before.1["incarnation"])
        );
        assert!(provider(&ellie)["stale"].is_null());
        // What changes while it can't be seen is found afterwards.
        daemon.kill();
        wait_until("the mark", || provider(&ellie)["up"] == false);
        let pid = |name: &str| {
            let id = if name == "users-1" { &one } else { &two };
            std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
                let environ = std::fs::read_to_string(entry.path().join("environ")).ok()?;
                environ.contains(&format!("HOSTNAME={id}")).then(|| entry.file_name().into_string().unwrap())
            })
        };
        let victim = pid("users-1").expect("the container runs without its daemon");
        assert!(std::process::Command::new("kill").args(["-9", &victim]).status().unwrap().success());
        daemon.start();
        gone(&ellie, &one);
        routable(&ellie, &two);
    });
}

#[test]
fn bad_labels_are_told_and_end_nothing() {
    with_docker("bad_labels_are_told_and_end_nothing", &[], |daemon| {
        let ellie = ellie(daemon, "");
        let bad: [(&str, &[&str]); 5] = [
            ("port", &["-l", "service.port=eighty"]),
            ("range", &["-l", "service.port=70000"]),
            ("proto", &["-l", "service.protocol=smtp"]),
            ("dup-1", &["-l", "service.id=same"]),
            ("name", &["-l", "ellie.name=no/slash"]),
        ];
        for (name, labels) in bad {
            daemon.container(name, &[&USERS[..], labels].concat());
        }
        daemon.container("dup-2", &[&USERS[..], &["-l", "service.id=same"]].concat());
        daemon.container("off", &[&USERS[..], &["-l", "ellie.enable=false"]].concat());
        let good = daemon.container("good", &USERS);
        routable(&ellie, &good);
        let notes = wait_for("all notes", || {
            let p = provider(&ellie);
            (p["noteCount"] == 5).then(|| p["notes"].as_array().unwrap().clone())
        });
        assert!(notes.iter().all(|note| note["severity"] == "fault"), "{notes:?}");
        assert_eq!(provider(&ellie)["instances"], 2);
        for (container, part) in [
            ("port", "`eighty` is not a whole number"),
            ("range", "70000"),
            ("proto", "smtp"),
            ("name", "`/`"),
        ] {
            let why = ellie.cli(&["why", container]).expect(4).stderr;
            assert!(why.contains(part) && why.contains("is not registered"), "{container}: {why}");
        }
        let why = ellie.cli(&["why", "users"]).success().stdout;
        assert!(why.contains("`same` is taken by"), "{why}");
        assert_eq!(provider(&ellie)["failures"], 0);
    });
}

#[test]
fn a_thousand_events_at_once_are_few_sets() {
    with_docker("a_thousand_events_at_once_are_few_sets", &[], |daemon| {
        let ellie = ellie(daemon, "");
        let ids: Vec<String> = (0..10).map(|n| daemon.container(&format!("first-{n}"), &USERS)).collect();
        for id in &ids {
            routable(&ellie, id);
        }
        let before = provider(&ellie)["syncs"].as_u64().unwrap();
        std::thread::scope(|scope| {
            for (n, id) in ids.iter().enumerate() {
                let socket = daemon.socket();
                scope.spawn(move || {
                    for turn in 0..100 {
                        rename(&socket, id, &format!("name-{n}-{turn}"));
                    }
                });
            }
        });
        for (n, id) in ids.iter().enumerate() {
            wait_until("the last of its names", || {
                instance(&ellie, id)
                    .is_some_and(|i| i["metadata"]["docker.container"] == format!("name-{n}-99"))
            });
        }
        let p = provider(&ellie);
        let sets = p["syncs"].as_u64().unwrap() - before;
        assert!(sets < 1000, "{sets} sets were told");
        assert_eq!((p["failures"].as_u64(), p["instances"].as_u64()), (Some(0), Some(10)));
    });
}

fn rename(socket: &Path, id: &str, name: &str) {
    let mut stream = UnixStream::connect(socket).unwrap();
    let request = format!(
        "POST /containers/{id}/rename?name={name} HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
}

/// Passes connections on to the daemon and keeps the first line of each; one request comes on a connection.
fn recorder(daemon: &Daemon) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (lines, socket) = (Arc::new(Mutex::new(Vec::new())), daemon.socket());
    let kept = lines.clone();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(upstream) = UnixStream::connect(&socket) else { continue };
            let (mut from, mut to) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
            let kept = kept.clone();
            std::thread::spawn(move || {
                let mut buffer = [0; 16_384];
                while let Ok(n @ 1..) = from.read(&mut buffer) {
                    let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
                    kept.lock().unwrap().push(text.lines().next().unwrap_or_default().to_owned());
                    if to.write_all(&buffer[..n]).is_err() {
                        break;
                    }
                }
                let _ = to.shutdown(std::net::Shutdown::Write);
            });
            let (mut from, mut to): (UnixStream, TcpStream) = (upstream, client);
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    (port, lines)
}

#[test]
fn over_tcp_it_only_reads() {
    with_docker("over_tcp_it_only_reads", &[], |daemon| {
        let (port, lines) = recorder(daemon);
        let endpoint = format!("tcp://127.0.0.1:{port}");
        let config = format!(
            "[health]\ninterval = \"1s\"\n[providers.docker]\nenabled = true\nendpoint = \"{endpoint}\"\nrefresh = \"1s\"\n"
        );
        let ellie = Ellie::builder().ephemeral().config(&config).start();
        let one = daemon.container("users-1", &USERS);
        routable(&ellie, &one);
        daemon.docker(&["stop", "users-1"]);
        gone(&ellie, &one);
        let lines = lines.lock().unwrap().clone();
        let is_read = |line: &String| {
            let path = line.strip_prefix("GET /").and_then(|rest| rest.split([' ', '?']).next());
            let mut parts: Vec<&str> = path.unwrap_or_default().split('/').collect();
            // `/v1.41/…`
            if parts.first().is_some_and(|part| part.starts_with("v1.")) {
                parts.remove(0);
            }
            matches!(
                parts[..],
                ["version" | "info" | "events"] | ["containers", "json"] | ["containers", _, "json"]
            )
        };
        assert!(lines.len() > 4 && lines.iter().all(is_read), "{lines:?}");
    });
}

/// An authority, and what it signed: a certificate for `name` and its key.
struct Authority {
    key: rcgen::KeyPair,
    certificate: rcgen::Certificate,
    parameters: rcgen::CertificateParams,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
        let certificate = parameters.self_signed(&key).unwrap();
        Self { key, certificate, parameters }
    }

    /// Writes `NAME.pem` and `NAME.key` into a folder.
    fn issue(&self, folder: &Path, name: &str, usage: rcgen::ExtendedKeyUsagePurpose) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        parameters.extended_key_usages.push(usage);
        let issuer = rcgen::Issuer::from_params(&self.parameters, &self.key);
        let certificate = parameters.signed_by(&key, &issuer).unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

#[test]
fn over_tls_both_prove_who_they_are() {
    with_docker("over_tls_both_prove_who_they_are", &[], |daemon| {
        let folder = daemon.folder().to_owned();
        let (ours, other) = (Authority::new("ours"), Authority::new("other"));
        std::fs::write(folder.join("ca.pem"), ours.certificate.pem()).unwrap();
        std::fs::write(folder.join("other.pem"), other.certificate.pem()).unwrap();
        ours.issue(&folder, "daemon", rcgen::ExtendedKeyUsagePurpose::ServerAuth);
        ours.issue(&folder, "ellie", rcgen::ExtendedKeyUsagePurpose::ClientAuth);
        let at = |name: &str| folder.join(name).display().to_string();
        daemon.kill();
        daemon.add(&["--tlsverify", "--tlscacert", &at("ca.pem"), "--tlscert", &at("daemon.pem")]);
        daemon.add(&["--tlskey", &at("daemon.key"), "-H", "tcp://127.0.0.1:2376"]);
        daemon.start();
        let one = daemon.container("users-1", &USERS);

        let config = |keys: &str| {
            format!(
                "[health]\ninterval = \"1s\"\n[providers.docker]\nenabled = true\nendpoint = \"tcp://127.0.0.1:2376\"\n{keys}"
            )
        };
        let ca = |name: &str| format!("tls_ca = \"{}\"\n", at(name));
        let identity = format!("tls_cert = \"{}\"\ntls_key = \"{}\"\n", at("ellie.pem"), at("ellie.key"));
        let ellie = Ellie::builder().ephemeral().config(&config(&ca("ca.pem"))).start();
        let set = |keys: &str| std::fs::write(ellie.path("ellie.toml"), config(keys)).unwrap();
        let refused = |what: &str, part: &str| {
            wait_until(what, || {
                let error = provider(&ellie)["error"].as_str().unwrap_or_default().to_ascii_lowercase();
                error.contains("tcp://127.0.0.1:2376") && error.contains(part)
            });
        };
        refused("a daemon that wants to know who asks", "fatal alert");
        set(&(ca("other.pem") + &identity));
        refused("a daemon that another authority vouches for", "unknownissuer");
        set(&(ca("ca.pem") + &identity));
        routable(&ellie, &one);
        wait_until("the report", || provider(&ellie)["up"] == true);
    });
}
