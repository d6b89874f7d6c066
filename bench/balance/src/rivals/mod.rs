//! What is compared.

mod oracle;
mod peak_ewma;
mod prequal;

use ellie_policy::balance::Strategy;

use crate::ours::Ours;
use crate::sim::Balancer;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    /// Knows which hosts are bad and what all balancers have in flight.
    Oracle,
    HealthBased,
    LeastConnections,
    RoundRobin,
    Random,
    LeastConnectionsAlone,
    RoundRobinAlone,
    P2c,
    PeakEwma,
    Prequal,
    PrequalAvoiding,
}

impl Policy {
    pub const ALL: [Self; 11] = [
        Self::Oracle,
        Self::HealthBased,
        Self::LeastConnections,
        Self::RoundRobin,
        Self::Random,
        Self::LeastConnectionsAlone,
        Self::RoundRobinAlone,
        Self::P2c,
        Self::PeakEwma,
        Self::Prequal,
        Self::PrequalAvoiding,
    ];

    pub fn name(&self) -> &'static str {
        match self {
            Self::Oracle => "oracle",
            Self::HealthBased => "health_based",
            Self::LeastConnections => "least_connections+outlier",
            Self::RoundRobin => "round_robin+outlier",
            Self::Random => "random+outlier",
            Self::LeastConnectionsAlone => "least_connections",
            Self::RoundRobinAlone => "round_robin",
            Self::P2c => "p2c",
            Self::PeakEwma => "p2c-peak-ewma",
            Self::Prequal => "prequal",
            Self::PrequalAvoiding => "prequal+aversion",
        }
    }

    /// A balancer over hosts of these weights.
    pub fn balancer(self, weights: &[u32], seed: u64) -> Box<dyn Balancer> {
        let hosts = weights.len();
        let ours = |strategy, ejection| Box::new(Ours::new(strategy, ejection, weights, seed));
        match self {
            Self::Oracle => Box::new(oracle::Oracle),
            Self::HealthBased => ours(Strategy::HealthBased, false),
            Self::LeastConnections => ours(Strategy::LeastConnections, true),
            Self::RoundRobin => ours(Strategy::WeightedRoundRobin, true),
            Self::Random => ours(Strategy::Random, true),
            Self::LeastConnectionsAlone => ours(Strategy::LeastConnections, false),
            Self::RoundRobinAlone => ours(Strategy::WeightedRoundRobin, false),
            Self::P2c => Box::new(peak_ewma::P2c::new(hosts, false)),
            Self::PeakEwma => Box::new(peak_ewma::P2c::new(hosts, true)),
            Self::Prequal => Box::new(prequal::Prequal::new(hosts, false)),
            Self::PrequalAvoiding => Box::new(prequal::Prequal::new(hosts, true)),
        }
    }
}
