//! The compiled form of a list of routes.

use super::{Found, RequestView, query};
use crate::route::Route;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

/// A multiplicative hash of 8 bytes at a time (in the manner of Firefox's): the keys are those of the operator, so
/// nobody can make them collide by asking.
#[derive(Clone, Copy, Default)]
pub(crate) struct Fx(u64);

impl Fx {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for Fx {
    fn write(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            self.add(u64::from_le_bytes(chunk.try_into().unwrap_or_default()));
        }
        let rest = chunks.remainder();
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.add(u64::from_le_bytes(last) ^ (rest.len() as u64) << 56);
        }
    }

    fn write_usize(&mut self, n: usize) {
        self.add(n as u64);
    }

    fn finish(&self) -> u64 {
        // The map takes its bits from both ends.
        self.0 ^ self.0 >> 32
    }
}

type Map<V> = HashMap<Box<[u8]>, V, BuildHasherDefault<Fx>>;

/// Routes under one path, in groups by host.
#[derive(Debug, Default)]
struct Group {
    exact: Map<Vec<u32>>,
    /// By the part after `*.`.
    below: Map<Vec<u32>>,
    any: Vec<u32>,
}

#[derive(Debug, Default)]
struct Node {
    children: Map<u32>,
    group: Option<Box<Group>>,
    /// The nearest shorter prefix that has routes, or this node itself where it is the root.
    shorter: u32,
}

/// What is compared last, one by one.
#[derive(Debug)]
struct Terms {
    route: Arc<Route>,
    /// Each method as text, to spare a string's indirection.
    methods: Box<[Box<[u8]>]>,
}

/// Finds the route of a request among those it was made from.
#[derive(Debug)]
pub struct Index {
    terms: Box<[Terms]>,
    exact: Map<Group>,
    nodes: Vec<Node>,
    has_hosts: bool,
}

const ROOT: u32 = 0;
/// A host is at most 253 bytes; what is longer matches no pattern.
const MAX_HOST: usize = 255;

impl Default for Index {
    /// Finds nothing.
    fn default() -> Self {
        Self::new(&[])
    }
}

impl Index {
    /// Prepares the routes, whatever their order.
    #[must_use]
    pub fn new(routes: &[Arc<Route>]) -> Self {
        let mut order: Vec<usize> = (0..routes.len()).collect();
        order.sort_by_cached_key(|&i| routes[i].precedence());
        let mut index = Self {
            terms: routes
                .iter()
                .map(|route| Terms {
                    methods: route.methods.iter().map(|m| m.as_bytes().into()).collect(),
                    route: route.clone(),
                })
                .collect(),
            exact: Map::default(),
            // There is always a root, so that a walk can begin.
            nodes: vec![Node::default()],
            has_hosts: routes.iter().any(|r| r.host.is_some()),
        };
        for i in order {
            let route = &routes[i];
            let fixed = route.path.fixed().as_bytes();
            let group = if route.path.is_prefix() {
                let node = index.insert(fixed);
                &mut **index.nodes[node as usize].group.get_or_insert_default()
            } else {
                index.exact.entry(fixed.into()).or_default()
            };
            let list = match &route.host {
                None => &mut group.any,
                Some(host) => match host.suffix() {
                    None => group.exact.entry(host.as_str().as_bytes().into()).or_default(),
                    Some(suffix) => group.below.entry(suffix.as_bytes().into()).or_default(),
                },
            };
            list.push(i as u32);
        }
        index.link(ROOT, ROOT);
        index
    }

    /// The node of a prefix: one step a segment. The root is the empty prefix.
    fn insert(&mut self, fixed: &[u8]) -> u32 {
        let mut node = ROOT;
        for segment in segments(fixed) {
            let next = self.nodes.len() as u32;
            let child = *self.nodes[node as usize].children.entry(segment.into()).or_insert(next);
            if child == next {
                self.nodes.push(Node::default());
            }
            node = child;
        }
        node
    }

    fn link(&mut self, from: u32, shorter: u32) {
        // Depth first by hand: a path may have hundreds of segments.
        let mut work = vec![(from, shorter)];
        while let Some((node, shorter)) = work.pop() {
            let n = &mut self.nodes[node as usize];
            n.shorter = shorter;
            let below = if n.group.is_some() { node } else { shorter };
            work.extend(n.children.values().map(|&child| (child, below)));
        }
    }

