//! Every reason why a service or an instance is, or is not, discoverable and routable, for `ellie why` and the
//! dashboard. From facts to findings: no server is asked here.

mod gateway;
pub(crate) mod provided;
#[cfg(test)]
pub(crate) mod tests;

use crate::say::{ago, clock, count, left_ms, millis, percent, span, span_ms, until};
use ellie_api::health::NamedHealth;
use ellie_api::instance::Mark;
use ellie_api::provider::Provider;
use ellie_api::resolve::Candidate;
use ellie_api::route::Methods;
use ellie_api::stats::{RouteStats, ServiceBalance};
use ellie_api::ui::{Finding, Level, Why as Report, WhyInstance as InstanceReport};
use ellie_api::{Breaker, BreakerState, Event, Instance, Resolved, Route, ServiceDetail, Status};
use std::collections::BTreeMap;
use std::time::Duration;

/// What is known.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) detail: ServiceDetail,
    pub(crate) resolved: Option<Resolved>,
    pub(crate) health: Option<NamedHealth>,
    pub(crate) breaker: Option<Breaker>,
    pub(crate) routes: Vec<Route>,
    pub(crate) balance: Option<ServiceBalance>,
    pub(crate) events: Vec<Event>,
    pub(crate) providers: Vec<Provider>,
    pub(crate) tags: Vec<String>,
    /// What the gateway counted, by route.
    pub(crate) by_route: BTreeMap<String, RouteStats>,
    /// Why leases don't end at the moment, where they don't.
    pub(crate) expiry_paused: Option<String>,
}

fn finding(level: Level, topic: &str, text: impl Into<String>) -> Finding {
    Finding { level, topic: topic.into(), text: text.into(), details: Vec::new() }
}

/// A route's methods in a few words.
pub(crate) fn methods(r: &Route) -> String {
    match &r.method {
        None => "*".into(),
        Some(Methods::One(one)) => one.clone(),
        Some(Methods::Many(many)) => many.join(","),
    }
}

/// What happens next to a breaker.
pub(crate) fn breaker_next(b: &Breaker) -> String {
    match (&b.forced, b.state, b.retry_in) {
        (Some(f), ..) => match f.left {
            Some(left) => format!("forced {} for {}", f.state, span_ms(left)),
            None => format!("forced {} until reset", f.state),
        },
        (None, BreakerState::Open, Some(ms)) => {
            format!("probe in {}", span(Duration::from_millis(ms).max(Duration::from_millis(1))))
        }
        (None, BreakerState::HalfOpen, _) => {
            format!("{}/{} probes succeeded", b.probe_successes, b.config.success_threshold)
        }
        _ => String::new(),
    }
}

/// An event in a line, with its age.
pub(crate) fn event_line(e: &Event) -> String {
    let instance = e.instance.as_ref().map_or_else(String::new, |id| format!(" {id}"));
    format!("{} {}{instance}: {} (by {})", ago(&e.at), e.kind, e.message, e.actor)
}

/// What the facts say, of the whole service or of one instance.
pub(crate) fn report(f: &Facts, id: Option<&str>) -> Report {
    let name = &f.detail.name;
    let shown = || f.detail.instances.iter().filter(|i| id.is_none_or(|id| i.id == id));
    let instances: Vec<InstanceReport> = shown().map(|i| instance(f, i)).collect();
    let mut hints: Vec<String> = Vec::new();
    // What would be good to have comes after what keeps traffic away now.
    let mut later: Vec<String> = Vec::new();
    let mut findings = service(f, &mut hints, &mut later);
    let sources: Vec<&str> = shown().map(|i| i.source.as_str()).collect();
    findings.extend(provided::findings(&f.providers, name, &sources));
    // The instance that keeps traffic away is worth more than one that only could be better.
    for i in shown().filter(|i| !gets_traffic(f, i)).chain(shown().filter(|i| gets_traffic(f, i))) {
        hints.extend(instance_hint(f, i));
    }
    hints.append(&mut later);
    let open = f.breaker.as_ref().is_some_and(|b| b.state == BreakerState::Open);
    let with_traffic = shown().filter(|i| gets_traffic(f, i)).count();
    let total = shown().count();
    let asked = if f.tags.is_empty() { String::new() } else { format!(" with {}", f.tags.join(", ")) };
    let verdict = match (id, with_traffic, open) {
        (_, _, true) => format!(
            "{name} is discoverable, but its circuit breaker is open: the gateway refuses its requests"
        ),
        (Some(id), 0, _) => format!("{name} {id} gets no traffic{asked}"),
        (Some(id), ..) => format!("{name} {id} is discoverable and gets traffic{asked}"),
        (None, 0, _) if total == 1 => {
            format!("{name} is not routable: its only instance{asked} gets no traffic")
        }
        (None, 0, _) => format!("{name} is not routable: none of its {total} instances{asked} gets traffic"),
        (None, _, _) if total == 1 => format!("{name} is routable: its only instance{asked} gets traffic"),
        (None, n, _) => format!("{name} is routable: {n} of {total} instances{asked} get traffic"),
    };
    if hints.is_empty() {
        hints.push(format!("ellie resolve {name} --explain"));
        hints.push(format!("ellie events --service {name} --follow"));
    }
    let mut seen = std::collections::HashSet::new();
    hints.retain(|hint| seen.insert(hint.clone()));
    hints.truncate(3);
    Report {
        service: name.clone(),
        instance: id.map(str::to_owned),
        verdict,
        routable: with_traffic > 0 && !open,
        findings,
        instances,
        hints,
    }
}

