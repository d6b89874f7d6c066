//! When which instance is probed next: pure bookkeeping on instants that are passed in.
//!
//! Three lanes share the probes that may be in flight. *First* holds instances nothing is known of yet, in the order
//! they came. *Routine* holds the others by their due time. Each may use three quarters of the concurrency, so that
//! ten thousand new instances that don't answer hold up neither the known ones, nor the other way round. *Asked* holds
//! what somebody waits for, with a few places of its own. All deadlines are in one ordered set: no timer and no task
//! an instance.

use ellie_policy::Rng;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Probes that were asked for and may be in flight beyond the concurrency.
pub(crate) const ASKED_IN_FLIGHT: usize = 16;

/// An entry of the roster.
pub(crate) type Slot = u32;

/// Where an entry waits. It is in exactly one place, and this says in which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    First { order: u64, since: Instant },
    Routine { due: Instant },
    Asked { order: u64, since: Instant },
}

impl Place {
    pub(crate) fn lane(self) -> Lane {
        match self {
            Self::First { .. } => Lane::First,
            Self::Routine { .. } => Lane::Routine,
            Self::Asked { .. } => Lane::Asked,
        }
    }

    /// When its probe should start.
    pub(crate) fn due(self) -> Instant {
        match self {
            Self::First { since, .. } | Self::Asked { since, .. } => since,
            Self::Routine { due } => due,
        }
    }
}

/// Which places a probe in flight takes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    First,
    Routine,
    Asked,
}

#[derive(Debug)]
pub(crate) struct Schedule {
    first: BTreeSet<(u64, Slot)>,
    routine: BTreeSet<(Instant, Slot)>,
    asked: BTreeSet<(u64, Slot)>,
    order: u64,
    in_flight: [usize; 3],
    concurrency: usize,
    rng: Rng,
}

impl Schedule {
    pub(crate) fn new(concurrency: usize, rng: Rng) -> Self {
        Self {
            first: BTreeSet::new(),
            routine: BTreeSet::new(),
            asked: BTreeSet::new(),
            order: 0,
            in_flight: [0; 3],
            concurrency,
            rng,
        }
    }

    pub(crate) fn set_concurrency(&mut self, concurrency: usize) {
        self.concurrency = concurrency;
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.iter().sum()
    }

    pub(crate) fn waiting_first(&self) -> usize {
        self.first.len()
    }

    /// Queues a new instance: as soon as there is room.
    #[must_use]
    pub(crate) fn first(&mut self, slot: Slot, now: Instant) -> Place {
        self.order += 1;
        self.first.insert((self.order, slot));
        Place::First { order: self.order, since: now }
    }

    /// Queues what somebody waits for.
    #[must_use]
    pub(crate) fn asked(&mut self, slot: Slot, now: Instant) -> Place {
        self.order += 1;
        self.asked.insert((self.order, slot));
        Place::Asked { order: self.order, since: now }
    }

    #[must_use]
    pub(crate) fn at(&mut self, slot: Slot, due: Instant) -> Place {
        self.routine.insert((due, slot));
        Place::Routine { due }
    }

    /// Somewhere in the coming interval: so that instances that came together part.
    #[must_use]
    pub(crate) fn spread(&mut self, slot: Slot, interval: Duration, now: Instant) -> Place {
        let offset = interval.mul_f64(self.rng.unit());
        self.at(slot, now + offset)
    }

    /// One interval after `started`, give or take 5 %, so that those who fell in step part again. Not in the past: a
    /// probe that took longer than the interval is followed by the next at once, never by a burst.
    #[must_use]
    pub(crate) fn after(&mut self, slot: Slot, started: Instant, interval: Duration, now: Instant) -> Place {
        let due = started + interval.mul_f64(0.95 + 0.1 * self.rng.unit());
        self.at(slot, due.max(now))
    }

    pub(crate) fn forget(&mut self, slot: Slot, place: Place) {
        match place {
            Place::First { order, .. } => self.first.remove(&(order, slot)),
            Place::Routine { due } => self.routine.remove(&(due, slot)),
            Place::Asked { order, .. } => self.asked.remove(&(order, slot)),
        };
    }

    /// Takes the next entry to be probed now; it counts as in flight in the lane it waited in until
    /// [`Schedule::landed`].
    pub(crate) fn next(&mut self, now: Instant) -> Option<(Slot, Lane)> {
        let (slot, lane) = self.pop(now)?;
        self.in_flight[lane as usize] += 1;
        Some((slot, lane))
    }

    fn pop(&mut self, now: Instant) -> Option<(Slot, Lane)> {
        if self.in_flight[Lane::Asked as usize] < ASKED_IN_FLIGHT
            && let Some((_, slot)) = self.asked.pop_first()
        {
            return Some((slot, Lane::Asked));
        }
        if self.has_room(Lane::First)
            && let Some((_, slot)) = self.first.pop_first()
        {
            return Some((slot, Lane::First));
        }
        if self.has_room(Lane::Routine) && self.routine.first().is_some_and(|(due, _)| *due <= now) {
            return self.routine.pop_first().map(|(_, slot)| (slot, Lane::Routine));
        }
        None
    }

