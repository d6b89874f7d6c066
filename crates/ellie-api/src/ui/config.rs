//! `GET /api/ui/config`.

use serde::{Deserialize, Serialize};

fn is_false(b: &bool) -> bool {
    !*b
}

/// Where a value comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// `default`, `file`, `env` or `flag`.
    pub kind: String,
    /// As `ellie config show --origin` has it.
    pub text: String,
    /// The file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The file's line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The variable or flag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// One key of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Setting {
    /// `gateway.listen`
    pub key: String,
    /// As TOML; absent where it is not set. Secrets are `"…"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Who said it.
    pub origin: Origin,
    /// A change takes effect at the next start only.
    #[serde(default, skip_serializing_if = "is_false")]
    pub restart: bool,
}

/// A key that differs in a configuration that was read later.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    /// Which.
    pub key: String,
    /// In force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// After the next start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// A `[[services]]` of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StaticService {
    /// The service.
    pub name: String,
    /// The instance.
    pub id: String,
    /// `host:port`.
    pub address: String,
}

/// `GET /api/ui/config`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// The file that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// When it was last read and taken.
    pub loaded_at: String,
    /// Every key, in the order of the reference.
    pub items: Vec<Setting>,
    /// What waits for a restart.
    pub pending: Vec<Pending>,
    /// `[[services]]`
    pub services: Vec<StaticService>,
    /// The ids of `[[routes]]`.
    pub routes: Vec<String>,
    /// What is legal but probably not meant.
    pub warnings: Vec<String>,
    /// Whether it can be read again while running.
    pub reloadable: bool,
}
