//! Explanations for people and for the response header.

use super::tables::{find, handle, route};
use super::{World, secs};
use ellie_core::Status;
use ellie_core::registry::Operation;
use ellie_gateway::cluster::Outcome;
use ellie_gateway::explain::MAX_HEADER;
use ellie_policy::balance::Strategy;
use std::sync::Arc;

#[test]
fn every_instance_has_a_reason() {
    let w = World::new(Strategy::HealthBased);
    w.many("s", 6);
    w.status("s", "i1", Status::Unhealthy);
    w.status("s", "i2", Status::Degraded);
    w.operate("s", "i3", Operation::Drain);
    w.operate("s", "i4", Operation::Weight(Some(0)));
    let e = w.clusters.explain("s", &["x"; 0], w.at()).unwrap();
    let pick = e.pick.clone().unwrap();
    assert!(["i0", "i5"].contains(&pick.as_str()));
    let reason = |i: usize| e.candidates[i].reason.as_str();
    assert!(reason(1).starts_with("unhealthy: "), "{}", reason(1));
    assert!(reason(2).starts_with("degraded ("), "{}", reason(2));
    assert_eq!(reason(3), "drained by ann: release");
    assert_eq!(reason(4), "its weight is 0 and others have more");
    let (yes, no) = if pick.as_str() == "i0" { (0, 5) } else { (5, 0) };
    assert_eq!(reason(yes), "the least cost: 1.00");
    assert_eq!(reason(no), "as good as the pick at 1.00; ties are broken by chance");
    assert_eq!(e.candidates.iter().filter(|c| c.picked).count(), 1);
    let tagged = w.clusters.explain("s", &["x"], w.at()).unwrap();
    assert!(tagged.pick.is_none() && tagged.candidates.iter().all(|c| c.reason.contains("tag")));
    assert!(w.clusters.explain("nope", &["x"; 0], w.at()).is_none());
}

#[test]
fn the_ejected_are_said_to_be() {
    let mut w = World::new(Strategy::RoundRobin);
    w.many("s", 2);
    for _ in 0..20 {
        let attempt = w.admit("s");
        let outcome =
            if attempt.upstream().id.as_str() == "i0" { Outcome::Timeout } else { Outcome::Status(200) };
        let tried = [attempt.upstream().identity];
        let now = w.at();
        if outcome == Outcome::Timeout {
            if let Ok(next) = attempt.retry(outcome, now, &mut w.rng, &tried) {
                next.finish(Outcome::Status(200), now);
            }
        } else {
            attempt.finish(outcome, now);
        }
    }
    w.advance(secs(10));
    let e = w.cluster("s").explain(w.at());
    assert_eq!(e.candidates[0].reason, "ejected as an outlier for 20.0 s more");
    assert_eq!(e.pick.unwrap().as_str(), "i1");
}

#[test]
fn explaining_changes_nothing() {
    let mut w = World::new(Strategy::RoundRobin);
    w.many("s", 3);
    let first = w.cluster("s").explain(w.at()).pick;
    for _ in 0..10 {
        assert_eq!(w.cluster("s").explain(w.at()).pick, first);
    }
    assert_eq!(Some(&w.admit("s").upstream().id), first.as_ref());
}

#[test]
fn the_header_is_one_bounded_line() {
    let mut w = World::new(Strategy::LeastConnections);
    w.many("s", 3);
    let handle = handle(&w, vec![route("/s/*", "s", |_| {})]);
    let now = w.at();
    let attempt = w.admit("s");
    let tried = [attempt.upstream().identity];
    let first = attempt.upstream().id.clone();
    let attempt = attempt.retry(Outcome::Timeout, now, &mut w.rng, &tried).unwrap();
    let text = handle.explain(&find(&handle, "/s").unwrap(), &attempt, now);
    let id = &attempt.upstream().id;
    let start = format!(
        "route=\"s-all\", service=\"s\", strategy=least_connections, level=healthy, breaker=closed, picked=\"{id}\", \
         tries=2, failed=(\"{first}\";outcome=\"timeout\"), candidates=(\"{id}\";cost=1.000;"
    );
    assert!(text.starts_with(&start), "{text}\n{start}");
    w.many("s", 500);
    for i in 3..300 {
        w.status("s", &format!("i{i}"), Status::Unhealthy);
    }
    let now = w.at();
    let attempt = w.admit("s");
    let text = handle.explain(&find(&handle, "/s").unwrap(), &attempt, now);
    assert!(text.len() <= MAX_HEADER && text.contains(", more="), "{}", text.len());
    assert!(text.bytes().all(|b| (b' '..=b'~').contains(&b)));
}

#[test]
fn only_a_valid_token_explains() {
    let w = World::new(Strategy::RoundRobin);
    let handle = Arc::into_inner(handle(&w, vec![])).unwrap();
    assert!(!handle.explain_allowed(Some(b"secret")));
    let handle = handle.with_explain(Arc::new(|token| token == b"secret"));
    assert!(handle.explain_allowed(Some(b"secret")));
    assert!(!handle.explain_allowed(Some(b"other")) && !handle.explain_allowed(None));
}