    fn has_room(&self, lane: Lane) -> bool {
        let (first, routine) = (self.in_flight[Lane::First as usize], self.in_flight[Lane::Routine as usize]);
        let share = self.concurrency - self.concurrency / 4;
        first + routine < self.concurrency && self.in_flight[lane as usize] < share
    }

    pub(crate) fn landed(&mut self, lane: Lane) {
        self.in_flight[lane as usize] -= 1;
    }

    /// When [`Schedule::next`] has something that it hasn't now, by time alone.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        if self.has_room(Lane::Routine) { self.routine.first().map(|(due, _)| *due) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(concurrency: usize) -> (Schedule, Instant) {
        (Schedule::new(concurrency, Rng::new(1)), tokio::time::Instant::now().into_std())
    }

    fn drain(s: &mut Schedule, now: Instant) -> Vec<(Slot, Lane)> {
        std::iter::from_fn(|| s.next(now)).collect()
    }

    #[test]
    fn new_ones_go_at_once_in_order_and_leave_a_quarter_to_the_known() {
        let (mut s, now) = schedule(8);
        for slot in 0..20 {
            let _ = s.first(slot, now);
        }
        for slot in 100..120 {
            let _ = s.at(slot, now);
        }
        let started = drain(&mut s, now);
        let firsts: Vec<Slot> = started.iter().filter(|(_, l)| *l == Lane::First).map(|(s, _)| *s).collect();
        assert_eq!(firsts, [0, 1, 2, 3, 4, 5]);
        assert_eq!(started.len(), 8);
        assert_eq!(s.in_flight(), 8);
        s.landed(Lane::First);
        assert_eq!(s.next(now), Some((6, Lane::First)));
        s.landed(Lane::Routine);
        assert!(matches!(s.next(now), Some((102, Lane::Routine))));
        assert_eq!(s.next(now), None);
    }

    #[test]
    fn the_known_leave_a_quarter_to_new_ones() {
        let (mut s, now) = schedule(8);
        for slot in 0..20 {
            let _ = s.at(slot, now);
        }
        assert_eq!(drain(&mut s, now).len(), 6);
        let _ = s.first(50, now);
        assert_eq!(s.next(now), Some((50, Lane::First)));
        assert_eq!(s.wake_at(), None, "no time makes room; a landing does");
    }

    #[test]
    fn one_at_a_time_is_possible() {
        let (mut s, now) = schedule(1);
        let _ = s.at(0, now);
        let _ = s.first(1, now);
        assert_eq!(s.next(now), Some((1, Lane::First)));
        assert_eq!(s.next(now), None);
        s.landed(Lane::First);
        assert_eq!(s.next(now), Some((0, Lane::Routine)));
    }

    #[test]
    fn what_is_asked_for_waits_for_nobody_but_is_bounded() {
        let (mut s, now) = schedule(1);
        let _ = s.first(0, now);
        assert_eq!(s.next(now), Some((0, Lane::First)));
        for slot in 1..=30 {
            let _ = s.asked(slot, now);
        }
        assert_eq!(drain(&mut s, now).len(), ASKED_IN_FLIGHT);
    }

    #[test]
    fn ten_thousand_that_came_together_part_within_one_interval() {
        let (mut s, now) = schedule(64);
        let interval = Duration::from_secs(10);
        for slot in 0..10_000 {
            let _ = s.spread(slot, interval, now);
        }
        let mut buckets = [0_u32; 100];
        for (due, _) in &s.routine {
            buckets[(due.duration_since(now).as_millis() / 100) as usize] += 1;
        }
        assert!(buckets.iter().all(|n| (50..200).contains(n)), "{buckets:?}");
    }

    #[test]
    fn the_interval_holds_within_five_percent_and_never_lies_in_the_past() {
        let (mut s, now) = schedule(64);
        let interval = Duration::from_secs(10);
        for slot in 0..1000 {
            let due = s.after(slot, now, interval, now).due();
            assert!((9.5..=10.5).contains(&due.duration_since(now).as_secs_f64()));
        }
        let late = now + Duration::from_secs(60);
        assert_eq!(s.after(5000, now, interval, late).due(), late);
    }

    #[test]
    fn forgetting_leaves_nothing_behind() {
        let (mut s, now) = schedule(64);
        for place in [s.first(1, now), s.at(1, now), s.asked(1, now)] {
            s.forget(1, place);
        }
        assert_eq!(s.next(now + Duration::from_secs(99)), None);
        assert_eq!((s.waiting_first(), s.wake_at()), (0, None));
    }
}
