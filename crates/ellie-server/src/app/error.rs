//! Why ellie did not start, or ended badly.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why ellie did not start. `Display` says what, where and what to do about it.
#[derive(Debug)]
pub enum Error {
    /// The asynchronous runtime or signal handling could not be set up.
    Runtime(io::Error),
    /// A listener could not be bound.
    Bind {
        /// Which.
        listener: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The data directory can't be used.
    DataDir {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system's parts could not be started.
    Start(ellie::StartError),
    /// Something of the configuration can't be carried out.
    Configuration(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runtime(e) => write!(f, "the runtime can't be set up: {e}"),
            Self::Bind { listener, address, source } if source.kind() == io::ErrorKind::AddrInUse => write!(
                f,
                "{listener} can't listen on {address}: the port is taken. Is another ellie running? \
                 Choose another port with --{listener}-listen, or 0 for a free one"
            ),
            Self::Bind { listener, address, source } => {
                write!(f, "{listener} can't listen on {address}: {source}. Set --{listener}-listen")
            }
            Self::DataDir { path, source } => write!(
                f,
                "the data directory {} can't be used: {source}. Set --data-dir, or --ephemeral to keep nothing",
                path.display()
            ),
            Self::Start(e) => e.fmt(f),
            Self::Configuration(e) => f.write_str(e),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Runtime(e) => Some(e),
            Self::Bind { source, .. } | Self::DataDir { source, .. } => Some(source),
            Self::Start(e) => Some(e),
            Self::Configuration(_) => None,
        }
    }
}