pub(super) fn missing_tags<'t>(tags: &'t [String], i: &Instance) -> Vec<&'t str> {
    tags.iter().filter(|tag| !i.tags.contains(tag)).map(String::as_str).collect()
}

/// Whether an instance gets traffic, for the tags that were asked for. The balancer's word counts over the
/// registry's: it knows of ejections.
fn gets_traffic(f: &Facts, i: &Instance) -> bool {
    i.is_routable() && missing_tags(&f.tags, i).is_empty() && ejected(f, &i.id).is_none()
}

fn ejected(f: &Facts, id: &str) -> Option<u64> {
    f.balance.as_ref()?.instances.get(id)?.ejected_for
}

fn candidate<'f>(f: &'f Facts, id: &str) -> Option<&'f Candidate> {
    f.resolved.as_ref()?.candidates.iter().find(|c| c.id == id)
}

fn service(f: &Facts, hints: &mut Vec<String>, later: &mut Vec<String>) -> Vec<Finding> {
    let (d, name) = (&f.detail, &f.detail.name);
    let mut findings = vec![finding(
        Level::Ok,
        "registered",
        format!(
            "{}: {} healthy, {} degraded, {} unhealthy",
            count(d.total, "instance"),
            d.healthy,
            d.degraded,
            d.unhealthy
        ),
    )];
    match d.level.as_str() {
        // With none there it says nothing but that the healthy are few.
        "degraded" if d.degraded > 0 => findings.push(finding(
            Level::Warning,
            "level",
            "fewer than half are healthy, so degraded instances get traffic too",
        )),
        "panic" => findings.push(finding(
            Level::Warning,
            "level",
            "fewer than discovery.panic_threshold are healthy, so every instance gets traffic",
        )),
        _ => {}
    }
    if !f.tags.is_empty() {
        let matching = d.instances.iter().filter(|i| missing_tags(&f.tags, i).is_empty()).count();
        let level = if matching == 0 { Level::Problem } else { Level::Ok };
        let mut found = finding(
            level,
            "tags",
            format!("{matching} of {} instances have {}", d.instances.len(), f.tags.join(" and ")),
        );
        if matching == 0 {
            let mut all: Vec<&str> =
                d.instances.iter().flat_map(|i| i.tags.iter().map(String::as_str)).collect();
            all.sort_unstable();
            all.dedup();
            found.details.push(if all.is_empty() {
                "no instance has any tag".into()
            } else {
                format!("tags there are: {}", all.join(", "))
            });
            hints.push(format!("ellie resolve {name}    # without tags"));
        }
        findings.push(found);
    }
    findings.push(strategy(f));
    findings.push(gateway::breaker(f, hints));
    findings.push(gateway::routes(f, hints, later));
    findings.extend(gateway::rate_limits(f));
    if let Some(why) = &f.expiry_paused {
        findings.push(finding(Level::Warning, "leases", format!("expiry is paused: {why}")));
    }
    findings.extend(dependencies(f, hints));
    if let Some(event) = f.events.last() {
        let mut found = finding(Level::Info, "last event", event_line(event));
        found.details = f.events.iter().rev().skip(1).take(2).map(event_line).collect();
        findings.push(found);
    }
    findings
}

fn strategy(f: &Facts) -> Finding {
    let mut text = f.detail.strategy.clone();
    if let Some(b) = &f.balance {
        let latency = |ms: Option<f64>, what: &str| {
            ms.map_or_else(String::new, |ms| format!(", {what} {}", millis(ms)))
        };
        text.push_str(&latency(b.median_latency_ms, "median"));
        text.push_str(&latency(b.p99_latency_ms, "p99"));
        text.push_str(&format!(", {} of requests fail", percent(b.failure_rate)));
    }
    let level = match &f.balance {
        Some(b) if b.failure_rate >= 0.05 => Level::Warning,
        _ => Level::Ok,
    };
    finding(level, "balancer", text)
}

