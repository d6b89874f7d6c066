//! What stands between the gateway's clients and a service: its breaker, its routes, their limits.

use super::{Facts, breaker_next, finding, methods, missing_tags};
use crate::say::{count, percent, span_ms};
use ellie_api::ui::{Finding, Level};
use ellie_api::{BreakerState, Instance, Route};

pub(super) fn breaker(f: &Facts, hints: &mut Vec<String>) -> Finding {
    let name = &f.detail.name;
    let Some(b) = &f.breaker else {
        return finding(Level::Ok, "breaker", "closed: no request has gone through it yet");
    };
    let c = &b.config;
    let counted = format!(
        "{} of {} in the last {} ({})",
        count(b.failures, "failure"),
        count(b.calls, "call"),
        span_ms(c.monitoring_period),
        percent(b.failure_rate)
    );
    let (level, text) = match b.state {
        BreakerState::Closed => (Level::Ok, format!("closed: {counted}")),
        BreakerState::HalfOpen => (Level::Warning, format!("half open, testing: {}", breaker_next(b))),
        BreakerState::Open => {
            hints.push(match &b.forced {
                Some(_) => format!("ellie breakers reset {name}    # it was forced open"),
                None => format!("ellie breakers reset {name}    # or mend {name}, and wait for the probes"),
            });
            let since = b.opened_for.map_or_else(String::new, |ms| format!(" since {}", span_ms(ms)));
            (Level::Problem, format!("open{since}: requests are refused with 503; {}", breaker_next(b)))
        }
    };
    let mut found = finding(level, "breaker", text);
    if b.state != BreakerState::Closed {
        found.details.push(counted);
        found.details.push(format!(
            "opens on {} failures that are at least {} of the calls; closes after {} successful probes",
            c.failure_threshold,
            percent(c.minimum_failure_rate),
            c.success_threshold
        ));
    }
    if let Some(t) = &b.last_transition {
        found.details.push(format!(
            "{} ago {} → {}: {}",
            span_ms(t.ago),
            t.from,
            t.to,
            t.cause.replace('_', " ")
        ));
    }
    found
}

pub(super) fn routes(f: &Facts, hints: &mut Vec<String>, later: &mut Vec<String>) -> Finding {
    let name = &f.detail.name;
    let own: Vec<&Route> = f.routes.iter().filter(|r| r.service_name == *name).collect();
    if own.is_empty() {
        later.push(format!("ellie routes add '/{name}/*' {name} --target-path /"));
        return finding(
            Level::Info,
            "routes",
            "none leads to it: it can be discovered, but not called through the gateway",
        );
    }
    let of = |r: &Route| {
        format!(
            "{}: {} {}{}",
            r.id.as_deref().unwrap_or_default(),
            methods(r),
            r.host.as_deref().unwrap_or_default(),
            r.path
        )
    };
    let mut found = finding(Level::Ok, "routes", of(own[0]));
    found.details = own[1..].iter().take(5).map(|r| of(r)).collect();
    for r in own.iter().filter(|r| !r.tags.is_empty()) {
        let fits = |i: &&Instance| i.is_routable() && missing_tags(&r.tags, i).is_empty();
        if !f.detail.instances.iter().any(|i| fits(&i)) {
            found.level = Level::Problem;
            let tags = r.tags.join(" and ");
            let id = r.id.as_deref().unwrap_or_default();
            found
                .details
                .push(format!("{id} wants {tags}, which no instance with traffic has: it answers 503"));
            let flags: String = r.tags.iter().map(|tag| format!(" --tag {tag}")).collect();
            hints.push(format!("ellie why {name}{flags}"));
        }
    }
    found
}

/// The limits of its routes, and what they have refused.
pub(super) fn rate_limits(f: &Facts) -> Option<Finding> {
    let limited: Vec<(&Route, &ellie_api::route::RateLimit)> = f
        .routes
        .iter()
        .filter(|r| r.service_name == f.detail.name)
        .filter_map(|r| Some((r, r.rate_limit.as_ref()?)))
        .collect();
    let refused =
        |r: &Route| r.id.as_ref().and_then(|id| f.by_route.get(id)).map_or(0, |counted| counted.rate_limited);
    let total: u64 = limited.iter().map(|(r, _)| refused(r)).sum();
    let (first, rest) = limited.split_first()?;
    let told = |(r, limit): &(&Route, &ellie_api::route::RateLimit)| {
        let key = limit.key.as_deref().unwrap_or("client");
        format!(
            "{}: {} in {} a {key}; {} refused with 429",
            r.id.as_deref().unwrap_or_default(),
            limit.max,
            span_ms(limit.window_ms),
            refused(r)
        )
    };
    let level = if total > 0 { Level::Warning } else { Level::Info };
    let mut found = finding(level, "rate limit", told(first));
    found.details = rest.iter().take(5).map(told).collect();
    Some(found)
}
