//! When which instance is probed next: pure bookkeeping on instants that are passed in.
//!
//! Three lanes share the probes that may be in flight. *First* holds instances nothing is known of yet. *Routine* holds
//! those that answered last, well or badly, by their due time; *silent* those whose last probe used its time up, for
//! such a probe holds its place thousands of times as long. Of the concurrency a quarter is kept free for routine and a
//! quarter for first checks, and an eighth for the silent while some wait, so that no number of instances that don't
//! answer holds up the others. Within a lane what is due is [fair to services](crate::fair). *Asked* holds what
//! somebody waits for, with a few places of its own.
//!
//! All deadlines are in ordered sets: no timer and no task an instance.

use crate::fair::Fair;
use ellie_policy::Rng;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Probes that were asked for and may be in flight beyond the concurrency.
pub(crate) const ASKED_IN_FLIGHT: usize = 16;

/// An entry of the roster.
pub(crate) type Slot = u32;

/// Tells services apart; two that share one by chance share their turns as well.
pub(crate) type ServiceKey = u64;

/// An entry and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Who {
    pub(crate) slot: Slot,
    pub(crate) service: ServiceKey,
}

/// Where an entry waits, and from when on. It is in exactly one place, and this says in which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) lane: Lane,
    /// When its probe should start.
    pub(crate) due: Instant,
}

/// Which places a probe in flight takes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    First,
    Routine,
    Silent,
    Asked,
}

impl Lane {
    /// Whether its entries come back by time.
    pub(crate) fn is_timed(self) -> bool {
        matches!(self, Self::Routine | Self::Silent)
    }
}

/// The lanes that share the concurrency, in the order in which they are asked.
const SHARING: [Lane; 3] = [Lane::First, Lane::Routine, Lane::Silent];

/// What waits in a lane, and how many of it are in flight.
#[derive(Debug, Default)]
struct Queue {
    /// Not due yet.
    timed: BTreeSet<(Instant, Who)>,
    due: Fair,
    in_flight: usize,
}

impl Queue {
    fn remove(&mut self, who: Who, due: Instant) {
        if !self.timed.remove(&(due, who)) {
            self.due.remove(who, due);
        }
    }
}

#[derive(Debug)]
pub(crate) struct Schedule {
    queues: [Queue; SHARING.len()],
    asked: BTreeSet<(Instant, Who)>,
    asked_in_flight: usize,
    concurrency: usize,
    rng: Rng,
}

impl Schedule {
    pub(crate) fn new(concurrency: usize, rng: Rng) -> Self {
        Self { queues: Default::default(), asked: BTreeSet::new(), asked_in_flight: 0, concurrency, rng }
    }

    pub(crate) fn set_concurrency(&mut self, concurrency: usize) {
        self.concurrency = concurrency;
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.sharing() + self.asked_in_flight
    }

    pub(crate) fn waiting_first(&self) -> usize {
        self.queues[Lane::First as usize].due.waiting()
    }

    /// Queues a new instance: as soon as there is room.
    #[must_use]
    pub(crate) fn first(&mut self, who: Who, now: Instant) -> Place {
        self.queues[Lane::First as usize].due.push(who, now);
        Place { lane: Lane::First, due: now }
    }

    /// Queues what somebody waits for.
    #[must_use]
    pub(crate) fn asked(&mut self, who: Who, now: Instant) -> Place {
        self.asked.insert((now, who));
        Place { lane: Lane::Asked, due: now }
    }

    #[must_use]
    fn at(&mut self, who: Who, silent: bool, due: Instant) -> Place {
        let lane = if silent { Lane::Silent } else { Lane::Routine };
        self.queues[lane as usize].timed.insert((due, who));
        Place { lane, due }
    }

    /// Somewhere in the coming interval: so that instances that came together part.
    #[must_use]
    pub(crate) fn spread(&mut self, who: Who, silent: bool, interval: Duration, now: Instant) -> Place {
        let offset = interval.mul_f64(self.rng.unit());
        self.at(who, silent, now + offset)
    }

    /// One interval after `started`, give or take 5 %, so that those who fell in step part again. Not in the past: a
    /// probe that took longer than the interval is followed by the next at once, never by a burst.
    #[must_use]
    pub(crate) fn after(
        &mut self,
        who: Who,
        silent: bool,
        started: Instant,
        interval: Duration,
        now: Instant,
    ) -> Place {
        let due = started + interval.mul_f64(0.95 + 0.1 * self.rng.unit());
        self.at(who, silent, due.max(now))
    }

