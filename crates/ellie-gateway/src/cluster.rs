//! The live side of services: who gets the next request, whether anyone may, and how it went.
//!
//! A [`Cluster`] is one service as compiled from a registry snapshot: immutable, replaced as a whole when the service
//! changes. What lives on beneath it (breaker, scores, requests in flight, retry budget, counters) is shared by `Arc`
//! and handed from each cluster to the next, so no reload resets it. Library and gateway use the same clusters.

mod attempt;
mod breakers;
mod compiled;
mod live;
mod outcome;
mod set;
mod settings;
mod stats;

pub use attempt::Attempt;
pub use breakers::{Breakers, Full, Named, NotFound};
pub use compiled::{Census, Cluster, Entry, MAX_SUBSETS};
pub use live::Upstream;
pub use outcome::{Outcome, Refusal};
pub use set::{Clusters, Set, Strategies};
pub use settings::Settings;
pub use stats::{Figures, InstanceStats, ServiceStats};
