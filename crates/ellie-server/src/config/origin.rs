//! Where a value comes from.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Who said it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody: the documented default.
    Default,
    /// The configuration file.
    File {
        /// Which.
        path: Arc<PathBuf>,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
    },
    /// An environment variable.
    Env(String),
    /// A flag, such as `--api-listen`.
    Flag(String),
}

impl Origin {
    /// The short form of `config show --origin`.
    #[must_use]
    pub fn short(&self) -> String {
        match self {
            Self::Default => "default".into(),
            Self::File { line, .. } => format!("file:{line}"),
            Self::Env(name) => format!("env {name}"),
            Self::Flag(name) => format!("flag {name}"),
        }
    }
}

/// The form of messages: with the file's name and the column.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Env(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// One setting as it is in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Effective {
    /// `gateway.listen`
    pub key: String,
    /// As TOML; `None` where it is not set and has no default. Secrets are shown as `"…"`.
    pub value: Option<String>,
    /// Who said it.
    pub origin: Origin,
}
