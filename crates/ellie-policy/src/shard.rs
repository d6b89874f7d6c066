//! Per-thread slots for counters that every call writes, so that cores do not fight over a line.

use std::cell::Cell;
use std::ops::Deref;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A value alone on its cache lines (two, because of adjacent-line prefetch).
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);

impl<T> Deref for Padded<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SLOT: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// How many slots a sharded counter has: a power of two, at least one a core, at most 64.
pub(crate) fn count() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    if cfg!(loom) {
        return 1;
    }
    *COUNT.get_or_init(|| {
        let cores = std::thread::available_parallelism().map_or(4, usize::from);
        cores.next_power_of_two().min(64)
    })
}

/// This thread's number; threads get consecutive ones, so few threads never share a slot.
#[inline]
pub(crate) fn current() -> usize {
    SLOT.try_with(|slot| {
        let mut number = slot.get();
        if number == usize::MAX {
            number = NEXT.fetch_add(1, Ordering::Relaxed);
            slot.set(number);
        }
        number
    })
    // A thread that is being torn down may still drop guards: any slot will do.
    .unwrap_or(0)
}
