//! Finding the route of a request, in time that hardly grows with the number of routes.
//!
//! Exact paths are hashed whole; prefixes are a trie of whole segments, each node of which links to the next shorter
//! prefix that has routes. Under one path, routes are grouped by host; within a group they stand in order of
//! precedence and are compared one by one, as nothing but methods, header fields and query parameters is left.
//! A request allocates nothing, unless its path has to be normalised first, which no honest client makes necessary.

mod index;
pub mod path;
pub mod query;

pub use index::Index;
pub use path::normalise;

use std::net::IpAddr;

/// The header fields of a request.
pub trait Fields {
    /// The first value of a field, by its name in lower case.
    fn get(&self, name: &str) -> Option<&[u8]>;
}

impl Fields for [httparse::Header<'_>] {
    fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value)
    }
}

impl Fields for [(String, String)] {
    fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_bytes())
    }
}

impl<F: Fields + ?Sized> Fields for &F {
    fn get(&self, name: &str) -> Option<&[u8]> {
        (**self).get(name)
    }
}

/// What is looked at in a request.
#[derive(Clone, Copy)]
pub struct RequestView<'a> {
    /// As sent; methods are case-sensitive.
    pub method: &'a [u8],
    /// As sent, without the query.
    pub path: &'a [u8],
    /// As sent, without the question mark.
    pub query: Option<&'a [u8]>,
    /// As sent, without the port.
    pub host: &'a [u8],
    /// The header fields.
    pub fields: &'a dyn Fields,
    /// Who asks: the peer, or what trusted proxies say.
    pub client: IpAddr,
}

/// What an [`Index`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The place of the route in the list the index was made from.
    Route(usize),
    /// Routes have this path, host, fields and parameters, but other methods.
    MethodNotAllowed,
    /// No route has it.
    NotFound,
}
