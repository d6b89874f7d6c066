//! `ellie analyze`: which processes the start waited for.

use super::super::context::Context;
use super::super::error::Result;
use super::super::table::{Align, BOLD, CYAN, Cell, Column, DIM, YELLOW};
use crate::say::span;
use ellie_api::process::{Process, Processes};
use serde::Serialize;
use std::time::{Duration, SystemTime};

/// How many characters the time of the whole start takes in the picture.
const PICTURE: u64 = 24;

/// One process' part in the start. Durations are milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Step {
    name: String,
    /// From the first process that was asked for until this one no longer waited.
    unblocked_at: u64,
    /// For others.
    waited: u64,
    /// From then until it was ready, or had completed.
    took: u64,
    /// Whom it waited for last.
    blocker: Option<String>,
    /// Whether a shorter time of it would have made the whole start shorter.
    critical: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// From the first that was asked for to the last that was ready.
    total: u64,
    /// The chain of processes that made it so long, in order.
    critical_path: Vec<String>,
    /// In the order in which they were ready.
    steps: Vec<Step>,
}

fn time(text: Option<&String>) -> Option<SystemTime> {
    humantime::parse_rfc3339_weak(text?).ok()
}

/// When it was of use to others: a task when it had completed, everything else when it was ready.
fn done(p: &Process) -> Option<SystemTime> {
    let completed = time(p.times.ended.as_ref()).filter(|_| p.state == "completed");
    completed.or_else(|| time(p.times.ready.as_ref()))
}

fn between(from: Option<SystemTime>, to: Option<SystemTime>) -> u64 {
    let passed = from.zip(to).and_then(|(from, to)| to.duration_since(from).ok()).unwrap_or_default();
    u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
}

fn report(all: &[Process]) -> Report {
    let first = all.iter().filter_map(|p| time(p.times.asked.as_ref())).min();
    let mut finished: Vec<&Process> = all.iter().filter(|p| done(p).is_some()).collect();
    finished.sort_by_key(|p| done(p));
    let mut path = Vec::new();
    let mut at = finished.last().copied();
    while let Some(p) = at {
        path.push(p.name.clone());
        let blocker = p.times.blocker.as_ref();
        // A chain of blockers goes back in time, so it ends; a torn one must not go round.
        at = all.iter().find(|other| Some(&other.name) == blocker && !path.contains(&other.name));
    }
    path.reverse();
    let steps = finished.iter().map(|p| {
        let unblocked = time(p.times.unblocked.as_ref());
        Step {
            name: p.name.clone(),
            unblocked_at: between(first, unblocked),
            waited: between(time(p.times.asked.as_ref()), unblocked),
            took: between(unblocked, done(p)),
            blocker: p.times.blocker.clone(),
            critical: path.contains(&p.name),
        }
    });
    Report {
        total: between(first, finished.last().and_then(|p| done(p))),
        steps: steps.collect(),
        critical_path: path,
    }
}

/// A duration, as exact as it is read.
fn ms(ms: u64) -> String {
    match ms {
        1000..60_000 => format!("{}.{:02}s", ms / 1000, ms % 1000 / 10),
        _ => span(Duration::from_millis(ms)),
    }
}

/// Where in the start a process waited for others, and where it got ready.
fn picture(step: &Step, total: u64) -> String {
    let place = |ms: u64| (ms * PICTURE).checked_div(total).unwrap_or_default().min(PICTURE);
    let from = place(step.unblocked_at).min(PICTURE - 1);
    let asked = place(step.unblocked_at.saturating_sub(step.waited)).min(from);
    let to = place(step.unblocked_at + step.took).max(from + 1);
    let part = |what: &str, n: u64| what.repeat(usize::try_from(n).unwrap_or_default());
    part(" ", asked) + &part("·", from - asked) + &part("━", to - from)
}

