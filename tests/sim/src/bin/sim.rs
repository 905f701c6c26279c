//! Runs seeds of the simulator: `sim --help` says how.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use zonesync_core::bugs::{Bug, plant};
use zonesync_sim::many::{Orders, Totals, run_many};
use zonesync_sim::plan::{SECOND, draw};
use zonesync_sim::scenario::{Scenario, all, named};
use zonesync_sim::tell::{joined, tell};
use zonesync_sim::watch::Promise;
use zonesync_sim::world::clock;

const HELP: &str = "\
runs a whole zone in one thread, from a seed, and checks its promises at every step

    sim                     1,000 seeds
    sim --seed N            one seed; if it breaks a promise, tells how, cut down
    sim --seeds A..B        these seeds
    sim --for SECONDS       fresh seeds for so long
    sim --bug NAME          with a deliberate bug planted; stops when it is found
    sim --bugs              lists them
    sim --seek              seeks a seed for each, for `tests/bugs.rs`
    sim --scenario NAME     an incident written by hand
    sim --scenarios         lists them
";

/// How many broken seeds are told in full.
const TOLD: usize = 3;

fn main() -> ExitCode {
    match orders() {
        Ok(Some(orders)) => run_all(&orders),
        Ok(None) => ExitCode::SUCCESS,
        Err(why) => {
            eprint!("{why}\n\n{HELP}");
            ExitCode::from(2)
        }
    }
}

/// Reads the command line.
fn orders() -> Result<Option<Orders>, String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut orders = Orders { seeds: 1..1_001, until: None, threads, bug: None, first: false };
    let mut scenario = None;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        let number = |text: &str| text.parse().map_err(|_| format!("{text:?} is no number"));
        match arg.as_str() {
            "--seed" => {
                let seed: u64 = number(&value()?)?;
                orders.seeds = seed..seed + 1;
            }
            "--seeds" => {
                let text = value()?;
                let (first, end) = text.split_once("..").ok_or("--seeds wants A..B")?;
                orders.seeds = number(first)?..number(end)?;
            }
            "--for" => {
                let time = Duration::from_secs(number(&value()?)?);
                let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
                orders.until = Some(Instant::now() + time);
                orders.seeds = now.as_secs() * 1_000..u64::MAX;
            }
            "--bug" => {
                let name = value()?;
                orders.bug = Some(Bug::from_name(&name).ok_or(format!("no bug is called {name}"))?);
                orders.first = true;
            }
            "--seek" => {
                Bug::ALL.iter().for_each(|bug| seek(&orders, *bug));
                return Ok(None);
            }
            "--bugs" => {
                Bug::ALL.iter().for_each(|bug| println!("{}", bug.name()));
                return Ok(None);
            }
            "--scenario" => {
                let name = value()?;
                scenario = Some(named(&name).ok_or(format!("no scenario is called {name}"))?);
            }
            "--scenarios" => {
                all().iter().for_each(|scenario| println!("{}", scenario.name));
                return Ok(None);
            }
            "--help" => {
                print!("{HELP}");
                return Ok(None);
            }
            _ => return Err(format!("{arg} is not known")),
        }
    }
    match scenario {
        Some(scenario) => play(&scenario, orders.bug).map(|()| None),
        None => Ok(Some(orders)),
    }
}

/// Prints a seed that finds a bug, as a line of the tests' table.
fn seek(orders: &Orders, bug: Bug) {
    let totals = run_many(&Orders { bug: Some(bug), first: true, ..orders.clone() });
    match totals.broken.iter().next() {
        Some((seed, broken)) => {
            println!("    (Bug::{bug:?}, {seed}, Promise::{:?}),", broken.promise)
        }
        None => println!("    // Bug::{bug:?}"),
    }
}

/// Plays an incident and tells what happened.
fn play(scenario: &Scenario, bug: Option<Bug>) -> Result<(), String> {
    plant(bug);
    println!("{}: {}", scenario.name, scenario.story);
    let outcome = scenario.run(1);
    for (at, line) in joined(&outcome.ending.trace) {
        println!("  {} {line}", clock(at));
    }
    for (what, time) in &outcome.took {
        println!("{what}: {:.3} s", *time as f64 / SECOND as f64);
    }
    match outcome.failed {
        Some(failed) => Err(failed.to_string()),
        None => {
            println!("All that must hold held.");
            Ok(())
        }
    }
}

fn run_all(orders: &Orders) -> ExitCode {
    let totals = run_many(orders);
    plant(orders.bug);
    for (seed, broken) in totals.broken.iter().take(TOLD) {
        println!("seed {seed}, {}: {}: {}", clock(broken.at).trim(), broken.promise, broken.what);
        print!("{}", tell(&draw(*seed), broken));
        println!("  replay: make sim SEED={seed}");
    }
    for (seed, broken) in totals.broken.iter().skip(TOLD) {
        println!("seed {seed}: {}: {}", broken.promise, broken.what);
    }
    summary(&totals);
    if totals.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn summary(totals: &Totals) {
    for promise in Promise::ALL {
        let checks = totals.checks.get(&promise).copied().unwrap_or(0);
        let broken = totals.broken.values().filter(|broken| broken.promise == promise).count();
        println!("{promise}: {checks} checks, {broken} broken");
    }
    let faults: Vec<_> =
        totals.faults.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    println!("faults: {}", faults.join(", "));
    let at = |share: usize| {
        let place = totals.agreed.len().saturating_sub(1) * share / 100;
        totals.agreed.get(place).map_or(0.0, |time| *time as f64 / SECOND as f64)
    };
    println!(
        "nodes agreed after {:.2} s in half of the seeds, {:.2} s in 99 of 100, {:.2} s in all",
        at(50),
        at(99),
        at(100)
    );
    println!(
        "{} seeds, {} broken; {:.0} simulated hours, {:.2} in a second of a processor",
        totals.seeds,
        totals.broken.len(),
        totals.simulated as f64 / 3.6e12,
        totals.hours_per_s(),
    );
}
