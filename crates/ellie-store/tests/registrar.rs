//! Durable changes: all or nothing per submission, many in one commit, never a store ahead of the registry.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use ellie_core::Now;
use ellie_core::model::{Offer, Source, Status};
use ellie_core::registry::{Operation, Rejected, Settings};
use ellie_store::registrar::{self, Error, StartError};
use ellie_store::{Ephemeral, Registrar, Store};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

fn ids(registry: &ellie_core::Registry) -> Vec<String> {
    registry
        .snapshot()
        .instances()
        .map(|i| format!("{}/{}", i.registration.name, i.registration.id))
        .collect()
}

#[tokio::test]
async fn an_acknowledged_submission_is_in_the_store_and_in_the_registry() {
    let (registry, store) = (registry(Settings::default()), Memory::default());
    let registrar = start(&registry, store.clone());
    let applied = registrar.submit(vec![add("api", "1"), add("api", "2")]).await.unwrap();
    assert_eq!((applied.index, applied.changes.len()), (2, 2));
    assert_eq!(store.ids(), ["api/1", "api/2"]);
    assert_eq!(ids(&registry), ["api/1", "api/2"]);
    registrar.submit(vec![operate("api", "1", Operation::Drain)]).await.unwrap();
    let kept = store.shelf.lock().unwrap().records[&key("api", "1")].clone();
    assert_eq!(kept, registry.snapshot().instance("api", "1").unwrap().record());
    registrar.submit(vec![remove("api", "1")]).await.unwrap();
    assert_eq!((store.ids(), ids(&registry)), (vec!["api/2".to_owned()], vec!["api/2".to_owned()]));
    assert_eq!(registrar.report().kept.records, 1);
}

#[tokio::test]
async fn a_submission_is_all_or_nothing_and_tells_which_command_was_refused() {
    let (registry, store) = (registry(Settings::default()), Memory::default());
    let registrar = start(&registry, store.clone());
    let error =
        registrar.submit(vec![add("api", "1"), remove("api", "9"), add("api", "2")]).await.unwrap_err();
    let Error::Rejected { at: 1, rejected: Rejected::NotFound { id, .. } } = error else { panic!("{error}") };
    assert_eq!(id.as_str(), "9");
    assert_eq!((store.commits(), store.ids(), ids(&registry)), (0, vec![], vec![]));
    assert_eq!(registry.snapshot().index, 0);
}

#[tokio::test]
async fn cycles_and_a_full_registry_are_refused_before_the_store_is_touched() {
    let settings = Settings { max_instances: 2, ..Settings::default() };
    let (registry, store) = (registry(settings), Memory::default());
    let registrar = start(&registry, store.clone());
    registrar.submit(vec![register(needing("a", "1", "b"), Source::Api)]).await.unwrap();
    let error = registrar.submit(vec![register(needing("b", "1", "a"), Source::Api)]).await.unwrap_err();
    assert!(
        matches!(&error, Error::Rejected { rejected: Rejected::Cycle(c), .. } if c.to_string().contains("a → b")
        || c.to_string().contains("b → a")),
        "{error}"
    );
    let error = registrar.submit(vec![add("c", "1"), add("c", "2")]).await.unwrap_err();
    assert!(matches!(error, Error::Rejected { at: 1, rejected: Rejected::Full { limit: 2 } }), "{error}");
    assert_eq!((store.ids(), ids(&registry)), (vec!["a/1".to_owned()], vec!["a/1".to_owned()]));
}

/// A writer that is held in its first commit while others queue.
fn gated() -> (mpsc::Sender<()>, Memory) {
    let (open, gate) = mpsc::channel();
    (open, Memory { gate: Some(Arc::new(Mutex::new(gate))), ..Memory::default() })
}

