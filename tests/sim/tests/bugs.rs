//! Each deliberate bug is found, and by which checker: so it is known that the checkers see.
//!
//! A bug is found by a drawn seed, named here with the promise that it breaks first. Where drawn
//! plans change, `sim --seek` finds seeds anew. What takes too much of a coincidence for the drawn
//! seeds is noticed by a scenario; and each scenario notices some bug, so each can fail.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError};

use zonesync_core::bugs::{Bug, plant};
use zonesync_sim::plan::draw;
use zonesync_sim::scenario::{Scenario, all, named};
use zonesync_sim::shrink::shrink;
use zonesync_sim::watch::Promise;
use zonesync_sim::world::run;

/// Each scenario is played with as many seeds.
const SEEDS: u64 = 3;

/// The bugs that drawn seeds find.
const FOUND: &[(Bug, u64, Promise)] = &[
    (Bug::ActsPastLease, 1, Promise::OnePrimary),
    (Bug::RenewsAfterExpiry, 1, Promise::OnePrimary),
    (Bug::WallClockInLease, 3, Promise::OnePrimary),
    (Bug::LateAcquireFences, 109, Promise::OnePrimary),
    (Bug::LeaseInherited, 1, Promise::OnePrimary),
    (Bug::HandoverWithoutRelease, 3, Promise::InTime),
    (Bug::ImpatientCandidate, 1, Promise::OnePrimary),
    (Bug::StillLeaseRespected, 2, Promise::InTime),
    (Bug::ObserverStands, 1, Promise::OnePrimary),
    (Bug::PlainChunkWrite, 26, Promise::Fenced),
    (Bug::PublishAnywhere, 2, Promise::Converges),
    (Bug::CommitWithoutChunks, 208, Promise::Converges),
    (Bug::TrimTooFar, 1, Promise::Converges),
    (Bug::StepDownKeepsWriting, 4, Promise::InOrder),
    (Bug::SameTermAfterBehind, 20, Promise::InOrder),
    (Bug::AppliesBeforeAcknowledgement, 1, Promise::InOrder),
    (Bug::RetryAppliedTwice, 43, Promise::Converges),
    (Bug::ApplyOutOfOrder, 1, Promise::InOrder),
    (Bug::SkipGap, 1, Promise::InOrder),
    (Bug::BatchCutShort, 1, Promise::InOrder),
    (Bug::DigestNotCompared, 1, Promise::InOrder),
    (Bug::FollowFork, 145, Promise::InOrder),
    (Bug::ListHoldsBeginnings, 3, Promise::InOrder),
    (Bug::MissingTermCovered, 1, Promise::OnePrimary),
    (Bug::EpochGoesBack, 23, Promise::OnePrimary),
    (Bug::ReadyBeforeComplete, 18, Promise::OnlyAnnounced),
    (Bug::ReadyTakenBack, 1, Promise::OnlyAnnounced),
    (Bug::SnapshotHalfRead, 1, Promise::InOrder),
    (Bug::GhostKept, 1, Promise::InOrder),
    (Bug::OwnClaimLeft, 1, Promise::OnePrimary),
    (Bug::ClaimNotKept, 4, Promise::Converges),
    (Bug::WritesOwnNewest, 3, Promise::Readable),
    (Bug::FormatNeverFalls, 3, Promise::Readable),
    (Bug::StandsUnreadable, 11, Promise::Readable),
    (Bug::JournalNotReplayed, 1, Promise::StaysRevoked),
    (Bug::ImageTakenForTheZones, 1, Promise::OnlyAnnounced),
    (Bug::SafeTooSoon, 17, Promise::StaysRevoked),
    (Bug::MemoryOfAnotherBranchPublished, 35, Promise::InOrder),
    (Bug::ReportsDecideNewest, 35, Promise::InOrder),
    (Bug::ClaimsIgnored, 6, Promise::Converges),
    (Bug::IncompleteReadSettles, 378, Promise::StaysRevoked),
    (Bug::GuardForgottenAtTakeover, 218, Promise::NeverWiped),
    (Bug::RemovalUndoneByStale, 4, Promise::InOrder),
    (Bug::OtherFilterEmpties, 330, Promise::NeverWiped),
];

