//! The dependencies as a picture: for a terminal, and in the language of Graphviz.

use std::collections::BTreeSet;
use std::fmt::Write;

/// One thing that is defined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// What stands beside the name: its state.
    pub note: String,
    /// Whether somebody else runs it.
    pub external: bool,
    /// What it depends on.
    pub needs: Vec<Edge>,
}

/// One dependency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// On whom.
    pub name: String,
    /// What is awaited.
    pub condition: String,
}

/// One line of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Twig {
    /// What is drawn before the name.
    pub branch: String,
    /// Whom it is about.
    pub name: String,
    /// What the one above waits for.
    pub condition: Option<String>,
    /// Whether what it depends on has been drawn further up.
    pub again: bool,
}

/// `digraph`, with an arrow from each to what it depends on.
#[must_use]
pub fn dot(nodes: &[Node]) -> String {
    let mut out = String::from("digraph processes {\n  rankdir=LR;\n  node [shape=box, style=rounded];\n");
    for node in nodes {
        let shape = if node.external { ", shape=ellipse, style=dashed" } else { "" };
        let note = if node.note.is_empty() { String::new() } else { format!("\\n{}", escape(&node.note)) };
        let _ = writeln!(out, "  \"{0}\" [label=\"{0}{note}\"{shape}];", escape(&node.name));
    }
    for node in nodes {
        for edge in &node.needs {
            let (from, to) = (escape(&node.name), escape(&edge.name));
            let _ = writeln!(out, "  \"{from}\" -> \"{to}\" [label=\"{}\"];", escape(&edge.condition));
        }
    }
    out.push_str("}\n");
    out
}

fn escape(text: &str) -> String {
    text.chars().flat_map(|c| if matches!(c, '"' | '\\') { vec!['\\', c] } else { vec![c] }).collect()
}

/// A tree of text: what nothing depends on stands to the left, with what it depends on under it. What has been drawn
/// with its dependencies is not drawn with them again.
#[must_use]
pub fn tree(nodes: &[Node]) -> Vec<Twig> {
    let needed: BTreeSet<&str> = nodes.iter().flat_map(|n| &n.needs).map(|edge| edge.name.as_str()).collect();
    let mut lines = Vec::new();
    let mut drawn = BTreeSet::new();
    for root in nodes.iter().filter(|node| !needed.contains(node.name.as_str())) {
        // A stack instead of recursion: a chain may be as long as the plan. The last entry is drawn next.
        let mut stack = vec![(root.name.as_str(), None::<&Edge>, String::new(), true)];
        while let Some((name, edge, before, last)) = stack.pop() {
            let branch = match edge {
                None => "",
                Some(_) if last => "└─ ",
                Some(_) => "├─ ",
            };
            let node = nodes.iter().find(|node| node.name == name);
            let needs = node.map(|node| node.needs.as_slice()).unwrap_or_default();
            let again = !drawn.insert(name) && !needs.is_empty();
            lines.push(Twig {
                branch: format!("{before}{branch}"),
                name: name.to_owned(),
                condition: edge.map(|edge| edge.condition.clone()),
                again,
            });
            if again {
                continue;
            }
            let inner = match edge {
                None => String::new(),
                Some(_) if last => format!("{before}   "),
                Some(_) => format!("{before}│  "),
            };
            for (i, edge) in needs.iter().enumerate().rev() {
                stack.push((&edge.name, Some(edge), inner.clone(), i + 1 == needs.len()));
            }
        }
    }
    lines
}
