//! One service or instance, and why it fares so.

use crate::instance::CheckResult;
use crate::stats::InstanceBalance;
use crate::{Breaker, Event, Instance, Resolved, Route};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How much it matters.
    pub level: Level,
    /// `health`, `breaker`…
    pub topic: String,
    /// A sentence for people.
    pub text: String,
    /// More sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

/// Why one instance gets traffic or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WhyInstance {
    /// Which.
    pub id: String,
    /// `host:port`.
    pub address: String,
    /// How it fares.
    pub status: String,
    /// The words of [`Instance::standing`].
    pub standing: String,
    /// Whether it gets traffic.
    pub routable: bool,
    /// Everything that was looked at.
    pub findings: Vec<Finding>,
}

/// Every reason why a service or an instance is, or is not, discoverable and routable; also `ellie why -o json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Why {
    /// The service.
    pub service: String,
    /// The instance that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// One sentence.
    pub verdict: String,
    /// Whether anything of what was asked for gets traffic.
    pub routable: bool,
    /// What was looked at of the service.
    pub findings: Vec<Finding>,
    /// Each instance that was asked for.
    pub instances: Vec<WhyInstance>,
    /// The next commands, the first the most useful.
    #[serde(rename = "try")]
    pub hints: Vec<String>,
}

/// How an instance is checked, with everything that the configuration fills in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// `http`, `tcp`, `grpc`, `ttl` or `none`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Milliseconds between checks.
    pub interval: u64,
    /// Milliseconds until a check counts as failed.
    pub timeout: u64,
    /// Successes in a row that make it healthy.
    pub success_threshold: u32,
    /// Failures in a row that make it unhealthy.
    pub failure_threshold: u32,
}

/// `GET /api/ui/service/{name}`, and the part of [`InstanceDetail`] that is its service's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceDetail {
    /// The registry's index.
    pub index: u64,
    /// Every reason.
    pub why: Why,
    /// How many instances are told of nowhere here, as there are too many.
    #[serde(default)]
    pub omitted: usize,
    /// What the balancer makes of each instance.
    pub resolve: Resolved,
    /// What each instance answered, by id.
    pub balance: BTreeMap<String, InstanceBalance>,
    /// Its breaker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<Breaker>,
    /// Those that lead to it.
    pub routes: Vec<Route>,
    /// What happened to it last, oldest first.
    pub events: Vec<Event>,
    /// Each instance's last check, by id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub last_checks: BTreeMap<String, CheckResult>,
}

/// `GET /api/ui/instance/{name}/{id}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceDetail {
    /// The instance, whole.
    pub instance: Instance,
    /// How it is checked.
    pub check: Check,
    /// Its service.
    #[serde(flatten)]
    pub service: ServiceDetail,
}
