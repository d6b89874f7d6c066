//! The loop with scripted probes on paused time: who is probed when, and what enters the registry.

use super::*;
use crate::checker::Refused;
use ellie_core::journal::Journal;
use ellie_core::model::{Actor, CheckDraft, Draft};
use ellie_core::registry::Cause;
use ellie_core::{Source, registry};
use std::collections::HashMap;
use std::sync::Mutex;
use tokio::sync::oneshot;
use tokio::time::sleep;

/// How long a probe takes, and what it finds.
type Step = (Duration, Option<Status>);

/// Answers by port: each port has a script of (delay, verdict) of which the last one repeats. `None` is inconclusive.
#[derive(Default)]
struct Scripted {
    scripts: HashMap<u16, Vec<Step>>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// Port and time of each probe.
    probes: Vec<(u16, Instant)>,
    by_port: HashMap<u16, usize>,
    running: usize,
    most: usize,
}

struct Run<'a>(&'a Scripted);

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.0.seen.lock().unwrap().running -= 1;
    }
}

impl Probe for Scripted {
    type Connection = u16;

    async fn probe(&self, target: Arc<Target>, kept: Option<u16>, _: Limits) -> Probed<u16> {
        assert!(kept.is_none_or(|port| port == target.port), "another instance's connection");
        let (nth, began) = {
            let mut seen = self.seen.lock().unwrap();
            seen.running += 1;
            seen.most = seen.most.max(seen.running);
            let count = seen.by_port.entry(target.port).or_default();
            let nth = *count;
            *count += 1;
            seen.probes.push((target.port, now()));
            (nth, now())
        };
        let _run = Run(self);
        let healthy = vec![(Duration::from_millis(1), Some(Status::Healthy))];
        let script = self.scripts.get(&target.port).unwrap_or(&healthy);
        let (delay, verdict) = script[nth.min(script.len() - 1)];
        sleep(delay).await;
        let outcome = match verdict {
            Some(verdict) => {
                Outcome::Answer(Answer { verdict, output: format!("probe {nth}"), code: None, body: None })
            }
            None => Outcome::Inconclusive("no files left".into()),
        };
        Probed { outcome, took: now() - began, connection: Some(target.port), retried: false }
    }
}

const MS: Duration = Duration::from_millis(1);
const INTERVAL: Duration = Duration::from_secs(10);

struct World {
    registry: Arc<Registry>,
    probe: Arc<Scripted>,
    counters: Arc<Counters>,
    settings: watch::Sender<Settings>,
    asks: mpsc::Sender<Ask>,
    stop: CancellationToken,
    running: tokio::task::JoinHandle<()>,
}

fn draft(port: u16) -> Draft {
    Draft {
        name: Some("a".into()),
        id: Some(format!("i{port}")),
        host: Some("127.0.0.1".into()),
        port: Some(port.into()),
        check: Some(CheckDraft { kind: Some("http".into()), ..CheckDraft::default() }),
        ..Draft::default()
    }
}

fn register(draft: Draft) -> Command {
    let registration = Arc::new(draft.validate().unwrap());
    Command::Register { registration, source: Source::Config, actor: Actor::new("test") }
}

fn ids(port: u16) -> (ServiceName, InstanceId) {
    (ServiceName::new("a").unwrap(), InstanceId::new(&format!("i{port}")).unwrap())
}

impl World {
    fn new(settings: Settings, scripts: &[(u16, &[Step])]) -> Self {
        let registry = Arc::new(Registry::new(registry::Settings::default(), Arc::new(Journal::default())));
        Self::of(registry, settings, scripts)
    }

