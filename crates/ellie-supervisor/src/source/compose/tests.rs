use super::*;
use crate::definition::{Check, Condition, Dependency, EnvFile, Port};
use crate::restart::When;
use nix::sys::signal::Signal;
use std::path::PathBuf;
use std::time::Duration;

fn variable(name: &str) -> Option<String> {
    (name == "TAG").then(|| "v2".to_owned())
}

fn read(text: &str) -> Compose {
    parse(text, Path::new("app"), &variable).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn one(keys: &str) -> Definition {
    read(&format!("services:\n  web:\n    command: x\n{keys}")).definitions.remove(0)
}

fn faults(text: &str) -> Vec<(usize, String)> {
    let faults = parse(text, Path::new(""), &variable).expect_err(text);
    faults.into_iter().map(|fault| (fault.line, fault.message)).collect()
}

#[test]
fn a_service_is_a_process() {
    let compose = read(
        r#"
name: shop
x-common: &common
  restart: on-failure:4
  environment: { LOG: debug }
services:
  users:
    <<: *common
    command: ./users --tag ${TAG:-v1} "two words"
    working_dir: users
    env_file: [.env.users, { path: extra.env, required: false }]
    depends_on:
      migrate: { condition: service_completed_successfully }
      redis: { condition: service_healthy, restart: true }
      tracing: { required: false }
    ports: ["127.0.0.1:8081:8081"]
    healthcheck:
      test: ["CMD", "curl", "-f", "http://localhost:8081/health"]
      interval: 1m30s
      timeout: 3s
      retries: 2
      start_period: 10s
      start_interval: 250ms
    stop_grace_period: 1m
    stop_signal: INT
    deploy: { replicas: 1 }
    develop: { watch: [{ action: sync, path: ./src, target: /x }] }
  migrate: { command: [./migrate, "--all"] }
  redis:
    image: redis
    x-ellie: { external: "127.0.0.1:6379" }
  tracing: { image: jaeger, profiles: [debug] }
"#,
    );
    let [users, migrate, redis] = compose.definitions.as_slice() else { panic!("{compose:?}") };
    assert_eq!(compose.lines, [7, 28, 29]);
    assert_eq!(users.command, ["./users", "--tag", "v2", "two words"]);
    assert!(!users.expand);
    assert_eq!(users.directory.as_deref(), Some(Path::new("app/users")));
    assert_eq!(users.environment["LOG"], "debug");
    let files: Vec<(PathBuf, bool)> = users.env_files.iter().map(|f| (f.path.clone(), f.required)).collect();
    assert_eq!(files, [("app/.env.users".into(), true), ("app/extra.env".into(), false)]);
    let restarted = Dependency { restart: true, ..Dependency::new("redis", Condition::Healthy) };
    assert_eq!(users.dependencies, [Dependency::new("migrate", Condition::Completed), restarted]);
    assert_eq!((users.port, users.host.as_str()), (Port::Fixed(8081), "127.0.0.1"));
    let words = ["curl", "-f", "http://localhost:8081/health"].map(String::from).to_vec();
    assert_eq!(users.ready, Some(Check::Exec(words)));
    assert_eq!(users.ready_timing.interval, Duration::from_millis(250));
    assert_eq!(users.ready_timing.timeout, Duration::from_secs(3));
    assert_eq!(users.start_timeout, Duration::from_secs(10 + 2 * 93));
    assert_eq!((users.restart.when, users.restart.limit), (When::OnFailure, Some(4)));
    assert_eq!((users.stop_timeout, users.stop_signal), (Duration::from_secs(60), Signal::SIGINT));
    assert_eq!(users.watch, [PathBuf::from("app/./src")]);
    assert_eq!(migrate.command, ["./migrate", "--all"]);
    assert_eq!(migrate.restart.when, When::Never);
    assert_eq!(
        redis.external.as_ref().map(ToString::to_string).as_deref(),
        Some("connect to 127.0.0.1:6379")
    );
    let notes: Vec<&str> = compose.notes.iter().map(|note| note.message.as_str()).collect();
    assert_eq!(notes, ["`tracing` is not started: it is of the profile `debug`"]);
}

#[test]
fn each_form_of_a_key_means_the_same() {
    let listed = one("    environment: [A=1, TAG, UNSET, B=x=y]\n");
    let mapped = one("    environment: { A: 1, TAG: , UNSET: , B: x=y }\n");
    assert_eq!(listed.environment, mapped.environment);
    let pairs: Vec<(&str, &str)> =
        listed.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(pairs, [("A", "1"), ("B", "x=y"), ("TAG", "v2")]);
    let dependencies =
        read("services: { a: { command: x }, web: { command: x, depends_on: [a] } }").definitions;
    assert_eq!(dependencies[1].dependencies, [Dependency::new("a", Condition::Started)]);
    for (test, expected) in [
        ("curl localhost", &["/bin/sh", "-c", "curl localhost"][..]),
        ("[CMD-SHELL, curl localhost]", &["/bin/sh", "-c", "curl localhost"]),
        ("[CMD, curl, localhost]", &["curl", "localhost"]),
    ] {
        let words = expected.iter().map(ToString::to_string).collect();
        assert_eq!(one(&format!("    healthcheck: {{ test: {test} }}\n")).ready, Some(Check::Exec(words)));
    }
    for off in ["{ test: [NONE] }", "{ disable: true }", "{ test: x, disable: true }"] {
        assert_eq!(one(&format!("    healthcheck: {off}\n")).ready, None);
    }
    assert_eq!(one("    entrypoint: [a, b]\n").command, ["a", "b", "x"]);
    assert_eq!(
        one("    env_file: one.env\n").env_files,
        [EnvFile { path: "app/one.env".into(), required: true }]
    );
    assert_eq!(one("    restart: \"no\"\n").restart.when, When::Never);
    assert_eq!(one("    restart: unless-stopped\n").restart.when, When::Always);
    assert_eq!(one("    scale: 3\n").replicas, 3);
}

#[test]
fn ports_are_those_at_which_others_reach_it() {
    for (ports, port, host) in [
        ("[8080]", Port::Fixed(8080), "127.0.0.1"),
        ("[\"8080:80\"]", Port::Fixed(8080), "127.0.0.1"),
        ("[\"0.0.0.0:8080:80/tcp\"]", Port::Fixed(8080), "127.0.0.1"),
        ("[\"[::1]:8080:80\"]", Port::Fixed(8080), "::1"),
        ("[\"53:53/udp\", \"9:9\"]", Port::Fixed(9), "127.0.0.1"),
        ("[{ target: 80, published: \"8080\", host_ip: 10.0.0.1 }]", Port::Fixed(8080), "10.0.0.1"),
        ("[{ target: 53, protocol: udp }]", Port::None, "127.0.0.1"),
    ] {
        let it = one(&format!("    ports: {ports}\n"));
        assert_eq!((it.port, it.host.as_str()), (port, host), "{ports}");
    }
    assert_eq!(one("    expose: [3000]\n").port, Port::Fixed(3000));
    assert_eq!(one("    ports: [\"8080:80\"]\n    deploy: { replicas: 2 }\n").port, Port::Allot);
}

#[test]
fn what_is_left_out_is_told() {
    let compose = read(
        "services:\n  web:\n    build: .\n    command: x $LOST\n    ports: ['8080:80', '9:9']\n    networks: [a]\n    \
         volumes: ['./a:/a']\n    labels: { a: b }\nnetworks: { a: }\n",
    );
    let notes: Vec<String> = compose.notes.iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            "line 4: `command`: the variable `LOST` is not set: it is empty",
            "line 6: `web` runs without a container: `networks`, `volumes` are left out",
            "line 3: `web` runs its command on this machine: `build` is left out",
            "line 5: `web` is registered with its first port only",
            "line 5: `web` has to listen on 8080, which PORT tells it, and not on 80: nothing translates ports",
            "line 9: `networks` is for containers; processes share this machine's",
        ]
    );
}

