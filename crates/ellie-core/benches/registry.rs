//! A registration costs what it touches: its time at 100 and at 100,000 registered instances.
#![allow(missing_docs)]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ellie_core::model::{Actor, Draft, Source};
use ellie_core::registry::Settings;
use ellie_core::{Command, Now, Registry};
use std::hint::black_box;
use std::sync::Arc;

fn register(n: usize) -> Command {
    let draft = Draft {
        name: Some(format!("service-{}", n % 500)),
        id: Some(format!("instance-{n}")),
        host: Some("10.0.0.1".into()),
        port: Some(80),
        tags: vec!["api".into()],
        ..Draft::default()
    };
    let registration = Arc::new(draft.validate().expect("valid"));
    Command::Register { registration, source: Source::Api, actor: Actor::new("bench") }
}

fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("register");
    for size in [100, 1_000, 10_000, 100_000] {
        let registry = Registry::new(Settings::default(), Arc::default());
        let now = Now::read();
        for n in 0..size {
            registry.apply(register(n), now).expect("room");
        }
        let mut n = 0;
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter_batched(
                || {
                    n = (n + 7919) % size;
                    register(n)
                },
                |command| black_box(registry.apply(command, now)),
                criterion::BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
