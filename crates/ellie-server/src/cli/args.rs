//! The command line's words. What they do is in the other modules.

use crate::auth::Scope;
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use std::path::PathBuf;
use std::time::Duration;

const AFTER: &str = "\
Exit codes: 0 ok, 1 the operation or check failed, 2 usage, 3 server unreachable, 4 not found,
5 refused (needs --force), 6 not authorised, 78 bad configuration, 124 timed out.

Start with `ellie demo` to see it all, or `ellie serve` and then `ellie register --help`.";

/// One binary: registry, health checks, load balancer, circuit breakers, API gateway and metrics
#[derive(Debug, Parser)]
#[command(name = "ellie", version, about, after_help = AFTER, propagate_version = true, subcommand_required = true)]
#[command(arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Common {
    /// Where ellie's API is [default: as configured, else http://127.0.0.1:5000]
    #[arg(
        long,
        global = true,
        env = "ELLIE_SERVER",
        value_name = "URL",
        visible_alias = "api",
        hide_env_values = true
    )]
    pub(crate) server: Option<String>,
    /// Token to use [default: the operator token in the data directory, for a server on this machine]
    #[arg(long, global = true, env = "ELLIE_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// File that holds the token
    #[arg(long, global = true, env = "ELLIE_TOKEN_FILE", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) token_file: Option<PathBuf>,
    /// Configuration file [default: ellie.toml, where it exists]
    #[arg(long, global = true, env = "ELLIE_CONFIG", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// Where state is kept [default: ./ellie-data]
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) data_dir: Option<String>,
    /// How to print
    #[arg(
        short,
        long,
        global = true,
        env = "ELLIE_OUTPUT",
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub(crate) output: Format,
    /// How long to wait for an answer
    #[arg(long, global = true, default_value = "10s", value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Duration,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Table,
    /// One JSON document
    Json,
    /// One JSON object a line
    Jsonl,
    /// Names alone, one a line
    Name,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server: registry, API, health checks, gateway
    Serve(ServeArgs),
    /// See everything at work, with nothing configured: three small services with seeded faults
    Demo(DemoArgs),
    /// Register an instance of a service
    Register(RegisterArgs),
    /// Remove an instance
    Deregister(ForcedTarget),
    /// Send an instance no new requests
    Drain(OperateArgs),
    /// Send a drained instance requests again
    Undrain(Target),
    /// Take an instance out of service, or back with --off
    Maintenance(MaintenanceArgs),
    /// Change an instance's share of the traffic
    Weight(WeightArgs),
    /// List services, or show one
    Services(ServicesArgs),
    /// List the instances of a service
    Instances(InstancesArgs),
    /// Ask the load balancer for an instance
    Resolve(ResolveArgs),
    /// Explain why a service or instance is, or is not, discoverable and routable
    Why(WhyArgs),
    /// Show circuit breakers, or force their state
    Breakers(BreakersArgs),
    /// Show, add, remove or try gateway routes
    Routes(RoutesArgs),
    /// Show what changed, who did it and why
    Events(EventsArgs),
    /// Follow changes of the registry
    Watch(WatchArgs),
    /// Show counters of every part
    Stats,
    /// Show or switch the load-balancing strategy
    Strategy(StrategyArgs),
    /// Show health; fails when it is unhealthy
    Health(HealthArgs),
    /// Run a command, registered for as long as it lives
    Run(RunArgs),
    /// Check a configuration file and tell every fault
    CheckConfig(CheckConfigArgs),
    /// Show the configuration in force
    Config(ConfigArgs),
    /// Look for what is wrong with this installation
    Doctor,
    /// Make, list and revoke tokens (on the server's machine)
    Token(TokenArgs),
    /// Print a completion script
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write one per command
    Man {
        /// Write ellie.1, ellie-serve.1, … into this directory
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        dir: Option<PathBuf>,
    },
    /// Print the API's OpenAPI document
    Openapi,
}

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
    /// Forget what was counted and forced; closed
    Reset {
        /// The breaker: a service's name
        name: String,
    },
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
    Add(AddRouteArgs),
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

#[derive(Debug, Args)]
pub(crate) struct StrategyArgs {
    /// round_robin, least_connections, weighted_round_robin, random or health_based
    pub(crate) strategy: Option<String>,
    /// For this service alone
    #[arg(long)]
    pub(crate) service: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    /// One service [default: the whole system]
    pub(crate) name: Option<String>,
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

/// `30s`, `500ms`, `1h 30m`, or an integer in milliseconds.
fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(ms) = text.parse::<u64>() {
        return Ok(Duration::from_millis(ms));
    }
    humantime::parse_duration(text)
        .map_err(|_| "a duration is such as 30s or 500ms, or an integer in milliseconds".into())
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err("a pair is KEY=VALUE".into()),
    }
}

fn rate(text: &str) -> Result<(u32, Duration), String> {
    let wanted = || "a rate is MAX/WINDOW, such as 100/60s".to_owned();
    let (max, window) = text.split_once('/').ok_or_else(wanted)?;
    Ok((max.trim().parse().map_err(|_| wanted())?, duration(window.trim()).map_err(|_| wanted())?))
}
