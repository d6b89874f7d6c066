//! The families, part by part.

use super::text::{Kind, Writer};
use super::{MAX_NAMES, process as proc};
use crate::admin::{AdminState, BOUNDS};
use ellie_core::Now;
use ellie_core::model::{Instance, Status};
use ellie_gateway::metrics::{BOUNDS_MS, CLASSES};
use std::collections::BTreeSet;

/// The three metrics of the specification, under its names and label.
pub(super) fn specification(w: &mut Writer, state: &AdminState) {
    let ellie = state.ellie();
    let now = Now::read();
    let snapshot = ellie.registry().snapshot();
    let stats = ellie.balancer.stats();

    let mut f = w.family(
        Kind::Gauge,
        "ellie_service_health",
        "Health of a service: 1 healthy, 0.5 degraded, 0 unhealthy.",
    );
    for s in snapshot.services.values().take(MAX_NAMES) {
        let value = match s.status() {
            Status::Healthy => 1.0,
            Status::Degraded => 0.5,
            Status::Unhealthy => 0.0,
        };
        f.sample(&[("service", s.name.as_str())], value);
    }

    let mut f = w.family(
        Kind::Gauge,
        "ellie_service_response_time_ms",
        "Mean response time of a service in milliseconds: of its requests in the last half minute, else of its instances' last checks.",
    );
    for s in snapshot.services.values().take(MAX_NAMES) {
        let requests = stats.get(&s.name).and_then(|stats| stats.totals.response_time);
        let value = requests
            .map(|d| d.as_secs_f64() * 1e3)
            .or_else(|| last_checks(s.instances.values().map(|i| &**i)));
        if let Some(ms) = value {
            f.sample(&[("service", s.name.as_str())], round(ms));
        }
    }

    let mut f = w.family(
        Kind::Gauge,
        "ellie_circuit_breaker_state",
        "State of a service's circuit breaker: 0 closed, 1 half-open, 2 open.",
    );
    let breakers = ellie.gateway.table().clusters().breakers().list();
    let mut names: BTreeSet<&str> = snapshot.services.keys().map(AsRef::as_ref).collect();
    names.extend(breakers.iter().map(|b| &*b.name));
    for name in names.into_iter().take(MAX_NAMES) {
        let found = breakers.binary_search_by(|b| (*b.name).cmp(name)).ok().map(|i| &breakers[i]);
        let value = found.map_or(0, |b| b.breaker.state(now.instant).as_metric());
        f.sample(&[("service", name)], value);
    }
}

fn last_checks<'a>(instances: impl Iterator<Item = &'a Instance>) -> Option<f64> {
    let (mut sum, mut n) = (0.0, 0_u32);
    for check in instances.filter_map(|i| i.history.last_check()) {
        sum += check.took.as_secs_f64() * 1e3;
        n += 1;
    }
    (n > 0).then(|| sum / f64::from(n))
}

fn round(x: f64) -> f64 {
    (x * 1e3).round() / 1e3
}

pub(super) fn registry(w: &mut Writer, state: &AdminState) {
    let registry = state.ellie().registry();
    let snapshot = registry.snapshot();
    w.single(Kind::Gauge, "ellie_registry_index", "Index of the registry's last change.", snapshot.index);
    w.single(
        Kind::Gauge,
        "ellie_registry_services",
        "Services that have instances.",
        snapshot.services.len(),
    );
    let mut f = w.family(Kind::Gauge, "ellie_registry_instances", "Registered instances by status.");
    let counts = snapshot.counts;
    for (status, n) in
        [("healthy", counts.healthy), ("degraded", counts.degraded), ("unhealthy", counts.unhealthy)]
    {
        f.sample(&[("status", status)], n);
    }
    let mut f = w.family(Kind::Gauge, "ellie_service_instances", "Instances of a service by status.");
    for s in snapshot.services.values().take(MAX_NAMES) {
        let counts = [
            ("healthy", s.counts.healthy),
            ("degraded", s.counts.degraded),
            ("unhealthy", s.counts.unhealthy),
        ];
        for (status, n) in counts {
            f.sample(&[("service", s.name.as_str()), ("status", status)], n);
        }
    }
    w.single(
        Kind::Gauge,
        "ellie_registry_lease_expiry_paused",
        "1 while a mass expiry of leases is held back.",
        u8::from(registry.expiry_paused().is_some()),
    );
    w.single(
        Kind::Counter,
        "ellie_events_total",
        "Events in the journal since start.",
        state.ellie().journal().last_id(),
    );
    w.single(
        Kind::Gauge,
        "ellie_metrics_omitted_names",
        "Services whose own metrics are left out to bound the label set.",
        snapshot.services.len().saturating_sub(MAX_NAMES),
    );
}

