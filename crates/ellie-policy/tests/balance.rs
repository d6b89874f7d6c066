//! What holds under every strategy, and what health based balancing promises in single steps.
#![cfg(not(loom))]
#![allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use ellie_policy::Rng;
use ellie_policy::balance::{Candidates, Endpoint, Member, Outcome, Service, Strategy};

const MS: Duration = Duration::from_millis(1);

fn members(service: &Service, weights: &[u32], now: Instant) -> Vec<Member> {
    let member = |&weight| Member { endpoint: Arc::new(Endpoint::established(service, now)), weight };
    weights.iter().map(member).collect()
}

fn table(strategy: Strategy, weights: &[u32], now: Instant) -> Candidates {
    let service = Arc::new(Service::new(1));
    let members = members(&service, weights, now);
    Candidates::new(strategy, service, members)
}

/// How often each member is picked while nothing is in flight.
fn counts(table: &Candidates, picks: usize, now: Instant, excluded: impl Fn(usize) -> bool) -> Vec<usize> {
    let mut rng = Rng::new(7);
    let mut counts = vec![0; table.len()];
    for _ in 0..picks {
        counts[table.pick(now, &mut rng, &excluded).expect("a member").index] += 1;
    }
    counts
}

#[test]
fn weights_apply_under_every_strategy_and_size() {
    let now = Instant::now();
    for strategy in Strategy::ALL {
        for groups in [1, 12] {
            // Weights 100, 100, 400, 0, repeated: 4 and 48 members.
            let weights: Vec<u32> = (0..groups).flat_map(|_| [100, 100, 400, 0]).collect();
            let counts = counts(&table(strategy, &weights, now), 60_000, now, |_| false);
            let of = |place: usize| counts.iter().skip(place).step_by(4).sum::<usize>() as f64 / 60_000.0;
            assert_eq!(of(3), 0.0, "{strategy}: weight 0 gets nothing");
            assert!((of(2) - 2.0 / 3.0).abs() < 0.02, "{strategy} {groups}: {counts:?}");
        }
    }
}

#[test]
fn weights_that_are_all_zero_are_equal() {
    let now = Instant::now();
    for strategy in Strategy::ALL {
        for count in counts(&table(strategy, &[0; 4], now), 4_000, now, |_| false) {
            assert!((850..1_150).contains(&count), "{strategy} {count}");
        }
    }
}

#[test]
fn excluded_members_are_never_picked_and_the_last_one_is_found() {
    let now = Instant::now();
    let mut rng = Rng::new(1);
    for strategy in Strategy::ALL {
        for n in [1, 2, 16, 17, 500] {
            let table = table(strategy, &vec![1; n], now);
            assert!(counts(&table, 200, now, |i| i != n - 1)[..n - 1].iter().all(|&c| c == 0));
            assert_eq!(table.pick(now, &mut rng, |_| true), None, "{strategy} {n}");
        }
        assert_eq!(table(strategy, &[], now).pick(now, &mut rng, |_| false), None);
    }
}

#[test]
fn round_robin_goes_on_after_a_change_of_members() {
    let now = Instant::now();
    let service = Arc::new(Service::new(1));
    let mut rng = Rng::new(1);
    let all = members(&service, &[1; 5], now);
    let mut firsts = Vec::new();
    for _ in 0..5 {
        let table = Candidates::new(Strategy::RoundRobin, Arc::clone(&service), all.clone());
        firsts.push(table.pick(now, &mut rng, |_| false).expect("a member").index);
    }
    firsts.sort_unstable();
    assert_eq!(firsts, [0, 1, 2, 3, 4]);
}

#[test]
fn least_connections_equals_a_full_scan() {
    let now = Instant::now();
    let table = table(Strategy::LeastConnections, &[1; 8], now);
    let mut rng = Rng::new(3);
    let mut open = Vec::new();
    for step in 0..2_000 {
        let loads: Vec<u32> = table.explain(now).iter().map(|score| score.in_flight).collect();
        let pick = table.pick(now, &mut rng, |_| false).expect("a member");
        assert_eq!(Some(&loads[pick.index]), loads.iter().min());
        open.push(table.begin(pick, now));
        if step % 3 != 0 {
            let request = open.swap_remove(rng.below(open.len()));
            table.finish(request, Outcome::Success, now);
        }
    }
}

