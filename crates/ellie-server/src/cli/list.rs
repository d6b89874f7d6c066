//! Commands that look: services, instances, resolve, health, stats.

use super::args::{Filter, Format, HealthArgs, InstancesArgs, ResolveArgs, ServicesArgs, ServicesCommand};
use super::client::{query, segment};
use super::context::Context;
use super::error::{Code, Error, Result};
use super::table::{Align::*, BOLD, Cell, Column, DIM, status, style_of, wrap};
use crate::say::{ago, count, millis, percent, span_ms};
use ellie_api::{Health, Instance, Resolved, Service, ServiceDetail, Services, Stats};
use std::collections::BTreeSet;
use std::fmt::Write;

fn parameters(filter: &Filter) -> String {
    let tags = filter.tag.iter().map(|tag| format!("tag={}", query(tag)));
    let all: Vec<String> =
        tags.chain(filter.status.iter().map(|status| format!("status={status}"))).collect();
    if all.is_empty() { String::new() } else { format!("?{}", all.join("&")) }
}

pub(super) fn services(ctx: &Context, args: &ServicesArgs) -> Result<()> {
    let filter = match &args.command {
        Some(ServicesCommand::Get { name }) => return service(ctx, name),
        Some(ServicesCommand::Ls(filter)) => filter,
        None => &args.filter,
    };
    let client = ctx.client()?;
    let services: Services = client.get(&format!("/services{}", parameters(filter)))?;
    // How a service fares as a whole is the server's to say; the list has instances alone.
    let health: Option<Health> = match ctx.out.format {
        Format::Table if !services.services.is_empty() => Some(client.get("/services/health")?),
        _ => None,
    };
    let overall = |name: &str| {
        health.as_ref().and_then(|h| h.services.get(name)).map_or(String::new(), |h| h.status.to_string())
    };
    ctx.out.print(
        &services,
        &services.services,
        |s| s.name.clone(),
        |text| {
            if services.services.is_empty() {
                text.push_str(if filter.tag.is_empty() && filter.status.is_none() {
                    "Nothing is registered yet.\n  try: ellie register NAME --port PORT --health /health\n"
                } else {
                    "No service matches.\n"
                });
                return;
            }
            let columns = [
                Column("SERVICE", Left),
                Column("STATUS", Left),
                Column("ROUTABLE", Right),
                Column("VERSIONS", Extra),
                Column("TAGS", Flexible),
            ];
            let rows: Vec<_> = services.services.iter().map(|s| service_row(s, &overall(&s.name))).collect();
            text.push_str(&ctx.out.table(&columns, &rows));
        },
    )
}

fn service_row(service: &Service, overall: &str) -> Vec<Cell> {
    let instances = &service.instances;
    let versions: BTreeSet<&str> = instances.iter().map(|i| i.version.as_str()).collect();
    let tags: BTreeSet<&str> = instances.iter().flat_map(|i| i.tags.iter().map(String::as_str)).collect();
    let routable = instances.iter().filter(|i| i.is_routable()).count();
    vec![
        Cell::styled(&service.name, BOLD),
        status(overall),
        format!("{routable}/{}", instances.len()).into(),
        versions.into_iter().collect::<Vec<_>>().join(" ").into(),
        tags.into_iter().collect::<Vec<_>>().join(" ").into(),
    ]
}

fn service(ctx: &Context, name: &str) -> Result<()> {
    let detail: ServiceDetail = ctx.client()?.get(&format!("/services/{}", segment(name)))?;
    ctx.out.print_one(
        &detail,
        |s| s.name.clone(),
        |text| {
            let style = style_of(detail.status.as_str());
            let _ = writeln!(
                text,
                "{BOLD}{}{BOLD:#}  {style}{}{style:#}  {} of {} routable  {}",
                detail.name, detail.status, detail.routable, detail.total, detail.strategy
            );
            if !detail.dependencies.is_empty() {
                let _ = writeln!(text, "needs {}", detail.dependencies.join(", "));
            }
            text.push('\n');
            text.push_str(&instance_table(ctx, &detail.instances));
        },
    )
}

