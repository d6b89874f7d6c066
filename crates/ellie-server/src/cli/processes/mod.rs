//! The service manager: `up` and `dev` run it, the rest looks at it and gives it orders.

mod analyze;
mod follow;
mod up;

pub(super) use analyze::analyze;
pub(super) use follow::logs;
pub(super) use up::{dev, up};

use super::args::{Goal, GraphArgs, NamesArgs, WaitArgs};
use super::client::segment;
use super::context::Context;
use super::error::{Code, Error, Result};
use super::table::{Align, BOLD, Cell, Column, DIM, GREEN, RED, YELLOW};
use crate::say::{ago, span_ms};
use anstyle::Style;
use ellie::supervisor::plan::{Edge, Node, Twig, dot, tree};
use ellie_api::process::{Process, Processes};
use ellie_core::Now;
use std::time::Duration;
use ureq::http::Method;

/// Between looks.
const LOOK: Duration = Duration::from_millis(100);
/// The least that one answer may take.
const ANSWER: Duration = Duration::from_secs(5);

fn colour(state: &str) -> Style {
    match state {
        "ready" | "completed" => GREEN,
        "failed" | "crash_loop" => RED,
        "stopped" => DIM,
        _ => YELLOW,
    }
}

/// `ellie ps`
pub(super) fn ps(ctx: &Context) -> Result<()> {
    let all: Processes = ctx.client()?.get("/processes")?;
    let columns = [
        Column("NAME", Align::Left),
        Column("STATE", Align::Left),
        Column("PID", Align::Right),
        Column("PORT", Align::Right),
        Column("RESTARTS", Align::ExtraRight),
        Column("SINCE", Align::Left),
        Column("REASON", Align::Flexible),
    ];
    let rows: Vec<Vec<Cell>> = all.processes.iter().map(row).collect();
    ctx.out.print(
        &all,
        &all.processes,
        |p| p.name.clone(),
        |text| {
            if all.processes.is_empty() {
                text.push_str("This server runs no processes: `ellie up` starts one that does.\n");
            } else {
                text.push_str(&ctx.out.table(&columns, &rows));
            }
        },
    )
}

fn row(p: &Process) -> Vec<Cell> {
    let number = |n: Option<String>| n.unwrap_or_default();
    let retry = p.retry_in.map(|ms| format!("; again in {}", span_ms(ms))).unwrap_or_default();
    vec![
        p.name.as_str().into(),
        Cell::styled(p.state.as_str(), colour(&p.state)),
        number(p.pid.map(|pid| pid.to_string())).into(),
        number(p.port.map(|port| port.to_string())).into(),
        if p.restarts > 0 { p.restarts.to_string() } else { String::new() }.into(),
        ago(&p.since).into(),
        format!("{}{retry}", p.reason).into(),
    ]
}

fn order(ctx: &Context, args: &NamesArgs, verb: &str, done: &str) -> Result<()> {
    let client = ctx.client()?;
    let names: Vec<&str> = if args.all { vec!["-"] } else { args.names.iter().map(String::as_str).collect() };
    let mut answers: Vec<Process> = Vec::new();
    for name in names {
        let path = format!("/processes/{}/{verb}", segment(name));
        let answer: Processes = client.call(&Method::PUT, &path, None::<&()>)?;
        answers.extend(answer.processes);
    }
    let whole = Processes { count: answers.len(), processes: answers };
    ctx.out.print(
        &whole,
        &whole.processes,
        |p| p.name.clone(),
        |text| {
            for p in &whole.processes {
                text.push_str(&format!("{}: {done}\n", p.name));
            }
        },
    )
}

/// `ellie start`
pub(super) fn start(ctx: &Context, args: &NamesArgs) -> Result<()> {
    order(ctx, args, "start", "is being started")
}

/// `ellie stop`
pub(super) fn stop(ctx: &Context, args: &NamesArgs) -> Result<()> {
    order(ctx, args, "stop", "is being stopped")
}

/// `ellie restart`
pub(super) fn restart(ctx: &Context, args: &NamesArgs) -> Result<()> {
    order(ctx, args, "restart", "is being restarted")
}

/// `ellie down`: returns when the server is gone.
pub(super) fn down(ctx: &Context) -> Result<()> {
    let client = ctx.client()?;
    let before: Processes = client.call(&Method::PUT, "/processes/down", None::<&()>)?;
    let running = before.processes.iter().filter(|p| p.pid.is_some()).count();
    ctx.out.write(&format!("Stopping {running} processes, dependents first.\n"))?;
    let end = Now::read().instant + ctx.common.timeout;
    loop {
        match client.get::<Processes>("/processes") {
            Err(error) if error.code == Code::Unreachable => return ctx.out.write("Down.\n"),
            Ok(_) | Err(_) if Now::read().instant < end => std::thread::park_timeout(LOOK),
            Ok(left) => {
                let names: Vec<&str> =
                    left.processes.iter().filter(|p| p.pid.is_some()).map(|p| p.name.as_str()).collect();
                let what = format!("not everything has stopped in time: {}", names.join(", "));
                return Err(Error::new(Code::TimedOut, what).try_("ellie down --timeout 60s"));
            }
            Err(error) => return Err(error),
        }
    }
}

