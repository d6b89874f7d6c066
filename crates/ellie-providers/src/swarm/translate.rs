//! From what a manager tells of its services and tasks to a set. Pure.

use super::Settings;
use super::api::{Node, Port, Service, State, Swarm, Task, TaskSpec};
use crate::labels::{self, Address, Labels};
use crate::{Note, Set, Severity};
use ellie_core::Fault;
use ellie_core::model::{Offer, excerpt, limits};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// How long an id is shown: as long as `docker service ps` does.
const SHORT: usize = 12;

fn short(id: &str) -> &str {
    id.get(..SHORT).unwrap_or(id)
}

/// Whether a task changes its state soon, as far as the swarm wants it to.
pub(super) fn is_on_its_way(task: &Task) -> bool {
    let (is, shall) = (task.status.state, task.desired_state);
    is < State::Running || (is == State::Running && shall > State::Running)
}

/// The complete set. `dead` are tasks whose containers are known to have ended, though the manager doesn't say so yet;
/// `own_networks` the ids of the networks that ellie itself is on.
pub(super) fn translate(
    swarm: &Swarm,
    dead: &BTreeSet<String>,
    settings: &Settings,
    own_networks: &BTreeSet<String>,
) -> Set {
    let mut set = Set::default();
    let mut tasks: BTreeMap<&str, Vec<&Task>> = BTreeMap::new();
    for task in &swarm.tasks {
        if task.status.state == State::Running && !dead.contains(&task.id) {
            tasks.entry(&task.service_id).or_default().push(task);
        }
    }
    let mut services: Vec<&Service> = swarm.services.iter().collect();
    services.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
    for service in services {
        let mut running = tasks.remove(service.id.as_str()).unwrap_or_default();
        running.sort_by(|a, b| (a.slot, &a.id).cmp(&(b.slot, &b.id)));
        let judge = Judge { swarm, settings, own_networks, service };
        judge.judge(&running, &mut set);
    }
    set
}

struct Judge<'a> {
    swarm: &'a Swarm,
    settings: &'a Settings,
    own_networks: &'a BTreeSet<String>,
    service: &'a Service,
}

/// Tasks whose containers have the same labels.
struct Alike<'a> {
    /// Those, and the service's.
    labels: &'a HashMap<String, String>,
    tasks: &'a [&'a Task],
    /// Whether these are what the service is now, not what an update replaces.
    is_latest: bool,
}

/// An address and on which network it is.
struct Candidate<'a> {
    name: &'a str,
    id: &'a str,
    address: &'a str,
}

