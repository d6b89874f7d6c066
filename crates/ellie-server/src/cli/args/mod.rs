//! The command line's words, by family. What they do is in the modules beside this one.

mod instance;
mod look;
mod processes;
mod server;
mod traffic;
mod value;

pub(crate) use instance::*;
pub(crate) use look::*;
pub(crate) use processes::*;
pub(crate) use server::*;
pub(crate) use traffic::*;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use std::path::PathBuf;
use std::time::Duration;
use value::duration;

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
    /// PEM file of the authorities that may vouch for an API behind https [default: the system's, and for a server on
    /// this machine the certificate that its configuration names]
    #[arg(long, global = true, env = "ELLIE_CA_FILE", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) ca_file: Option<PathBuf>,
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
    /// Check an instance's health now, beside the schedule; fails when the check does
    Check(Target),
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
    /// Run the server and the processes of a file, in the order of their dependencies
    Up(UpArgs),
    /// The same, and restart a process when its files change
    Dev(UpArgs),
    /// Stop all processes, dependents first, and the server that runs them
    Down,
    /// List the processes
    Ps,
    /// Show what processes write
    Logs(LogsArgs),
    /// Start processes, with what they depend on
    Start(NamesArgs),
    /// Stop processes: out of traffic first, then by signal
    Stop(NamesArgs),
    /// Stop processes and start them again
    Restart(NamesArgs),
    /// Show the dependencies of the processes
    Graph(GraphArgs),
    /// Show what the start waited for, and how long
    Analyze,
    /// Wait until a process has come so far
    Wait(WaitArgs),
    /// Check a configuration file and tell every fault
    CheckConfig(CheckConfigArgs),
    /// Show the configuration in force
    Config(ConfigArgs),
    /// Have the server read its configuration again
    Reload,
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
