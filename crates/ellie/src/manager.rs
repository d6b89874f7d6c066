//! The service manager: processes that start in the order of their dependencies, and are services while they are
//! ready.

use crate::discovery::ServiceDiscovery;
use crate::system::Ellie;
use ellie_core::discovery::Standing;
use ellie_core::journal::{Entry, Kind};
use ellie_core::model::{Actor, CheckDraft, Draft};
use ellie_core::{Now, Source, Status};
use ellie_health::Prober;
use ellie_supervisor::hooks::{Get, Hooks, Instance, Notice, Pending};
use ellie_supervisor::{Address, Check, Definition, Plan, Port, Settings, Supervisor, plan, supervisor};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// Who registers processes, as the journal and `source` tell it.
const ACTOR: &str = "process";
/// How long a process that has been registered is waited for to be found healthy, before its dependents start anyway:
/// it has said by its own check that it is ready.
const FIRST_CHECK: Duration = Duration::from_secs(5);
/// Between looks whether requests are left.
const LOOK: Duration = Duration::from_millis(20);

/// A process, and the service that it is.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceDefinition {
    /// What runs.
    pub process: Definition,
    /// How it is registered while it is ready; name, id, host, port and check are filled in where they are absent.
    /// `None` never registers it. One without a port is never registered either.
    pub service: Option<Draft>,
}

impl From<Definition> for ServiceDefinition {
    fn from(process: Definition) -> Self {
        Self { process, service: Some(Draft::default()) }
    }
}

