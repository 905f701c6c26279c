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
const FOUND: &[(Bug, u64, Promise)] = &[
    (Bug::ActsPastLease, 1, Promise::OnePrimary),
    (Bug::WallClockInLease, 3, Promise::OnePrimary),
    (Bug::LateAcquireFences, 329, Promise::OnePrimary),
    (Bug::LeaseInherited, 1, Promise::OnePrimary),
    (Bug::HandoverWithoutRelease, 3, Promise::InTime),
    (Bug::ImpatientCandidate, 1, Promise::OnePrimary),
    (Bug::StillLeaseRespected, 2, Promise::InTime),
    (Bug::ObserverStands, 1, Promise::OnePrimary),
    (Bug::PlainChunkWrite, 37, Promise::Fenced),
    (Bug::PublishAnywhere, 1, Promise::InOrder),
    (Bug::CommitWithoutChunks, 248, Promise::Converges),
    (Bug::TrimTooFar, 1, Promise::Converges),
    (Bug::StepDownKeepsWriting, 4, Promise::InOrder),
    (Bug::SameTermAfterBehind, 20, Promise::InOrder),
    (Bug::AppliesBeforeAcknowledgement, 1, Promise::InOrder),
    (Bug::RetryAppliedTwice, 14, Promise::Converges),
    (Bug::ApplyOutOfOrder, 1, Promise::InOrder),
    (Bug::SkipGap, 1, Promise::InOrder),
    (Bug::BatchCutShort, 1, Promise::InOrder),
    (Bug::FollowFork, 145, Promise::InOrder),
    (Bug::ListHoldsBeginnings, 3, Promise::InOrder),
    (Bug::MissingTermCovered, 1, Promise::OnePrimary),
    (Bug::RaiseForEver, 4, Promise::Converges),
    (Bug::ReadyBeforeComplete, 18, Promise::OnlyAnnounced),
    (Bug::ReadyTakenBack, 1, Promise::OnlyAnnounced),
    (Bug::SnapshotHalfRead, 5, Promise::NeverWiped),
    (Bug::GhostKept, 1, Promise::InOrder),
    (Bug::OwnClaimLeft, 1, Promise::OnePrimary),
    (Bug::ClaimNotKept, 4, Promise::Converges),
    (Bug::JournalNotReplayed, 1, Promise::StaysRevoked),
    (Bug::SafeTooSoon, 17, Promise::StaysRevoked),
    (Bug::MemoryOfAnotherBranchPublished, 121, Promise::InOrder),
    (Bug::ReportsDecideNewest, 121, Promise::InOrder),
    (Bug::ClaimsIgnored, 6, Promise::Converges),
    (Bug::IncompleteReadSettles, 378, Promise::StaysRevoked),
    (Bug::GuardForgottenAtTakeover, 218, Promise::NeverWiped),
    (Bug::RemovalUndoneByStale, 4, Promise::InOrder),
    (Bug::OtherFilterEmpties, 243, Promise::NeverWiped),
];

/// The bugs that `scenarios.rs` finds.
const BY_SCENARIO: &[Bug] = &[
    Bug::FenceByEpochOnly,
    Bug::ClaimSettledByEarlierRead,
    Bug::GuardStopsEvidenced,
    Bug::ColdFoundsTruth,
    Bug::FirstLoadUnguarded,
    Bug::SourceAheadOfData,
    Bug::RevocationAfterDeploy,
    Bug::GuardAsleep,
    Bug::GuardPassedByRepetition,
    Bug::HeldForgotten,
    Bug::PresentRowRemoved,
    Bug::SweepOfQuarantined,
    Bug::PoisonBlocksAll,
];

/// The bugs that no simulated history is known to show: their seeds were not found within
/// [`SEEDS`]. Tests of the rules and of whole zones see them.
const UNSEEN: &[Bug] = &[
    Bug::EpochGoesBack,
    Bug::LogAndHeadFromTwoMasters,
    Bug::IncompleteReadMovesSource,
    Bug::UnpublishedReadLost,
];

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
        .filter(|bug| !FOUND.iter().any(|(found, ..)| found == bug))
        .filter(|bug| !BY_SCENARIO.contains(bug) && !UNSEEN.contains(bug))
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
