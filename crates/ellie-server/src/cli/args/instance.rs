//! Words about one instance: register it, run it, take it out of service, weigh it.

use super::value::{duration, pair};
use clap::{Args, ValueHint};
use std::time::Duration;

/// How a service registers; shared by `register` and `run`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Described {
    /// Host name or address [default: 127.0.0.1]
    #[arg(long, env = "SERVICE_HOST", value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// Its id [default: made from host and port]
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// Its version
    #[arg(long = "version", env = "SERVICE_VERSION", value_name = "VERSION")]
    pub(crate) service_version: Option<String>,
    /// A tag; may be repeated
    #[arg(short, long, env = "SERVICE_TAGS", value_delimiter = ',', value_name = "TAG")]
    pub(crate) tag: Vec<String>,
    /// Path of its health endpoint
    #[arg(long, value_name = "PATH")]
    pub(crate) health: Option<String>,
    /// What it speaks
    #[arg(long, value_parser = ["http", "https", "grpc", "tcp"])]
    pub(crate) protocol: Option<String>,
    /// Its share of the traffic beside others [default: 1]
    #[arg(long)]
    pub(crate) weight: Option<u32>,
    /// Where it runs
    #[arg(long)]
    pub(crate) zone: Option<String>,
    /// A service that it needs; may be repeated
    #[arg(long, value_delimiter = ',', value_name = "SERVICE")]
    pub(crate) depends: Vec<String>,
    /// A lease: removed unless renewed within this time
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) ttl: Option<Duration>,
    /// A pair of metadata; may be repeated
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) meta: Vec<(String, String)>,
    /// How its health is found out [default: http with --health, else by protocol]
    #[arg(long, value_parser = ["http", "tcp", "grpc", "ttl", "none"], value_name = "TYPE")]
    pub(crate) check: Option<String>,
    /// Between checks
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) check_interval: Option<Duration>,
    /// Until a check counts as failed
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) check_timeout: Option<Duration>,
}

#[derive(Debug, Args)]
#[command(disable_version_flag = true)]
pub(crate) struct RegisterArgs {
    /// The service
    pub(crate) name: String,
    /// Its port
    #[arg(short, long)]
    pub(crate) port: u16,
    #[command(flatten)]
    pub(crate) described: Described,
    /// Wait until it is healthy, at most as long as --timeout
    #[arg(long)]
    pub(crate) wait: bool,
}

#[derive(Debug, Args)]
#[command(disable_version_flag = true)]
pub(crate) struct RunArgs {
    /// The service [default: the command's file name]
    #[arg(long, env = "SERVICE_NAME")]
    pub(crate) name: Option<String>,
    /// Its port, given to the command as PORT [default: a free one]
    #[arg(short, long, env = "SERVICE_PORT")]
    pub(crate) port: Option<u16>,
    #[command(flatten)]
    pub(crate) described: Described,
    /// Register at once, not when the port accepts connections
    #[arg(long)]
    pub(crate) at_once: bool,
    /// How long requests in flight may finish before the command is told to end
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "1s")]
    pub(crate) drain: Duration,
    /// The command and its arguments
    #[arg(trailing_var_arg = true, required = true, allow_hyphen_values = true, value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<String>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Target {
    /// The service
    pub(crate) name: String,
    /// The instance
    pub(crate) id: String,
}

#[derive(Debug, Args)]
pub(crate) struct ForcedTarget {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Also when no other instance of the service gets traffic
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct OperateArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) note: Note,
    /// Also when no other instance of the service gets traffic
    #[arg(long)]
    pub(crate) force: bool,
}

/// For how long, and why.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Note {
    /// Taken back after this time
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) ttl: Option<Duration>,
    /// Why; shown to others
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct MaintenanceArgs {
    #[command(flatten)]
    pub(crate) operate: OperateArgs,
    /// Back into service
    #[arg(long, conflicts_with_all = ["ttl"])]
    pub(crate) off: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WeightArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The new weight, or `default` for the registered one
    #[arg(value_parser = weight)]
    pub(crate) weight: Weight,
    #[command(flatten)]
    pub(crate) note: Note,
    /// Also when no other instance of the service gets traffic
    #[arg(long)]
    pub(crate) force: bool,
}

/// A weight, or the registered one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Weight(pub(crate) Option<u32>);

fn weight(text: &str) -> Result<Weight, String> {
    match text {
        "default" => Ok(Weight(None)),
        text => {
            text.parse().map(|w| Weight(Some(w))).map_err(|_| "a weight is 0 to 65535, or `default`".into())
        }
    }
}
