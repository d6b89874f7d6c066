//! `GET /api/ui/history`.

use super::is_zero;
use crate::Event;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `GET /api/ui/history`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// When this was read.
    pub at: String,
    /// The resolution of `fine`.
    pub fine: Resolution,
    /// The resolution of `coarse`.
    pub coarse: Resolution,
    /// All requests at the gateway.
    pub total: Track,
    /// Services with traffic in the time that `coarse` covers, by name.
    pub services: BTreeMap<String, Track>,
    /// What happened in that time, oldest first; the newest where there are many.
    pub events: Vec<Event>,
    /// How many more events there were than are sent.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub events_skipped: u64,
}

/// How points of a series lie in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resolution {
    /// Milliseconds from one to the next.
    pub step: u64,
    /// How many are kept at most.
    pub points: usize,
}

/// One thing over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Track {
    /// The last two minutes.
    pub fine: Series,
    /// The last half hour.
    pub coarse: Series,
}

/// Points in time, oldest first; all members are of one length.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Series {
    /// Answers a second.
    pub rps: Vec<f32>,
    /// The share of answers that are 5xx, 0 to 1.
    pub errors: Vec<f32>,
    /// Milliseconds, 95th percentile; `null` without an answer.
    pub p95: Vec<Option<f32>>,
    /// The breaker's worst state in the step: 0 closed, 1 half-open, 2 open.
    pub state: Vec<u8>,
}
