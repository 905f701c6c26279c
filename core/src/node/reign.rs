//! A reign: take over, open, read the repository, publish, snapshot, settle.
//!
//! The plan comes from [`history::take_over`]. Whatever the store refuses ends the reign: a position
//! must never name two states, so a primary that finds the store elsewhere than it left it does not
//! go on in the same term.

use super::{Base, Difference, Event, Held, Node, Reason, Settled, Step, Write};
use crate::election::Loss;
use crate::format::{BatchMeta, Head, Source};
use crate::history::{self, TakeOver, TermList};
use crate::id::{Position, Sequence, Term};
use crate::time::Instant;

/// A log smaller than this needs no new snapshot.
const LOG_MIN: u64 = 1 << 20;

/// One reign of this node.
#[derive(Clone, Debug)]
pub(super) struct Reign {
    term: Term,
    stage: Stage,
    plan: TakeOver,
    /// The last position that the store acknowledged to this term.
    acknowledged: Position,
    /// The last claims that a renewal showed as open.
    claims: Settled,
    /// The claims that were known when the read under way began.
    settling: Settled,
    /// When the next full read is due.
    full_at: Instant,
    /// When to try again after a failure, or a read that was incomplete.
    retry_at: Option<Instant>,
    /// Bytes published since the newest snapshot.
    log_bytes: u64,
    snapshot_bytes: u64,
    trim_due: bool,
    /// Where the repository is read on from; none reads it in full.
    since: Option<Source>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Reads the head, follows to it, or loads what it names.
    Looking,
    /// Begins the term on `previous`.
    Opening { previous: Position, sequence: Sequence },
    /// Makes a difference pending.
    Preparing,
    /// Publishes what is pending.
    Publishing,
    /// Writes the first snapshot of a store that had none.
    Filling { from: Position },
    /// Puts list or claims into the head.
    Sealing,
    /// Makes the staged state its own.
    Installing,
    /// Nothing to do but to wait for changes.
    Steady,
    /// Writes a snapshot in the midst of a reign.
    Packing,
}

impl Reign {
    pub(super) fn is_steady(&self) -> bool {
        self.stage == Stage::Steady
    }

    pub(super) fn is_looking(&self) -> bool {
        self.stage == Stage::Looking
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        let full = (self.stage == Stage::Steady).then_some(self.full_at);
        self.retry_at.or(full)
    }

