//! Services of a real swarm of one node: their tasks found by labels and followed through updates.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Daemon, Ellie, request, wait_for, wait_until, with_docker};
use serde_json::Value;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};

const USERS: [&str; 6] =
    ["-l", "service.name=users", "-l", "service.port=8080", "-l", "service.healthEndpoint=/health"];

const TOKEN: &str = "operator-token-of-the-swarm-0123456789";

/// A server, wherever it runs.
struct Seen {
    api: SocketAddr,
    gateway: SocketAddr,
    token: String,
}

impl Seen {
    fn of(ellie: &Ellie) -> Self {
        Self { api: ellie.api, gateway: ellie.gateway, token: ellie.token.clone() }
    }

    fn get(&self, path: &str) -> Option<Value> {
        let authorization = format!("Bearer {}", self.token);
        let answer = request(self.api, "GET", path, &[("Authorization", &authorization)], None).ok()?;
        (answer.status == 200).then(|| answer.json())
    }

    fn provider(&self, name: &str) -> Value {
        let all = self.get("/providers").unwrap_or_default();
        let found = all["providers"].as_array().into_iter().flatten().find(|p| p["name"] == name);
        found.cloned().unwrap_or_default()
    }

    fn instances(&self, service: &str) -> Vec<Value> {
        let service = self.get(&format!("/services/{service}")).unwrap_or_default();
        service["instances"].as_array().cloned().unwrap_or_default()
    }

    /// The instances of a service that get traffic, once there are so many and no others.
    #[track_caller]
    fn routable(&self, service: &str, number: usize) -> Vec<Value> {
        wait_for(&format!("{number} routable instances of {service}"), || {
            let all = self.instances(service);
            (all.len() == number && all.iter().all(|i| i["standing"] == "routable")).then_some(all)
        })
    }
}

fn init(daemon: &Daemon) {
    let ports = ["--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1:2377"];
    daemon.docker(&[&["swarm", "init"], &ports[..]].concat());
}

fn create(daemon: &Daemon, name: &str, options: &[&str]) {
    let create = ["service", "create", "--detach", "--no-resolve-image", "--name", name];
    daemon.docker(&[&create[..], options, &[common::IMAGE]].concat());
}

/// ellie itself as a container on the network `app`, as one would run it in a swarm.
fn ellie_inside(daemon: &Daemon) -> Seen {
    daemon.import_ellie("ellie:test");
    let config = "[health]\ninterval = \"1s\"\ntimeout = \"1s\"\n\
                  [[routes]]\npath = \"/users/*\"\nservice_name = \"users\"\ntarget_path = \"/\"\n\
                  [providers.swarm]\nenabled = true\nendpoint = \"unix:///docker.sock\"\n";
    std::fs::write(daemon.folder().join("ellie.toml"), config).unwrap();
    let mounted = format!("{}:/ellie.toml:ro", daemon.folder().join("ellie.toml").display());
    let socket = format!("{}:/docker.sock:ro", daemon.socket().display());
    let token = format!("ELLIE_AUTH__OPERATOR_TOKEN={TOKEN}");
    let group = std::fs::metadata(daemon.socket()).unwrap().gid().to_string();
    let run = ["run", "-d", "--name", "ellie", "--network", "app", "--group-add", &group, "-v", &mounted];
    let ports = ["-v", &socket, "-e", &token, "-p", "127.0.0.1:15000:5000", "-p", "127.0.0.1:18080:8000"];
    let serve = ["ellie:test", "serve", "--ephemeral", "--config", "/ellie.toml"];
    daemon.docker(&[&run[..], &ports, &serve].concat());
    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let seen = Seen { api: at(15000), gateway: at(18080), token: TOKEN.to_owned() };
    wait_until("ellie in its container", || seen.get("/providers").is_some());
    // By the check of the image itself.
    wait_until("its own health", || {
        daemon.docker(&["inspect", "-f", "{{.State.Health.Status}}", "ellie"]) == "healthy"
    });
    seen
}