/// `ellie graph`
pub(super) fn graph(ctx: &Context, args: &GraphArgs) -> Result<()> {
    let all: Processes = ctx.client()?.get("/processes")?;
    let mut nodes: Vec<Node> = Vec::new();
    for p in &all.processes {
        match nodes.iter_mut().find(|node| node.name == p.process) {
            // Replicas are one node; the state shown is of the one that is least well.
            Some(node) => {
                if p.state != "ready" {
                    node.note.clone_from(&p.state);
                }
            }
            None => nodes.push(Node {
                name: p.process.clone(),
                note: p.state.clone(),
                external: p.external,
                needs: p
                    .dependencies
                    .iter()
                    .map(|d| Edge { name: d.name.clone(), condition: d.condition.clone() })
                    .collect(),
            }),
        }
    }
    if args.dot {
        return ctx.out.write(&dot(&nodes));
    }
    let lines = tree(&nodes);
    ctx.out.print(
        &all,
        &all.processes,
        |p| p.name.clone(),
        |text| {
            let length = |twig: &Twig| twig.branch.chars().count() + twig.name.chars().count();
            let width = lines.iter().map(length).max().unwrap_or_default();
            for twig in &lines {
                let node = nodes.iter().find(|node| node.name == twig.name);
                let state = node.map(|node| node.note.as_str()).unwrap_or_default();
                let style = colour(state);
                let mut notes = Vec::new();
                notes.extend(node.filter(|node| node.external).map(|_| "external".to_owned()));
                notes.extend(twig.condition.as_ref().map(|condition| format!("needed {condition}")));
                notes.extend(twig.again.then(|| "see above".to_owned()));
                let notes = notes.join(", ");
                let (branch, name, gap) = (&twig.branch, &twig.name, width - length(twig));
                let line = format!("{DIM}{branch}{DIM:#}{BOLD}{name}{BOLD:#}{:gap$}", "");
                // Where notes follow, states have the same room.
                match notes.as_str() {
                    "" => text.push_str(&format!("{line}  {style}{state}{style:#}\n")),
                    notes => {
                        text.push_str(&format!("{line}  {style}{state:10}{style:#}  {DIM}{notes}{DIM:#}\n"));
                    }
                }
            }
        },
    )
}

/// Whether one has reached what is waited for; `Err` where it won't by itself.
fn reached(p: &Process, goal: Goal) -> std::result::Result<bool, String> {
    let ended = matches!(p.state.as_str(), "failed" | "completed" | "stopped");
    let there = match goal {
        Goal::Healthy => p.state == "ready",
        Goal::Started => {
            p.times.started.is_some()
                && matches!(p.state.as_str(), "starting" | "ready" | "draining" | "stopping" | "completed")
        }
        Goal::Completed => p.state == "completed",
        Goal::Stopped => return Ok(ended),
    };
    match (there, p.state.as_str()) {
        (true, _) => Ok(true),
        (false, "failed" | "completed") => Err(format!("{} is {}: {}", p.name, p.state, p.reason)),
        (false, _) => Ok(false),
    }
}

/// `ellie wait`
pub(super) fn wait(ctx: &Context, args: &WaitArgs) -> Result<()> {
    // `--timeout` is for what is waited for; an answer may take longer than a short one.
    let client = ctx.client_within(ctx.common.timeout.max(ANSWER))?;
    let path = format!("/processes/{}", segment(&args.name));
    let end = Now::read().instant + ctx.common.timeout;
    loop {
        let now: Processes = client.get(&path)?;
        let states: std::result::Result<Vec<bool>, String> =
            now.processes.iter().map(|p| reached(p, args.goal)).collect();
        match states {
            Ok(states) if states.iter().all(|there| *there) => {
                return ctx.out.print(
                    &now,
                    &now.processes,
                    |p| p.name.clone(),
                    |text| {
                        for p in &now.processes {
                            text.push_str(&format!("{}: {}\n", p.name, p.state));
                        }
                    },
                );
            }
            Ok(_) if Now::read().instant < end => std::thread::park_timeout(LOOK),
            Ok(_) => {
                let why = now.processes.iter().find(|p| reached(p, args.goal) != Ok(true));
                let why = why.map(|p| format!("{} is {}: {}", p.name, p.state, p.reason)).unwrap_or_default();
                let limit = crate::config::show_duration(ctx.common.timeout);
                let what = format!("`{}` has not come so far within {limit}", args.name);
                return Err(Error::new(Code::TimedOut, what)
                    .because(why)
                    .try_(format!("ellie logs {}", args.name))
                    .try_("the same with --timeout 60s"));
            }
            Err(why) => {
                let what = format!("`{}` won't come so far by itself", args.name);
                return Err(Error::new(Code::Failed, what)
                    .because(why)
                    .try_(format!("ellie logs {}", args.name)));
            }
        }
    }
}
