//! The data plane: an HTTP/1.1 gateway that routes, balances, breaks and retries.
//!
//! Two halves meet in [`table`]:
//!
//! * *control* compiles what is registered and which routes there are into an immutable [`table::Table`]: [`route`],
//!   [`matcher`], [`cluster`] (the live side of services: balancer, breaker, outliers, retry budget), [`limits`],
//!   [`explain`], [`metrics`], [`compile`];
//! * *wire* moves bytes: [`h1`] (an engine without I/O), `forward` (one request), `upstream` (connections to
//!   instances), `worker` (one thread) and [`Gateway`] (all of them).
//!
//! A request loads the table once and asks nobody else: not the registry, not the configuration.
#![forbid(unsafe_code)]

mod access;
pub mod cluster;
pub mod compile;
mod config;
pub mod explain;
mod forward;
mod gateway;
pub mod h1;
mod io;
pub mod limits;
pub mod matcher;
pub mod metrics;
pub mod problem;
pub mod route;
pub mod table;
mod upstream;
mod worker;

pub use config::{AccessLog, Config, Live, TrustedProxies};
pub use gateway::Gateway;
