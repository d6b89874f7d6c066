//! A registration costs what it touches: its time with 100 and with 100,000 instances registered, through the
//! registrar, with each store.
//!
//! `cargo bench -p ellie-store --bench registration`
#![allow(missing_docs)]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ellie_core::model::{Actor, Draft, Source};
use ellie_core::registry::{Registry, Settings};
use ellie_core::{Command, Now};
use ellie_store::{Embedded, Ephemeral, Registrar, Store, registrar};
use std::sync::Arc;
use tokio::runtime::Runtime;

fn register(n: usize, port: i128) -> Command {
    let draft = Draft {
        name: Some(format!("service-{}", n % 500)),
        id: Some(format!("instance-{n}")),
        host: Some("10.0.0.1".into()),
        port: Some(port),
        tags: vec!["api".into(), "backend".into()],
        metadata: [("environment".into(), "production".into())].into(),
        ..Draft::default()
    };
    let registration = Arc::new(draft.validate().expect("valid"));
    Command::Register { registration, source: Source::Api, actor: Actor::new("bench") }
}

fn filled(runtime: &Runtime, store: Box<dyn Store>, size: usize) -> Registrar {
    let registry = Arc::new(Registry::new(Settings::default(), Arc::default()));
    let registrar = Registrar::start(registry, store, registrar::Settings::default()).expect("starts");
    for from in (0..size).step_by(5_000) {
        let commands = (from..size.min(from + 5_000)).map(|n| register(n, 80)).collect();
        runtime.block_on(registrar.submit(commands)).expect("room");
    }
    registrar
}

/// `batch` registrations of other endpoints under known ids, each its own submission, all at once.
async fn burst(registrar: &Registrar, size: usize, turn: usize, batch: usize) {
    let mut tasks = tokio::task::JoinSet::new();
    for k in 0..batch {
        let registrar = registrar.clone();
        let command = register((turn * batch + k) * 7919 % size, (turn % 60_000 + 1) as i128);
        tasks.spawn(async move { registrar.submit(vec![command]).await });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("no panic").expect("accepted");
    }
}

fn bench(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("runtime");
    let _ = Now::read();
    for (name, batch) in [("ephemeral", 1), ("embedded", 1), ("embedded", 256)] {
        let mut group = c.benchmark_group(format!("registration/{name}/{batch}-at-once"));
        group.sample_size(if name == "embedded" { 20 } else { 50 });
        for size in [100, 1_000, 10_000, 100_000] {
            let directory = tempfile::tempdir().expect("a directory");
            let store: Box<dyn Store> = match name {
                "ephemeral" => Box::new(Ephemeral),
                _ => Box::new(Embedded::open(directory.path()).expect("opens")),
            };
            let registrar = filled(&runtime, store, size);
            let mut turn = 0;
            group.bench_function(BenchmarkId::from_parameter(size), |b| {
                b.iter(|| {
                    turn += 1;
                    runtime.block_on(burst(&registrar, size, turn, batch));
                });
            });
            runtime.block_on(registrar.close());
        }
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
