//! `ellie events` and `ellie watch`: streams, and the past.

use super::args::{EventsArgs, Format, WatchArgs};
use super::client::{Client, query};
use super::context::Context;
use super::error::{Code, Error, Result};
use super::table::{BOLD, CYAN, DIM, style_of};
use crate::say::clock;
use ellie_api::{Change, Event, Events, Services};
use ellie_core::Now;
use serde::Serialize;
use std::time::Duration;

/// Between attempts to take up a stream that broke.
const AGAIN: Duration = Duration::from_secs(1);
/// After this long without the server, following ends.
const GIVE_UP: Duration = Duration::from_secs(60);

pub(super) fn events(ctx: &Context, args: &EventsArgs) -> Result<()> {
    let client = ctx.client()?;
    let filter = args.service.as_ref().map_or_else(String::new, |name| format!("?service={}", query(name)));
    let path = format!("/events{filter}");
    let mut past: Events = client.get(&path)?;
    past.events.retain(|e| args.service.is_none() || e.service == args.service);
    let skip = past.events.len().saturating_sub(args.last);
    past.events.drain(..skip);
    past.count = past.events.len();
    if !args.follow {
        return ctx.out.print(
            &past,
            &past.events,
            |e| e.id.to_string(),
            |text| {
                if past.events.is_empty() {
                    text.push_str("Nothing has happened yet.\n");
                }
                for event in &past.events {
                    text.push_str(&line(event));
                }
            },
        );
    }
    for event in &past.events {
        print(ctx, event, &event.id.to_string(), &line(event))?;
    }
    follow(&client, &path, Some(past.last_id), |kind, id, data| {
        if kind == "resync" {
            eprintln_note("some events were missed: the journal no longer has them");
            return Ok(true);
        }
        let Ok(event) = serde_json::from_str::<Event>(data) else { return Ok(true) };
        if args.service.is_none() || event.service == args.service {
            print(ctx, &event, &id.to_string(), &line(&event))?;
        }
        Ok(true)
    })
}

/// One event in one line.
pub(super) fn line(e: &Event) -> String {
    let about = match (&e.service, &e.instance) {
        (Some(service), Some(instance)) => format!("{service} {instance}"),
        (Some(one), None) | (None, Some(one)) => one.clone(),
        (None, None) => String::new(),
    };
    let space = if about.is_empty() { "" } else { "  " };
    format!(
        "{DIM}{}{DIM:#}  {CYAN}{}{CYAN:#}{space}{BOLD}{about}{BOLD:#}  {}  {DIM}by {}{DIM:#}\n",
        clock(&e.at),
        e.kind,
        clean(&e.message),
        e.actor
    )
}

fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

pub(super) fn watch(ctx: &Context, args: &WatchArgs) -> Result<()> {
    let client = ctx.client()?;
    let mut left = args.count;
    let wanted = |name: &str| args.name.as_deref().is_none_or(|n| n == name);
    if args.count == Some(0) {
        return Ok(());
    }
    // Of a name that is not there yet its first registration is awaited, so its absence is no error.
    let path = match &args.name {
        Some(name) => format!("/services/watch?service={}", query(name)),
        None => "/services/watch".into(),
    };
    follow(&client, &path, None, |kind, _, data| {
        match kind {
            "snapshot" => {
                let Ok(all) = serde_json::from_str::<Services>(data) else { return Ok(true) };
                let text = format!(
                    "{DIM}{} at index {}; watching{DIM:#}\n",
                    crate::say::count(all.count, "instance"),
                    all.index
                );
                let shown: Vec<_> = all.services.iter().filter(|s| wanted(&s.name)).collect();
                match ctx.out.format {
                    Format::Table => ctx.out.write(&text)?,
                    Format::Name => {}
                    _ => print(ctx, &serde_json::json!({ "snapshot": shown, "index": all.index }), "", "")?,
                }
            }
            "change" => {
                let Ok(change) = serde_json::from_str::<Change>(data) else { return Ok(true) };
                if wanted(&change.name) {
                    print(ctx, &change, &change.id, &change_line(&change))?;
                    left = left.map(|n| n - 1);
                }
            }
            "resync" => eprintln_note("too far behind: the stream goes on with what is now"),
            _ => {}
        }
        Ok(left != Some(0))
    })
}

fn change_line(c: &Change) -> String {
    let i = &c.instance;
    let style = style_of(i.status.as_str());
    format!(
        "{DIM}{:>6}{DIM:#}  {CYAN}{:<12}{CYAN:#}  {BOLD}{}{BOLD:#} {}  {style}{}{style:#}: {}{}\n",
        c.index,
        c.kind,
        c.name,
        c.id,
        i.status,
        clean(&i.reason),
        if i.is_routable() || i.standing == i.status.as_str() {
            String::new()
        } else {
            format!(" ({})", i.standing)
        }
    )
}

fn print(ctx: &Context, value: &impl Serialize, name: &str, line: &str) -> Result<()> {
    match ctx.out.format {
        Format::Table => ctx.out.write(line),
        Format::Name => ctx.out.write(&format!("{name}\n")),
        // A stream has no end, so its JSON is a line each.
        Format::Json | Format::Jsonl => {
            let json = serde_json::to_string(value)
                .map_err(|e| Error::new(Code::Failed, "an event can't be written as JSON").because(e))?;
            ctx.out.write(&format!("{json}\n"))
        }
    }
}

fn eprintln_note(text: &str) {
    anstream::eprintln!("{DIM}{text}{DIM:#}");
}

/// Reads a stream until `take` says that it is enough; takes it up again after the last event where it breaks.
pub(super) fn follow(
    client: &Client,
    path: &str,
    mut last: Option<u64>,
    mut take: impl FnMut(&str, u64, &str) -> Result<bool>,
) -> Result<()> {
    let mut lost_at = None;
    loop {
        match client.stream(path, last) {
            Ok(mut stream) => {
                while let Some(event) = stream.next() {
                    lost_at = None;
                    last = event.id.or(last);
                    if !take(&event.kind, last.unwrap_or_default(), &event.data)? {
                        return Ok(());
                    }
                }
            }
            Err(error) if last.is_none() || error.code != Code::Unreachable => return Err(error),
            Err(error) => {
                let now = Now::read().instant;
                let since = *lost_at.get_or_insert(now);
                if now.saturating_duration_since(since) >= GIVE_UP {
                    return Err(error);
                }
            }
        }
        if lost_at.is_none() {
            eprintln_note(&format!("the stream from {} ended; taking it up again", client.base()));
            lost_at = Some(Now::read().instant);
        }
        std::thread::park_timeout(AGAIN);
    }
}
