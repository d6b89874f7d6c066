//! Service discovery, health checks, load balancing, circuit breaking and an API gateway inside a Rust program.
//!
//! [`Ellie`] wires five parts that share one registry and need no server, no other process and no network beyond the
//! services themselves:
//!
//! * [`ServiceDiscovery`]: who is there. Registration, leases, operators' decisions, watches.
//! * [`HealthCheckService`]: how they fare.
//! * [`LoadBalancer`]: whom to call now.
//! * [`CircuitBreakerManager`]: whether to call at all.
//! * [`ApiGateway`]: an HTTP gateway in front of them.
//!
//! [`ServiceManager`] starts the services themselves, where they are to run beside the program.
//!
//! Each is cheap to clone and safe to share. The algorithms are in [`policy`], which can be used alone.
//!
//! # Register and discover
//! ```
//! use ellie::{Ellie, ServiceInfo};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let ellie = Ellie::builder().ephemeral().start().await?;
//!
//! let service_info = ServiceInfo::new("service-name", "localhost", 3001)
//!     .id("unique-service-id")
//!     .version("1.0.0")
//!     .protocol("http")
//!     .tags(["api", "backend"])
//!     .dependencies(["redis", "database"])
//!     .metadata("environment", "production")
//! #   .check(ellie::CheckDraft { kind: Some("none".into()), ..Default::default() });
//! # let _shown = ServiceInfo::new("service-name", "localhost", 3001)
//!     .health_endpoint("/health");
//! let registered = ellie.discovery.register_service(service_info).await?;
//! assert_eq!(registered.instance.registration.id.as_str(), "unique-service-id");
//!
//! // All instances that may be sent traffic; those with certain tags; one, chosen by the load balancer.
//! let services = ellie.discovery.discover_services("service-name");
//! let backend = ellie.discovery.discover_services_with_tags("service-name", &["backend"]);
//! assert_eq!((services.len(), backend.len()), (1, 1));
//! let lease = ellie.balancer.get_service_instance("service-name")?;
//! assert_eq!(lease.url("/users"), "http://localhost:3001/users");
//! lease.succeeded();
//!
//! ellie.shutdown(std::time::Duration::from_secs(5)).await;
//! # Ok(()) }
//! # tokio::runtime::Runtime::new()?.block_on(run())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Health
//! ```
//! # use ellie::{Ellie, ServiceInfo, Status};
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! # let ellie = Ellie::builder().ephemeral().start().await?;
//! # let quiet = ellie::CheckDraft { kind: Some("none".into()), ..Default::default() };
//! # ellie.discovery.register_service(ServiceInfo::new("api", "localhost", 3001).id("service-id").check(quiet)).await?;
//! let system_health = ellie.health.get_system_health();
//! assert_eq!(system_health.status, Status::Healthy);
//!
//! // By the name of a service or the id of an instance.
//! let service_health = ellie.health.get_service_health("service-id").ok_or("not registered")?;
//! assert_eq!(service_health.status, Status::Healthy);
//! # Ok(()) }
//! # tokio::runtime::Runtime::new()?.block_on(run())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Circuit breakers
//! ```
//! # use ellie::{Ellie, breaker};
//! # async fn external_api_call() -> Result<String, std::io::Error> { Ok("answer".into()) }
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! # let ellie = Ellie::builder().ephemeral().start().await?;
//! let result = ellie.breakers.execute("external-api", async || external_api_call().await).await?;
//! assert_eq!(result, "answer");
//! assert_eq!(ellie.breakers.state("external-api"), breaker::State::Closed);
//! # Ok(()) }
//! # tokio::runtime::Runtime::new()?.block_on(run())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Strategies
//! ```
//! # use ellie::{Ellie, LoadBalancingStrategy};
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! # let ellie = Ellie::builder().ephemeral().start().await?;
//! ellie.balancer.set_strategy(LoadBalancingStrategy::HealthBased, None)?;
//! ellie.balancer.set_strategy(LoadBalancingStrategy::LeastConnections, Some("reports"))?;
//! # Ok(()) }
//! # tokio::runtime::Runtime::new()?.block_on(run())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Gateway
//! ```
//! # use ellie::{Ellie, RouteInfo};
//! # use std::time::Duration;
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! # let ellie = Ellie::builder().ephemeral().start().await?;
//! ellie.gateway.register_route(
//!     RouteInfo::new("/api/users/*", "user-service")
//!         .method("GET")
//!         .target_path("/users")
//!         .timeout(Duration::from_secs(10))
//!         .rate_limit(100, Duration::from_secs(60)),
//! )?;
//! let address = ellie.gateway.start("127.0.0.1:0".parse()?).await?;
//! println!("the gateway listens on {address}");
//! # ellie.shutdown(Duration::from_secs(1)).await;
//! # Ok(()) }
//! # tokio::runtime::Runtime::new()?.block_on(run())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Service dependencies
//! ```
//! # use ellie::{Ellie, ServiceManager, supervisor::{Check, Definition, status::Goal}};
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! # let ellie = Ellie::builder().ephemeral().start().await?;
//! # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//! # let redis = Check::Tcp(listener.local_addr()?.to_string().parse()?);
//! # let command = ["sleep", "60"];
//! let manager = ServiceManager::new(&ellie, [
//!     Definition::new("user-service", command).dependencies(["database", "redis", "auth-service"]),
//!     Definition::new("auth-service", command).dependencies(["database"]),
//!     Definition::new("database", command),
//!     Definition::external("redis", redis),
//! ])?;
//! let order = [vec!["database", "redis"], vec!["auth-service"], vec!["user-service"]];
//! assert_eq!(manager.plan().waves(), order);
//!
//! manager.up().await?;
//! manager.wait("user-service", Goal::Healthy, None).await?;
//! manager.down().await;
//!
//! let circle = [
//!     Definition::new("a", command).dependencies(["b"]),
//!     Definition::new("b", command).dependencies(["a"]),
//! ];
//! let refused = ServiceManager::new(&ellie, circle).unwrap_err();
//! assert!(refused.to_string().contains("a → b → a"));
//! # Ok(()) }
//! # tokio::runtime::Runtime::new()?.block_on(run())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod balancer;
pub mod breaker;
pub mod discovery;
pub mod gateway;
pub mod health;
pub mod manager;
mod service_info;
mod settings;
mod system;
mod watch;

pub use ellie_core as core;
pub use ellie_gateway as data_plane;
pub use ellie_health as health_checks;
pub use ellie_policy as policy;
pub use ellie_store as store;
pub use ellie_supervisor as supervisor;

/// Batches of registrations and deregistrations.
pub mod batch {
    pub use crate::discovery::{Applied, Item};
}

pub use balancer::{Lease, LoadBalancer};
pub use breaker::CircuitBreakerManager;
pub use discovery::ServiceDiscovery;
pub use ellie_core::model::{Actor, CheckDraft, CheckReport, Draft, Instance, Mark, Operator, Protocol};
pub use ellie_core::registry::{Cause, Change, ChangeKind, Command, Operation, Registry, Rejected, Snapshot};
pub use ellie_core::{Fault, InstanceId, Now, Registration, ServiceName, Source, Status};
pub use ellie_policy::balance::Strategy as LoadBalancingStrategy;
pub use gateway::{ApiGateway, RouteInfo};
pub use health::HealthCheckService;
pub use manager::{ServiceDefinition, ServiceManager};
pub use service_info::{IntoRegistration, ServiceInfo};
pub use settings::Settings;
pub use system::{Builder, Ellie, Shutdown, StartError};
pub use watch::{Update, Watch};
