//! What a request pays to find its route and instance, and what a change in a large registry costs.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use ellie_core::model::{Actor, CheckDraft, Draft as Instance, InstanceId, ServiceName};
use ellie_core::registry::{Operation, Settings as RegistrySettings};
use ellie_core::{Command, Now, Registry, Source};
use ellie_gateway::cluster::{Clusters, Outcome, Settings};
use ellie_gateway::matcher::RequestView;
use ellie_gateway::route::{Draft, Routes};
use ellie_gateway::table::{Defaults, Routed, TableHandle};
use ellie_policy::Rng;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

fn registry(services: usize, instances: usize) -> Arc<Registry> {
    let settings = RegistrySettings { max_instances: 200_000, ..RegistrySettings::default() };
    let registry = Arc::new(Registry::new(settings, Arc::default()));
    for s in 0..services {
        let commands = (0..instances).map(|i| {
            let draft = Instance {
                name: Some(format!("service-{s}")),
                id: Some(format!("i{i}")),
                host: Some("10.0.0.1".into()),
                port: Some(8000),
                check: Some(CheckDraft { kind: Some("none".into()), ..CheckDraft::default() }),
                ..Instance::default()
            };
            Command::Register {
                registration: Arc::new(draft.validate().unwrap()),
                source: Source::Api,
                actor: Actor::new("bench"),
            }
        });
        registry.apply_all(commands.collect(), Now::read()).unwrap();
    }
    registry
}

fn handle(registry: Arc<Registry>, routes: usize) -> TableHandle {
    let now = Now::read();
    let set = Arc::new(Routes::new(registry.journal().clone()));
    for r in 0..routes {
        let draft = Draft {
            path: Some(format!("/api/v{}/resource-{r}/*", r % 7)),
            service_name: Some(format!("service-{}", r % 1000)),
            target_path: Some("/resource".into()),
            methods: vec!["GET".into()],
            ..Draft::default()
        };
        set.add(draft.validate().unwrap(), false, Source::Api, "bench", now).unwrap();
    }
    let clusters = Arc::new(Clusters::new(registry, Settings::default(), 1, now.instant));
    TableHandle::new(clusters, set, Defaults::default(), now.instant)
}

fn benches(c: &mut Criterion) {
    let fields: &[(String, String)] = &[];
    for routes in [10, 1000, 10_000] {
        let handle = handle(registry(1, 1), routes);
        let paths: Vec<String> = (0..routes).map(|r| format!("/api/v{}/resource-{r}/42", r % 7)).collect();
        let mut rng = Rng::new(1);
        c.bench_function(&format!("match/{routes}"), |b| {
            b.iter(|| {
                let request = RequestView {
                    method: b"GET",
                    path: paths[rng.below(paths.len())].as_bytes(),
                    query: None,
                    host: b"localhost",
                    fields: &fields,
                    client: IpAddr::V4(Ipv4Addr::LOCALHOST),
                };
                let found = matches!(handle.load().route(black_box(&request)), Routed::Route(_));
                assert!(found);
            });
        });
    }
    let handle = handle(registry(1000, 100), 1000);
    let cluster = handle.clusters().current().get("service-7").unwrap().clone();
    let mut rng = Rng::new(1);
    let mut now = Now::read().instant;
    c.bench_function("admit and finish/100 instances", |b| {
        b.iter(|| {
            now += std::time::Duration::from_micros(10);
            cluster.note_request(now);
            let attempt = cluster.admit(now, &mut rng, &[]).unwrap();
            attempt.finish(Outcome::Status(200), now + std::time::Duration::from_micros(500));
        });
    });
    let mut weight = 1;
    c.bench_function("compile after one change/100,000 instances", |b| {
        b.iter_batched(
            || {
                weight = weight % 100 + 1;
                let command = Command::Operate {
                    name: ServiceName::new("service-7").unwrap(),
                    id: InstanceId::new("i7").unwrap(),
                    operation: Operation::Weight(Some(weight)),
                    ttl: None,
                    reason: None,
                    actor: Actor::new("bench"),
                };
                handle.clusters().registry().apply(command, Now::read()).unwrap();
            },
            |()| assert!(handle.refresh(Now::read().instant)),
            BatchSize::PerIteration,
        );
    });
}

criterion_group!(table, benches);
criterion_main!(table);
