//! Three processes in the order of their dependencies, one of them a service behind the gateway, stopped in reverse.
//!
//!     cargo run -p ellie --example service_manager

mod common;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ellie::supervisor::{
    Check, Condition, Definition, Launcher, Port, Settings, guard, restart, status::Goal,
};
use ellie::{Ellie, RouteInfo, ServiceManager};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    // Each process runs under a guard, which is this program once more: nothing is left behind, whatever happens.
    if let Some(code) = guard::run_if_asked() {
        return Ok(code);
    }
    let runtime = tokio::runtime::Runtime::new()?;
    match std::env::args().nth(1).as_deref() {
        Some("users") => runtime.block_on(users(std::env::args().nth(2).ok_or("no port")?.parse()?))?,
        _ => runtime.block_on(run())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The service itself: it listens where it is told.
async fn users(port: u16) -> Result<(), Box<dyn Error>> {
    let address = common::serve_on(port, |request| async move {
        common::answer(200, format!("users, asked for {}", request.uri().path()))
    });
    println!("listening on {}", address.await?);
    std::future::pending().await
}

async fn run() -> Result<(), Box<dyn Error>> {
    let ellie = Ellie::builder().ephemeral().start().await?;
    let this = std::env::current_exe()?.display().to_string();
    let settings = Settings {
        launcher: Launcher::this_program(),
        environment: std::env::vars_os().collect(),
        ..Settings::default()
    };
    let users = Definition {
        // `$PORT` is filled in with the port that it is allotted.
        expand: true,
        port: Port::Allot,
        ready: Some(Check::Http("/health".parse()?)),
        ..Definition::new("users", [this.as_str(), "users", "$PORT"]).after("migrate", Condition::Completed)
    };
    let manager = ServiceManager::with_settings(
        &ellie,
        [
            Definition::new("report", ["sleep", "60"]).dependencies(["users"]),
            users,
            Definition::new("migrate", ["sh", "-c", "echo making tables"])
                .restart(restart::Policy::new(restart::When::Never)),
        ],
        settings,
        Arc::new(|_| Vec::new()),
    )?;
    println!("order: {:?}", manager.plan().waves());

    manager.up().await?;
    manager.wait("report", Goal::Healthy, Some(Duration::from_secs(30))).await?;
    for process in &manager.status().units {
        println!("{:8} {} {}", process.unit, process.phase, process.reason);
    }

    // It is a service now: found, checked, and routed to.
    ellie.gateway.register_route(RouteInfo::new("/users/*", "users"))?;
    let gateway = ellie.gateway.start("127.0.0.1:0".parse()?).await?;
    let (status, body) = common::get(&gateway.to_string(), "/users/7").await?;
    println!("GET /users/7 through the gateway: {status} {body}");

    manager.down().await;
    for process in &manager.status().units {
        println!("{:8} {} {}", process.unit, process.phase, process.reason);
    }
    println!("services left: {}", ellie.discovery.snapshot().counts.total());
    ellie.shutdown(Duration::from_secs(5)).await;
    Ok(())
}