    fn of(registry: Arc<Registry>, settings: Settings, scripts: &[(u16, &[Step])]) -> Self {
        let scripts = scripts.iter().map(|(port, script)| (*port, script.to_vec())).collect();
        let probe = Arc::new(Scripted { scripts, seen: Mutex::default() });
        let counters = Arc::new(Counters::default());
        let settings = watch::Sender::new(settings);
        let (asks, receiver) = mpsc::channel(8);
        let stop = CancellationToken::new();
        let running = tokio::spawn({
            let (registry, probe, counters) = (registry.clone(), probe.clone(), counters.clone());
            let (updates, stop) = (settings.subscribe(), stop.clone());
            async move {
                Engine::new(&registry, &*probe, &counters, updates, Rng::new(1)).run(receiver, stop).await;
            }
        });
        Self { registry, probe, counters, settings, asks, stop, running }
    }

    fn apply(&self, command: Command) {
        self.registry.apply(command, Now::read()).unwrap();
    }

    fn status(&self, port: u16) -> (Status, String) {
        let instance = self.registry.snapshot().instance("a", &format!("i{port}")).unwrap().clone();
        (instance.status, instance.reason.to_string())
    }

    /// When the port was probed.
    fn probed(&self, port: u16) -> Vec<Instant> {
        self.probe.seen.lock().unwrap().probes.iter().filter(|(p, _)| *p == port).map(|(_, at)| *at).collect()
    }

    /// Lets time pass until the port was probed and answered `n` times in all.
    async fn until(&self, port: u16, n: u64) {
        let id = format!("i{port}");
        while self.registry.snapshot().instance("a", &id).is_none_or(|i| i.history.checks() < n) {
            sleep(MS).await;
        }
    }

    async fn ask(&self, port: u16) -> oneshot::Receiver<Result<Arc<CheckReport>, Refused>> {
        let (name, id) = ids(port);
        let (reply, answer) = oneshot::channel();
        self.asks.send(Ask { name, id, reply }).await.unwrap();
        answer
    }
}

fn settings() -> Settings {
    Settings { interval: INTERVAL, ..Settings::default() }
}

const OK: Option<Status> = Some(Status::Healthy);
const BAD: Option<Status> = Some(Status::Unhealthy);

#[tokio::test(start_paused = true)]
async fn the_first_probe_goes_out_at_once_and_decides_at_once() {
    let w = World::new(settings(), &[(2, &[(MS, BAD)]), (3, &[(MS, Some(Status::Degraded))])]);
    let began = now();
    for port in 1..=3 {
        w.apply(register(draft(port)));
    }
    assert_eq!(w.status(1), (Status::Unhealthy, "awaiting first check".into()));
    for (port, status) in [(1, Status::Healthy), (2, Status::Unhealthy), (3, Status::Degraded)] {
        w.until(port, 1).await;
        assert_eq!(w.status(port).0, status);
        assert!(w.probed(port)[0] - began <= 20 * MS, "at once");
    }
}

#[tokio::test(start_paused = true)]
async fn one_slow_probe_flips_nothing_and_two_do_and_one_success_brings_it_back() {
    let script = [(MS, OK), (MS, BAD), (MS, OK), (MS, BAD), (MS, BAD), (MS, OK)];
    let w = World::new(settings(), &[(1, &script)]);
    w.apply(register(draft(1)));
    let mut states = Vec::new();
    for n in 1..=6 {
        w.until(1, n).await;
        states.push(w.status(1).0);
    }
    use Status::{Healthy as H, Unhealthy as U};
    assert_eq!(states, [H, H, H, H, U, H]);
    assert_eq!(w.counters.read().failed_total, 3);
}

#[tokio::test(start_paused = true)]
async fn an_instances_own_thresholds_beat_the_settings() {
    let w = World::new(settings(), &[(1, &[(MS, OK), (MS, BAD)])]);
    let mut draft = draft(1);
    draft.check.as_mut().unwrap().failure_threshold = Some(1);
    w.apply(register(draft));
    w.until(1, 2).await;
    assert_eq!(w.status(1).0, Status::Unhealthy);
}

