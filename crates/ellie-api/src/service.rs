//! Services and answers about them.

use crate::{Instance, Status};
use serde::{Deserialize, Serialize};

/// `GET /services`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Services {
    /// The registry's index; pass it as `?index=` to wait for what comes next.
    pub index: u64,
    /// Instances listed.
    pub count: usize,
    /// By name.
    pub services: Vec<Service>,
}

/// A service in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Its name.
    pub name: String,
    /// By id.
    pub instances: Vec<Instance>,
}

/// `GET /services/{name}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceDetail {
    /// The index of the service's last change.
    pub index: u64,
    /// Its name.
    pub name: String,
    /// How it fares as a whole.
    pub status: Status,
    /// Which instances get traffic: `healthy`, `degraded` (the degraded ones joined) or `panic` (all).
    pub level: String,
    /// The strategy in force for it.
    pub strategy: String,
    /// Healthy instances.
    pub healthy: usize,
    /// Degraded instances.
    pub degraded: usize,
    /// Unhealthy instances.
    pub unhealthy: usize,
    /// Instances that get traffic.
    pub routable: usize,
    /// All instances of the service, listed or not.
    pub total: usize,
    /// Instances listed.
    pub count: usize,
    /// What its instances say they need, by name.
    pub dependencies: Vec<String>,
    /// By id.
    pub instances: Vec<Instance>,
}

/// An instance with the index it was read or written at: `POST /services`, `GET …/instances/{id}` and the operator
/// calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    /// The registry's index.
    pub index: u64,
    /// The instance.
    #[serde(flatten)]
    pub instance: Instance,
}

/// The answer to a heartbeat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// The registry's index.
    pub index: u64,
    /// How the instance fares now.
    pub status: Status,
    /// Why.
    pub reason: String,
    /// Its lease, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<crate::instance::Lease>,
}

/// The answer to `POST /services/batch`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchDone {
    /// The registry's index after it.
    pub index: u64,
    /// In the order of the request.
    pub registered: Vec<BatchItem>,
    /// In the order of the request.
    pub deregistered: Vec<Key>,
}

/// One registration of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchItem {
    /// The service.
    pub name: String,
    /// The instance, given or generated.
    pub id: String,
    /// Whether it is new.
    pub created: bool,
}

/// An instance by service and id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Key {
    /// The service.
    pub name: String,
    /// The instance.
    pub id: String,
}