fn instance_table(ctx: &Context, instances: &[Instance]) -> String {
    let columns = [
        Column("ID", Left),
        Column("ADDRESS", Left),
        Column("STATUS", Left),
        Column("TRAFFIC", Left),
        Column("WEIGHT", ExtraRight),
        Column("VERSION", Extra),
        Column("REASON", Flexible),
    ];
    let row = |i: &Instance| {
        // What differs from the rule is worth a word; "routable" and "unhealthy" repeat the status.
        let traffic = match i.standing.as_str() {
            "routable" => Cell::styled("yes", style_of("routable")),
            "unhealthy" => Cell::styled("no", DIM),
            other => status(other),
        };
        vec![
            Cell::styled(&i.id, BOLD),
            i.authority().into(),
            status(i.status.as_str()),
            traffic,
            if i.weight == 1 { "".into() } else { i.weight.to_string().into() },
            i.version.clone().into(),
            format!("{}, {}", i.reason, ago(&i.since)).into(),
        ]
    };
    ctx.out.table(&columns, &instances.iter().map(row).collect::<Vec<_>>())
}

pub(super) fn instances(ctx: &Context, args: &InstancesArgs) -> Result<()> {
    let path = format!("/services/{}{}", segment(&args.name), parameters(&args.filter));
    let detail: ServiceDetail = ctx.client()?.get(&path)?;
    ctx.out.print(
        &detail.instances,
        &detail.instances,
        |i| i.id.clone(),
        |text| {
            if detail.instances.is_empty() {
                let _ =
                    writeln!(text, "No instance of {} matches.\n  try: ellie why {}", args.name, args.name);
            } else {
                text.push_str(&instance_table(ctx, &detail.instances));
            }
        },
    )
}

pub(super) fn resolve(ctx: &Context, args: &ResolveArgs) -> Result<()> {
    let mut parameters: Vec<String> = args.tag.iter().map(|tag| format!("tag={}", query(tag))).collect();
    if args.explain {
        parameters.push("explain=true".into());
    }
    let path = format!("/services/{}/resolve?{}", segment(&args.name), parameters.join("&"));
    let client = ctx.client()?;
    let resolved: Resolved = client.get(path.trim_end_matches('?')).map_err(|e| with_why(e, &args.name))?;
    if resolved.instance.is_none() && !args.explain {
        return Err(nothing_routable(&args.name));
    }
    ctx.out.print_one(
        &resolved,
        |r| r.instance.as_ref().map_or_else(String::new, Instance::authority),
        |text| match &resolved.instance {
            Some(i) => {
                let _ = writeln!(text, "{}://{}  {DIM}{}{DIM:#}", i.protocol, i.authority(), i.id);
            }
            None => {
                let _ = writeln!(text, "No instance of {} gets traffic.", args.name);
            }
        },
    )?;
    if args.explain && ctx.out.format == Format::Table {
        ctx.out.write(&candidates(ctx, &resolved))?;
    }
    if resolved.instance.is_none() { Err(nothing_routable(&args.name)) } else { Ok(()) }
}

fn nothing_routable(name: &str) -> Error {
    Error::new(Code::Failed, format!("no instance of `{name}` can be sent traffic"))
        .try_(format!("ellie why {name}"))
}

fn with_why(error: Error, name: &str) -> Error {
    match error.code {
        Code::NotFound | Code::Failed => error.try_(format!("ellie why {name}")),
        _ => error,
    }
}

/// Every candidate of a pick, its score, and why it was passed over.
pub(super) fn candidates(ctx: &Context, resolved: &Resolved) -> String {
    let columns = [
        Column("", Left),
        Column("ID", Left),
        Column("STATUS", Left),
        Column("SHARE", Right),
        Column("COST", Right),
        Column("LATENCY", ExtraRight),
        Column("FAILING", ExtraRight),
        Column("IN FLIGHT", ExtraRight),
        Column("WEIGHT", ExtraRight),
        Column("WHY", Flexible),
    ];
    let row = |c: &ellie_api::resolve::Candidate| {
        let score =
            |f: &dyn Fn(&ellie_api::resolve::Score) -> String| c.score.as_ref().map_or_else(String::new, f);
        vec![
            if c.picked { Cell::styled("→", style_of("routable")) } else { "".into() },
            Cell::styled(&c.id, BOLD),
            status(c.status.as_str()),
            score(&|s| percent(s.share)).into(),
            score(&|s| format!("{:.2}", s.cost)).into(),
            score(&|s| s.latency_ms.map_or_else(|| "?".into(), millis)).into(),
            score(&|s| percent(s.failure_rate)).into(),
            score(&|s| s.in_flight.to_string()).into(),
            c.weight.to_string().into(),
            c.reason.clone().into(),
        ]
    };
    let rows: Vec<_> = resolved.candidates.iter().map(row).collect();
    format!(
        "\n{DIM}strategy{DIM:#} {}   {DIM}traffic goes to{DIM:#} {}\n\n{}",
        resolved.strategy,
        match resolved.level.as_str() {
            "degraded" => "healthy and degraded instances: fewer than half are healthy",
            "panic" => "all instances: too few are healthy",
            _ => "healthy instances",
        },
        ctx.out.table(&columns, &rows)
    )
}

