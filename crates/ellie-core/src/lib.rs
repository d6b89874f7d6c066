//! The service registry as pure state: what is registered, how it fares, and who may be sent traffic.
//!
//! Nothing here does I/O, speaks HTTP or writes JSON. [`registry::Registry`] takes a [`Command`] and the
//! current [`time::Now`] and publishes an immutable [`registry::Snapshot`]; everything else reads snapshots.
#![forbid(unsafe_code)]

pub mod dependencies;
pub mod discovery;
pub mod journal;
pub mod model;
pub mod registry;
pub mod time;

pub use model::{Fault, InstanceId, Registration, ServiceName, Source, Status};
pub use registry::{Command, Registry, Snapshot};
pub use time::Now;
