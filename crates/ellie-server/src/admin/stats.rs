//! `GET /services/stats`: what every part counts, read without changing anything.

use super::problem::Result;
use super::query::Query;
use super::services::view;
use super::state::AdminState;
use super::wire;
use axum::Json;
use axum::extract::State;
use ellie_api::Stats;
use ellie_api::health::InstanceCounts;
use ellie_api::stats::{
    GatewayStats, HealthCheckStats, InstanceBalance, LoadBalancerStats, RegistryStats, RouteStats,
    ServiceBalance,
};
use ellie_core::Now;
use ellie_core::discovery::select;
use ellie_gateway::metrics::CLASSES;
use http::Uri;
use std::collections::BTreeMap;

/// The handler.
pub(super) async fn stats(State(state): State<AdminState>, uri: Uri) -> Result<Json<Stats>> {
    Query::new(uri.query()).finish()?;
    let now = Now::read();
    let ellie = state.ellie();
    let circuit_breaker =
        super::breakers::all(&state, now).map(|(name, b)| (name.clone(), b(None))).collect();
    Ok(Json(Stats {
        timestamp: wire::time(now.wall),
        registry: registry(&state),
        health_checks: health_checks(&state),
        load_balancer: LoadBalancerStats {
            strategy: ellie.balancer.strategy(None).as_str().into(),
            services: ellie.balancer.stats().iter().map(|(name, s)| (name.to_string(), balance(s))).collect(),
        },
        circuit_breaker,
        gateway: gateway(&state),
        providers: state
            .providers()
            .iter()
            .map(|shown| (shown.name.to_owned(), super::providers::provider(shown, false)))
            .collect(),
    }))
}

fn registry(state: &AdminState) -> RegistryStats {
    let registry = state.ellie().registry();
    let snapshot = registry.snapshot();
    let panic_threshold = view(state).panic_threshold;
    let counts = snapshot.counts;
    RegistryStats {
        index: snapshot.index,
        services: snapshot.services.len(),
        instances: InstanceCounts {
            total: counts.total(),
            healthy: counts.healthy,
            degraded: counts.degraded,
            unhealthy: counts.unhealthy,
        },
        routable: snapshot
            .services
            .values()
            .map(|s| select::<&str>(s, &[], panic_threshold).routable().count())
            .sum(),
        expiry_paused: registry.expiry_paused(),
        store: state.settings().store.into(),
    }
}

fn health_checks(state: &AdminState) -> HealthCheckStats {
    let stats = state.ellie().health.stats();
    let took: f64 = stats.kinds.iter().map(|k| k.took.as_secs_f64()).sum();
    HealthCheckStats {
        scheduled: stats.scheduled as u64,
        in_flight: stats.in_flight as u64,
        completed: stats.checks_total,
        failed: stats.failed_total,
        degraded: stats.degraded_total,
        late: stats.late_total,
        mean_took_ms: (stats.checks_total > 0).then(|| wire::ratio(took * 1e3 / stats.checks_total as f64)),
    }
}

/// How one service is balanced.
pub(super) fn balance(s: &ellie_gateway::cluster::ServiceStats) -> ServiceBalance {
    ServiceBalance {
        strategy: s.strategy.as_str().into(),
        level: wire::level(s.level).into(),
        median_latency_ms: s.balance.median_latency.map(wire::fine_millis),
        p99_latency_ms: s.balance.p99_latency.map(wire::fine_millis),
        response_time_ms: s.totals.response_time.map(wire::fine_millis),
        failure_rate: wire::ratio(s.balance.failure_rate),
        retries: s.totals.retries,
        instances: s
            .instances
            .iter()
            .map(|i| {
                let e = &i.endpoint;
                let balance = InstanceBalance {
                    in_flight: e.in_flight.into(),
                    successes: e.successes,
                    failures: e.failures,
                    timeouts: e.timeouts,
                    cancelled: e.cancelled,
                    latency_ms: e.latency.map(wire::fine_millis),
                    failure_rate: wire::ratio(e.failure_rate),
                    ejected_for: i.ejected_for.map(wire::millis),
                };
                (i.id.to_string(), balance)
            })
            .collect(),
    }
}

fn gateway(state: &AdminState) -> GatewayStats {
    let gateway = &state.ellie().gateway;
    let stats = gateway.table().metrics().stats();
    GatewayStats {
        routes: gateway.routes().len(),
        requests: stats.requests.answered(),
        in_flight: stats.requests.in_flight,
        abandoned: stats.requests.abandoned,
        connections: stats.connections,
        retries: stats.requests.retries,
        rate_limited: stats.requests.limited,
        responses: CLASSES.iter().zip(stats.requests.classes).map(|(c, n)| ((*c).to_owned(), n)).collect(),
        by_route: by_route(state),
    }
}

/// What the gateway counted, by route.
pub(super) fn by_route(state: &AdminState) -> BTreeMap<String, RouteStats> {
    let totals = state.ellie().gateway.table().route_totals().into_iter();
    totals
        .map(|(route, t)| {
            let stats = RouteStats {
                service: route.service.to_string(),
                requests: t.answered(),
                in_flight: t.in_flight,
                abandoned: t.abandoned,
                retries: t.retries,
                rate_limited: t.limited,
            };
            (route.id.clone(), stats)
        })
        .collect()
}
