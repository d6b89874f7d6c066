//! What is known of the daemon's containers, and what follows from an event or a look. Pure: no I/O, no clock.

use super::pending::Doubt;
use super::translate::{Settings, Verdict, short, translate};
use crate::{Note, Set, Severity};
use bollard::models::{ContainerInspectResponse, ContainerSummary};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long a container gets to stop where it says nothing itself: Docker's default.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Beyond that, until a container that still runs is believed to go on.
const STOP_SLACK: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Seen {
    verdict: Verdict,
    /// When its process started, as the daemon writes it: another one is another life.
    started_at: String,
    /// What a listing said at that time; while it says the same there is nothing to look at.
    listed: Option<Listed>,
    stop_signal: i64,
    stop_timeout: Duration,
    /// A signal that ends it was sent: it runs until then at most.
    stopping: Option<(Instant, String)>,
}

/// What a listing tells of a container, as far as it matters.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Listed {
    state: String,
    /// `Up 2 seconds (healthy)` without the time.
    health: String,
    names: Vec<String>,
    addresses: BTreeMap<String, String>,
}

impl Listed {
    fn of(summary: &ContainerSummary) -> Self {
        let status = summary.status.as_deref().unwrap_or_default();
        let health = status.rsplit_once('(').map(|(_, rest)| rest.trim_end_matches(')').to_owned());
        let networks = summary.network_settings.as_ref().and_then(|n| n.networks.as_ref());
        Self {
            state: format!("{:?}", summary.state),
            health: health.unwrap_or_default(),
            names: summary.names.clone().unwrap_or_default(),
            addresses: networks
                .into_iter()
                .flatten()
                .map(|(name, n)| (name.clone(), n.ip_address.clone().unwrap_or_default()))
                .collect(),
        }
    }
}

/// What is known, by container id.
#[derive(Debug, Default)]
pub(super) struct World {
    seen: BTreeMap<String, Seen>,
    /// The networks that ellie itself is on.
    pub(super) own_networks: BTreeSet<String>,
}

impl World {
    /// Whether a container is one of ours, offered or not.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.seen.contains_key(id)
    }

    /// Takes what events said at once; whether the set is another one by it.
    pub(super) fn doubt(&mut self, id: &str, doubt: Doubt, now: Instant) -> bool {
        if doubt.gone {
            let was = self.seen.remove(id);
            return was.is_some_and(|seen| !matches!(seen.verdict, Verdict::Ignored));
        }
        let Some(signal) = doubt.signal else { return false };
        let Some(seen) = self.seen.get_mut(id) else { return false };
        if signal != seen.stop_signal && signal != SIGTERM {
            return false;
        }
        let until = now + seen.stop_timeout + STOP_SLACK;
        seen.stopping = Some((until, format!("is being stopped (signal {signal})")));
        matches!(seen.verdict, Verdict::Offered(..))
    }

    /// Takes a complete listing: drops what is not in it and tells what has to be looked at, which is what looks different
    /// from the last listing, or `all` of it.
    pub(super) fn list(&mut self, listing: &[ContainerSummary], all: bool) -> Vec<String> {
        let mut look = Vec::new();
        let mut left = BTreeSet::new();
        for summary in listing {
            let (Some(id), Some(labels)) = (&summary.id, &summary.labels) else { continue };
            if !labels.keys().any(|key| crate::labels::is_ours(key)) {
                continue;
            }
            left.insert(id.as_str());
            let listed = Some(Listed::of(summary));
            let seen = self.seen.get_mut(id);
            if all || seen.as_ref().is_none_or(|seen| seen.listed != listed) {
                look.push(id.clone());
            }
            if let Some(seen) = seen {
                seen.listed = listed;
            }
        }
        self.seen.retain(|id, _| left.contains(id.as_str()));
        look
    }

    /// Takes a look at one container, `None` where it is gone. Tells whether the set must be told without it first: it
    /// is another life of the same container.
    pub(super) fn look(
        &mut self,
        id: &str,
        container: Option<&ContainerInspectResponse>,
        settings: &Settings,
    ) -> bool {
        let Some(container) = container else {
            self.seen.remove(id);
            return false;
        };
        let verdict = translate(container, settings, &self.own_networks);
        let started_at =
            container.state.as_ref().and_then(|state| state.started_at.clone()).unwrap_or_default();
        let config = container.config.as_ref();
        let before = self.seen.remove(id);
        let is_reborn = before.as_ref().is_some_and(|seen| {
            seen.started_at != started_at && matches!(seen.verdict, Verdict::Offered(..))
        });
        let (listed, stopping) = before.map(|seen| (seen.listed, seen.stopping)).unwrap_or_default();
        let seconds = config.and_then(|c| c.stop_timeout).and_then(|s| u64::try_from(s).ok());
        let seen = Seen {
            verdict,
            started_at,
            listed,
            stop_signal: config.and_then(|c| c.stop_signal.as_deref()).map_or(SIGTERM, signal),
            stop_timeout: seconds.map_or(STOP_TIMEOUT, |s| Duration::from_secs(s.min(3600))),
            stopping: stopping.filter(|_| !is_reborn),
        };
        self.seen.insert(id.to_owned(), seen);
        is_reborn
    }

    /// When the next container that was to stop is believed to go on.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.seen.values().filter_map(|seen| seen.stopping.as_ref().map(|(until, _)| *until)).min()
    }

    /// Lets containers go on that were to stop and still run; whether there were any.
    pub(super) fn lapse(&mut self, now: Instant) -> bool {
        let mut any = false;
        for seen in self.seen.values_mut().filter(|s| s.stopping.as_ref().is_some_and(|(at, _)| *at <= now)) {
            seen.stopping = None;
            any = true;
        }
        any
    }

    /// The complete set, without the containers in `except`.
    pub(super) fn set(&self, except: &BTreeSet<String>) -> Set {
        let mut set = Set::default();
        for (id, seen) in self.seen.iter().filter(|(id, _)| !except.contains(*id)) {
            let (offer, notes) = match &seen.verdict {
                Verdict::Ignored => continue,
                Verdict::Noted(notes) => (None, notes),
                Verdict::Offered(offer, notes) => (Some(offer), notes),
            };
            for note in notes {
                set.note(note.clone());
            }
            let Some(offer) = offer else { continue };
            let mut offer = offer.clone();
            if let Some((_, why)) = &seen.stopping {
                offer.withheld = Some(why.clone());
            }
            let r = offer.registration.clone();
            if let Err(taken) = set.offer(offer) {
                let other =
                    taken.metadata.get("docker.container").map_or("another container", String::as_str);
                set.note(Note {
                    severity: Severity::Fault,
                    subject: r.metadata.get("docker.container").cloned().unwrap_or_default(),
                    id: short(id).to_owned(),
                    service: Some(r.name.to_string()),
                    message: format!("id: `{}` is taken by {other}; leave `service.id` out", r.id),
                });
            }
        }
        set
    }
}

const SIGTERM: i64 = 15;
/// Ends a container at once.
pub(super) const SIGKILL: i64 = 9;

/// The number of a signal that a STOPSIGNAL may name.
fn signal(text: &str) -> i64 {
    let name = text.trim().to_ascii_uppercase();
    match name.strip_prefix("SIG").unwrap_or(&name) {
        "HUP" => 1,
        "INT" => 2,
        "QUIT" => 3,
        "KILL" => SIGKILL,
        "USR1" => 10,
        "USR2" => 12,
        "WINCH" => 28,
        "RTMIN+3" => 37,
        number => number.parse().unwrap_or(SIGTERM),
    }
}
