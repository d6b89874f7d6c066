//! Words about the way of requests: breakers, routes, the strategy.

use super::instance::Note;
use super::value::{duration, pair, rate};
use clap::{Args, Subcommand};
use ellie_policy::balance::Strategy;
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct BreakersArgs {
    #[command(subcommand)]
    pub(crate) command: Option<BreakersCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BreakersCommand {
    /// List all
    Ls,
    /// Refuse all calls
    ForceOpen(BreakerTarget),
    /// Let all calls through
    ForceClose(BreakerTarget),
    /// Forget what was counted and forced; closed, with --ttl held so first
    Reset(BreakerTarget),
}

#[derive(Debug, Args)]
pub(crate) struct BreakerTarget {
    /// The breaker: a service's name
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) note: Note,
}

#[derive(Debug, Args)]
pub(crate) struct RoutesArgs {
    #[command(subcommand)]
    pub(crate) command: Option<RoutesCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RoutesCommand {
    /// List all
    Ls,
    /// Add a route
    Add(Box<AddRouteArgs>),
    /// Remove a route
    Rm {
        /// Its id
        id: String,
    },
    /// Tell which route a request takes
    Test(TestRouteArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AddRouteArgs {
    /// The path, exact or ending in /*
    pub(crate) path: String,
    /// The service it leads to
    pub(crate) service: String,
    /// Its id [default: generated]
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// Only this method
    #[arg(short = 'X', long)]
    pub(crate) method: Option<String>,
    /// Only this host
    #[arg(long)]
    pub(crate) host: Option<String>,
    /// Only with this header
    #[arg(short = 'H', long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) header: Vec<(String, String)>,
    /// Only with this query parameter
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) query: Vec<(String, String)>,
    /// The path at the service; what `*` matched is appended
    #[arg(long, value_name = "PATH")]
    pub(crate) target_path: Option<String>,
    /// Only to instances with this tag; repeated, with all of them
    #[arg(short, long)]
    pub(crate) tag: Vec<String>,
    /// How long a request may take
    #[arg(long = "request-timeout", value_name = "DURATION", value_parser = duration)]
    pub(crate) request_timeout: Option<Duration>,
    /// How long one try on one instance may take
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) try_timeout: Option<Duration>,
    /// More tries on other instances, for what may be retried
    #[arg(long, value_name = "N")]
    pub(crate) retries: Option<u32>,
    /// Statuses of an instance that are tried again elsewhere, for what may be retried, such as 502,503
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    pub(crate) retry_on: Vec<u16>,
    /// Bytes that a request's body may have
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_body: Option<u64>,
    /// Requests allowed per client address, such as 100/60s
    #[arg(long, value_name = "MAX/WINDOW", value_parser = rate)]
    pub(crate) rate_limit: Option<(u32, Duration)>,
    /// Replace a route that has this id
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TestRouteArgs {
    /// The path, with its query where it has one
    pub(crate) path: String,
    /// The method
    #[arg(short = 'X', long, default_value = "GET")]
    pub(crate) method: String,
    /// The host
    #[arg(long)]
    pub(crate) host: Option<String>,
    /// A header
    #[arg(short = 'H', long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) header: Vec<(String, String)>,
}

#[derive(Debug, Args)]
pub(crate) struct StrategyArgs {
    /// round_robin, least_connections, weighted_round_robin, random or health_based; with --service also `default`, the
    /// one of all others
    #[arg(value_parser = switch)]
    pub(crate) strategy: Option<Switch>,
    /// For this service alone
    #[arg(long)]
    pub(crate) service: Option<String>,
}

/// A strategy, or the one of all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Switch(pub(crate) Option<Strategy>);

fn switch(text: &str) -> Result<Switch, String> {
    match text {
        "default" => Ok(Switch(None)),
        _ => text.parse().map(|strategy| Switch(Some(strategy))).map_err(|_| {
            let names: Vec<&str> = Strategy::ALL.iter().map(|strategy| strategy.as_str()).collect();
            format!("a strategy is one of {}, or `default` for a service", names.join(", "))
        }),
    }
}