#[test]
fn every_fault_is_told_with_its_line() {
    let found = faults(
        r#"
services:
  redis: { image: redis:7 }
  built:
    build: .
  web:
    comand: x
    command: "open 'quote"
    restart: sometimes
    healthcheck: { interval: soon, test: [RUN, x] }
    depends_on: { redis: { condition: happy } }
    ports: ["80-90:80-90", "99999"]
    environment: ["A=${B:?set it}"]
    stop_signal: SIGFOO
    scale: many
  heir: { extends: web }
  nothing:
volume: {}
"#,
    );
    for (line, words) in [
        (3, "`redis` has an `image` and no command: ellie runs programs"),
        (5, "`built` has a `build` and no command"),
        (7, "unknown key `comand`; did you mean `command`?"),
        (8, "quote that is not closed"),
        (9, "`sometimes` is not no, always"),
        (10, "`soon` is no duration"),
        (10, "CMD, CMD-SHELL or NONE"),
        (11, "`happy` is not service_started"),
        (12, "is a range"),
        (12, "`99999` is no port"),
        (13, "needs the variable `B`: set it"),
        (14, "`SIGFOO` is no signal"),
        (15, "`many` is no number"),
        (16, "extends another service"),
        (17, "`nothing` has no command"),
        (18, "unknown key `volume`"),
    ] {
        assert!(
            found.iter().any(|(at, message)| *at == line && message.contains(words)),
            "{line}: {words}\n{found:#?}"
        );
    }
    assert_eq!(faults("- a")[0], (1, "is a list; a mapping with `services` is wanted".into()));
    assert_eq!(faults("")[0].1, "is empty; a mapping with `services` is wanted");
    assert!(faults("version: '3'\n")[0].1.contains("has no `services`"));
    assert!(faults("include: [x.yaml]\nservices: {}\n")[0].1.contains("not followed"));
    assert!(faults("services: [a]\n")[0].1.contains("a mapping of names is wanted"));
}

proptest::proptest! {
    /// Whatever is read, it is an answer and no panic.
    #[test]
    fn any_text_has_an_answer(text in "\\PC{0,300}") {
        let _ = parse(&text, Path::new(""), &variable);
    }

    #[test]
    fn any_values_have_an_answer(key in "[a-z_]{1,12}", value in "[ -~]{0,40}", more in "[ -~\n]{0,80}") {
        for key in [key.as_str(), "ports", "command", "healthcheck", "environment", "depends_on", "x-ellie"] {
            let _ = parse(&format!("services:\n  a:\n    {key}: {value}\n    {more}"), Path::new(""), &variable);
        }
    }
}
