use super::*;
use crate::definition::{Check, Condition, Definition, Dependency};
use crate::restart::{Policy, When};
use crate::status::{Goal, How, Phase, Reached};
use ellie_policy::backoff::Config;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;

/// A machine, its clock, and what it has asked for and not got yet.
struct World {
    machine: Machine,
    now: Now,
    actions: Vec<Action>,
    told: Vec<(String, NoticeKind, String)>,
}

fn process(name: &str) -> Definition {
    let backoff = Config { jitter: 0.0, ..Policy::default().backoff };
    Definition {
        restart: Policy { backoff, ..Policy::default() },
        drain_timeout: Duration::ZERO,
        ..Definition::new(name, ["true"])
    }
}

const OK: Exit = Exit { how: How::Code(0), left: 0 };
const FAILED: Exit = Exit { how: How::Code(3), left: 0 };

impl World {
    fn new(definitions: Vec<Definition>) -> Self {
        let plan = Arc::new(Plan::new(definitions).unwrap());
        let now = Now::read();
        Self { machine: Machine::new(plan, 1, now), now, actions: Vec::new(), told: Vec::new() }
    }

    fn input(&mut self, input: Input) {
        let actions = self.machine.handle(input, self.now);
        self.take(actions);
    }

    fn take(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Tell { unit, kind, message } => {
                    let name = self.machine.plan.slots()[unit].unit.clone();
                    self.told.push((name, kind, message));
                }
                action => self.actions.push(action),
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
        let actions = self.machine.tick(self.now);
        self.take(actions);
    }

    fn place(&self, name: &str) -> (usize, u64) {
        let unit = self.machine.plan.places(name)[0];
        (unit, self.machine.units[unit].run)
    }

    fn start(&mut self) {
        let all = (0..self.machine.units.len()).collect();
        self.input(Input::Start(all));
    }

    fn spawned(&mut self, name: &str) {
        let (unit, run) = self.place(name);
        self.input(Input::Spawned { unit, run, pid: Some(100), port: None });
    }

    fn ready(&mut self, name: &str) {
        self.spawned(name);
        let (unit, run) = self.place(name);
        self.input(Input::Ready { unit, run });
        self.input(Input::Announced { unit, run });
    }

    fn ended(&mut self, name: &str, exit: Exit) {
        let (unit, run) = self.place(name);
        self.input(Input::Ended { unit, run, exit });
    }

    fn phase(&self, name: &str) -> Phase {
        self.machine.status(self.now).named(name).next().unwrap().phase
    }

    fn reason(&self, name: &str) -> String {
        self.machine.status(self.now).named(name).next().unwrap().reason.clone()
    }

    /// What was asked for since the last look, as `verb name`.
    fn asked(&mut self) -> Vec<String> {
        let slots = self.machine.plan.slots().to_vec();
        let text = |action: Action| {
            let (verb, unit) = match action {
                Action::Launch { unit, .. } => ("launch", unit),
                Action::Announce { unit, .. } => ("announce", unit),
                Action::Drain { unit, .. } => ("drain", unit),
                Action::Signal { unit, .. } => ("signal", unit),
                Action::Kill { unit, .. } => ("kill", unit),
                Action::Release { unit, .. } => ("release", unit),
                Action::Tell { unit, .. } => ("tell", unit),
            };
            format!("{verb} {}", slots[unit].unit)
        };
        self.actions.drain(..).map(text).collect()
    }
}

#[test]
fn a_start_goes_in_waves_and_a_stop_in_the_reverse() {
    let mut w = World::new(vec![
        process("web").dependencies(["api"]),
        process("api").dependencies(["db", "cache"]),
        process("db"),
        process("cache"),
    ]);
    w.start();
    assert_eq!(w.asked(), ["launch db", "launch cache"]);
    assert_eq!(w.reason("api"), "waits for db (starting) to be healthy, cache (starting) to be healthy");
    w.ready("db");
    assert_eq!(w.asked(), ["announce db"]);
    w.ready("cache");
    assert_eq!(w.asked(), ["announce cache", "launch api"]);
    w.ready("api");
    w.ready("web");
    w.asked();

    w.input(Input::Down);
    assert_eq!(w.asked(), ["drain web", "signal web"]);
    w.ended("web", OK);
    assert_eq!(w.asked(), ["release web", "drain api", "signal api"]);
    w.ended("api", OK);
    assert_eq!(w.asked(), ["release api", "drain db", "signal db", "drain cache", "signal cache"]);
    w.ended("db", OK);
    assert!(!w.machine.is_down());
    w.ended("cache", OK);
    assert!(w.machine.is_down());
}

