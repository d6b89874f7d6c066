//! From what the registry and the policies keep to what is sent.

use ellie::ServiceDiscovery;
use ellie::policy::breaker as policy;
use ellie_api::{BreakerState, Status, breaker, event, instance, resolve};
use ellie_core::Now;
use ellie_core::discovery::{Level, Standing, select};
use ellie_core::journal::Event;
use ellie_core::model::{self, CheckReport, Instance, Mark};
use ellie_core::registry::{Change, Service};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// RFC 3339 in UTC, to the millisecond.
pub(super) fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

pub(super) fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds with three digits of fraction.
pub(super) fn fine_millis(d: Duration) -> f64 {
    (d.as_secs_f64() * 1e6).round() / 1e3
}

/// A ratio with four digits of fraction, finite.
pub(super) fn ratio(x: f64) -> f64 {
    if x.is_finite() { (x * 1e4).round() / 1e4 } else { 0.0 }
}

pub(super) fn status(s: model::Status) -> Status {
    match s {
        model::Status::Healthy => Status::Healthy,
        model::Status::Degraded => Status::Degraded,
        model::Status::Unhealthy => Status::Unhealthy,
    }
}

pub(super) fn level(level: Level) -> &'static str {
    match level {
        Level::Healthy => "healthy",
        Level::Degraded => "degraded",
        Level::Panic => "panic",
    }
}

/// What converting an instance needs beside it.
#[derive(Clone)]
pub(super) struct View<'a> {
    pub(super) discovery: &'a ServiceDiscovery,
    pub(super) panic_threshold: f64,
    pub(super) now: Now,
}

impl View<'_> {
    /// An instance whose service is looked up for its standing.
    pub(super) fn instance(&self, i: &Instance) -> instance::Instance {
        let snapshot = self.discovery.snapshot();
        let standing = snapshot.service(i.registration.name.as_str()).and_then(|s| self.standing(s, i));
        self.with_standing(i, standing.unwrap_or(Standing::Unhealthy))
    }

    /// Its standing among all instances of its service.
    pub(super) fn standing(&self, service: &Service, i: &Instance) -> Option<Standing> {
        let selection = select::<&str>(service, &[], self.panic_threshold);
        selection.all.iter().find(|(other, _)| other.registration.id == i.registration.id).map(|(_, s)| *s)
    }

    pub(super) fn with_standing(&self, i: &Instance, standing: Standing) -> instance::Instance {
        let r = &i.registration;
        instance::Instance {
            id: r.id.to_string(),
            name: r.name.to_string(),
            version: r.version.clone(),
            host: r.host.clone(),
            port: r.port,
            protocol: r.protocol.to_string(),
            health_endpoint: r.health_endpoint.clone(),
            tags: r.tags.clone(),
            dependencies: r.dependencies.clone(),
            metadata: r.metadata.clone(),
            weight: i.weight(),
            registered_weight: r.weight,
            ttl: r.ttl.map(millis),
            zone: r.zone.clone(),
            health_check: instance::HealthCheck {
                kind: Some(r.check.kind.to_string()),
                path: r.check.path.clone(),
                interval: r.check.interval.map(millis),
                timeout: r.check.timeout.map(millis),
                success_threshold: r.check.success_threshold,
                failure_threshold: r.check.failure_threshold,
            },
            status: status(i.status),
            reason: i.reason.to_string(),
            since: time(i.since),
            standing: standing.as_str().into(),
            operator: operator(i),
            source: i.source.to_string(),
            registered_at: time(i.registered_at),
            incarnation: i.incarnation,
            lease: self.lease(i),
            last_check: i.history.last_check().map(|c| check(&c)),
            consecutive_failures: i.history.consecutive_failures(),
            checks: i.history.checks(),
            transitions: i
                .history
                .transitions()
                .into_iter()
                .map(|t| instance::Transition {
                    from: status(t.from),
                    to: status(t.to),
                    reason: t.reason,
                    at: time(t.at),
                })
                .collect(),
            created_index: i.created_index,
            modified_index: i.modified_index,
        }
    }

    pub(super) fn lease(&self, i: &Instance) -> Option<instance::Lease> {
        let r = &i.registration;
        let left = self.discovery.registry().lease_deadline(&r.name, &r.id);
        r.ttl.map(|ttl| instance::Lease {
            ttl: millis(ttl),
            expires_at: left.map(|at| time(self.now.wall + at.saturating_duration_since(self.now.instant))),
            renewed_at: i.history.last_heartbeat().map(time),
        })
    }

    pub(super) fn change(&self, change: &Change) -> event::Change {
        let instance = match change.kind {
            ellie_core::registry::ChangeKind::Deregistered => {
                self.with_standing(&change.instance, Standing::Unhealthy)
            }
            _ => self.instance(&change.instance),
        };
        event::Change {
            index: change.index,
            kind: change.kind.as_str().into(),
            name: change.name.to_string(),
            id: change.id.to_string(),
            instance,
        }
    }
}

