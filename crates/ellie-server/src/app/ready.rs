//! The line that says that ellie is ready and where; scripts wait for it.

use crate::auth::Operator;
use crate::config::LogFormat;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

/// Where the listeners are.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The registry's API.
    pub api: SocketAddr,
    /// The dashboard, where enabled.
    pub dashboard: Option<SocketAddr>,
    /// The gateway.
    pub gateway: SocketAddr,
    /// `https` where they speak TLS, else `http`.
    pub scheme: &'static str,
}

/// Prints the ready line to standard output; people get a few more lines of orientation on a terminal.
pub(super) fn print(
    format: LogFormat,
    addresses: &Addresses,
    operator: &Operator,
    took: Duration,
    next: [&str; 3],
) {
    let text = match format {
        LogFormat::Json => json(addresses, operator),
        LogFormat::Text => line(addresses),
    };
    let mut out = std::io::stdout().lock();
    // A closed standard output is no reason not to serve.
    let _ = writeln!(out, "{text}");
    if format == LogFormat::Text && out.is_terminal() {
        let _ = writeln!(out, "{}", orientation(addresses, operator, took, next));
    } else if let Operator::Created(path) = operator {
        // Once in a data directory's life, and among what is logged: scripts read the one line above.
        tracing::info!(file = %path.display(), "made the operator token (mode 0600); the command line finds it there");
    } else if let (LogFormat::Text, Operator::Printed(token)) = (format, operator) {
        let _ = writeln!(out, "operator token (printed once, kept nowhere): {}", token.expose());
    }
    let _ = out.flush();
}

fn line(a: &Addresses) -> String {
    let scheme = a.scheme;
    let mut line = format!("ready api={scheme}://{}", a.api);
    if let Some(dashboard) = a.dashboard {
        let _ = write!(line, " dashboard={scheme}://{dashboard}");
    }
    let _ = write!(line, " gateway={scheme}://{}", a.gateway);
    line
}

fn json(a: &Addresses, operator: &Operator) -> String {
    let mut object = serde_json::json!({
        "timestamp": humantime::format_rfc3339_millis(ellie::core::Now::read().wall).to_string(),
        "level": "INFO",
        "message": "ready",
        "version": env!("CARGO_PKG_VERSION"),
        "api": a.api.to_string(),
        "gateway": a.gateway.to_string(),
        "tls": a.scheme == "https",
    });
    if let Some(dashboard) = a.dashboard {
        object["dashboard"] = dashboard.to_string().into();
    }
    if let Operator::Printed(token) = operator {
        // Kept nowhere else.
        object["operatorToken"] = token.expose().into();
    }
    object.to_string()
}

fn orientation(a: &Addresses, operator: &Operator, took: Duration, next: [&str; 3]) -> String {
    let token = match operator {
        Operator::Configured => "the configured one".to_owned(),
        Operator::Created(path) => {
            format!("written to {} (mode 0600); the CLI finds it there", path.display())
        }
        Operator::Existing(path) => path.display().to_string(),
        Operator::Printed(token) => format!("{} (printed once, kept nowhere)", token.expose()),
    };
    let mut out = format!("\n  ellie {} is up after {} ms\n", env!("CARGO_PKG_VERSION"), took.as_millis());
    if let Some(dashboard) = a.dashboard {
        let _ = writeln!(out, "  dashboard       {}://{dashboard}", a.scheme);
    }
    let _ = writeln!(out, "  operator token  {token}");
    let _ = writeln!(out, "  next            {}", next[0]);
    let _ = writeln!(out, "                  {}", next[1]);
    let _ = write!(out, "                  {}", next[2]);
    out
}

/// How long ago `since` was, for the orientation.
pub(super) fn elapsed(since: SystemTime) -> Duration {
    ellie::core::Now::read().wall.duration_since(since).unwrap_or_default()
}
