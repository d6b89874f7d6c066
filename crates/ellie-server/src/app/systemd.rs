//! What systemd is told (`Type=notify` or `notify-reload`, `WatchdogSec=`), and the sockets that it hands over.
//!
//! Without systemd nothing here does anything: `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `LISTEN_FDS` are not set then.

use super::Error;
use crate::config::Auth;
use listenfd::ListenFd;
use sd_notify::NotifyState;
use std::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Listeners that were opened by whoever started this process; `None` where it opens its own.
#[derive(Debug, Default)]
pub struct Handed {
    /// For the API.
    pub api: Option<TcpListener>,
    /// For the dashboard.
    pub dashboard: Option<TcpListener>,
    /// For the gateway.
    pub gateway: Option<TcpListener>,
}

impl Handed {
    /// Takes over the sockets of this process's socket units (`LISTEN_FDS`), by their names (`LISTEN_FDNAMES`).
    ///
    /// # Errors
    /// A socket that is not TCP, has no name that is known here or one that another has, or may be reached from other
    /// machines with no authentication configured.
    pub fn take(auth: &Auth) -> Result<Self, Error> {
        #[expect(
            clippy::disallowed_methods,
            reason = "systemd's protocol, not configuration; listenfd reads its part alike"
        )]
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        Self::named(&mut ListenFd::from_env(), &names, auth)
    }

    fn named(sockets: &mut ListenFd, names: &str, auth: &Auth) -> Result<Self, Error> {
        let mut handed = Self::default();
        let mut names = names.split(':');
        for n in 0..sockets.len() {
            let name = names.next().unwrap_or_default();
            let refused = |why: &str| {
                Error::Configuration(format!(
                    "the socket `{name}` that was handed over {why}; \
                     its unit needs ListenStream= and FileDescriptorName=api, dashboard or gateway"
                ))
            };
            // Without a name of its own a socket has that of its unit.
            let short = name.strip_suffix(".socket").unwrap_or(name);
            let (short, slot) = match short.strip_prefix("ellie-").unwrap_or(short) {
                "api" => ("api", &mut handed.api),
                "dashboard" => ("dashboard", &mut handed.dashboard),
                "gateway" => ("gateway", &mut handed.gateway),
                _ => return Err(refused("has no name that is known")),
            };
            let taken = sockets.take_tcp_listener(n).map_err(|e| refused(&format!("can't be used: {e}")))?;
            let listener = taken.ok_or_else(|| refused("is not there"))?;
            let address = listener.local_addr().map_err(|e| refused(&format!("can't be used: {e}")))?;
            if !auth.may_listen_on(&address) {
                return Err(Error::Configuration(format!(
                    "the socket `{name}` that was handed over can be reached from other machines at {address} and no \
                     authentication is configured; set auth.operator_token_file, or auth.protect_reads = true"
                )));
            }
            if slot.replace(listener).is_some() {
                return Err(refused(&format!("is the second one for {short}")));
            }
        }
        Ok(handed)
    }
}

/// All listeners accept.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The configuration is being read again; [`ready`] ends it.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(e) => tracing::warn!("systemd is not told of the reload: {e}"),
    }
}

/// It stops by itself.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Tells systemd's watchdog until `stop` that the process lives, twice in each of its intervals; returns at once where
/// there is none. It runs on the executor whose hanging it is to betray.
pub(super) async fn watchdog(stop: CancellationToken) {
    let Some(interval) = sd_notify::watchdog_enabled() else { return };
    let mut ticks = tokio::time::interval(interval / 2);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => tell(&[NotifyState::Watchdog]),
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(states) {
        tracing::warn!("systemd could not be told: {e}");
    }
}
