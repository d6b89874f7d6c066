//! What `ellie up` adds to a running system: the service manager, its output in the terminal, and its end in order.

use super::lines::Painter;
use super::{Error, Running};
use crate::admin::Managed;
use crate::auth::Scope;
use crate::config::{Backend, LogFormat, Resolved, Secret};
use ellie::supervisor::logs::{self, Line, Logs};
use ellie::supervisor::{Instance, Launcher, Settings};
use ellie::{ServiceDefinition, ServiceManager};
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long what is killed is waited for.
const LAST: Duration = Duration::from_secs(2);
/// Lines that are printed in one go.
const BATCH: usize = 1000;

/// What is to be run, and how.
#[derive(Clone, Debug)]
pub struct Processes {
    /// The processes.
    pub definitions: Vec<ServiceDefinition>,
    /// The environment that they start from.
    pub environment: Vec<(OsString, OsString)>,
    /// Whether a changed file restarts them.
    pub develop: bool,
    /// Whether their output is printed.
    pub print: bool,
}

/// What a process must not see of the server's own environment: secrets, and what the service manager of the system
/// says to the server alone.
fn is_own(name: &OsString) -> bool {
    let name = name.to_string_lossy();
    let systemd =
        ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];
    name.starts_with("ELLIE_") || systemd.contains(&name.as_ref())
}

/// Makes the manager of a running system, with nothing started.
pub(super) fn manage(
    running: &Running,
    resolved: &Resolved,
    processes: &Processes,
    end: &CancellationToken,
) -> Result<ServiceManager, Error> {
    let mut environment = processes.environment.clone();
    environment.retain(|(name, _)| !is_own(name));
    let directory = match resolved.storage.backend {
        Backend::Embedded => Some(resolved.storage.data_dir.join("logs")),
        Backend::Ephemeral => None,
    };
    let settings = Settings {
        launcher: Launcher::this_program(),
        environment,
        logs: logs::Settings { directory, ..logs::Settings::default() },
    };
    let scheme = if resolved.tls.is_some() { "https" } else { "http" };
    let authorities = resolved.tls.as_ref().map(|tls| tls.cert.display().to_string());
    let addresses = *running.addresses();
    let tokens = running.tokens().clone();
    // One token a process, for as long as the server runs.
    let granted: Mutex<HashMap<String, Secret>> = Mutex::default();
    let variables = move |instance: &Instance| {
        let mut variables = vec![
            ("ELLIE_URL".to_owned(), format!("{scheme}://{}", reachable(addresses.api))),
            ("ELLIE_SERVER".to_owned(), format!("{scheme}://{}", reachable(addresses.api))),
            ("ELLIE_GATEWAY_URL".to_owned(), format!("{scheme}://{}", reachable(addresses.gateway))),
        ];
        variables.extend(authorities.clone().map(|path| ("ELLIE_CA_FILE".to_owned(), path)));
        let name = format!("process:{}", instance.process);
        let mut granted = granted.lock().unwrap_or_else(PoisonError::into_inner);
        let token = match granted.get(&name) {
            Some(token) => Some(token.clone()),
            None => match tokens.grant(&name, Scope::Register) {
                Ok(token) => {
                    granted.insert(name, token.clone());
                    Some(token)
                }
                Err(error) => {
                    tracing::warn!(process = %instance.unit, "it gets no token: {error}");
                    None
                }
            },
        };
        variables.extend(token.map(|token| ("ELLIE_TOKEN".to_owned(), token.expose().to_owned())));
        variables
    };
    let manager = ServiceManager::with_settings(
        running.ellie(),
        processes.definitions.iter().cloned(),
        settings,
        Arc::new(variables),
    )
    .map_err(|error| Error::Configuration(error.to_string()))?;
    running.manage(Managed { manager: manager.clone(), end: end.clone() });
    Ok(manager)
}

/// A listener's address as a process on this machine calls it.
fn reachable(mut address: std::net::SocketAddr) -> std::net::SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.is_ipv4() {
            true => std::net::Ipv4Addr::LOCALHOST.into(),
            false => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// Kills everything at once, and ends the process.
pub(super) async fn kill(manager: &OnceLock<ServiceManager>, code: i32) {
    if let Some(manager) = manager.get() {
        manager.kill().await;
        let mut status = manager.watch();
        let gone = status.wait_for(|status| status.units.iter().all(|unit| unit.phase.is_at_rest()));
        let _ = tokio::time::timeout(LAST, gone).await;
    }
    std::process::exit(code);
}

/// Prints what the processes write, until `stop`. A terminal that is too slow misses lines and is told so; nothing is
/// kept for it.
pub(super) async fn print(logs: Arc<Logs>, names: Vec<String>, format: LogFormat, stop: CancellationToken) {
    let units: Vec<Arc<str>> = names.iter().map(|name| name.as_str().into()).collect();
    let painter = Painter::new(names);
    let mut changes = logs.subscribe();
    let mut at = logs.last_id();
    loop {
        changes.borrow_and_update();
        let read = logs.since(&units, at, BATCH);
        let Some(last) = read.lines.last() else {
            if stop.is_cancelled() {
                return;
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = stop.cancelled() => {}
            }
            continue;
        };
        at = last.id;
        let mut text = String::new();
        if read.missed && format == LogFormat::Text {
            text.push_str("… lines were written faster than they could be printed; some are missing here\n");
        }
        for line in &read.lines {
            match format {
                LogFormat::Text => {
                    text.push_str(&painter.paint(&line.unit, line.stream.as_str(), &line.text));
                }
                LogFormat::Json => text.push_str(&json(line)),
            }
        }
        // A terminal may be slow; the runtime's threads must not be.
        let printed = tokio::task::spawn_blocking(move || {
            let mut out = anstream::stdout().lock();
            out.write_all(text.as_bytes()).and_then(|()| out.flush())
        });
        // A closed standard output is no reason not to run.
        if !matches!(printed.await, Ok(Ok(()))) {
            return;
        }
    }
}

fn json(line: &Line) -> String {
    let object = serde_json::json!({
        "timestamp": humantime::format_rfc3339_millis(line.at()).to_string(),
        "process": &*line.unit,
        "stream": line.stream.as_str(),
        "message": line.text,
    });
    format!("{object}\n")
}