async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_waits_is_committed_together_and_each_still_stands_for_itself() {
    let (open, store) = gated();
    let registry = registry(Settings::default());
    let registrar = start(&registry, store.clone());
    let spawn = |commands| {
        let registrar = registrar.clone();
        tokio::spawn(async move { registrar.submit(commands).await })
    };
    let first = spawn(vec![add("api", "0")]);
    // From here on the writer is held in the first commit, so that all others wait.
    until(|| store.begun() == 1).await;
    let queued: Vec<_> = (1..=20).map(|n| spawn(vec![add("api", &n.to_string())])).collect();
    let (twice, bad) = (spawn(vec![add("api", "5"), remove("api", "5")]), spawn(vec![remove("api", "none")]));
    until(|| registrar.report().waiting >= 22).await;
    for _ in 0..3 {
        open.send(()).unwrap();
    }
    first.await.unwrap().unwrap();
    for one in queued {
        one.await.unwrap().unwrap();
    }
    twice.await.unwrap().unwrap();
    assert!(matches!(bad.await.unwrap(), Err(Error::Rejected { .. })));
    assert!(store.commits() <= 3, "{} commits", store.commits());
    assert_eq!(store.ids().len(), 20);
    assert_eq!(store.ids(), ids(&registry));
}

#[tokio::test]
async fn a_full_queue_holds_its_callers_back() {
    let (open, store) = gated();
    let settings = registrar::Settings { queue: 2, ..registrar::Settings::default() };
    let registrar = Registrar::start(registry(Settings::default()), Box::new(store), settings).unwrap();
    let mut waiting: Vec<_> = (0..50)
        .map(|n| {
            let registrar = registrar.clone();
            tokio::spawn(async move { registrar.submit(vec![add("api", &n.to_string())]).await })
        })
        .collect();
    until(|| registrar.report().waiting == 2).await;
    assert!(waiting.iter().all(|w| !w.is_finished()));
    drop(waiting.split_off(25));
    for _ in 0..50 {
        let _ = open.send(());
    }
    for one in waiting {
        one.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_failed_commit_changes_nothing_and_the_next_one_may_succeed() {
    let (registry, store) = (registry(Settings::default()), Memory::default());
    let registrar = start(&registry, store.clone());
    store.fail(true);
    let error = registrar.submit(vec![add("api", "1")]).await.unwrap_err();
    assert!(matches!(&error, Error::Storage(_)), "{error}");
    assert_eq!((registry.snapshot().index, store.ids().len()), (0, 0));
    assert!(registrar.report().failing.is_some());
    // What no store keeps isn't held up by it.
    registrar.submit(vec![register(registration("cfg", "1"), Source::Config)]).await.unwrap();
    store.fail(false);
    registrar.submit(vec![add("api", "1")]).await.unwrap();
    assert_eq!(ids(&registry), ["api/1", "cfg/1"]);
    let report = registrar.report();
    assert_eq!((report.failures, report.commits, report.failing.is_none()), (1, 1, true));
}

#[tokio::test]
async fn only_what_no_source_can_tell_again_is_written() {
    let (registry, store) = (registry(Settings::default()), Memory::default());
    let registrar = start(&registry, store.clone());
    for source in [Source::Config, Source::Own, Source::Provider("docker".into())] {
        registrar.submit(vec![register(registration("x", &source.to_string()), source)]).await.unwrap();
    }
    let (name, id) = key("x", "own");
    registrar.heartbeat(name, id, Some(Status::Healthy)).unwrap();
    assert_eq!((store.commits(), ids(&registry).len()), (0, 3));
    // The same again is not written again.
    registrar.submit(vec![add("api", "1")]).await.unwrap();
    let again = registrar.submit(vec![add("api", "1")]).await.unwrap();
    assert_eq!((store.commits(), again.changes.len()), (1, 1));
    // What a file takes over from the API is the file's: it doesn't come back from the store.
    registrar.submit(vec![register(registration("api", "1"), Source::Config)]).await.unwrap();
    assert_eq!(store.ids().len(), 0);
}

#[tokio::test]
async fn a_source_replaces_its_whole_set_and_nobody_elses() {
    let (registry, store) = (registry(Settings::default()), Memory::default());
    let registrar = start(&registry, store.clone());
    registrar.submit(vec![add("api", "mine")]).await.unwrap();
    let set = vec![registration("a", "1"), registration("a", "2"), registration("b", "1")];
    let first = registrar.replace_set(Source::Config, set.clone()).await.unwrap();
    assert_eq!((first.changes.len(), first.refused.len()), (3, 0));
    let same = registrar.replace_set(Source::Config, set).await.unwrap();
    assert_eq!((same.changes.len(), same.index), (0, first.index));
    let docker = Source::Provider("docker".into());
    // An instance of a stronger source stays its own; a cycle is refused; the rest of the set holds.
    let set =
        vec![registration("a", "1"), needing("c", "1", "d"), needing("d", "1", "c"), registration("e", "1")];
    let second = registrar.replace_set(docker.clone(), set).await.unwrap();
    let refused: Vec<String> =
        second.refused.iter().map(|(name, id, why)| format!("{name}/{id}: {why}")).collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].contains("cycle"), "{refused:?}");
    let (name, id) = key("a", "1");
    assert_eq!(registry.held_back(&name, &id), std::slice::from_ref(&docker));
    // What the file no longer tells is now what docker tells of it.
    let third = registrar.replace_set(Source::Config, vec![registration("b", "1")]).await.unwrap();
    assert_eq!(third.changes.len(), 3);
    assert_eq!(ids(&registry), ["a/1", "api/mine", "b/1", "c/1", "e/1"]);
    registrar.replace_set(docker, vec![]).await.unwrap();
    registrar.replace_set(Source::Config, vec![]).await.unwrap();
    assert_eq!(ids(&registry), ["api/mine"]);
    let gone =
        registry.journal().since(0).iter().filter(|e| e.entry.message.contains("no longer lists it")).count();
    assert_eq!(gone, 6);
}

