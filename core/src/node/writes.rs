//! What became of a primary's reads and writes.

use super::reign::Stage;
use super::{Base, Difference, Event, Held, Node, Reason, Settled, Step, Write};
use crate::bugs::{self, Bug};
use crate::digest::Digest;
use crate::election::Loss;
use crate::history::TakeOver;
use crate::id::{Position, Term};
use crate::time::Instant;

/// After how many polls an incomplete full read is tried again, at first.
const INCOMPLETE_POLLS: u32 = 5;

impl Node {
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
                self.settle(&settled);
                if let (Some(list), Some(head)) = (list, &mut self.head) {
                    head.list = list;
                }
                self.published_all(now);
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
        let Some(reign) = self.reign.as_mut().filter(|r| r.is_of(term)) else { return false };
        match write {
            Write::Done => {
                reign.retry_at = None;
                self.failures = 0;
                self.report_standing(now);
                return true;
            }
            Write::Failed | Write::Full => {
                self.failures = (self.failures + 1).min(5);
                let pause = self.config.poll / 20 * (1 << self.failures);
                reign.retry_at = Some(now + pause);
                let full = write == Write::Full;
                let reason = if full { Reason::StoreFull } else { Reason::StoreDown };
                self.report.out_of_sync(now, reason);
            }
            Write::Lost if bugs::planted(Bug::SameTermAfterBehind) => {
                reign.acknowledged = Position::START;
                self.restart_reign();
                self.read_again();
            }
            Write::Fenced => self.elector.handle_refused(now, term, Loss::Fenced),
            Write::Lost => self.elector.handle_refused(now, term, Loss::Behind),
        }
        self.take_election_events(now);
        false
    }

    /// Takes in what a read of the repository, or a comparison, made pending.
    pub fn handle_repository(&mut self, now: Instant, difference: Difference) {
        let step = self.finish();
        let full = matches!(step, Some(Step::ReadRepository { since: None, .. }));
        if matches!(step, Some(Step::ReadRepository { .. })) {
            self.see_read(full, &difference);
        }
        let format = self.formats.wanted(now);
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
                    reign.incomplete = 0;
                    reign.full_at = now + self.config.full_read;
                    if bugs::planted(Bug::ClaimSettledByEarlierRead) && !reign.claims.is_empty() {
                        reign.settling = reign.claims.clone();
                    }
                }
                if full && !complete {
                    if !bugs::planted(Bug::IncompleteReadSettles) {
                        reign.settling = Settled::new();
                    }
                    let pause = self.config.poll * (INCOMPLETE_POLLS << reign.incomplete.min(10));
                    reign.incomplete += 1;
                    reign.full_at = now + pause.min(self.config.full_read);
                }
                reign.since.get_or_insert_default();
                let filling = reign.plan == TakeOver::FirstLoad && reign.stage == Stage::Preparing;
                reign.stage = if filling {
                    Stage::Filling { from: reign.acknowledged, format }
                } else if changes > 0 {
                    if reign.stage == Stage::Steady {
                        reign.plan = TakeOver::Follow;
                    }
                    Stage::Publishing
                } else if head || !reign.settling.is_empty() || reign.plan == TakeOver::Restore {
                    Stage::Sealing
                } else {
                    return self.published_all(now);
                };
            }
            Difference::Short => {
                reign.settling = Settled::new();
                reign.retry_at = Some(now + self.config.poll);
                if reign.stage != Stage::Steady {
                    self.report.out_of_sync(now, Reason::Short);
                }
                self.push_event(Event::HeldShort);
            }
            Difference::Failed => {
                reign.settling = Settled::new();
                self.failures = (self.failures + 1).min(5);
                reign.retry_at = Some(now + self.config.poll / 4 * (1 << self.failures));
            }
        }
    }

    /// Remembers what a read owes: its difference, or that it has to be done again.
    fn see_read(&mut self, full: bool, difference: &Difference) {
        let again = self.reign.as_ref().is_none_or(|reign| reign.stage != Stage::Preparing);
        match difference {
            Difference::Pending { .. } => {
                self.unpublished = !bugs::planted(Bug::UnpublishedReadLost);
            }
            _ if !again => {}
            _ if full => self.full_wanted = true,
            _ => self.repository_changed = true,
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
        base: &Digest,
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
        if let Some(reign) = self.reign.as_mut().filter(|reign| reign.is_of(term)) {
            reign.unanswered = write != Write::Done;
        }
        if write == Write::Failed
            && bugs::planted(Bug::RetryAppliedTwice)
            && let Some(reign) = self.reign.as_mut().filter(|reign| reign.is_of(term))
        {
            reign.acknowledged = position;
        }
        if !self.accepted(now, term, write) {
            return;
        }
        let Some(reign) = &mut self.reign else { return };
        reign.acknowledged = position;
        reign.log_bytes += bytes;
        if remaining == 0 {
            self.settle(&settled);
            self.published_all(now);
        }
    }

    /// Takes in what became of a snapshot: its bytes, and for one that filled the store, what it
    /// holds.
    pub fn handle_snapshot(&mut self, now: Instant, write: Write, bytes: u64, held: Option<Held>) {
        let step = self.finish();
        let Some(Step::Snapshot { term, position, from, format, list, settled, .. }) = step else {
            return;
        };
        if write == Write::Done && from.is_some() {
            if let Some(held) = held {
                self.held = Some(held);
            }
            if let Some(held) = &mut self.held {
                held.position = position;
                // A first load goes on from the list that the store has.
                let stored = || self.head.as_ref().map(|head| head.list.clone());
                held.list = list.clone().or_else(stored).unwrap_or_default();
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
        reign.snapshot_at = position;
        let changed = core::mem::replace(&mut reign.format, format) != format;
        if changed || from.is_some() {
            self.push_event(Event::Format(format));
        }
        let Some(reign) = &mut self.reign else { return };
        if matches!(reign.stage, Stage::Packing { more: true, .. }) {
            reign.stage = Stage::Publishing;
            return;
        }
        if from.is_some() {
            reign.acknowledged = position;
            self.settle(&settled);
        }
        self.published_all(now);
    }

    /// Everything that was pending stands.
    fn published_all(&mut self, now: Instant) {
        let Some(reign) = &mut self.reign else { return };
        reign.settling.clear();
        if reign.plan != TakeOver::Restore {
            self.unpublished = false;
        }
        match reign.plan {
            TakeOver::Reconcile if reign.incomplete > 0 => {
                // One's own claim is not settled, so one's own state stays. What was found stands;
                // the rest is read again.
                reign.stage = Stage::Preparing;
                reign.retry_at = Some(reign.full_at);
                return;
            }
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
                let position = reign.acknowledged;
                self.become_ready(position);
                return self.report_standing(now);
            }
            _ => {}
        }
        reign.plan = TakeOver::Follow;
        reign.stage = Stage::Steady;
        let position = reign.acknowledged;
        self.become_ready(position);
        self.report_standing(now);
    }

    /// The staged state is the own one: a reconciling primary goes on.
    pub(super) fn reign_is_reconciled(&mut self, now: Instant) -> bool {
        let installing = self.reign.as_ref().is_some_and(|r| r.stage == Stage::Installing);
        if installing {
            if let Some(reign) = &mut self.reign {
                reign.plan = TakeOver::Follow;
            }
            self.published_all(now);
        }
        installing
    }

    fn settle(&mut self, settled: &Settled) {
        if settled.is_empty() {
            return;
        }
        if let Some(reign) = &mut self.reign {
            reign.claims.retain(|claim| !settled.contains(claim));
        }
        self.push_event(Event::Settled(settled.len()));
    }
}
