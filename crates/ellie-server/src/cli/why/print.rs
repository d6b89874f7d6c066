//! A report as text.

use crate::cli::table::{BOLD, DIM, GREEN, RED, YELLOW, clean, wrap};
use ellie_api::ui::{Finding, Level, Why as Report};
use std::fmt::Write;

/// The topics' column.
const TOPIC: usize = 13;

pub(super) fn report(text: &mut String, report: &Report, width: Option<usize>) {
    let style = if report.routable { GREEN } else { RED };
    let _ = writeln!(text, "{style}{}{style:#}\n", report.verdict);
    for finding in &report.findings {
        line(text, finding, width);
    }
    for instance in &report.instances {
        let style = if instance.routable { GREEN } else { RED };
        let word = if instance.routable { "gets traffic" } else { "gets no traffic" };
        let _ = writeln!(
            text,
            "\n{BOLD}{}{BOLD:#}  {}  {style}{word}{style:#}",
            clean(&instance.id),
            instance.address
        );
        for finding in &instance.findings {
            line(text, finding, width);
        }
    }
    text.push('\n');
    for hint in &report.hints {
        let _ = writeln!(text, "try: {BOLD}{hint}{BOLD:#}");
    }
}

fn line(text: &mut String, finding: &Finding, width: Option<usize>) {
    let (mark, style) = match finding.level {
        Level::Ok => ("✓", GREEN),
        Level::Info => ("·", DIM),
        Level::Warning => ("!", YELLOW),
        Level::Problem => ("✗", RED),
    };
    let room = width.map_or(usize::MAX, |w| w.saturating_sub(TOPIC + 5).max(20));
    let mut lines = wrap(&finding.text, room).into_iter();
    let first = lines.next().unwrap_or_default();
    let _ = writeln!(text, "  {style}{mark}{style:#} {:<TOPIC$} {first}", &finding.topic);
    let indent = TOPIC + 5;
    for more in lines {
        let _ = writeln!(text, "{:indent$}{more}", "");
    }
    for detail in &finding.details {
        for (i, part) in wrap(detail, room.saturating_sub(2)).into_iter().enumerate() {
            let _ = writeln!(text, "{:indent$}{DIM}{}{part}{DIM:#}", "", if i > 0 { "  " } else { "" });
        }
    }
}
