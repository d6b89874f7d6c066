//! Where log lines go and what they look like.

use crate::config::{Log, LogFormat};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Changes the level while running.
pub(crate) struct Level(Box<dyn Fn(EnvFilter) + Send + Sync>);

impl Level {
    /// Puts a level, or pairs of target and level, into force.
    pub(super) fn set(&self, level: &str) {
        (self.0)(filter(level));
    }
}

/// `level` has been checked with the configuration.
fn filter(level: &str) -> EnvFilter {
    EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"))
}

/// Sends log lines to standard error, so that standard output holds the ready line alone. Called again (by a test in
/// the same process) it changes nothing.
pub(crate) fn init(log: &Log) -> Level {
    let filter = filter(&log.level);
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let colour = std::io::stderr().is_terminal()
        && anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    // The two formats are two types; what is common to them is that their filter can be replaced.
    match log.format {
        LogFormat::Text => {
            let builder = builder.with_ansi(colour).with_filter_reloading();
            let handle = builder.reload_handle();
            let _ = builder.try_init();
            Level(Box::new(move |filter| drop(handle.reload(filter))))
        }
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_filter_reloading();
            let handle = builder.reload_handle();
            let _ = builder.try_init();
            Level(Box::new(move |filter| drop(handle.reload(filter))))
        }
    }
}
