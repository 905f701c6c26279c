//! Deliberate bugs, each of which a simulation must find: so it is known that its checkers see.
//!
//! With the feature `seeded-bugs` a test plants one with `plant`, for its whole process, and the
//! code asks [`planted`] where that bug would stand. Without the feature the answer is always no,
//! and nothing of it is left in what is built. What is shipped never has the feature.
//!
//! Each bug says what goes wrong, then which promise that breaks and in what history it shows:
//!
//! 1. A term has one primary, and no node follows a lower epoch than it has seen.
//! 2. A write of a deposed primary is refused and changes nothing.
//! 3. A published change reaches every node once in effect, in order.
//! 4. A node is ready only with a state that was announced as complete, and stays ready.
//! 5. Once faults stop, all nodes soon hold the same state, and it is the repository's.
//! 6. What was revoked is never found again without a new deploy.
//! 7. No read of the repository wipes the zone; absent removals may wait, evidenced ones never do.
//!
//! `docs/promises.md` has them in full, with how each is checked.

macro_rules! bugs {
    ($($(#[$doc:meta])* $bug:ident = $name:literal;)*) => {
        /// A bug that a test may plant.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Bug {
            $($(#[$doc])* $bug,)*
        }

        impl Bug {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$bug),*];

            /// Gives the name, as on a command line.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$bug => $name,)*
                }
            }
        }
    };
}

