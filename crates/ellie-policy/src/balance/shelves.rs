//! From a table's members to their state.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::endpoint::Endpoint;
use super::slab::{Chunk, Cold, Hot, MOST};

/// Where each member's state is: four bytes a member, so that even for a hundred thousand of them
/// they stay in the cache, and the state is the only miss.
#[derive(Debug)]
pub(super) struct Shelves {
    shelves: Box<[Shelf]>,
    /// Upper bits: the shelf. Lower bits: the place on it.
    places: Box<[u32]>,
}

#[derive(Debug)]
struct Shelf {
    hot: Arc<[Hot]>,
    cold: Arc<[Cold]>,
    chunk: Arc<Chunk>,
}

const BITS: u32 = MOST.trailing_zeros();

impl Shelves {
    /// # Panics
    /// If the endpoints belong to more than a million services.
    pub(super) fn new<'a>(endpoints: impl Iterator<Item = &'a Endpoint>) -> Self {
        let mut shelves: Vec<Shelf> = Vec::new();
        let mut known: HashMap<*const Chunk, usize> = HashMap::new();
        // Neighbours are likely to be on the same shelf.
        let mut last: Option<usize> = None;
        let mut places = Vec::with_capacity(endpoints.size_hint().0);
        for endpoint in endpoints {
            let chunk = &endpoint.place.chunk;
            let shelf = match last {
                Some(shelf) if Arc::ptr_eq(&shelves[shelf].chunk, chunk) => shelf,
                _ => *known.entry(Arc::as_ptr(chunk)).or_insert_with(|| {
                    let (hot, cold) = (Arc::clone(&chunk.hot), Arc::clone(&chunk.cold));
                    shelves.push(Shelf { hot, cold, chunk: Arc::clone(chunk) });
                    shelves.len() - 1
                }),
            };
            last = Some(shelf);
            assert!(shelf < 1 << (u32::BITS - BITS), "the endpoints belong to more than a million services");
            places.push((shelf as u32) << BITS | endpoint.place.number);
        }
        Self { shelves: shelves.into(), places: places.into() }
    }

    #[inline(always)]
    pub(super) fn at(&self, member: usize) -> At<'_> {
        let place = self.places[member];
        At { shelf: &self.shelves[(place >> BITS) as usize], slot: place as usize % MOST }
    }

    #[inline(always)]
    pub(super) fn hot(&self, member: usize) -> &Hot {
        self.at(member).hot()
    }

    /// What picks read of all members, in order, if they are on one shelf: most small services are,
    /// and need not look up the shelf of each.
    #[inline(always)]
    pub(super) fn only(&self) -> Option<impl Iterator<Item = &Hot>> {
        let [shelf] = &*self.shelves else { return None };
        let hot = &*shelf.hot;
        Some(self.places.iter().map(move |&place| &hot[place as usize]))
    }
}

/// A member's state.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'a> {
    shelf: &'a Shelf,
    slot: usize,
}

impl<'a> At<'a> {
    #[inline(always)]
    pub(super) fn hot(self) -> &'a Hot {
        &self.shelf.hot[self.slot]
    }

    #[inline(always)]
    pub(super) fn cold(self) -> &'a Cold {
        &self.shelf.cold[self.slot]
    }

    /// When it joined a service that was already running.
    pub(super) fn joined(self) -> i64 {
        self.shelf.chunk.joined[self.slot].load(Relaxed)
    }
}
