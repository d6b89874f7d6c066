//! A gateway inside the program: a path, a rate limit, and an instance that fails without a caller noticing.
//!
//!     cargo run -p ellie --example gateway

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use ellie::{Ellie, RouteInfo, ServiceInfo};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ellie = Ellie::builder().ephemeral().start().await?;

    for (id, status) in [("sound-1", 200), ("sound-2", 200), ("broken", 503)] {
        let address = common::serve(move |request| {
            // Its health endpoint claims that all is well, as those of failing services do.
            let health = request.uri().path() == "/health";
            let body = format!("{id} was asked for {}", request.uri().path());
            async move { common::answer(if health { 200 } else { status }, body) }
        })
        .await?;
        let service = ServiceInfo::new("users", address.ip().to_string(), address.port())
            .id(id)
            .health_endpoint("/health");
        ellie.discovery.register_service(service).await?;
    }
    let mut changes = ellie.discovery.watch("users")?;
    while ellie.discovery.discover_services("users").len() < 3 {
        changes.next().await;
    }

    ellie.gateway.register_route(
        RouteInfo::new("/api/users/*", "users")
            .method("GET")
            .target_path("/users")
            .timeout(Duration::from_secs(10))
            .rate_limit(100, Duration::from_secs(60)),
    )?;
    let gateway = ellie.gateway.start("127.0.0.1:0".parse()?).await?.to_string();

    println!("{}", common::get(&gateway, "/api/users/7").await?.1);
    let mut statuses = BTreeMap::<u16, u32>::new();
    for _ in 0..120 {
        *statuses.entry(common::get(&gateway, "/api/users/7").await?.0).or_default() += 1;
    }
    println!("120 more, by status: {statuses:?}");
    println!("a path without a route: {}", common::get(&gateway, "/nowhere").await?.1);

    ellie.shutdown(Duration::from_secs(5)).await;
    Ok(())
}
