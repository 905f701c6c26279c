//! Where a command writes: with colour and a width on a terminal, plainly everywhere else.

use std::env;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use crate::args::{Common, When};

/// How a piece of text looks on a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Style {
    /// As the terminal has it.
    #[default]
    Plain,
    /// All is well.
    Good,
    /// Look at this.
    Warn,
    /// Something is wrong.
    Bad,
    /// Less important than the rest.
    Dim,
    /// More important than the rest.
    Strong,
}

impl Style {
    /// Wraps a text in the codes of this style.
    pub(crate) fn paint(self, text: &str) -> String {
        let code = match self {
            Self::Plain => return text.into(),
            Self::Good => "32",
            Self::Warn => "33",
            Self::Bad => "31",
            Self::Dim => "2",
            Self::Strong => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Standard output.
#[derive(Debug)]
pub(crate) struct Screen {
    out: BufWriter<Stdout>,
    color: bool,
    error_color: bool,
    terminal: bool,
    /// Machines read it.
    pub(crate) json: bool,
}

impl Screen {
    /// Opens standard output as the command line asks.
    pub(crate) fn open(common: &Common) -> Self {
        let terminal = io::stdout().is_terminal();
        Self {
            color: !common.json && wants_color(common.color, terminal),
            error_color: wants_color(common.color, io::stderr().is_terminal()),
            terminal,
            json: common.json,
            out: BufWriter::new(io::stdout()),
        }
    }

    /// Says whether a person looks at it, live.
    pub(crate) fn is_live(&self) -> bool {
        self.terminal && !self.json
    }

    /// Styles a text for standard output.
    pub(crate) fn paint(&self, text: &str, style: Style) -> String {
        if self.color { style.paint(text) } else { text.into() }
    }

    /// Styles a text for standard error.
    pub(crate) fn paint_error(&self, text: &str, style: Style) -> String {
        if self.error_color { style.paint(text) } else { text.into() }
    }

    /// Gives the columns to fit into; none if nothing needs to be cut.
    pub(crate) fn width(&self) -> Option<usize> {
        let asked = env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
        if self.terminal { asked.or_else(terminal_width) } else { None }
    }

    /// Writes one line.
    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// Writes one JSON document on one line.
    pub(crate) fn document(&mut self, value: &impl serde::Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, value)?;
        writeln!(self.out)
    }

    /// Empties a terminal, to write over what was there.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        if self.is_live() { write!(self.out, "\x1b[H\x1b[2J") } else { Ok(()) }
    }

    /// Brings out what was written.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Says whether a stream is to be coloured.
pub(crate) fn wants_color(when: When, terminal: bool) -> bool {
    let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto => terminal && !refused && !dumb,
    }
}

fn terminal_width() -> Option<usize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one winsize to the address given, which is ours.
    let answer = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &mut size) };
    (answer == 0 && size.ws_col > 0).then_some(size.ws_col.into())
}

/// Makes foreign text harmless: what would steer a terminal becomes a dot.
pub(crate) fn clean(text: &str) -> String {
    let steers =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if steers(c) { '·' } else { c }).collect()
}

/// Writes a number with commas, as in `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\r\nc\u{202e}d"), "a·[2Jb··c·d");
        assert_eq!(clean("Bestellungen für Köln"), "Bestellungen für Köln");
    }

    #[test]
    fn numbers_are_grouped() {
        let texts = [0, 999, 1000, 1_234_567].map(thousands);
        assert_eq!(texts, ["0", "999", "1,000", "1,234,567"]);
    }
}