    pub(crate) fn forget(&mut self, who: Who, place: Place) {
        match place.lane {
            Lane::Asked => _ = self.asked.remove(&(place.due, who)),
            lane => self.queues[lane as usize].remove(who, place.due),
        }
    }

    /// Takes the next entry to be probed now; it counts as in flight in the lane it waited in until
    /// [`Schedule::landed`].
    pub(crate) fn next(&mut self, now: Instant) -> Option<(Who, Lane)> {
        if self.asked_in_flight < ASKED_IN_FLIGHT
            && let Some((_, who)) = self.asked.pop_first()
        {
            self.asked_in_flight += 1;
            return Some((who, Lane::Asked));
        }
        for queue in &mut self.queues {
            while queue.timed.first().is_some_and(|(due, _)| *due <= now) {
                if let Some((due, who)) = queue.timed.pop_first() {
                    queue.due.push(who, due);
                }
            }
        }
        for lane in SHARING {
            if !self.has_room(lane) {
                continue;
            }
            // A quarter of what the lane may hold is for services yet to come.
            let share = self.concurrency - self.reserved(lane, |_| 0);
            let queue = &mut self.queues[lane as usize];
            if let Some(who) = queue.due.pop((share - share / 4).max(1)) {
                queue.in_flight += 1;
                return Some((who, lane));
            }
        }
        None
    }

    /// Whether one more fits in without taking what is kept free for the other lanes.
    fn has_room(&self, lane: Lane) -> bool {
        self.sharing() + self.reserved(lane, |queue| queue.in_flight) < self.concurrency
    }

    /// What is kept free for the lanes but this one, less what they have of it by `taken`.
    fn reserved(&self, but: Lane, taken: impl Fn(&Queue) -> usize) -> usize {
        let others =
            SHARING.iter().filter(|lane| **lane != but).map(|lane| (lane, &self.queues[*lane as usize]));
        let free = others.map(|(lane, queue)| {
            let reserve = match lane {
                // Nothing is lost to them if they wait for one landing: so only while they do.
                Lane::Silent if queue.due.waiting() == 0 => 0,
                Lane::Silent => self.concurrency / 8,
                _ => self.concurrency / 4,
            };
            reserve.saturating_sub(taken(queue))
        });
        free.sum()
    }

    fn sharing(&self) -> usize {
        self.queues.iter().map(|q| q.in_flight).sum()
    }

    pub(crate) fn landed(&mut self, who: Who, lane: Lane) {
        match lane {
            Lane::Asked => self.asked_in_flight -= 1,
            lane => {
                let queue = &mut self.queues[lane as usize];
                queue.in_flight -= 1;
                queue.due.landed(who.service);
            }
        }
    }

    /// When [`Schedule::next`] has something that it hasn't now, by time alone.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        let due = |lane: &Lane| self.queues[*lane as usize].timed.first().map(|(due, _)| *due);
        SHARING.iter().filter(|lane| self.has_room(**lane)).filter_map(due).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(concurrency: usize) -> (Schedule, Instant) {
        (Schedule::new(concurrency, Rng::new(1)), tokio::time::Instant::now().into_std())
    }

    /// Each of a service of its own.
    fn who(slot: Slot) -> Who {
        Who { slot, service: slot.into() }
    }

    fn drain(s: &mut Schedule, now: Instant) -> Vec<(Slot, Lane)> {
        std::iter::from_fn(|| s.next(now)).map(|(who, lane)| (who.slot, lane)).collect()
    }

    fn of(lane: Lane, started: &[(Slot, Lane)]) -> Vec<Slot> {
        started.iter().filter(|(_, l)| *l == lane).map(|(s, _)| *s).collect()
    }

    #[test]
    fn new_ones_go_at_once_in_order_and_leave_a_quarter_to_the_known() {
        let (mut s, now) = schedule(8);
        for slot in 0..20 {
            let _ = s.first(who(slot), now);
        }
        for slot in 100..120 {
            let _ = s.at(who(slot), false, now);
        }
        let started = drain(&mut s, now);
        assert_eq!(of(Lane::First, &started), [0, 1, 2, 3, 4, 5]);
        assert_eq!(started.len(), 8);
        assert_eq!(s.in_flight(), 8);
        s.landed(who(0), Lane::First);
        assert_eq!(s.next(now), Some((who(6), Lane::First)));
        s.landed(who(100), Lane::Routine);
        assert_eq!(s.next(now), Some((who(102), Lane::Routine)));
        assert_eq!(s.next(now), None);
    }