pub(super) fn store(w: &mut Writer, state: &AdminState) {
    let report = state.ellie().registrar().report();
    w.single(
        Kind::Counter,
        "ellie_store_submissions_total",
        "Changes submitted to the store.",
        report.submissions,
    );
    w.single(Kind::Counter, "ellie_store_commits_total", "Transactions made durable.", report.commits);
    w.single(Kind::Counter, "ellie_store_failures_total", "Transactions that failed.", report.failures);
    w.single(Kind::Gauge, "ellie_store_waiting", "Changes that wait for the store.", report.waiting);
    w.single(Kind::Gauge, "ellie_store_records", "Records kept by the store.", report.kept.records);
    if let Some(bytes) = report.kept.bytes {
        w.single(Kind::Gauge, "ellie_store_size_bytes", "Bytes of the store on disk.", bytes);
    }
    w.single(
        Kind::Gauge,
        "ellie_store_up",
        "1 while changes can be made durable.",
        u8::from(report.failing.is_none()),
    );
}

pub(super) fn checks(w: &mut Writer, state: &AdminState) {
    let stats = state.ellie().health.stats();
    w.single(Kind::Gauge, "ellie_health_checks_scheduled", "Instances that are checked.", stats.scheduled);
    w.single(Kind::Gauge, "ellie_health_checks_in_flight", "Checks under way.", stats.in_flight);
    w.single(
        Kind::Gauge,
        "ellie_health_check_connections",
        "Connections kept between checks.",
        stats.kept_connections,
    );
    w.single(
        Kind::Counter,
        "ellie_health_checks_late_total",
        "Checks that began clearly too late.",
        stats.late_total,
    );
    w.single(
        Kind::Counter,
        "ellie_health_checks_inconclusive_total",
        "Checks that failed inside ellie and say nothing of the instance.",
        stats.inconclusive_total,
    );
    let mut f = w.family(
        Kind::Counter,
        "ellie_health_checks_failed_total",
        "Checks that found an instance unhealthy.",
    );
    for k in &stats.kinds {
        f.sample(&[("type", k.kind.as_str())], k.failed);
    }
    let mut f = w.family(Kind::Histogram, "ellie_health_check_duration_seconds", "How long checks took.");
    for k in &stats.kinds {
        let bounds: Vec<f64> = k.buckets.iter().map(|(le, _)| le.as_secs_f64()).collect();
        // Cumulative there; the writer wants counts per bucket.
        let mut counts = Vec::with_capacity(bounds.len() + 1);
        let mut before = 0;
        for (_, n) in &k.buckets {
            counts.push(n.saturating_sub(before));
            before = *n;
        }
        counts.push(k.checks.saturating_sub(before));
        f.histogram(&[("type", k.kind.as_str())], &bounds, &counts, k.took.as_secs_f64());
    }
}