impl Judge<'_> {
    /// A task keeps the labels of its container while an update replaces it; those of the service are all tasks'.
    fn judge(&self, running: &[&Task], set: &mut Set) {
        let of_template = ours(&self.service.spec.task_template);
        let mut alike: BTreeMap<BTreeMap<&str, &str>, Vec<&Task>> =
            BTreeMap::from([(of_template, Vec::new())]);
        for task in running {
            alike.entry(ours(&task.spec)).or_default().push(task);
        }
        let mut notes = BTreeSet::new();
        for (of_container, tasks) in &alike {
            let mut all: HashMap<String, String> =
                of_container.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            all.extend(self.service.spec.labels.clone().unwrap_or_default());
            let is_latest = *of_container == ours(&self.service.spec.task_template);
            let alike = Alike { labels: &all, tasks, is_latest };
            self.judge_alike(&alike, running, set, &mut notes);
        }
        for note in notes {
            set.note(note);
        }
    }

    /// Judges tasks with the same labels, of all that are `running`.
    fn judge_alike(&self, alike: &Alike<'_>, running: &[&Task], set: &mut Set, notes: &mut BTreeSet<Note>) {
        let spec = &self.service.spec;
        let mut labels = labels::read(alike.labels);
        if !labels.is_wanted() {
            return;
        }
        let name = labels.draft.name.get_or_insert_with(|| spec.name.clone()).clone();
        let note = |subject: &str, id: &str, severity: Severity, message: String| Note {
            severity,
            subject: subject.to_owned(),
            id: short(id).to_owned(),
            service: Some(name.clone()),
            message,
        };
        let of_service = |severity, message| note(&spec.name, &self.service.id, severity, message);
        if let Some(what) = labels::unknown(&labels.unknown) {
            notes.insert(of_service(Severity::Warning, what));
        }
        let mut doubts = BTreeSet::new();
        let mut faults = std::mem::take(&mut labels.faults);
        let is_port_told = faults.iter().any(|fault| fault.field.ends_with(".port"));
        match self.port(&labels, &mut doubts) {
            Ok(port) => labels.draft.port = Some(port),
            Err(fault) => {
                faults.extend((!is_port_told).then_some(fault));
                labels.draft.port = Some(1);
            }
        }
        // What is wrong with the labels is wrong with every task, and told once.
        let mut probe = labels.draft.clone();
        probe.host = Some("0.0.0.0".into());
        probe.id.get_or_insert_with(|| "x".into());
        faults.extend(probe.validate().err().unwrap_or_default());
        for fault in &faults {
            notes.insert(of_service(Severity::Fault, fault.to_string()));
        }
        if !faults.is_empty() {
            return;
        }
        if running.is_empty() {
            notes.insert(of_service(Severity::Absent, "no task of the service is running".into()));
        }
        let mode = labels.address.unwrap_or(self.settings.address);
        let offers: Vec<(&str, Result<Offer, Vec<Fault>>)> = if mode == Address::Vip {
            let withheld = running.iter().all(|task| task.desired_state > State::Running);
            let reason = withheld.then(|| "all its tasks are being stopped".to_owned());
            let offer = |_| (spec.name.as_str(), self.virtual_address(&labels, &mut doubts, reason));
            // One for all of them, as the service says now.
            running.first().filter(|_| alike.is_latest).map(offer).into_iter().collect()
        } else {
            alike
                .tasks
                .iter()
                .map(|task| (task.id.as_str(), self.task(task, mode, &labels, &mut doubts)))
                .collect()
        };
        for (id, offer) in offers {
            let subject = self.name_of(id);
            let told = match offer {
                Ok(offer) => set.offer(offer).err().map(|taken| {
                    let other = taken.metadata.get("swarm.task").map_or("another task", String::as_str);
                    vec![format!("id: `{}` is taken by {other}; leave `service.id` out", taken.id)]
                }),
                Err(faults) => Some(faults.iter().map(ToString::to_string).collect()),
            };
            for message in told.into_iter().flatten() {
                notes.insert(note(&subject, id, Severity::Fault, message));
            }
        }
        for doubt in doubts {
            notes.insert(of_service(Severity::Warning, doubt));
        }
    }

    /// `users.1`, as `docker service ps` shows a task.
    fn name_of(&self, id: &str) -> String {
        let name = &self.service.spec.name;
        let Some(task) = self.swarm.tasks.iter().find(|task| task.id == id) else { return name.clone() };
        match task.slot.filter(|slot| *slot > 0) {
            Some(slot) => format!("{name}.{slot}"),
            // One on each node has no slot.
            None => format!(
                "{name}.{}",
                self.node(task).map_or(short(&task.node_id), |n| &n.description.hostname)
            ),
        }
    }

    fn node(&self, task: &Task) -> Option<&Node> {
        self.swarm.nodes.iter().find(|node| node.id == task.node_id)
    }

    fn port(&self, labels: &Labels, doubts: &mut BTreeSet<String>) -> Result<i128, Fault> {
        if let Some(port) = labels.draft.port {
            return Ok(port);
        }
        let targets: BTreeSet<u16> = self.ports().map(|port| port.target_port).collect();
        let Some(lowest) = targets.first() else {
            let message = "the service publishes no TCP port; say which its tasks listen on by the label `service.port`";
            return Err(Fault::new("service.port", message));
        };
        if targets.len() > 1 {
            let all: Vec<String> = targets.iter().map(ToString::to_string).collect();
            let all = all.join(", ");
            doubts
                .insert(format!("publishes the ports {all}; {lowest} is taken: say which by `service.port`"));
        }
        Ok(i128::from(*lowest))
    }

    fn ports(&self) -> impl Iterator<Item = &Port> {
        self.service.endpoint.ports.iter().flatten().filter(|port| port.protocol == "tcp")
    }

    fn task(
        &self,
        task: &Task,
        mode: Address,
        labels: &Labels,
        doubts: &mut BTreeSet<String>,
    ) -> Result<Offer, Vec<Fault>> {
        let mut labels = labels.clone();
        let (host, port) = match mode {
            Address::Published => self.published(task, &labels)?,
            _ => (self.own_address(task, &labels, doubts)?, labels.draft.port),
        };
        let draft = &mut labels.draft;
        draft.host = Some(host);
        draft.port = port;
        draft.id.get_or_insert_with(|| short(&task.id).to_owned());
        let node = self.node(task).map(|node| node.description.hostname.clone()).unwrap_or_default();
        let image = &task.spec.container_spec.image;
        // A digest is no name that a person looks for.
        let image = image.split('@').next().unwrap_or_default().to_owned();
        for (key, value) in [
            ("swarm.service", self.service.spec.name.clone()),
            ("swarm.task", self.name_of(&task.id)),
            ("swarm.node", node),
            ("docker.image", image),
        ] {
            describe(&mut labels, key, value);
        }
        let withheld =
            (task.desired_state > State::Running).then(|| "is being stopped by the swarm".to_owned());
        Ok(Offer { registration: Arc::new(labels.draft.validate()?), withheld })
    }

    /// Where the swarm reaches a task: on the network asked for, else on one that ellie is on too, else on the first.
    fn own_address(
        &self,
        task: &Task,
        labels: &Labels,
        doubts: &mut BTreeSet<String>,
    ) -> Result<String, Vec<Fault>> {
        let attached: Vec<_> = task.networks_attachments.iter().flatten().collect();
        if attached.iter().any(|a| a.network.spec.name == "host") {
            return self.node_address(task);
        }
        let candidates: Vec<Candidate<'_>> = attached
            .iter()
            .filter(|a| !a.network.spec.ingress)
            .filter_map(|a| {
                let address = a.addresses.as_ref()?.iter().map(|a| bare(a)).find(|a| !a.is_empty())?;
                Some(Candidate { name: &a.network.spec.name, id: &a.network.id, address })
            })
            .collect();
        self.choose(candidates, labels, doubts)
    }

    fn virtual_address(
        &self,
        labels: &Labels,
        doubts: &mut BTreeSet<String>,
        withheld: Option<String>,
    ) -> Result<Offer, Vec<Fault>> {
        let mut labels = labels.clone();
        let network = |id: &str| self.swarm.networks.iter().find(|network| network.id == id);
        let candidates = self.service.endpoint.virtual_ips.iter().flatten().filter_map(|vip| {
            let network = network(&vip.network_id).filter(|network| !network.ingress)?;
            let address = Some(bare(&vip.addr)).filter(|address| !address.is_empty())?;
            Some(Candidate { name: &network.name, id: &network.id, address })
        });
        let host = self.choose(candidates.collect(), &labels, doubts)?;
        labels.draft.host = Some(host);
        labels.draft.id.get_or_insert_with(|| short(&self.service.id).to_owned());
        describe(&mut labels, "swarm.service", self.service.spec.name.clone());
        Ok(Offer { registration: Arc::new(labels.draft.validate()?), withheld })
    }

    fn choose(
        &self,
        mut from: Vec<Candidate<'_>>,
        labels: &Labels,
        doubts: &mut BTreeSet<String>,
    ) -> Result<String, Vec<Fault>> {
        from.sort_by_key(|candidate| candidate.name);
        let names: Vec<&str> = from.iter().map(|candidate| candidate.name).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        if let Some(asked) = labels.network.as_deref().or(self.settings.network.as_deref()) {
            // A stack puts its own name before those of its networks.
            let stacked = format!("_{asked}");
            let found = from
                .iter()
                .find(|candidate| candidate.name == asked)
                .or_else(|| from.iter().find(|candidate| candidate.name.ends_with(&stacked)));
            return found.map(|candidate| candidate.address.to_owned()).ok_or_else(|| {
                let message = format!("has no address on the network `{}`; it is on {names}", excerpt(asked));
                vec![Fault::new("ellie.network", message)]
            });
        }
        if let Some(shared) = from.iter().find(|candidate| self.own_networks.contains(candidate.id)) {
            return Ok(shared.address.to_owned());
        }
        let Some(first) = from.first() else {
            let message = "the swarm tells no address of it: attach the service to an overlay network, or publish its \
                           port with mode=host and set ellie.address=published";
            return Err(vec![Fault::new("host", message)]);
        };
        if !self.own_networks.is_empty() {
            let name = first.name;
            doubts.insert(format!("shares no network with ellie; its address on `{name}` is taken"));
        } else if from.len() > 1 {
            let name = first.name;
            doubts.insert(format!(
                "is on the networks {names}; `{name}` is taken: say which by `ellie.network`"
            ));
        }
        Ok(first.address.to_owned())
    }

    /// Where the task's port is published on its node.
    fn published(&self, task: &Task, labels: &Labels) -> Result<(String, Option<i128>), Vec<Fault>> {
        let port = labels.draft.port.and_then(|port| u16::try_from(port).ok()).unwrap_or_default();
        let mut ports = task.status.port_status.ports.iter().flatten();
        let found = ports.find(|p| p.protocol == "tcp" && p.publish_mode == "host" && p.target_port == port);
        let Some(found) = found else {
            let message = format!("port {port} is not published on the node: publish it with mode=host");
            return Err(vec![Fault::new("service.port", message)]);
        };
        Ok((self.node_address(task)?, Some(i128::from(found.published_port))))
    }

    fn node_address(&self, task: &Task) -> Result<String, Vec<Fault>> {
        let unknown = || vec![Fault::new("host", "the swarm tells no address of the task's node")];
        let node = self.node(task).ok_or_else(unknown)?;
        let manager = node.manager_status.addr.rsplit_once(':').map_or("", |(host, _)| host);
        let known = |address: &&str| !matches!(*address, "" | "0.0.0.0" | "::");
        let address = [node.status.addr.as_str(), manager].into_iter().find(known).ok_or_else(unknown)?;
        Ok(address.trim_matches(['[', ']']).to_owned())
    }
}

fn describe(labels: &mut Labels, key: &str, value: String) {
    let metadata = &mut labels.draft.metadata;
    if metadata.len() < limits::METADATA && !value.is_empty() {
        metadata.entry(key.into()).or_insert(value);
    }
}

/// `10.0.1.4/24` without the length.
fn bare(address: &str) -> &str {
    address.split('/').next().unwrap_or_default()
}

/// What of a container's labels may concern us.
fn ours(spec: &TaskSpec) -> BTreeMap<&str, &str> {
    let labels = spec.container_spec.labels.iter().flatten();
    labels.filter(|(key, _)| labels::is_ours(key)).map(|(k, v)| (k.as_str(), v.as_str())).collect()
}

#[cfg(test)]
mod tests;
