//! `PUT /reload`.

use serde::{Deserialize, Serialize};

/// What reading the configuration again changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reloaded {
    /// What is in force now and was not before, a sentence each.
    pub changed: Vec<String>,
    /// What waits for the next start, a sentence each.
    pub restart: Vec<String>,
}