#[test]
fn each_condition_is_awaited() {
    let mut w = World::new(vec![
        process("db"),
        process("migrate").after("db", Condition::Started),
        process("api").after("migrate", Condition::Completed),
        process("tail").after("db", Condition::Log("ready to accept".into())),
    ]);
    w.start();
    w.spawned("db");
    assert_eq!(w.asked(), ["launch db", "launch migrate"]);
    let (unit, run) = w.place("db");
    w.input(Input::Seen { unit, run, text: "ready to accept".into() });
    assert_eq!(w.asked(), ["launch tail"]);
    w.ready("migrate");
    assert_eq!(w.asked(), ["announce migrate"]);
    w.ended("migrate", OK);
    assert_eq!(w.asked(), ["release migrate", "launch api"]);
    assert_eq!(w.phase("migrate"), Phase::Completed);
}

#[test]
fn a_failed_task_keeps_its_dependents_waiting_with_the_reason() {
    let once = Definition { restart: Policy::new(When::Never), ..process("migrate") };
    let mut w = World::new(vec![once, process("api").after("migrate", Condition::Completed)]);
    w.start();
    w.spawned("migrate");
    w.ended("migrate", FAILED);
    assert_eq!(w.phase("migrate"), Phase::Failed);
    assert_eq!(w.reason("api"), "waits for migrate (failed) to be completed");
    assert!(matches!(
        w.machine.status(w.now).reached("migrate", Goal::Completed),
        Some(Reached::Never(why)) if why == "migrate failed: ended with exit code 3"
    ));
    // Started again by hand, with its dependent still waiting.
    let (unit, _) = w.place("migrate");
    w.input(Input::Start(vec![unit]));
    w.spawned("migrate");
    w.ended("migrate", OK);
    assert_eq!(w.phase("api"), Phase::Starting);
}

#[test]
fn one_that_exits_at_once_ends_in_a_crash_loop_with_growing_pauses() {
    let mut w = World::new(vec![process("api")]);
    w.start();
    let mut pauses = Vec::new();
    for _ in 0..6 {
        w.spawned("api");
        w.ended("api", FAILED);
        let retry = w.machine.status(w.now).units[0].retry_in.unwrap();
        pauses.push((retry.as_millis(), w.phase("api")));
        w.pass(retry);
    }
    let expected = [250, 500, 1000, 2000].map(|ms| (ms, Phase::Backoff)).to_vec();
    assert_eq!(pauses[..4], expected);
    assert_eq!(pauses[4..], [(4000, Phase::CrashLoop), (8000, Phase::CrashLoop)]);
    let loops = w.told.iter().filter(|(_, kind, _)| *kind == NoticeKind::CrashLoop).count();
    assert_eq!(loops, 1, "{:?}", w.told);
    // Wanted no more while it pauses.
    w.spawned("api");
    w.ended("api", FAILED);
    let (unit, _) = w.place("api");
    w.input(Input::Stop(vec![unit]));
    assert!(w.machine.is_down() && w.machine.deadline().is_none());
}

#[test]
fn one_that_never_gets_ready_is_stopped_and_counts_as_failed() {
    let mut w = World::new(vec![process("api"), process("web").dependencies(["api"])]);
    w.start();
    w.spawned("api");
    w.asked();
    let (unit, run) = w.place("api");
    w.input(Input::NotReady { unit, run, why: "GET /health: 503".into() });
    assert_eq!(w.reason("api"), "not ready: GET /health: 503");
    w.pass(Duration::from_secs(60));
    assert_eq!(w.asked(), ["signal api"]);
    w.pass(Duration::from_secs(10));
    assert_eq!(w.asked(), ["kill api"]);
    w.ended("api", Exit { how: How::Signal(9), left: 0 });
    assert_eq!(w.phase("api"), Phase::Backoff);
    assert_eq!(w.reason("api"), "was not ready within 1m: GET /health: 503");
    assert_eq!(w.phase("web"), Phase::Waiting);
}

#[test]
fn a_stop_drains_first_then_signals_then_kills_each_at_its_deadline() {
    let mut w = World::new(vec![Definition { drain_timeout: Duration::from_secs(5), ..process("api") }]);
    w.start();
    w.ready("api");
    w.asked();
    let (unit, run) = w.place("api");
    w.input(Input::Stop(vec![unit]));
    assert_eq!(w.asked(), ["drain api"]);
    w.pass(Duration::from_millis(4999));
    assert!(w.asked().is_empty());
    w.pass(Duration::from_millis(1));
    assert_eq!(w.asked(), ["signal api"]);
    // Too late to matter.
    w.input(Input::Drained { unit, run });
    w.pass(Duration::from_secs(10));
    assert_eq!(w.asked(), ["kill api"]);
    w.ended("api", Exit { how: How::Signal(9), left: 0 });
    assert_eq!((w.phase("api"), w.reason("api")), (Phase::Stopped, "was ended by SIGKILL".into()));
}

