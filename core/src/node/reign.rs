//! A reign: take over, open, read the repository, publish, snapshot, settle.
//!
//! The plan comes from [`crate::history::take_over`]. Whatever the store refuses ends the reign: a
//! position must never name two states, so a primary that finds the store elsewhere than it left it
//! does not go on in the same term.
//!
//! How a reign begins stands in `takeover.rs`, what its reads and writes lead to in `writes.rs`.

use super::{Base, Event, Held, Node, Reason, Settled, Step};
use crate::bugs::{self, Bug};
use crate::election::Loss;
use crate::format::{BatchMeta, Source};
use crate::history::{Claims, TakeOver, TermList};
use crate::id::{Position, Sequence, Term};
use crate::time::Instant;

/// One reign of this node.
#[derive(Clone, Debug)]
pub(super) struct Reign {
    pub(super) term: Term,
    pub(super) stage: Stage,
    pub(super) plan: TakeOver,
    /// The last position that the store acknowledged to this term.
    pub(super) acknowledged: Position,
    /// The last claims that a renewal showed as open.
    pub(super) claims: Settled,
    /// What this reign has raised for others.
    pub(super) raised: Claims,
    /// The claims that were known when the read under way began.
    pub(super) settling: Settled,
    /// When the next full read is due.
    pub(super) full_at: Instant,
    /// Full reads in a row that were incomplete. They settle nothing, and come less often each time.
    pub(super) incomplete: u32,
    /// When to try again after a failure, or a read that was incomplete.
    pub(super) retry_at: Option<Instant>,
    /// Bytes of the log since the newest snapshot, what earlier reigns published included.
    pub(super) log_bytes: u64,
    pub(super) snapshot_bytes: u64,
    pub(super) trim_due: bool,
    /// A renewal has told what live nodes report: of those that report every third of the TTL, all
    /// that reach the store have done so since this reign began.
    pub(super) heard: bool,
    /// The head's format.
    pub(super) format: u16,
    /// Where the newest snapshot stands.
    pub(super) snapshot_at: Position,
    /// The last batch that was sent is not known to stand.
    pub(super) unanswered: bool,
    /// Where the repository is read on from; none reads it in full.
    pub(super) since: Option<Source>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Reads the head, follows to it, or loads what it names.
    Looking,
    /// Begins the term on `previous`.
    Opening { previous: Position, sequence: Sequence },
    /// Makes a difference pending.
    Preparing,
    /// Publishes what is pending.
    Publishing,
    /// Writes the first snapshot of a store that had none.
    Filling { from: Position, format: u16 },
    /// Puts list or claims into the head.
    Sealing,
    /// Makes the staged state its own.
    Installing,
    /// Nothing to do but to wait for changes.
    Steady,
    /// Writes a snapshot in the midst of a reign; more batches follow it if some are pending.
    Packing { more: bool, format: u16 },
}

impl Reign {
    pub(super) fn is_steady(&self) -> bool {
        self.stage == Stage::Steady
    }

    pub(super) fn is_looking(&self) -> bool {
        self.stage == Stage::Looking
    }

    pub(super) fn is_of(&self, term: Term) -> bool {
        self.term == term
    }

    /// Tries again at once what waits for its next try.
    pub(super) fn hurry(&mut self) {
        self.retry_at = None;
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        let full = (self.stage == Stage::Steady).then_some(self.full_at);
        self.retry_at.or(full)
    }

    pub(super) fn see_claims(&mut self, claims: &[Position]) {
        self.claims = Settled::from_slice(claims).unwrap_or_default();
    }

    /// A new snapshot is due: the log has outgrown a quarter of the newest one.
    fn log_is_long(&self, log_min: u64) -> bool {
        self.log_bytes > log_min.max(self.snapshot_bytes / 4)
    }

    /// A snapshot has a place of its own.
    fn may_pack(&self) -> bool {
        self.snapshot_at != self.acknowledged
    }

    fn base(&self) -> Base {
        match (self.stage, self.plan) {
            (Stage::Steady, _) => Base::Own,
            (_, TakeOver::Restore | TakeOver::Reconcile) => Base::Staged,
            _ => Base::Own,
        }
    }
}

