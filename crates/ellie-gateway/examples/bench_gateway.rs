//! A gateway in front of two instances on ports 9001 and 9002, for `bench/gateway`: `PORT` and `THREADS` in the
//! environment, every feature on that a route has by default.
#![allow(clippy::disallowed_methods, reason = "an example reads its own environment")]

use ellie_core::model::{Actor, CheckDraft, Draft, Source};
use ellie_core::{Command, Now, Registry};
use ellie_gateway::cluster::{Clusters, Settings};
use ellie_gateway::route::{self, Routes};
use ellie_gateway::table::{Defaults, TableHandle};
use ellie_gateway::{Config, Gateway};
use std::sync::Arc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let number =
        |name: &str, default: u16| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default);
    let registry = Arc::new(Registry::new(ellie_core::registry::Settings::default(), Arc::default()));
    let now = Now::read();
    for port in [9001, 9002] {
        let draft = Draft {
            name: Some("be".into()),
            host: Some("127.0.0.1".into()),
            port: Some(port),
            check: Some(CheckDraft { kind: Some("none".into()), ..CheckDraft::default() }),
            id: Some(format!("be-{port}")),
            ..Draft::default()
        };
        let registration = Arc::new(draft.validate().map_err(|faults| format!("{faults:?}"))?);
        let command = Command::Register { registration, source: Source::Config, actor: Actor::new("bench") };
        registry.apply(command, now).map_err(|e| e.to_string())?;
    }
    let mut settings = Settings::default();
    if let Ok(strategy) = std::env::var("STRATEGY") {
        settings.strategy = strategy.parse().map_err(|e| format!("{e}"))?;
    }
    let clusters = Arc::new(Clusters::new(registry, settings, 1, now.instant));
    let routes = Arc::new(Routes::new(Arc::default()));
    let draft = route::Draft {
        path: Some("/*".into()),
        service_name: Some("be".into()),
        target_path: Some("/".into()),
        timeout: Some(60_000),
        ..route::Draft::default()
    };
    routes
        .add(draft.validate().map_err(|f| format!("{f:?}"))?, false, Source::Config, "bench", now)
        .map_err(|e| e.to_string())?;
    let table = Arc::new(TableHandle::new(clusters, routes, Defaults::default(), now.instant));
    let mut config = Config::new(([127, 0, 0, 1], number("PORT", 8000)).into());
    config.threads = number("THREADS", 1).into();
    let gateway = Gateway::start(config, table)?;
    println!("listening at {}", gateway.local_addr());
    loop {
        std::thread::park();
    }
}
