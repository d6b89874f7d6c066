//! Picks and breakers of `ellie-policy` beside the crates one would take instead, in one run in
//! which the contestants take turns, so that a noisy machine disturbs all alike.
//! `cargo run --release` prints the tables.

use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ellie_policy::Rng;
use ellie_policy::balance::{Candidates, Endpoint, Member, Outcome, Service as State, Strategy};
use ellie_policy::breaker::{self, Breaker};
use failsafe::CircuitBreaker as _;
use futures_util::FutureExt as _;
use pingora_load_balancing::LoadBalancer;
use pingora_load_balancing::selection::{Random, RoundRobin};
use tower::Service as _;
use tower::balance::p2c::Balance;
use tower::discover::ServiceList;
use tower_resilience_circuitbreaker::CircuitBreakerLayer;
use tower::load::{CompleteOnResponse, PendingRequests};

type Contestant = (String, Box<dyn FnMut()>);

const ROUNDS: usize = 41;
const TURNS: u32 = 20_000;

/// The median over the rounds of nanoseconds a call, each round giving everyone a turn.
fn measure(mut contestants: Vec<Contestant>) -> Vec<(String, f64)> {
    let mut times = vec![Vec::new(); contestants.len()];
    for _ in 0..ROUNDS {
        for ((_, call), times) in contestants.iter_mut().zip(&mut times) {
            let start = Instant::now();
            for _ in 0..TURNS {
                call();
            }
            times.push(start.elapsed().as_nanos() as f64 / f64::from(TURNS));
        }
    }
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    contestants.into_iter().zip(times).map(|((name, _), t)| (name, median(t))).collect()
}

fn ours(strategy: Strategy, instances: usize) -> (Candidates, Instant) {
    let mut now = Instant::now();
    let service = Arc::new(State::new(1));
    let members = (0..instances)
        .map(|_| Member { endpoint: Arc::new(Endpoint::established(&service, now)), weight: 1 })
        .collect();
    let candidates = Candidates::new(strategy, service, members);
    let mut rng = Rng::new(1);
    for _ in 0..instances * 10 {
        let pick = candidates.pick(now, &mut rng, |_| false).expect("members");
        let request = candidates.begin(pick, now);
        now += Duration::from_micros(100);
        candidates.finish(request, Outcome::Success, now);
    }
    (candidates, now)
}

fn balancers(instances: usize) -> Vec<Contestant> {
    let mut all: Vec<Contestant> = Vec::new();
    for strategy in [Strategy::HealthBased, Strategy::LeastConnections, Strategy::RoundRobin, Strategy::Random] {
        let (candidates, now) = ours(strategy, instances);
        let mut rng = Rng::new(2);
        let pick = move || {
            black_box(candidates.pick(now, &mut rng, |_| false));
        };
        all.push((format!("ellie {strategy}, pick"), Box::new(pick)));
    }
    let (candidates, mut now) = ours(Strategy::HealthBased, instances);
    let mut rng = Rng::new(2);
    let request = move || {
        now += Duration::from_micros(10);
        let pick = candidates.pick(now, &mut rng, |_| false).expect("members");
        let request = candidates.begin(pick, now);
        candidates.finish(request, Outcome::Success, now + Duration::from_millis(1));
    };
    all.push(("ellie health_based, request".into(), Box::new(request)));
    for (state, busy) in [("half of them busy", Duration::from_micros(50)), ("half of them silent", Duration::from_secs(10))] {
        let (candidates, now) = ours(Strategy::HealthBased, instances);
        for index in (0..instances).step_by(2) {
            std::mem::forget(candidates.begin(index.into(), now));
        }
        let (mut rng, now) = (Rng::new(2), now + busy);
        let pick = move || {
            black_box(candidates.pick(now, &mut rng, |_| false));
        };
        all.push((format!("ellie health_based, pick, {state}"), Box::new(pick)));
    }
    // Pingora resolves and hashes its backends; 10,000 take it long, and more say nothing new.
    if instances <= 10_000 {
        let names = || (0..instances).map(|i| format!("127.0.{}.{}:80", i / 250, i % 250 + 1));
        let turns = LoadBalancer::<RoundRobin>::try_from_iter(names()).expect("addresses");
        let draws = LoadBalancer::<Random>::try_from_iter(names()).expect("addresses");
        let turn = move || {
            black_box(turns.select(b"", 16));
        };
        let draw = move || {
            black_box(draws.select(b"", 16));
        };
        all.push(("pingora round robin, select".into(), Box::new(turn)));
        all.push(("pingora random, select".into(), Box::new(draw)));
        let services: Vec<_> = (0..instances)
            .map(|_| {
                let service = tower::service_fn(|_: ()| async { Ok::<(), std::io::Error>(()) });
                PendingRequests::new(service, CompleteOnResponse::default())
            })
            .collect();
        let mut balance = Balance::new(ServiceList::new::<()>(services));
        let waker = futures_util::task::noop_waker();
        let call = move || {
            let mut context = Context::from_waker(&waker);
            if let Poll::Ready(Ok(())) = balance.poll_ready(&mut context) {
                let _ = black_box(balance.call(()).now_or_never());
            }
        };
        all.push(("tower p2c, ready and call".into(), Box::new(call)));
    }
    all
}

fn breakers() -> Vec<Contestant> {
    let now = Instant::now();
    let breaker = Breaker::new(breaker::Config::default(), now);
    let plain = move || {
        let permit = breaker.try_acquire(black_box(now)).expect("closed");
        breaker.record(permit, breaker::Outcome::Success, black_box(now));
    };
    let breaker = Breaker::new(breaker::Config::default(), now);
    let clocked = move || {
        let permit = breaker.try_acquire(Instant::now()).expect("closed");
        breaker.record(permit, breaker::Outcome::Success, Instant::now());
    };
    let other = failsafe::Config::new().build();
    let failsafe = move || {
        let _ = black_box(other.call(|| Ok::<(), ()>(())));
    };
    let layer = CircuitBreakerLayer::builder().build().expect("the defaults are valid");
    let mut guarded = layer.layer_fn(tower::service_fn(|_: ()| async { Ok::<(), std::io::Error>(()) }));
    // Its service awaits a lock that is always free here, and the call is ready when first polled.
    let waker = futures_util::task::noop_waker();
    let tower_resilience = move || {
        let mut context = Context::from_waker(&waker);
        if let Poll::Ready(Ok(())) = guarded.poll_ready(&mut context) {
            let answer = guarded.call(()).now_or_never();
            assert!(matches!(black_box(answer), Some(Ok(()))), "closed, and nothing to wait for");
        }
    };
    vec![
        ("ellie, instants given".into(), Box::new(plain)),
        ("ellie, two clock readings".into(), Box::new(clocked)),
        ("failsafe, call".into(), Box::new(failsafe)),
        ("tower-resilience, ready and call".into(), Box::new(tower_resilience)),
    ]
}

fn main() {
    println!("| balancers, ns | instances | median | of ellie health_based |\n|---|--:|--:|--:|");
    for instances in [2, 10, 16, 100, 1_000, 10_000, 100_000] {
        let results = measure(balancers(instances));
        let base = results[0].1;
        for (name, time) in results {
            println!("| {name} | {instances} | {time:.1} | {:.2} |", time / base);
        }
    }
    println!("\n| breakers on the closed path, ns | median |\n|---|--:|");
    for (name, time) in measure(breakers()) {
        println!("| {name} | {time:.1} |");
    }
}
