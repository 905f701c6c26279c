//! What a person sees of the demo: numbered steps, and under each what happened and how fast.

use zonesync::core::time::Duration;

use crate::failure::Failure;
use crate::screen::{Screen, Style, clean};
use crate::table::Table;

/// Where values begin.
const VALUE_AT: usize = 58;

/// Writes steps and counts what did not happen.
pub(super) struct Report<'a> {
    screen: &'a mut Screen,
    step: u32,
    missed: u32,
}

impl<'a> Report<'a> {
    /// Begins a report.
    pub(super) fn new(screen: &'a mut Screen) -> Self {
        Self { screen, step: 0, missed: 0 }
    }

    /// Says what will be shown.
    pub(super) fn opening(&mut self, text: &str) -> Result<(), Failure> {
        let name = self.screen.paint("zonesync demo", Style::Strong);
        self.write(&format!("{name}: {}", clean(text)))
    }

    /// Begins a step.
    pub(super) fn step(&mut self, title: &str) -> Result<(), Failure> {
        self.step += 1;
        let line = self.screen.paint(&format!("{}  {title}", self.step), Style::Strong);
        self.write("")?;
        self.write(&line)
    }

    /// Says what comes next, in passing.
    pub(super) fn note(&mut self, text: &str) -> Result<(), Failure> {
        let line = self.screen.paint(&clean(text), Style::Dim);
        self.write(&format!("   {line}"))
    }

    /// Says whether something happened, with what was measured of it.
    pub(super) fn check(&mut self, happened: bool, what: &str, value: &str) -> Result<(), Failure> {
        self.missed += u32::from(!happened);
        let (what, value) = (clean(what), clean(value));
        if self.screen.json {
            let step = self.step;
            let line = serde_json::json!({
                "step": step, "what": what, "value": value, "happened": happened,
            });
            self.screen.document(&line)?;
            return Ok(self.screen.flush()?);
        }
        let (mark, style) = if happened { ("✓", Style::Good) } else { ("✗", Style::Bad) };
        let mark = self.screen.paint(mark, style);
        let value = self.screen.paint(&value, if happened { Style::Plain } else { Style::Bad });
        self.write(format!("   {mark} {what:<VALUE_AT$} {value}").trim_end())
    }

    /// As [`Self::check`]; what comes after makes no sense without it, so its absence is the end.
    pub(super) fn need(&mut self, happened: bool, what: &str, value: &str) -> Result<(), Failure> {
        self.check(happened, what, value)?;
        let end = || Failure::NotThere(format!("the demo ends here: this did not happen: {what}"));
        if happened { Ok(()) } else { Err(end()) }
    }

    /// Shows a table; machines get its content from the checks.
    pub(super) fn table(&mut self, table: &Table) -> Result<(), Failure> {
        if self.screen.json {
            return Ok(());
        }
        table.print_under(self.screen, "     ")?;
        Ok(self.screen.flush()?)
    }

    /// Ends the report, as a failure if anything did not happen.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        self.write("")?;
        match self.missed {
            0 => {
                let line = self.screen.paint("All of it happened.", Style::Good);
                self.write(&line)
            }
            1 => Err(Failure::NotThere("one of the things shown did not happen".into())),
            some => Err(Failure::NotThere(format!("{some} of the things shown did not happen"))),
        }
    }

    fn write(&mut self, line: &str) -> Result<(), Failure> {
        if self.screen.json {
            return Ok(());
        }
        self.screen.line(line)?;
        Ok(self.screen.flush()?)
    }
}

/// Writes a time as people say it.
pub(super) fn spoken(time: Duration) -> String {
    match time.as_micros() {
        0..1_000 => format!("{} µs", time.as_micros()),
        1_000..10_000 => format!("{:.1} ms", time.as_secs_f64() * 1e3),
        10_000..1_000_000 => format!("{} ms", time.as_millis()),
        _ => format!("{:.2} s", time.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_or_so() {
        let spoken = |micros| spoken(Duration::from_micros(micros));
        let texts = [0, 999, 1_234, 43_210, 3_210_000].map(spoken);
        assert_eq!(texts, ["0 µs", "999 µs", "1.2 ms", "43 ms", "3.21 s"]);
    }
}
