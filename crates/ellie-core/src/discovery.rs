//! Who may be sent traffic: the one rule that discovery, the load balancer and the gateway share.

use crate::model::{Instance, Status};
use crate::registry::Service;
use std::sync::Arc;

/// Degraded instances join when healthy ones fall under this share of a service (Envoy's degraded level).
pub const DEGRADED_JOIN_SHARE: f64 = 0.5;

/// Which instances get traffic at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The healthy ones.
    Healthy,
    /// The healthy and the degraded ones: too few are healthy.
    Degraded,
    /// All that no operator withdrew: less than the panic threshold is healthy.
    Panic,
}

/// Why one instance is, or is not, sent traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It gets traffic.
    Routable,
    /// Degraded, and enough others are healthy.
    DegradedStandby,
    /// Unhealthy.
    Unhealthy,
    /// An operator drains it.
    Draining,
    /// An operator put it into maintenance.
    Maintenance,
    /// Its weight is 0 while others have more.
    WeightZero,
    /// It lacks a tag that was asked for.
    TagMismatch,
}

impl Standing {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Routable => "routable",
            Self::DegradedStandby => "degraded-standby",
            Self::Unhealthy => "unhealthy",
            Self::Draining => "draining",
            Self::Maintenance => "maintenance",
            Self::WeightZero => "weight-zero",
            Self::TagMismatch => "tag-mismatch",
        }
    }
}

/// Every instance of a service with its standing, in the order of their ids.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Which instances get traffic at the moment.
    pub level: Level,
    /// All instances.
    pub all: Vec<(Arc<Instance>, Standing)>,
}

impl Selection {
    /// Those that get traffic.
    pub fn routable(&self) -> impl Iterator<Item = &Arc<Instance>> {
        self.all.iter().filter(|(_, s)| *s == Standing::Routable).map(|(i, _)| i)
    }
}

/// Applies the rule to the instances of `service` that have all `tags`. With fewer than `panic_threshold` (a share,
/// 0 = never) of them healthy, all that no operator withdrew are routable.
pub fn select<S: AsRef<str>>(service: &Service, tags: &[S], panic_threshold: f64) -> Selection {
    let mut level = Level::Healthy;
    let (mut total, mut healthy, mut weighted) = (0_usize, 0_usize, false);
    let counted = |i: &Instance| i.registration.has_tags(tags) && !i.is_withdrawn();
    for i in service.instances.values().filter(|i| counted(i)) {
        total += 1;
        healthy += usize::from(i.status == Status::Healthy);
    }
    let share = if total == 0 { 1.0 } else { healthy as f64 / total as f64 };
    if share < DEGRADED_JOIN_SHARE {
        level = Level::Degraded;
    }
    if panic_threshold > 0.0 && share < panic_threshold {
        level = Level::Panic;
    }
    let standing = |i: &Instance| {
        if !i.registration.has_tags(tags) {
            return Standing::TagMismatch;
        }
        if i.operator.maintenance.is_some() {
            return Standing::Maintenance;
        }
        if i.operator.draining.is_some() {
            return Standing::Draining;
        }
        match (i.status, level) {
            (Status::Healthy, _) | (_, Level::Panic) | (Status::Degraded, Level::Degraded) => {
                Standing::Routable
            }
            (Status::Degraded, Level::Healthy) => Standing::DegradedStandby,
            (Status::Unhealthy, _) => Standing::Unhealthy,
        }
    };
    let mut all: Vec<_> = service.instances.values().map(|i| (i.clone(), standing(i))).collect();
    for (i, s) in &all {
        weighted |= *s == Standing::Routable && i.weight() > 0;
    }
    if weighted {
        for (i, s) in &mut all {
            if *s == Standing::Routable && i.weight() == 0 {
                *s = Standing::WeightZero;
            }
        }
    }
    Selection { level, all }
}
