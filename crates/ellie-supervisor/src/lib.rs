//! The service manager: starts processes in the order of their dependencies, keeps them running, and stops them in the
//! reverse one.
//!
//! A [`Plan`] is a checked set of [`Definition`]s; a [`Supervisor`] runs one. What to do is decided by a pure state
//! machine ([`machine`]); doing it is in [`supervisor`] and [`process`]. It reports what happens through [`Hooks`], and
//! knows nothing of a registry: whoever composes it makes a registration of a process that is ready.
//!
//! ```
//! use ellie_supervisor::{Condition, Definition, NoHooks, Plan, Settings, Supervisor, status::Goal};
//! use std::sync::Arc;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let plan = Plan::new(vec![
//!     Definition::new("migrate", ["sh", "-c", "echo migrated"]),
//!     Definition::new("api", ["sleep", "60"]).after("migrate", Condition::Completed),
//! ])
//! .map_err(|faults| faults[0].to_string())?;
//! let environment = std::env::vars_os().collect();
//! let supervisor = Supervisor::new(plan, Settings { environment, ..Settings::default() }, Arc::new(NoHooks));
//! supervisor.up().await?;
//! supervisor.wait("api", Goal::Healthy, None).await?;
//! supervisor.down().await;
//! # Ok(()) }
//! # tokio::runtime::Runtime::new()?.block_on(run())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod definition;
mod environment;
pub mod hooks;
pub mod logs;
pub mod machine;
pub mod plan;
pub mod process;
pub mod ready;
pub mod restart;
pub mod source;
pub mod status;
pub mod supervisor;

pub use definition::{Address, Check, Condition, Definition, Dependency, EnvFile, Port, Timing, Url};
pub use hooks::{Get, Hooks, Instance, NoHooks, Notice};
pub use nix::sys::signal::Signal;
pub use plan::Plan;
pub use process::{Launcher, guard};
pub use status::Status;
pub use supervisor::{Settings, Supervisor};
