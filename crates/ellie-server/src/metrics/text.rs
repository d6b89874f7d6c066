//! The text formats of Prometheus 0.0.4 and OpenMetrics 1.0.

use std::fmt::{Display, Write as _};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text format 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The format that an `Accept` field prefers; Prometheus' own where it says nothing of either.
    #[must_use]
    pub fn negotiate(accept: &str) -> Self {
        let (mut open, mut plain) = (0.0_f32, 0.0_f32);
        for part in accept.split(',') {
            let mut pieces = part.split(';').map(str::trim);
            let media = pieces.next().unwrap_or_default();
            let q = pieces.find_map(|p| p.strip_prefix("q=")).and_then(|q| q.parse().ok()).unwrap_or(1.0);
            match media {
                "application/openmetrics-text" => open = open.max(q),
                "text/plain" | "text/*" | "*/*" => plain = plain.max(q),
                _ => {}
            }
        }
        if open > 0.0 && open >= plain { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The media type of the answer.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The kind of a metric family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Writes families one after the other.
pub(super) struct Writer {
    format: Format,
    out: String,
}

impl Writer {
    pub(super) fn new(format: Format) -> Self {
        Self { format, out: String::with_capacity(16 << 10) }
    }

    /// Begins a family. A counter's `name` ends in `_total`.
    pub(super) fn family(&mut self, kind: Kind, name: &'static str, help: &str) -> Family<'_> {
        // OpenMetrics names a counter's family without the suffix of its samples.
        let family = match (self.format, kind) {
            (Format::OpenMetrics, Kind::Counter) => name.strip_suffix("_total").unwrap_or(name),
            _ => name,
        };
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _ = writeln!(self.out, "# HELP {family} {help}\n# TYPE {family} {kind}");
        Family { out: &mut self.out, name }
    }

    /// A family of one sample without labels.
    pub(super) fn single(&mut self, kind: Kind, name: &'static str, help: &str, value: impl Display) {
        self.family(kind, name, help).sample(&[], value);
    }

    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }
}

/// A family that is being written.
pub(super) struct Family<'w> {
    out: &'w mut String,
    name: &'static str,
}

impl Family<'_> {
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.line("", labels, None, value);
    }

    /// A histogram from counts per bucket (not cumulative, one more than `bounds`).
    pub(super) fn histogram(&mut self, labels: &[(&str, &str)], bounds: &[f64], counts: &[u64], sum: f64) {
        let mut seen = 0;
        for (bound, count) in bounds.iter().zip(counts) {
            seen += count;
            self.line("_bucket", labels, Some(&float(*bound)), seen);
        }
        let all: u64 = counts.iter().sum();
        self.line("_bucket", labels, Some("+Inf"), all);
        self.line("_sum", labels, None, sum);
        self.line("_count", labels, None, all);
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], le: Option<&str>, value: impl Display) {
        self.out.push_str(self.name);
        self.out.push_str(suffix);
        let le = le.map(|le| ("le", le));
        let mut open = '{';
        for (name, value) in labels.iter().copied().chain(le) {
            let _ = write!(self.out, "{open}{name}=\"");
            for c in value.chars() {
                match c {
                    '\\' => self.out.push_str("\\\\"),
                    '"' => self.out.push_str("\\\""),
                    '\n' => self.out.push_str("\\n"),
                    c => self.out.push(c),
                }
            }
            self.out.push('"');
            open = ',';
        }
        if open == ',' {
            self.out.push('}');
        }
        let _ = writeln!(self.out, " {value}");
    }
}

/// OpenMetrics wants bounds written as floats.
fn float(x: f64) -> String {
    if x.fract() == 0.0 { format!("{x:.1}") } else { x.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(format: Format) -> String {
        let mut w = Writer::new(format);
        w.family(Kind::Counter, "a_total", "Things.").sample(&[("l", "x\"\\\n")], 3);
        w.family(Kind::Histogram, "h_seconds", "Times.").histogram(
            &[("r", "/")],
            &[0.5, 1.0],
            &[1, 2, 3],
            9.5,
        );
        w.finish()
    }

    #[test]
    fn both_formats_are_written_as_their_pages_say() {
        let tail = "a_total{l=\"x\\\"\\\\\\n\"} 3\n# HELP h_seconds Times.\n# TYPE h_seconds histogram\n\
                    h_seconds_bucket{r=\"/\",le=\"0.5\"} 1\nh_seconds_bucket{r=\"/\",le=\"1.0\"} 3\n\
                    h_seconds_bucket{r=\"/\",le=\"+Inf\"} 6\nh_seconds_sum{r=\"/\"} 9.5\nh_seconds_count{r=\"/\"} 6\n";
        assert_eq!(
            sample(Format::Prometheus),
            format!("# HELP a_total Things.\n# TYPE a_total counter\n{tail}")
        );
        assert_eq!(sample(Format::OpenMetrics), format!("# HELP a Things.\n# TYPE a counter\n{tail}# EOF\n"));
    }

    #[test]
    fn the_preferred_format_is_chosen() {
        for (accept, format) in [
            ("", Format::Prometheus),
            ("*/*", Format::Prometheus),
            ("application/openmetrics-text", Format::OpenMetrics),
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            ("application/openmetrics-text;q=0.1, text/plain", Format::Prometheus),
            ("application/openmetrics-text;q=0", Format::Prometheus),
            ("text/html", Format::Prometheus),
        ] {
            assert_eq!(Format::negotiate(accept), format, "{accept}");
        }
    }
}