#[test]
fn a_drain_that_is_done_early_is_not_waited_out() {
    let mut w = World::new(vec![Definition { drain_timeout: Duration::from_secs(5), ..process("api") }]);
    w.start();
    w.ready("api");
    w.input(Input::Down);
    w.asked();
    let (unit, run) = w.place("api");
    w.input(Input::Drained { unit, run });
    assert_eq!(w.asked(), ["signal api"]);
}

#[test]
fn a_dead_dependency_restarts_those_that_asked_for_it_and_leaves_the_others() {
    let restarted = Dependency { restart: true, ..Dependency::new("db", Condition::Healthy) };
    let mut w = World::new(vec![
        process("db"),
        Definition { dependencies: vec![restarted], ..process("api") },
        process("web").dependencies(["db"]),
    ]);
    w.start();
    for name in ["db", "api", "web"] {
        w.ready(name);
    }
    w.asked();
    w.ended("db", FAILED);
    assert_eq!(w.asked(), ["release db", "drain api", "signal api"]);
    assert_eq!(w.reason("api"), "`db`, on which it depends, is gone");
    assert_eq!(w.phase("web"), Phase::Ready);
    w.ended("api", OK);
    assert_eq!(w.phase("api"), Phase::Waiting);
    w.pass(Duration::from_millis(250));
    assert_eq!(w.asked(), ["release api", "launch db"]);
    w.ready("db");
    assert_eq!(w.asked(), ["announce db", "launch api"]);
}

#[test]
fn going_into_the_background_is_a_failure_that_says_what_to_do() {
    let mut w = World::new(vec![process("api")]);
    w.start();
    w.spawned("api");
    w.ended("api", Exit { how: How::Code(0), left: 2 });
    assert_eq!(w.phase("api"), Phase::Backoff);
    assert!(w.reason("api").contains("went into the background, leaving 2 processes"), "{}", w.reason("api"));
}

#[test]
fn sick_ones_are_restarted() {
    let mut w = World::new(vec![process("api")]);
    w.start();
    w.ready("api");
    w.asked();
    let (unit, run) = w.place("api");
    w.input(Input::Sick { unit, run, why: "no answer".into() });
    assert_eq!(w.asked(), ["drain api", "signal api"]);
    w.ended("api", OK);
    assert_eq!(w.phase("api"), Phase::Backoff);
    w.pass(Duration::from_secs(1));
    assert_eq!(w.asked(), ["release api", "launch api"]);
}

#[test]
fn what_runs_elsewhere_is_waited_for_without_an_end() {
    let redis = Definition::external("redis", Check::Tcp("127.0.0.1:6379".parse().unwrap()));
    let mut w = World::new(vec![redis, process("api").dependencies(["redis"])]);
    w.start();
    assert_eq!(w.asked(), ["launch redis"]);
    w.pass(Duration::from_secs(86_400));
    assert!(w.asked().is_empty());
    let (unit, run) = w.place("redis");
    w.input(Input::Spawned { unit, run, pid: None, port: None });
    w.input(Input::NotReady { unit, run, why: "connection refused".into() });
    assert_eq!(w.reason("redis"), "not ready: connection refused");
    w.input(Input::Ready { unit, run });
    w.input(Input::Announced { unit, run });
    w.ready("api");
    w.asked();
    w.input(Input::Down);
    w.ended("api", OK);
    assert_eq!(w.asked(), ["drain api", "signal api", "release api", "release redis"]);
    assert!(w.machine.is_down());
}

#[test]
fn a_restart_stops_first_and_starts_without_a_pause() {
    let mut w = World::new(vec![process("api")]);
    w.start();
    w.ready("api");
    w.asked();
    let (unit, _) = w.place("api");
    w.input(Input::Restart(vec![unit]));
    assert_eq!(w.asked(), ["drain api", "signal api"]);
    w.ended("api", Exit { how: How::Signal(15), left: 0 });
    assert_eq!(w.asked(), ["release api", "launch api"]);
    // One that rests is simply started.
    w.spawned("api");
    w.ended("api", OK);
    let (unit, _) = w.place("api");
    w.input(Input::Restart(vec![unit]));
    assert_eq!(w.asked(), ["release api", "launch api"]);
}

#[test]
fn starting_one_starts_what_it_needs() {
    let mut w = World::new(vec![process("db"), process("api").dependencies(["db"]), process("other")]);
    let (api, _) = w.place("api");
    w.input(Input::Start(vec![api]));
    assert_eq!(w.asked(), ["launch db"]);
    w.ready("db");
    assert_eq!(w.asked(), ["announce db", "launch api"]);
    assert_eq!(w.phase("other"), Phase::Stopped);
}

#[test]
fn killing_waits_for_nobody() {
    let mut w = World::new(vec![process("db"), process("api").dependencies(["db"])]);
    w.start();
    w.ready("db");
    w.asked();
    w.input(Input::Kill);
    assert_eq!(w.asked(), ["kill db", "kill api"]);
}

