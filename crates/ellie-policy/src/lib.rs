//! Pure decisions for calling services: whether to call ([`breaker`], [`rate_limit`],
//! [`retry_budget`]), whom to call ([`balance`], [`outlier`]), when to call again ([`backoff`])
//! and what to believe about an instance ([`threshold`]).
//!
//! Nothing here performs I/O, spawns, sleeps or reads a clock. Every decision takes the monotonic
//! instant `now`, and where chance plays a part, an [`Rng`] that can be seeded; so every behaviour
//! can be replayed by a test on a hand-moved clock. All shared state is safe to use from any
//! number of threads, and the paths that every call takes neither lock nor allocate.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use ellie_policy::breaker::{Breaker, Config, Outcome, State};
//!
//! let start = Instant::now();
//! let breaker = Breaker::new(Config { failure_threshold: 2, ..Config::default() }, start);
//! for _ in 0..2 {
//!     let permit = breaker.try_acquire(start).expect("closed");
//!     breaker.record(permit, Outcome::Failure, start);
//! }
//! assert_eq!(breaker.state(start), State::Open);
//! assert_eq!(breaker.state(start + Duration::from_secs(60)), State::HalfOpen);
//! ```
#![forbid(unsafe_code)]

pub mod backoff;
pub mod balance;
pub mod breaker;
pub mod config;
pub mod outlier;
pub mod rate_limit;
pub mod retry_budget;
mod rng;
mod shard;
mod sync;
pub mod threshold;
mod time;

pub use rng::Rng;