    pub(super) fn see_claims(&mut self, claims: &[Position]) {
        self.claims = Settled::from_slice(claims).unwrap_or_default();
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
            settling: Settled::new(),
            full_at: now,
            retry_at: None,
            log_bytes: 0,
            snapshot_bytes: 0,
            trim_due: false,
            since: None,
        });
        self.push_event(Event::Won(term));
        self.report.primary = Some(self.config.node.clone());
        self.report.out_of_sync(now, Reason::TakingOver);
        self.reread = self.busy && matches!(self.step, Some(Step::Read { .. }));
        if !self.busy {
            self.step = None;
        }
        self.read_again();
    }

    pub(super) fn end_reign(&mut self, now: Instant, term: Term, why: Loss) {
        self.reign = None;
        self.staged = None;
        if !self.busy {
            self.step = None;
        }
        self.push_event(Event::Lost(term, why));
        self.report.out_of_sync(now, Reason::CatchingUp);
        self.read_again();
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

    /// Decides how to begin, from the head as read after the lease was taken.
    pub(super) fn take_over(&mut self, now: Instant, entries: &[BatchMeta], gap: bool) {
        let head = self.head.clone();
        let complete = head.as_ref().filter(|h| h.is_complete());
        let held = self.held.as_ref().map(|h| (h.position, &h.list));
        let plan = history::take_over(held, complete.map(|h| (&h.list, &h.claims)));
        let Some(reign) = &mut self.reign else { return };
        reign.plan = plan;
        let at = head.as_ref().map_or(Position::START, Head::position);
        match (plan, complete) {
            (TakeOver::FirstLoad, _) | (TakeOver::Restore, None) => self.open(at),
            (TakeOver::Follow, _) => {
                let there = self.held.as_ref().is_some_and(|h| {
                    h.position == at
                        && head
                            .as_ref()
                            .is_some_and(|head| head.digest.fingerprint() == h.digest.fingerprint())
                });
                if there {
                    self.arrive(now);
                    self.open(at);
                } else {
                    self.follow(now, entries, gap);
                }
            }
            (TakeOver::Restore, Some(head)) => self.load(now, head),
            (TakeOver::Reconcile, Some(head)) => {
                let position = self.held.as_ref().map(|h| h.position);
                if position.is_some_and(|p| !head.claims.contains(p)) {
                    self.step = Some(Step::Raise { seen: self.elector.known(), position });
                } else {
                    self.load(now, head);
                }
            }
            (TakeOver::Reconcile, None) => unreachable!("two branches need two states"),
        }
    }

    pub(super) fn reign_wants_staged(&self) -> bool {
        self.reign.as_ref().is_some_and(|r| {
            r.stage == Stage::Looking && matches!(r.plan, TakeOver::Restore | TakeOver::Reconcile)
        })
    }

    pub(super) fn open_on_staged(&mut self) {
        if let Some(staged) = &self.staged {
            self.open(staged.position);
        }
    }

    /// Begins the term on `previous`, with a sequence above one's own and every claimed one.
    fn open(&mut self, previous: Position) {
        let claimed = self.head.iter().flat_map(|h| h.claims.claims()).map(|c| c.position.sequence);
        let own = self.held.as_ref().map(|h| h.position.sequence);
        let highest = claimed.chain(own).chain([previous.sequence]).max();
        let Some(sequence) = highest.unwrap_or_default().next() else { return };
        if let Some(reign) = &mut self.reign {
            reign.stage = Stage::Opening { previous, sequence };
        }
        self.rest_until = None;
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
        let least = self.live.as_ref().map(|report| report.count);
        let reign = self.reign.as_mut()?;
        if acting != Some(reign.term) || reign.retry_at.is_some_and(|at| now < at) {
            return None;
        }
        reign.retry_at = None;
        let term = reign.term;
        let at = |sequence| Position { term, sequence };
        match reign.stage {
            Stage::Looking => Some(read),
            Stage::Opening { previous, sequence } => {
                let position = at(sequence);
                let (before, after) = (fingerprint, fingerprint);
                Some(Step::Open { term, meta: BatchMeta { position, previous, before, after } })
            }
            Stage::Preparing => Some(match reign.plan {
                TakeOver::Restore => Step::Compare,
                TakeOver::FirstLoad => Step::ReadRepository { since: None, base: None, least },
                TakeOver::Follow => {
                    Step::ReadRepository { since: reign.since, base: Some(Base::Own), least: None }
                }
                TakeOver::Reconcile => {
                    reign.settling = reign.claims.clone();
                    for claim in self.head.iter().flat_map(|h| h.claims.open()) {
                        if !reign.settling.contains(&claim) {
                            let _ = reign.settling.push(claim);
                        }
                    }
                    Step::ReadRepository { since: None, base: Some(Base::Staged), least }
                }
            }),
            Stage::Publishing => {
                let base = reign.base();
                let previous = reign.acknowledged;
                let position = at(previous.sequence.next()?);
                let list = own_list(reign.plan, held.as_ref(), position);
                let settled = reign.settling.clone();
                Some(Step::Publish { term, position, previous, base, list, settled })
            }
            Stage::Filling { from } => Some(Step::Snapshot {
                term,
                position: at(from.sequence.next()?),
                from: Some(from),
                pending: reign.plan == TakeOver::FirstLoad,
                list: own_list(reign.plan, held.as_ref(), at(from.sequence.next()?)),
                settled: reign.settling.clone(),
            }),
            Stage::Sealing => {
                let list = own_list(reign.plan, held.as_ref(), reign.acknowledged);
                let settled = reign.settling.clone();
                Some(Step::WriteHead { term, at: reign.acknowledged, list, settled })
            }
            Stage::Installing => staged.map(|_| Step::Install),
            Stage::Packing => {
                let (position, list, settled) = (reign.acknowledged, None, Settled::new());
                let pending = false;
                Some(Step::Snapshot { term, position, from: None, pending, list, settled })
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
        let reign = self.reign.as_mut()?;
        if raise.is_some() {
            return raise;
        }
        if reign.trim_due {
            return Some(Step::Trim { term: reign.term });
        }
        if reign.log_bytes > LOG_MIN.max(reign.snapshot_bytes / 4) {
            reign.stage = Stage::Packing;
            return self.reign_step(now);
        }
        let settle = !reign.claims.is_empty();
        let full = settle || core::mem::take(&mut self.full_wanted) || now >= reign.full_at;
        if full {
            reign.settling = reign.claims.clone();
            let least = self.live.as_ref().map(|report| report.count).filter(|_| settle);
            return Some(Step::ReadRepository { since: None, base: Some(Base::Own), least });
        }
        if core::mem::take(&mut self.repository_changed) {
            let since = Some(reign.since.unwrap_or_default());
            return Some(Step::ReadRepository { since, base: Some(Base::Own), least: None });
        }
        None
    }

    /// Takes in what became of an opening entry, a head write or a trim.
    pub fn handle_written(&mut self, now: Instant, write: Write) {
        let step = self.finish();
        let (Some(Step::Open { term, .. })
        | Some(Step::WriteHead { term, .. })
        | Some(Step::Trim { term })) = step
        else {
            return;
        };
        if !self.accepted(now, term, write) {
            return;
        }
        match step {
            Some(Step::Open { meta, .. }) => self.opened(now, meta),
            Some(Step::WriteHead { list, settled, .. }) => {
                self.settle(settled.len());
                if let (Some(list), Some(head)) = (list, &mut self.head) {
                    head.list = list;
                }
                self.published_all();
            }
            _ => {
                if let Some(reign) = &mut self.reign {
                    reign.trim_due = false;
                }
            }
        }
    }

    /// Says whether a write stands; else begins again, or ends the reign.
    fn accepted(&mut self, now: Instant, term: Term, write: Write) -> bool {
        let Some(reign) = self.reign.as_mut().filter(|r| r.term == term) else { return false };
        match write {
            Write::Done => {
                reign.retry_at = None;
                self.failures = 0;
                return true;
            }
            Write::Failed => {
                self.failures = (self.failures + 1).min(5);
                let pause = self.config.poll / 20 * (1 << self.failures);
                reign.retry_at = Some(now + pause);
                self.report.out_of_sync(now, Reason::StoreDown);
            }
            Write::Fenced => self.elector.handle_refused(now, term, Loss::Fenced),
            Write::Lost => self.elector.handle_refused(now, term, Loss::Behind),
        }
        self.take_election_events(now);
        false
    }

    fn opened(&mut self, now: Instant, meta: BatchMeta) {
        self.push_event(Event::Opened(meta.position));
        let known = self.head.as_ref().map_or(Source::default(), |h| h.source);
        let snapshot = self.head.as_ref().and_then(|h| h.snapshot).map_or(0, |s| s.bytes);
        let Some(reign) = &mut self.reign else { return };
        reign.acknowledged = meta.position;
        reign.snapshot_bytes = snapshot;
        reign.since = if known == Source::default() { None } else { Some(known) };
        reign.full_at = now + self.config.full_read;
        reign.stage = Stage::Preparing;
        match reign.plan {
            TakeOver::Follow => {
                advance(self.held.as_mut(), meta.position);
                self.report.in_sync();
            }
            TakeOver::Restore if self.staged.is_none() => {
                reign.stage = Stage::Filling { from: meta.position };
            }
            TakeOver::Restore | TakeOver::Reconcile => {
                advance(self.staged.as_mut(), meta.position);
            }
            TakeOver::FirstLoad => {}
        }
    }

    /// Takes in what a read of the repository, or a comparison, made pending.
    pub fn handle_repository(&mut self, now: Instant, difference: Difference) {
        let step = self.finish();
        let full = matches!(step, Some(Step::ReadRepository { since: None, .. }));
        let Some(reign) = &mut self.reign else { return };
        if !matches!(reign.stage, Stage::Preparing | Stage::Steady) {
            // It was asked for by a reign that is over.
            return;
        }
        match difference {
            Difference::Pending { changes, complete, head } => {
                reign.retry_at = None;
                self.failures = 0;
                if full && complete {
                    reign.full_at = now + self.config.full_read;
                }
                if full && !complete {
                    reign.settling = Settled::new();
                    reign.full_at = now + self.config.poll * 5;
                }
                reign.since.get_or_insert_default();
                let filling = reign.plan == TakeOver::FirstLoad && reign.stage == Stage::Preparing;
                reign.stage = if filling {
                    Stage::Filling { from: reign.acknowledged }
                } else if changes > 0 {
                    if reign.stage == Stage::Steady {
                        reign.plan = TakeOver::Follow;
                    }
                    Stage::Publishing
                } else if head || !reign.settling.is_empty() || reign.plan == TakeOver::Restore {
                    Stage::Sealing
                } else {
                    return self.published_all();
                };
            }
            Difference::Short => {
                reign.retry_at = Some(now + self.config.poll);
                self.report.out_of_sync(now, Reason::Short);
                self.push_event(Event::HeldShort);
            }
            Difference::Failed => {
                self.failures = (self.failures + 1).min(5);
                reign.retry_at = Some(now + self.config.poll / 4 * (1 << self.failures));
                if full && reign.stage == Stage::Steady {
                    self.full_wanted = true;
                } else if reign.stage == Stage::Steady {
                    self.repository_changed = true;
                }
            }
        }
    }

    /// Takes in what became of a batch: its record's size, how many changes are still pending, and
    /// the base's digest after it.
    pub fn handle_published(
        &mut self,
        now: Instant,
        write: Write,
        bytes: u64,
        remaining: usize,
        base: &crate::digest::Digest,
    ) {
        let step = self.finish();
        let Some(Step::Publish { term, position, base: which, settled, .. }) = step else { return };
        if write == Write::Done {
            let state = match which {
                Base::Own => self.held.as_mut(),
                Base::Staged => self.staged.as_mut(),
            };
            if let Some(state) = state {
                state.digest = base.clone();
                state.position = position;
                state.list.advance(position);
            }
        }
        if !self.accepted(now, term, write) {
            return;
        }
        let Some(reign) = &mut self.reign else { return };
        reign.acknowledged = position;
        reign.log_bytes += bytes;
        if remaining == 0 {
            self.settle(settled.len());
            self.published_all();
        }
    }

    /// Takes in what became of a snapshot: its bytes, and for one that filled the store, what it
    /// holds.
    pub fn handle_snapshot(&mut self, now: Instant, write: Write, bytes: u64, held: Option<Held>) {
        let step = self.finish();
        let Some(Step::Snapshot { term, position, from, list, settled, .. }) = step else { return };
        if write == Write::Done && from.is_some() {
            if let Some(held) = held {
                self.held = Some(held);
            }
            if let Some(held) = &mut self.held {
                held.position = position;
                held.list = list.clone().unwrap_or_else(|| held.list.clone());
                held.list.advance(position);
            }
        }
        if !self.accepted(now, term, write) {
            return;
        }
        let Some(reign) = &mut self.reign else { return };
        reign.log_bytes = 0;
        reign.snapshot_bytes = bytes;
        reign.trim_due = true;
        if from.is_some() {
            reign.acknowledged = position;
            self.settle(settled.len());
            if !self.report.ready {
                self.report.ready = true;
                self.push_event(Event::Ready(position));
            }
        }
        self.published_all();
    }

    /// Everything that was pending stands.
    fn published_all(&mut self) {
        let Some(reign) = &mut self.reign else { return };
        reign.settling.clear();
        match reign.plan {
            TakeOver::Reconcile if reign.stage != Stage::Steady && self.staged.is_some() => {
                reign.stage = Stage::Installing;
                return;
            }
            TakeOver::Restore => {
                // The own state was the target all along; only its place is new.
                let staged = self.staged.take();
                if let (Some(held), Some(_)) = (&mut self.held, staged) {
                    held.list.advance(reign.acknowledged);
                    held.position = reign.acknowledged;
                }
                // What changed in the repository since then comes next.
                reign.plan = TakeOver::Follow;
                reign.stage = Stage::Preparing;
                return;
            }
            _ => {}
        }
        reign.plan = TakeOver::Follow;
        reign.stage = Stage::Steady;
        self.report.in_sync();
    }

    /// The staged state is the own one: a reconciling primary goes on.
    pub(super) fn reign_is_reconciled(&mut self) -> bool {
        let installing = self.reign.as_ref().is_some_and(|r| r.stage == Stage::Installing);
        if installing {
            if let Some(reign) = &mut self.reign {
                reign.plan = TakeOver::Follow;
            }
            self.published_all();
        }
        installing
    }

    fn settle(&mut self, settled: usize) {
        if settled > 0 {
            if let Some(reign) = &mut self.reign {
                reign.claims.clear();
            }
            self.push_event(Event::Settled(settled));
        }
    }
}

/// The own list, ending at `position`, where the plan puts it into the head.
fn own_list(plan: TakeOver, held: Option<&Held>, position: Position) -> Option<TermList> {
    let held = held.filter(|_| plan == TakeOver::Restore)?;
    let mut list = held.list.clone();
    list.advance(position);
    Some(list)
}

fn advance(state: Option<&mut Held>, position: Position) {
    if let Some(state) = state {
        state.position = position;
        state.list.advance(position);
    }
}
