//! Real processes, under a guard and in a group. The guard is this program started again, so it has a `main` of its
//! own: it runs every case, or those whose names contain the first argument.
#![allow(clippy::unwrap_used, reason = "a test")]

use ellie_supervisor::logs::{self, Line};
use ellie_supervisor::restart::{Policy, When};
use ellie_supervisor::status::{Goal, How, Phase, UnitStatus};
use ellie_supervisor::supervisor::Error;
use ellie_supervisor::{
    Check, Condition, Definition, EnvFile, Launcher, NoHooks, Plan, Port, Settings, Supervisor, guard,
};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Beyond any duration that is right: a wait that takes so long has failed.
const TOO_LONG: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    if let Some(code) = guard::run_if_asked() {
        return code;
    }
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let filter = arguments.next().unwrap_or_default();
    if filter == "be-killed" {
        return be_killed();
    }
    type Case = (&'static str, fn(Launcher));
    let cases: [Case; 10] = [
        ("ends_are_told", ends_are_told),
        ("what_cannot_be_started_says_why", what_cannot_be_started_says_why),
        ("each_readiness_check_is_asked", each_readiness_check_is_asked),
        ("a_tree_that_ignores_sigterm_is_killed_at_its_deadline", a_tree_that_ignores_sigterm_is_killed),
        ("what_is_left_behind_is_ended", what_is_left_behind_is_ended),
        ("one_that_forks_away_is_found_out_or_followed", one_that_forks_away_is_found_out_or_followed),
        ("a_flood_is_bounded", a_flood_is_bounded),
        ("ports_are_allotted_and_kept", ports_are_allotted_and_kept),
        ("a_sick_one_is_restarted", a_sick_one_is_restarted),
        ("dropping_the_supervisor_ends_everything", dropping_the_supervisor_ends_everything),
    ];
    let guarded: [Case; 3] = [
        ("a_killed_supervisor_leaves_nothing", a_killed_supervisor_leaves_nothing),
        ("one_that_leaves_its_group_is_ended_too", one_that_leaves_its_group_is_ended_too),
        ("a_killed_guard_is_noticed", a_killed_guard_is_noticed),
    ];
    let all = cases
        .iter()
        .flat_map(|case| [(case, Launcher::Group), (case, Launcher::this_program())])
        .chain(guarded.iter().map(|case| (case, Launcher::this_program())));
    for ((name, case), launcher) in all.filter(|((name, _), _)| name.contains(&filter)) {
        let how = if launcher == Launcher::Group { "group" } else { "guard" };
        // A failed case panics, which ends the program with a failure and its words.
        println!("test {name} ({how})");
        case(launcher);
    }
    println!("test result: ok");
    ExitCode::SUCCESS
}

fn sh(name: &str, script: &str) -> Definition {
    Definition { drain_timeout: Duration::ZERO, ..Definition::new(name, ["sh", "-c", script]) }
}

fn once(definition: Definition) -> Definition {
    definition.restart(Policy::new(When::Never))
}

fn supervisor(launcher: Launcher, logs: logs::Settings, definitions: Vec<Definition>) -> Supervisor {
    let plan = Plan::new(definitions).unwrap_or_else(|faults| panic!("{}", faults[0]));
    let settings = Settings { launcher, environment: std::env::vars_os().collect(), logs };
    Supervisor::new(plan, settings, Arc::new(NoHooks))
}

/// Runs `case` with a supervisor of `definitions` that has been told to start everything, and stops it after.
fn with<F: Future<Output = ()>>(
    launcher: Launcher,
    definitions: Vec<Definition>,
    case: impl FnOnce(Supervisor) -> F,
) {
    block_on(async {
        let it = supervisor(launcher, logs::Settings::default(), definitions);
        it.up().await.unwrap();
        case(it.clone()).await;
        within(it.down()).await;
    });
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(within(future))
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(TOO_LONG, future).await.expect("it takes too long")
}

/// Waits until the status of `name` is as wanted.
async fn until(it: &Supervisor, name: &str, wanted: impl Fn(&UnitStatus) -> bool) -> UnitStatus {
    let mut watch = it.watch();
    let found = |status: &Arc<ellie_supervisor::Status>| status.named(name).any(&wanted);
    let status = within(watch.wait_for(found)).await.unwrap().clone();
    status.named(name).find(|unit| wanted(unit)).unwrap().clone()
}