/// What operators decided.
pub(super) fn operator(i: &Instance) -> instance::Operator {
    let weight = i.operator.weight.as_ref();
    instance::Operator {
        draining: i.operator.draining.as_ref().map(mark),
        maintenance: i.operator.maintenance.as_ref().map(mark),
        weight: weight.map(|(weight, m)| instance::WeightMark { weight: *weight, mark: mark(m) }),
    }
}

fn mark(m: &Mark) -> instance::Mark {
    instance::Mark { by: m.by.clone(), reason: m.reason.clone(), at: time(m.at), until: m.until.map(time) }
}

pub(super) fn check(c: &Arc<CheckReport>) -> instance::CheckResult {
    instance::CheckResult {
        at: time(c.at),
        took_ms: fine_millis(c.took),
        verdict: status(c.verdict),
        output: c.output.clone(),
        code: c.code,
        body: c.body.as_ref().map(|b| instance::CheckBody {
            status: b.status.map(status),
            uptime: b.uptime,
            version: b.version.clone(),
            memory: b.memory.map(|m| instance::Memory {
                used: m.used,
                total: m.total,
                percentage: m.percentage,
            }),
            dependencies: b.dependencies.clone(),
        }),
    }
}

pub(super) fn event(e: &Event) -> event::Event {
    event::Event {
        id: e.id,
        at: time(e.at),
        kind: e.entry.kind.as_str().into(),
        service: e.entry.service.clone(),
        instance: e.entry.instance.clone(),
        actor: e.entry.actor.clone(),
        message: e.entry.message.clone(),
    }
}

pub(super) fn breaker_state(s: policy::State) -> BreakerState {
    match s {
        policy::State::Closed => BreakerState::Closed,
        policy::State::HalfOpen => BreakerState::HalfOpen,
        policy::State::Open => BreakerState::Open,
    }
}

/// A breaker with its name, or without one where it stands under it in a map.
pub(super) fn breaker(
    name: Option<&str>,
    s: &policy::Snapshot,
    c: &policy::Config,
    now: Now,
) -> breaker::Breaker {
    breaker::Breaker {
        name: name.map(Into::into),
        state: breaker_state(s.state),
        forced: s
            .forced
            .as_ref()
            .map(|f| breaker::Forced { state: breaker_state(f.state), left: f.left.map(millis) }),
        failures: s.failures,
        successes: s.successes,
        calls: s.calls,
        failure_rate: ratio(s.failure_rate),
        probes_in_flight: s.probes_in_flight,
        probe_successes: s.probe_successes,
        retry_in: s.retry_in.map(millis),
        opened_for: s.opened_for.map(millis),
        totals: breaker::BreakerTotals {
            succeeded: s.succeeded_total,
            failed: s.failed_total,
            ignored: s.ignored_total,
            rejected: s.rejected_total,
            stale: s.stale_total,
            opened: s.opened_total,
        },
        last_transition: s.last_transition.as_ref().map(|t| breaker::BreakerTransition {
            from: breaker_state(t.from),
            to: breaker_state(t.to),
            cause: t.cause.as_str().into(),
            ago: millis(now.instant.saturating_duration_since(t.at)),
        }),
        config: breaker_config(c),
    }
}

/// What a breaker works by.
pub(super) fn breaker_config(c: &policy::Config) -> breaker::BreakerConfig {
    breaker::BreakerConfig {
        failure_threshold: c.failure_threshold,
        recovery_timeout: millis(c.recovery_timeout),
        success_threshold: c.success_threshold,
        timeout: millis(c.timeout),
        monitoring_period: millis(c.monitoring_period),
        minimum_failure_rate: c.minimum_failure_rate,
    }
}

pub(super) fn score(s: &ellie::policy::balance::Score) -> resolve::Score {
    resolve::Score {
        cost: ratio(s.cost),
        share: ratio(s.share),
        in_flight: s.in_flight,
        latency_ms: s.latency.map(fine_millis),
        relative_latency: ratio(s.relative_latency),
        failure_rate: ratio(s.failure_rate),
        sick: s.sick,
        ramp: ratio(s.ramp),
        retry_in_ms: s.retry_in.map(millis),
    }
}
