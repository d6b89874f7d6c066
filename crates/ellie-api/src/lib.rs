//! Wire types of ellie's HTTP API: what is sent and received, nothing else.
//!
//! Field names are camelCase, times are RFC 3339 in UTC, durations are integer milliseconds, arrays and maps are never
//! null. Types that are received by clients ignore fields they do not know, so an older client reads a newer server;
//! the server itself refuses unknown fields, by its own parser.
#![forbid(unsafe_code)]

pub mod breaker;
pub mod event;
pub mod health;
pub mod instance;
pub mod problem;
pub mod process;
pub mod provider;
pub mod reload;
pub mod request;
pub mod resolve;
pub mod route;
pub mod service;
pub mod stats;
pub mod ui;

pub use breaker::{Breaker, BreakerState, Breakers};
pub use event::{Change, Event, Events, Resync};
pub use health::{Health, OwnHealth, ServiceHealth};
pub use instance::{Instance, Status};
pub use problem::{FieldError, Problem};
pub use process::{LogLine, Logs, Process, Processes};
pub use provider::Providers;
pub use reload::Reloaded;
pub use request::Registration;
pub use resolve::Resolved;
pub use route::{RateLimit, Route, Routes};
pub use service::{Registered, Service, ServiceDetail, Services};
pub use stats::Stats;

/// The response header that carries the index an answer was made at, for the next `?index=`.
pub const INDEX_HEADER: &str = "x-ellie-index";
