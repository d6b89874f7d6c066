//! What a store promises, and how it fails.

use ellie_core::model::{InstanceId, Record, ServiceName};
use std::path::PathBuf;
use std::sync::Arc;
use std::{fmt, io};

/// One change of what is kept.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly all writes are puts")]
pub enum Write {
    /// Keep this in place of what was kept of the same instance.
    Put(Record),
    /// Forget this instance; no fault where nothing is kept of it.
    Remove(ServiceName, InstanceId),
}

/// How a store fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// How many records are kept.
    pub records: u64,
    /// Bytes on disk, where it has any.
    pub bytes: Option<u64>,
    /// Where they are.
    pub location: Option<PathBuf>,
}

/// Where registrations last. All calls block and come from one thread; whoever composes it gives it that thread
/// (see [`crate::Registrar`]).
pub trait Store: Send + 'static {
    /// A word for people: `embedded`, `ephemeral`.
    fn name(&self) -> &'static str;

    /// All that is kept, in the order of service and id.
    ///
    /// # Errors
    /// Where it can't be read; nothing is skipped silently.
    fn load(&mut self) -> Result<Vec<Record>, Error>;

    /// Makes all of `writes` durable, or none. When it returns, a loss of power takes nothing back.
    ///
    /// # Errors
    /// Where it isn't certain that they are durable. A later call may succeed.
    fn commit(&mut self, writes: &[Write]) -> Result<(), Error>;

    /// Sizes, for statistics.
    fn stats(&self) -> Stats;
}

/// Why a store can't do what was asked. The message names the file and what to do.
#[derive(Clone, Debug)]
pub enum Error {
    /// Another process uses the data directory.
    Locked {
        /// The data directory.
        directory: PathBuf,
        /// Its process id, where it left it.
        holder: Option<u32>,
    },
    /// A newer version wrote the file.
    Newer {
        /// The file.
        file: PathBuf,
        /// The format that it has.
        found: u64,
        /// The newest format that is understood.
        known: u64,
    },
    /// The file is damaged, or isn't a store at all.
    Corrupt {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The operating system refused.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was being done: `create`, `open`, `commit to`…
        doing: &'static str,
        /// What it said.
        source: Arc<io::Error>,
    },
    /// The store failed in another way.
    Failed {
        /// Which store.
        store: &'static str,
        /// How.
        detail: String,
    },
}

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>, doing: &'static str, source: io::Error) -> Self {
        Self::Io { path: path.into(), doing, source: Arc::new(source) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked { directory, holder } => {
                write!(f, "the data directory `{}` is in use by another ellie", directory.display())?;
                if let Some(pid) = holder {
                    write!(f, " (process {pid})")?;
                }
                f.write_str("; stop that one, or give this one another directory with --data-dir")
            }
            Self::Newer { file, found, known } => write!(
                f,
                "`{}` was written by a newer ellie: it has format {found}, this one knows up to {known}; \
                 run the newer version, or give another directory with --data-dir",
                file.display()
            ),
            Self::Corrupt { file, detail } => write!(
                f,
                "`{}` is damaged: {detail}; restore it from a backup, or move it away to start with an empty \
                 registry",
                file.display()
            ),
            Self::Io { path, doing, source } => write!(f, "can't {doing} `{}`: {source}", path.display()),
            Self::Failed { store, detail } => write!(f, "the store `{store}` failed: {detail}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source.as_ref()),
            _ => None,
        }
    }
}
