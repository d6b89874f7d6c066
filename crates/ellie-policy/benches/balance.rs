//! What a pick costs, alone and with the bookkeeping of a request, as a service grows.
#![allow(missing_docs, clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ellie_policy::Rng;
use ellie_policy::balance::{Candidates, Endpoint, Member, Outcome, Service, Strategy};

const SIZES: [usize; 6] = [2, 10, 100, 1_000, 10_000, 100_000];

/// A service in the middle of its life: every instance has a history, and on average one request
/// in flight for every two instances.
fn busy(strategy: Strategy, instances: usize) -> (Candidates, Instant) {
    let start = Instant::now();
    let service = Arc::new(Service::new(1));
    let members = (0..instances)
        .map(|_| Member { endpoint: Arc::new(Endpoint::established(&service, start)), weight: 1 })
        .collect();
    let candidates = Candidates::new(strategy, service, members);
    let mut rng = Rng::new(2);
    let mut open = VecDeque::new();
    let mut now = start;
    let step = Duration::from_millis(20) / instances as u32;
    for _ in 0..instances * 30 {
        now += step;
        let pick = candidates.pick(now, &mut rng, |_| false).expect("not empty");
        open.push_back(candidates.begin(pick, now));
        if open.len() > instances / 2 {
            let request = open.pop_front().expect("just pushed");
            candidates.finish(request, Outcome::Success, now);
        }
    }
    std::mem::forget(open);
    (candidates, now)
}

fn pick(c: &mut Criterion) {
    for strategy in Strategy::ALL {
        if strategy == Strategy::WeightedRoundRobin {
            continue; // the same code as round robin
        }
        let mut group = c.benchmark_group(format!("pick/{strategy}"));
        for instances in SIZES {
            let (candidates, now) = busy(strategy, instances);
            let mut rng = Rng::new(3);
            group.bench_function(BenchmarkId::from_parameter(instances), |b| {
                b.iter(|| candidates.pick(black_box(now), &mut rng, |_| false));
            });
        }
        group.finish();
    }
}

fn request(c: &mut Criterion) {
    let mut group = c.benchmark_group("request/health_based");
    for instances in SIZES {
        let (candidates, mut now) = busy(Strategy::HealthBased, instances);
        let mut rng = Rng::new(3);
        group.bench_function(BenchmarkId::from_parameter(instances), |b| {
            b.iter(|| {
                now += Duration::from_micros(10);
                let pick = candidates.pick(now, &mut rng, |_| false).expect("not empty");
                let request = candidates.begin(pick, now);
                candidates.finish(request, Outcome::Success, now + Duration::from_millis(10));
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = pick, request
}
criterion_main!(benches);
