//! Links of Markdown files: each relative target exists, each `#anchor` is a heading of its file.

use super::{Fault, File};

/// Relative links of `file` that lead nowhere. `exists` and `text_of` take paths relative to the root.
pub(crate) fn check<'a>(
    file: &File,
    exists: impl Fn(&str) -> bool,
    text_of: impl Fn(&str) -> Option<&'a str>,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (number, line) in outside_code(&file.text) {
        for target in targets(line) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) =
                target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
            let path = if path.is_empty() { file.path.clone() } else { resolve(&file.path, path) };
            if !exists(&path) {
                faults.push(Fault::new(
                    &file.path,
                    number,
                    format!("a link to {target}, which does not exist"),
                ));
            } else if let Some(anchor) = anchor
                && path.ends_with(".md")
                && let Some(text) = if path == file.path { Some(file.text.as_str()) } else { text_of(&path) }
                && !outside_code(text).any(|(_, line)| heading(line).is_some_and(|name| name == anchor))
            {
                faults.push(Fault::new(&file.path, number, format!("a link to {target}: no such heading")));
            }
        }
    }
    faults
}

/// The lines that are not inside a fenced block, numbered from 1.
fn outside_code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(number, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fenced && !fence).then_some((number + 1, line))
    })
}

/// The targets of `[text](target)` in one line, code spans left out.
fn targets(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = line[from..].find("](") {
        let start = from + at + 2;
        let Some(end) = line[start..].find(')').map(|end| start + end) else { break };
        let in_code = line[..start].matches('`').count() % 2 == 1;
        if !in_code {
            let target = line[start..end].split_whitespace().next().unwrap_or_default();
            found.push(target.trim_matches(['<', '>']));
        }
        from = end;
    }
    found
}

/// `target` as seen from `from`, both relative to the root.
fn resolve(from: &str, target: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The anchor that a heading gets: lower case, blanks to hyphens, other signs dropped.
fn heading(line: &str) -> Option<String> {
    let name = line.trim_start_matches('#');
    if name.len() == line.len() || !name.starts_with(' ') {
        return None;
    }
    let kept = name.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    Some(kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let file = File { path: "docs/a.md".to_owned(), text: text.to_owned() };
        let exists = |path: &str| ["docs/a.md", "README.md", "docs/b.md"].contains(&path);
        let text_of = |path: &str| (path == "docs/b.md").then_some("# One `two` three!\n");
        check(&file, exists, text_of).iter().map(|fault| fault.message.clone()).collect()
    }

    #[test]
    fn relative_links_are_followed_from_the_file_they_stand_in() {
        assert!(
            faults("see [r](../README.md) and [b](b.md \"title\") and [w](https://example.org)").is_empty()
        );
        assert_eq!(faults("[x](../b.md) [y](b.md)").len(), 1);
    }

    #[test]
    fn anchors_are_headings() {
        assert!(faults("[b](b.md#one-two-three)\n# Here it is\n[up](#here-it-is)").is_empty());
        assert_eq!(faults("[b](b.md#four)\n[up](#there)").len(), 2);
    }

    #[test]
    fn code_is_not_searched() {
        assert!(faults("`[x](nowhere)`\n```\n[x](nowhere)\n```\n").is_empty());
    }
}
