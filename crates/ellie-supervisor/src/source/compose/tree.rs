//! A YAML document as a tree of texts that know their lines.
//!
//! Scalars stay as they are written: what `1.10` or `yes` means is for whoever reads it. Aliases are replaced by what
//! they stand for and `<<` is merged, within bounds, so that no small file makes a large tree.

use super::super::Fault;
use saphyr_parser::{Event, Parser, ScalarStyle};
use std::collections::HashMap;

/// The most nodes of a document, those of aliases included.
const MAX_NODES: usize = 50_000;
/// How deep it may go.
const MAX_DEPTH: usize = 64;

/// A value and the line on which it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing: an empty value, `~` or `null` without quotes.
    Null,
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) value: Node,
}

impl Node {
    pub(super) fn is(&self) -> &'static str {
        match self.kind {
            Kind::Null => "empty",
            Kind::Text(_) => "a text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }

    fn size(&self) -> usize {
        1 + match &self.kind {
            Kind::Null | Kind::Text(_) => 0,
            Kind::List(items) => items.iter().map(Self::size).sum(),
            Kind::Map(entries) => entries.iter().map(|entry| 1 + entry.value.size()).sum(),
        }
    }
}

fn fault(line: usize, message: impl Into<String>) -> Fault {
    Fault { line, message: message.into() }
}

/// A list or mapping that is not at its end yet.
struct Open {
    line: usize,
    anchor: usize,
    what: What,
}

enum What {
    List(Vec<Node>),
    Map(Vec<Entry>, Option<(String, usize)>),
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    root: Option<Node>,
}

/// The document in `text`; an empty one is [`Kind::Null`].
pub(super) fn parse(text: &str) -> Result<Node, Fault> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) =
            event.map_err(|error| fault(error.marker().line(), format!("is no YAML: {}", error.info())))?;
        builder.take(event, span.start.line())?;
    }
    Ok(builder.root.unwrap_or(Node { line: 1, kind: Kind::Null }))
}

impl Builder {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), Fault> {
        match event {
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(fault(line, "begins a second document; one is read"))
            }
            Event::Scalar(text, style, anchor, _) => {
                let kind = match (style, text.as_ref()) {
                    (ScalarStyle::Plain, "" | "~" | "null" | "Null" | "NULL") => Kind::Null,
                    _ => Kind::Text(text.into_owned()),
                };
                self.add(Node { line, kind }, anchor, 1)
            }
            Event::SequenceStart(anchor, _) => self.open(line, anchor, What::List(Vec::new())),
            Event::MappingStart(anchor, _) => self.open(line, anchor, What::Map(Vec::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => self.close(line),
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some((node, size)) => {
                    let (mut node, size) = (node.clone(), *size);
                    node.line = line;
                    self.add(node, 0, size)
                }
                None => Err(fault(line, "stands for something that contains it")),
            },
            _ => Ok(()),
        }
    }

    fn open(&mut self, line: usize, anchor: usize, what: What) -> Result<(), Fault> {
        if self.open.len() >= MAX_DEPTH {
            return Err(fault(line, format!("goes deeper than {MAX_DEPTH} levels")));
        }
        self.open.push(Open { line, anchor, what });
        Ok(())
    }

    fn close(&mut self, line: usize) -> Result<(), Fault> {
        let Some(Open { line: began, anchor, what }) = self.open.pop() else {
            return Err(fault(line, "ends what has not begun"));
        };
        let kind = match what {
            What::List(items) => Kind::List(items),
            What::Map(entries, _) => Kind::Map(merged(entries)?),
        };
        self.add(Node { line: began, kind }, anchor, 1)
    }

    /// Puts a finished node into its place. `size` is what it adds to the tree: what is in it has been counted before.
    fn add(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), Fault> {
        self.nodes += size;
        if self.nodes > MAX_NODES {
            return Err(fault(node.line, format!("makes the document larger than {MAX_NODES} values")));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), node.size()));
        }
        match self.open.last_mut().map(|open| &mut open.what) {
            None => self.root = Some(node),
            Some(What::List(items)) => items.push(node),
            Some(What::Map(entries, key)) => match key.take() {
                Some((key, line)) => entries.push(Entry { key, line, value: node }),
                None => match node.kind {
                    Kind::Text(text) => *key = Some((text, node.line)),
                    _ => {
                        return Err(fault(
                            node.line,
                            format!("the key of a mapping is {}; a text is wanted", node.is()),
                        ));
                    }
                },
            },
        }
        Ok(())
    }
}

