//! Breakers, retries, and attempts that end in every way.

use super::{World, secs};
use ellie_core::journal::Kind;
use ellie_gateway::cluster::{Full, NotFound, Outcome, Refusal, Settings};
use ellie_policy::balance::Strategy;
use ellie_policy::breaker::{self, Reason, State};
use ellie_policy::retry_budget;
use std::time::Duration;

fn refused(w: &mut World) -> Refusal {
    let now = w.at();
    w.cluster("s").admit(now, &mut w.rng, &[]).unwrap_err()
}

#[test]
fn the_breaker_opens_and_recovers_and_says_so_once_each() {
    let mut w = World::new(Strategy::RoundRobin);
    w.add("s", "a", |_| {});
    for _ in 0..5 {
        w.admit("s").finish(Outcome::Status(500), w.at());
    }
    let Refusal::BreakerOpen { reason, retry_after, .. } = refused(&mut w) else { panic!() };
    assert_eq!((reason, retry_after), (Reason::Open, Some(secs(60))));
    w.advance(secs(60));
    let probes: Vec<_> = (0..3).map(|_| w.admit("s")).collect();
    assert!(probes.iter().all(ellie_gateway::cluster::Attempt::is_probe));
    let Refusal::BreakerOpen { reason, .. } = refused(&mut w) else { panic!() };
    assert_eq!(reason, Reason::HalfOpenFull);
    for probe in probes {
        probe.finish(Outcome::Status(200), w.at());
    }
    assert_eq!(w.cluster("s").breaker().state(w.at()), State::Closed);
    let states: Vec<String> =
        w.events(Kind::BreakerChanged).iter().map(|e| e.entry.message.clone()).collect();
    assert_eq!(states.len(), 3, "{states:?}");
    assert!(states[0].contains("from closed to open") && states[2].contains("from half_open to closed"));
}

#[test]
fn few_failures_among_many_calls_do_not_open_it() {
    let mut w = World::new(Strategy::RoundRobin);
    w.add("s", "a", |_| {});
    for i in 0..1000 {
        let status = if i % 20 == 0 { 500 } else { 200 };
        w.admit("s").finish(Outcome::Status(status), w.at());
    }
    assert_eq!(w.cluster("s").breaker().state(w.at()), State::Closed, "5 % is under minimumFailureRate");
    let mut w = World::with(Settings {
        breaker: breaker::Config { minimum_failure_rate: 0.0, ..breaker::Config::default() },
        ..Settings::default()
    });
    w.add("s", "a", |_| {});
    for i in 0..81 {
        let status = if i % 20 == 0 { 500 } else { 200 };
        w.admit("s").finish(Outcome::Status(status), w.at());
    }
    assert_eq!(w.cluster("s").breaker().state(w.at()), State::Open, "0 gives the bare count");
}

#[test]
fn one_dead_instance_whose_requests_are_retried_does_not_open_the_services_breaker() {
    for strategy in Strategy::ALL {
        let mut w = World::new(strategy);
        w.many("s", 3);
        for _ in 0..100 {
            let now = w.advance(Duration::from_millis(50));
            w.cluster("s").note_request(now);
            let mut attempt = w.admit("s");
            if attempt.upstream().id.as_str() == "i1" {
                let tried = [attempt.upstream().identity];
                attempt = attempt.retry(Outcome::ConnectFailed, now, &mut w.rng, &tried).unwrap();
                assert_ne!(attempt.upstream().identity, tried[0]);
                assert_eq!(attempt.before().len(), 1);
            }
            attempt.finish(Outcome::Status(200), now);
        }
        let snapshot = w.cluster("s").breaker().snapshot(w.at());
        assert_eq!(
            (snapshot.state, snapshot.failures, snapshot.calls),
            (State::Closed, 0, 100),
            "{strategy}"
        );
        let c = w.cluster("s");
        assert!(c.entries()[1].upstream.stats().failures >= 1);
        assert_eq!(c.totals(w.at()).classes[1], 100);
        assert_eq!(c.totals(w.at()).retries, c.entries()[1].upstream.stats().failures);
    }
}

