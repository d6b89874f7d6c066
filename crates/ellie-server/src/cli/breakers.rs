//! `ellie breakers`.

use super::args::{BreakerTarget, BreakersArgs, BreakersCommand, Note};
use super::client::segment;
use super::context::Context;
use super::error::{Code, Error, Result};
use super::table::{Align::*, BOLD, Cell, Column, status};
use crate::say::{percent, span};
use crate::why::breaker_next;
use ellie_api::request::Force;
use ellie_api::{Breaker, Breakers};
use ureq::http::Method;

pub(super) fn run(ctx: &Context, args: &BreakersArgs) -> Result<()> {
    match &args.command {
        None | Some(BreakersCommand::Ls) => list(ctx),
        Some(BreakersCommand::ForceOpen(target)) => force(ctx, target, "force-open", "open"),
        Some(BreakersCommand::ForceClose(target)) => force(ctx, target, "force-close", "closed"),
        Some(BreakersCommand::Reset(BreakerTarget { name, note })) => {
            put(ctx, name, "reset", note)?;
            let held = note.ttl.map_or_else(String::new, |d| format!(", and held so for {}", span(d)));
            said(ctx, name, "reset", &format!("breaker {name} is reset: closed, nothing counted{held}\n"))
        }
    }
}

fn list(ctx: &Context) -> Result<()> {
    let all: Breakers = ctx.client()?.get("/breakers")?;
    ctx.out.print(
        &all,
        &all.breakers,
        |b| b.name.clone().unwrap_or_default(),
        |text| {
            if all.breakers.is_empty() {
                text.push_str("No breaker yet: a service has one from its first request.\n");
            } else {
                text.push_str(&table(ctx, &all.breakers));
            }
        },
    )
}

/// Breakers as a table.
pub(super) fn table(ctx: &Context, breakers: &[Breaker]) -> String {
    let columns = [
        Column("BREAKER", Left),
        Column("STATE", Left),
        Column("FAILURES", Right),
        Column("CALLS", Right),
        Column("RATE", Right),
        Column("REJECTED", ExtraRight),
        Column("OPENED", ExtraRight),
        Column("NEXT", Flexible),
    ];
    let row = |b: &Breaker| {
        vec![
            Cell::styled(b.name.clone().unwrap_or_default(), BOLD),
            status(b.state.as_str()),
            format!("{}/{}", b.failures, b.config.failure_threshold).into(),
            b.calls.to_string().into(),
            percent(b.failure_rate).into(),
            b.totals.rejected.to_string().into(),
            format!("{}×", b.totals.opened).into(),
            breaker_next(b).into(),
        ]
    };
    ctx.out.table(&columns, &breakers.iter().map(row).collect::<Vec<_>>())
}

fn force(ctx: &Context, target: &BreakerTarget, action: &str, state: &str) -> Result<()> {
    put(ctx, &target.name, action, &target.note)?;
    let long = target.note.ttl.map_or_else(
        || format!("until: ellie breakers reset {}", target.name),
        |d| format!("for {}", span(d)),
    );
    said(ctx, &target.name, action, &format!("breaker {} is forced {state} {long}\n", target.name))
}

fn put(ctx: &Context, name: &str, action: &str, note: &Note) -> Result<()> {
    let body = Force { ttl: note.ttl.map(|d| d.as_millis() as u64), reason: note.reason.clone() };
    let path = format!("/breakers/{}/{action}", segment(name));
    match ctx.client()?.send(&Method::PUT, &path, Some(&body)) {
        Ok(_) => Ok(()),
        Err(error) if error.code == Code::NotFound => Err(Error { ..error }.try_("ellie breakers")),
        Err(error) => Err(error),
    }
}

fn said(ctx: &Context, name: &str, action: &str, sentence: &str) -> Result<()> {
    let value = serde_json::json!({ "breaker": name, "action": action });
    ctx.out.print_one(&value, |_| name.to_owned(), |text| text.push_str(sentence))
}
