//! Cuts a failing plan down: what is not needed for the failure goes.

use crate::plan::Plan;
use crate::watch::{Broken, Promise};
use crate::world::run;

/// The most runs that cutting down may take.
const RUNS: usize = 250;

/// Gives the shortest plan found that still breaks the promise, and how it breaks it.
pub fn shrink(plan: &Plan, broken: &Broken) -> (Plan, Broken) {
    let mut best = (plan.clone(), broken.clone());
    if broken.promise != Promise::Converges {
        best.0.acts.retain(|(at, _)| *at <= broken.at);
    }
    let mut runs = 0;
    let mut size = best.0.acts.len().div_ceil(2);
    while size > 0 {
        let mut start = 0;
        let before = best.0.acts.len();
        while start < best.0.acts.len() && runs < RUNS {
            runs += 1;
            let mut shorter = best.0.clone();
            let end = (start + size).min(shorter.acts.len());
            shorter.acts.drain(start..end);
            match run(&shorter).broken.filter(|other| other.promise == broken.promise) {
                Some(other) => best = (shorter, other),
                None => start = end,
            }
        }
        if runs >= RUNS {
            break;
        }
        // At the smallest size, again until nothing more goes.
        size = if size > 1 { size / 2 } else { usize::from(best.0.acts.len() < before) };
    }
    best
}
