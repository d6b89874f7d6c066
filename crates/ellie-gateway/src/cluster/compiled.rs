//! One service, prepared for requests.

use super::live::{Live, Upstream};
use super::{Refusal, Settings};
use ellie_core::discovery::{self, Level, Standing};
use ellie_core::model::Instance;
use ellie_core::registry::Service;
use ellie_core::{ServiceName, Status};
use ellie_policy::balance::{Candidates, Member, Score, Strategy};
use ellie_policy::breaker::Breaker;
use ellie_policy::outlier::Detector;
use ellie_policy::retry_budget::RetryBudget;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many sets of tags a service keeps prepared. A further one is prepared for each request anew.
pub const MAX_SUBSETS: usize = 64;

/// One instance in a cluster.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As the registry has it.
    pub instance: Arc<Instance>,
    /// Whether it gets traffic, and if not, why.
    pub standing: Standing,
    /// Where it is and how it fares.
    pub upstream: Arc<Upstream>,
    /// Its place among the candidates, if it gets traffic.
    pub member: Option<usize>,
}

/// How many instances have which standing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// All.
    pub total: usize,
    /// Those that get traffic.
    pub routable: usize,
    /// Those that don't, by reason.
    pub degraded: usize,
    /// Not operational or not yet checked.
    pub unhealthy: usize,
    /// Drained by an operator.
    pub draining: usize,
    /// In maintenance.
    pub maintenance: usize,
    /// Of weight 0.
    pub weight_zero: usize,
    /// Without a tag that was asked for.
    pub tag_mismatch: usize,
}

impl Census {
    fn count(&mut self, standing: Standing) {
        self.total += 1;
        *match standing {
            Standing::Routable => &mut self.routable,
            Standing::DegradedStandby => &mut self.degraded,
            Standing::Unhealthy => &mut self.unhealthy,
            Standing::Draining => &mut self.draining,
            Standing::Maintenance => &mut self.maintenance,
            Standing::WeightZero => &mut self.weight_zero,
            Standing::TagMismatch => &mut self.tag_mismatch,
        } += 1;
    }
}

impl fmt::Display for Census {
    /// `3 registered: 2 unhealthy, 1 draining`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} registered", self.total)?;
        let kinds = [
            (self.routable, "routable"),
            (self.degraded, "degraded"),
            (self.unhealthy, "unhealthy"),
            (self.draining, "draining"),
            (self.maintenance, "in maintenance"),
            (self.weight_zero, "of weight 0"),
            (self.tag_mismatch, "without the tags"),
        ];
        let mut separator = ": ";
        for (n, what) in kinds.into_iter().filter(|(n, _)| *n > 0) {
            write!(f, "{separator}{n} {what}")?;
            separator = ", ";
        }
        Ok(())
    }
}

/// One service as it was at one moment, or the part of it that has some tags.
#[derive(Debug)]
pub struct Cluster {
    service: Option<Arc<Service>>,
    tags: Box<[String]>,
    level: Level,
    census: Census,
    entries: Box<[Entry]>,
    pub(super) members: Box<[Arc<Upstream>]>,
    pub(super) candidates: Candidates,
    /// `None` under health based balancing, which does without.
    pub(super) detector: Option<Arc<Detector>>,
    pub(super) live: Arc<Live>,
    pub(super) budget: Arc<RetryBudget>,
    settings: Arc<Settings>,
    // Taken by users of tags alone, to look up or add one set.
    subsets: Mutex<HashMap<Box<[String]>, Arc<Cluster>>>,
}

/// What a cluster is compiled from beside the service itself.
pub(super) struct Parts {
    pub(super) live: Arc<Live>,
    pub(super) budget: Arc<RetryBudget>,
    pub(super) settings: Arc<Settings>,
    pub(super) strategy: Strategy,
    pub(super) detector: Option<Arc<Detector>>,
}

impl Cluster {
    /// Compiles a service; what is known of its instances is taken from its `previous` cluster.
    pub(super) fn compile(
        service: Option<Arc<Service>>,
        previous: Option<&Self>,
        parts: Parts,
        now: Instant,
    ) -> Self {
        let busy = parts.live.stats.any();
        let mut known = previous.map(|p| p.entries.iter()).into_iter().flatten().peekable();
        let mut recovered = Vec::new();
        let balance = parts.live.balance.clone();
        // Both are in the order of ids. What left the service may come back to it only as another incarnation, so
        // nothing is kept of it; its requests in flight hold what they need.
        let upstream = |instance: &Arc<Instance>, routable: bool| {
            let id = &instance.registration.id;
            while known.next_if(|e| e.upstream.id < *id).is_some() {}
            let upstream = match known.peek() {
                Some(e) if e.upstream.identity == instance.incarnation => {
                    if e.instance.status == Status::Unhealthy && instance.status != Status::Unhealthy {
                        recovered.push(e.upstream.clone());
                    }
                    e.upstream.clone()
                }
                _ => Arc::new(Upstream::new(instance, &balance, now)),
            };
            // Before the candidates are made, which look at who is new.
            upstream.set_rotation(routable, busy, now);
            upstream
        };
        let cluster = Self::build(service, Box::default(), parts, upstream);
        // A check has seen it work again: what it did before it was down is no reason to wait any longer.
        if let Some(detector) = &cluster.detector {
            for upstream in recovered {
                detector.reinstate(&upstream.outlier);
            }
        }
        cluster
    }

