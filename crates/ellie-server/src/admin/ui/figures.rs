//! The figures of one second as sent: the sampler's, and what only an open page makes worth gathering.

use super::super::state::AdminState;
use super::super::wire;
use super::meter::hundredths;
use super::sampler::Sample;
use ellie::policy::balance::EndpointStats;
use ellie::policy::breaker::State;
use ellie_api::ui::{BreakerFigures, InstanceFigures, Tick, flag};
use ellie_core::Now;
use ellie_gateway::cluster::{Cluster, Figures};
use std::collections::{BTreeMap, HashMap};

/// After so many seconds an answer counts 1/e in an instance's share.
const MEMORY: f32 = 5.0;
/// So little is left of the last answer after some ten seconds.
const QUIET: f32 = 0.1;

/// One instance as last seen.
#[derive(Clone, Copy, Debug)]
struct Seen {
    ended: u64,
    /// Answers of the last seconds, fading.
    lately: f32,
    rps: f32,
}

/// What instances had answered at the last tick, by incarnation.
#[derive(Debug, Default)]
pub(super) struct Instances {
    seen: HashMap<u64, Seen>,
    at: Option<Now>,
}

fn ended(stats: &EndpointStats) -> u64 {
    stats.successes + stats.failures + stats.timeouts
}

impl Instances {
    fn of(
        &mut self,
        cluster: &Cluster,
        now: Now,
        seconds: f32,
        next: &mut HashMap<u64, Seen>,
    ) -> BTreeMap<String, InstanceFigures> {
        let figures = cluster.figures(now.instant);
        let keep = (-seconds / MEMORY).exp();
        let mut looked = Vec::with_capacity(figures.len());
        for (entry, figures) in cluster.entries().iter().zip(&figures) {
            let (identity, done) = (entry.upstream.identity, ended(&figures.endpoint));
            let seen = match self.seen.get(&identity) {
                Some(was) => {
                    let new = done.saturating_sub(was.ended) as f32;
                    Seen { ended: done, lately: was.lately * keep + new, rps: new / seconds }
                }
                // What it did before anybody looked is not what it does now.
                None => Seen { ended: done, lately: 0.0, rps: 0.0 },
            };
            next.insert(identity, seen);
            looked.push(seen);
        }
        let all: f32 = looked.iter().map(|seen| seen.lately).sum();
        let rows = cluster.entries().iter().zip(&figures).zip(looked);
        rows.filter(|((entry, figures), seen)| {
            entry.member.is_some() || figures.endpoint.in_flight > 0 || seen.lately > QUIET
        })
        .map(|((entry, figures), seen)| (entry.upstream.id.to_string(), sent(figures, seen, all)))
        .collect()
    }
}

fn sent(f: &Figures, seen: Seen, all: f32) -> InstanceFigures {
    let share = if all > QUIET { f64::from(seen.lately / all) } else { 0.0 };
    let flags = [(f.sick, flag::SICK), (f.ejected, flag::EJECTED), (f.ramping, flag::RAMPING)];
    InstanceFigures(
        hundredths(f64::from(seen.rps)),
        f.endpoint.in_flight,
        f.endpoint.latency.map(|latency| hundredths(latency.as_secs_f64() * 1e3)),
        wire::ratio(f.endpoint.failure_rate),
        wire::ratio(share),
        wire::ratio(f.expected),
        flags.iter().filter(|(is, _)| *is).map(|(_, bit)| bit).sum(),
    )
}

/// The event `tick`.
pub(super) fn tick(state: &AdminState, sample: &Sample, instances: &mut Instances) -> Tick {
    let now = sample.now;
    let before = instances.at.replace(now);
    let seconds =
        before.map_or(1.0, |at| now.instant.saturating_duration_since(at.instant).as_secs_f32()).max(0.001);
    let set = state.ellie().gateway.table().clusters().current();
    let mut next = HashMap::new();
    let of_services = sample.services.keys().filter_map(|name| {
        let figures = instances.of(set.get(name)?, now, seconds, &mut next);
        Some((name.clone(), figures))
    });
    let of_services = of_services.collect();
    instances.seen = next;
    Tick {
        at: wire::time(now.wall),
        total: sample.total,
        connections: sample.connections,
        checks: sample.checks,
        memory: sample.memory,
        services: sample.services.clone(),
        instances: of_services,
        routes: sample.routes.clone(),
        breakers: breakers(state, now),
    }
}

/// Those that are not simply closed and without failures.
fn breakers(state: &AdminState, now: Now) -> BTreeMap<String, BreakerFigures> {
    let all = state.ellie().gateway.table().clusters().breakers();
    let default = all.default_config();
    let mut out = BTreeMap::new();
    all.visit(|named| {
        let s = named.breaker.snapshot(now.instant);
        if s.state == State::Closed && s.forced.is_none() && s.failures == 0 && s.opened_total == 0 {
            return;
        }
        let config = named.breaker.config();
        let b = wire::breaker(None, &s, &config, now);
        let figures = BreakerFigures {
            state: b.state,
            failures: b.failures,
            calls: b.calls,
            failure_rate: b.failure_rate,
            probes_in_flight: b.probes_in_flight,
            probe_successes: b.probe_successes,
            retry_in: b.retry_in,
            opened_for: b.opened_for,
            rejected: b.totals.rejected,
            opened: b.totals.opened,
            forced: b.forced,
            last_transition: b.last_transition,
            config: (config != default).then_some(b.config),
        };
        out.insert(named.name.to_string(), figures);
    });
    out
}
