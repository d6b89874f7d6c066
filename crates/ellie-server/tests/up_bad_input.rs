//! `ellie up` with what can't work: refused before anything starts where that can be known, and told of where not.

mod common;

use common::{Ellie, Ran, is_alive, pid, script, wait_until};
use serde_json::{Value, json};

/// Runs until it is told to stop.
const FOREVER: &str = "exec sleep 1000";

/// What `ellie up` says of these processes; it must not start.
#[track_caller]
fn refused(processes: &[String]) -> String {
    let ran: Ran = Ellie::builder().up(processes).spawn().ended();
    ran.expect(78).stderr
}

/// Process 0 depends on 1, that on 2, and so on; the last one on 0.
fn ring(n: usize) -> Vec<String> {
    (0..n)
        .map(|i| script(&format!("p{i}"), FOREVER, &format!("dependencies = [\"p{}\"]", (i + 1) % n)))
        .collect()
}

#[test]
fn cycles_are_refused_with_their_whole_path() {
    for n in [1, 2, 12] {
        let said = refused(&ring(n));
        let path: Vec<String> = (0..=n).map(|i| format!("p{}", i % n)).collect();
        assert!(said.contains(&path.join(" → ")), "{n}: {said}");
        assert!(said.contains("ellie.toml"), "{said}");
    }
}

#[test]
fn all_faults_are_told_at_once_each_with_its_place() {
    let said = refused(&[
        script("database", FOREVER, ""),
        script("database", FOREVER, ""),
        script("api", FOREVER, "dependencies = [\"databse\"]"),
        script("lost", FOREVER, "dependencies = [\"somebody-else\"]"),
        "[[processes]]\nname = \"nothing\"\n".into(),
    ]);
    for (place, words) in [
        ("ellie.toml:7:8: processes[1].name", "is taken: it is that of the 1st process"),
        ("processes[2].dependencies[0]", "`databse` is not defined; did you mean `database`?"),
        ("processes[3].dependencies[0]", "`somebody-else` is not defined; if somebody else runs it"),
        ("processes[4].command", "is missing"),
    ] {
        let told = said.lines().any(|line| line.contains(place) && line.contains(words));
        assert!(told, "{place}: {words}\n{said}");
    }
    // What can't be read at all is told alone: it would look like something that is missing.
    let said = refused(&[
        script("api", FOREVER, "dependencies = [\"quote\"]"),
        "[[processes]]\nname = \"quote\"\ncommand = \"echo 'open\"\n".into(),
        "[[processes]]\nname = \"port\"\ncommand = \"true\"\nport = 70000\n".into(),
    ]);
    assert!(said.contains("processes[1].command") && said.contains("quote that is not closed"), "{said}");
    assert!(said.contains("processes[2].port") && said.contains("65535"), "{said}");
    assert!(said.contains("2 faults"), "{said}");
}

#[test]
fn a_procfile_is_checked_the_same_way() {
    let ran = |text: &str| {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let file = folder.path().join("Procfile");
        std::fs::write(&file, text).expect("a file can be written");
        let file = file.to_str().expect("plain").to_owned();
        Ellie::builder().verb("up").args([file.as_str()]).spawn().ended().expect(78).stderr
    };
    assert!(ran("web: true\nno process\n").contains("line 2"));
    assert!(ran("web: true\nweb: true\n").contains("web"));
    assert!(ran("web:\n").contains("is missing"));
    assert!(ran("# nothing\n").contains("no line"));
}

#[test]
fn a_compose_file_is_checked_the_same_way() {
    let ran = |text: &str| {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let file = folder.path().join("compose.yaml");
        std::fs::write(&file, text).expect("a file can be written");
        let file = file.to_str().expect("plain").to_owned();
        Ellie::builder().verb("up").args([file.as_str()]).spawn().ended().expect(78).stderr
    };
    let said = ran("services:\n  redis:\n    image: redis\n  web: { comand: x }\n");
    assert!(said.contains("line 3: `redis` has an `image` and no command"), "{said}");
    assert!(said.contains("line 4: `web` has an unknown key `comand`"), "{said}");
    let said = ran("services:\n  a: { command: x, depends_on: [b] }\n  b: { command: x, depends_on: [a] }\n");
    assert!(said.contains("line 2") && said.contains("a → b → a"), "{said}");
    assert!(ran("services: [\n").contains("is no YAML"));
    assert!(ran("services: {}\n").contains("no service in it"));
}

#[test]
fn one_that_exits_at_once_is_a_crash_loop_with_growing_jittered_pauses() {
    let fail = "echo 'no such table' >&2; exit 3";
    let ellie = Ellie::up(&[
        script("quick", fail, "backoff = { base = \"1ms\", cap = \"5ms\", crash_loop = 3 }"),
        // Its first pause outlasts any test.
        script("broken", fail, "backoff = { base = \"100m\", cap = \"100m\", crash_loop = 1 }"),
    ]);
    ellie.until("quick", "started again and again", |unit| unit["failures"].as_u64() >= Some(5));
    assert!(ellie.lines("quick").iter().any(|line| line.1 == "failed 3 times in a row"));
    let unit = ellie.until_state("broken", "crash_loop");
    assert_eq!((&unit["failures"], &unit["restarts"]), (&json!(1), &json!(0)));
    assert_eq!(unit["lastExit"], json!({"code": 3, "left": 0}));
    assert_eq!(unit["reason"], "ended with exit code 3");
    // Half of it is left to chance.
    let pause = unit["retryIn"].as_u64().expect("a pause");
    assert!((40 * 60_000..=100 * 60_000).contains(&pause), "{unit}");
    assert!(ellie.lines("broken").iter().any(|line| line.1 == "no such table"));
    let ran = ellie.cli(&["wait", "broken", "--timeout", "10ms"]).expect(124);
    assert!(ran.stderr.contains("broken is crash_loop: ended with exit code 3"), "{}", ran.stderr);
    let page = ellie.cli(&["ps"]).success().stdout;
    assert!(page.contains("crash_loop") && page.contains("; again in "), "{page}");
    ellie.cli(&["stop", "broken"]).success();
    ellie.until_state("broken", "stopped");
}

