//! What one answer says of an instance, and the sentence that tells it to people.

mod body;

pub(crate) use body::parse;

use crate::probe::BODY_LIMIT;
use ellie_core::Status;
use ellie_core::model::HealthBody;
use http::StatusCode;
use std::fmt::Write as _;
use std::time::Duration;

/// How much of an answer is shown in a sentence.
const EXCERPT: usize = 200;

/// What a probe found: a report without its time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) verdict: Status,
    pub(crate) output: String,
    pub(crate) code: Option<u16>,
    pub(crate) body: Option<HealthBody>,
}

impl Answer {
    pub(crate) fn failed(output: String) -> Self {
        Self { verdict: Status::Unhealthy, output, code: None, body: None }
    }
}

/// An HTTP answer as far as it was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HttpAnswer<'a> {
    pub(crate) status: StatusCode,
    /// The redirect's target, where it is one.
    pub(crate) location: Option<&'a [u8]>,
    pub(crate) body: &'a [u8],
    /// Whether `body` is all of it.
    pub(crate) complete: bool,
}

/// Decides an HTTP answer. A body in the health response format decides by its `status`, whatever the code is (a
/// degraded service may well answer 503); without one, 2xx is healthy and all else is not. So a redirect fails: nothing
/// says that its target is this instance.
pub(crate) fn http(answer: &HttpAnswer<'_>, url: &str, took: Duration) -> Answer {
    let code = answer.status.as_u16();
    let mut output = format!("HTTP {code} from GET {url} in {}", Millis(took));
    let body = if answer.complete { parse(answer.body) } else { None };
    let said = body.as_ref().and_then(|body| body.status);
    if let (true, Some(location), None) = (answer.status.is_redirection(), answer.location, said) {
        output.push_str(": redirected to ");
        excerpt(location, &mut output);
        output.push_str(", which is not followed; check the path that answers itself");
        return Answer { verdict: Status::Unhealthy, output, code: Some(code), body };
    }
    let verdict =
        said.unwrap_or(if answer.status.is_success() { Status::Healthy } else { Status::Unhealthy });
    if verdict != Status::Healthy && answer.complete && !answer.body.is_empty() {
        output.push_str(": ");
        excerpt(answer.body, &mut output);
    } else if said.is_some() && !answer.status.is_success() {
        // A healthy body under an error code: say which of the two was believed.
        output.push_str(": the body says healthy");
    } else if !answer.complete {
        let _ = write!(output, ": the body is over {} KiB, so the code alone counts", BODY_LIMIT / 1024);
    }
    Answer { verdict, output, code: Some(code), body }
}

/// `12 ms`, `0.4 ms`, `3.2 s`.
pub(crate) struct Millis(pub(crate) Duration);

impl std::fmt::Display for Millis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = self.0.as_secs_f64() * 1e3;
        match ms {
            1000.0.. => write!(f, "{:.1} s", ms / 1e3),
            9.95.. => write!(f, "{ms:.0} ms"),
            _ => write!(f, "{ms:.1} ms"),
        }
    }
}

/// The beginning of what a stranger sent, on one line, control characters escaped.
pub(crate) fn excerpt(bytes: &[u8], out: &mut String) {
    let head = &bytes[..bytes.len().min(EXCERPT)];
    let text = String::from_utf8_lossy(head);
    // Where the cut went through a character, that one is not shown.
    let text = if head.len() < bytes.len() { text.trim_end_matches('\u{fffd}') } else { &text };
    for c in text.trim().chars() {
        if c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
        {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    if head.len() < bytes.len() {
        out.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(status: u16, body: &str) -> Answer {
        let answer = HttpAnswer {
            status: StatusCode::from_u16(status).unwrap(),
            location: None,
            body: body.as_bytes(),
            complete: true,
        };
        http(&answer, "http://10.0.0.1:80/health", Duration::from_millis(12))
    }

    #[test]
    fn a_status_in_the_body_decides_whatever_the_code() {
        for (code, body, verdict) in [
            (200, r#"{"status":"healthy"}"#, Status::Healthy),
            (503, r#"{"status":"degraded","uptime":3}"#, Status::Degraded),
            (200, r#"{"status":"degraded"}"#, Status::Degraded),
            (200, r#"{"status":"unhealthy"}"#, Status::Unhealthy),
            (500, r#"{"status":"healthy"}"#, Status::Healthy),
            (200, r#"{"status":"UP"}"#, Status::Healthy),
            (503, r#"{"status":"DOWN"}"#, Status::Unhealthy),
            (404, r#"{"type":"about:blank","status":404}"#, Status::Unhealthy),
            (200, "OK", Status::Healthy),
            (204, "", Status::Healthy),
            (299, "{", Status::Healthy),
            (300, "", Status::Unhealthy),
            (401, "", Status::Unhealthy),
            (500, "", Status::Unhealthy),
        ] {
            assert_eq!(decide(code, body).verdict, verdict, "{code} {body}");
        }
    }

    #[test]
    fn the_sentence_tells_what_was_seen() {
        let degraded = decide(503, r#"{"status":"degraded"}"#);
        assert_eq!(
            degraded.output,
            r#"HTTP 503 from GET http://10.0.0.1:80/health in 12 ms: {"status":"degraded"}"#
        );
        assert_eq!(degraded.code, Some(503));
        assert_eq!(decide(200, "fine").output, "HTTP 200 from GET http://10.0.0.1:80/health in 12 ms");
        assert!(decide(500, r#"{"status":"healthy"}"#).output.ends_with(": the body says healthy"));
        let hostile = decide(500, "a\r\nb\u{1b}[31m\u{202e}c\0");
        assert!(hostile.output.ends_with(r": a\r\nb\u{1b}[31m\u{202e}c\u{0}"), "{}", hostile.output);
        let long = decide(500, &"é".repeat(5000)).output;
        assert!(long.len() < 300 && long.ends_with("é…"), "{long}");
    }

    #[test]
    fn a_redirect_fails_and_names_its_target() {
        let answer = HttpAnswer {
            status: StatusCode::FOUND,
            location: Some(b"https://login.example/\n"),
            body: br#"{"uptime":1}"#,
            complete: true,
        };
        let decided = http(&HttpAnswer { body: br#"{"status":"degraded"}"#, ..answer }, "u", Duration::ZERO);
        assert_eq!(decided.verdict, Status::Degraded, "a status in the body decides whatever the code");
        let answer = http(&answer, "http://a:1/", Duration::from_micros(400));
        assert_eq!(answer.verdict, Status::Unhealthy);
        assert!(
            answer.output.starts_with(
                "HTTP 302 from GET http://a:1/ in 0.4 ms: redirected to https://login.example/, which is not followed"
            ),
            "{}",
            answer.output
        );
    }

    #[test]
    fn a_cut_body_is_not_taken_for_a_whole_one() {
        let answer = HttpAnswer {
            status: StatusCode::OK,
            location: None,
            body: br#"{"status":"unhealthy"}"#,
            complete: false,
        };
        let answer = http(&answer, "u", Duration::ZERO);
        assert_eq!(answer.verdict, Status::Healthy);
        assert!(answer.output.ends_with(": the body is over 64 KiB, so the code alone counts"));
    }

    #[test]
    fn durations_are_for_people() {
        let show = |us| Millis(Duration::from_micros(us)).to_string();
        assert_eq!(
            [show(400), show(9_960), show(12_400), show(3_240_000)],
            ["0.4 ms", "10 ms", "12 ms", "3.2 s"]
        );
    }
}
