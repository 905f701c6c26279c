//! Rows in aligned columns that fit the width of a terminal.
//!
//! Widths count characters, so wide ones of East Asian scripts may stick out; nothing breaks.

use crate::screen::{Screen, Style, clean};

/// No column is cut below this many characters.
const NARROWEST: usize = 8;

/// What stands between two columns.
const GAP: &str = "  ";

/// One field of a row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    text: String,
    style: Style,
    right: bool,
}

impl Cell {
    /// Makes a field in a style.
    pub(crate) fn new(text: &str, style: Style) -> Self {
        Self { text: clean(text), style, right: false }
    }

    /// Makes a field of digits, which stand to the right.
    pub(crate) fn number(number: u64) -> Self {
        let text = crate::screen::thousands(number);
        Self { text, style: Style::Plain, right: true }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::new(text, Style::Plain)
    }
}

/// Rows under a heading.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    heading: Vec<Cell>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// Makes a table with these columns.
    pub(crate) fn new(columns: &[&str]) -> Self {
        let heading = columns.iter().map(|name| Cell::new(name, Style::Dim)).collect();
        Self { heading, rows: Vec::new() }
    }

    /// Adds a row, of one field a column.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        assert_eq!(cells.len(), self.heading.len(), "a row has one field a column");
        self.rows.push(cells);
    }

    /// Writes the table.
    pub(crate) fn print(&self, screen: &mut Screen) -> std::io::Result<()> {
        self.print_under(screen, "")
    }

    /// Writes the table with `indent` before each line.
    pub(crate) fn print_under(&self, screen: &mut Screen, indent: &str) -> std::io::Result<()> {
        let room = screen.width().map(|width| width.saturating_sub(indent.len()));
        let lines = self.lines(room, |text, style| screen.paint(text, style));
        lines.iter().try_for_each(|line| screen.line(&format!("{indent}{line}")))
    }

    fn lines(&self, width: Option<usize>, paint: impl Fn(&str, Style) -> String) -> Vec<String> {
        // A column of empty fields says nothing.
        let filled = |at: &usize| self.rows.iter().any(|row| !row[*at].text.is_empty());
        let columns: Vec<usize> = (0..self.heading.len()).filter(filled).collect();
        let natural = |at: &usize| {
            let cells = self.rows.iter().map(|row| &row[*at]).chain([&self.heading[*at]]);
            cells.map(Cell::width).max().unwrap_or(0)
        };
        let widths = fit(columns.iter().map(natural).collect(), width);
        let mut lines = Vec::with_capacity(self.rows.len() + 1);
        for row in std::iter::once(&self.heading).chain(&self.rows) {
            let mut line = String::new();
            let mut owed = 0;
            for (at, wide) in columns.iter().zip(&widths) {
                let mut cell = row[*at].clone();
                // The heading stands where its numbers stand.
                cell.right |= self.rows.first().is_some_and(|first| first[*at].right);
                let text = cut(&cell.text, *wide);
                let rest = wide - text.chars().count();
                let (before, after) = if cell.right { (rest, 0) } else { (0, rest) };
                // Blanks are written only before something: no line ends in them.
                if !text.is_empty() {
                    line.extend(std::iter::repeat_n(' ', owed + before));
                    line.push_str(&paint(&text, cell.style));
                    owed = 0;
                } else {
                    owed += before;
                }
                owed += after + GAP.len();
            }
            lines.push(line);
        }
        lines
    }
}

/// Narrows the widest columns until all fit, or none can be narrower.
fn fit(mut widths: Vec<usize>, room: Option<usize>) -> Vec<usize> {
    let Some(room) = room else { return widths };
    let gaps = GAP.len() * widths.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > room {
        match widths.iter_mut().max_by_key(|width| **width) {
            Some(widest) if *widest > NARROWEST => *widest -= 1,
            _ => break,
        }
    }
    widths
}

/// Cuts a text to a width, saying so with an ellipsis.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.into();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(&["KIND", "ID", "SCOPE", "SIZE", "ABOUT"]);
        let row = |id: &str, size, about: &str| {
            vec!["API".into(), id.into(), "".into(), Cell::number(size), about.into()]
        };
        table.row(row("7c1d", 812, "Orders"));
        table.row(row("88ee-long-id", 1_234_567, "Prices of everything and the value of nothing"));
        table.row(row("99ff", 3, ""));
        table
    }

    fn plain(table: &Table, width: Option<usize>) -> String {
        table.lines(width, |text, _| text.into()).join("\n")
    }

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        let expected = "\
KIND  ID                 SIZE  ABOUT
API   7c1d                812  Orders
API   88ee-long-id  1,234,567  Prices of everything and the value of nothing
API   99ff                  3";
        assert_eq!(plain(&sample(), None), expected);
    }

    #[test]
    fn the_widest_column_gives_way() {
        let expected = "\
KIND  ID                 SIZE  ABOUT
API   7c1d                812  Orders
API   88ee-long-id  1,234,567  Prices of ev…
API   99ff                  3";
        let fitted = plain(&sample(), Some(44));
        assert_eq!(fitted, expected);
        assert!(fitted.lines().all(|line| line.chars().count() <= 44));
    }

    #[test]
    fn a_terminal_too_narrow_is_survived() {
        let lines = plain(&sample(), Some(3));
        assert!(lines.lines().all(|line| line.chars().count() <= 4 * NARROWEST + 3 * GAP.len()));
        assert_eq!(plain(&Table::new(&["A", "B"]), Some(0)), "");
    }

    #[test]
    fn colour_does_not_move_columns() {
        let mut table = Table::new(&["A", "B"]);
        table.row(vec![Cell::new("x", Style::Bad), "y".into()]);
        table.row(vec!["longer".into(), "y\x1b[2J".into()]);
        let painted = table.lines(None, |text, style| style.paint(text));
        assert_eq!(painted[1], "\x1b[31mx\x1b[0m       y");
        assert_eq!(painted[2], "longer  y·[2J", "foreign codes do nothing");
    }
}
