//! What others already know of services: Docker's containers, Swarm's tasks.
//!
//! A [`Provider`] has a name and one `run(sink, stop)`. It follows its platform and tells the [`Sink`] its complete set
//! whenever that changes; it never retries, and knows neither the registry nor the other providers. The
//! [`runner::supervise`] owns the rest: restarts with back-off, and how long a set that can't be renewed is served.
//!
//! In each provider's folder `translate` is pure (a platform's answer in, offers and notes out) and `watch` does the I/O.
#![forbid(unsafe_code)]

pub mod docker;
pub mod endpoint;
mod events;
mod labels;
pub mod runner;
mod sink;
pub mod swarm;

pub use labels::Address;
pub use sink::{Failure, Note, Provider, Refusal, Set, Severity, Sink, Target};
