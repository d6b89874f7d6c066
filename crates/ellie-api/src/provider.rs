//! `GET /providers`.

use serde::{Deserialize, Serialize};

/// All providers that are configured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Providers {
    /// How many.
    pub count: usize,
    /// By name.
    pub providers: Vec<Provider>,
}

/// How one fares.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Provider {
    /// The source of its instances: `docker`.
    pub name: String,
    /// Whom it asks.
    pub endpoint: String,
    /// Whether it is connected and its set is current.
    pub up: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it last told its set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sync: Option<String>,
    /// How often it told its set.
    pub syncs: u64,
    /// How often it could not go on.
    pub failures: u64,
    /// Instances of its set.
    pub instances: usize,
    /// Since when and why its set can't be renewed: what it told last is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale: Option<Stale>,
    /// Notes in all; at most a thousand are listed.
    pub note_count: usize,
    /// What is to be known about single containers or tasks; none in `/services/stats`.
    #[serde(default)]
    pub notes: Vec<Note>,
}

/// A set that can't be renewed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stale {
    /// Since when.
    pub since: String,
    /// Why.
    pub reason: String,
}

/// Something about one container or task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// `fault` and `absent`: it is not registered, for a mistake or for its state. `warning`: it is.
    pub severity: String,
    /// Its name.
    pub subject: String,
    /// Its id.
    pub id: String,
    /// The service it tells of, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// What, and what would be right.
    pub message: String,
}