/// Waits until a condition of the system holds.
async fn holds(wanted: impl Fn() -> bool) {
    let mut look = tokio::time::interval(Duration::from_millis(10));
    within(async {
        while !wanted() {
            look.tick().await;
        }
    })
    .await;
}

/// Waits for a line that begins with `prefix`, and returns the rest of it.
async fn line(it: &Supervisor, name: &str, prefix: &str) -> String {
    let find = || {
        let lines: Vec<Arc<Line>> = it.logs().since(&[name.into()], 0, usize::MAX).lines;
        lines.iter().find_map(|line| line.text.strip_prefix(prefix).map(str::to_owned))
    };
    holds(|| find().is_some()).await;
    find().unwrap()
}

fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn ends_are_told(launcher: Launcher) {
    let definitions = vec![
        once(sh("code", "exit 7")),
        once(sh("signal", "kill -SEGV $$")),
        once(sh("fine", "echo out; echo err >&2; printf 'no end'")),
    ];
    with(launcher, definitions, async |it| {
        let code = until(&it, "code", |unit| unit.phase == Phase::Failed).await;
        assert_eq!(code.last_exit.unwrap().how, How::Code(7));
        let signal = until(&it, "signal", |unit| unit.phase == Phase::Failed).await;
        assert_eq!(signal.reason, "was ended by SIGSEGV");
        it.wait("fine", Goal::Completed, None).await.unwrap();
        let lines = it.logs().since(&["fine".into()], 0, 100).lines;
        let texts: Vec<_> = lines.iter().map(|line| (line.stream.as_str(), line.text.as_str())).collect();
        for wanted in [("out", "out"), ("err", "err"), ("out", "no end"), ("note", "completed")] {
            assert!(texts.contains(&wanted), "{texts:?}");
        }
        let never = it.wait("code", Goal::Healthy, None).await.unwrap_err();
        assert_eq!(never, Error::Never("code failed: ended with exit code 7".into()));
    });
}

fn what_cannot_be_started_says_why(launcher: Launcher) {
    let env_file = EnvFile { path: "/nowhere/x.env".into(), required: true };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("text"), "no program\n").unwrap();
    let definitions = vec![
        once(Definition::new("program", ["no-such-program-anywhere"])),
        once(Definition::new("file", ["./text"]).directory(folder.path())),
        once(sh("directory", "true").directory("/nowhere")),
        Definition { env_files: vec![env_file], ..once(sh("env", "true")) },
    ];
    with(launcher, definitions, async |it| {
        for (name, part) in [
            ("program", "no program `no-such-program-anywhere` in any directory of PATH"),
            ("file", "`./text`: Permission denied"),
            ("directory", "its directory `/nowhere` can't be used"),
            ("env", "its env_file `/nowhere/x.env` can't be read"),
        ] {
            let unit = until(&it, name, |unit| unit.phase == Phase::Failed).await;
            assert!(unit.reason.contains(part), "{name}: {}", unit.reason);
        }
    });
}

fn each_readiness_check_is_asked(launcher: Launcher) {
    let folder = tempfile::tempdir().unwrap();
    let serve = ["python3", "-um", "http.server", "--bind", "127.0.0.1", "$PORT"];
    let tcp = Definition { expand: true, ..Definition::new("tcp", serve) }
        .port(Port::Allot)
        .directory(folder.path());
    let exec = Check::Exec(["test", "-e", "there"].map(Into::into).to_vec());
    let definitions = vec![
        tcp,
        sh("log", "echo starting; echo now accepting connections; exec sleep 1000")
            .ready(Check::Log("accepting".into())),
        sh("exec", "touch there; exec sleep 1000").ready(exec).directory(folder.path()),
        sh("last", "exec sleep 1000")
            .dependencies(["tcp", "exec"])
            .after("log", Condition::Log("now accepting".into())),
    ];
    with(launcher, definitions, async |it| {
        it.wait("last", Goal::Healthy, None).await.unwrap();
        let status = it.status();
        assert!(status.units.iter().all(|unit| unit.phase == Phase::Ready), "{status:?}");
        let last = status.named("last").next().unwrap();
        let times = |name: &str| status.named(name).next().unwrap().times.clone();
        for name in ["tcp", "log", "exec"] {
            assert!(times(name).started <= last.times.unblocked, "{name}");
        }
        assert!(times("tcp").ready <= last.times.started);
    });
}

