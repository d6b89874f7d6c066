//! The registry as its users see it: what a command changes, what it refuses, whom it wakes.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use ellie_core::discovery::{Level, Standing, select};
use ellie_core::model::{Actor, CheckDraft, Draft, Source, Status};
use ellie_core::registry::{ChangeKind, Operation, Rejected, Settings};
use ellie_core::{Command, Registry, ServiceName};

fn checked(name: &str, id: &str) -> Command {
    register(Draft { health_endpoint: Some("/health".into()), ..draft(name, id) })
}

fn with_statuses(statuses: &[Status]) -> Registry {
    let clock = Clock::new();
    let r = registry(Settings::default());
    for (i, status) in statuses.iter().enumerate() {
        let id = format!("i{i}");
        r.apply(checked("api", &id), clock.0).unwrap();
        r.apply(observe(&r, "api", &id, *status), clock.0).unwrap();
    }
    r
}

#[test]
fn a_new_instance_waits_for_its_first_check() {
    let clock = Clock::new();
    let r = registry(Settings::default());
    let change = r.apply(checked("api", "a"), clock.0).unwrap().unwrap();
    assert_eq!((change.index, change.kind), (1, ChangeKind::Registered));
    let i = r.snapshot().instance("api", "a").unwrap().clone();
    assert_eq!((i.status, &*i.reason), (Status::Unhealthy, "awaiting first check"));
    let none = CheckDraft { kind: Some("none".into()), ..CheckDraft::default() };
    r.apply(register(Draft { check: Some(none), ..draft("api", "b") }), clock.0).unwrap();
    assert_eq!(r.snapshot().instance("api", "b").unwrap().status, Status::Healthy);
}

#[test]
fn replacing_the_same_endpoint_keeps_what_is_known_and_another_endpoint_starts_anew() {
    let clock = Clock::new();
    let r = registry(Settings::default());
    r.apply(checked("api", "a"), clock.0).unwrap();
    r.apply(observe(&r, "api", "a", Status::Healthy), clock.0).unwrap();
    let first = r.snapshot().instance("api", "a").unwrap().clone();
    let again = r.apply(checked("api", "a"), clock.0).unwrap().unwrap();
    assert_eq!(again.kind, ChangeKind::Replaced);
    assert_eq!((again.instance.status, again.instance.incarnation), (Status::Healthy, first.incarnation));
    let moved = Draft { port: Some(81), health_endpoint: Some("/health".into()), ..draft("api", "a") };
    let moved = r.apply(register(moved), clock.0).unwrap().unwrap();
    assert_eq!(moved.instance.status, Status::Unhealthy);
    assert_ne!(moved.instance.incarnation, first.incarnation);
    assert_eq!(moved.instance.created_index, first.created_index);
    let stale = observe_incarnation("api", "a", first.incarnation, Status::Healthy);
    assert!(
        r.apply(stale, clock.0).unwrap().is_none(),
        "a probe of the old endpoint says nothing of the new one"
    );
}

#[test]
fn a_repeated_verdict_is_recorded_and_wakes_nobody() {
    let clock = Clock::new();
    let r = registry(Settings::default());
    r.apply(checked("api", "a"), clock.0).unwrap();
    r.apply(observe(&r, "api", "a", Status::Healthy), clock.0).unwrap();
    let index = r.snapshot().index;
    let mut watch = r.watch();
    watch.borrow_and_update();
    for _ in 0..3 {
        assert!(r.apply(observe(&r, "api", "a", Status::Healthy), clock.0).unwrap().is_none());
    }
    assert_eq!(r.snapshot().index, index);
    assert!(!watch.has_changed().unwrap());
    assert_eq!(r.snapshot().instance("api", "a").unwrap().history.checks(), 4);
}

#[test]
fn the_last_ten_transitions_are_kept() {
    let clock = Clock::new();
    let r = registry(Settings::default());
    r.apply(checked("api", "a"), clock.0).unwrap();
    for n in 0..15 {
        let status = if n % 2 == 0 { Status::Healthy } else { Status::Unhealthy };
        r.apply(observe(&r, "api", "a", status), clock.0).unwrap();
    }
    let transitions = r.snapshot().instance("api", "a").unwrap().history.transitions();
    assert_eq!(transitions.len(), 10);
    assert_eq!((transitions[9].from, transitions[9].to), (Status::Unhealthy, Status::Healthy));
    assert_eq!(transitions[9].reason, "probe says healthy");
}

