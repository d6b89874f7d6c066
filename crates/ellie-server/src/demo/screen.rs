//! What `ellie demo` shows: one screen on a terminal, lines elsewhere. Pure: a frame in, text out.

use anstyle::{AnsiColor, Style};
use ellie::Status;
use ellie::breaker::State;
use std::fmt::Write as _;
use std::time::Duration;

/// One moment of the demo.
#[derive(Clone, Debug, Default)]
pub(super) struct Frame {
    pub(super) elapsed: Duration,
    /// The terminal's columns.
    pub(super) columns: usize,
    /// What the command line needs to be told to find this server.
    pub(super) server: Option<String>,
    pub(super) links: Vec<(&'static str, String)>,
    pub(super) caption: &'static str,
    pub(super) rate: f64,
    pub(super) ok_share: f64,
    pub(super) services: Vec<ServiceRow>,
    pub(super) events: Vec<String>,
}

/// A service on the screen.
#[derive(Clone, Debug)]
pub(super) struct ServiceRow {
    pub(super) name: String,
    pub(super) breaker: State,
    pub(super) retry_in: Option<Duration>,
    pub(super) rate: f64,
    pub(super) instances: Vec<InstanceRow>,
}

/// An instance on the screen.
#[derive(Clone, Debug)]
pub(super) struct InstanceRow {
    pub(super) id: String,
    pub(super) status: Status,
    pub(super) reason: String,
    pub(super) share: f64,
    pub(super) latency: Option<Duration>,
    pub(super) failure_rate: f64,
}

/// Columns that the screen needs, and the most that it uses.
const WIDTH: std::ops::RangeInclusive<usize> = 78..=118;
const TITLE: &str = "ellie demo  three services, seeded faults, real traffic";
/// Cells of a share's bar.
const BAR: usize = 16;

/// The whole screen, without cursor movements. With `colour` off it has no escapes.
pub(super) fn render(frame: &Frame, colour: bool) -> String {
    let paint = Paint(colour);
    let width = frame.columns.clamp(*WIDTH.start(), *WIDTH.end());
    let mut out = String::new();
    let bold = Style::new().bold();
    let dim = Style::new().dimmed();
    let clock = format!("{:>5.1} s", frame.elapsed.as_secs_f64());
    let title = TITLE.replacen("ellie demo", &paint.on(bold, "ellie demo"), 1);
    let _ = writeln!(out, "{title}{clock:>rest$}", rest = width - TITLE.chars().count());
    for (name, url) in &frame.links {
        let _ = writeln!(out, "  {name:<10} {url}");
    }
    let _ = writeln!(out, "{}", paint.on(dim, &"─".repeat(width)));
    let _ = writeln!(out, "▶ {}", paint.on(bold, frame.caption));
    let _ = writeln!(out, "  {:.0} requests/s, {:.1} % answered well\n", frame.rate, frame.ok_share * 100.0);
    for service in &frame.services {
        service_rows(&mut out, service, &paint, width);
    }
    let _ = writeln!(out, "{}", paint.on(dim, &format!("─ events {}", "─".repeat(width - 9))));
    for event in &frame.events {
        let _ = writeln!(out, "  {}", clip(event, width - 2));
    }
    let server = frame.server.as_ref().map_or_else(String::new, |server| format!(" --server {server}"));
    let hint = format!("^C ends it. Try: ellie{server} why payments, … resolve users --explain, … events -f");
    let _ = write!(out, "  {}", paint.on(dim, &clip(&hint, width - 2)));
    out
}

fn service_rows(out: &mut String, service: &ServiceRow, paint: &Paint, width: usize) {
    let (mark, colour, word) = match service.breaker {
        State::Closed => ("●", AnsiColor::Green, "closed"),
        State::HalfOpen => ("◐", AnsiColor::Yellow, "half-open"),
        State::Open => ("○", AnsiColor::Red, "OPEN"),
    };
    let retry = match service.retry_in {
        Some(left) => format!(", probes in {:.1} s", left.as_secs_f64()),
        None => String::new(),
    };
    let breaker = format!("{mark} breaker {word}{retry}");
    let name = paint.on(Style::new().bold(), &format!("{:<12}", service.name));
    let breaker = paint.on(Style::new().fg_color(Some(colour.into())), &format!("{breaker:<44}"));
    let _ = writeln!(out, "  {name}{breaker}{:>12.0} req/s", service.rate);
    for i in &service.instances {
        let (mark, colour) = match i.status {
            Status::Healthy => ("●", AnsiColor::Green),
            Status::Degraded => ("◐", AnsiColor::Yellow),
            Status::Unhealthy => ("✗", AnsiColor::Red),
        };
        let full = (i.share * BAR as f64).round() as usize;
        let bar = format!("{}{}", "█".repeat(full.min(BAR)), "░".repeat(BAR - full.min(BAR)));
        let mark = paint.on(Style::new().fg_color(Some(colour.into())), mark);
        let latency =
            i.latency.map_or_else(|| "-".to_owned(), |l| format!("{:.0} ms", l.as_secs_f64() * 1e3));
        let state = match i.status {
            Status::Healthy => format!("{:.0} % errors", i.failure_rate * 100.0),
            _ => i.reason.clone(),
        };
        let _ = writeln!(
            out,
            "    {mark} {:<11} {bar} {:>3.0} %  {latency:>7}  {}",
            i.id,
            i.share * 100.0,
            clip(&state, width - 51)
        );
    }
    out.push('\n');
}

/// At most `width` characters, the last a `…` where something was cut.
fn clip(s: &str, width: usize) -> String {
    if s.chars().count() <= width {
        return s.to_owned();
    }
    let mut cut: String = s.chars().take(width - 1).collect();
    cut.push('…');
    cut
}

struct Paint(bool);

impl Paint {
    fn on(&self, style: Style, text: &str) -> String {
        if self.0 { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        let instance = |id: &str, status, share| InstanceRow {
            id: id.into(),
            status,
            reason: "connection refused (127.0.0.1:40123), twice in a row".into(),
            share,
            latency: Some(Duration::from_millis(4)),
            failure_rate: 0.5,
        };
        Frame {
            elapsed: Duration::from_millis(12_340),
            columns: 80,
            server: Some("http://127.0.0.1:41234".into()),
            links: vec![("api", "http://127.0.0.1:5000".into())],
            caption: "payments answers every request with 500 (seeded): watch its breaker open",
            rate: 240.0,
            ok_share: 0.987,
            services: vec![ServiceRow {
                name: "payments".into(),
                breaker: State::Open,
                retry_in: Some(Duration::from_millis(3200)),
                rate: 80.0,
                instances: vec![
                    instance("payments-1", Status::Healthy, 1.0),
                    instance("payments-2", Status::Unhealthy, 0.0),
                ],
            }],
            events: vec!["x".repeat(200)],
        }
    }

    #[test]
    fn the_screen_fits_eighty_columns_and_tells_states_without_colour() {
        let text = render(&frame(), false);
        assert!(!text.contains('\u{1b}'));
        for (columns, most) in [(80, 80), (40, 80), (100, 100), (200, 118)] {
            for line in render(&Frame { columns, ..frame() }, false).lines() {
                assert!(line.chars().count() <= most, "{}: {line}", line.chars().count());
            }
        }
        for part in
            ["breaker OPEN, probes in 3.2 s", "● payments-1", "✗ payments-2", "connection refused", "98.7 %"]
        {
            assert!(text.contains(part), "{part} is missing:\n{text}");
        }
        assert!(render(&frame(), true).contains('\u{1b}'));
    }
}