pub(super) fn health(ctx: &Context, args: &HealthArgs) -> Result<()> {
    let client = ctx.client()?;
    let unhealthy = |what: String, hint: String| Error::new(Code::Failed, what).try_(hint);
    if let Some(name) = &args.name {
        let path = format!("/services/{}/health", segment(name));
        let health: ellie_api::health::NamedHealth = client.get(&path).map_err(|e| with_why(e, name))?;
        ctx.out.print_one(
            &health,
            |h| h.health.status.to_string(),
            |text| {
                let style = style_of(health.health.status.as_str());
                let _ = writeln!(text, "{BOLD}{name}{BOLD:#}  {style}{}{style:#}\n", health.health.status);
                let columns = [
                    Column("ID", Left),
                    Column("STATUS", Left),
                    Column("TRAFFIC", Left),
                    Column("SINCE", Left),
                    Column("REASON", Flexible),
                ];
                let rows: Vec<_> = health
                    .instances
                    .iter()
                    .map(|(id, i)| {
                        vec![
                            Cell::styled(id, BOLD),
                            status(i.status.as_str()),
                            status(&i.standing),
                            ago(&i.since).into(),
                            i.reason.clone().into(),
                        ]
                    })
                    .collect();
                text.push_str(&ctx.out.table(&columns, &rows));
                text.push_str(&dependencies(&health.health.dependencies));
            },
        )?;
        if health.health.status == ellie_api::Status::Unhealthy {
            return Err(unhealthy(format!("`{name}` is unhealthy"), format!("ellie why {name}")));
        }
        return Ok(());
    }
    if args.own {
        let health: ellie_api::health::OwnHealth = client.get("/health")?;
        let text = format!("ellie {} is {}, for {} s\n", health.version, health.status, health.uptime);
        return ctx.out.print_one(&health, |h| h.status.to_string(), |out| out.push_str(&text));
    }
    let health: Health = client.get("/services/health")?;
    ctx.out.print_one(
        &health,
        |h| h.status.to_string(),
        |text| {
            let style = style_of(health.status.as_str());
            let (s, i) = (&health.summary, &health.summary.instances);
            let _ = writeln!(
                text,
                "{style}{}{style:#}  {}: {} healthy, {} degraded, {} unhealthy  {}: {} healthy",
                health.status,
                count(s.total, "service"),
                s.healthy,
                s.degraded,
                s.unhealthy,
                count(i.total, "instance"),
                i.healthy
            );
            if health.services.is_empty() {
                return;
            }
            text.push('\n');
            let columns = [
                Column("SERVICE", Left),
                Column("STATUS", Left),
                Column("HEALTHY", Right),
                Column("DEGRADED", Right),
                Column("UNHEALTHY", Right),
                Column("NEEDS", Flexible),
            ];
            let rows: Vec<_> = health
                .services
                .iter()
                .map(|(name, h)| {
                    let number = |n: usize| Cell::from(n.to_string());
                    let needs: Vec<String> = h
                        .dependencies
                        .iter()
                        .map(|(d, up)| match up {
                            Some(true) => d.clone(),
                            Some(false) => format!("{d} (down)"),
                            None => format!("{d} (unknown)"),
                        })
                        .collect();
                    vec![
                        Cell::styled(name, BOLD),
                        status(h.status.as_str()),
                        number(h.healthy),
                        number(h.degraded),
                        number(h.unhealthy),
                        needs.join(", ").into(),
                    ]
                })
                .collect();
            text.push_str(&ctx.out.table(&columns, &rows));
        },
    )?;
    if health.status == ellie_api::Status::Unhealthy {
        let sick = health.services.iter().find(|(_, h)| h.status == ellie_api::Status::Unhealthy);
        let hint = sick.map_or_else(|| "ellie services".into(), |(name, _)| format!("ellie why {name}"));
        return Err(unhealthy("the system is unhealthy".into(), hint));
    }
    Ok(())
}