impl Node {
    pub(super) fn begin_reign(&mut self, now: Instant, term: Term) {
        self.reign = Some(Reign {
            term,
            stage: Stage::Looking,
            plan: TakeOver::Follow,
            acknowledged: Position::START,
            claims: Settled::new(),
            raised: Claims::new(),
            settling: Settled::new(),
            full_at: now,
            incomplete: 0,
            retry_at: None,
            log_bytes: 0,
            snapshot_bytes: 0,
            trim_due: false,
            heard: false,
            format: self.config.formats.oldest,
            snapshot_at: Position::START,
            unanswered: false,
            since: None,
        });
        self.push_event(Event::Won(term));
        self.report.primary = Some(self.config.node.clone());
        self.report.out_of_sync(now, Reason::TakingOver);
        self.drop_waiting_step();
        self.read_again();
    }

    pub(super) fn end_reign(&mut self, now: Instant, term: Term, why: Loss) {
        self.reign = None;
        self.raise_for = None;
        self.drop_waiting_step();
        self.push_event(Event::Lost(term, why));
        self.report.primary = None;
        self.report.out_of_sync(now, Reason::CatchingUp);
        self.read_again();
    }

    /// Drops the step that nobody has begun yet, and the staged state with it: the reign that is over
    /// or the one that begins decides anew. One that is being installed is the node's own next.
    fn drop_waiting_step(&mut self) {
        if !self.busy {
            self.step = None;
        }
        if !matches!(self.step, Some(Step::Install)) {
            self.staged = None;
        }
    }

    /// Begins the take-over again from the head, in the same term: nothing was published yet, or
    /// what was stands.
    pub(super) fn restart_reign(&mut self) {
        if let Some(reign) = &mut self.reign
            && reign.acknowledged == Position::START
        {
            reign.stage = Stage::Looking;
        }
    }

    /// Gives the last position that the store acknowledged to this reign.
    pub fn acknowledged(&self) -> Position {
        self.reign.as_ref().map_or(Position::START, |reign| reign.acknowledged)
    }

    /// Something besides waiting is due.
    pub(super) fn has_urgent(&self, now: Instant) -> bool {
        let Some(reign) = &self.reign else { return false };
        let waits = reign.retry_at.is_some_and(|at| now < at);
        !waits && reign.stage != Stage::Looking
    }

    /// Decides the next step of a reign.
    pub(super) fn reign_step(&mut self, now: Instant) -> Option<Step> {
        let acting = self.elector.acting(now);
        let held = self.held.clone();
        let staged = self.staged.clone();
        let fingerprint = self.base_fingerprint();
        let read = self.read_step();
        let unpublished = self.unpublished;
        let log_min = self.config.log_min;
        let least = self.live.as_ref().map(|report| report.count);
        let (format, packed_in) = (self.batch_format(now), self.snapshot_format(now));
        let format_is_due = self.format_is_due(now);
        let reign = self.reign.as_mut()?;
        if acting != Some(reign.term) || reign.retry_at.is_some_and(|at| now < at) {
            return None;
        }
        reign.retry_at = None;
        if bugs::planted(Bug::ClaimSettledByEarlierRead) && !reign.settling.is_empty() {
            reign.settling = reign.claims.clone();
        }
        let term = reign.term;
        let at = |sequence| Position { term, sequence };
        match reign.stage {
            Stage::Looking => Some(read),
            Stage::Opening { previous, sequence } => {
                let position = at(sequence);
                let (before, after) = (fingerprint, fingerprint);
                let meta = BatchMeta { position, previous, before, after };
                Some(Step::Open { term, meta, format })
            }
            Stage::Preparing => Some(match reign.plan {
                TakeOver::Restore => Step::Compare,
                // The store may have lost all it had, reports included.
                TakeOver::FirstLoad if !reign.heard && !bugs::planted(Bug::FirstLoadAtOnce) => {
                    return None;
                }
                TakeOver::FirstLoad => {
                    let least = least.filter(|_| !bugs::planted(Bug::FirstLoadUnguarded));
                    Step::ReadRepository { since: None, base: None, least, settles: false }
                }
                TakeOver::Follow => {
                    let since = reign.since.filter(|_| !unpublished);
                    let base = Some(Base::Own);
                    Step::ReadRepository { since, base, least: None, settles: false }
                }
                TakeOver::Reconcile => {
                    reign.settling = reign.claims.clone();
                    for claim in self.head.iter().flat_map(|h| h.claims.open()) {
                        if !reign.settling.contains(&claim) {
                            let _ = reign.settling.push(claim);
                        }
                    }
                    let settles = !reign.settling.is_empty();
                    let base = Some(Base::Staged);
                    Step::ReadRepository { since: None, base, least, settles }
                }
            }),
            // What is long is packed between batches, too: a difference may be longer than the room.
            Stage::Publishing if reign.base() == Base::Own && reign.trim_due => {
                Some(Step::Trim { term })
            }
            Stage::Publishing
                if reign.base() == Base::Own
                    && (reign.log_is_long(log_min) || (format_is_due && reign.may_pack())) =>
            {
                reign.stage = Stage::Packing { more: true, format: packed_in };
                self.reign_step(now)
            }
            Stage::Publishing => {
                let base = reign.base();
                let previous = reign.acknowledged;
                let position = at(previous.sequence.next()?);
                let list = own_list(reign.plan, held.as_ref(), position);
                let settled = reign.settling.clone();
                Some(Step::Publish { term, position, previous, base, format, list, settled })
            }
            Stage::Filling { from, format } => Some(Step::Snapshot {
                term,
                position: at(from.sequence.next()?),
                from: Some(from),
                pending: reign.plan == TakeOver::FirstLoad,
                format,
                list: own_list(reign.plan, held.as_ref(), at(from.sequence.next()?)),
                settled: reign.settling.clone(),
            }),
            Stage::Sealing => {
                let list = own_list(reign.plan, held.as_ref(), reign.acknowledged);
                let settled = reign.settling.clone();
                Some(Step::WriteHead { term, at: reign.acknowledged, list, settled })
            }
            Stage::Installing => staged.map(|_| Step::Install),
            Stage::Packing { format, .. } => {
                let (position, list, settled) = (reign.acknowledged, None, Settled::new());
                let pending = false;
                let from = None;
                Some(Step::Snapshot { term, position, from, pending, format, list, settled })
            }
            Stage::Steady => self.steady_step(now),
        }
    }

