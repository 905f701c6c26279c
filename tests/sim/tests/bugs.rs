//! Each deliberate bug is found, and by which checker: so it is known that the checkers see.
//!
//! A bug is found by a drawn seed, named here with the promise that it breaks first. Where drawn
//! plans change, `cargo test --release -p zonesync-sim --test bugs -- --ignored --nocapture` seeks
//! the seeds anew. What takes too much of a coincidence for the drawn seeds is found by a scenario,
//! see `scenarios.rs`.

use zonesync_core::bugs::{Bug, plant};
use zonesync_sim::many::{Orders, run_many};
use zonesync_sim::plan::draw;
use zonesync_sim::watch::Promise;
use zonesync_sim::world::run;

/// The bugs that drawn seeds find.
const FOUND: &[(Bug, u64, Promise)] = &[];

/// The bugs that only a scenario finds.
const BY_SCENARIO: &[Bug] =
    &[Bug::FenceByEpochOnly, Bug::ClaimSettledByEarlierRead, Bug::GuardStopsEvidenced];

/// How many seeds are tried for one bug.
const SEEDS: u64 = 1_000;

#[test]
fn each_bug_is_found_by_its_checker() {
    for (bug, seed, promise) in FOUND {
        plant(Some(*bug));
        let broken = run(&draw(*seed)).broken;
        plant(None);
        let found = broken.as_ref().map(|broken| broken.promise);
        assert_eq!(found, Some(*promise), "{} with seed {seed}: {broken:?}", bug.name());
        println!("{:<36} seed {seed:<5} {promise}", bug.name());
    }
}

#[test]
fn no_bug_is_left_out() {
    let all = Bug::ALL.iter().copied();
    let missing: Vec<_> = all
        .filter(|bug| !FOUND.iter().any(|(found, ..)| found == bug) && !BY_SCENARIO.contains(bug))
        .map(Bug::name)
        .collect();
    assert_eq!(missing, [""; 0], "found by nothing");
}

#[test]
#[ignore = "takes minutes"]
fn seek() {
    for bug in Bug::ALL.iter().filter(|bug| !BY_SCENARIO.contains(bug)) {
        let seeds = 1..SEEDS + 1;
        let orders = Orders { seeds, until: None, threads: 2, bug: Some(*bug), first: true };
        let totals = run_many(&orders);
        match totals.broken.iter().next() {
            Some((seed, broken)) => {
                println!("    (Bug::{bug:?}, {seed}, Promise::{:?}),", broken.promise);
            }
            None => println!("    // Bug::{bug:?}"),
        }
    }
}
