//! The access log: a line a request, written by a thread of its own so that a slow terminal slows no request.

use crate::config::AccessLog;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

/// Lines that wait to be written; beyond them lines are dropped and counted.
const QUEUE: usize = 8192;

/// One request, as the log tells it.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) at: SystemTime,
    pub(crate) client: IpAddr,
    pub(crate) method: &'a [u8],
    pub(crate) target: &'a [u8],
    pub(crate) status: u16,
    pub(crate) took: Duration,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) route: &'a str,
    pub(crate) service: &'a str,
    pub(crate) instance: &'a str,
    pub(crate) request_id: &'a [u8],
}

/// Where lines go.
#[derive(Debug)]
pub(crate) struct Log {
    format: AccessLog,
    lines: SyncSender<String>,
    dropped: AtomicU64,
}

impl Log {
    /// Starts the writing thread, where a log is asked for. It ends when the last sender is dropped.
    pub(crate) fn start(format: AccessLog) -> std::io::Result<Option<Self>> {
        if format == AccessLog::Off {
            return Ok(None);
        }
        let (lines, queue) = sync_channel(QUEUE);
        std::thread::Builder::new().name("access-log".into()).spawn(move || write(&queue))?;
        Ok(Some(Self { format, lines, dropped: AtomicU64::new(0) }))
    }

    pub(crate) fn record(&self, line: &Line<'_>) {
        let text = match self.format {
            AccessLog::Json => line.json(),
            _ => line.text(),
        };
        if self.lines.try_send(text).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Lines that were dropped because the writer was too slow.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

fn write(queue: &Receiver<String>) {
    while let Ok(line) = queue.recv() {
        let mut out = std::io::stdout().lock();
        let mut failed = writeln!(out, "{line}").is_err();
        // What has gathered meanwhile goes out under the same lock.
        for line in queue.try_iter().take(QUEUE) {
            failed |= writeln!(out, "{line}").is_err();
        }
        if failed {
            // A closed standard output: lines are drained and lost, requests go on.
            continue;
        }
        let _ = out.flush();
    }
}

impl Line<'_> {
    fn text(&self) -> String {
        let mut s = String::with_capacity(200);
        let _ = write!(
            s,
            "{} {} \"{} {}\" {} {:.1}ms in={} out={} route={} service={} instance={} id={}",
            humantime::format_rfc3339_millis(self.at),
            self.client,
            self.method.escape_ascii(),
            self.target.escape_ascii(),
            self.status,
            self.took.as_secs_f64() * 1e3,
            self.received,
            self.sent,
            self.route,
            self.service,
            self.instance,
            self.request_id.escape_ascii(),
        );
        s
    }

    /// By hand: every value is a number, an identifier of ours, or escaped ASCII whose only special characters are
    /// the backslash and the quote.
    fn json(&self) -> String {
        let quoted = |bytes: &[u8]| {
            let mut s = String::with_capacity(bytes.len());
            for b in bytes {
                match b {
                    b'"' | b'\\' => {
                        s.push('\\');
                        s.push(*b as char);
                    }
                    b' '..=b'~' => s.push(*b as char),
                    _ => {
                        let _ = write!(s, "\\u00{b:02x}");
                    }
                }
            }
            s
        };
        let mut s = String::with_capacity(320);
        let _ = write!(
            s,
            "{{\"time\":\"{}\",\"client\":\"{}\",\"method\":\"{}\",\"target\":\"{}\",\"status\":{},\"durationMs\":{:.3},\
             \"bytesIn\":{},\"bytesOut\":{},\"route\":\"{}\",\"service\":\"{}\",\"instance\":\"{}\",\"requestId\":\"{}\"}}",
            humantime::format_rfc3339_millis(self.at),
            self.client,
            quoted(self.method),
            quoted(self.target),
            self.status,
            self.took.as_secs_f64() * 1e3,
            self.received,
            self.sent,
            quoted(self.route.as_bytes()),
            quoted(self.service.as_bytes()),
            quoted(self.instance.as_bytes()),
            quoted(self.request_id),
        );
        s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cannot_be_broken_by_what_a_client_sends() {
        let line = Line {
            at: SystemTime::UNIX_EPOCH,
            client: IpAddr::from([127, 0, 0, 1]),
            method: b"GET",
            target: b"/a\"b\\c\xff",
            status: 200,
            took: Duration::from_micros(1500),
            received: 0,
            sent: 5,
            route: "r",
            service: "s",
            instance: "i",
            request_id: b"id",
        };
        assert!(
            line.json().contains(r#""target":"/a\"b\\c\u00ff","status":200,"durationMs":1.500"#),
            "{}",
            line.json()
        );
        assert!(line.text().contains(r#""GET /a\"b\\c\xff" 200 1.5ms"#), "{}", line.text());
    }
}