#[test]
fn what_cannot_be_started_says_why() {
    let never = "restart = \"never\"";
    let ellie = Ellie::up(&[
        "[[processes]]\nname = \"typo\"\ncommand = \"no-such-program --x\"\nrestart = \"never\"\n".into(),
        script("nowhere", FOREVER, &format!("directory = \"not/there\"\n{never}")),
        script("absent", FOREVER, &format!("env_file = \"absent.env\"\n{never}")),
        script("folder", FOREVER, &format!("env_file = \".\"\n{never}")),
    ]);
    for (name, words) in [
        ("typo", ["`no-such-program`", "PATH"]),
        ("nowhere", ["directory", "not/there"]),
        ("absent", ["absent.env", "No such file"]),
        ("folder", ["can't be read", "directory"]),
    ] {
        let reason = ellie.until_state(name, "failed")["reason"].clone();
        let reason = reason.as_str().expect("a text");
        assert!(words.iter().all(|word| reason.contains(word)), "{name}: {reason}");
    }
}

#[test]
fn a_torn_env_file_is_told_with_its_line() {
    let folder = std::sync::Arc::new(tempfile::TempDir::new().expect("a temporary folder"));
    std::fs::write(folder.path().join("torn.env"), "A=1\nB=\"open\n").expect("a file can be written");
    let torn = script("torn", FOREVER, "env_file = \"torn.env\"\nrestart = \"never\"");
    let ellie = Ellie::builder().folder(&folder).up(&[torn]).start();
    let reason = ellie.until_state("torn", "failed")["reason"].clone();
    assert!(reason.as_str().is_some_and(|r| r.contains("torn.env") && r.contains("NAME=value")), "{reason}");
}

#[test]
fn one_that_forks_away_is_a_failure_unless_it_may() {
    let away =
        "sh -c 'echo left $$; touch $NAME.up; exec sleep 1000' & until [ -e $NAME.up ]; do sleep 0.01; done";
    let ellie = Ellie::up(&[
        script("away", away, "restart = \"never\"\nenvironment = { NAME = \"away\" }"),
        script("daemon", away, "restart = \"never\"\nforks = true\nenvironment = { NAME = \"daemon\" }"),
    ]);
    let told = ellie.until_state("away", "failed");
    let reason = told["reason"].as_str().expect("a text");
    assert!(reason.contains("background") && reason.contains("forks"), "{reason}");
    let left: u32 = ellie.until_line("away", "left ").1.trim().parse().expect("a process id");
    wait_until("what it left is ended", || !is_alive(left));

    ellie.until_state("daemon", "ready");
    let left: u32 = ellie.until_line("daemon", "left ").1.trim().parse().expect("a process id");
    assert!(is_alive(left));
    ellie.put("/processes/daemon/stop", &json!({})).expect(202);
    ellie.until_state("daemon", "stopped");
    assert!(!is_alive(left));
}

#[test]
fn a_flood_is_bounded_on_disk_and_in_memory() {
    let flood = "i=0; while [ $i -lt 30 ]; do head -c 1000000 /dev/zero | tr '\\0' x | fold -w 99; i=$((i+1)); done; echo; echo the last line; exec sleep 1000";
    let ellie = Ellie::up(&[script("flood", flood, "")]);
    ellie.until_line("flood", "the last line");
    let files = std::fs::read_dir(ellie.path("data/logs")).expect("logs are kept");
    let kept: u64 = files.map(|file| file.and_then(|f| f.metadata()).expect("readable").len()).sum();
    // 30 MB were written; what is kept of one process is a ring of files.
    assert!(kept > 0 && kept < 15_000_000, "{kept} bytes are kept");
    assert!(ellie.lines("flood").len() <= 10_000);
    assert_eq!(ellie.get("/health").status, 200);
}

#[test]
fn one_that_never_gets_healthy_is_given_up() {
    let ellie = Ellie::up(&[
        script(
            "silent",
            FOREVER,
            "ready = { log = \"never written\" }\nstart_timeout = \"100ms\"\nrestart = \"never\"",
        ),
        script("api", FOREVER, "dependencies = [\"silent\"]"),
    ]);
    let silent = ellie.until_state("silent", "failed");
    let reason = silent["reason"].as_str().expect("a text");
    assert!(reason.contains("not ready") && reason.contains("100ms"), "{reason}");
    assert_eq!(silent["pid"], Value::Null);
    assert_eq!(ellie.process("api")["state"], "waiting");
}

#[test]
fn one_that_ignores_sigterm_is_killed_at_its_deadline() {
    let deaf = "trap '' TERM; sh -c 'trap \"\" TERM; echo child $$; while :; do sleep 1000; done' & while :; do sleep 1000; done";
    let ellie = Ellie::up(&[script("deaf", deaf, "stop_timeout = \"200ms\"")]);
    let child: u32 = ellie.until_line("deaf", "child ").1.trim().parse().expect("a process id");
    let parent = pid(&ellie.until_state("deaf", "ready"));
    ellie.cli(&["stop", "deaf"]).success();
    let stopped = ellie.until_state("deaf", "stopped");
    assert_eq!(stopped["lastExit"]["signal"], 9);
    assert!(!is_alive(parent) && !is_alive(child));
}