/// The entries with those of `<<` where they have no own of that key.
fn merged(entries: Vec<Entry>) -> Result<Vec<Entry>, Fault> {
    let mut own: Vec<Entry> = Vec::with_capacity(entries.len());
    let mut inherited = Vec::new();
    for entry in entries {
        if entry.key == "<<" {
            inherited.push(entry.value);
        } else if let Some(first) = own.iter().find(|other| other.key == entry.key) {
            return Err(fault(
                entry.line,
                format!("`{}` is there already, on line {}", entry.key, first.line),
            ));
        } else {
            own.push(entry);
        }
    }
    for node in inherited {
        let line = node.line;
        let maps = match node.kind {
            Kind::List(items) => items,
            _ => vec![node],
        };
        for map in maps {
            let Kind::Map(entries) = map.kind else {
                return Err(fault(
                    line,
                    format!("`<<` is {}; a mapping, or a list of mappings, is wanted", map.is()),
                ));
            };
            for entry in entries {
                if own.iter().all(|other| other.key != entry.key) {
                    own.push(entry);
                }
            }
        }
    }
    Ok(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get<'a>(node: &'a Node, key: &str) -> &'a Node {
        let Kind::Map(entries) = &node.kind else { panic!("{node:?}") };
        &entries.iter().find(|entry| entry.key == key).unwrap().value
    }

    #[test]
    fn scalars_stay_as_they_are_written_and_know_their_lines() {
        let tree = parse("a: 1.10\nb: ~\nc: \"~\"\nd:\n  - yes\n  - 0x10\n").unwrap();
        assert_eq!(get(&tree, "a"), &Node { line: 1, kind: Kind::Text("1.10".into()) });
        assert_eq!(get(&tree, "b").kind, Kind::Null);
        assert_eq!(get(&tree, "c").kind, Kind::Text("~".into()));
        let Kind::List(items) = &get(&tree, "d").kind else { panic!() };
        assert_eq!((items[1].line, &items[1].kind), (6, &Kind::Text("0x10".into())));
        assert_eq!(parse("").unwrap().kind, Kind::Null);
    }

    #[test]
    fn anchors_are_merged_below_what_is_own() {
        let tree = parse("base: &b {x: 1, y: 2}\nother: &c\n  z: 3\n  x: 9\nit:\n  <<: [*b, *c]\n  y: own\n")
            .unwrap();
        let it = get(&tree, "it");
        let texts: Vec<&Kind> = ["x", "y", "z"].iter().map(|key| &get(it, key).kind).collect();
        assert_eq!(texts, [&Kind::Text("1".into()), &Kind::Text("own".into()), &Kind::Text("3".into())]);
    }

    #[test]
    fn what_can_not_be_read_says_where() {
        let bomb: String = (1..12)
            .map(|i| format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(", ")))
            .collect();
        for (text, line, words) in [
            ("a: [1, 2\nb: 3\n", 2, "is no YAML"),
            ("a: 1\nb: 2\na: 3\n", 3, "`a` is there already, on line 1"),
            ("a: &x\n  b: *x\n", 2, "contains it"),
            ("a: 1\n---\nb: 2\n", 2, "second document"),
            ("? [a]\n: b\n", 1, "key of a mapping is a list"),
            ("a:\n  <<: text\n", 2, "`<<` is a text"),
            (&format!("a: {}", "[".repeat(100)), 1, "64 levels"),
            (&format!("a0: &a0 x\n{bomb}"), 6, "larger than"),
        ] {
            let fault = parse(text).unwrap_err();
            assert_eq!(fault.line, line, "{text}: {fault}");
            assert!(fault.message.contains(words), "{text}: {fault}");
        }
    }
}