/// Sends requests one after the other for as long as `during` takes; all must be answered well. The number of them.
fn without_a_failure(ellie: &Seen, during: impl FnOnce()) -> usize {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut sent = 0;
            while !is_over.load(Ordering::Relaxed) {
                let answer = request(ellie.gateway, "GET", "/users/x", &[], None).unwrap();
                assert_eq!(answer.status, 200, "request {sent} of the update: {}", answer.text());
                sent += 1;
            }
            sent
        });
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(during));
        is_over.store(true, Ordering::Relaxed);
        let sent = sender.join().unwrap();
        done.unwrap();
        sent
    })
}

#[test]
fn a_rolling_update_costs_no_request() {
    with_docker("a_rolling_update_costs_no_request", &[], |daemon| {
        init(daemon);
        daemon.docker(&["network", "create", "-d", "overlay", "--attachable", "app"]);
        let ellie = ellie_inside(daemon);
        let options = [
            "--network",
            "app",
            "--replicas",
            "3",
            "-e",
            "NAME=one",
            "-e",
            "LINGER=2000",
            "--update-monitor",
            "1s",
        ];
        create(daemon, "users", &[&USERS[..], &options].concat());
        let first = ellie.routable("users", 3);
        assert!(first.iter().all(|i| i["host"].as_str().unwrap().starts_with("10.")), "{first:?}");
        assert!(first.iter().all(|i| i["source"] == "swarm"), "{first:?}");
        wait_until("its first answer", || {
            request(ellie.gateway, "GET", "/users/x", &[], None).unwrap().status == 200
        });
        for (order, name) in [("stop-first", "two"), ("start-first", "three")] {
            let before: Vec<Value> = ellie.instances("users").iter().map(|i| i["id"].clone()).collect();
            let variable = format!("NAME={name}");
            let sent = without_a_failure(&ellie, || {
                daemon.docker(&[
                    "service",
                    "update",
                    "-d",
                    "--no-resolve-image",
                    "--update-order",
                    order,
                    "--env-add",
                    &variable,
                    "users",
                ]);
                wait_until("three new tasks", || {
                    let all = ellie.instances("users");
                    let new =
                        all.iter().filter(|i| i["standing"] == "routable" && !before.contains(&i["id"]));
                    all.len() == 3 && new.count() == 3
                });
            });
            assert!(sent > 10, "{sent}");
            let answer = request(ellie.gateway, "GET", "/users/x", &[], None).unwrap().text();
            assert!(answer.starts_with(name), "{answer}");
        }
        // Of several networks the one that ellie is on.
        daemon.docker(&["network", "create", "-d", "overlay", "a-first"]);
        let networks = ["--network", "a-first", "--network", "app"];
        create(
            daemon,
            "both",
            &[&["-l", "service.name=both", "-l", "service.port=8080"][..], &networks].concat(),
        );
        let both = ellie.routable("both", 1)[0]["host"].as_str().unwrap().to_owned();
        let own = daemon.docker(&["inspect", "-f", "{{.NetworkSettings.Networks.app.IPAddress}}", "ellie"]);
        let subnet = |address: &str| address.rsplit_once('.').unwrap().0.to_owned();
        assert_eq!(subnet(&both), subnet(&own));
        daemon.docker(&["service", "rm", "both"]);

        // More, fewer, none.
        daemon.docker(&["service", "scale", "-d", "users=5"]);
        ellie.routable("users", 5);
        daemon.docker(&["service", "scale", "-d", "users=1"]);
        let left = ellie.routable("users", 1)[0].clone();
        // One that is killed is gone at once, and another one comes for it.
        let id = left["id"].as_str().unwrap().to_owned();
        let containers = daemon.docker(&["ps", "--format", "{{.Names}}"]);
        let container = containers.lines().find(|name| name.contains(&id)).unwrap();
        daemon.docker(&["kill", container]);
        wait_until("the end of the killed task", || {
            ellie.instances("users").iter().all(|i| i["id"] != id.as_str())
        });
        ellie.routable("users", 1);
        daemon.docker(&["service", "rm", "users"]);
        wait_until("the end of the service", || ellie.instances("users").is_empty());
        let p = ellie.provider("swarm");
        assert_eq!((p["up"].as_bool(), p["failures"].as_u64()), (Some(true), Some(0)), "{p}");
    });
}

