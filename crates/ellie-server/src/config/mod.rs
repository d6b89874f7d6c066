//! The configuration: read once, checked whole, then handed on as plain data.
//!
//! Defaults < file < environment < flags, merged key by key. [`raw`] holds values as typed, with their places;
//! [`resolve`] turns them into [`Resolved`], reporting every fault at once; each value in force knows its
//! [`Origin`]. Nothing here reads the process' environment: it is handed in, so that all of it can be tested.

mod diff;
mod env;
mod fault;
mod origin;
mod parse;
mod processes;
mod providers;
mod raw;
mod read;
mod resolve;
mod resolved;
mod routes;
mod services;
mod show;
mod tls;
pub mod watch;

#[cfg(test)]
mod tests;

pub use diff::{Change, Diff, diff, in_force};
pub use env::Setting;
pub use fault::{Fault, Faults};
pub use origin::{Effective, Origin};
pub use providers::{Provider, Providers};
pub use resolved::*;

pub(crate) use diff::is_at_start;
pub(crate) use read::nearest;
pub(crate) use show::duration as show_duration;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// The file that is read where none is named.
pub const DEFAULT_FILE: &str = "ellie.toml";

/// [`Sources::load`].
///
/// # Errors
/// All faults.
#[allow(
    clippy::needless_pass_by_value,
    reason = "sources are handed over: whoever loads again keeps a clone"
)]
pub fn load(sources: Sources) -> Result<Resolved, Faults> {
    sources.load()
}

/// Where a configuration comes from; loading it again gives the next one.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file that was named; it has to exist. Otherwise `ellie.toml` in the current directory, where it exists.
    pub file: Option<PathBuf>,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// The flags.
    pub flags: Vec<Setting>,
}

impl Sources {
    /// The file that is, or would be, read.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.as_deref().unwrap_or(Path::new(DEFAULT_FILE))
    }

    /// Reads the file and the secrets it names, and resolves everything.
    ///
    /// # Errors
    /// All faults.
    pub fn load(&self) -> Result<Resolved, Faults> {
        self.resolve(false)
    }

    /// Like [`Sources::load`] for who only wants to know where a server would listen: secrets and keys that the
    /// configuration names, and that may be nobody else's to read, are passed over where they can't be read.
    ///
    /// # Errors
    /// All faults of the configuration itself.
    pub fn peek(&self) -> Result<Resolved, Faults> {
        self.resolve(true)
    }

    fn resolve(&self, peek: bool) -> Result<Resolved, Faults> {
        let path = self.path();
        let content = match std::fs::read(path) {
            Ok(content) => Some(content),
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.file.is_none() => None,
            Err(error) => {
                let origin = Origin::Flag("--config".into());
                return Err(Faults::one(origin, format!("`{}` can't be read: {error}", path.display())));
            }
        };
        resolve::resolve(&resolve::Input {
            file: content.as_deref().map(|content| (path, content)),
            env: &self.env,
            flags: &self.flags,
            read: &|path| std::fs::read_to_string(path),
            peek,
        })
    }
}
