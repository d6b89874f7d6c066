//! Words that only look: what is registered, how it fares, why, and what happened.

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ServicesArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ServicesCommand>,
    #[command(flatten)]
    pub(crate) filter: Filter,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServicesCommand {
    /// List all
    Ls(Filter),
    /// Show one
    Get {
        /// The service
        name: String,
    },
}

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Filter {
    /// Only instances with this tag; repeated, with all of them
    #[arg(short, long)]
    pub(crate) tag: Vec<String>,
    /// Only instances that fare so
    #[arg(long, value_parser = ["healthy", "degraded", "unhealthy", "routable", "any"])]
    pub(crate) status: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct InstancesArgs {
    /// The service
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) filter: Filter,
}

#[derive(Debug, Args)]
pub(crate) struct ResolveArgs {
    /// The service
    pub(crate) name: String,
    /// Only instances with this tag; repeated, with all of them
    #[arg(short, long)]
    pub(crate) tag: Vec<String>,
    /// Show every candidate, its score and why it was passed over
    #[arg(long)]
    pub(crate) explain: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// The service
    pub(crate) name: String,
    /// One instance
    pub(crate) id: Option<String>,
    /// Tags that are asked for when discovering
    #[arg(short, long)]
    pub(crate) tag: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    /// One service [default: the whole system]
    pub(crate) name: Option<String>,
    /// ellie itself, whatever its services do: for the check of a container
    #[arg(long = "self", conflicts_with = "name")]
    pub(crate) own: bool,
}

#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Go on with new ones
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only of this service
    #[arg(long)]
    pub(crate) service: Option<String>,
    /// How many of the past to show
    #[arg(short = 'n', long, default_value_t = 50)]
    pub(crate) last: usize,
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Only this service
    pub(crate) name: Option<String>,
    /// End after this many changes
    #[arg(short = 'n', long)]
    pub(crate) count: Option<usize>,
}