bugs! {
    // --- the lease ---

    /// The holder goes on for two TTLs after its lease ended.
    ///
    /// 1: renewals get no answer, another node takes the free lease, and both act.
    ActsPastLease = "acts-past-lease";
    /// The holder goes on asking for a lease that is over by its own clock, in place of giving it up.
    ///
    /// 1: the primary is cut off from the store, and acts until somebody tells it that it may not.
    RenewsAfterExpiry = "renews-after-expiry";
    /// The rules go by the calendar in place of the monotonic clock.
    ///
    /// 1, 5: a node's calendar jumps back; it holds on to a lease that is over, or sleeps.
    WallClockInLease = "wall-clock-in-lease";
    /// The store grants a request although it has given a newer epoch since.
    ///
    /// 1: a late copy of a request for the lease fences a reign; one term id gets two epochs.
    LateAcquireFences = "late-acquire-fences";
    /// A lease passes to a new start of a node of the same name.
    ///
    /// 1: a primary's process is killed and started again; it is given the lease before that ended.
    LeaseInherited = "lease-inherited";
    /// A clean stop does not give the lease back.
    ///
    /// 5: the primary is stopped; its successor comes only when the lease has run out.
    HandoverWithoutRelease = "handover-without-release";
    /// A candidate takes a lease whose stamp stood still for a tenth of the TTL.
    ///
    /// 1: a renewal is late; the lease is given away while its holder acts.
    ImpatientCandidate = "impatient-candidate";
    /// A candidate never takes a lease that stands, however long it stood still.
    ///
    /// 5: the primary dies and the store's clock jumps back; nobody is primary for that long.
    StillLeaseRespected = "still-lease-respected";
    /// A node that is no candidate stands all the same.
    ///
    /// 1, 5: the primary dies; an observer without a repository leads, and nothing is published.
    ObserverStands = "observer-stands";

    // --- the fence, and writes ---

    /// The fence compares epochs and no term ids.
    ///
    /// 2: the store goes back and gives the epoch of a living primary to another; both may write.
    FenceByEpochOnly = "fence-by-epoch-only";
    /// Chunks pass the fence.
    ///
    /// 2: a primary is deposed in the midst of a snapshot; its next chunk is stored.
    PlainChunkWrite = "plain-chunk-write";
    /// The store takes a batch wherever its head stands.
    ///
    /// 3, 5: the tail is lost or the store emptied under a primary; its log has a hole from then on.
    PublishAnywhere = "publish-anywhere";
    /// A chunk that did not arrive is not missed, neither by the writer nor by the commit.
    ///
    /// 5: a chunk is lost on its way; the head names a snapshot that nobody can load.
    CommitWithoutChunks = "commit-without-chunks";
    /// A trim drops the newest snapshot with the others.
    ///
    /// 5: after any snapshot a node starts, or has to heal; it finds no chunks.
    TrimTooFar = "trim-too-far";
    /// A batch that the fence refused is applied to the own state.
    ///
    /// 2, 3: a primary is deposed while it publishes; it serves what no other node ever will.
    StepDownKeepsWriting = "step-down-keeps-writing";
    /// A primary that finds the store behind begins again in its own term.
    ///
    /// 1, 3: the tail is lost under a primary; a position that some node holds gets another state.
    SameTermAfterBehind = "same-term-after-behind";
    /// A primary applies a batch before the store has it.
    ///
    /// 3: the batch is lost or refused; the primary serves a state that no position has.
    AppliesBeforeAcknowledgement = "applies-before-acknowledgement";
    /// A batch without an answer is taken to stand, and its changes are published once more.
    ///
    /// 3, 5: the reply to a batch is lost; the same changes are two entries, and the second does not
    /// build on the first.
    RetryAppliedTwice = "retry-applied-twice";

    // --- following ---

    /// The entries of one read are applied from the last to the first.
    ///
    /// 3, 6: a node is away for two batches or more; it passes through states that never were.
    ApplyOutOfOrder = "apply-out-of-order";
    /// Of the entries of one read only the newest is applied.
    ///
    /// 3: a node is away for two batches or more; it stands at the head without the others.
    SkipGap = "skip-gap";
    /// The last of several changes is not applied, and the digest is taken from the batch.
    ///
    /// 3, 5: no fault needed; a follower in sync holds another state than the primary.
    BatchCutShort = "batch-cut-short";
    /// Digests are not compared: neither with an entry's when it is applied, nor with the head's.
    ///
    /// 3: an entry lacks a change on its way, though its checksum fits; a follower takes it.
    DigestNotCompared = "digest-not-compared";
    /// A term is told by its epoch alone, so another branch of that epoch covers one's own.
    ///
    /// 3, 6: two masters, or an old copy, give one epoch twice; nodes change branch, claiming nothing.
    FollowFork = "follow-fork";
    /// The list tells which terms there were and not how far they came.
    ///
    /// 3, 6: the tail is lost; nodes that hold it go back with the store, claiming nothing.
    ListHoldsBeginnings = "list-holds-beginnings";
    /// A term that the list does not have counts as covered.
    ///
    /// 3, 6: an old copy or another master lacks a whole reign; nodes give up what it published.
    MissingTermCovered = "missing-term-covered";
    /// A node reads on at a store whose term is below what it has seen.
    ///
    /// 1: a node hears of a reign that has not begun, and is then led to a master without it.
    EpochGoesBack = "epoch-goes-back";
    /// A node whose position is claimed raises again, and each raise fences.
    ///
    /// 5: the store loses something; no reign lasts long enough to settle that.
    RaiseForEver = "raise-for-ever";
    /// A cold node is ready as soon as there is a head.
    ///
    /// 4: a node starts, or the first load is cut short, before the first snapshot stands.
    ReadyBeforeComplete = "ready-before-complete";
    /// A node is no longer ready once its store does not answer.
    ///
    /// 4: the store is away for a moment.
    ReadyTakenBack = "ready-taken-back";
    /// A chunk that cannot be had is passed over, and the state taken for whole.
    ///
    /// 3, 4: the answer to a read of a chunk is lost while a node starts or heals.
    SnapshotHalfRead = "snapshot-half-read";
    /// A loaded state adds and changes, but removes nothing.
    ///
    /// 3, 5, 6: a node heals after something was removed.
    GhostKept = "ghost-kept";
    /// A loaded state is installed whatever the head that it was read with says.
    ///
    /// 3, 6: a node loads since its claim was settled, and the store loses that settlement meanwhile.
    LogAndHeadFromTwoMasters = "log-and-head-from-two-masters";
    /// An open claim counts as settled.
    ///
    /// 3, 6: the store loses something; the nodes that hold it drop it before anybody read the truth.
    OwnClaimLeft = "own-claim-left";
    /// The store fences at a raise, but does not keep the claim.
    ///
    /// 5: the store loses something; the nodes that hold it raise and wait for ever.
    ClaimNotKept = "claim-not-kept";

    // --- formats ---

    /// A primary writes its own newest format, whatever others read.
    ///
    /// 10: nodes of two versions; one of the newer leads.
    WritesOwnNewest = "writes-own-newest";
    /// A primary never goes back to an older format.
    ///
    /// 5, 10: a node of the version before joins a zone in the newer format; it never follows.
    FormatNeverFalls = "format-never-falls";
    /// A node that cannot read the format stands.
    ///
    /// 10: the zone is in the newer format; the primary goes, and one of the version before leads.
    StandsUnreadable = "stands-unreadable";

    // --- the image ---

    /// The journal of an image is not read, only its snapshot.
    ///
    /// 6: a node restarts; a key that was revoked after the snapshot is found again.
    JournalNotReplayed = "journal-not-replayed";
    /// A state from an image counts as the zone's although no head has confirmed it.
    ///
    /// 4: a node starts from its image beside a store that does not answer; nothing says that what
    /// it serves may be old.
    ImageTakenForTheZones = "image-taken-for-the-zones";
    /// An image says that a batch is safe before the disk does.
    ///
    /// 6: a machine dies while its disk writes; the batch is gone after the restart.
    SafeTooSoon = "safe-too-soon";

    // --- taking over, and reading the repository ---

    /// A new primary publishes its memory over a branch that it does not know.
    ///
    /// 3, 6: two masters; what the other branch changed is undone, and then read again.
    MemoryOfAnotherBranchPublished = "memory-of-another-branch-published";
    /// Of two branches the one that no live report is above counts as the newest.
    ///
    /// 3, 6: as above, where the others' reports are old, or went back with the store.
    ReportsDecideNewest = "reports-decide-newest";
    /// A primary that holds nothing makes a first load although the store holds a state.
    ///
    /// 7: all nodes are started anew, and the repository answers in part.
    ColdFoundsTruth = "cold-founds-truth";
    /// A first load does not wait for what live nodes report.
    ///
    /// 7: the store restarts empty, a cold node finds it first, and the repository answers in part.
    FirstLoadAtOnce = "first-load-at-once";
    /// A first load is not measured by what live nodes hold.
    ///
    /// 7: the store restarts empty, a cold node leads, and the repository answers in part.
    FirstLoadUnguarded = "first-load-unguarded";
    /// A read settles claims that were made while it ran.
    ///
    /// 3, 6: a slow read; a row changes, the other master's primary publishes that, its nodes claim.
    ClaimSettledByEarlierRead = "claim-settled-by-earlier-read";
    /// A primary does not look at the claims that renewals show.
    ///
    /// 5: the store loses something that a follower holds; it waits for ever.
    ClaimsIgnored = "claims-ignored";
    /// A read that missed rows settles claims.
    ///
    /// 3, 6, 7: claims are open while the repository answers in part.
    IncompleteReadSettles = "incomplete-read-settles";
    /// A read that missed rows moves `source` past them.
    ///
    /// 5: the repository answers in part for longer than the slack of a read, then the primary dies;
    /// its successor reads on too late.
    IncompleteReadMovesSource = "incomplete-read-moves-source";
    /// `source` moves with the first batch of several; each batch has one change.
    ///
    /// 5: the primary dies between two batches; its successor never reads the rest.
    SourceAheadOfData = "source-ahead-of-data";
    /// A node forgets that it read what it could not publish.
    ///
    /// 5: nobody leads for longer than the slack of a read; the reign that reads what happened ends
    /// before its last batch, and the same node leads again.
    UnpublishedReadLost = "unpublished-read-lost";
    /// What was pending when a reign ended is published in the node's next one.
    ///
    /// 6: a reign ends while it publishes a key; another publishes it and its end; then the first
    /// node leads again.
    RemovalUndoneByStale = "removal-undone-by-stale";
    /// Within a batch, what gives access comes before what takes it away.
    ///
    /// 3: no fault needed; the log shows it, and so does a difference of several batches.
    RevocationAfterDeploy = "revocation-after-deploy";

    // --- removals ---

    /// The guard lets everything pass.
    ///
    /// 7: the repository answers in part or not at all, and looks whole.
    GuardAsleep = "guard-asleep";
    /// A held set passes when it is seen a second time.
    ///
    /// 7: the repository answers in part for two full reads.
    GuardPassedByRepetition = "guard-passed-by-repetition";
    /// Evidenced removals are judged as absent ones are.
    ///
    /// 7: a full read is the first to see that a fifth of a kind was revoked or closed.
    GuardStopsEvidenced = "guard-stops-evidenced";
    /// A new primary begins with an empty guard.
    ///
    /// 7: a few rows vanish in each of several reigns; together they pass the measure.
    GuardForgottenAtTakeover = "guard-forgotten-at-takeover";
    /// What is held back is not written down.
    ///
    /// 7: many rows vanish; no head and no status says that they wait, so nobody can confirm it.
    HeldForgotten = "held-forgotten";
    /// A row that the look-up by id finds is removed all the same.
    ///
    /// 7: a full read misses one or two rows of many.
    PresentRowRemoved = "present-row-removed";
    /// A row that cannot be mapped counts as off.
    ///
    /// 7: a poison row takes the place of a good one.
    SweepOfQuarantined = "sweep-of-quarantined";
    /// A row that cannot be mapped stops the whole read.
    ///
    /// 5: a poison row stands while others change.
    PoisonBlocksAll = "poison-blocks-all";
    /// A row that cannot be mapped settles claims although the zone has no version of it.
    ///
    /// 7: a poison row stands when the store restarts empty; a cold node founds the zone without it,
    /// and whoever holds its last good version drops that.
    UnreadableSettles = "unreadable-settles";
    /// A row that only the node's own filter leaves out counts as off.
    ///
    /// 7: the last node with the zone's filter goes, and one with another takes over.
    OtherFilterEmpties = "other-filter-empties";
}

