//! Health checks: what is registered is probed, and the registry is told.
//!
//! A [`HealthChecker`] follows a registry. Each instance with an active check (`http`, `tcp`, `grpc`) is probed at
//! once when it is new, and then once an interval; `ttl` and `none` are passive and never probed. A probe's answer
//! becomes a verdict: the `status` of a body in the specification's health response format decides, without one 2xx
//! is healthy and all else is not. Verdicts pass through thresholds before they become a status: by default two
//! failures in a row make an instance unhealthy and one success makes it healthy, so one slow probe flips nothing. A
//! degraded answer is worse than a healthy one and better than an unhealthy one, and needs the same runs: a failure
//! followed by a degraded answer makes a healthy instance degraded. The first probe decides at once.
//!
//! ```no_run
//! # async fn example(registry: std::sync::Arc<ellie_core::Registry>) -> Result<(), ellie_health::Invalid> {
//! use ellie_health::{HealthChecker, Settings};
//! use tokio_util::sync::CancellationToken;
//!
//! let checker = HealthChecker::new(registry, Settings::default(), ellie_tls::client::Client::default())?;
//! let stop = CancellationToken::new();
//! checker.run(stop).await;
//! # Ok(()) }
//! ```
//!
//! # Fairness
//! At most [`Settings::concurrency`] probes are in flight. An instance that never answers holds its place for a whole
//! timeout; thousands of them hold up neither those that answer (they have places of their own, by the outcome of the
//! last probe) nor new ones, nor other services (of what is due, the service with the fewest probes in flight goes
//! first).
//!
//! # Cost
//! The whole checker is one task. An instance costs an entry in one ordered set of deadlines and, where its server
//! keeps connections alive, one socket that nothing runs for between probes. The process needs more open files than
//! [`Settings::kept_connections`]; where it runs out of them, probes are inconclusive and change no status.
#![forbid(unsafe_code)]

mod checker;
mod engine;
mod fair;
mod probe;
mod prober;
mod roster;
mod schedule;
mod settings;
mod stats;
mod target;
mod verdict;

pub use checker::{HealthChecker, Refused};
pub use prober::Prober;
pub use settings::{Invalid, Settings};
pub use stats::{KindStats, Stats};
