//! Plays all scenarios. That each can fail is shown in `bugs.rs`.
//!
//! `ZONESYNC_SCENARIO` names one, and `ZONESYNC_SEED` one seed, or a first and a last: `5..90`.

use std::ops::RangeInclusive;
use std::time::Instant;

use zonesync_sim::scenario::{Outcome, Scenario, all, named};
use zonesync_sim::world::clock;

/// Each scenario is played with as many seeds.
const SEEDS: u64 = 3;

fn seeds() -> RangeInclusive<u64> {
    let Ok(asked) = std::env::var("ZONESYNC_SEED") else { return 1..=SEEDS };
    let (first, last) = asked.split_once("..").unwrap_or((&asked, &asked));
    first.parse().expect("a seed")..=last.parse().expect("a seed")
}

fn asked() -> Vec<Scenario> {
    match std::env::var("ZONESYNC_SCENARIO") {
        Ok(name) => vec![named(&name).expect("a scenario's name")],
        Err(_) => all(),
    }
}

fn explain(scenario: &Scenario, seed: u64, outcome: &Outcome) -> String {
    let Some(failed) = &outcome.failed else { return String::new() };
    let trace: Vec<_> =
        outcome.ending.trace.iter().map(|(at, line)| format!("  {} {line}", clock(*at))).collect();
    format!(
        "{} (seed {seed}): {}\n{failed}\nwhat happened:\n{}",
        scenario.name,
        scenario.story,
        trace.join("\n")
    )
}

#[test]
fn what_must_hold_holds() {
    let mut failures = Vec::new();
    for scenario in asked() {
        let begun = Instant::now();
        let outcomes: Vec<_> = seeds().map(|seed| (seed, scenario.run(seed))).collect();
        let passed: u64 = outcomes.iter().map(|(_, outcome)| outcome.ending.passed).sum();
        let failed: Vec<_> = outcomes.iter().filter(|(_, o)| o.failed.is_some()).collect();
        println!(
            "{:<34} {:>4} s of the world in {:>4} ms{}",
            scenario.name,
            passed / outcomes.len() as u64 / 1_000_000_000,
            begun.elapsed().as_millis() / outcomes.len() as u128,
            if failed.is_empty() { String::new() } else { format!("  {} FAILED", failed.len()) },
        );
        failures.extend(failed.iter().map(|(seed, o)| explain(&scenario, *seed, o)).take(1));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
