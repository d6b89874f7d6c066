//! What of Swarm's API matters here. Of tasks the types of `bollard` leave the addresses out; one shape for all of it is
//! less to read than two.

use crate::Failure;
use crate::endpoint::Daemon;
use bollard::Docker;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;

/// All that a set is made of, as one moment tells it.
#[derive(Clone, Debug, Default)]
pub(super) struct Swarm {
    pub(super) services: Vec<Service>,
    pub(super) tasks: Vec<Task>,
    pub(super) nodes: Vec<Node>,
    pub(super) networks: Vec<Network>,
}

impl Swarm {
    /// Asks a manager.
    pub(super) async fn ask(api: &Docker, daemon: &Daemon) -> Result<Self, Failure> {
        let version = api.client_version();
        let (major, minor) = (version.major_version, version.minor_version);
        let path = |what: &str| format!("/v{major}.{minor}/{what}");
        let (services, tasks, nodes, networks) =
            (path("services"), path("tasks"), path("nodes"), path("networks"));
        let (services, tasks, nodes, networks) = tokio::try_join!(
            list(daemon, &services),
            list(daemon, &tasks),
            list(daemon, &nodes),
            list(daemon, &networks),
        )?;
        Ok(Self { services, tasks, nodes, networks })
    }
}

/// A list, without what of it can't be understood: that says nothing of the rest.
async fn list<T: DeserializeOwned>(daemon: &Daemon, path: &str) -> Result<Vec<T>, Failure> {
    let all: Vec<serde_json::Value> = daemon.get(path).await?;
    Ok(all.into_iter().filter_map(|one| serde_json::from_value(one).ok()).collect())
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Service {
    #[serde(rename = "ID")]
    pub(super) id: String,
    pub(super) spec: ServiceSpec,
    pub(super) endpoint: ServiceEndpoint,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ServiceSpec {
    pub(super) name: String,
    pub(super) labels: Option<HashMap<String, String>>,
    pub(super) task_template: TaskSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ServiceEndpoint {
    pub(super) ports: Option<Vec<Port>>,
    #[serde(rename = "VirtualIPs")]
    pub(super) virtual_ips: Option<Vec<VirtualIp>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct VirtualIp {
    #[serde(rename = "NetworkID")]
    pub(super) network_id: String,
    pub(super) addr: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Port {
    pub(super) protocol: String,
    pub(super) target_port: u16,
    pub(super) published_port: u16,
    pub(super) publish_mode: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Task {
    #[serde(rename = "ID")]
    pub(super) id: String,
    #[serde(rename = "ServiceID")]
    pub(super) service_id: String,
    #[serde(rename = "NodeID")]
    pub(super) node_id: String,
    pub(super) slot: Option<u64>,
    pub(super) spec: TaskSpec,
    pub(super) status: TaskStatus,
    pub(super) desired_state: State,
    pub(super) networks_attachments: Option<Vec<Attachment>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct TaskSpec {
    pub(super) container_spec: ContainerSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ContainerSpec {
    pub(super) image: String,
    pub(super) labels: Option<HashMap<String, String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct TaskStatus {
    pub(super) state: State,
    pub(super) port_status: PortStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct PortStatus {
    pub(super) ports: Option<Vec<Port>>,
}

/// A task goes through them in this order, and never back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    #[default]
    New,
    Allocated,
    Pending,
    Assigned,
    Accepted,
    Preparing,
    Ready,
    Starting,
    Running,
    Complete,
    Shutdown,
    Failed,
    Rejected,
    Remove,
    Orphaned,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Attachment {
    pub(super) network: AttachedNetwork,
    pub(super) addresses: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct AttachedNetwork {
    #[serde(rename = "ID")]
    pub(super) id: String,
    pub(super) spec: NetworkSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct NetworkSpec {
    pub(super) name: String,
    pub(super) ingress: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Network {
    pub(super) name: String,
    pub(super) id: String,
    pub(super) ingress: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Node {
    #[serde(rename = "ID")]
    pub(super) id: String,
    pub(super) description: NodeDescription,
    pub(super) status: NodeStatus,
    pub(super) manager_status: ManagerStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct NodeDescription {
    pub(super) hostname: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct NodeStatus {
    pub(super) addr: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ManagerStatus {
    pub(super) addr: String,
}
