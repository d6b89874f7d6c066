//! A service that registers itself, serves until it is asked to end (`Ctrl-C` or SIGTERM), deregisters, finishes what it
//! has begun, and only then exits.
//!
//!     cargo run -p ellie --example graceful_shutdown        # then press Ctrl-C
//!     cargo run -p ellie --example graceful_shutdown -- 1   # ends by itself after a second

mod common;

use std::time::Duration;

use ellie::{Ellie, RouteInfo, ServiceInfo, Source};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ellie = Ellie::builder().ephemeral().start().await?;
    let service = common::serve(|_| async { common::answer(200, "well") }).await?;

    // What is registered as the program's own is removed first when the program ends.
    let own = ellie.discovery.with_source(Source::Own);
    own.register_service(ServiceInfo::new("my-service", service.ip().to_string(), service.port())).await?;
    ellie.gateway.register_route(RouteInfo::new("/*", "my-service"))?;
    let gateway = ellie.gateway.start("127.0.0.1:0".parse()?).await?;
    println!("http://{gateway}/ answers until this program is asked to end");

    let limit = std::env::args().nth(1).and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => println!("asked to end"),
        result = tokio::signal::ctrl_c() => result?,
        () = async { tokio::time::sleep(limit.unwrap_or(Duration::MAX)).await }, if limit.is_some() => {}
    }

    let shutdown = ellie.shutdown(Duration::from_secs(30)).await;
    println!("deregistered; everything in flight was answered: {}", shutdown.drained);
    Ok(())
}