#[tokio::test]
async fn an_offer_that_is_withheld_drains_until_its_source_says_otherwise() {
    let (registry, store) = (registry(Settings::default()), Memory::default());
    let registrar = start(&registry, store.clone());
    let docker = Source::Provider("docker".into());
    let offer = |why: Option<&str>| {
        vec![Offer { withheld: why.map(Into::into), ..Offer::from(registration("a", "1")) }]
    };
    let draining = || registry.snapshot().instance("a", "1").unwrap().operator.draining.clone();
    registrar.replace_offers(docker.clone(), offer(Some("is stopping"))).await.unwrap();
    let mark = draining().unwrap();
    assert_eq!((mark.by.as_str(), mark.reason.as_deref()), ("docker", Some("is stopping")));
    let same = registrar.replace_offers(docker.clone(), offer(Some("is stopping"))).await.unwrap();
    assert!(same.changes.is_empty(), "the same again changes nothing");
    registrar.replace_offers(docker.clone(), offer(None)).await.unwrap();
    assert_eq!(draining(), None);
    // What an operator said stays, whatever the source says.
    registrar.submit(vec![operate("a", "1", Operation::Drain)]).await.unwrap();
    for why in [Some("is stopping"), None] {
        registrar.replace_offers(docker.clone(), offer(why)).await.unwrap();
        assert_eq!(draining().unwrap().by, "op");
    }
    assert_eq!(store.commits(), 0);
}

#[tokio::test]
async fn a_source_that_tells_its_set_is_no_longer_stale() {
    let (registry, store) = (registry(Settings::default()), Memory::default());
    let registrar = start(&registry, store);
    let docker = Source::Provider("docker".into());
    registrar.replace_set(docker.clone(), vec![registration("a", "1")]).await.unwrap();
    let index = registry.snapshot().index;
    registry.mark_stale(&docker, Some("connection refused"), Now::read());
    let stale = registry.snapshot().stale.get(&docker).cloned().unwrap();
    assert_eq!((stale.reason.as_str(), registry.snapshot().index), ("connection refused", index));
    assert_eq!(ids(&registry), ["a/1"], "what it told last still holds");
    registrar.replace_set(docker.clone(), vec![]).await.unwrap();
    assert!(registry.snapshot().stale.is_empty() && ids(&registry).is_empty());
    let kinds: Vec<_> = registry.journal().since(0).iter().map(|e| e.entry.kind.as_str()).collect();
    assert_eq!(kinds, ["registered", "source-stale", "deregistered", "source-fresh"]);
}