    fn base_fingerprint(&self) -> crate::digest::Fingerprint {
        let stored = || self.head.as_ref().map(|h| h.digest.fingerprint());
        match self.reign.as_ref().map(Reign::base) {
            Some(Base::Staged) => self.staged.as_ref().map(|s| s.digest.fingerprint()),
            _ if self.reign.as_ref().is_some_and(|r| r.plan == TakeOver::FirstLoad) => stored(),
            _ => self.held.as_ref().map(|h| h.digest.fingerprint()),
        }
        .or_else(stored)
        .unwrap_or_default()
    }

    fn steady_step(&mut self, now: Instant) -> Option<Step> {
        let raise = self
            .raise_for
            .map(|position| Step::Raise { seen: self.elector.known(), position: Some(position) });
        let log_min = self.config.log_min;
        let (format, format_is_due) = (self.snapshot_format(now), self.format_is_due(now));
        let reign = self.reign.as_mut()?;
        if raise.is_some() {
            return raise;
        }
        if reign.trim_due {
            return Some(Step::Trim { term: reign.term });
        }
        if reign.log_is_long(log_min) || (format_is_due && reign.may_pack()) {
            reign.stage = Stage::Packing { more: false, format };
            return self.reign_step(now);
        }
        if format_is_due {
            // Nothing is pending, so this is a batch without changes: the new snapshot must not
            // take the place of the one that holds the same state.
            reign.stage = Stage::Publishing;
            return self.reign_step(now);
        }
        let settle = !reign.claims.is_empty() && (reign.incomplete == 0 || now >= reign.full_at);
        let full = settle || core::mem::take(&mut self.full_wanted) || now >= reign.full_at;
        if full {
            reign.settling = reign.claims.clone();
            let least = self.live.as_ref().map(|report| report.count).filter(|_| settle);
            let (base, settles) = (Some(Base::Own), !reign.settling.is_empty());
            return Some(Step::ReadRepository { since: None, base, least, settles });
        }
        if core::mem::take(&mut self.repository_changed) {
            let since = Some(reign.since.unwrap_or_default()).filter(|_| !self.unpublished);
            let base = Some(Base::Own);
            return Some(Step::ReadRepository { since, base, least: None, settles: false });
        }
        None
    }
}

/// The own list, ending at `position`, where the plan puts it into the head.
fn own_list(plan: TakeOver, held: Option<&Held>, position: Position) -> Option<TermList> {
    let held = held.filter(|_| plan == TakeOver::Restore)?;
    let mut list = held.list.clone();
    list.advance(position);
    Some(list)
}