pub(super) fn balancer(w: &mut Writer, state: &AdminState) {
    let stats = state.ellie().balancer.stats();
    let mut f = w.family(
        Kind::Counter,
        "ellie_service_requests_total",
        "Requests to a service, of gateway and library, by the class of their status.",
    );
    for (name, s) in stats.iter().take(MAX_NAMES) {
        for (class, n) in CLASSES.iter().zip(s.totals.classes).filter(|(_, n)| *n > 0) {
            f.sample(&[("service", name.as_str()), ("code_class", class)], n);
        }
    }
    let mut f = w.family(Kind::Counter, "ellie_service_retries_total", "Retries of requests to a service.");
    for (name, s) in stats.iter().take(MAX_NAMES) {
        f.sample(&[("service", name.as_str())], s.totals.retries);
    }
    let mut f = w.family(Kind::Gauge, "ellie_service_requests_in_flight", "Requests to a service under way.");
    for (name, s) in stats.iter().take(MAX_NAMES) {
        let in_flight: u64 = s.instances.iter().map(|i| u64::from(i.endpoint.in_flight)).sum();
        f.sample(&[("service", name.as_str())], in_flight);
    }
    let mut f =
        w.family(Kind::Gauge, "ellie_service_instances_routable", "Instances of a service that get traffic.");
    for (name, s) in stats.iter().take(MAX_NAMES) {
        f.sample(&[("service", name.as_str())], s.members);
    }
    let mut f = w.family(Kind::Gauge, "ellie_service_instances_ejected", "Instances ejected as outliers.");
    for (name, s) in stats.iter().take(MAX_NAMES) {
        f.sample(
            &[("service", name.as_str())],
            s.instances.iter().filter(|i| i.ejected_for.is_some()).count(),
        );
    }
}

pub(super) fn breakers(w: &mut Writer, state: &AdminState) {
    let now = Now::read().instant;
    let all = state.ellie().gateway.table().clusters().breakers().list();
    let all: Vec<_> = all.iter().take(MAX_NAMES).map(|b| (b.name.clone(), b.breaker.snapshot(now))).collect();
    let mut f =
        w.family(Kind::Counter, "ellie_circuit_breaker_calls_total", "Calls through a breaker by outcome.");
    for (name, s) in &all {
        let outcomes = [
            ("success", s.succeeded_total),
            ("failure", s.failed_total),
            ("ignored", s.ignored_total),
            ("rejected", s.rejected_total),
            ("stale", s.stale_total),
        ];
        for (outcome, n) in outcomes {
            f.sample(&[("name", name), ("outcome", outcome)], n);
        }
    }
    let mut f = w.family(Kind::Counter, "ellie_circuit_breaker_opened_total", "Times a breaker opened.");
    for (name, s) in &all {
        f.sample(&[("name", name)], s.opened_total);
    }
    let mut f = w.family(
        Kind::Gauge,
        "ellie_circuit_breaker_forced",
        "1 while an operator forces a breaker's state.",
    );
    for (name, s) in &all {
        f.sample(&[("name", name)], u8::from(s.forced.is_some()));
    }
}

