//! Words of the service manager.

use super::server::Settings;
use clap::{Args, ValueEnum, ValueHint};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// ellie.toml with [[processes]], or a Procfile [default: whichever is there]
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
    /// Do not print what the processes write
    #[arg(long, short)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The process, or one of its replicas [default: all]
    pub(crate) name: Option<String>,
    /// Go on with what comes
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// How many past lines
    #[arg(long, short = 'n', default_value_t = 100, value_name = "N")]
    pub(crate) tail: u64,
}

#[derive(Debug, Args)]
pub(crate) struct NamesArgs {
    /// Processes, or replicas of them
    #[arg(required_unless_present = "all")]
    pub(crate) names: Vec<String>,
    /// All of them
    #[arg(long, conflicts_with = "names")]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct GraphArgs {
    /// For Graphviz: `ellie graph --dot | dot -Tsvg`
    #[arg(long)]
    pub(crate) dot: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// The process, or one of its replicas
    pub(crate) name: String,
    /// What to wait for; --timeout says how long
    #[arg(long = "for", value_enum, default_value_t, value_name = "STATE")]
    pub(crate) goal: Goal,
}

/// What may be waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Goal {
    /// It is ready
    #[default]
    Healthy,
    /// It runs, ready or not
    Started,
    /// It has ended with success
    Completed,
    /// It does not run
    Stopped,
}