    fn build(
        service: Option<Arc<Service>>,
        tags: Box<[String]>,
        parts: Parts,
        mut upstream: impl FnMut(&Arc<Instance>, bool) -> Arc<Upstream>,
    ) -> Self {
        let selection = service.as_ref().map_or_else(
            || discovery::Selection { level: Level::Healthy, all: Vec::new() },
            |service| discovery::select(service, &tags, parts.settings.panic_threshold),
        );
        let mut census = Census::default();
        let mut entries = Vec::with_capacity(selection.all.len());
        let mut members = Vec::new();
        let mut slots = Vec::new();
        for (instance, standing) in selection.all {
            census.count(standing);
            let upstream = upstream(&instance, standing == Standing::Routable);
            let member = (standing == Standing::Routable).then(|| {
                members.push(upstream.clone());
                slots.push(Member { endpoint: upstream.endpoint.clone(), weight: instance.weight() });
                members.len() - 1
            });
            entries.push(Entry { instance, standing, upstream, member });
        }
        Self {
            service,
            tags,
            level: selection.level,
            census,
            entries: entries.into(),
            members: members.into(),
            candidates: Candidates::new(parts.strategy, parts.live.balance.clone(), slots),
            detector: parts.detector,
            live: parts.live,
            budget: parts.budget,
            settings: parts.settings,
            subsets: Mutex::default(),
        }
    }

    /// The part of it whose instances have all `tags`, prepared once for each of up to [`MAX_SUBSETS`] sets.
    #[must_use]
    pub fn with_tags<S: AsRef<str>>(self: &Arc<Self>, tags: &[S], now: Instant) -> Arc<Self> {
        if tags.is_empty() {
            return self.clone();
        }
        let mut key: Vec<String> = tags.iter().map(|t| t.as_ref().to_owned()).collect();
        key.sort_unstable();
        key.dedup();
        let key: Box<[String]> = key.into();
        let mut subsets = self.subsets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(subset) = subsets.get(&key) {
            return subset.clone();
        }
        let parts = Parts {
            live: self.live.clone(),
            budget: self.budget.clone(),
            settings: self.settings.clone(),
            strategy: self.strategy(),
            detector: self.detector.clone(),
        };
        // The same instances in the same order, as both come from the same service.
        let mut own = self.entries.iter();
        let subset = Arc::new(Self::build(self.service.clone(), key.clone(), parts, |instance, _| {
            let known = own.next().filter(|e| Arc::ptr_eq(&e.instance, instance));
            known.map_or_else(
                || Arc::new(Upstream::new(instance, &self.live.balance, now)),
                |e| e.upstream.clone(),
            )
        }));
        if subsets.len() < MAX_SUBSETS {
            subsets.insert(key, subset.clone());
        }
        subset
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &ServiceName {
        &self.live.name
    }

    /// As the registry had it; `None` where nobody had registered it.
    #[must_use]
    pub fn service(&self) -> Option<&Arc<Service>> {
        self.service.as_ref()
    }

    /// The tags that its instances have in common by choice; empty for the whole service.
    #[must_use]
    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// Which instances get traffic.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// How many instances have which standing.
    #[must_use]
    pub fn census(&self) -> Census {
        self.census
    }

    /// All instances, by id.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The strategy in force.
    #[must_use]
    pub fn strategy(&self) -> Strategy {
        self.candidates.strategy()
    }

    /// Its breaker.
    #[must_use]
    pub fn breaker(&self) -> &Arc<Breaker> {
        &self.live.breaker
    }

    /// What the strategy makes of each candidate. Changes nothing.
    pub(crate) fn scores(&self, now: Instant) -> Vec<Score> {
        self.candidates.explain(now)
    }

    /// How much longer a candidate is ejected as an outlier.
    pub(crate) fn ejected_for(&self, member: usize, now: Instant) -> Option<Duration> {
        self.detector.as_ref()?;
        self.members.get(member)?.ejected_for(now)
    }

    /// Why nothing could be chosen.
    pub(super) fn shortage(&self) -> Refusal {
        let service = self.name().clone();
        if self.service.is_none() {
            return Refusal::UnknownService { service };
        }
        Refusal::NoInstance { service, detail: self.census.to_string() }
    }
}
