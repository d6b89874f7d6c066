//! Counters of the closed path, one set a thread.

use crate::shard::{self, Padded};
use crate::sync::{AtomicU64, Ordering};

/// Bits of a success word that hold the count; the rest holds the generation it belongs to.
const COUNT_BITS: u32 = 40;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

#[derive(Debug)]
pub(super) struct Shard {
    /// Generation and number of successes since the state machine last took them, in one word: so
    /// a result of an earlier generation can never be added to a later one.
    successes: AtomicU64,
    ignored: AtomicU64,
    rejected: AtomicU64,
    stale: AtomicU64,
}

impl Shard {
    #[inline]
    pub(super) fn succeed(&self, generation: u64) {
        let mut word = self.successes.load(Ordering::Relaxed);
        loop {
            if word >> COUNT_BITS != tag(generation) {
                self.stale.fetch_add(1, Ordering::Relaxed);
                return;
            }
            match self.successes.compare_exchange_weak(word, word + 1, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
    }

    #[inline]
    pub(super) fn ignore(&self, generation: u64) {
        let stale = self.successes.load(Ordering::Relaxed) >> COUNT_BITS != tag(generation);
        let counter = if stale { &self.stale } else { &self.ignored };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn reject(&self) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
    }
}

fn tag(generation: u64) -> u64 {
    generation & ((1 << (64 - COUNT_BITS)) - 1)
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Sums {
    pub(super) successes: u64,
    pub(super) ignored: u64,
    pub(super) rejected: u64,
    pub(super) stale: u64,
}

#[derive(Debug)]
pub(super) struct Shards(Box<[Padded<Shard>]>);

impl Shards {
    pub(super) fn new(generation: u64) -> Self {
        let shard = || {
            Padded(Shard {
                successes: AtomicU64::new(tag(generation) << COUNT_BITS),
                ignored: AtomicU64::new(0),
                rejected: AtomicU64::new(0),
                stale: AtomicU64::new(0),
            })
        };
        Self((0..shard::count()).map(|_| shard()).collect())
    }

    #[inline]
    pub(super) fn mine(&self) -> &Shard {
        // The number of shards is a power of two.
        &self.0[shard::current() & (self.0.len() - 1)]
    }

    /// Takes the successes out, leaving the generation. Only under the breaker's lock.
    pub(super) fn take(&self) -> u64 {
        let mut taken = 0;
        for shard in &self.0 {
            let word = shard.successes.fetch_and(!COUNT_MASK, Ordering::AcqRel);
            taken += word & COUNT_MASK;
        }
        taken
    }

    /// Begins a generation: what the one before still adds becomes stale. What came in since
    /// [`take`](Self::take) was in time for a state that is over, and is dropped with it.
    /// Only under the breaker's lock.
    pub(super) fn start(&self, generation: u64) {
        for shard in &self.0 {
            let word = shard.successes.swap(tag(generation) << COUNT_BITS, Ordering::AcqRel);
            shard.stale.fetch_add(word & COUNT_MASK, Ordering::Relaxed);
        }
    }

    pub(super) fn sum(&self) -> Sums {
        let mut sums = Sums::default();
        for shard in &self.0 {
            sums.successes += shard.successes.load(Ordering::Relaxed) & COUNT_MASK;
            sums.ignored += shard.ignored.load(Ordering::Relaxed);
            sums.rejected += shard.rejected.load(Ordering::Relaxed);
            sums.stale += shard.stale.load(Ordering::Relaxed);
        }
        sums
    }
}
