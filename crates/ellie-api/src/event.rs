//! What is streamed: changes of the registry, and the journal.

use crate::Instance;
use serde::{Deserialize, Serialize};

/// A `change` event of `GET /services/watch`; its id is the index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The registry's index after it.
    pub index: u64,
    /// `registered`, `replaced`, `status`, `operator` or `deregistered`.
    pub kind: String,
    /// The service.
    pub name: String,
    /// The instance's id.
    pub id: String,
    /// The instance after the change; for `deregistered`, as it was last.
    pub instance: Instance,
}

/// A `resync` event: what was asked for is no longer kept; the stream goes on with what is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resync {
    /// The oldest id that can be resumed from.
    pub oldest: u64,
    /// The id now.
    pub index: u64,
}

/// `GET /events` as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Events {
    /// The newest event's id, listed or not.
    pub last_id: u64,
    /// Events listed.
    pub count: usize,
    /// Oldest first.
    pub events: Vec<Event>,
}

/// One entry of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// 1, 2, 3… since ellie started.
    pub id: u64,
    /// When.
    pub at: String,
    /// What kind of thing happened.
    pub kind: String,
    /// The service it is about, or the breaker; of a route, the service that it leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The instance it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Who did it.
    pub actor: String,
    /// One sentence for people, with the why.
    pub message: String,
}
