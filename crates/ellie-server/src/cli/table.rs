//! Tables that read well at 80 columns, and plainly when piped.

use anstyle::{AnsiColor, Style};
use std::fmt::Write;

/// A cell: text and its colour.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub(crate) fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), style: Style::new() }
    }
}

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();

const fn colour(colour: AnsiColor) -> Style {
    Style::new().fg_color(Some(anstyle::Color::Ansi(colour)))
}

pub(crate) const GREEN: Style = colour(AnsiColor::Green);
pub(crate) const YELLOW: Style = colour(AnsiColor::Yellow);
pub(crate) const RED: Style = colour(AnsiColor::Red);
pub(crate) const CYAN: Style = colour(AnsiColor::Cyan);

/// The colour of a status, a standing or a breaker's state.
pub(crate) fn style_of(word: &str) -> Style {
    match word {
        "healthy" | "routable" | "closed" => GREEN,
        "degraded" | "half_open" | "draining" | "maintenance" | "degraded-standby" | "weight-zero" => YELLOW,
        "unhealthy" | "open" => RED,
        _ => Style::new(),
    }
}

/// A status in its colour.
pub(crate) fn status(word: &str) -> Cell {
    Cell::styled(word, style_of(word))
}

/// A column: its heading, and whether its cells are numbers, which stand to the right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column(pub(crate) &'static str, pub(crate) Align);

/// Where a column's cells stand, and whether it gives way when there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
    /// To the left, and the first to be shortened.
    Flexible,
    /// To the left, and left out where there is no room.
    Extra,
    /// To the right, and left out where there is no room.
    ExtraRight,
}

/// The narrowest a flexible column gets, while others can go.
const NARROWEST: usize = 20;
/// The narrowest any column gets, when nothing else helps.
const LEAST: usize = 8;

/// A table of `columns`; each row has as many cells. `width` is the terminal's, `None` where nothing is cut.
pub(crate) fn render(columns: &[Column], rows: &[Vec<Cell>], width: Option<usize>) -> String {
    // A column with nothing in it tells nothing.
    let mut shown: Vec<usize> = (0..columns.len())
        .filter(|i| {
            rows.is_empty() || rows.iter().any(|row| row.get(*i).is_some_and(|cell| !cell.text.is_empty()))
        })
        .collect();
    let mut widths: Vec<usize> = shown
        .iter()
        .map(|i| {
            rows.iter()
                .filter_map(|row| row.get(*i))
                .map(|cell| len(&cell.text))
                .chain([len(columns[*i].0)])
                .max()
        })
        .map(Option::unwrap_or_default)
        .collect();
    if let Some(width) = width {
        shrink(&mut shown, columns, &mut widths, width);
    }
    let mut out = String::new();
    let header: Vec<Cell> = columns.iter().map(|column| Cell::styled(column.0, DIM)).collect();
    for row in std::iter::once(&header).chain(rows) {
        let mut line = String::new();
        let mut gap = 0;
        for (place, i) in shown.iter().enumerate() {
            let cell = row.get(*i).cloned().unwrap_or_default();
            let text = cut(&cell.text, widths[place]);
            let pad = widths[place].saturating_sub(len(&text));
            let (before, after) =
                if matches!(columns[*i].1, Align::Right | Align::ExtraRight) { (pad, 0) } else { (0, pad) };
            let style = cell.style;
            // Spaces are written only before something, so that no line ends in them.
            if text.is_empty() {
                gap += before + after + 2;
                continue;
            }
            let _ = write!(line, "{:width$}{style}{text}{style:#}", "", width = gap + before);
            gap = after + 2;
        }
        out.push_str(&line);
        out.push('\n');
    }
    out
}

/// Makes room: flexible columns get narrower, then extra ones go, the last first, then all but numbers get narrower.
fn shrink(shown: &mut Vec<usize>, columns: &[Column], widths: &mut Vec<usize>, width: usize) {
    let over = |widths: &[usize]| widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1) > width;
    let narrow = |shown: &[usize], widths: &mut [usize], kinds: &[Align], least: usize| {
        while over(widths) {
            let of_kind = |place: &usize| kinds.contains(&columns[shown[*place]].1) && widths[*place] > least;
            match (0..shown.len()).filter(of_kind).max_by_key(|place| widths[*place]) {
                Some(place) => widths[place] -= 1,
                None => return,
            }
        }
    };
    loop {
        narrow(shown, widths, &[Align::Flexible], NARROWEST);
        let extra = shown.iter().rposition(|i| matches!(columns[*i].1, Align::Extra | Align::ExtraRight));
        match extra {
            Some(place) if over(widths) => {
                shown.remove(place);
                widths.remove(place);
            }
            _ => break,
        }
    }
    // Names are there to be copied: they are cut last.
    narrow(shown, widths, &[Align::Flexible], LEAST);
    narrow(shown, widths, &[Align::Left], LEAST);
}

/// How many columns a text takes; close enough for names, which are ASCII.
fn len(text: &str) -> usize {
    text.chars().count()
}

fn cut(text: &str, width: usize) -> String {
    // A control character of a name or a reason must not reach the terminal.
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    if len(text) <= width {
        return text.chars().map(clean).collect();
    }
    text.chars().take(width.saturating_sub(1)).map(clean).chain(['…']).collect()
}

/// Control characters become spaces: those of a name or a reason must not reach the terminal.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Lines of at most `room`, broken at spaces.
pub(crate) fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in clean(text).split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] = [
        Column("NAME", Align::Left),
        Column("N", Align::Right),
        Column("TAGS", Align::Left),
        Column("REASON", Align::Flexible),
    ];

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn columns_line_up_and_empty_ones_go() {
        let rows = vec![
            vec!["users".into(), "12".into(), "".into(), "HTTP 200".into()],
            vec!["a".into(), "3".into(), "".into(), "".into()],
        ];
        assert_eq!(
            plain(&render(&COLUMNS, &rows, None)),
            "NAME    N  REASON\nusers  12  HTTP 200\na       3\n"
        );
    }

    #[test]
    fn the_flexible_column_gives_way_on_a_terminal_only() {
        let reason = "no answer within 5s, connection refused before that";
        let rows = vec![vec!["users".into(), "1".into(), "api".into(), reason.into()]];
        let narrow = plain(&render(&COLUMNS, &rows, Some(40)));
        assert!(narrow.lines().all(|line| line.chars().count() <= 40), "{narrow}");
        assert!(narrow.contains('…'));
        assert!(plain(&render(&COLUMNS, &rows, None)).contains(reason));
    }

    #[test]
    fn extra_columns_go_before_the_reason_does() {
        let columns =
            [Column("ID", Align::Left), Column("VERSION", Align::Extra), Column("REASON", Align::Flexible)];
        let rows = vec![vec!["a".into(), "1.0.0".into(), "a reason of thirty characters".into()]];
        assert!(plain(&render(&columns, &rows, Some(80))).contains("VERSION"));
        let narrow = plain(&render(&columns, &rows, Some(25)));
        assert!(!narrow.contains("VERSION") && narrow.contains("a reason of thirty"), "{narrow}");
        assert!(narrow.lines().all(|line| line.chars().count() <= 25), "{narrow}");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let rows = vec![vec!["\u{1b}[2J".into(), "1".into(), "".into(), "".into()]];
        assert!(!plain(&render(&COLUMNS, &rows, None)).contains('\u{1b}'));
    }
}