fn a_tree_that_ignores_sigterm_is_killed(launcher: Launcher) {
    let stubborn = "trap '' TERM; sh -c 'trap \"\" TERM; echo grandchild $$; while :; do sleep 1; done' & echo child $$; \
                    while :; do sleep 1; done";
    let definition = Definition { stop_timeout: Duration::from_millis(300), ..sh("stubborn", stubborn) };
    with(launcher, vec![definition], async |it| {
        let (child, grandchild) =
            (line(&it, "stubborn", "child ").await, line(&it, "stubborn", "grandchild ").await);
        it.stop("stubborn").await.unwrap();
        let unit = until(&it, "stubborn", |unit| unit.phase == Phase::Stopped).await;
        assert_eq!(unit.last_exit.unwrap().how, How::Signal(9));
        holds(|| !is_alive(&child) && !is_alive(&grandchild)).await;
        let notes = it.logs().since(&["stubborn".into()], 0, 100).lines;
        assert!(notes.iter().any(|line| line.text == "did not stop within 300ms: killed"), "{notes:?}");
    });
}

fn what_is_left_behind_is_ended(launcher: Launcher) {
    let definition = once(sh("parent", "sleep 1000 & echo left $!; exit 3"));
    with(launcher, vec![definition], async |it| {
        let left = line(&it, "parent", "left ").await;
        let unit = until(&it, "parent", |unit| unit.phase == Phase::Failed).await;
        let exit = unit.last_exit.unwrap();
        assert_eq!((exit.how, exit.left), (How::Code(3), 1));
        assert!(!is_alive(&left), "the process is over when all of it is");
    });
}

fn one_that_forks_away_is_found_out_or_followed(launcher: Launcher) {
    let script = "(sleep 1000 & echo daemon $!); exit 0";
    let definitions = vec![once(sh("away", script)), Definition { forks: true, ..sh("daemon", script) }];
    with(launcher, definitions, async |it| {
        let away = until(&it, "away", |unit| unit.phase == Phase::Failed).await;
        assert!(away.reason.contains("went into the background"), "{}", away.reason);
        it.wait("daemon", Goal::Healthy, None).await.unwrap();
        let daemon = line(&it, "daemon", "daemon ").await;
        assert!(is_alive(&daemon));
        it.stop("daemon").await.unwrap();
        it.wait("daemon", Goal::Stopped, None).await.unwrap();
        assert!(!is_alive(&daemon));
    });
}

fn a_flood_is_bounded(launcher: Launcher) {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let settings =
            logs::Settings { directory: Some(folder.path().into()), file_size: 200_000, memory: 50_000 };
        let it = supervisor(launcher, settings, vec![sh("flood", "yes 'a line of a flood'")]);
        it.up().await.unwrap();
        holds(|| it.logs().since(&["flood".into()], 0, 1).missed).await;
        holds(|| folder.path().join("flood.log.1").exists()).await;
        let kept = it.logs().since(&["flood".into()], 0, usize::MAX).lines;
        assert!(kept.iter().map(|line| line.text.len()).sum::<usize>() <= 50_000);
        it.stop("flood").await.unwrap();
        it.wait("flood", Goal::Stopped, None).await.unwrap();
        let size = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().metadata().unwrap().len();
        let size: u64 = std::fs::read_dir(folder.path()).unwrap().map(size).sum();
        assert!(size <= 200_000, "{size}");
        within(it.down()).await;
    });
}

fn ports_are_allotted_and_kept(launcher: Launcher) {
    let serve = "echo port $PORT; exec python3 -um http.server --bind 127.0.0.1 $PORT";
    let many = Definition { replicas: 3, ..sh("many", serve).port(Port::Allot) };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let blocked = once(sh("blocked", serve).port(Port::Fixed(taken.local_addr().unwrap().port())));
    with(launcher, vec![many, blocked], async |it| {
        it.wait("many", Goal::Healthy, None).await.unwrap();
        let ports = || it.status().named("many").map(|unit| unit.port.unwrap()).collect::<Vec<_>>();
        let before = ports();
        assert!(before[0] != before[1] && before[1] != before[2] && before[0] != before[2], "{before:?}");
        assert_eq!(line(&it, "many.2", "port ").await, before[1].to_string());
        it.restart("many.2").await.unwrap();
        until(&it, "many.2", |unit| unit.run == 2 && unit.phase == Phase::Ready).await;
        assert_eq!(ports(), before);
        let blocked = until(&it, "blocked", |unit| unit.phase == Phase::Failed).await;
        assert!(blocked.reason.contains("is taken by another program"), "{}", blocked.reason);
    });
}

