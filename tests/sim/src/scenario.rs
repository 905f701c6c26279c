//! Incidents that happen in the field, each as a script of what happens and what must hold.
//!
//! A script says when which act strikes, and what is expected at a moment, within a time or
//! throughout one. The promises of [`crate::watch`] are checked besides, at every step, and in the
//! end all nodes must come to hold the same, in the time that the design names.

mod keys;
mod losses;
mod reads;
mod script;
mod takeover;
mod versions;

use std::fmt;

use crate::executor::Time;
use crate::world::{Ending, clock};

pub use script::Script;

/// An incident.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What happens in the field, and why it hurts.
    pub story: &'static str,
    /// What happens in the world, and what must hold.
    pub script: fn(&mut Script),
}

/// How a scenario went.
#[derive(Debug)]
pub struct Outcome {
    /// What did not hold, if anything.
    pub failed: Option<Failed>,
    /// What was waited for, and how long it took.
    pub took: Vec<(String, Time)>,
    /// The end of its world.
    pub ending: Ending,
}

/// Something that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// When.
    pub at: Time,
    /// What was expected.
    pub expected: String,
    /// What was seen instead.
    pub seen: String,
}

impl Scenario {
    /// Plays it. The seed feeds the dice that it leaves open: how long ways take, who runs first.
    pub fn run(&self, seed: u64) -> Outcome {
        let mut script = Script::new(seed);
        (self.script)(&mut script);
        script.play()
    }
}

/// Lists all scenarios.
pub fn all() -> Vec<Scenario> {
    [takeover::SCENARIOS, losses::SCENARIOS, reads::SCENARIOS, keys::SCENARIOS, versions::SCENARIOS]
        .concat()
}

/// Finds a scenario by its name.
pub fn named(name: &str) -> Option<Scenario> {
    all().into_iter().find(|scenario| scenario.name == name)
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scenario").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected: {}\nseen: {}", clock(self.at), self.expected, self.seen)
    }
}
