//! Commands that change an instance: register, deregister, check, drain, undrain, maintenance, weight.

use super::args::{
    Described, ForcedTarget, MaintenanceArgs, Note, OperateArgs, RegisterArgs, Target, WeightArgs,
};
use super::client::{Client, segment};
use super::context::Context;
use super::error::{Code, Error, Result};
use super::table::{BOLD, clean, style_of};
use crate::say::{millis, span, until};
use ellie_api::instance::{CheckResult, HealthCheck, Mark};
use ellie_api::request::{Drain, Maintenance, Weight};
use ellie_api::{Instance, Registered, Registration, ServiceDetail, Status};
use ellie_core::Now;
use std::time::Duration;
use ureq::http::Method;

/// The registration that flags describe.
pub(super) fn registration(name: &str, port: u16, d: &Described) -> Registration {
    let ms = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    let has_check = d.check.is_some() || d.check_interval.is_some() || d.check_timeout.is_some();
    Registration {
        id: d.id.clone(),
        name: name.into(),
        version: d.service_version.clone(),
        host: d.host.clone().unwrap_or_else(|| "127.0.0.1".into()),
        port,
        protocol: d.protocol.clone(),
        health_endpoint: d.health.clone(),
        tags: d.tag.iter().filter(|tag| !tag.is_empty()).cloned().collect(),
        dependencies: d.depends.clone(),
        metadata: d.meta.iter().cloned().collect(),
        weight: d.weight,
        ttl: d.ttl.map(ms),
        zone: d.zone.clone(),
        health_check: has_check.then(|| HealthCheck {
            kind: d.check.clone(),
            interval: d.check_interval.map(ms),
            timeout: d.check_timeout.map(ms),
            ..HealthCheck::default()
        }),
    }
}

/// The path of an instance.
pub(super) fn path(name: &str, id: &str) -> String {
    format!("/services/{}/instances/{}", segment(name), segment(id))
}

pub(super) fn register(ctx: &Context, args: &RegisterArgs) -> Result<()> {
    let client = ctx.client()?;
    let body = registration(&args.name, args.port, &args.described);
    let answer = client.send(&Method::POST, "/services", Some(&body))?;
    let created = answer.status == 201;
    let registered: Registered = serde_json::from_str(&answer.body).map_err(|e| {
        Error::new(Code::Failed, "the registration was answered in a way that is not known").because(e)
    })?;
    let mut instance = registered.instance;
    if args.wait {
        instance = wait_healthy(ctx, &client, instance)?;
    }
    ctx.out.print_one(
        &instance,
        |i| i.id.clone(),
        |text| {
            let style = style_of(instance.status.as_str());
            let verb = if created { "registered" } else { "replaced" };
            text.push_str(&format!(
                "{verb} {BOLD}{}{BOLD:#} {} at {}  {style}{}{style:#}: {}\n",
                instance.name,
                instance.id,
                instance.authority(),
                instance.status,
                instance.reason
            ));
        },
    )
}

/// Waits by long polls on the index, so that it ends with the first probe that makes it healthy.
fn wait_healthy(ctx: &Context, client: &Client, mut instance: Instance) -> Result<Instance> {
    let timeout = ctx.common.timeout;
    let started = Now::read().instant;
    let path = path(&instance.name, &instance.id);
    while instance.status != Status::Healthy {
        let left = timeout.saturating_sub(Now::read().instant.saturating_duration_since(started));
        if left.is_zero() {
            let what = format!("`{}` {} is not healthy after {}", instance.name, instance.id, span(timeout));
            return Err(Error::new(Code::TimedOut, what)
                .because(&instance.reason)
                .try_(format!("ellie why {} {}", instance.name, instance.id)));
        }
        // Short polls of one instance: the server has no long poll of one.
        std::thread::park_timeout(Duration::from_millis(100).min(left));
        instance = client.get(&path)?;
    }
    Ok(instance)
}

pub(super) fn deregister(ctx: &Context, args: &ForcedTarget) -> Result<()> {
    let client = ctx.client()?;
    let Target { name, id } = &args.target;
    guard(&client, &args.target, args.force, "removing")?;
    client.send(&Method::DELETE, &path(name, id), None::<&()>).map_err(|e| unknown(e, &args.target))?;
    let value = serde_json::json!({ "name": name, "id": id, "deregistered": true });
    ctx.out.print_one(&value, |_| id.clone(), |text| text.push_str(&format!("deregistered {name} {id}\n")))
}

