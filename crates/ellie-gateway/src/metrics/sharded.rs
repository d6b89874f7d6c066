//! One value a thread, made when the thread first uses it.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Alone on its cache lines (two, because of adjacent-line prefetch).
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded<T>(T);

static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SLOT: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// A power of two, at least one a core, at most 64.
fn count() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| {
        let cores = std::thread::available_parallelism().map_or(4, usize::from);
        cores.next_power_of_two().min(64)
    })
}

/// This thread's number; threads get consecutive ones, so few threads never share a value.
fn current() -> usize {
    SLOT.try_with(|slot| {
        let mut number = slot.get();
        if number == usize::MAX {
            number = NEXT.fetch_add(1, Relaxed);
            slot.set(number);
        }
        number
    })
    // A thread that is being torn down may still drop guards: any value will do.
    .unwrap_or(0)
}

#[derive(Debug)]
pub(super) struct Sharded<T>(Box<[OnceLock<Box<Padded<T>>>]>);

impl<T> Default for Sharded<T> {
    fn default() -> Self {
        Self((0..count()).map(|_| OnceLock::new()).collect())
    }
}

impl<T: Default> Sharded<T> {
    #[inline]
    pub(super) fn mine(&self) -> &T {
        &self.0[current() & (self.0.len() - 1)].get_or_init(Box::default).0
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().filter_map(OnceLock::get).map(|p| &p.0)
    }
}