#[test]
fn a_request_that_fails_everywhere_fails_once() {
    let mut w = World::new(Strategy::HealthBased);
    w.many("s", 2);
    let now = w.at();
    let first = w.admit("s");
    let mut tried = vec![first.upstream().identity];
    let second = first.retry(Outcome::ConnectFailed, now, &mut w.rng, &tried).unwrap();
    tried.push(second.upstream().identity);
    let refusal = second.retry(Outcome::Timeout, now, &mut w.rng, &tried).unwrap_err();
    assert!(matches!(refusal, Refusal::AllTried { .. }));
    let snapshot = w.cluster("s").breaker().snapshot(now);
    assert_eq!((snapshot.failures, snapshot.calls), (1, 1));
    for e in w.cluster("s").entries() {
        let s = e.upstream.stats();
        assert_eq!((s.in_flight, s.failures + s.timeouts), (0, 1));
    }
    let again = w.cluster("s").admit(now, &mut w.rng, &tried).unwrap_err();
    assert!(matches!(again, Refusal::AllTried { .. }));
    assert_eq!(w.cluster("s").breaker().snapshot(now).calls, 1, "what went nowhere is no call");
}

#[test]
fn retries_stop_when_the_budget_is_spent() {
    let budget = retry_budget::Config { ratio: 0.2, floor_per_second: 0.0, window: secs(10) };
    let mut w = World::with(Settings { retry_budget: budget, ..Settings::default() });
    w.many("s", 3);
    let now = w.at();
    let mut retried = 0;
    for _ in 0..50 {
        w.cluster("s").note_request(now);
    }
    for _ in 0..50 {
        let attempt = w.cluster("s").lease(now, &mut w.rng, &[]).unwrap();
        let tried = [attempt.upstream().identity];
        match attempt.retry(Outcome::Reset, now, &mut w.rng, &tried) {
            Ok(_) => retried += 1,
            Err(refusal) => assert!(matches!(refusal, Refusal::BudgetSpent { .. })),
        }
    }
    assert_eq!(retried, 10);
}

#[test]
fn what_is_dropped_leaves_nothing_behind() {
    let mut w = World::new(Strategy::RoundRobin);
    w.add("s", "a", |_| {});
    for _ in 0..100 {
        drop(w.admit("s"));
    }
    let c = w.cluster("s");
    let stats = c.entries()[0].upstream.stats();
    assert_eq!((stats.in_flight, stats.cancelled), (0, 100));
    assert_eq!(c.breaker().snapshot(w.at()).calls, 0);
    for _ in 0..5 {
        w.admit("s").finish(Outcome::Reset, w.at());
    }
    w.advance(secs(60));
    for _ in 0..50 {
        let probe = w.admit("s");
        assert!(probe.is_probe(), "a dropped probe gives its place back");
    }
}

#[test]
fn the_verdict_is_given_at_the_head_and_a_body_that_breaks_is_one_failure_more() {
    let mut w = World::new(Strategy::LeastConnections);
    w.add("s", "a", |_| {});
    let c = w.cluster("s");
    let mut attempt = w.admit("s");
    let now = w.advance(Duration::from_millis(5));
    attempt.answered(Outcome::Status(200), now);
    let stats = c.entries()[0].upstream.stats();
    assert_eq!((stats.in_flight, stats.waiting, stats.successes), (1, 0, 1));
    let now = w.advance(secs(3600));
    attempt.finish(Outcome::Status(200), now);
    assert_eq!(c.entries()[0].upstream.stats().successes, 1);
    let took = c.totals(now).response_time.unwrap();
    assert_eq!(took, Duration::from_millis(5), "the body's hour is not the service's latency");
    let mut attempt = w.admit("s");
    attempt.answered(Outcome::Status(200), now);
    attempt.finish(Outcome::Reset, now);
    let snapshot = c.breaker().snapshot(now);
    assert_eq!((snapshot.successes, snapshot.failures), (1, 1));
    assert_eq!(c.entries()[0].upstream.stats().in_flight, 0);
    // A failing answer that was passed on is one failure, not two.
    let mut attempt = w.admit("s");
    attempt.answered(Outcome::Status(503), now);
    attempt.finish(Outcome::Status(503), now);
    assert_eq!(c.breaker().snapshot(now).failures, 2);
    // Refusals of the service for its own reasons say nothing.
    w.admit("s").finish(Outcome::Status(429), now);
    assert_eq!(c.breaker().snapshot(now).failures, 2);
}

