//! Words for whoever runs the server: start it, configure it, make tokens.

use super::value::{duration, pair};
use crate::auth::Scope;
use clap::{Args, Subcommand, ValueHint};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// Flags that set keys of the configuration.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Configuration")]
pub(crate) struct Settings {
    /// Where the API listens [default: 127.0.0.1:5000]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) api_listen: Option<String>,
    /// Where the dashboard listens [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) dashboard_listen: Option<String>,
    /// Where the gateway listens [default: 127.0.0.1:8000]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) gateway_listen: Option<String>,
    /// Keep no state
    #[arg(long)]
    pub(crate) ephemeral: bool,
    /// Listen beyond this machine although no authentication is configured
    #[arg(long)]
    pub(crate) insecure: bool,
    /// error, warn, info, debug, trace, or target=level pairs
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
    /// text or json
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<String>,
    /// Set any key of the configuration, such as gateway.threads=2
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) set: Vec<(String, String)>,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// End after this long [default: until Ctrl-C]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) duration: Option<Duration>,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

#[derive(Debug, Args)]
pub(crate) struct CheckConfigArgs {
    /// The file [default: ellie.toml]
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print it, secrets left out
    Show {
        /// Say of each value where it comes from
        #[arg(long)]
        origin: bool,
        /// Only what is not a default
        #[arg(long)]
        set_only: bool,
        #[command(flatten)]
        settings: Settings,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    pub(crate) command: TokenCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token; it is printed once
    Create {
        /// Whose it is, as the journal will tell
        #[arg(long)]
        name: String,
        /// What it allows: read, register or operate
        #[arg(long, value_parser = str::parse::<Scope>)]
        scope: Scope,
        /// Accepted for this long [default: until revoked]
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        ttl: Option<Duration>,
        /// Replace a token of this name
        #[arg(long)]
        force: bool,
    },
    /// List tokens
    Ls,
    /// Accept a token no longer
    Revoke {
        /// Its name
        name: String,
    },
}