#[test]
fn a_dropped_request_only_leaves() {
    let now = Instant::now();
    let table = Arc::new(table(Strategy::HealthBased, &[1, 1], now));
    drop(Candidates::enter(Arc::clone(&table), 0.into(), now));
    let stats = table.endpoint(0).expect("a member").stats();
    assert_eq!((stats.in_flight, stats.waiting, stats.cancelled), (0, 0, 1));
    assert_eq!((stats.successes, stats.latency), (0, None));
}

#[test]
fn an_answered_stream_stays_in_flight_and_its_age_is_held_against_nobody() {
    let now = Instant::now();
    let table = table(Strategy::HealthBased, &[1, 1], now);
    for index in [0, 1, 0, 1] {
        let request = table.begin(index.into(), now);
        table.finish(request, Outcome::Success, now + 10 * MS);
    }
    let mut stream = table.begin(0.into(), now);
    let silent = table.begin(1.into(), now);
    table.answered(&mut stream, Outcome::Success, now + 10 * MS);
    let scores = table.explain(now + 1_000 * MS);
    assert_eq!((scores[0].in_flight, scores[0].sick), (1, false));
    assert!(scores[1].sick, "{scores:?}");
    table.finish(stream, Outcome::Success, now + 2_000 * MS);
    table.finish(silent, Outcome::Cancelled, now + 2_000 * MS);
    assert!(table.explain(now + 2_000 * MS).iter().all(|score| score.in_flight == 0));
}

#[test]
fn a_failing_instance_gets_trials_only_and_comes_back() {
    let start = Instant::now();
    let table = table(Strategy::HealthBased, &[1; 5], start);
    let mut rng = Rng::new(9);
    let mut run = |from: u32, to: u32, fails: bool| {
        let mut given = 0;
        for ms in from..to {
            let now = start + ms * MS;
            let pick = table.pick(now, &mut rng, |_| false).expect("a member");
            given += usize::from(pick.index == 2);
            let outcome = if fails && pick.index == 2 { Outcome::Failure } else { Outcome::Success };
            let request = table.begin(pick, now);
            table.finish(request, outcome, now + MS);
        }
        given
    };
    run(0, 5_000, false);
    let failing = run(5_000, 25_000, true);
    assert!(failing < 40, "{failing} of a fair 4,000");
    run(25_000, 35_000, false);
    let back = run(35_000, 40_000, false);
    assert!(back > 800, "{back} of a fair 1,000");
}

#[test]
fn explaining_changes_nothing_and_shares_add_up() {
    let now = Instant::now();
    for strategy in Strategy::ALL {
        for n in [3, 40] {
            let table = table(strategy, &vec![2; n], now);
            let scores = table.explain(now);
            let total: f64 = scores.iter().map(|score| score.share).sum();
            assert!((total - 1.0).abs() < 1e-6, "{strategy} {n}: {total}");
            assert_eq!(table.explain(now), scores);
        }
    }
}

#[test]
fn no_request_of_any_thread_is_lost() {
    let now = Instant::now();
    let table = table(Strategy::HealthBased, &[1; 4], now);
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let table = &table;
            scope.spawn(move || {
                let mut rng = Rng::new(seed);
                for _ in 0..10_000 {
                    let pick = table.pick(now, &mut rng, |_| false).expect("a member");
                    Candidates::enter(table, pick, now).finish(Outcome::Success, now + MS);
                }
            });
        }
    });
    let stats: Vec<_> = (0..4).filter_map(|i| table.endpoint(i)).map(|e| e.stats()).collect();
    assert_eq!(stats.iter().map(|s| s.successes).sum::<u64>(), 40_000);
    assert!(stats.iter().all(|s| s.in_flight == 0 && s.waiting == 0));
}