    #[test]
    fn the_known_leave_a_quarter_to_new_ones() {
        let (mut s, now) = schedule(8);
        for slot in 0..20 {
            let _ = s.at(who(slot), false, now);
        }
        assert_eq!(drain(&mut s, now).len(), 6);
        let _ = s.first(who(50), now);
        assert_eq!(s.next(now), Some((who(50), Lane::First)));
        assert_eq!(s.wake_at(), None, "no time makes room; a landing does");
    }

    #[test]
    fn the_silent_take_half_at_most_and_get_an_eighth_at_least() {
        let (mut s, now) = schedule(16);
        for slot in 0..50 {
            let _ = s.at(who(slot), true, now);
        }
        assert_eq!(drain(&mut s, now).len(), 8);
        for slot in 100..150 {
            let _ = s.at(who(slot), false, now);
            let _ = s.first(who(slot + 100), now);
        }
        let started = drain(&mut s, now);
        assert_eq!((of(Lane::First, &started).len(), of(Lane::Routine, &started).len()), (4, 4));
        // The silent give their places back; others take them, but for two.
        for slot in 0..8 {
            s.landed(who(slot), Lane::Silent);
        }
        let started = drain(&mut s, now);
        assert_eq!((started.len(), of(Lane::Silent, &started)), (8, vec![8, 9]));
    }

    #[test]
    fn a_service_that_holds_its_places_leaves_a_quarter_to_others() {
        let (mut s, now) = schedule(16);
        for slot in 0..50 {
            let _ = s.first(Who { slot, service: 1 }, now);
        }
        assert_eq!(drain(&mut s, now).len(), 9, "of twelve places");
        let _ = s.first(Who { slot: 60, service: 2 }, now);
        assert_eq!(drain(&mut s, now), [(60, Lane::First)]);
    }

    #[test]
    fn one_at_a_time_is_possible() {
        let (mut s, now) = schedule(1);
        let _ = s.at(who(0), false, now);
        let _ = s.first(who(1), now);
        let _ = s.at(who(2), true, now);
        assert_eq!(s.next(now), Some((who(1), Lane::First)));
        assert_eq!(s.next(now), None);
        s.landed(who(1), Lane::First);
        assert_eq!(s.next(now), Some((who(0), Lane::Routine)));
        s.landed(who(0), Lane::Routine);
        assert_eq!(s.next(now), Some((who(2), Lane::Silent)));
    }

    #[test]
    fn what_is_asked_for_waits_for_nobody_but_is_bounded() {
        let (mut s, now) = schedule(1);
        let _ = s.first(who(0), now);
        assert_eq!(s.next(now), Some((who(0), Lane::First)));
        for slot in 1..=30 {
            let _ = s.asked(who(slot), now);
        }
        assert_eq!(drain(&mut s, now).len(), ASKED_IN_FLIGHT);
    }

    #[test]
    fn ten_thousand_that_came_together_part_within_one_interval() {
        let (mut s, now) = schedule(64);
        let interval = Duration::from_secs(10);
        let mut buckets = [0_u32; 100];
        for slot in 0..10_000 {
            let due = s.spread(who(slot), false, interval, now).due;
            buckets[(due.duration_since(now).as_millis() / 100) as usize] += 1;
        }
        assert!(buckets.iter().all(|n| (50..200).contains(n)), "{buckets:?}");
    }

    #[test]
    fn the_interval_holds_within_five_percent_and_never_lies_in_the_past() {
        let (mut s, now) = schedule(64);
        let interval = Duration::from_secs(10);
        for slot in 0..1000 {
            let due = s.after(who(slot), false, now, interval, now).due;
            assert!((9.5..=10.5).contains(&due.duration_since(now).as_secs_f64()));
        }
        let late = now + Duration::from_secs(60);
        assert_eq!(s.after(who(5000), true, now, interval, late).due, late);
    }

    #[test]
    fn forgetting_leaves_nothing_behind() {
        let (mut s, now) = schedule(64);
        for place in
            [s.first(who(1), now), s.at(who(1), false, now), s.at(who(1), true, now), s.asked(who(1), now)]
        {
            s.forget(who(1), place);
        }
        // Due, and still waiting for room.
        s.set_concurrency(0);
        let due = s.at(who(1), false, now);
        assert_eq!(s.next(now), None);
        s.forget(who(1), due);
        s.set_concurrency(64);
        assert_eq!(s.next(now + Duration::from_secs(99)), None);
        assert_eq!((s.waiting_first(), s.wake_at()), (0, None));
    }
}