/// Why a manager can't be made.
#[derive(Debug)]
pub enum Error {
    /// The definitions don't go together; every fault of them.
    Plan(Vec<plan::Fault>),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plan(faults) => {
                for (i, fault) in faults.iter().enumerate() {
                    write!(f, "{}{fault}", if i == 0 { "" } else { "\n" })?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for Error {}

/// Variables for a process beside its own, asked for at each start.
pub type Variables = Arc<dyn Fn(&Instance) -> Vec<(String, String)> + Send + Sync>;

/// Starts services in the order of their dependencies. It is a [`Supervisor`] that registers what is ready, takes it
/// out of traffic before it stops, and removes it when it is gone.
#[derive(Clone, Debug)]
pub struct ServiceManager {
    supervisor: Supervisor,
    ellie: Ellie,
}

impl Deref for ServiceManager {
    type Target = Supervisor;

    fn deref(&self) -> &Supervisor {
        &self.supervisor
    }
}

impl ServiceManager {
    /// A manager of `definitions` in `ellie`'s registry, with nothing started. Has to be called in a tokio runtime.
    ///
    /// # Errors
    /// [`Error`]; dependencies that form a cycle are told with their whole path.
    pub fn new<D: Into<ServiceDefinition>>(
        ellie: &Ellie,
        definitions: impl IntoIterator<Item = D>,
    ) -> Result<Self, Error> {
        let environment = std::env::vars_os().collect();
        let settings = Settings { environment, ..Settings::default() };
        Self::with_settings(ellie, definitions, settings, Arc::new(|_| Vec::new()))
    }

    /// The same with settings of your own, and with `variables` for each process.
    ///
    /// # Errors
    /// [`Error`].
    pub fn with_settings<D: Into<ServiceDefinition>>(
        ellie: &Ellie,
        definitions: impl IntoIterator<Item = D>,
        settings: Settings,
        variables: Variables,
    ) -> Result<Self, Error> {
        let definitions: Vec<ServiceDefinition> = definitions.into_iter().map(Into::into).collect();
        let plan = Plan::new(definitions.iter().map(|d| d.process.clone()).collect()).map_err(Error::Plan)?;
        let prober = Prober::new(ellie.settings().gateway.live.upstream_tls);
        let hooks = Registrations(Arc::new(Inner { ellie: ellie.clone(), definitions, prober, variables }));
        Ok(Self { supervisor: Supervisor::new(plan, settings, Arc::new(hooks)), ellie: ellie.clone() })
    }

    /// Starts everything, in order. What an earlier manager has left in the registry, because it was killed, is
    /// withdrawn first.
    ///
    /// # Errors
    /// [`supervisor::Error::Closed`].
    pub async fn up(&self) -> Result<(), supervisor::Error> {
        if self.status().units.iter().all(|unit| unit.phase.is_at_rest()) {
            let left = self.ellie.discovery.acting_as(Actor::new(ACTOR));
            if let Err(error) = left.replace_set(Source::Provider(ACTOR.into()), Vec::new()).await {
                tracing::warn!("registrations of an earlier run are not withdrawn: {error}");
            }
        }
        self.supervisor.up().await
    }
}

/// Makes registrations of processes.
struct Registrations(Arc<Inner>);

struct Inner {
    ellie: Ellie,
    definitions: Vec<ServiceDefinition>,
    prober: Prober,
    variables: Variables,
}

impl Inner {
    /// The registration of a run; `None` where it is none.
    fn draft(&self, instance: &Instance) -> Option<Draft> {
        let of = &self.definitions[instance.definition];
        let mut draft = of.service.clone()?;
        let port = instance.port?;
        draft.name.get_or_insert_with(|| instance.process.to_string());
        draft.id.get_or_insert_with(|| instance.unit.to_string());
        draft.host.get_or_insert_with(|| instance.host.to_string());
        draft.port.get_or_insert(port.into());
        // What is registered under the name of a dependency, so that health can be told of it too.
        let registered = |name: &str| {
            self.definitions.iter().find(|other| other.process.name == name).and_then(|other| {
                let listens = other.process.port != Port::None && other.process.external.is_none();
                let service = other.service.as_ref().filter(|_| listens)?;
                Some(service.name.clone().unwrap_or_else(|| name.to_owned()))
            })
        };
        for dependency in of.process.dependencies.iter().filter_map(|d| registered(&d.name)) {
            if !draft.dependencies.contains(&dependency) && draft.name.as_ref() != Some(&dependency) {
                draft.dependencies.push(dependency);
            }
        }
        let silent = draft.health_endpoint.is_none() && draft.check.is_none() && draft.ttl.is_none();
        if silent {
            match &of.process.ready {
                Some(Check::Http(url)) if url.address == Address::Own => {
                    draft.health_endpoint = Some(url.path.clone());
                    if url.tls {
                        draft.protocol.get_or_insert_with(|| "https".into());
                    }
                }
                _ => draft.check = Some(CheckDraft { kind: Some("tcp".into()), ..CheckDraft::default() }),
            }
        }
        Some(draft)
    }

    /// The registry as the manager speaks to it.
    fn discovery(&self) -> ServiceDiscovery {
        let discovery = self.ellie.discovery.acting_as(Actor::new(ACTOR));
        discovery.with_source(Source::Provider(ACTOR.into()))
    }

    /// Name and id of the registration of a run.
    fn key(&self, instance: &Instance) -> Option<(String, String)> {
        let draft = self.draft(instance)?;
        draft.name.zip(draft.id)
    }

    fn tell(&self, instance: &str, message: impl Into<String>) {
        let entry = Entry {
            kind: Kind::ProcessChanged,
            service: Some(instance.to_owned()),
            instance: None,
            actor: ACTOR.into(),
            message: message.into(),
        };
        self.ellie.journal().record(Now::read(), entry);
    }

    async fn ready(&self, instance: Instance) {
        let Some(draft) = self.draft(&instance) else { return };
        let discovery = self.discovery();
        let registered = match discovery.register_service(draft).await {
            Ok(registered) => registered.instance,
            Err(error) => {
                tracing::error!(process = %instance.unit, "it runs unregistered: {error}");
                return self.tell(&instance.unit, format!("runs unregistered: {error}"));
            }
        };
        let (name, id) = (&registered.registration.name, &registered.registration.id);
        let Ok(mut watch) = discovery.watch(name.as_str()) else { return };
        let well = async {
            loop {
                let update = watch.next().await;
                let found = update.service.as_ref().and_then(|service| service.instances.get(id.as_str()));
                if found.is_none_or(|instance| instance.status == Status::Healthy) {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(FIRST_CHECK, well).await;
    }

    async fn drain(&self, instance: Instance) {
        let Some((name, id)) = self.key(&instance) else { return };
        if self.discovery().drain(&name, &id).await.is_err() {
            return;
        }
        // A request may have been sent to it in the moment before.
        let mut quiet = 0;
        while quiet < 2 {
            tokio::time::sleep(LOOK).await;
            let cluster = self.ellie.clusters().get(&name, Now::read().instant);
            let entry = cluster
                .as_ref()
                .and_then(|c| c.entries().iter().find(|e| e.instance.registration.id.as_str() == id));
            let busy =
                entry.is_some_and(|e| e.standing != Standing::Draining || e.upstream.stats().in_flight > 0);
            quiet = if busy { 0 } else { quiet + 1 };
        }
        self.withdraw(&name, &id).await;
    }

    async fn withdraw(&self, name: &str, id: &str) {
        match self.discovery().withdraw_service(name, id).await {
            // Removed by somebody else: that was the aim.
            Ok(_) | Err(crate::discovery::Error::Rejected { .. } | crate::discovery::Error::Closed) => {}
            Err(error) => {
                tracing::warn!(service = name, instance = id, "its registration is not withdrawn: {error}");
            }
        }
    }

    async fn gone(&self, instance: Instance) {
        if let Some((name, id)) = self.key(&instance) {
            self.withdraw(&name, &id).await;
        }
    }

    async fn get(&self, get: Get) -> Result<(), String> {
        let draft = Draft {
            name: Some("check".into()),
            host: Some(get.host.clone()),
            port: Some(get.port.into()),
            protocol: Some(if get.tls { "https" } else { "http" }.into()),
            health_endpoint: Some(get.path.clone()),
            ..Draft::default()
        };
        let registration = draft.validate().map_err(|faults| {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            format!("{get}: {}", faults.join("; "))
        })?;
        match self.prober.probe(&registration, get.timeout).await? {
            (Status::Healthy | Status::Degraded, _) => Ok(()),
            (Status::Unhealthy, output) => Err(output),
        }
    }
}

impl Hooks for Registrations {
    fn environment(&self, instance: &Instance) -> Vec<(String, String)> {
        let mut variables = (self.0.variables)(instance);
        if let Some(draft) = self.0.draft(instance) {
            variables.extend(draft.name.map(|name| ("SERVICE_NAME".into(), name)));
            variables.extend(draft.host.map(|host| ("SERVICE_HOST".into(), host)));
            variables.extend(draft.port.map(|port| ("SERVICE_PORT".into(), port.to_string())));
        }
        variables
    }

    fn ready(&self, instance: Instance) -> Pending<()> {
        let inner = self.0.clone();
        Box::pin(async move { inner.ready(instance).await })
    }

    fn drain(&self, instance: Instance) -> Pending<()> {
        let inner = self.0.clone();
        Box::pin(async move { inner.drain(instance).await })
    }

    fn gone(&self, instance: Instance) -> Pending<()> {
        let inner = self.0.clone();
        Box::pin(async move { inner.gone(instance).await })
    }

    fn tell(&self, notice: &Notice) {
        self.0.tell(&notice.unit, notice.message.clone());
    }

    fn get(&self, get: Get) -> Pending<Result<(), String>> {
        let inner = self.0.clone();
        Box::pin(async move { inner.get(get).await })
    }
}