/// A check now. One that failed is a failure here, too, so that a script can ask.
pub(super) fn check(ctx: &Context, target: &Target) -> Result<()> {
    let Target { name, id } = target;
    let at = format!("{}/check", path(name, id));
    let result: CheckResult =
        ctx.client()?.call(&Method::PUT, &at, None::<&()>).map_err(|e| unknown(e, target))?;
    let verdict = result.verdict;
    ctx.out.print_one(
        &result,
        |r| r.verdict.to_string(),
        |text| {
            let style = style_of(verdict.as_str());
            let (took, output) = (millis(result.took_ms), clean(&result.output));
            text.push_str(&format!(
                "{BOLD}{name}{BOLD:#} {id}  {style}{verdict}{style:#} after {took}: {output}\n"
            ));
        },
    )?;
    if verdict == Status::Unhealthy {
        let what = format!("the check of `{name}` {id} failed");
        return Err(Error::new(Code::Failed, what).try_(format!("ellie why {name} {id}")));
    }
    Ok(())
}

pub(super) fn drain(ctx: &Context, args: &OperateArgs) -> Result<()> {
    let client = ctx.client()?;
    guard(&client, &args.target, args.force, "draining")?;
    let instance = put(&client, &args.target, "drain", &body_of(&args.note))?;
    say(ctx, &instance, "drains: no new requests", instance.operator.draining.as_ref())
}

pub(super) fn undrain(ctx: &Context, target: &Target) -> Result<()> {
    let client = ctx.client()?;
    let instance = put(&client, target, "undrain", &Drain::default())?;
    say(ctx, &instance, "is no longer drained", None)
}

pub(super) fn maintenance(ctx: &Context, args: &MaintenanceArgs) -> Result<()> {
    let client = ctx.client()?;
    let MaintenanceArgs { operate, off } = args;
    if !off {
        guard(&client, &operate.target, operate.force, "taking out")?;
    }
    let Drain { ttl, reason } = body_of(&operate.note);
    let body = Maintenance { enabled: !off, ttl, reason };
    let instance = put(&client, &operate.target, "maintenance", &body)?;
    let sentence = if *off { "is back from maintenance" } else { "is in maintenance: no requests" };
    say(ctx, &instance, sentence, instance.operator.maintenance.as_ref())
}

pub(super) fn weight(ctx: &Context, args: &WeightArgs) -> Result<()> {
    let client = ctx.client()?;
    if args.weight.0 == Some(0) {
        guard(&client, &args.target, args.force, "giving weight 0 to")?;
    }
    let Drain { ttl, reason } = body_of(&args.note);
    let body = Weight { weight: args.weight.0, ttl, reason };
    let instance = put(&client, &args.target, "weight", &body)?;
    let sentence = format!("has weight {}", instance.weight);
    say(ctx, &instance, &sentence, instance.operator.weight.as_ref().map(|w| &w.mark))
}

fn body_of(note: &Note) -> Drain {
    Drain { ttl: note.ttl.map(|d| d.as_millis() as u64), reason: note.reason.clone() }
}

fn put(client: &Client, target: &Target, action: &str, body: &impl serde::Serialize) -> Result<Instance> {
    let path = format!("{}/{action}", path(&target.name, &target.id));
    client.call(&Method::PUT, &path, Some(body)).map_err(|e| unknown(e, target))
}

fn say(ctx: &Context, instance: &Instance, sentence: &str, mark: Option<&Mark>) -> Result<()> {
    ctx.out.print_one(
        instance,
        |i| i.id.clone(),
        |text| {
            let until = mark
                .and_then(|m| m.until.as_deref())
                .map_or_else(String::new, |at| format!(", ends {}", until(at)));
            let reason =
                mark.and_then(|m| m.reason.as_deref()).map_or_else(String::new, |r| format!(" ({r})"));
            let name = &instance.name;
            text.push_str(&format!("{BOLD}{name}{BOLD:#} {} {sentence}{until}{reason}\n", instance.id));
        },
    )
}

/// Refuses to take the last instance out of traffic while others of its service are out already: that is how an
/// incident becomes an outage. A service of one instance has no other to fall back on, and who takes it out knows.
fn guard(client: &Client, target: &Target, force: bool, doing: &str) -> Result<()> {
    if force {
        return Ok(());
    }
    let Target { name, id } = target;
    let detail: ServiceDetail =
        client.get(&format!("/services/{}", segment(name))).map_err(|e| unknown(e, target))?;
    let routable = |i: &&Instance| i.is_routable();
    let is_last = detail.instances.iter().filter(routable).all(|i| i.id == *id);
    let is_in = detail.instances.iter().any(|i| i.id == *id && i.is_routable());
    if !(is_last && is_in && detail.instances.len() > 1) {
        return Ok(());
    }
    let others = detail.instances.iter().filter(|i| i.id != *id);
    let mut error = Error::new(
        Code::Refused,
        format!("{doing} {id} would leave `{name}` without an instance that gets traffic"),
    );
    for other in others.take(5) {
        error = error.because(format!("{} is {}: {}", other.id, other.standing, other.reason));
    }
    Err(error.try_(format!("ellie why {name}")).try_("the same with --force"))
}

/// Adds what to try where a name is not known.
pub(super) fn unknown(error: Error, target: &Target) -> Error {
    match error.code {
        Code::NotFound => error.try_(format!("ellie why {} {}", target.name, target.id)),
        _ => error,
    }
}
