//! Lines of many processes in one terminal.

use anstyle::{AnsiColor, Style};

/// One after the other.
const COLOURS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Green,
    AnsiColor::Magenta,
    AnsiColor::Yellow,
    AnsiColor::Blue,
    AnsiColor::BrightCyan,
];
const DIM: Style = Style::new().dimmed();
const ALARM: Style = Style::new().bold().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)));

/// Gives each process its colour and all names the same room.
#[derive(Clone, Debug)]
pub(crate) struct Painter {
    names: Vec<String>,
    width: usize,
}

impl Painter {
    pub(crate) fn new(names: Vec<String>) -> Self {
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or_default().min(24);
        Self { names, width }
    }

    /// A line to print. Whoever prints it takes the colours away where they are not wanted.
    pub(crate) fn paint(&self, name: &str, stream: &str, text: &str) -> String {
        let place = self.names.iter().position(|other| other == name).unwrap_or_default();
        let colour = Style::new().fg_color(Some(COLOURS[place % COLOURS.len()].into()));
        let (text, width) = (harmless(text), self.width);
        match stream {
            "note" => format!("{colour}{name:width$} ·{colour:#} {DIM}{text}{DIM:#}\n"),
            "alarm" => format!("{colour}{name:width$}{colour:#} {ALARM}✗ {text}{ALARM:#}\n"),
            // Whatever colour the line left on ends with it.
            _ => format!("{colour}{name:width$} |{colour:#} {text}\u{1b}[0m\n"),
        }
    }
}

/// Colours stay; what moves the cursor, clears the screen or rings does not.
fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_control() && c != '\t') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let sequence = rest.strip_prefix("\u{1b}[").and_then(|inner| {
            let end = inner.find(|c: char| !c.is_ascii_digit() && c != ';' && c != ':')?;
            Some((inner[end..].starts_with('m'), 2 + end + inner[end..].chars().next()?.len_utf8()))
        });
        let (kept, length) = sequence.unwrap_or((false, rest.chars().next().map_or(1, char::len_utf8)));
        if kept {
            out.push_str(&rest[..length]);
        }
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_stay_and_all_else_that_a_terminal_obeys_goes() {
        for (text, expected) in [
            ("a\u{1b}[1;31mred\u{1b}[0m\tb", "a\u{1b}[1;31mred\u{1b}[0m\tb"),
            ("\u{1b}[2Jgone\u{7}", "gone"),
            ("\u{1b}]0;title\u{7}x", "]0;titlex"),
            ("\u{1b}[", "["),
            ("\u{9b}31mé", "31mé"),
            ("\u{1b}[31é", ""),
        ] {
            assert_eq!(harmless(text), expected, "{text:?}");
        }
    }

    #[test]
    fn names_have_the_same_room() {
        let painter = Painter::new(vec!["a".into(), "longer".into()]);
        assert!(painter.paint("a", "out", "x").contains("a      |"));
        assert!(painter.paint("longer", "note", "x").contains("longer ·"));
        assert!(painter.paint("longer", "alarm", "x").contains("✗ x"));
    }
}
