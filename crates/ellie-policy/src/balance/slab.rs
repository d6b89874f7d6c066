//! Where the live state of instances lies: side by side, so that a pick reads few cache lines.
//!
//! A pick must not cost more because there are more instances, and what makes it cost more is
//! memory: a pointer per instance to a state somewhere on the heap is two cache misses and two
//! translations of addresses for each instance looked at. So the states of a service's instances
//! share a few arrays, split into what picks read (a quarter of a cache line) and what only the
//! ends of requests touch. The arrays never move and double in size, so a table that was made once
//! stays right while instances come and go.

use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::learn::coarse;

/// How many instances the first array of a service holds.
const LEAST: usize = 16;
/// And how many any holds at most.
pub(super) const MOST: usize = 1 << 12;

/// What a pick reads of an instance: a quarter of a cache line.
#[derive(Debug)]
#[repr(align(16))]
pub(super) struct Hot {
    /// Requests waiting for an answer, and when they began; see [`Waits`].
    pub(super) waits: AtomicU64,
    /// Requests answered but not finished, such as streams.
    pub(super) answered: AtomicU32,
    /// Upper half: average of the square root of latency in seconds, zero without history. Lower
    /// half: average failure rate. Both are rounded to the upper halves of an f32 (8 bits of
    /// precision), which is more than choices need; the exact averages are in [`Cold`].
    pub(super) score: AtomicU32,
}

/// What only the ends of requests touch, and trials.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Cold {
    /// When it was last given a request that has ended, or failed a trial.
    pub(super) tried: AtomicI64,
    /// Good answers in a row.
    pub(super) streak: AtomicU32,
    /// Milliseconds between trials while sick.
    pub(super) backoff: AtomicU32,
    /// Average of the square root of latency in seconds, f32; zero without history.
    pub(super) root: AtomicU32,
    /// Average failure rate, f32.
    pub(super) failure: AtomicU32,
    /// When the averages last moved, in [`coarse`] ticks.
    pub(super) root_at: AtomicU32,
    pub(super) failure_at: AtomicU32,
    pub(super) successes: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) timeouts: AtomicU64,
    pub(super) cancelled: AtomicU64,
}

/// One array, and which of its places are free.
#[derive(Debug)]
pub(super) struct Chunk {
    /// In an `Arc` of its own, as the next, so that a table reaches it without going through the chunk.
    pub(super) hot: Arc<[Hot]>,
    pub(super) cold: Arc<[Cold]>,
    /// When each joined a service that was already running; looked at only while someone is new.
    pub(super) joined: Box<[AtomicI64]>,
    free: Mutex<Vec<u32>>,
}

impl Chunk {
    fn new(len: usize) -> Self {
        Self {
            hot: (0..len).map(|_| Hot::new()).collect(),
            cold: (0..len).map(|_| Cold::new()).collect(),
            joined: (0..len).map(|_| AtomicI64::new(0)).collect(),
            // The last is given out first.
            free: Mutex::new((0..len as u32).rev().collect()),
        }
    }
}

/// The arrays of one service.
#[derive(Debug, Default)]
pub(super) struct Slab {
    /// An array lives as long as one of its instances.
    chunks: Mutex<Vec<Weak<Chunk>>>,
}

impl Slab {
    /// A place for one instance, with its state reset.
    pub(super) fn place(&self, joined: i64, now: i64) -> Place {
        let mut chunks = self.chunks.lock().unwrap_or_else(PoisonError::into_inner);
        // The newest is the largest and the likeliest to have a place left.
        let found = chunks.iter().rev().filter_map(Weak::upgrade).find_map(Place::take);
        let place = found.unwrap_or_else(|| {
            chunks.retain(|chunk| chunk.strong_count() > 0);
            let len = chunks.iter().filter_map(Weak::upgrade).map(|chunk| chunk.hot.len()).sum::<usize>();
            let chunk = Arc::new(Chunk::new(len.clamp(LEAST, MOST)));
            chunks.push(Arc::downgrade(&chunk));
            Place::take(chunk).expect("a new array is empty")
        });
        place.joined().store(joined, Relaxed);
        place.hot().reset();
        place.cold().reset(now);
        place
    }
}

/// One instance's place in an array, free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) chunk: Arc<Chunk>,
    pub(super) number: u32,
}

impl Place {
    fn take(chunk: Arc<Chunk>) -> Option<Self> {
        let number = chunk.free.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        Some(Self { chunk, number })
    }

    pub(super) fn hot(&self) -> &Hot {
        &self.chunk.hot[self.number as usize]
    }

    pub(super) fn cold(&self) -> &Cold {
        &self.chunk.cold[self.number as usize]
    }

    pub(super) fn joined(&self) -> &AtomicI64 {
        &self.chunk.joined[self.number as usize]
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.chunk.free.lock().unwrap_or_else(PoisonError::into_inner).push(self.number);
    }
}

impl Hot {
    fn new() -> Self {
        Self { waits: AtomicU64::new(0), answered: AtomicU32::new(0), score: AtomicU32::new(0) }
    }

    fn reset(&self) {
        self.waits.store(0, Relaxed);
        self.answered.store(0, Relaxed);
        self.score.store(0, Relaxed);
    }
}

impl Cold {
    fn new() -> Self {
        Self {
            tried: AtomicI64::new(0),
            streak: AtomicU32::new(0),
            backoff: AtomicU32::new(0),
            root: AtomicU32::new(0),
            failure: AtomicU32::new(0),
            root_at: AtomicU32::new(0),
            failure_at: AtomicU32::new(0),
            successes: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            timeouts: AtomicU64::new(0),
            cancelled: AtomicU64::new(0),
        }
    }

    fn reset(&self, now: i64) {
        self.tried.store(now, Relaxed);
        for at in [&self.root_at, &self.failure_at] {
            at.store(coarse(now), Relaxed);
        }
        for zero in [&self.streak, &self.backoff, &self.root, &self.failure] {
            zero.store(0, Relaxed);
        }
        for total in [&self.successes, &self.failures, &self.timeouts, &self.cancelled] {
            total.store(0, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_double_places_are_used_again_and_start_afresh() {
        let slab = Slab::default();
        let mut places: Vec<Place> = (0..100).map(|_| slab.place(i64::MIN, 7)).collect();
        let lengths: Vec<usize> = places.iter().map(|place| place.chunk.hot.len()).collect();
        assert_eq!((lengths[15], lengths[16], lengths[32], lengths[64]), (16, 16, 32, 64));
        let hot = |place: &Place| std::ptr::from_ref(place.hot()) as usize;
        let mut all: Vec<usize> = places.iter().map(hot).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 100, "nobody shares a place");

        let last = places.pop().expect("a hundred");
        last.hot().waits.store(5, Relaxed);
        last.cold().successes.store(5, Relaxed);
        let was = hot(&last);
        drop(last);
        let next = slab.place(3, 9);
        assert_eq!(hot(&next), was);
        assert_eq!(next.hot().waits.load(Relaxed), 0);
        assert_eq!(next.joined().load(Relaxed), 3);
        assert_eq!(next.cold().successes.load(Relaxed), 0);
        assert_eq!(next.cold().tried.load(Relaxed), 9);
    }

    #[test]
    fn an_array_goes_with_the_last_of_its_instances() {
        let slab = Slab::default();
        let places: Vec<Place> = (0..17).map(|_| slab.place(0, 0)).collect();
        let first = Arc::downgrade(&places[0].chunk);
        drop(places);
        assert_eq!(first.strong_count(), 0);
        assert_eq!(slab.place(0, 0).chunk.hot.len(), LEAST);
    }
}
