//! How a bench tells what it measured: raw lines, and one line for its figure.
//!
//! The line reads `figure <name> <value> <unit> goal <relation> <goal> <held|missed>`, or
//! `figure <name> skipped <reason>` where the machine lacks what the figure needs.

use std::fmt::{self, Display};
use std::time::Duration;

/// Says whether `SIZE=small` asks for seconds rather than minutes.
pub fn is_small() -> bool {
    std::env::var_os("SIZE").is_some_and(|size| size == "small")
}

/// Picks a size by [`is_small`].
pub fn size<T>(full: T, small: T) -> T {
    if is_small() { small } else { full }
}

/// How a value must stand to its goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// It must not pass it.
    AtMost,
    /// It must reach it.
    AtLeast,
}

/// Prints the line of a figure. Gives whether it was held.
pub fn print(name: &str, value: f64, unit: &str, goal: Goal, bound: f64) -> bool {
    let (relation, held) = match goal {
        Goal::AtMost => ("<=", value <= bound),
        Goal::AtLeast => (">=", value >= bound),
    };
    let verdict = if held { "held" } else { "missed" };
    let value = Short(value);
    println!("figure {name} {value} {unit} goal {relation} {bound} {verdict}");
    held
}

/// Prints the line of a figure that cannot be measured here.
pub fn skip(name: &str, reason: impl Display) {
    println!("figure {name} skipped {reason}");
}

/// Gives the middle of a list of numbers.
pub fn median(list: &[f64]) -> f64 {
    let mut list = list.to_vec();
    list.sort_by(f64::total_cmp);
    list[list.len() / 2]
}

/// Times of the same thing, sorted.
#[derive(Clone, Debug)]
pub struct Times(Vec<f64>);

impl Times {
    /// Takes times. Panics if there is none.
    pub fn new(times: impl IntoIterator<Item = Duration>) -> Self {
        let times = times.into_iter().map(|time| time.as_secs_f64() * 1e3);
        let mut times: Vec<f64> = times.collect();
        assert!(!times.is_empty(), "something was measured");
        times.sort_by(f64::total_cmp);
        Self(times)
    }

    /// Counts them.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Gives the milliseconds that `percent` of them do not pass.
    pub fn percentile(&self, percent: f64) -> f64 {
        let rank = (self.0.len() as f64 * percent / 100.0).ceil() as usize;
        self.0[rank.clamp(1, self.0.len()) - 1]
    }

    /// Gives the milliseconds of the longest.
    pub fn longest(&self) -> f64 {
        self.0[self.0.len() - 1]
    }

    /// Prints the spread, and how many fell into each of some equal steps.
    pub fn print_raw(&self, name: &str) {
        let percentile = |percent| Short(self.percentile(percent));
        println!(
            "raw {name} ms count {} min {} p50 {} p90 {} p99 {} max {}",
            self.count(),
            Short(self.0[0]),
            percentile(50.0),
            percentile(90.0),
            percentile(99.0),
            Short(self.longest()),
        );
        const STEPS: usize = 8;
        let (from, width) = (self.0[0], (self.longest() - self.0[0]) / STEPS as f64);
        let mut rest = &self.0[..];
        for step in 1..=STEPS {
            let end = if step == STEPS { f64::INFINITY } else { from + width * step as f64 };
            let (within, beyond) = rest.split_at(rest.partition_point(|time| *time <= end));
            let start = from + width * (step - 1) as f64;
            let bar = "#".repeat((within.len() * 40).div_ceil(self.count()));
            println!("raw {name} from {start:>9.3} ms {:>6} {bar}", within.len());
            rest = beyond;
        }
    }
}

/// A number with as many digits as say something.
#[derive(Clone, Copy, Debug)]
pub struct Short(pub f64);

impl Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = match self.0.abs() {
            large if large >= 1_000.0 => 0,
            middle if middle >= 10.0 => 1,
            _ => 3,
        };
        write!(f, "{:.digits$}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let times = Times::new((1..=200).rev().map(Duration::from_millis));
        assert_eq!(times.percentile(50.0), 100.0);
        assert_eq!(times.percentile(99.0), 198.0);
        assert_eq!((times.percentile(100.0), times.longest()), (200.0, 200.0));
        assert_eq!(Times::new([Duration::from_millis(7)]).percentile(1.0), 7.0);
    }

    #[test]
    fn a_number_has_few_digits() {
        let text = |value| Short(value).to_string();
        assert_eq!(
            (text(12_345.6), text(12.34), text(0.5)),
            ("12346".into(), "12.3".into(), "0.500".into())
        );
    }
}