#[tokio::test(start_paused = true)]
async fn the_interval_is_kept_and_the_unhealthy_are_probed_no_less_often() {
    let w = World::new(settings(), &[(2, &[(MS, BAD)])]);
    w.apply(register(draft(1)));
    w.apply(register(draft(2)));
    w.until(1, 20).await;
    for port in [1, 2] {
        let at = w.probed(port);
        assert!(at.len() >= 19, "{port}: {}", at.len());
        assert!(at[1] - at[0] <= INTERVAL + 30 * MS, "the second one is anywhere in the first interval");
        for pair in at[1..].windows(2) {
            let gap = (pair[1] - pair[0]).as_secs_f64();
            assert!((9.45..=10.55).contains(&gap), "{gap}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_at_once_stay_within_the_concurrency_and_all_get_their_turn() {
    let scripts: Vec<(u16, Vec<Step>)> = (1..=1000).map(|port| (port, vec![(50 * MS, OK)])).collect();
    let scripts: Vec<_> = scripts.iter().map(|(port, script)| (*port, script.as_slice())).collect();
    let w = World::new(Settings { concurrency: 40, ..settings() }, &scripts);
    w.registry.apply_all((1..=1000).map(|port| register(draft(port))).collect(), Now::read()).unwrap();
    let began = now();
    for port in 1..=1000 {
        w.until(port, 1).await;
    }
    // 1,000 probes of 50 ms by 30 at a time, three quarters of the concurrency.
    assert!(now() - began < 3 * Duration::from_secs(1), "{:?}", now() - began);
    let most = w.probe.seen.lock().unwrap().most;
    assert!((30..=40).contains(&most), "{most} at once");
    let before = w.probe.seen.lock().unwrap().probes.len();
    sleep(2 * INTERVAL).await;
    // Apart by now: in no 100 ms window more than a few per cent of them.
    let mut at: Vec<Instant> =
        w.probe.seen.lock().unwrap().probes[before..].iter().map(|(_, at)| *at).collect();
    at.sort();
    let densest = at.windows(60).map(|w| w[59] - w[0]).min().unwrap();
    assert!(densest > 100 * MS, "60 probes within {densest:?}");
}

#[tokio::test(start_paused = true)]
async fn new_ones_that_never_answer_do_not_hold_up_the_known() {
    let hang: &[Step] = &[(Duration::from_secs(3600), BAD)];
    let scripts: Vec<_> = (100..200).map(|port| (port, hang)).collect();
    let w = World::new(Settings { concurrency: 8, ..settings() }, &scripts);
    w.apply(register(draft(1)));
    w.until(1, 1).await;
    w.registry.apply_all((100..200).map(|port| register(draft(port))).collect(), Now::read()).unwrap();
    w.until(1, 5).await;
    assert_eq!(w.counters.read().in_flight, 5);
    assert_eq!(w.counters.read().waiting_first, 95);
    // Nor others that are new.
    let newcomer = Draft { name: Some("b".into()), id: Some("i2".into()), ..draft(2) };
    let came = now();
    w.apply(register(newcomer));
    while w.probed(2).is_empty() {
        sleep(MS).await;
    }
    assert!(now() - came <= 20 * MS);
}

#[tokio::test(start_paused = true)]
async fn known_ones_that_never_answer_do_not_hold_up_those_that_do() {
    // Two hundred of the same service that use their time up, which takes a hundred places; there are sixteen.
    let hang: &[Step] = &[(MS, OK), (Duration::from_secs(5), BAD)];
    let scripts: Vec<_> = (100..300).map(|port| (port, hang)).collect();
    let w = World::new(Settings { concurrency: 16, ..settings() }, &scripts);
    let all = (1..=20).chain(100..300).map(|port| register(draft(port)));
    w.registry.apply_all(all.collect(), Now::read()).unwrap();
    // Each is found out once, by a probe in the routine lane.
    for port in 100..300 {
        w.until(port, 2).await;
    }
    let since = now();
    sleep(10 * INTERVAL).await;
    let later = |port| w.probed(port).into_iter().filter(|at| *at > since).collect::<Vec<_>>();
    for port in 1..=20 {
        let gaps: Vec<_> = later(port).windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.len() >= 8, "{port}: {gaps:?}");
        assert!(gaps.iter().all(|gap| *gap < INTERVAL.mul_f64(1.06)), "{port}: {gaps:?}");
    }
    // Those that don't answer share what one service may have of their lane: six places, five seconds each.
    let silent: usize = (100..300).map(|port| later(port).len()).sum();
    assert!((115..=125).contains(&silent), "{silent}");
    assert_eq!(w.status(1).0, Status::Healthy);
    assert_eq!(w.status(100).0, Status::Unhealthy);
}

#[tokio::test(start_paused = true)]
async fn one_that_answers_again_is_a_known_one_again() {
    let silent = (Duration::from_secs(5), BAD);
    let w =
        World::new(Settings { concurrency: 16, ..settings() }, &[(1, &[(MS, OK), silent, silent, (MS, OK)])]);
    w.apply(register(draft(1)));
    w.until(1, 3).await;
    assert_eq!(w.status(1).0, Status::Unhealthy);
    w.until(1, 8).await;
    assert_eq!(w.status(1).0, Status::Healthy);
    let at = w.probed(1);
    for pair in at[1..].windows(2) {
        let gap = (pair[1] - pair[0]).as_secs_f64();
        assert!((9.45..=10.55).contains(&gap), "{gap}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_a_service_that_does_not_answer_lets_the_others_by() {
    let hang: &[Step] = &[(Duration::from_secs(5), BAD)];
    let scripts: Vec<_> = (1000..2000).map(|port| (port, hang)).collect();
    let registry = Arc::new(Registry::new(registry::Settings::default(), Arc::new(Journal::default())));
    let answering = (1..=500).map(|port| Draft { name: Some("b".into()), ..draft(port) });
    let all = (1000..2000).map(draft).chain(answering).map(register);
    registry.apply_all(all.collect(), Now::read()).unwrap();
    let w = World::of(registry, Settings { concurrency: 64, ..settings() }, &scripts);
    let began = now();
    while w.registry.snapshot().counts.healthy < 500 {
        sleep(MS).await;
    }
    // Of 48 places a service gets 36: twelve are always left, for 500 probes of a millisecond.
    assert!(now() - began < Duration::from_secs(1), "{:?}", now() - began);
}

#[tokio::test(start_paused = true)]
async fn a_result_for_a_replaced_incarnation_never_arrives_and_the_new_one_is_probed_at_once() {
    let w = World::new(settings(), &[(1, &[(Duration::from_secs(4), BAD), (MS, OK)])]);
    w.apply(register(draft(1)));
    while w.probed(1).is_empty() {
        sleep(MS).await;
    }
    let replaced = now();
    w.apply(register(Draft { version: Some("2.0.0".into()), ..draft(1) }));
    w.until(1, 1).await;
    assert!(w.probed(1)[1] - replaced <= 20 * MS);
    assert_eq!(w.status(1).0, Status::Healthy);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(w.counters.read().failed_total, 0, "the old one's answer is nobody's");
}

#[tokio::test(start_paused = true)]
async fn the_same_process_registering_again_is_not_probed_anew() {
    let w = World::new(settings(), &[]);
    w.apply(register(draft(1)));
    w.until(1, 1).await;
    w.apply(register(Draft { tags: vec!["new".into()], ..draft(1) }));
    sleep(20 * MS).await;
    assert_eq!(w.probed(1).len(), 1);
    assert_eq!(w.counters.read().scheduled, 1);
}

#[tokio::test(start_paused = true)]
async fn a_corrected_check_is_made_at_once_and_the_old_one_counts_no_more() {
    let path = |path: &str| {
        let check = CheckDraft { path: Some(path.into()), ..draft(1).check.unwrap() };
        register(Draft { check: Some(check), ..draft(1) })
    };
    let slow = (500 * MS, Some(Status::Unhealthy));
    let w = World::new(settings(), &[(1, &[(MS, Some(Status::Healthy)), slow, (MS, Some(Status::Healthy))])]);
    w.apply(path("/one"));
    w.until(1, 1).await;
    w.apply(path("/two"));
    sleep(100 * MS).await;
    assert_eq!(w.probed(1).len(), 2, "not an interval later");
    let answer = w.ask(1).await;
    w.apply(path("/three"));
    sleep(MS).await;
    assert_eq!(w.probed(1).len(), 2, "one at a time");
    let report = answer.await.unwrap().unwrap();
    assert_eq!(report.verdict, Status::Healthy);
    assert_eq!(w.probed(1).len(), 3);
    assert_eq!(w.counters.read().failed_total, 0);
}

#[tokio::test(start_paused = true)]
async fn removal_calls_the_probe_off_and_tells_those_who_wait() {
    let w = World::new(settings(), &[(1, &[(Duration::from_secs(9), BAD)])]);
    w.apply(register(draft(1)));
    let answer = w.ask(1).await;
    while w.probed(1).is_empty() {
        sleep(MS).await;
    }
    let (name, id) = ids(1);
    w.apply(Command::Deregister { name, id, actor: Actor::new("test"), cause: Cause::Gone });
    assert_eq!(answer.await.unwrap().unwrap_err(), Refused::NotFound);
    sleep(MS).await;
    assert_eq!(w.probe.seen.lock().unwrap().running, 0, "called off");
    let stats = w.counters.read();
    assert_eq!((stats.scheduled, stats.in_flight, stats.checks_total), (0, 0, 0));
    sleep(2 * INTERVAL).await;
    assert_eq!(w.probed(1).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn passive_kinds_are_never_probed_and_becoming_active_starts_at_once() {
    let w = World::new(settings(), &[]);
    let mut passive = draft(1);
    passive.check.as_mut().unwrap().kind = Some("none".into());
    w.apply(register(passive.clone()));
    sleep(2 * INTERVAL).await;
    assert_eq!(w.probed(1).len(), 0);
    let refused = w.ask(1).await.await.unwrap().unwrap_err();
    assert_eq!(refused, Refused::Passive(ellie_core::model::CheckKind::None));
    w.apply(register(draft(1)));
    w.until(1, 1).await;
    assert_eq!(w.status(1).0, Status::Healthy);
    w.apply(register(passive));
    sleep(2 * INTERVAL).await;
    assert_eq!((w.probed(1).len(), w.counters.read().scheduled), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn asking_probes_now_and_a_probe_that_had_begun_before_is_not_the_answer() {
    let w = World::new(settings(), &[(1, &[(MS, OK), (Duration::from_secs(2), BAD), (MS, OK)])]);
    w.apply(register(draft(1)));
    w.until(1, 1).await;
    let first = w.ask(1).await;
    while w.probed(1).len() < 2 {
        sleep(MS).await;
    }
    let second = w.ask(1).await;
    assert_eq!(first.await.unwrap().unwrap().output, "probe 1");
    assert_eq!(second.await.unwrap().unwrap().output, "probe 2");
    assert_eq!(w.ask(9).await.await.unwrap().unwrap_err(), Refused::NotFound);
}

#[tokio::test(start_paused = true)]
async fn what_ellie_lacks_changes_no_status_and_gives_kept_connections_back() {
    let w = World::new(settings(), &[(1, &[(MS, OK), (MS, None), (MS, None), (MS, BAD)])]);
    w.apply(register(draft(1)));
    w.apply(register(draft(2)));
    w.until(1, 1).await;
    w.until(2, 1).await;
    sleep(20 * MS).await;
    assert_eq!(w.counters.read().kept_connections, 2);
    assert_eq!(w.ask(1).await.await.unwrap().unwrap_err(), Refused::Inconclusive("no files left".into()));
    sleep(MS).await;
    assert!(w.counters.read().kept_connections <= 1);
    assert_eq!(w.status(1).0, Status::Healthy);
    let at = now();
    w.until(1, 2).await;
    assert!(now() - at < Duration::from_secs(12), "it is repeated soon");
    assert_eq!(w.status(1).0, Status::Healthy, "one failure");
    assert_eq!(w.counters.read().inconclusive_total, 2);
}

#[tokio::test(start_paused = true)]
async fn a_shorter_interval_holds_from_the_last_probe_on_and_in_no_burst() {
    let w = World::new(Settings { interval: Duration::from_secs(3600), ..settings() }, &[]);
    w.registry.apply_all((1..=100).map(|port| register(draft(port))).collect(), Now::read()).unwrap();
    for port in 1..=100 {
        w.until(port, 1).await;
    }
    sleep(Duration::from_secs(3700)).await;
    let before = w.probe.seen.lock().unwrap().probes.len();
    let changed = now();
    w.settings.send_replace(settings());
    sleep(INTERVAL + 600 * MS).await;
    let after: Vec<Instant> =
        w.probe.seen.lock().unwrap().probes[before..].iter().map(|(_, at)| *at).collect();
    assert!(after.len() >= 100, "{}", after.len());
    assert!(
        after.iter().filter(|at| **at - changed < INTERVAL / 10).count() < 40,
        "spread over the interval"
    );
}

#[tokio::test(start_paused = true)]
async fn a_smaller_concurrency_holds_at_once() {
    let slow: &[Step] = &[(Duration::from_secs(1), OK)];
    let scripts: Vec<_> = (1..=100).map(|port| (port, slow)).collect();
    let w = World::new(settings(), &scripts);
    w.settings.send_replace(Settings { concurrency: 4, ..settings() });
    w.registry.apply_all((1..=100).map(|port| register(draft(port))).collect(), Now::read()).unwrap();
    sleep(Duration::from_secs(5)).await;
    assert!(w.probe.seen.lock().unwrap().most <= 4);
}

#[tokio::test(start_paused = true)]
async fn restored_instances_go_before_those_that_are_known() {
    let registry = Arc::new(Registry::new(registry::Settings::default(), Arc::new(Journal::default())));
    registry.apply_all((1..=3).map(|port| register(draft(port))).collect(), Now::read()).unwrap();
    let (name, id) = ids(1);
    let known = registry.snapshot().instance("a", "i1").unwrap().clone();
    let answer = Answer { verdict: Status::Healthy, output: "before".into(), code: None, body: None };
    let report = report(answer, MS, Now::read());
    let observed =
        Command::Observe { name, id, incarnation: known.incarnation, report, status: Status::Healthy };
    registry.apply(observed, Now::read()).unwrap();
    let w = World::of(registry, settings(), &[(1, &[(MS, BAD)])]);
    w.until(2, 1).await;
    w.until(3, 1).await;
    assert_eq!(w.probed(1).len(), 0);
    w.until(1, 2).await;
    assert_eq!(w.status(1).0, Status::Healthy, "its status is what one failure is held against");
}

#[tokio::test(start_paused = true)]
async fn more_changes_than_the_registry_remembers_are_caught_up_with() {
    let w = World::new(settings(), &[]);
    w.apply(register(draft(1)));
    w.until(1, 1).await;
    let mut commands: Vec<Command> = (2..=20_000).map(|port| register(draft(port))).collect();
    let (name, id) = ids(1);
    commands.push(Command::Deregister { name, id, actor: Actor::new("test"), cause: Cause::Gone });
    w.registry.apply_all(commands, Now::read()).unwrap();
    sleep(MS).await;
    assert_eq!(w.counters.read().scheduled, 19_999);
    sleep(INTERVAL * 3).await;
    assert_eq!(w.registry.snapshot().counts.healthy, 19_999);
    assert_eq!(w.probed(1).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn stopping_drops_what_is_in_flight_without_a_verdict() {
    let mut w = World::new(settings(), &[(1, &[(Duration::from_secs(9), BAD)])]);
    w.apply(register(draft(1)));
    let answer = w.ask(1).await;
    while w.probed(1).is_empty() {
        sleep(MS).await;
    }
    w.stop.cancel();
    (&mut w.running).await.unwrap();
    assert!(answer.await.is_err(), "the question ends with the run");
    assert_eq!(w.probe.seen.lock().unwrap().running, 0);
    assert_eq!(w.status(1).1, "awaiting first check");
}
