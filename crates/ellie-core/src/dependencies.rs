//! The dependency graph: an order to start in, and cycles told with their whole path.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

/// A cycle, as the names along it; the first is repeated at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle(pub Vec<String>);

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" → "))
    }
}

impl std::error::Error for Cycle {}

/// Names and what each needs. A name that is only needed is a node too.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    edges: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    /// An empty graph.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `name`, which needs `dependencies`.
    pub fn add<S: Into<String>>(&mut self, name: &str, dependencies: impl IntoIterator<Item = S>) {
        let dependencies: Vec<String> = dependencies.into_iter().map(Into::into).collect();
        for d in &dependencies {
            self.edges.entry(d.clone()).or_default();
        }
        self.edges.entry(name.into()).or_default().extend(dependencies);
    }

    /// The names that `name` needs directly.
    pub fn dependencies(&self, name: &str) -> impl Iterator<Item = &str> {
        self.edges.get(name).into_iter().flatten().map(String::as_str)
    }

    /// The waves of a start: all of a wave can start at once when the waves before it have. Kahn's algorithm (1962);
    /// names of a wave are in alphabetical order.
    ///
    /// # Errors
    /// A cycle, with its path.
    pub fn waves(&self) -> Result<Vec<Vec<String>>, Cycle> {
        let mut missing: BTreeMap<&str, usize> =
            self.edges.iter().map(|(n, d)| (n.as_str(), d.len())).collect();
        let mut dependents: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, needs) in &self.edges {
            for d in needs {
                dependents.entry(d).or_default().push(name);
            }
        }
        let mut wave: Vec<&str> = missing.iter().filter(|(_, n)| **n == 0).map(|(name, _)| *name).collect();
        let mut waves = Vec::new();
        let mut placed = 0;
        while !wave.is_empty() {
            placed += wave.len();
            let mut next = BTreeSet::new();
            for name in &wave {
                for dependent in dependents.get(name).into_iter().flatten() {
                    if let Some(left) = missing.get_mut(dependent) {
                        *left -= 1;
                        if *left == 0 {
                            next.insert(*dependent);
                        }
                    }
                }
            }
            waves.push(wave.iter().map(ToString::to_string).collect());
            wave = next.into_iter().collect();
        }
        if placed == self.edges.len() {
            return Ok(waves);
        }
        let stuck = missing.iter().find(|(_, n)| **n > 0).map_or("", |(name, _)| name);
        Err(self.cycle_from(stuck))
    }

    /// A cycle reached from `start`, which is known to lead into one: every unplaced node has an unplaced dependency,
    /// so following those must meet a name again.
    fn cycle_from(&self, start: &str) -> Cycle {
        find_cycle(start, |name| self.dependencies(name).map(str::to_owned).collect())
            .unwrap_or(Cycle(vec![start.into()]))
    }
}

/// A cycle through nodes reachable from `start`, where `needs` tells a node's direct dependencies. Depth-first without
/// recursion; visits each reachable node once.
pub fn find_cycle(start: &str, mut needs: impl FnMut(&str) -> Vec<String>) -> Option<Cycle> {
    let mut done = BTreeSet::new();
    let mut path: Vec<(String, VecDeque<String>)> = vec![(start.to_owned(), needs(start).into())];
    let mut on_path = BTreeSet::from([start.to_owned()]);
    while let Some((name, rest)) = path.last_mut() {
        let Some(next) = rest.pop_front() else {
            on_path.remove(name);
            done.insert(name.clone());
            path.pop();
            continue;
        };
        if on_path.contains(&next) {
            let mut cycle: Vec<String> =
                path.iter().map(|(n, _)| n.clone()).skip_while(|n| *n != next).collect();
            cycle.push(next);
            return Some(Cycle(cycle));
        }
        if !done.contains(&next) {
            on_path.insert(next.clone());
            let children = needs(&next).into();
            path.push((next, children));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_put_independent_names_together() {
        let mut g = Graph::new();
        g.add("web", ["api", "cache"]);
        g.add("api", ["db"]);
        g.add("cache", Vec::<String>::new());
        assert_eq!(g.waves().unwrap(), [vec!["cache", "db"], vec!["api"], vec!["web"]]);
    }

    #[test]
    fn cycles_of_length_one_two_and_twelve_are_told_with_their_path() {
        for n in [1, 2, 12] {
            let mut g = Graph::new();
            g.add("outside", ["s0"]);
            for i in 0..n {
                g.add(&format!("s{i}"), [format!("s{}", (i + 1) % n)]);
            }
            let Cycle(path) = g.waves().unwrap_err();
            assert_eq!(path.len(), n + 1, "{path:?}");
            assert_eq!(path.first(), path.last());
        }
    }

    #[test]
    fn a_diamond_is_no_cycle() {
        let mut g = Graph::new();
        g.add("a", ["b", "c"]);
        g.add("b", ["d"]);
        g.add("c", ["d"]);
        assert!(g.waves().is_ok());
        assert_eq!(find_cycle("a", |n| g.dependencies(n).map(str::to_owned).collect()), None);
    }
}