#[test]
fn a_batch_is_all_or_nothing() {
    let clock = Clock::new();
    let r = registry(Settings::default());
    r.apply(checked("api", "a"), clock.0).unwrap();
    let before = r.snapshot();
    let journal = r.journal().last_id();
    let batch = vec![checked("api", "b"), leased("web", "w", 1000), deregister("api", "nobody")];
    assert!(matches!(r.apply_all(batch, clock.0), Err(Rejected::NotFound { .. })));
    assert_eq!((r.snapshot().index, r.snapshot().counts.total()), (before.index, 1));
    assert_eq!(r.journal().last_id(), journal);
    assert_eq!(r.next_deadline(), Some(clock.0.instant + secs(24 * 3600)), "only the failing check of `a`");
    let changes = r.apply_all(vec![checked("api", "b"), deregister("api", "a")], clock.0).unwrap();
    assert_eq!(changes.iter().map(|c| c.index).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn cycles_of_dependencies_are_refused_with_their_path() {
    let clock = Clock::new();
    let r = registry(Settings::default());
    let needs = |name: &str, d: &str| register(Draft { dependencies: vec![d.into()], ..draft(name, "1") });
    r.apply(needs("web", "api"), clock.0).unwrap();
    r.apply(needs("api", "db"), clock.0).unwrap();
    let before = r.snapshot().index;
    let Err(Rejected::Cycle(cycle)) = r.apply(needs("db", "web"), clock.0) else {
        panic!("a cycle was accepted")
    };
    assert_eq!(cycle.to_string(), "db → web → api → db");
    assert_eq!(r.snapshot().index, before);
    assert!(r.snapshot().service("db").is_none());
    r.apply(deregister("api", "1"), clock.0).unwrap();
    r.apply(needs("db", "web"), clock.0).unwrap();
}

#[test]
fn what_the_configuration_owns_is_changed_there() {
    let clock = Clock::new();
    let r = registry(Settings::default());
    r.apply(register_from(draft("api", "a"), Source::Config), clock.0).unwrap();
    let owned = Err(Rejected::OwnedBy { source: Source::Config });
    assert_eq!(r.apply(register(draft("api", "a")), clock.0).map(|_| ()), owned);
    assert_eq!(r.apply(deregister("api", "a"), clock.0).map(|_| ()), owned);
    r.apply(operate("api", "a", Operation::Drain, None), clock.0).unwrap();
    assert!(r.snapshot().instance("api", "a").unwrap().operator.draining.is_some());
}

#[test]
fn the_registry_is_the_union_of_its_sources_whatever_order_they_speak_in() {
    let clock = Clock::new();
    let provider = |name: &str| Source::Provider(name.into());
    let words = [Source::Api, provider("docker"), provider("swarm")];
    let withdraw = |source: &Source| {
        let (name, id) = key("api", "a");
        Command::Withdraw { name, id, source: source.clone() }
    };
    let said_by = |source: &Source| {
        let port = 80 + words.iter().position(|w| w == source).unwrap() as i128;
        register_from(Draft { port: Some(port), ..draft("api", "a") }, source.clone())
    };
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let r = registry(Settings::default());
        for n in order {
            r.apply(said_by(&words[n]), clock.0).unwrap();
        }
        let holds = |source: Option<&Source>| {
            let i = r.snapshot().instance("api", "a").cloned();
            assert_eq!(i.as_ref().map(|i| &i.source), source, "{order:?}");
            if let (Some(i), Some(source)) = (i, source) {
                let at = words.iter().position(|w| w == source).unwrap();
                assert_eq!(usize::from(i.registration.port), 80 + at);
            }
        };
        holds(Some(&Source::Api));
        let (name, id) = key("api", "a");
        assert_eq!(r.held_back(&name, &id), words[1..], "{order:?}");
        // What is held back can go unseen; what is in force gives way to the next.
        let index = r.snapshot().index;
        r.apply(withdraw(&words[2]), clock.0).unwrap();
        assert_eq!(r.snapshot().index, index);
        r.apply(said_by(&words[2]), clock.0).unwrap();
        r.apply(deregister("api", "a"), clock.0).unwrap();
        holds(Some(&words[1]));
        r.apply(withdraw(&words[1]), clock.0).unwrap();
        holds(Some(&words[2]));
        r.apply(withdraw(&words[2]), clock.0).unwrap();
        holds(None);
        assert!(r.held_back(&name, &id).is_empty());
    }
}

#[test]
fn what_is_held_back_and_no_longer_fits_is_dropped() {
    let clock = Clock::new();
    let r = registry(Settings::default());
    let docker = Source::Provider("docker".into());
    let needs = |d: &str| Draft { dependencies: vec![d.into()], ..draft("api", "a") };
    r.apply(register(draft("api", "a")), clock.0).unwrap();
    r.apply(register_from(needs("db"), docker), clock.0).unwrap();
    let db = Draft { dependencies: vec!["api".into()], ..draft("db", "1") };
    r.apply(register(db), clock.0).unwrap();
    r.apply(deregister("api", "a"), clock.0).unwrap();
    assert!(r.snapshot().service("api").is_none(), "it would have closed a cycle");
    let (name, id) = key("api", "a");
    assert!(r.held_back(&name, &id).is_empty());
}

#[test]
fn a_providers_drain_does_not_outlive_its_word() {
    let clock = Clock::new();
    let r = registry(Settings::default());
    let docker = Source::Provider("docker".into());
    r.apply(register_from(draft("api", "a"), docker), clock.0).unwrap();
    let (name, id) = key("api", "a");
    let by = |actor: &str, operation| Command::Operate {
        name: name.clone(),
        id: id.clone(),
        operation,
        ttl: None,
        reason: None,
        actor: Actor::new(actor),
    };
    r.apply(by("docker", Operation::Drain), clock.0).unwrap();
    r.apply(by("op", Operation::Maintenance(true)), clock.0).unwrap();
    r.apply(register(draft("api", "a")), clock.0).unwrap();
    let i = r.snapshot().instance("api", "a").unwrap().clone();
    assert_eq!((i.operator.draining.is_none(), i.operator.maintenance.is_some()), (true, true));
}

#[test]
fn what_a_provider_lists_is_not_removed_for_failing_checks() {
    let clock = Clock::new();
    let r = registry(Settings::default());
    let docker = Source::Provider("docker".into());
    r.apply(register_from(draft("api", "a"), docker), clock.0).unwrap();
    assert_eq!(r.next_deadline(), None);
}

#[test]
fn operator_states_lapse_survive_replacement_and_tell_who_and_why() {
    let mut clock = Clock::new();
    let r = registry(Settings::default());
    r.apply(checked("api", "a"), clock.0).unwrap();
    r.apply(operate("api", "a", Operation::Maintenance(true), Some(secs(60))), clock.0).unwrap();
    r.apply(operate("api", "a", Operation::Weight(Some(7)), None), clock.0).unwrap();
    r.apply(checked("api", "a"), clock.0).unwrap();
    let i = r.snapshot().instance("api", "a").unwrap().clone();
    let mark = i.operator.maintenance.clone().unwrap();
    assert_eq!((mark.by.as_str(), mark.reason.as_deref(), i.weight()), ("op", Some("why"), 7));
    assert_eq!(r.next_deadline(), Some(clock.0.instant + secs(60)));
    clock.advance(secs(59));
    assert!(r.due(clock.0).is_empty());
    clock.advance(secs(1));
    let due = r.due(clock.0);
    r.apply_all(due, clock.0).unwrap();
    let i = r.snapshot().instance("api", "a").unwrap().clone();
    assert_eq!((i.operator.maintenance.is_none(), i.weight()), (true, 7));
}

#[test]
fn leases_end_unless_renewed() {
    let mut clock = Clock::new();
    let r = registry(Settings::default());
    r.apply(leased("api", "a", 30_000), clock.0).unwrap();
    r.apply(leased("api", "b", 30_000), clock.0).unwrap();
    clock.advance(secs(20));
    let index = r.snapshot().index;
    let change = r.apply(heartbeat("api", "a", None), clock.0).unwrap().unwrap();
    assert_eq!(
        (change.kind, change.instance.status),
        (ChangeKind::Status, Status::Healthy),
        "its first sign of life"
    );
    assert!(r.apply(heartbeat("api", "a", None), clock.0).unwrap().is_none(), "the second publishes nothing");
    assert_eq!(r.snapshot().index, index + 1);
    clock.advance(secs(10));
    r.apply_all(r.due(clock.0), clock.0).unwrap();
    assert!(r.snapshot().instance("api", "a").is_some());
    assert!(r.snapshot().instance("api", "b").is_none());
    assert!(matches!(r.apply(heartbeat("api", "b", None), clock.0), Err(Rejected::NotFound { .. })));
    let last = r.journal().since(r.journal().last_id() - 1);
    assert_eq!(last[0].entry.kind.as_str(), "lease-expired");
    assert_eq!(last[0].entry.message, "its lease of 30s was not renewed");
}

#[test]
fn a_failing_instance_without_a_lease_is_removed_after_a_day() {
    let mut clock = Clock::new();
    let r = registry(Settings::default());
    r.apply(checked("api", "a"), clock.0).unwrap();
    r.apply(observe(&r, "api", "a", Status::Healthy), clock.0).unwrap();
    assert_eq!(r.next_deadline(), None);
    r.apply(observe(&r, "api", "a", Status::Unhealthy), clock.0).unwrap();
    clock.advance(secs(24 * 3600 - 1));
    assert!(r.due(clock.0).is_empty());
    clock.advance(secs(1));
    r.apply_all(r.due(clock.0), clock.0).unwrap();
    assert!(r.snapshot().services.is_empty());
    assert_eq!(r.next_deadline(), None);
}

#[test]
fn a_mass_expiry_is_held_back_until_they_renew_or_the_pause_is_over() {
    let mut clock = Clock::new();
    let r = registry(Settings::default());
    for n in 0..100 {
        r.apply(leased("api", &format!("i{n}"), 30_000), clock.0).unwrap();
    }
    clock.advance(secs(20));
    for n in 16..100 {
        r.apply(heartbeat("api", &format!("i{n}"), None), clock.0).unwrap();
    }
    clock.advance(secs(10));
    assert!(r.due(clock.0).is_empty(), "16 of 100 at once is a mass");
    assert!(r.expiry_paused().unwrap().starts_with("16 of 100 leases"));
    assert_eq!(r.next_deadline(), Some(clock.0.instant + secs(60)), "not at once: that would spin");
    for n in 3..100 {
        r.apply(heartbeat("api", &format!("i{n}"), None), clock.0).unwrap();
    }
    clock.advance(secs(20));
    let due = r.due(clock.0);
    assert_eq!(due.len(), 3, "the rest came back, so these three are really gone");
    r.apply_all(due, clock.0).unwrap();
    assert!(r.expiry_paused().is_none());
    // Nobody comes back: after the pause they end.
    clock.advance(secs(30));
    assert!(r.due(clock.0).is_empty());
    clock.advance(secs(600));
    assert_eq!(r.due(clock.0).len(), 97);
}

#[tokio::test(start_paused = true)]
async fn a_change_wakes_only_those_who_watch_that_service() {
    let clock = Clock::new();
    let r = registry(Settings::default());
    let (api, web) = (ServiceName::new("api").unwrap(), ServiceName::new("web").unwrap());
    let mut on_api = r.watch_service(&api);
    let mut on_web = r.watch_service(&web);
    r.apply(checked("api", "a"), clock.0).unwrap();
    assert_eq!(on_api.changed().await, 1);
    assert!(tokio::time::timeout(secs(3600), on_web.changed()).await.is_err());
    assert_eq!((r.service_index(&api), r.service_index(&web)), (1, 0));
    r.apply(deregister("api", "a"), clock.0).unwrap();
    assert_eq!(on_api.changed().await, 2);
    assert_eq!(r.service_index(&api), 2, "the removal is remembered");
    r.apply(checked("api", "a"), clock.0).unwrap();
    assert_eq!(r.service_index(&api), 3);
}

#[test]
fn changes_resume_and_say_when_they_cannot() {
    let clock = Clock::new();
    let r = registry(Settings::default());
    for n in 0..20_000 {
        r.apply(checked("api", &format!("i{}", n % 3)), clock.0).unwrap();
    }
    assert_eq!(r.changes_since(19_990).unwrap().len(), 10);
    assert_eq!(r.changes_since(20_000).unwrap().len(), 0);
    assert_eq!(r.changes_since(5).unwrap_err().oldest, 20_000 - 16_384);
    assert!(r.changes_since(20_001).is_err(), "an index of another life of the process");
}

#[test]
fn degraded_ones_join_when_fewer_than_half_are_healthy() {
    use Status::{Degraded, Healthy, Unhealthy};
    let routable = |statuses: &[Status], panic: f64| {
        let r = with_statuses(statuses);
        let s = select::<&str>(r.snapshot().service("api").unwrap(), &[], panic);
        (s.level, s.routable().map(|i| i.registration.id.to_string()).collect::<Vec<_>>())
    };
    assert_eq!(routable(&[Healthy, Degraded], 0.0), (Level::Healthy, vec!["i0".into()]));
    assert_eq!(
        routable(&[Healthy, Degraded, Unhealthy], 0.0),
        (Level::Degraded, vec!["i0".into(), "i1".into()])
    );
    assert_eq!(routable(&[Unhealthy, Unhealthy], 0.0).1, Vec::<String>::new());
    assert_eq!(routable(&[Unhealthy, Unhealthy], 0.2), (Level::Panic, vec!["i0".into(), "i1".into()]));
}

#[test]
fn withdrawn_ones_are_never_routable_and_weight_zero_only_when_alone() {
    let clock = Clock::new();
    let r = with_statuses(&[Status::Healthy; 4]);
    r.apply(operate("api", "i0", Operation::Drain, None), clock.0).unwrap();
    r.apply(operate("api", "i1", Operation::Maintenance(true), None), clock.0).unwrap();
    r.apply(operate("api", "i2", Operation::Weight(Some(0)), None), clock.0).unwrap();
    let standings = |r: &Registry| {
        let s = select::<&str>(r.snapshot().service("api").unwrap(), &[], 0.9);
        s.all.iter().map(|(_, s)| *s).collect::<Vec<_>>()
    };
    use Standing::{Draining, Maintenance, Routable, WeightZero};
    assert_eq!(standings(&r), [Draining, Maintenance, WeightZero, Routable]);
    r.apply(operate("api", "i3", Operation::Drain, None), clock.0).unwrap();
    assert_eq!(standings(&r), [Draining, Maintenance, Routable, Draining]);
}

#[test]
fn the_registry_has_a_stated_size() {
    let clock = Clock::new();
    let r = registry(Settings { max_instances: 2, ..Settings::default() });
    r.apply(checked("api", "a"), clock.0).unwrap();
    r.apply(checked("api", "b"), clock.0).unwrap();
    assert_eq!(r.apply(checked("api", "c"), clock.0).unwrap_err(), Rejected::Full { limit: 2 });
    r.apply(checked("api", "b"), clock.0).unwrap();
}

#[test]
fn a_first_result_replaces_the_reason_also_where_the_status_stays() {
    let clock = Clock::new();
    let registry = registry(Settings::default());
    let d = Draft { health_endpoint: Some("/h".into()), ..draft("api", "a") };
    registry.apply(register(d), clock.0).unwrap();
    let reason = || {
        let snapshot = registry.snapshot();
        snapshot.service("api").unwrap().instances.values().next().unwrap().reason.to_string()
    };
    assert_eq!(reason(), "awaiting first check");
    let index = registry.snapshot().index;
    registry.apply(observe(&registry, "api", "a", Status::Unhealthy), clock.0).unwrap();
    assert_eq!(reason(), "probe says unhealthy");
    assert_eq!(registry.snapshot().index, index + 1);
    registry.apply(observe(&registry, "api", "a", Status::Unhealthy), clock.0).unwrap();
    assert_eq!(registry.snapshot().index, index + 1, "a repeated verdict wakes nobody");
}
