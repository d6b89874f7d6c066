//! Health of the system, of a service, and of ellie itself.

use crate::Status;
use crate::instance::Memory;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `GET /services/health`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// The worst of the services; healthy where there is none.
    pub status: Status,
    /// When this was read.
    pub timestamp: String,
    /// Counts.
    pub summary: Summary,
    /// By name.
    pub services: BTreeMap<String, ServiceHealth>,
}

/// How many services fare how, and instances in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Services.
    pub total: usize,
    /// Healthy services.
    pub healthy: usize,
    /// Degraded services.
    pub degraded: usize,
    /// Unhealthy services.
    pub unhealthy: usize,
    /// Instances of all services.
    pub instances: InstanceCounts,
}

/// How many instances fare how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceCounts {
    /// All.
    pub total: usize,
    /// Healthy.
    pub healthy: usize,
    /// Degraded.
    pub degraded: usize,
    /// Unhealthy.
    pub unhealthy: usize,
}

/// One service's health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceHealth {
    /// As a whole.
    pub status: Status,
    /// Healthy instances.
    pub healthy: usize,
    /// Degraded instances.
    pub degraded: usize,
    /// Unhealthy instances.
    pub unhealthy: usize,
    /// Instances.
    pub total: usize,
    /// Each dependency and whether it is available: as registered here, else as the instances' checks report it;
    /// `null` where neither is known.
    pub dependencies: BTreeMap<String, Option<bool>>,
}

/// `GET /services/{name}/health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamedHealth {
    /// The service.
    pub name: String,
    /// When this was read.
    pub timestamp: String,
    /// The same as in the system's health.
    #[serde(flatten)]
    pub health: ServiceHealth,
    /// Each instance, by id.
    pub instances: BTreeMap<String, InstanceHealth>,
}

/// One instance's health in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceHealth {
    /// How it fares.
    pub status: Status,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: String,
    /// Whether it gets traffic, or why not.
    pub standing: String,
}

/// `GET /health`: ellie's own, in the specification's Health Check Response Format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnHealth {
    /// Healthy when all dependencies are there.
    pub status: Status,
    /// When this was read.
    pub timestamp: String,
    /// Whole seconds since start.
    pub uptime: u64,
    /// ellie's version.
    pub version: String,
    /// In MiB: resident memory of the process, and what it may use.
    pub memory: Memory,
    /// What ellie itself needs: `store`.
    pub dependencies: BTreeMap<String, bool>,
}
