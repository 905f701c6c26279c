//! Plays all scenarios, and with deliberate bugs those that must notice them.
//!
//! `ZONESYNC_SCENARIO` names one, and `ZONESYNC_SEED` one seed, or a first and a last: `5..90`.

use std::ops::RangeInclusive;
use std::time::Instant;

use zonesync_core::bugs::{Bug, plant};
use zonesync_sim::scenario::{Outcome, Scenario, all, named};
use zonesync_sim::world::clock;

/// Each scenario is played with as many seeds.
const SEEDS: u64 = 3;

/// Which deliberate bugs a scenario notices, among others: those that its story is about.
const NOTICED: &[(&str, &[Bug])] = &[
    ("primary-killed", &[Bug::ImpatientCandidate, Bug::SourceAheadOfData, Bug::BatchCutShort]),
    ("clean-stop-hands-over", &[Bug::HandoverWithoutRelease, Bug::AppliesBeforeAcknowledgement]),
    ("stalled-write", &[Bug::ActsPastLease, Bug::ReadyTakenBack]),
    ("stale-primary-wakes-up", &[Bug::GhostKept]),
    ("one-epoch-twice", &[Bug::FenceByEpochOnly]),
    ("stale-primary-wakes-up-at-once", &[Bug::PlainChunkWrite]),
    ("clock-five-minutes-off", &[Bug::WallClockInLease]),
    ("dead-primary-kept-by-a-clock", &[Bug::StillLeaseRespected]),
    ("whole-fleet-restarts", &[Bug::LeaseInherited, Bug::TrimTooFar]),
    ("failover-amid-a-snapshot", &[Bug::ListHoldsBeginnings, Bug::OwnClaimLeft]),
    ("split-ends-while-a-node-loads", &[Bug::OwnClaimLeft]),
    ("claim-raised-while-settling", &[Bug::ClaimSettledByEarlierRead, Bug::ClaimsIgnored]),
    ("higher-term-loses", &[Bug::ClaimNotKept, Bug::MissingTermCovered, Bug::StepDownKeepsWriting]),
    (
        "a-loser-leads-after-the-split",
        &[Bug::MemoryOfAnotherBranchPublished, Bug::ReportsDecideNewest],
    ),
    ("store-restarts-empty", &[Bug::RaiseForEver, Bug::PresentRowRemoved]),
    ("cold-node-first-at-an-emptied-store", &[Bug::OwnClaimLeft, Bug::MissingTermCovered]),
    ("only-observers-know", &[Bug::FirstLoadUnguarded, Bug::ObserverStands]),
    ("bulk-publish-overflows", &[Bug::RevocationAfterDeploy]),
    ("poison-at-start-up", &[Bug::PoisonBlocksAll, Bug::SweepOfQuarantined]),
    ("cold-start-on-a-stored-state", &[Bug::ColdFoundsTruth]),
    (
        "bad-network-at-start-up",
        &[Bug::SnapshotHalfRead, Bug::CommitWithoutChunks, Bug::RetryAppliedTwice],
    ),
    ("ready-on-an-empty-store", &[Bug::ReadyBeforeComplete]),
    (
        "repository-reads-empty",
        &[Bug::GuardAsleep, Bug::GuardPassedByRepetition, Bug::HeldForgotten],
    ),
    ("repository-restored-to-yesterday", &[Bug::SourceAheadOfData]),
    ("revoked-while-the-zone-was-down", &[Bug::LeaseInherited, Bug::RevocationAfterDeploy]),
    ("many-keys-revoked-in-the-dark", &[Bug::BatchCutShort]),
    ("many-keys-revoked-and-not-published", &[Bug::GuardStopsEvidenced]),
    ("key-rotated-while-away", &[Bug::SkipGap, Bug::ApplyOutOfOrder]),
    ("revoked-while-paused", &[Bug::GhostKept]),
    ("product-in-any-order", &[Bug::BatchCutShort]),
];

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

/// Plays a scenario with a bug; each in a thread of its own, for some bugs end in a panic.
fn notices(scenario: &Scenario, bug: Bug) -> bool {
    let scenario = *scenario;
    let play = move |seed| {
        plant(Some(bug));
        scenario.run(seed).failed.is_some()
    };
    seeds().any(|seed| std::thread::spawn(move || play(seed)).join().unwrap_or(true))
}

#[test]
fn bugs_are_noticed() {
    let known = |scenario: &Scenario| NOTICED.iter().any(|(name, _)| *name == scenario.name);
    assert!(all().iter().all(known), "each scenario can fail");
    let mut missed = Vec::new();
    for (name, bugs) in NOTICED {
        let scenario = named(name).unwrap_or_else(|| panic!("no scenario is called {name}"));
        missed.extend(bugs.iter().filter(|bug| !notices(&scenario, **bug)).map(|bug| (name, bug)));
    }
    assert!(missed.is_empty(), "not noticed: {missed:#?}");
}

/// Tells which bugs each scenario notices, to bring the table up to date.
#[test]
#[ignore = "takes minutes"]
fn what_is_noticed() {
    for scenario in asked() {
        let noticed = Bug::ALL.iter().filter(|bug| notices(&scenario, **bug));
        let noticed: Vec<_> = noticed.map(|bug| format!("{bug:?}")).collect();
        println!("{}: {}", scenario.name, noticed.join(" "));
    }
}

/// Tells what happens in the asked scenario.
#[test]
#[ignore = "for people"]
fn what_happens() {
    for scenario in asked() {
        for seed in seeds() {
            let outcome = scenario.run(seed);
            println!("{} (seed {seed}): {}", scenario.name, scenario.story);
            for (at, line) in &outcome.ending.trace {
                println!("  {} {line}", clock(*at));
            }
        }
    }
}
