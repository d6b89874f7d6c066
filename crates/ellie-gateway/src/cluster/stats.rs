//! Figures for people and for metrics.

use super::Cluster;
use crate::metrics::ServiceTotals;
use ellie_core::InstanceId;
use ellie_core::discovery::{Level, Standing};
use ellie_policy::balance::{EndpointStats, Strategy};
use ellie_policy::{balance, retry_budget};
use std::time::{Duration, Instant};

/// One instance's figures.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceStats {
    /// Which.
    pub id: InstanceId,
    /// Whether it gets traffic.
    pub standing: Standing,
    /// As the balancer sees it.
    pub endpoint: EndpointStats,
    /// How much longer it is ejected.
    pub ejected_for: Option<Duration>,
}

/// One service's figures.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceStats {
    /// The strategy in force.
    pub strategy: Strategy,
    /// Which instances get traffic.
    pub level: Level,
    /// How many get traffic.
    pub members: usize,
    /// As the balancer sees the service.
    pub balance: balance::ServiceStats,
    /// Retries.
    pub retry_budget: retry_budget::Snapshot,
    /// Requests.
    pub totals: ServiceTotals,
    /// Each instance, by id.
    pub instances: Vec<InstanceStats>,
}

impl Cluster {
    /// Its figures now. Looks only.
    #[must_use]
    pub fn stats(&self, now: Instant) -> ServiceStats {
        ServiceStats {
            strategy: self.strategy(),
            level: self.level(),
            members: self.members.len(),
            balance: self.live.balance.stats(),
            retry_budget: self.budget.snapshot(now),
            totals: self.totals(now),
            instances: self
                .entries()
                .iter()
                .map(|e| InstanceStats {
                    id: e.upstream.id.clone(),
                    standing: e.standing,
                    endpoint: e.upstream.stats(),
                    ejected_for: self.detector.as_ref().and_then(|_| e.upstream.ejected_for(now)),
                })
                .collect(),
        }
    }

    /// Its requests. Looks only.
    #[must_use]
    pub fn totals(&self, now: Instant) -> ServiceTotals {
        self.live.stats.totals(now)
    }
}