#[test]
fn operators_force_and_reset_with_their_names() {
    let mut w = World::new(Strategy::RoundRobin);
    w.add("s", "a", |_| {});
    let (clusters, now) = (w.clusters.clone(), w.now);
    let breakers = clusters.breakers();
    breakers.force_open("s", Some(secs(5)), "ann", Some("deploy"), now).unwrap();
    let Refusal::BreakerOpen { reason, retry_after, .. } = refused(&mut w) else { panic!() };
    assert_eq!((reason, retry_after), (Reason::ForcedOpen, Some(secs(5))));
    breakers.reset("s", "ann", None, now).unwrap();
    drop(w.admit("s"));
    breakers.force_close("s", None, "ann", None, now).unwrap();
    let messages: Vec<String> =
        w.events(Kind::BreakerChanged).iter().map(|e| e.entry.message.clone()).collect();
    assert_eq!(
        messages,
        [
            "the circuit breaker s was forced open by ann for 5 s: deploy",
            "the circuit breaker s was reset by ann",
            "the circuit breaker s was forced closed by ann"
        ]
    );
    let missing = breakers.reset("nope", "ann", None, now).unwrap_err();
    assert_eq!(missing, NotFound("nope".into()));
}

#[test]
fn breakers_by_name_are_bounded_and_those_of_services_are_not_among_them() {
    let w = World::with(Settings { max_breakers: 3, ..Settings::default() });
    w.many("s", 1);
    w.many("t", 1);
    let breakers = w.clusters.breakers();
    let held: Vec<_> = (0..3).map(|i| breakers.get_or_create(&format!("n{i}"), w.at()).unwrap()).collect();
    assert_eq!(breakers.get_or_create("n3", w.at()).unwrap_err(), Full { limit: 3 });
    assert!(breakers.get_or_create("s", w.at()).is_ok());
    drop(held);
    let one = breakers.get_or_create("n3", w.at()).unwrap();
    one.record(one.try_acquire(w.at()).unwrap(), breaker::Outcome::Failure, w.at());
    drop(one);
    for i in 10..100 {
        breakers.get_or_create(&format!("n{i}"), w.at()).unwrap();
    }
    assert_eq!(breakers.list().len(), 5);
    assert!(breakers.get("n3").is_some(), "one with something to remember stays");
    // A name that becomes a service no longer counts.
    breakers.get_or_create("u", w.at()).unwrap();
    w.many("u", 1);
    assert!(breakers.get_or_create("v", w.at()).is_ok() && breakers.get("n3").is_some());
}

#[test]
fn settings_reach_breakers_that_have_none_of_their_own() {
    let mut w = World::new(Strategy::RoundRobin);
    w.many("s", 1);
    w.many("t", 1);
    let own = breaker::Config { failure_threshold: 9, ..breaker::Config::default() };
    w.clusters.breakers().configure("t", own.clone(), w.at()).unwrap();
    let all = breaker::Config { failure_threshold: 2, ..breaker::Config::default() };
    let settings = Settings { breaker: all.clone(), ..Settings::clone(&w.clusters.settings()) };
    w.clusters.configure(settings, w.now).unwrap();
    assert_eq!((w.cluster("s").breaker().config(), w.cluster("t").breaker().config()), (all, own));
    for _ in 0..2 {
        w.admit("s").finish(Outcome::Timeout, w.at());
    }
    assert!(matches!(refused(&mut w), Refusal::BreakerOpen { .. }));
    let bad = Settings { panic_threshold: 2.0, max_breakers: 0, ..Settings::default() };
    let faults = w.clusters.configure(bad, w.now).unwrap_err();
    assert_eq!(
        faults.iter().map(|f| f.field.as_str()).collect::<Vec<_>>(),
        ["panic_threshold", "max_breakers"]
    );
}
