//! The explanation of one request as a structured field (RFC 9651): a dictionary, bounded in size.

use super::{Candidate, Explanation, level_name};
use crate::cluster::Attempt;
use std::fmt::Write as _;

/// The most bytes of the field's value. Candidates that do not fit are counted by `more`.
pub const MAX_HEADER: usize = 2048;
/// Room for the last members, which are written after the candidates.
const TAIL: usize = 160;

/// Renders the decision: `route="…", service="…", strategy=health_based, level=healthy, breaker=closed, picked="…",
/// tried=("a";outcome="timeout"), candidates=("a";cost=1.00;… "b";why="…"), more=12`.
#[must_use]
pub fn header(route: &str, explanation: &Explanation, attempt: &Attempt) -> String {
    let mut out = String::with_capacity(512);
    out.push_str("route=");
    string(&mut out, route);
    out.push_str(", service=");
    string(&mut out, explanation.service.as_str());
    let _ = write!(
        out,
        ", strategy={}, level={}, breaker={}",
        explanation.strategy,
        level_name(explanation.level),
        explanation.breaker.state
    );
    if attempt.is_probe() {
        out.push_str(", probe");
    }
    if attempt.is_trial() {
        out.push_str(", trial");
    }
    out.push_str(", picked=");
    string(&mut out, attempt.upstream().id.as_str());
    let _ = write!(out, ", tries={}", attempt.before().len() + 1);
    if !attempt.before().is_empty() {
        out.push_str(", failed=(");
        for (i, (upstream, outcome)) in attempt.before().iter().enumerate() {
            if i > 0 {
                out.push(' ');
            }
            string(&mut out, upstream.id.as_str());
            out.push_str(";outcome=");
            string(&mut out, &outcome.to_string());
        }
        out.push(')');
    }
    out.push_str(", candidates=(");
    // The pick first, then those that were in the running, then the others.
    let mut order: Vec<&Candidate> = explanation.candidates.iter().collect();
    order.sort_by_key(|c| (!c.picked, c.score.is_none()));
    let mut written = 0;
    for candidate in &order {
        let before = out.len();
        if written > 0 {
            out.push(' ');
        }
        write_candidate(&mut out, candidate);
        if out.len() > MAX_HEADER - TAIL {
            out.truncate(before);
            break;
        }
        written += 1;
    }
    out.push(')');
    if written < order.len() {
        let _ = write!(out, ", more={}", order.len() - written);
    }
    out
}

fn write_candidate(out: &mut String, candidate: &Candidate) {
    string(out, candidate.instance.registration.id.as_str());
    if let Some(score) = &candidate.score {
        let _ = write!(
            out,
            ";cost={:.3};share={:.3};in-flight={};failure-rate={:.3}",
            score.cost.min(999_999.0),
            score.share,
            score.in_flight,
            score.failure_rate
        );
        if let Some(latency) = score.latency {
            let _ = write!(out, ";latency-ms={:.3}", latency.as_secs_f64() * 1000.0);
        }
        if score.sick {
            out.push_str(";sick");
        }
        if score.ramp < 1.0 {
            let _ = write!(out, ";ramp={:.2}", score.ramp);
        }
    }
    out.push_str(";why=");
    let why: String = candidate.reason.chars().take(120).collect();
    string(out, &why);
}

/// A string of the format: printable ASCII in quotes; anything else becomes a question mark.
fn string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ => out.push('?'),
        }
    }
    out.push('"');
}