/// Which deliberate bugs a scenario notices, among others: those that its story is about.
const NOTICED: &[(&str, &[Bug])] = &[
    ("rolling-upgrade-and-roll-back", &[Bug::WritesOwnNewest, Bug::FormatNeverFalls]),
    ("all-rolled-back-at-once", &[Bug::StandsUnreadable, Bug::FormatNeverFalls]),
    ("primary-killed", &[Bug::ImpatientCandidate, Bug::SourceAheadOfData, Bug::BatchCutShort]),
    ("clean-stop-hands-over", &[Bug::HandoverWithoutRelease, Bug::AppliesBeforeAcknowledgement]),
    ("stalled-write", &[Bug::ActsPastLease, Bug::ReadyTakenBack]),
    ("stale-primary-wakes-up", &[Bug::GhostKept]),
    ("one-epoch-twice", &[Bug::FenceByEpochOnly]),
    ("stale-primary-wakes-up-at-once", &[Bug::PlainChunkWrite]),
    ("clock-five-minutes-off", &[Bug::WallClockInLease]),
    ("dead-primary-kept-by-a-clock", &[Bug::StillLeaseRespected]),
    ("one-knows-of-a-newer-term", &[Bug::EpochGoesBack]),
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
    ("cold-node-first-at-an-emptied-store", &[Bug::FirstLoadAtOnce]),
    ("cold-node-alone-at-an-emptied-store", &[Bug::OwnClaimLeft, Bug::MissingTermCovered]),
    ("cold-node-founds-without-a-row", &[Bug::UnreadableSettles]),
    ("a-person-gives-a-row-up", &[Bug::UnreadableSettles]),
    ("an-older-master-has-the-row", &[Bug::UnreadableSettles]),
    ("only-observers-know", &[Bug::FirstLoadUnguarded, Bug::ObserverStands]),
    ("settlement-lost-again", &[Bug::LogAndHeadFromTwoMasters]),
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
    ("rows-missing-for-a-minute", &[Bug::IncompleteReadMovesSource]),
    ("read-and-never-published", &[Bug::UnpublishedReadLost]),
    ("revoked-while-the-zone-was-down", &[Bug::LeaseInherited, Bug::RevocationAfterDeploy]),
    ("many-keys-revoked-in-the-dark", &[Bug::BatchCutShort]),
    ("many-keys-revoked-and-not-published", &[Bug::GuardStopsEvidenced]),
    ("key-rotated-while-away", &[Bug::SkipGap, Bug::ApplyOutOfOrder]),
    ("revoked-while-paused", &[Bug::GhostKept]),
    ("product-in-any-order", &[Bug::BatchCutShort]),
];

/// A bug is planted for the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs something with a bug planted.
fn with<T>(bug: Bug, run: impl FnOnce() -> T) -> T {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    plant(Some(bug));
    let result = catch_unwind(AssertUnwindSafe(run));
    plant(None);
    drop(alone);
    result.unwrap_or_else(|panic| resume_unwind(panic))
}

#[test]
fn each_bug_is_found_by_its_checker() {
    for (bug, seed, promise) in FOUND {
        let broken = with(*bug, || run(&draw(*seed)).broken);
        let found = broken.as_ref().map(|broken| broken.promise);
        assert_eq!(found, Some(*promise), "{} with seed {seed}: {broken:?}", bug.name());
        println!("{:<36} seed {seed:<5} {promise}", bug.name());
    }
}

#[test]
fn no_bug_is_left_out() {
    let all = Bug::ALL.iter().copied();
    let missing: Vec<_> = all
        .filter(|bug| !FOUND.iter().any(|(found, ..)| found == bug))
        .filter(|bug| !NOTICED.iter().any(|(_, noticed)| noticed.contains(bug)))
        .map(Bug::name)
        .collect();
    assert_eq!(missing, [""; 0], "found by nothing");
}

/// Says whether a scenario fails with a bug, or panics, as some bugs make it.
fn notices(scenario: &Scenario, bug: Bug) -> bool {
    let fails = |seed| {
        let play = || with(bug, || scenario.run(seed).failed.is_some());
        catch_unwind(AssertUnwindSafe(play)).unwrap_or(true)
    };
    (1..=SEEDS).any(fails)
}

#[test]
fn each_scenario_notices_its_bugs() {
    let known = |scenario: &Scenario| NOTICED.iter().any(|(name, _)| *name == scenario.name);
    assert!(all().iter().all(known), "each scenario can fail");
    let mut missed = Vec::new();
    for (name, bugs) in NOTICED {
        let scenario = named(name).unwrap_or_else(|| panic!("no scenario is called {name}"));
        missed.extend(bugs.iter().filter(|bug| !notices(&scenario, **bug)).map(|bug| (name, bug)));
    }
    assert!(missed.is_empty(), "not noticed: {missed:#?}");
}

#[test]
fn a_failure_is_cut_down_to_what_it_needs() {
    with(Bug::SkipGap, || {
        let plan = draw(1);
        let broken = run(&plan).broken.expect("the bug shows in this seed");
        let (short, again) = shrink(&plan, &broken);
        assert_eq!(again.promise, broken.promise);
        assert!(short.acts.len() <= 10, "{} acts are left", short.acts.len());
        assert_eq!(run(&short).broken.map(|broken| broken.promise), Some(broken.promise));
    });
}
