//! The health checker alone, for measuring: registers COUNT instances, spread over the addresses given, and checks them
//! until it is ended. Prints its statistics once a second. `bench/health` drives it.
//!
//!     checker COUNT INTERVAL_MS THREADS KIND ADDRESS…        KIND is http, tcp or grpc; THREADS 0: the current one

use ellie_core::journal::Journal;
use ellie_core::model::{Actor, CheckDraft, Draft};
use ellie_core::{Command, Now, Registry, Source, registry};
use ellie_health::{HealthChecker, Settings};
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [count, interval, threads, kind, addresses @ ..] = args.as_slice() else {
        return Err("usage: checker COUNT INTERVAL_MS THREADS KIND ADDRESS…".into());
    };
    let addresses = addresses.iter().map(|a| a.parse()).collect::<Result<Vec<SocketAddr>, _>>()?;
    let threads: usize = threads.parse()?;
    let mut runtime = match threads {
        0 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = runtime.worker_threads(threads.max(1)).enable_all().build()?;
    runtime.block_on(run(count.parse()?, interval.parse()?, kind, &addresses))
}

async fn run(
    count: usize,
    interval: u64,
    kind: &str,
    addresses: &[SocketAddr],
) -> Result<(), Box<dyn Error>> {
    let registry = Arc::new(Registry::new(registry::Settings::default(), Arc::new(Journal::default())));
    let mut commands = Vec::with_capacity(count);
    for (n, address) in addresses.iter().cycle().take(count).enumerate() {
        let draft = Draft {
            name: Some(format!("service-{}", n / 20)),
            id: Some(format!("i{n}")),
            host: Some(address.ip().to_string()),
            port: Some(i128::from(address.port())),
            check: Some(CheckDraft {
                kind: Some(kind.into()),
                path: (kind == "http").then(|| "/health".into()),
                ..CheckDraft::default()
            }),
            ..Draft::default()
        };
        let registration = Arc::new(draft.validate().map_err(|faults| format!("{faults:?}"))?);
        let actor = Actor::new("bench");
        commands.push(Command::Register { registration, source: Source::Config, actor });
    }
    registry.apply_all(commands, Now::read())?;
    let settings = Settings { interval: Duration::from_millis(interval), ..Settings::default() };
    let checker =
        Arc::new(HealthChecker::new(registry.clone(), settings, ellie_tls::client::Client::default())?);
    let running = tokio::spawn({
        let checker = checker.clone();
        async move { checker.run(CancellationToken::new()).await }
    });
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    while !running.is_finished() {
        tick.tick().await;
        let (s, counts) = (checker.stats(), registry.snapshot().counts);
        println!(
            "checks {} failed {} retried {} late {} lag_max_ms {} in_flight {} kept {} healthy {} mean_us {}",
            s.checks_total,
            s.failed_total,
            s.retried_total,
            s.late_total,
            s.lag_max.as_millis(),
            s.in_flight,
            s.kept_connections,
            counts.healthy,
            s.kinds.iter().map(|k| k.took.as_micros()).sum::<u128>() / u128::from(s.checks_total.max(1)),
        );
    }
    Ok(())
}
