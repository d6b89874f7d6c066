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

/// One instance's figures as a picture of all of them shows them, many times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// As the balancer sees it.
    pub endpoint: EndpointStats,
    /// Its intended share of traffic, 0 to 1: by weight among those that get traffic, a newcomer's as far as it has
    /// grown. 0 while it is sick or ejected.
    pub expected: f64,
    /// Health based balancing gives it trials only.
    pub sick: bool,
    /// It is ejected as an outlier.
    pub ejected: bool,
    /// It is new, and its share still grows.
    pub ramping: bool,
}

impl Cluster {
    /// Each instance's figures, in the order of [`Self::entries`]. Looks only, in time linear in their number.
    #[must_use]
    pub fn figures(&self, now: Instant) -> Vec<Figures> {
        let scores = self.candidates.look(now);
        let ejected: Vec<bool> = (0..scores.len()).map(|i| self.ejected_for(i, now).is_some()).collect();
        let weight = |place: usize| {
            let score = &scores[place];
            // Where nobody has a weight, all count alike.
            let own = f64::from(score.weight.max(1)) * score.ramp;
            if score.eligible && !score.sick && !ejected[place] { own } else { 0.0 }
        };
        let total: f64 = (0..scores.len()).map(weight).sum();
        let figures = |e: &super::Entry| {
            let score = e.member.map(|place| &scores[place]);
            Figures {
                endpoint: e.upstream.stats(),
                expected: e.member.map_or(0.0, |place| if total > 0.0 { weight(place) / total } else { 0.0 }),
                sick: score.is_some_and(|s| s.sick),
                ejected: e.member.is_some_and(|place| ejected[place]),
                ramping: score.is_some_and(|s| s.ramp < 1.0),
            }
        };
        self.entries().iter().map(figures).collect()
    }

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