fn dependencies(f: &Facts, hints: &mut Vec<String>) -> Option<Finding> {
    let needs = &f.health.as_ref()?.health.dependencies;
    let list = |wanted: Option<bool>| {
        needs.iter().filter(|(_, up)| **up == wanted).map(|(name, _)| name.as_str()).collect::<Vec<_>>()
    };
    if needs.is_empty() {
        return None;
    }
    let (down, unknown, up) = (list(Some(false)), list(None), list(Some(true)));
    let mut parts = Vec::new();
    for (names, what) in [(&down, "not available"), (&unknown, "not known here"), (&up, "available")] {
        if !names.is_empty() {
            parts.push(format!("{} {what}", names.join(", ")));
        }
    }
    if let Some(first) = down.first() {
        hints.push(format!("ellie why {first}"));
    }
    let level = if down.is_empty() { Level::Ok } else { Level::Warning };
    Some(finding(level, "dependencies", parts.join("; ")))
}

fn instance(f: &Facts, i: &Instance) -> InstanceReport {
    let mut findings = Vec::new();
    let missing = missing_tags(&f.tags, i);
    if !missing.is_empty() {
        let has = if i.tags.is_empty() { "none".into() } else { i.tags.join(", ") };
        findings.push(finding(Level::Problem, "tags", format!("lacks {}; it has {has}", missing.join(", "))));
    }
    findings.push(health(i));
    findings.extend(check(i));
    findings.extend(transitions(i));
    findings.extend(lease(f, i));
    findings.extend(operator(i));
    if i.standing == "degraded-standby" {
        let text = "degraded: gets traffic when fewer than half of the instances are healthy";
        findings.push(finding(Level::Problem, "standby", text));
    }
    if i.weight == 0 && i.operator.weight.is_none() {
        let text = "registered with weight 0: gets traffic only when all instances have weight 0";
        findings.push(finding(Level::Problem, "weight", text));
    }
    if let Some(ms) = ejected(f, &i.id) {
        let text = format!("ejected for {} more after too many failures in a row", span_ms(ms));
        findings.push(finding(Level::Problem, "outlier", text));
    }
    findings.extend(balance(f, i));
    InstanceReport {
        id: i.id.clone(),
        address: i.authority(),
        status: i.status.to_string(),
        standing: i.standing.clone(),
        routable: gets_traffic(f, i),
        findings,
    }
}

fn health(i: &Instance) -> Finding {
    let level = match i.status {
        Status::Healthy => Level::Ok,
        Status::Degraded => Level::Warning,
        Status::Unhealthy => Level::Problem,
    };
    let mut text = format!("{}: {} (since {})", i.status, i.reason, ago(&i.since));
    if i.consecutive_failures > 1 {
        text.push_str(&format!("; {} checks failed in a row", i.consecutive_failures));
    }
    finding(level, "health", text)
}

fn check(i: &Instance) -> Option<Finding> {
    let c = &i.health_check;
    let kind = c.kind.as_deref().unwrap_or("tcp");
    let what = match kind {
        "none" => {
            return Some(finding(
                Level::Info,
                "check",
                "none: counts as healthy as long as it is registered",
            ));
        }
        "ttl" => "by its own heartbeats".to_owned(),
        "http" => format!("GET {}", check_url(i)),
        other => format!("{other} {}", i.authority()),
    };
    let every = c.interval.map_or_else(String::new, |ms| format!(" every {}", span_ms(ms)));
    let within = c.timeout.map_or_else(String::new, |ms| format!(", timeout {}", span_ms(ms)));
    let mut found = finding(Level::Info, "check", format!("{what}{every}{within}"));
    match &i.last_check {
        Some(last) => {
            found.details.push(format!("{} after {}: {}", ago(&last.at), millis(last.took_ms), last.output));
            let down = last.body.iter().flat_map(|b| &b.dependencies).filter(|(_, up)| !**up);
            let down: Vec<&str> = down.map(|(name, _)| name.as_str()).collect();
            if !down.is_empty() {
                found.level = Level::Warning;
                found.details.push(format!("it reports that it can't reach {}", down.join(", ")));
            }
        }
        None if kind != "ttl" => found.details.push("no result yet".into()),
        None => {}
    }
    Some(found)
}

/// What an HTTP check asks for.
pub(crate) fn check_url(i: &Instance) -> String {
    let scheme = if i.protocol == "https" { "https" } else { "http" };
    let path = i.health_check.path.as_deref().or(i.health_endpoint.as_deref()).unwrap_or("/health");
    format!("{scheme}://{}{path}", i.authority())
}

fn transitions(i: &Instance) -> Option<Finding> {
    let last: Vec<String> = i
        .transitions
        .iter()
        .rev()
        .take(3)
        .map(|t| format!("{} {} → {}: {}", clock(&t.at), t.from, t.to, t.reason))
        .collect();
    let (first, rest) = last.split_first()?;
    let mut found = finding(Level::Info, "history", first.clone());
    found.details = rest.to_vec();
    Some(found)
}