#[test]
fn a_swarm_as_its_host_sees_it() {
    with_docker("a_swarm_as_its_host_sees_it", &[], |daemon| {
        let endpoint = daemon.endpoint();
        let config = format!(
            "[health]\ninterval = \"1s\"\ntimeout = \"1s\"\n[providers.swarm]\nenabled = true\n\
             endpoint = \"{endpoint}\"\nrefresh = \"1s\"\n[providers.docker]\nenabled = true\nendpoint = \"{endpoint}\"\n"
        );
        let server = Ellie::builder().ephemeral().config(&config).start();
        let ellie = Seen::of(&server);
        wait_until("the refusal of a daemon without a swarm", || {
            ellie.provider("swarm")["error"]
                .as_str()
                .is_some_and(|e| e.contains("is not a manager of a swarm"))
        });
        init(daemon);
        wait_until("the swarm", || ellie.provider("swarm")["up"] == true);
        daemon.docker(&["network", "create", "-d", "overlay", "app"]);

        // A port of the node, and the container's own labels, which the provider of containers leaves alone.
        let published = [
            "-l",
            "ellie.address=published",
            "--container-label",
            "service.name=users",
            "--publish",
            "mode=host,target=8080,published=18090",
        ];
        create(daemon, "published", &[&USERS[..], &published].concat());
        let i = ellie.routable("users", 1)[0].clone();
        assert_eq!((i["host"].as_str(), i["port"].as_u64()), (Some("127.0.0.1"), Some(18090)), "{i}");
        assert_eq!((&i["source"], &i["metadata"]["swarm.task"]), (&"swarm".into(), &"published.1".into()));
        assert_eq!(ellie.provider("docker")["instances"], 0);

        // The virtual address is one instance, whatever the number of tasks. Traffic to it takes IPVS in the kernel.
        let vip = [
            "-l",
            "service.name=vip",
            "-l",
            "service.port=8080",
            "-l",
            "ellie.address=vip",
            "--network",
            "app",
        ];
        create(daemon, "vip", &[&vip[..], &["--replicas", "2"]].concat());
        let i = wait_for("the virtual address", || ellie.instances("vip").first().cloned());
        let format = "{{(index .Endpoint.VirtualIPs 0).Addr}}";
        let address = daemon.docker(&["service", "inspect", "-f", format, "vip"]);
        assert_eq!(address.split('/').next(), i["host"].as_str());
        daemon.docker(&["service", "scale", "-d", "vip=0"]);
        wait_until("the end of the address without a task", || ellie.instances("vip").is_empty());
        wait_until("why it is gone", || {
            server.cli(&["why", "vip"]).expect(4).stderr.contains("no task of the service is running")
        });

        // What is wrong is told, and harms no other.
        create(daemon, "bad", &["-l", "service.name=bad", "-l", "service.port=eighty"]);
        create(daemon, "nowhere", &["-l", "service.name=nowhere", "-l", "service.port=8080"]);
        for subject in ["bad", "nowhere.1"] {
            wait_until("the note", || {
                let notes = ellie.provider("swarm")["notes"].as_array().cloned().unwrap_or_default();
                notes.iter().any(|note| note["subject"] == subject && note["severity"] == "fault")
            });
        }
        for (service, part) in [("bad", "`eighty` is not a whole number"), ("nowhere", "overlay network")] {
            let why = server.cli(&["why", service]).expect(4).stderr;
            assert!(why.contains(part), "{service}: {why}");
        }
        ellie.routable("users", 1);

        // Labels are the service's: they change without another task.
        daemon.docker(&[
            "service",
            "update",
            "-d",
            "--no-resolve-image",
            "--label-add",
            "service.version=2.0.0",
            "published",
        ]);
        wait_until("another version", || ellie.instances("users").iter().any(|i| i["version"] == "2.0.0"));

        // What was told last is held while the manager can't be asked.
        daemon.kill();
        wait_until("the mark", || ellie.provider("swarm")["up"] == false);
        assert_eq!(ellie.instances("users").len(), 1);
        daemon.start();
        wait_until("the fresh set", || ellie.provider("swarm")["up"] == true);
        ellie.routable("users", 1);
        daemon.docker(&["service", "rm", "published"]);
        wait_until("the end of the service", || ellie.instances("users").is_empty());
    });
}
