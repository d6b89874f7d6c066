//! `kill -9` at any instant loses nothing that was acknowledged.
//!
//! The test starts itself as a child that registers and deregisters as fast as it can and tells each acknowledgement
//! on its standard output, kills it without warning, and compares what a fresh start finds.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use ellie_core::registry::Settings;
use ellie_store::{Embedded, Registrar, Store, registrar};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command as Process, Stdio};
use std::sync::Arc;

const DIRECTORY: &str = "ELLIE_STORE_CRASH_DIRECTORY";
const ROUND: &str = "ELLIE_STORE_CRASH_ROUND";
const KILLS: usize = 20;
const TASKS: usize = 16;

/// Not a test by itself: the child that is killed.
#[test]
#[allow(clippy::disallowed_methods, reason = "the parent hands the child its directory")]
fn child() {
    let (Ok(directory), Ok(round)) = (std::env::var(DIRECTORY), std::env::var(ROUND)) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let store = Embedded::open(directory).unwrap();
        let registry = registry(Settings::default());
        let registrar = Registrar::start(registry, Box::new(store), registrar::Settings::default()).unwrap();
        let out = Arc::new(std::sync::Mutex::new(std::io::stdout()));
        let tell = move |line: String| {
            let mut out = out.lock().unwrap();
            // One write a line; a killed child leaves at most one line cut short, which has no newline.
            let _ = out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush());
        };
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let (registrar, tell, round) = (registrar.clone(), tell.clone(), round.clone());
                tokio::spawn(async move {
                    for n in 0.. {
                        let id = format!("{round}-{task}-{n}");
                        tell(format!("? + {id}"));
                        registrar.submit(vec![add("api", &id), add("twin", &id)]).await.unwrap();
                        tell(format!("! + {id}"));
                        if n % 3 == 2 {
                            let id = format!("{round}-{task}-{}", n - 1);
                            tell(format!("? - {id}"));
                            registrar.submit(vec![remove("api", &id), remove("twin", &id)]).await.unwrap();
                            tell(format!("! - {id}"));
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[derive(Default)]
struct Expected {
    present: BTreeSet<String>,
    /// Asked for and not acknowledged when the child died: either way is right.
    open: BTreeSet<String>,
}

/// Runs a child until it has acknowledged `acknowledged` submissions, then kills it.
fn run_and_kill(directory: &Path, round: usize, acknowledged: usize, expected: &mut Expected) {
    let mut child = Process::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let (mut line, mut seen, mut killed) = (String::new(), 0, false);
    while lines.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        line.clear();
        // The test harness prints a few lines of its own.
        let [mark, what, id] = words.as_slice() else { continue };
        match (mark.as_str(), what.as_str()) {
            ("?", _) => {
                expected.open.insert(id.clone());
            }
            ("!", "+") => {
                expected.open.remove(id);
                expected.present.insert(id.clone());
            }
            ("!", "-") => {
                expected.open.remove(id);
                expected.present.remove(id);
            }
            _ => continue,
        }
        seen += usize::from(mark == "!");
        if seen >= acknowledged && !killed {
            child.kill().unwrap();
            killed = true;
        }
    }
    assert!(killed, "the child ended by itself: {:?}", child.wait_with_output());
    child.wait().unwrap();
}

#[test]
fn twenty_kills_lose_nothing_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let mut expected = Expected::default();
    for round in 0..KILLS {
        run_and_kill(directory.path(), round, 20 + 37 * round, &mut expected);
        let records = Embedded::open(directory.path()).unwrap().load().unwrap();
        let ids = |name: &str| -> BTreeSet<String> {
            let of = records.iter().filter(|r| r.registration.name.as_str() == name);
            of.map(|r| r.registration.id.to_string()).collect()
        };
        let found = ids("api");
        assert_eq!(found, ids("twin"), "round {round}: a submission was torn");
        let lost: Vec<_> =
            expected.present.difference(&found).filter(|id| !expected.open.contains(*id)).collect();
        let risen: Vec<_> =
            found.difference(&expected.present).filter(|id| !expected.open.contains(*id)).collect();
        assert!(lost.is_empty() && risen.is_empty(), "round {round}: lost {lost:?}, came back {risen:?}");
        assert!(expected.open.len() <= TASKS * (round + 1));
        expected = Expected { present: found, open: BTreeSet::new() };
    }
    assert!(expected.present.len() > 100);
}