fn a_sick_one_is_restarted(launcher: Launcher) {
    let folder = tempfile::tempdir().unwrap();
    let timing = ellie_supervisor::Timing {
        interval: Duration::from_millis(20),
        timeout: Duration::from_secs(5),
        failures: 2,
    };
    let check =
        Check::Exec(["sh", "-c", "test ! -e sick || { echo broken; exit 1; }"].map(Into::into).to_vec());
    let definition = Definition {
        live: Some((check, timing)),
        ..sh("api", "rm -f sick; exec sleep 1000").directory(folder.path())
    };
    with(launcher, vec![definition], async |it| {
        it.wait("api", Goal::Healthy, None).await.unwrap();
        std::fs::write(folder.path().join("sick"), "").unwrap();
        until(&it, "api", |unit| unit.run == 2 && unit.phase == Phase::Ready).await;
        let notes = it.logs().since(&["api".into()], 0, 100).lines;
        let why = "no longer works: `sh` ended with exit code 1: broken";
        assert!(notes.iter().any(|line| line.text == why), "{notes:?}");
    });
}

fn dropping_the_supervisor_ends_everything(launcher: Launcher) {
    block_on(async {
        let it =
            supervisor(launcher, logs::Settings::default(), vec![sh("api", "echo pid $$; exec sleep 1000")]);
        it.up().await.unwrap();
        let pid = line(&it, "api", "pid ").await;
        drop(it);
        holds(|| !is_alive(&pid)).await;
    });
}

/// What a tree of processes says of itself: each of them, and one that left its group.
const TREE: &str = "sh -c 'trap \"\" TERM; echo pid $$; while :; do sleep 1; done' & setsid sh -c 'echo pid $$; exec sleep \
                    1000' & echo pid $$; wait";

/// The supervisor that is killed: started by the case below, as a process of its own.
fn be_killed() -> ExitCode {
    block_on(async {
        let it = supervisor(Launcher::this_program(), logs::Settings::default(), vec![sh("tree", TREE)]);
        it.up().await.unwrap();
        let pids = || {
            let lines = it.logs().since(&["tree".into()], 0, 100).lines;
            lines
                .iter()
                .filter_map(|line| line.text.strip_prefix("pid ").map(str::to_owned))
                .collect::<Vec<_>>()
        };
        holds(|| pids().len() == 3).await;
        println!("{}", pids().join(" "));
        std::future::pending::<()>().await;
    });
    ExitCode::SUCCESS
}

fn a_killed_supervisor_leaves_nothing(_: Launcher) {
    use std::io::BufRead;
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .arg("be-killed")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut pids = String::new();
    std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut pids).unwrap();
    let pids: Vec<&str> = pids.split_whitespace().collect();
    assert_eq!(pids.len(), 3, "{pids:?}");
    assert!(pids.iter().all(|pid| is_alive(pid)));
    child.kill().unwrap();
    child.wait().unwrap();
    block_on(holds(|| !pids.iter().any(|pid| is_alive(pid))));
}

fn one_that_leaves_its_group_is_ended_too(launcher: Launcher) {
    with(launcher, vec![sh("tree", TREE)], async |it| {
        let pids = || {
            let lines = it.logs().since(&["tree".into()], 0, 100).lines;
            lines
                .iter()
                .filter_map(|line| line.text.strip_prefix("pid ").map(str::to_owned))
                .collect::<Vec<_>>()
        };
        holds(|| pids().len() == 3).await;
        it.kill().await;
        it.wait("tree", Goal::Stopped, None).await.unwrap();
        assert!(!pids().iter().any(|pid| is_alive(pid)), "over when all of it is");
    });
}

fn a_killed_guard_is_noticed(launcher: Launcher) {
    with(launcher, vec![once(sh("api", "echo pid $$; exec sleep 1000"))], async |it| {
        let pid = line(&it, "api", "pid ").await;
        let stat = std::fs::read_to_string(Path::new("/proc").join(&pid).join("stat")).unwrap();
        let guard = stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().to_owned();
        let status = std::process::Command::new("kill").args(["-9", &guard]).status().unwrap();
        assert!(status.success());
        let unit = until(&it, "api", |unit| unit.phase == Phase::Failed).await;
        assert_eq!(unit.reason, "is gone together with its guard");
        holds(|| !is_alive(&pid)).await;
    });
}