pub(crate) fn analyze(ctx: &Context) -> Result<()> {
    let all: Processes = ctx.client()?.get("/processes")?;
    let report = report(&all.processes);
    let columns = [
        Column("PROCESS", Align::Left),
        Column("WAITED", Align::Right),
        Column("FOR", Align::Left),
        Column("TOOK", Align::Right),
        Column("READY AT", Align::Right),
        Column("· waited  ━ got ready", Align::Extra),
    ];
    let rows: Vec<Vec<Cell>> = report
        .steps
        .iter()
        .map(|step| {
            let name = match step.critical {
                true => Cell::styled(step.name.as_str(), BOLD),
                false => Cell::from(step.name.as_str()),
            };
            let waited = if step.waited == 0 { String::new() } else { ms(step.waited) };
            let ready = format!("+{}", ms(step.unblocked_at + step.took));
            vec![
                name,
                waited.into(),
                step.blocker.clone().unwrap_or_default().into(),
                ms(step.took).into(),
                ready.into(),
                Cell::styled(picture(step, report.total), if step.critical { YELLOW.bold() } else { CYAN }),
            ]
        })
        .collect();
    let missing: Vec<&Process> = all.processes.iter().filter(|p| done(p).is_none()).collect();
    ctx.out.print(
        &report,
        &report.steps,
        |step| step.name.clone(),
        |text| {
            if report.steps.is_empty() {
                text.push_str("Nothing has been ready yet.\n");
            } else {
                let path = report.critical_path.join(" → ");
                text.push_str(&format!(
                    "The start took {} by way of {BOLD}{path}{BOLD:#}\n\n",
                    ms(report.total)
                ));
                text.push_str(&ctx.out.table(&columns, &rows));
            }
            for p in missing {
                text.push_str(&format!("{DIM}not ready: {} ({}) {}{DIM:#}\n", p.name, p.state, p.reason));
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use ellie_api::process::Times;

    fn process(name: &str, blocker: Option<&str>, unblocked: u64, ready: u64) -> Process {
        let at = |ms: u64| {
            let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000 + ms);
            Some(humantime::format_rfc3339_millis(at).to_string())
        };
        Process {
            name: name.into(),
            process: name.into(),
            external: false,
            state: "ready".into(),
            reason: String::new(),
            since: String::new(),
            pid: None,
            port: None,
            restarts: 0,
            failures: 0,
            last_exit: None,
            retry_in: None,
            times: Times {
                asked: at(0),
                unblocked: at(unblocked),
                blocker: blocker.map(Into::into),
                started: at(unblocked),
                ready: at(ready),
                ended: None,
            },
            dependencies: Vec::new(),
        }
    }

    #[test]
    fn the_critical_path_goes_back_from_the_last_to_be_ready() {
        let report = report(&[
            process("web", Some("api"), 700, 800),
            process("api", Some("db"), 500, 700),
            process("db", None, 0, 500),
            process("cache", None, 0, 100),
        ]);
        assert_eq!(report.total, 800);
        assert_eq!(report.critical_path, ["db", "api", "web"]);
        let of = |name: &str| report.steps.iter().find(|step| step.name == name).unwrap().clone();
        assert_eq!((of("api").waited, of("api").took, of("api").critical), (500, 200, true));
        assert!(!of("cache").critical);
    }

    #[test]
    fn the_picture_shows_who_waited_and_who_worked() {
        let report = report(&[
            process("db", None, 0, 600),
            process("api", Some("db"), 600, 1190),
            process("web", Some("api"), 1190, 1200),
        ]);
        let shown: Vec<String> = report.steps.iter().map(|step| picture(step, report.total)).collect();
        assert_eq!(shown, ["━".repeat(12), "·".repeat(12) + &"━".repeat(11), "·".repeat(23) + "━"]);
        assert_eq!((ms(900), ms(1234), ms(61_000)), ("900ms".into(), "1.23s".into(), "1m 1s".into()));
    }

    #[test]
    fn nothing_that_was_ready_is_no_start() {
        assert_eq!(report(&[]).total, 0);
    }
}
