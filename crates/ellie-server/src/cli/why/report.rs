//! What `ellie why` found: for people and, as JSON, for programs.

use serde::Serialize;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// Neither good nor bad.
    Info,
    /// Worth a look; traffic flows.
    Warning,
    /// A reason why there is no traffic.
    Problem,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// `health check`, `breaker`…
    pub(super) topic: &'static str,
    pub(super) text: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) details: Vec<String>,
}

impl Finding {
    pub(super) fn new(level: Level, topic: &'static str, text: impl Into<String>) -> Self {
        Self { level, topic, text: text.into(), details: Vec::new() }
    }
}

/// One instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct InstanceReport {
    pub(super) id: String,
    pub(super) address: String,
    pub(super) status: String,
    pub(super) standing: String,
    pub(super) routable: bool,
    pub(super) findings: Vec<Finding>,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Report {
    pub(super) service: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) instance: Option<String>,
    /// One sentence.
    pub(super) verdict: String,
    pub(super) routable: bool,
    pub(super) findings: Vec<Finding>,
    pub(super) instances: Vec<InstanceReport>,
    /// The next commands, the first the most useful.
    #[serde(rename = "try")]
    pub(super) hints: Vec<String>,
}
