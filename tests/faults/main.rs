//! Zones of real processes on real Redis, through the faults that a zone must stand.
//!
//! ```text
//! faults                       each fault once
//! FAULT=pause TIMES=3 faults   one of them, three times
//! ```
//!
//! Prints a line for each run, and totals: changes acknowledged, lost, applied twice, and writes of
//! deposed primaries that the store accepted. Exits with 1 if one of these is not zero, or a zone did
//! not come to rest.

mod incident;
mod log;
mod nodes;
mod rows;
mod seen;
mod trial;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use incident::{Ended, Incident};
use trial::{Setup, Trial};

/// What came of runs.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    runs: u64,
    failed: u64,
    acknowledged: u64,
    lost: u64,
    twice: u64,
    deposed: u64,
    other: u64,
}

impl Totals {
    fn add(&mut self, one: Self) {
        self.runs += one.runs;
        self.failed += one.failed;
        self.acknowledged += one.acknowledged;
        self.lost += one.lost;
        self.twice += one.twice;
        self.deposed += one.deposed;
        self.other += one.other;
    }

    fn is_sound(&self) -> bool {
        self.failed + self.lost + self.twice + self.deposed + self.other == 0
    }
}

fn main() -> ExitCode {
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let number = |name: &str, or: u64| variable(name).and_then(|n| n.parse().ok()).unwrap_or(or);
    let wanted = variable("FAULT");
    let chosen = |one: &&Incident| wanted.as_ref().is_none_or(|name| one.name == name);
    let incidents: Vec<_> = incident::ALL.iter().filter(chosen).collect();
    let Some(binary) = variable("ZONESYNC_BIN").map(PathBuf::from) else {
        eprintln!("ZONESYNC_BIN names no command line to test");
        return ExitCode::from(2);
    };
    if incidents.is_empty() {
        let names: Vec<_> = incident::ALL.iter().map(|one| one.name).collect();
        eprintln!("no fault is called {wanted:?}; there are {}", names.join(", "));
        return ExitCode::from(2);
    }
    let ttl = Duration::from_millis(number("TTL_MS", 1_500));
    let mut totals = Totals::default();
    for one in incidents {
        for time in 1..=number("TIMES", 1) {
            println!("fault {} ({}), run {time}", one.name, one.what);
            let (redis, nodes, seed) = (one.redis, one.nodes, time);
            let setup = Setup { binary: binary.clone(), nodes, pairs: 400, ttl, redis, seed };
            match run(&setup, one) {
                Some(outcome) => totals.add(outcome),
                None => return ExitCode::SUCCESS,
            }
        }
    }
    println!(
        "faults: {} runs, {} failed; changes acknowledged {}, lost {}, applied twice {}; \
         writes of deposed primaries accepted {}; other promises broken {}",
        totals.runs,
        totals.failed,
        totals.acknowledged,
        totals.lost,
        totals.twice,
        totals.deposed,
        totals.other
    );
    if totals.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one incident. None where there is no server.
fn run(setup: &Setup, incident: &Incident) -> Option<Totals> {
    let begun = Instant::now();
    let mut totals = Totals { runs: 1, ..Totals::default() };
    let mut trial = match Trial::start(setup) {
        Ok(trial) => trial?,
        Err(why) => {
            println!("  failed: {why}");
            return Some(Totals { failed: 1, ..totals });
        }
    };
    let rested = match (incident.run)(&mut trial) {
        Ok(()) => trial.rest(trial.patience()),
        Err(Ended::Failed(why)) => Err(why),
        Err(Ended::Skipped(why)) => {
            println!("  skipped: {why}");
            return Some(Totals::default());
        }
    };
    if let Err(why) = &rested {
        totals.failed = 1;
        println!("  failed: {why}");
        trial.nodes.tell_logs();
    }
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    totals.acknowledged = count(&trial.watch.acknowledged_changes);
    totals.lost = count(&trial.watch.lost);
    totals.twice = count(&trial.watch.twice);
    totals.other = count(&trial.watch.broken);
    totals.deposed = trial.log.deposed();
    println!(
        "  {} in {:.1} s, at rest after {:.2} s: {} changes of rows, {} acknowledged, {} entries",
        if totals.is_sound() { "held" } else { "BROKEN" },
        begun.elapsed().as_secs_f64(),
        trial.rests.last().map_or(0.0, Duration::as_secs_f64),
        trial.changes(),
        totals.acknowledged,
        trial.log.entries(),
    );
    Some(totals)
}
