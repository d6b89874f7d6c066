//! One look a second at what the gateway and the checks counted. It costs what has happened, not what there is.

use super::super::state::AdminState;
use super::history::Lines;
use super::meter::{Gauge, Sum, hundredths};
use crate::metrics::process;
use ellie::policy::breaker::State as BreakerState;
use ellie_api::ui::{CheckRates, RouteRates, ServiceRates};
use ellie_core::Now;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// From one look to the next.
pub(super) const EVERY: Duration = Duration::from_secs(1);

/// What one look found.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) now: Now,
    pub(super) total: RouteRates,
    pub(super) connections: u64,
    pub(super) checks: CheckRates,
    /// MiB.
    pub(super) memory: f64,
    /// Those with traffic lately.
    pub(super) services: BTreeMap<String, ServiceRates>,
    /// Those with traffic lately.
    pub(super) routes: BTreeMap<String, RouteRates>,
}

/// What is kept from one look to the next.
#[derive(Debug)]
pub(super) struct Sampler {
    at: Now,
    total: Gauge,
    routes: HashMap<String, Gauge>,
    checks: (u64, u64),
    pub(super) lines: Lines,
}

impl Sampler {
    pub(super) fn new(now: Now) -> Self {
        Self {
            at: now,
            total: Gauge::default(),
            routes: HashMap::new(),
            checks: (0, 0),
            lines: Lines::default(),
        }
    }

    /// Looks.
    pub(super) fn sample(&mut self, state: &AdminState, now: Now) -> Sample {
        let ellie = state.ellie();
        let seconds = now.instant.saturating_duration_since(self.at.instant).as_secs_f32().max(0.001);
        self.at = now;
        let table = ellie.gateway.table();
        let stats = table.metrics().stats();
        self.total.advance(&stats.requests, seconds);

        let mut services: HashMap<&str, Sum> = HashMap::new();
        let mut routes = BTreeMap::new();
        let mut seen: HashMap<String, Gauge> = HashMap::new();
        let current = table.load();
        for route in current.routes() {
            let begun = route.stats.begun();
            let known = self.routes.remove_entry(route.id());
            // Nothing ever happened on it, or nothing is remembered.
            if begun == 0 {
                continue;
            }
            let (id, mut gauge) = known.unwrap_or_else(|| (route.id().to_owned(), Gauge::default()));
            if begun == gauge.begun && gauge.in_flight == 0 {
                gauge.rest(seconds);
            } else {
                gauge.advance(&route.stats.totals(), seconds);
                gauge.begun = begun;
            }
            if !gauge.is_quiet() {
                services.entry(route.service()).or_default().add(&gauge);
                routes.insert(id.clone(), gauge.rates(seconds));
            }
            seen.insert(id, gauge);
        }
        self.routes = seen;

        let steps = services.iter().map(|(name, sum)| (*name, sum.step)).collect();
        let breakers = table.clusters().breakers();
        self.lines.push(seconds, &self.total.step, &steps, |name| {
            breakers.get(name).map_or(0, |b| match b.state(now.instant) {
                BreakerState::Closed => 0,
                BreakerState::HalfOpen => 1,
                BreakerState::Open => 2,
            })
        });
        Sample {
            now,
            total: self.total.rates(seconds),
            connections: stats.connections,
            checks: self.checks(state, seconds),
            memory: hundredths(process::memory().used as f64 / f64::from(1 << 20)),
            services: services.iter().map(|(name, sum)| ((*name).to_owned(), sum.rates(seconds))).collect(),
            routes,
        }
    }

    fn checks(&mut self, state: &AdminState, seconds: f32) -> CheckRates {
        let stats = state.ellie().health.stats();
        let (done, failed) = std::mem::replace(&mut self.checks, (stats.checks_total, stats.failed_total));
        let rate = |now: u64, before: u64| hundredths(now.saturating_sub(before) as f64 / f64::from(seconds));
        CheckRates {
            scheduled: stats.scheduled as u64,
            in_flight: stats.in_flight as u64,
            per_second: rate(stats.checks_total, done),
            failed_per_second: rate(stats.failed_total, failed),
        }
    }
}
