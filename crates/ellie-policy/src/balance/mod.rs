//! Choosing the instance of a service that gets the next request.
//!
//! A [`Candidates`] is an immutable table, made when the set of instances changes. The live state
//! of an instance ([`Endpoint`]) and of a service ([`Service`]) is handed in by `Arc` and so
//! survives into the next table, whatever its strategy. A request is [`pick`](Candidates::pick)
//! (looks only), then [`begin`](Candidates::begin), then [`finish`](Candidates::finish) with an
//! [`Outcome`]; [`Guard`] does the last two and counts a dropped request as cancelled.
//!
//! Weights apply under every strategy. An instance of weight 0 gets no new request unless all
//! weights are 0, which counts as all being equal.
//!
//! | strategy | picks | cost |
//! |---|---|---|
//! | round robin, weighted round robin | the next in a smooth interleaving of the weights | O(1); O(log n) for very uneven weights |
//! | random | in proportion to the weights (alias method) | O(1) |
//! | least connections | the fewest in flight per weight; ties at random | all up to 16, above that two random ones |
//! | health based | the least cost from latency, failures, load and age, see [`health`](self#health-based) | the same |
//!
//! # Health based
//!
//! Each instance has a cost: its relative latency and failure rate, as a penalty with a dead band
//! so that ordinary noise does not disturb an even spread, times one plus its load. The cheapest
//! wins. One that is clearly worse is *sick*: it gets trials only, sparingly, and comes back with
//! its first good answers. The age of what is in flight bounds latency from below, so an instance
//! that stopped answering is seen before anything times out. Newcomers start slowly.
//!
//! Related: power of two choices (Mitzenmacher 2001), peak-EWMA (Finagle, tower), Prequal
//! (Wydrowski et al., NSDI 2024). What each term is for is said where it is computed.

mod alias;
mod candidates;
mod choice;
mod endpoint;
mod explain;
mod health;
mod healthiest;
mod inflight;
mod interleave;
mod learn;
mod least;
mod service;
mod shelves;
mod slab;
mod waits;

use std::fmt;
use std::str::FromStr;

pub use candidates::{Candidates, Member, Pick};
pub use endpoint::{Endpoint, EndpointStats};
pub use explain::Score;
pub use inflight::{Guard, InFlight};
pub use service::{Service, ServiceStats};

/// How instances are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Strategy {
    /// In turn.
    RoundRobin,
    /// The one with the fewest requests in flight.
    LeastConnections,
    /// In turn, in proportion to the weights. As weights apply under every strategy, the same as
    /// [`RoundRobin`](Self::RoundRobin).
    WeightedRoundRobin,
    /// By chance.
    Random,
    /// By latency, failures and requests in flight.
    #[default]
    HealthBased,
}

impl Strategy {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 5] =
        [Self::RoundRobin, Self::LeastConnections, Self::WeightedRoundRobin, Self::Random, Self::HealthBased];

    /// The name in snake case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::LeastConnections => "least_connections",
            Self::WeightedRoundRobin => "weighted_round_robin",
            Self::Random => "random",
            Self::HealthBased => "health_based",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is no strategy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownStrategy(String);

impl fmt::Display for UnknownStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown load balancing strategy {:?}, known are", self.0)?;
        for (i, strategy) in Strategy::ALL.iter().enumerate() {
            write!(f, "{} {strategy}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownStrategy {}

impl FromStr for Strategy {
    type Err = UnknownStrategy;

    /// Any case, words separated by `_` or `-`.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let same = |strategy: &Self| {
            let known = strategy.as_str();
            known.len() == name.len()
                && known.bytes().zip(name.bytes()).all(|(known, given)| {
                    known == given.to_ascii_lowercase() || (known == b'_' && given == b'-')
                })
        };
        Self::ALL.into_iter().find(same).ok_or_else(|| UnknownStrategy(name.chars().take(64).collect()))
    }
}

/// How a request to an instance ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was answered.
    Success,
    /// It was answered by a failure (5xx, 429), or the connection failed.
    Failure,
    /// It was not answered in time.
    Timeout,
    /// The requester went away: says nothing about the instance.
    Cancelled,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_in_any_case_with_dash_or_underscore() {
        for strategy in Strategy::ALL {
            let name = strategy.as_str();
            for written in [
                name.to_owned(),
                name.to_uppercase(),
                name.replace('_', "-"),
                name.replace('_', "-").to_uppercase(),
            ] {
                assert_eq!(written.parse(), Ok(strategy), "{written}");
            }
        }
        assert_eq!(Strategy::default(), Strategy::HealthBased);
        for wrong in ["", "roundrobin", "round__robin", "health-based ", "ip_hash"] {
            assert!(wrong.parse::<Strategy>().is_err(), "{wrong}");
        }
        let error = "best".parse::<Strategy>().unwrap_err().to_string();
        assert_eq!(
            error,
            "unknown load balancing strategy \"best\", known are round_robin, least_connections, \
             weighted_round_robin, random, health_based"
        );
    }
}
