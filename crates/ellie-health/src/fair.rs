//! A queue of probes that are due, fair to services: the next one is of the service that has the fewest in flight.
//!
//! Taking turns would not do. A service that does not answer holds each place for a whole timeout, one that answers
//! for a millisecond: with equal turns the places fill up with the first. Whoever holds the least goes first, and so
//! one that answers passes by; a cap on what a single service may hold keeps places free for those yet to come.

use crate::schedule::{ServiceKey, Slot, Who};
use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

/// One service's part of the queue.
#[derive(Debug, Default)]
struct Line {
    waiting: BTreeSet<(Instant, Slot)>,
    in_flight: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Fair {
    lines: HashMap<ServiceKey, Line>,
    /// Services that wait: by what they have in flight, then by who has waited longest.
    order: BTreeSet<(usize, Instant, ServiceKey)>,
    waiting: usize,
}

impl Fair {
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    pub(crate) fn push(&mut self, who: Who, since: Instant) {
        let waiting = &mut self.waiting;
        change(&mut self.lines, &mut self.order, who.service, |line| {
            *waiting += usize::from(line.waiting.insert((since, who.slot)));
        });
    }

    /// Takes one out that waits since then, if it does.
    pub(crate) fn remove(&mut self, who: Who, since: Instant) -> bool {
        let mut found = false;
        change(&mut self.lines, &mut self.order, who.service, |line| {
            found = line.waiting.remove(&(since, who.slot));
        });
        self.waiting -= usize::from(found);
        found
    }

    /// The next one, of a service with fewer than `most` in flight; it is in flight from now on.
    pub(crate) fn pop(&mut self, most: usize) -> Option<Who> {
        let &(_, _, service) = self.order.first().filter(|(in_flight, ..)| *in_flight < most)?;
        let mut slot = None;
        change(&mut self.lines, &mut self.order, service, |line| {
            slot = line.waiting.pop_first().map(|(_, slot)| slot);
            line.in_flight += 1;
        });
        self.waiting -= 1;
        slot.map(|slot| Who { slot, service })
    }

    pub(crate) fn landed(&mut self, service: ServiceKey) {
        change(&mut self.lines, &mut self.order, service, |line| line.in_flight -= 1);
    }
}

/// Changes a line and keeps the order true; a line of nobody is forgotten.
fn change(
    lines: &mut HashMap<ServiceKey, Line>,
    order: &mut BTreeSet<(usize, Instant, ServiceKey)>,
    service: ServiceKey,
    change: impl FnOnce(&mut Line),
) {
    let place = |line: &Line| line.waiting.first().map(|(since, _)| (line.in_flight, *since, service));
    let line = lines.entry(service).or_default();
    let before = place(line);
    change(line);
    let after = place(line);
    if line.in_flight == 0 && line.waiting.is_empty() {
        lines.remove(&service);
    }
    if before != after {
        if let Some(before) = before {
            order.remove(&before);
        }
        order.extend(after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn who(service: ServiceKey, slot: Slot) -> Who {
        Who { slot, service }
    }

    fn at(seconds: u64) -> Instant {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        *START.get_or_init(|| tokio::time::Instant::now().into_std()) + Duration::from_secs(seconds)
    }

    #[test]
    fn the_service_with_the_fewest_in_flight_goes_first_and_of_equals_who_waited_longest() {
        let mut q = Fair::default();
        for slot in 0..4 {
            q.push(who(1, slot), at(0));
        }
        q.push(who(2, 10), at(2));
        q.push(who(3, 20), at(1));
        let order: Vec<Slot> = std::iter::from_fn(|| q.pop(3)).map(|w| w.slot).collect();
        assert_eq!(order, [0, 20, 10, 1, 2], "and nobody has more than the cap in flight");
        assert_eq!((q.pop(3), q.waiting()), (None, 1));
        q.landed(1);
        assert_eq!(q.pop(3), Some(who(1, 3)));
    }

    #[test]
    fn one_that_holds_its_places_lets_those_by_who_give_theirs_back() {
        let mut q = Fair::default();
        for slot in 0..1000 {
            q.push(who(1, slot), at(0));
            q.push(who(2, 1000 + slot), at(0));
        }
        // Ten places; what belongs to service 2 lands at once, what belongs to service 1 never.
        let mut held = 0;
        let mut passed = 0;
        while held < 10 {
            let next = q.pop(10).unwrap();
            if next.service == 1 {
                held += 1;
            } else {
                passed += 1;
                q.landed(2);
            }
        }
        assert_eq!(passed, 1000, "all of the other service went by");
    }

    #[test]
    fn nothing_is_left_behind() {
        let mut q = Fair::default();
        q.push(who(1, 1), at(0));
        assert!(!q.remove(who(1, 1), at(1)), "another time");
        assert!(!q.remove(who(2, 1), at(0)), "another service");
        assert!(q.remove(who(1, 1), at(0)));
        q.push(who(1, 2), at(0));
        assert_eq!(q.pop(1), Some(who(1, 2)));
        q.landed(1);
        assert_eq!((q.lines.len(), q.order.len(), q.waiting()), (0, 0, 0));
    }
}