impl Bug {
    /// Finds a bug by its name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|bug| bug.name() == name).copied()
    }
}

/// Says whether `bug` is planted in this thread.
#[cfg(not(feature = "seeded-bugs"))]
#[inline(always)]
pub const fn planted(_bug: Bug) -> bool {
    false
}

#[cfg(feature = "seeded-bugs")]
pub use switch::{plant, planted};

#[cfg(feature = "seeded-bugs")]
mod switch {
    use core::sync::atomic::{AtomicUsize, Ordering};

    use super::Bug;

    /// One more than the bug's place among all; zero for none.
    static PLANTED: AtomicUsize = AtomicUsize::new(0);

    /// Plants `bug` in this process in the place of the one before; none takes it out.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.store(bug.map_or(0, |bug| bug as usize + 1), Ordering::Relaxed);
    }

    /// Says whether `bug` is planted in this process.
    pub fn planted(bug: Bug) -> bool {
        PLANTED.load(Ordering::Relaxed) == bug as usize + 1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::format;
    use std::string::String;

    use super::*;

    /// Writes a name as the language does: `SkipGap` for `skip-gap`.
    fn in_code(name: &str) -> String {
        let word = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
        name.split('-').map(word).collect()
    }

    #[test]
    fn names_are_those_of_the_code_and_lead_back() {
        let names: BTreeSet<_> = Bug::ALL.iter().map(|bug| bug.name()).collect();
        assert_eq!(names.len(), Bug::ALL.len());
        for bug in Bug::ALL {
            assert_eq!(in_code(bug.name()), format!("{bug:?}"));
            assert_eq!(Bug::from_name(bug.name()), Some(*bug));
        }
        assert_eq!(Bug::from_name("none"), None);
    }

    #[cfg(not(feature = "seeded-bugs"))]
    #[test]
    fn nothing_is_planted_without_the_feature() {
        assert!(!Bug::ALL.iter().any(|bug| planted(*bug)));
    }

    #[cfg(feature = "seeded-bugs")]
    #[test]
    fn one_bug_is_planted_at_a_time() {
        plant(Some(Bug::SkipGap));
        assert!(planted(Bug::SkipGap) && !planted(Bug::GhostKept));
        plant(Some(Bug::GhostKept));
        assert!(planted(Bug::GhostKept) && !planted(Bug::SkipGap));
        plant(None);
        assert!(!Bug::ALL.iter().any(|bug| planted(*bug)));
    }
}