    /// The routes it was made from, in their order.
    pub fn routes(&self) -> impl ExactSizeIterator<Item = &Arc<Route>> {
        self.terms.iter().map(|t| &t.route)
    }

    /// The route of a request. `path` is the request's, normalised.
    #[must_use]
    pub fn find(&self, path: &[u8], request: &RequestView<'_>) -> Found {
        let mut other_methods = false;
        let mut found = None;
        self.visit(path, request.host, |i| {
            let terms = &self.terms[i as usize];
            if !terms.fit(request) {
                return false;
            }
            if terms.has_method(request.method) {
                found = Some(i as usize);
                return true;
            }
            other_methods = true;
            false
        });
        match found {
            Some(i) => Found::Route(i),
            None if other_methods => Found::MethodNotAllowed,
            None => Found::NotFound,
        }
    }

    /// The methods that would find a route, for the field `Allow`.
    #[must_use]
    pub fn allow(&self, path: &[u8], request: &RequestView<'_>) -> String {
        let mut methods: Vec<&str> = Vec::new();
        self.visit(path, request.host, |i| {
            let terms = &self.terms[i as usize];
            if terms.fit(request) {
                methods.extend(terms.route.methods.iter().map(String::as_str));
            }
            false
        });
        methods.sort_unstable();
        methods.dedup();
        methods.join(", ")
    }

    /// Shows `visit` every route of the path and host in order of precedence, until it says that it has seen enough.
    /// Routes of the same path on different hosts are in that order, too: a narrower host comes first.
    pub(crate) fn visit(&self, path: &[u8], host: &[u8], mut visit: impl FnMut(u32) -> bool) {
        let mut buffer = [0; MAX_HOST];
        let host = if self.has_hosts { lower(host, &mut buffer) } else { b"" };
        if let Some(group) = self.exact.get(path)
            && group.visit(host, &mut visit)
        {
            return;
        }
        if path.first() != Some(&b'/') {
            return;
        }
        let mut node = ROOT;
        for segment in segments(path) {
            match self.nodes[node as usize].children.get(segment) {
                Some(&child) => node = child,
                None => break,
            }
        }
        loop {
            let n = &self.nodes[node as usize];
            if let Some(group) = &n.group
                && group.visit(host, &mut visit)
            {
                return;
            }
            if node == ROOT {
                return;
            }
            node = n.shorter;
        }
    }
}

impl Group {
    fn visit(&self, host: &[u8], visit: &mut impl FnMut(u32) -> bool) -> bool {
        if !self.exact.is_empty()
            && let Some(list) = self.exact.get(host)
            && list.iter().any(|&i| visit(i))
        {
            return true;
        }
        if !self.below.is_empty() {
            let mut rest = host;
            while let Some(dot) = memchr::memchr(b'.', rest) {
                // `*.` stands for at least one character before the dot.
                let begins = host.len() - rest.len() + dot;
                rest = &rest[dot + 1..];
                if begins > 0
                    && let Some(list) = self.below.get(rest)
                    && list.iter().any(|&i| visit(i))
                {
                    return true;
                }
            }
        }
        self.any.iter().any(|&i| visit(i))
    }
}

impl Terms {
    fn has_method(&self, method: &[u8]) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|m| **m == *method)
    }

    /// Whether everything but path, host and method is as it should be.
    fn fit(&self, request: &RequestView<'_>) -> bool {
        let route = &*self.route;
        route.headers.iter().all(|m| request.fields.get(&m.name).is_some_and(|v| m.accepts(v)))
            && (route.query.is_empty()
                || request.query.is_some_and(|q| route.query.iter().all(|m| query::has(q, m))))
    }
}

fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    // An absolute path begins with an empty segment; anything else (`*`) has no prefix but the empty one.
    let (mut rest, mut more) = match path.strip_prefix(b"/") {
        Some(rest) => (rest, true),
        None => (path, false),
    };
    std::iter::from_fn(move || {
        if !more {
            return None;
        }
        match memchr::memchr(b'/', rest) {
            Some(at) => {
                let segment = &rest[..at];
                rest = &rest[at + 1..];
                Some(segment)
            }
            None => {
                more = false;
                Some(rest)
            }
        }
    })
}

fn lower<'b>(host: &[u8], buffer: &'b mut [u8; MAX_HOST]) -> &'b [u8] {
    let host = host.strip_suffix(b".").unwrap_or(host);
    let Some(out) = buffer.get_mut(..host.len()) else { return b"" };
    out.copy_from_slice(host);
    out.make_ascii_lowercase();
    out
}