#[test]
fn what_a_former_run_did_changes_nothing() {
    let mut w = World::new(vec![process("api")]);
    w.start();
    w.ready("api");
    let (unit, run) = w.place("api");
    w.input(Input::Restart(vec![unit]));
    w.ended("api", OK);
    w.asked();
    w.input(Input::Ended { unit, run, exit: FAILED });
    w.input(Input::Ready { unit, run });
    assert!(w.asked().is_empty());
    assert_eq!(w.phase("api"), Phase::Starting);
}

/// One thing that may happen in a random history.
#[derive(Clone, Debug)]
enum Step {
    Start(usize),
    Stop(usize),
    Restart(usize),
    Down,
    Kill,
    Ready(usize),
    Ended(usize, bool),
    Sick(usize),
    Pass(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let unit = 0..6_usize;
    prop_oneof![
        3 => unit.clone().prop_map(Step::Start),
        1 => unit.clone().prop_map(Step::Stop),
        1 => unit.clone().prop_map(Step::Restart),
        1 => Just(Step::Down),
        1 => Just(Step::Kill),
        6 => unit.clone().prop_map(Step::Ready),
        4 => (unit.clone(), any::<bool>()).prop_map(|(unit, ok)| Step::Ended(unit, ok)),
        1 => unit.prop_map(Step::Sick),
        4 => (0..20_000_u16).prop_map(Step::Pass),
    ]
}

proptest! {
    /// Whatever happens in whatever order: nothing starts before what it needs or while it runs, a stop goes in
    /// order, and everything can be brought down.
    #[test]
    fn order_holds_in_every_history(
        edges in proptest::collection::vec((1..6_usize, 0..5_usize, any::<bool>()), 0..10),
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let mut definitions: Vec<Definition> = (0..6).map(|i| process(&format!("p{i}"))).collect();
        for (from, to, restart) in edges {
            let name = format!("p{to}");
            if to < from && definitions[from].dependencies.iter().all(|d| d.name != name) {
                let dependency = Dependency { restart, ..Dependency::new(name, Condition::Healthy) };
                definitions[from].dependencies.push(dependency);
            }
        }
        let mut w = World::new(definitions);
        let mut alive: BTreeSet<(usize, u64)> = BTreeSet::new();
        let downs = [Step::Down];
        for (n, step) in steps.into_iter().chain(downs).enumerate() {
            let before: Vec<bool> = w.machine.units.iter().map(|u| u.state == State::Ready).collect();
            let ordered = matches!(step, Step::Down);
            let at = |w: &World, unit: usize| (unit, w.machine.units[unit].run);
            match step {
                Step::Start(unit) => w.input(Input::Start(vec![unit])),
                Step::Stop(unit) => w.input(Input::Stop(vec![unit])),
                Step::Restart(unit) => w.input(Input::Restart(vec![unit])),
                Step::Down => w.input(Input::Down),
                Step::Kill => w.input(Input::Kill),
                Step::Ready(unit) => w.ready(&format!("p{unit}")),
                Step::Sick(unit) => {
                    let (unit, run) = at(&w, unit);
                    w.input(Input::Sick { unit, run, why: "sick".into() });
                }
                Step::Ended(unit, ok) => {
                    if alive.remove(&at(&w, unit)) {
                        w.ended(&format!("p{unit}"), if ok { OK } else { FAILED });
                    }
                }
                Step::Pass(ms) => w.pass(Duration::from_millis(ms.into())),
            }
            for action in std::mem::take(&mut w.actions) {
                match action {
                    Action::Launch { unit, run } => {
                        prop_assert!(!alive.iter().any(|(other, _)| *other == unit), "step {n}: two at once");
                        for need in w.machine.needs[unit].iter().flatten() {
                            let state = &w.machine.units[*need].state;
                            prop_assert!(*state == State::Ready || before[*need], "step {n}: before its need");
                        }
                        alive.insert((unit, run));
                    }
                    Action::Signal { unit, .. } if ordered => {
                        for dependent in &w.machine.dependents[unit] {
                            let up = w.machine.units[*dependent].state.is_active();
                            prop_assert!(!up, "step {n}: {unit} before {dependent}");
                        }
                    }
                    _ => {}
                }
            }
        }
        // Down has been asked; what is alive ends, what it takes.
        for _ in 0..100 {
            for (unit, _) in std::mem::take(&mut alive) {
                w.ended(&format!("p{unit}"), OK);
            }
            w.pass(Duration::from_secs(20));
        }
        prop_assert!(w.machine.is_down());
        let launched = w.actions.iter().any(|a| matches!(a, Action::Launch { .. }));
        prop_assert!(!launched);
    }
}
