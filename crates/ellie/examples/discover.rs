//! Three instances of a service register, are checked, and are found: all of them, those with certain tags, or one.
//!
//!     cargo run -p ellie --example discover

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use ellie::{Ellie, ServiceInfo};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ellie = Ellie::builder().ephemeral().start().await?;

    for (number, tags) in
        [(1, ["backend", "production"]), (2, ["backend", "production"]), (3, ["backend", "staging"])]
    {
        // The body of a health check may tell more than the status of the answer; ellie reads it.
        let health = format!(r#"{{"status": "healthy", "uptime": 60, "version": "1.{number}.0"}}"#);
        let address = common::serve(move |request| {
            let body = match request.uri().path() {
                "/health" => health.clone(),
                _ => format!("users-{number}"),
            };
            async { common::answer(200, body) }
        })
        .await?;
        let service = ServiceInfo::new("users", address.ip().to_string(), address.port())
            .id(format!("users-{number}"))
            .health_endpoint("/health")
            .tags(tags)
            .metadata("environment", tags[1]);
        ellie.discovery.register_service(service).await?;
    }

    // A new instance gets no traffic before its first check has passed; that check is sent at once.
    let mut changes = ellie.discovery.watch("users")?;
    while ellie.discovery.discover_services("users").len() < 3 {
        changes.next().await;
    }
    println!("{} instances are healthy", ellie.discovery.discover_services("users").len());

    let production = ellie.discovery.discover_services_with_tags("users", &["backend", "production"]);
    println!("{} of them are in production", production.len());

    // The lease counts as a request in flight until it is told how the request ended: that is what the balancer learns
    // from.
    let mut answered = BTreeMap::<String, u32>::new();
    for _ in 0..300 {
        let lease = ellie.balancer.get_service_instance("users")?;
        let result = common::get(lease.authority(), "/").await;
        match result {
            Ok((200, _)) => lease.succeeded(),
            _ => lease.failed(),
        }
        *answered.entry(result?.1).or_default() += 1;
    }
    println!("answered 300 requests: {answered:?}");

    ellie.discovery.deregister_service("users", "users-3").await?;
    println!("{} are left after one was deregistered", ellie.discovery.discover_services("users").len());

    ellie.shutdown(Duration::from_secs(5)).await;
    Ok(())
}
