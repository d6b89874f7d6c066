//! Answers of the gateway itself.

use super::client::Client;
use super::work::Work;
use crate::h1::Invalid;
use crate::problem::{MEDIA_TYPE, Problem};
use crate::worker::Worker;
use std::io::{self, Write as _};
use std::time::Duration;

/// Until the client has taken an answer of the gateway.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// An answer of the gateway itself: a problem, and fields that go with it.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) problem: Problem,
    /// Whole field lines, each with its CR LF.
    pub(crate) fields: Vec<u8>,
}

impl From<Problem> for Own {
    fn from(problem: Problem) -> Self {
        Self { problem, fields: Vec::new() }
    }
}

impl Own {
    /// The request's head is refused.
    pub(crate) fn invalid(invalid: Invalid) -> Self {
        Problem::invalid_request(invalid.status(), &invalid.to_string()).into()
    }

    /// The request's head did not come in time.
    pub(crate) fn timeout() -> Self {
        Problem::invalid_request(408, "the request's head did not arrive in time").into()
    }

    /// Sends the answer behind what is on its way already; `close` tells the client that the connection ends.
    pub(crate) async fn send(
        &self,
        worker: &Worker,
        client: &mut Client,
        work: &mut Work,
        close: bool,
    ) -> io::Result<()> {
        let mut body = Vec::new();
        self.problem.body(&mut body);
        let status = self.problem.status();
        let out = work.outgoing.buffer();
        let _ = write!(out, "HTTP/1.1 {status} {}\r\n", reason(status));
        let _ = write!(out, "Content-Type: {MEDIA_TYPE}\r\nContent-Length: {}\r\n", body.len());
        worker.with_date(|date| out.extend_from_slice(date));
        if let Some(after) = self.problem.retry_after() {
            let _ = write!(out, "Retry-After: {}\r\n", after.as_secs_f64().ceil().max(1.0));
        }
        if !work.request_id.is_empty() {
            out.extend_from_slice(b"X-Request-Id: ");
            out.extend_from_slice(&work.request_id);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(&self.fields);
        if close {
            out.extend_from_slice(b"Connection: close\r\n");
        } else if work.request.minor == 0 {
            out.extend_from_slice(b"Connection: keep-alive\r\n");
        }
        out.extend_from_slice(b"Via: 1.1 ellie\r\n\r\n");
        if work.request.method.get(&work.received) != b"HEAD" {
            out.extend_from_slice(&body);
        }
        client.flush(&mut work.outgoing, WRITE_LIMIT).await
    }
}

/// The reason phrase of a status that the gateway itself sends.
fn reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        417 => "Expectation Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}
