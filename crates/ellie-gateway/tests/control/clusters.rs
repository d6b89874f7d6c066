//! Who is chosen, and what survives a change.

use super::{World, names, secs};
use ellie_core::Status;
use ellie_core::discovery::Level;
use ellie_core::journal::Kind;
use ellie_core::registry::Operation;
use ellie_gateway::cluster::{Outcome, Refusal, Settings};
use ellie_policy::balance::Strategy;
use ellie_policy::{breaker, outlier};
use std::sync::Arc;
use std::time::Duration;

#[test]
fn degraded_instances_join_when_too_few_are_healthy_and_others_never() {
    let mut w = World::new(Strategy::RoundRobin);
    w.many("s", 4);
    w.status("s", "i0", Status::Degraded);
    let c = w.cluster("s");
    assert_eq!((c.level(), names(&w.spread(&c, 12))), (Level::Healthy, vec!["i1", "i2", "i3"]));
    w.status("s", "i1", Status::Unhealthy);
    w.status("s", "i2", Status::Unhealthy);
    let c = w.cluster("s");
    assert_eq!((c.level(), names(&w.spread(&c, 12))), (Level::Degraded, vec!["i0", "i3"]));
    w.operate("s", "i3", Operation::Drain);
    w.operate("s", "i0", Operation::Maintenance(true));
    let now = w.at();
    let refusal = w.cluster("s").admit(now, &mut w.rng, &[]).unwrap_err();
    let Refusal::NoInstance { detail, .. } = refusal else { panic!("{refusal}") };
    assert_eq!(detail, "4 registered: 2 unhealthy, 1 draining, 1 in maintenance");
}

#[test]
fn in_panic_traffic_goes_to_all_that_no_operator_withdrew() {
    let mut w =
        World::with(Settings { strategy: Strategy::Random, panic_threshold: 0.5, ..Settings::default() });
    w.many("s", 4);
    for id in ["i0", "i1"] {
        w.status("s", id, Status::Unhealthy);
    }
    assert_eq!(w.cluster("s").level(), Level::Healthy);
    w.status("s", "i2", Status::Unhealthy);
    w.operate("s", "i0", Operation::Drain);
    let c = w.cluster("s");
    assert_eq!((c.level(), names(&w.spread(&c, 200))), (Level::Panic, vec!["i1", "i2", "i3"]));
}

#[test]
fn weights_hold_and_zero_gets_nothing() {
    let mut w = World::new(Strategy::WeightedRoundRobin);
    for (id, weight) in [("a", 1), ("b", 4), ("c", 0)] {
        w.add("s", id, |d| d.weight = Some(weight));
    }
    let c = w.cluster("s");
    let counts = w.spread(&c, 100);
    assert_eq!((counts["a"], counts["b"], counts.get("c")), (20, 80, None));
    w.operate("s", "c", Operation::Weight(Some(5)));
    let c = w.cluster("s");
    assert_eq!(w.spread(&c, 100)["c"], 50);
}

#[test]
fn tags_select_a_part_which_is_prepared_once() {
    let mut w = World::new(Strategy::RoundRobin);
    w.add("s", "a", |d| d.tags = vec!["x".into()]);
    w.add("s", "b", |d| d.tags = vec!["x".into(), "y".into()]);
    w.add("s", "c", |_| {});
    let c = w.cluster("s");
    let x = c.with_tags(&["x"], w.at());
    assert_eq!(names(&w.spread(&x, 8)), ["a", "b"]);
    let both = c.with_tags(&["y", "x", "y"], w.at());
    assert_eq!((both.tags(), names(&w.spread(&both, 8))), (&["x".to_owned(), "y".to_owned()][..], vec!["b"]));
    assert!(Arc::ptr_eq(&both, &c.with_tags(&["x", "y"], w.at())));
    assert!(Arc::ptr_eq(&c, &c.with_tags::<&str>(&[], w.at())));
    let none = c.with_tags(&["z"], w.at());
    let refusal = none.admit(w.at(), &mut w.rng, &[]).unwrap_err();
    assert!(refusal.to_string().ends_with("3 registered: 3 without the tags"), "{refusal}");
    // The parts share live state with the whole.
    let now = w.at();
    let attempt = both.admit(now, &mut w.rng, &[]).unwrap();
    assert_eq!(c.entries()[1].upstream.stats().in_flight, 1);
    drop(attempt);
    for i in 0..1000 {
        let _ = c.with_tags(&[format!("t{i}")], now);
    }
    assert!(!Arc::ptr_eq(&c.with_tags(&["t999"], now), &c.with_tags(&["t999"], now)), "bounded");
}

#[test]
fn a_change_of_one_service_leaves_the_others_as_they_are() {
    let w = World::new(Strategy::HealthBased);
    w.many("a", 3);
    w.many("b", 3);
    let (a, b) = (w.cluster("a"), w.cluster("b"));
    w.status("a", "i0", Status::Unhealthy);
    assert!(!Arc::ptr_eq(&a, &w.cluster("a")));
    assert!(Arc::ptr_eq(&b, &w.cluster("b")));
    let version = w.clusters.current().version;
    w.status("a", "i0", Status::Unhealthy);
    assert_eq!(w.clusters.update(w.at()).version, version, "nothing changed");
}