fn dependencies(all: &std::collections::BTreeMap<String, Option<bool>>) -> String {
    let mut text = String::new();
    for (name, up) in all {
        let (word, style) = match up {
            Some(true) => ("available", style_of("healthy")),
            Some(false) => ("not available", style_of("unhealthy")),
            None => ("not known here", DIM),
        };
        let _ = writeln!(text, "needs {name}: {style}{word}{style:#}");
    }
    text
}

pub(super) fn stats(ctx: &Context) -> Result<()> {
    let stats: Stats = ctx.client()?.get("/services/stats")?;
    ctx.out.print_one(
        &stats,
        |s| s.registry.index.to_string(),
        |text| {
            let (r, h, g) = (&stats.registry, &stats.health_checks, &stats.gateway);
            let mut line = |name: &str, value: String| {
                let room = ctx.out.width().map_or(usize::MAX, |w| w.saturating_sub(15).max(20));
                for (i, part) in wrap(&value, room).iter().enumerate() {
                    let _ = writeln!(text, "{BOLD}{:<15}{BOLD:#}{part}", if i == 0 { name } else { "" });
                }
            };
            line(
                "registry",
                format!(
                    "{}, {} ({} healthy, {} degraded, {} unhealthy), {} routable; index {}; {}",
                    count(r.services, "service"),
                    count(r.instances.total, "instance"),
                    r.instances.healthy,
                    r.instances.degraded,
                    r.instances.unhealthy,
                    r.routable,
                    r.index,
                    r.store
                ),
            );
            if let Some(since) = &r.expiry_paused {
                line("", format!("lease expiry is paused since {}: a mass expiry was stopped", ago(since)));
            }
            let took = h.mean_took_ms.map_or_else(String::new, |ms| format!(", {} on average", millis(ms)));
            line(
                "health checks",
                format!(
                    "{} scheduled, {} in flight, {} done, {} failed{took}",
                    h.scheduled, h.in_flight, h.completed, h.failed
                ),
            );
            let answers: Vec<String> = g
                .responses
                .iter()
                .filter(|(_, n)| **n > 0)
                .map(|(class, n)| format!("{n} × {class}"))
                .collect();
            line(
                "gateway",
                format!(
                    "{}, {} ({}), {} in flight, {}, {} retried, {} rate limited",
                    count(g.routes, "route"),
                    count(g.requests, "request"),
                    if answers.is_empty() { "no answers".into() } else { answers.join(", ") },
                    g.in_flight,
                    count(g.connections, "connection"),
                    g.retries,
                    g.rate_limited
                ),
            );
            line("load balancer", stats.load_balancer.strategy.clone());
            let columns = [
                Column("SERVICE", Left),
                Column("INSTANCE", Flexible),
                Column("IN FLIGHT", Right),
                Column("OK", Right),
                Column("FAILED", Right),
                Column("TIMEOUT", ExtraRight),
                Column("LATENCY", Right),
                Column("FAILING", Right),
                Column("EJECTED", Right),
            ];
            let mut rows = Vec::new();
            for (name, service) in &stats.load_balancer.services {
                for (id, i) in &service.instances {
                    rows.push(vec![
                        Cell::styled(name, BOLD),
                        id.clone().into(),
                        i.in_flight.to_string().into(),
                        i.successes.to_string().into(),
                        i.failures.to_string().into(),
                        i.timeouts.to_string().into(),
                        i.latency_ms.map_or_else(String::new, millis).into(),
                        percent(i.failure_rate).into(),
                        i.ejected_for.map_or_else(String::new, span_ms).into(),
                    ]);
                }
            }
            if !rows.is_empty() {
                let _ = write!(text, "\n{}", ctx.out.table(&columns, &rows));
            }
            if !stats.circuit_breaker.is_empty() {
                let breakers: Vec<ellie_api::Breaker> = stats
                    .circuit_breaker
                    .iter()
                    .map(|(name, b)| ellie_api::Breaker { name: Some(name.clone()), ..b.clone() })
                    .collect();
                let _ = write!(text, "\n{}", super::breakers::table(ctx, &breakers));
            }
        },
    )
}
