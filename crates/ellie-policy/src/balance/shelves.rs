//! From a table's members to their state.

use std::collections::HashMap;
use std::sync::Arc;

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
                    shelves.push(Shelf { hot: Arc::clone(&chunk.hot), chunk: Arc::clone(chunk) });
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
    pub(super) fn hot(&self, member: usize) -> &Hot {
        let place = self.places[member];
        &self.shelves[(place >> BITS) as usize].hot[place as usize % MOST]
    }

    #[inline]
    pub(super) fn cold(&self, member: usize) -> &Cold {
        let place = self.places[member];
        &self.shelves[(place >> BITS) as usize].chunk.cold[place as usize % MOST]
    }
}