#[test]
fn no_reload_resets_a_breaker_a_score_or_a_request_in_flight() {
    let mut w = World::new(Strategy::HealthBased);
    w.many("s", 2);
    for _ in 0..3 {
        let attempt = w.admit("s");
        let now = w.advance(Duration::from_millis(20));
        attempt.finish(Outcome::Status(500), now);
    }
    let streaming = w.admit("s");
    let id = streaming.upstream().id.clone();
    let before = w.cluster("s");
    w.add("s", "new", |_| {});
    w.status("s", "i0", Status::Degraded);
    w.operate("s", "i1", Operation::Weight(Some(7)));
    w.clusters.set_strategy(Strategy::LeastConnections, Some("s"), "ann", w.now).unwrap();
    w.clusters
        .configure(Settings { panic_threshold: 0.1, ..Settings::clone(&w.clusters.settings()) }, w.now)
        .unwrap();
    let after = w.cluster("s");
    assert!(Arc::ptr_eq(before.breaker(), after.breaker()));
    assert_eq!(after.breaker().snapshot(w.at()).failures, 3);
    assert_eq!(after.strategy(), Strategy::LeastConnections);
    let entry = after.entries().iter().find(|e| e.upstream.id == id).unwrap();
    assert_eq!(entry.upstream.stats().in_flight, 1);
    let failures: u64 = after.entries().iter().map(|e| e.upstream.stats().failures).sum();
    assert_eq!((failures, after.totals(w.at()).classes[4]), (3, 3));
    let now = w.advance(secs(1));
    streaming.finish(Outcome::Status(200), now);
    assert_eq!(entry.upstream.stats().in_flight, 0, "finished on the table it began on");
    assert_eq!(entry.upstream.stats().successes, 1);
}

#[test]
fn another_address_is_another_incarnation_with_a_fresh_state() {
    let mut w = World::new(Strategy::RoundRobin);
    w.add("s", "a", |_| {});
    let old = w.admit("s");
    w.add("s", "a", |d| d.port = Some(9000));
    let c = w.cluster("s");
    let upstream = &c.entries()[0].upstream;
    assert_ne!(upstream.identity, old.upstream().identity);
    assert_eq!(
        (upstream.port, upstream.stats().in_flight, upstream.authority.as_str()),
        (9000, 0, "10.0.0.1:9000")
    );
    assert_eq!(old.upstream().stats().in_flight, 1);
    old.finish(Outcome::Status(200), w.at());
    // The same endpoint again is the same incarnation.
    w.add("s", "a", |d| {
        d.port = Some(9000);
        d.tags = vec!["new".into()];
    });
    assert!(Arc::ptr_eq(upstream, &w.cluster("s").entries()[0].upstream));
}

#[test]
fn a_service_that_is_gone_is_forgotten_when_nothing_is_in_flight() {
    let mut w = World::new(Strategy::RoundRobin);
    w.add("s", "a", |_| {});
    let attempt = w.admit("s");
    w.remove("s", "a");
    assert!(w.clusters.get("s", w.at()).is_none());
    w.clusters.update(w.at());
    assert!(w.clusters.breakers().get("s").is_some(), "a request still runs");
    attempt.finish(Outcome::Status(200), w.at());
    w.clusters.update(w.at());
    assert!(w.clusters.breakers().get("s").is_none());
}

#[test]
fn whoever_registers_finds_it_at_once() {
    let mut w = World::new(Strategy::HealthBased);
    let (name, _) = super::key("s", "a");
    let now = w.at();
    let refusal = w.clusters.pick(&name, &["x"; 0], now, &mut w.rng).unwrap_err();
    assert_eq!(refusal, Refusal::UnknownService { service: name.clone() });
    // Straight into the registry: nobody tells the clusters.
    let draft = ellie_core::model::Draft {
        name: Some("s".into()),
        host: Some("::1".into()),
        port: Some(1),
        check: Some(ellie_core::model::CheckDraft { kind: Some("none".into()), ..Default::default() }),
        ..Default::default()
    };
    let command = ellie_core::Command::Register {
        registration: Arc::new(draft.validate().unwrap()),
        source: ellie_core::Source::Api,
        actor: ellie_core::model::Actor::new("t"),
    };
    w.registry.apply(command, w.now).unwrap();
    let lease = w.clusters.pick(&name, &["x"; 0], now, &mut w.rng).unwrap();
    assert_eq!(lease.upstream().authority, "[::1]:1");
    assert!(lease.upstream().addr.is_some_and(|a| a.port() == 1));
    assert_eq!(lease.instance().unwrap().registration.host, "::1");
    lease.finish(Outcome::Reset, now);
    assert_eq!(w.cluster("s").breaker().snapshot(now).calls, 0, "the library guards its calls by name");
    assert_eq!(w.clusters.stats(now)[&name].instances[0].endpoint.failures, 1);
}