#[tokio::test]
async fn restored_instances_await_their_first_check() {
    let mut store = Memory::default();
    store.commit(&[ellie_store::Write::Put(record("api", "1"))]).unwrap();
    let registry = registry(Settings::default());
    let registrar = start(&registry, store.clone());
    let snapshot = registry.snapshot();
    let instance = snapshot.instance("api", "1").unwrap();
    assert_eq!((instance.status, &*instance.reason), (Status::Unhealthy, "awaiting first check"));
    assert_eq!(store.commits(), 1, "a restore writes nothing");
    drop(registrar);
    let small = Settings { max_instances: 0, ..Settings::default() };
    let refused = Registrar::start(common::registry(small), Box::new(store), registrar::Settings::default());
    assert!(matches!(refused, Err(StartError::Restore { records: 1, .. })));
}

#[tokio::test]
async fn a_closed_registrar_finishes_what_waits_and_refuses_the_rest() {
    let (open, store) = gated();
    let registrar = start(&registry(Settings::default()), store.clone());
    let submit = |n: usize| {
        let registrar = registrar.clone();
        tokio::spawn(async move { registrar.submit(vec![add("api", &n.to_string())]).await })
    };
    let mut pending = vec![submit(0)];
    until(|| store.begun() == 1).await;
    pending.extend((1..10).map(submit));
    until(|| registrar.report().waiting == 9).await;
    let close = tokio::spawn({
        let registrar = registrar.clone();
        async move { registrar.close().await }
    });
    until(|| registrar.report().waiting == 10).await;
    for _ in 0..11 {
        let _ = open.send(());
    }
    close.await.unwrap();
    for one in pending {
        one.await.unwrap().unwrap();
    }
    assert_eq!(store.ids().len(), 10);
    assert!(matches!(registrar.submit(vec![add("api", "x")]).await, Err(Error::Closed)));
    registrar.close().await;
    let huge = registrar::Settings { submission: 1, ..registrar::Settings::default() };
    let registrar = Registrar::start(registry(Settings::default()), Box::new(Ephemeral), huge).unwrap();
    let error = registrar.submit(vec![add("a", "1"), add("a", "2")]).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_leave_store_and_registry_equal() {
    let (registry, store) = (registry(Settings::default()), Memory::default());
    let registrar = start(&registry, store.clone());
    let tasks: Vec<_> = (0..8_u64)
        .map(|task| {
            let registrar = registrar.clone();
            tokio::spawn(async move {
                for n in 0..200_u64 {
                    // Few ids, so that tasks meet on them; a fixed scramble instead of chance.
                    let id = (n.wrapping_mul(2_654_435_761).wrapping_add(task * 40_503) >> 4) % 16;
                    let (name, id) = (format!("s{}", id % 3), id.to_string());
                    let command = match n % 3 {
                        0 => remove(&name, &id),
                        1 => operate(&name, &id, Operation::Weight(Some(n as u32))),
                        _ => add(&name, &id),
                    };
                    match registrar.submit(vec![command]).await {
                        Ok(_) | Err(Error::Rejected { .. }) => {}
                        Err(e) => panic!("{e}"),
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let held: Vec<_> = registry.snapshot().instances().map(|i| i.record()).collect();
    let kept: Vec<_> = store.shelf.lock().unwrap().records.values().cloned().collect();
    assert_eq!(held, kept);
}

#[tokio::test(start_paused = true)]
async fn leases_end_through_the_store() {
    let (registry, store) = (registry(Settings::default()), Memory::default());
    let registrar = start(&registry, store.clone());
    let mut watch = registry.watch();
    registrar.submit(vec![register(leased("api", "1", 10_000), Source::Api)]).await.unwrap();
    // Only now: while the writer's thread works, a paused clock would run ahead to the lease's end.
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let task = tokio::spawn(ellie_store::expire(registrar.clone(), async {
        let _ = stopped.await;
    }));
    let (name, id) = key("api", "1");
    let begun = tokio::time::Instant::now();
    tokio::time::sleep(Duration::from_secs(8)).await;
    registrar.heartbeat(name, id, None).unwrap();
    watch.mark_unchanged();
    while registry.snapshot().counts.total() > 0 {
        watch.changed().await.unwrap();
    }
    assert!(begun.elapsed() >= Duration::from_secs(18), "{:?}", begun.elapsed());
    assert_eq!(store.ids().len(), 0);
    let events = registry.journal().since(0);
    assert!(events.iter().any(|e| e.entry.kind.as_str() == "lease-expired"));
    drop(stop);
    task.await.unwrap();
}