pub(super) fn gateway(w: &mut Writer, state: &AdminState) {
    let table = state.ellie().gateway.table();
    let stats = table.metrics().stats();
    w.single(Kind::Gauge, "ellie_gateway_connections", "Client connections open.", stats.connections);
    w.single(
        Kind::Counter,
        "ellie_gateway_connections_accepted_total",
        "Client connections accepted.",
        stats.connections_total,
    );
    w.single(
        Kind::Counter,
        "ellie_gateway_connections_refused_total",
        "Client connections turned away.",
        stats.connections_refused,
    );
    let mut f = w.family(
        Kind::Counter,
        "ellie_gateway_upstream_requests_total",
        "Requests sent to instances, by whether the connection was new.",
    );
    f.sample(&[("connection", "new")], stats.upstream_opened);
    f.sample(&[("connection", "kept")], stats.upstream_reused);
    let routes = table.route_totals();
    let routes: Vec<_> =
        routes.iter().take(MAX_NAMES).map(|(r, t)| (r.id.as_str(), r.service.as_str(), t)).collect();
    let all = || routes.iter().copied().chain([("", "", &stats.unrouted)]);
    let mut f = w.family(Kind::Gauge, "ellie_gateway_requests_in_flight", "Requests under way, by route.");
    for (route, service, t) in &routes {
        f.sample(&[("route", route), ("service", service)], t.in_flight);
    }
    let mut f = w.family(
        Kind::Counter,
        "ellie_gateway_requests_abandoned_total",
        "Requests whose client went away before there was an answer, by route.",
    );
    for (route, service, t) in &routes {
        f.sample(&[("route", route), ("service", service)], t.abandoned);
    }
    let mut f = w.family(
        Kind::Counter,
        "ellie_gateway_requests_total",
        "Requests answered, by route and the class of their status; without a route, answered by the gateway itself.",
    );
    for (route, service, t) in all() {
        for (class, n) in CLASSES.iter().zip(t.classes).filter(|(_, n)| *n > 0) {
            f.sample(&[("route", route), ("service", service), ("code_class", class)], n);
        }
    }
    let mut f = w.family(
        Kind::Histogram,
        "ellie_gateway_request_duration_seconds",
        "How long answers took, by route.",
    );
    let bounds = BOUNDS_MS.map(|ms| ms / 1e3);
    for (route, service, t) in all() {
        f.histogram(&[("route", route), ("service", service)], &bounds, &t.buckets, t.took.as_secs_f64());
    }
    let mut f = w.family(Kind::Counter, "ellie_gateway_retries_total", "Retries sent, by route.");
    for (route, service, t) in &routes {
        f.sample(&[("route", route), ("service", service)], t.retries);
    }
    let mut f = w.family(
        Kind::Counter,
        "ellie_gateway_rate_limited_total",
        "Requests refused by a rate limit, by route.",
    );
    for (route, service, t) in &routes {
        f.sample(&[("route", route), ("service", service)], t.limited);
    }
    let mut f = w.family(Kind::Counter, "ellie_gateway_body_bytes_total", "Bytes of bodies, by direction.");
    f.sample(&[("direction", "request")], stats.requests.bytes_in);
    f.sample(&[("direction", "response")], stats.requests.bytes_out);
}

pub(super) fn api(w: &mut Writer, state: &AdminState) {
    let counted = state.counted();
    let mut f =
        w.family(Kind::Counter, "ellie_api_requests_total", "Requests to the API by call and status code.");
    for (key, n) in &counted.requests {
        f.sample(&[("route", key.route), ("method", key.method), ("code", &key.code.to_string())], n);
    }
    let mut f =
        w.family(Kind::Histogram, "ellie_api_request_duration_seconds", "How long answers of the API took.");
    for (route, h) in &counted.durations {
        f.histogram(&[("route", route)], &BOUNDS, &h.buckets, h.sum);
    }
    w.single(Kind::Gauge, "ellie_api_streams", "Event streams and waiting calls open.", state.open_streams());
}

pub(super) fn process(w: &mut Writer) {
    w.family(Kind::Gauge, "ellie_build_info", "The version that runs; always 1.")
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    let Some(p) = proc::process() else { return };
    w.single(
        Kind::Counter,
        "process_cpu_seconds_total",
        "User and system CPU time in seconds.",
        p.cpu_seconds,
    );
    w.single(Kind::Gauge, "process_resident_memory_bytes", "Resident memory.", p.resident_bytes);
    w.single(Kind::Gauge, "process_virtual_memory_bytes", "Virtual memory.", p.virtual_bytes);
    w.single(Kind::Gauge, "process_open_fds", "Open file descriptors.", p.open_fds);
    w.single(Kind::Gauge, "process_max_fds", "The most file descriptors that may be open.", p.max_fds);
    w.single(Kind::Gauge, "process_threads", "Threads.", p.threads);
    w.single(
        Kind::Gauge,
        "process_start_time_seconds",
        "When the process started, in seconds since 1970.",
        p.start_time,
    );
}