#[test]
fn strategies_are_switched_while_running_and_a_reload_keeps_what_was_switched() {
    let w = World::new(Strategy::HealthBased);
    w.many("a", 2);
    w.many("b", 2);
    w.clusters.set_strategy(Strategy::Random, Some("a"), "ann", w.now).unwrap();
    w.clusters.set_strategy(Strategy::RoundRobin, None, "ann", w.now).unwrap();
    let b = w.cluster("b");
    assert_eq!((w.cluster("a").strategy(), b.strategy()), (Strategy::Random, Strategy::RoundRobin));
    let reload = Settings { panic_threshold: 0.2, ..Settings::default() };
    w.clusters.configure(reload.clone(), w.now).unwrap();
    assert_eq!(w.clusters.strategy(None), Strategy::RoundRobin);
    w.clusters.configure(Settings { strategy: Strategy::Random, ..reload }, w.now).unwrap();
    assert_eq!(w.cluster("b").strategy(), Strategy::Random, "the file says something new");
    assert!(w.clusters.clear_strategy("a", "ann", w.now) && !w.clusters.clear_strategy("a", "ann", w.now));
    let events = w.events(Kind::StrategyChanged);
    assert_eq!(events.len(), 3);
    assert_eq!(events[0].entry.message, "the load balancing strategy of a was set to random by ann");
    assert_eq!((events[1].entry.service.as_deref(), events[0].entry.service.as_deref()), (None, Some("a")));
}

#[test]
fn outliers_are_ejected_under_other_strategies_and_never_under_health_based() {
    for strategy in Strategy::ALL {
        let mut w = World::with(Settings {
            strategy,
            // Out of the way: the two are independent.
            breaker: breaker::Config { failure_threshold: 1000, ..breaker::Config::default() },
            ..Settings::default()
        });
        w.many("s", 4);
        let c = w.cluster("s");
        let mut failed = 0;
        for _ in 0..200 {
            let attempt = w.admit("s");
            let bad = attempt.upstream().id.as_str() == "i0";
            failed += usize::from(bad);
            attempt.finish(Outcome::Status(if bad { 503 } else { 200 }), w.at());
        }
        let events = w.events(Kind::InstanceEjected);
        if strategy == Strategy::HealthBased {
            assert!(events.is_empty());
            continue;
        }
        assert_eq!((failed, events.len()), (5, 1), "{strategy}");
        assert_eq!(events[0].entry.instance.as_deref(), Some("i0"));
        assert_eq!(names(&w.spread(&c, 100)), ["i1", "i2", "i3"], "{strategy}");
        w.advance(secs(31));
        assert_eq!(w.spread(&c, 400).len(), 4, "{strategy}: back after thirty seconds");
    }
}

#[test]
fn an_answer_of_500_is_no_gateway_failure_and_at_most_half_are_ejected() {
    let mut w = World::with(Settings {
        strategy: Strategy::RoundRobin,
        breaker: breaker::Config { failure_threshold: 10_000, ..breaker::Config::default() },
        outlier: outlier::Config::default(),
        ..Settings::default()
    });
    w.many("s", 4);
    for outcome in [Outcome::Status(500), Outcome::Timeout] {
        for _ in 0..100 {
            let attempt = w.admit("s");
            attempt.finish(outcome, w.at());
        }
        let expected = if outcome == Outcome::Timeout { 2 } else { 0 };
        assert_eq!(w.events(Kind::InstanceEjected).len(), expected, "{outcome}");
    }
}

#[test]
fn an_instance_that_joins_a_busy_service_starts_slowly_and_the_first_ones_do_not() {
    let mut w = World::new(Strategy::HealthBased);
    w.many("s", 2);
    let ramp = |w: &World, id: &str| {
        let e = w.cluster("s").explain(w.at());
        e.candidates
            .iter()
            .find(|c| c.instance.registration.id.as_str() == id)
            .unwrap()
            .score
            .clone()
            .unwrap()
            .ramp
    };
    assert_eq!((ramp(&w, "i0"), ramp(&w, "i1")), (1.0, 1.0));
    w.admit("s").finish(Outcome::Status(200), w.at());
    w.add("s", "late", |_| {});
    assert!(ramp(&w, "late") < 0.2 && ramp(&w, "i0") > 0.99);
    w.advance(secs(11));
    assert!(ramp(&w, "late") > 0.99);
    w.status("s", "i0", Status::Unhealthy);
    w.advance(secs(2));
    w.status("s", "i0", Status::Healthy);
    assert!(ramp(&w, "i0") > 0.99, "a short absence doesn't make it cold");
    w.status("s", "i0", Status::Unhealthy);
    w.advance(secs(60));
    w.status("s", "i0", Status::Healthy);
    assert!(ramp(&w, "i0") < 0.2);
}