/// A lease of which less than this share is left has missed a heartbeat or two.
const ABOUT_TO_END: f64 = 1.0 / 3.0;

fn lease(f: &Facts, i: &Instance) -> Option<Finding> {
    let lease = i.lease.as_ref()?;
    let ends =
        lease.expires_at.as_deref().map_or_else(|| "not running".into(), |at| format!("ends {}", until(at)));
    let renewed = lease
        .renewed_at
        .as_deref()
        .map_or_else(|| "never renewed".into(), |at| format!("renewed {}", ago(at)));
    let text =
        format!("{} of {}, {renewed}: removed unless renewed by a heartbeat", ends, span_ms(lease.ttl));
    let left = lease.expires_at.as_deref().and_then(left_ms);
    let is_short = left.is_some_and(|ms| (ms as f64) < lease.ttl as f64 * ABOUT_TO_END);
    let level = match (is_short, &lease.renewed_at) {
        (true, _) => Level::Warning,
        (false, Some(_)) => Level::Ok,
        (false, None) => Level::Info,
    };
    let mut found = finding(level, "lease", text);
    if is_short && f.expiry_paused.is_none() {
        found.details.push("about to end: less than a third is left, so heartbeats are missing".into());
    }
    Some(found)
}

fn marked(mark: &Mark) -> String {
    let reason = mark.reason.as_deref().map_or_else(String::new, |r| format!(": {r}"));
    let until = mark
        .until
        .as_deref()
        .map_or_else(|| "until it is taken back".into(), |at| format!("ends {}", until(at)));
    format!("by {} {}{reason}; {until}", mark.by, ago(&mark.at))
}

fn operator(i: &Instance) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(mark) = &i.operator.maintenance {
        findings.push(finding(Level::Problem, "maintenance", marked(mark)));
    }
    if let Some(mark) = &i.operator.draining {
        findings.push(finding(Level::Problem, "draining", marked(mark)));
    }
    if let Some(w) = &i.operator.weight {
        let level = if w.weight == 0 { Level::Problem } else { Level::Info };
        let text = format!("{} in place of {}, {}", w.weight, i.registered_weight, marked(&w.mark));
        findings.push(finding(level, "weight", text));
    }
    findings
}

fn balance(f: &Facts, i: &Instance) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(score) = candidate(f, &i.id).and_then(|c| c.score) {
        let latency = score.latency_ms.map_or_else(String::new, |ms| {
            format!(", latency {} ({:.1} × the service's)", millis(ms), score.relative_latency)
        });
        let text = format!(
            "{} chance of the next request; cost {:.2}{latency}, {} failing, {} in flight",
            percent(score.share),
            score.cost,
            percent(score.failure_rate),
            score.in_flight
        );
        let mut found = finding(if score.sick { Level::Warning } else { Level::Ok }, "score", text);
        if score.sick {
            found.details.push(match score.retry_in_ms {
                Some(ms) => format!("the balancer turns away from it and tries it again in {}", span_ms(ms)),
                None => "the balancer turns away from it, and tries it now and then".into(),
            });
        }
        if score.ramp < 1.0 {
            found.details.push(format!("new: it is given {} of its share so far", percent(score.ramp)));
        }
        findings.push(found);
    }
    if let Some(b) = f.balance.as_ref().and_then(|b| b.instances.get(&i.id)) {
        let asked = b.successes + b.failures + b.timeouts + b.cancelled;
        if asked > 0 {
            let text = format!(
                "{asked} so far: {} ok, {} failed, {} timed out, {} cancelled",
                b.successes, b.failures, b.timeouts, b.cancelled
            );
            findings.push(finding(Level::Info, "requests", text));
        }
    }
    findings
}

/// What to do about an instance without traffic.
fn instance_hint(f: &Facts, i: &Instance) -> Option<String> {
    let (name, id) = (&i.name, &i.id);
    if i.operator.maintenance.is_some() {
        return Some(format!("ellie maintenance {name} {id} --off"));
    }
    if i.operator.draining.is_some() {
        return Some(format!("ellie undrain {name} {id}"));
    }
    if i.status != Status::Healthy {
        let waiting = i.last_check.is_none();
        return Some(match i.health_check.kind.as_deref() {
            Some("ttl") => format!(
                "curl -X PUT …/services/{name}/instances/{id}/heartbeat    # it has to report by itself"
            ),
            _ if waiting => format!("ellie watch {name} -n 1    # its first check is on its way"),
            Some("http") => format!("curl -i --max-time 5 {}", check_url(i)),
            _ => format!("nc -vz {} {}", i.host, i.port),
        });
    }
    if i.weight == 0 {
        return Some(format!("ellie weight {name} {id} default"));
    }
    if ejected(f, id).is_some() {
        return Some(format!("ellie stats    # what {id} answered"));
    }
    None
}
