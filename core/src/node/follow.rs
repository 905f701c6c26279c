//! Following: read, apply, load, raise. A primary that is catching up does the same.

use super::{Event, Held, LogSeen, Node, Reason, Step};
use crate::format::{BatchMeta, Head};
use crate::history::{self, Standing};
use crate::id::Position;
use crate::time::Instant;

/// How often a snapshot is loaded in a row before the node takes a breath.
const LOADS_MAX: u32 = 5;

impl Node {
    /// Takes in head and log.
    pub fn handle_log(&mut self, now: Instant, seen: LogSeen<'_>) {
        self.finish();
        self.failures = 0;
        let went_back = seen.term.epoch < self.elector.known();
        self.elector.handle_epoch(seen.term.epoch);
        if core::mem::take(&mut self.reread) || (went_back && !self.doubt) {
            // Sent before something that we have heard of since: ask again before we judge.
            self.doubt = went_back;
            self.read_again();
            return;
        }
        self.doubt = false;
        self.head = seen.head.cloned();
        if went_back {
            let position = self.held.as_ref().map(|h| h.position);
            self.step = Some(Step::Raise { seen: self.elector.known(), position });
        } else if self.reign.is_some() {
            self.take_over(now, seen.entries, seen.gap);
        } else {
            self.follow(now, seen.entries, seen.gap);
        }
    }

    /// Decides how to get from what is held to the head.
    pub(super) fn follow(&mut self, now: Instant, entries: &[BatchMeta], gap: bool) {
        let Some(head) = self.head.clone() else {
            let reason = if self.held.is_some() { Reason::Claimed } else { Reason::StoreEmpty };
            self.report.out_of_sync(now, reason);
            self.rest(now);
            return;
        };
        let Some(held) = self.held.clone() else {
            if head.is_complete() {
                self.report.out_of_sync(now, Reason::CatchingUp);
                self.load(now, &head);
            } else {
                self.report.out_of_sync(now, Reason::FirstLoad);
                self.rest(now);
            }
            return;
        };
        match history::standing(held.position, &head.list, &head.claims) {
            Standing::Covered if held.position == head.position() => {
                if held.digest.fingerprint() == head.digest.fingerprint() {
                    self.arrive(now);
                } else {
                    self.heal(now, &head);
                }
            }
            Standing::Covered => match acceptable(&held, entries) {
                0 => self.heal(now, &head),
                _ if gap => self.heal(now, &head),
                count => {
                    self.report.out_of_sync(now, Reason::CatchingUp);
                    self.step = Some(Step::Apply { count });
                }
            },
            Standing::Settled => self.heal(now, &head),
            Standing::Claimed => {
                self.report.out_of_sync(now, Reason::Claimed);
                self.rest(now);
            }
            Standing::Lost => {
                let position = Some(held.position);
                self.step = Some(Step::Raise { seen: self.elector.known(), position });
            }
        }
    }

    /// Holds the head's state, and the head says so.
    pub(super) fn arrive(&mut self, now: Instant) {
        let Some(head) = &self.head else { return };
        if let Some(held) = &mut self.held {
            held.list = head.list.clone();
            held.source = head.source;
        }
        let (position, complete) = (head.position(), head.is_complete());
        let unreconciled = head.claims.open().next().is_some();
        self.loads = 0;
        if complete && self.reign.is_none() {
            self.report.in_sync();
            self.report.stale = unreconciled && !self.report.ready;
        }
        if complete && !self.report.ready {
            self.report.ready = true;
            self.push_event(Event::Ready(position));
        }
        self.rest(now);
    }

    fn heal(&mut self, now: Instant, head: &Head) {
        self.report.out_of_sync(now, Reason::Mismatch);
        self.push_event(Event::Healing(head.position()));
        self.load(now, head);
    }

    pub(super) fn load(&mut self, now: Instant, head: &Head) {
        self.loads += 1;
        match head.snapshot {
            Some(snapshot) if self.loads <= LOADS_MAX => {
                self.step = Some(Step::Load { snapshot });
            }
            _ => {
                self.loads = 0;
                self.rest(now);
            }
        }
    }

    /// Takes in that entries were applied: the last of them, and what the state is now. None if one
    /// could not be verified; then nothing after it was applied.
    pub fn handle_applied(&mut self, now: Instant, applied: &[BatchMeta], held: Option<Held>) {
        self.finish();
        match held {
            Some(held) => {
                self.held = Some(held);
                let at = applied.last().map(|meta| meta.position);
                if self.head.as_ref().map(Head::position) == at {
                    self.arrive(now);
                }
                // The log may have grown meanwhile; a primary goes on with taking over.
                if self.reign.is_some() || self.report.reason_is_catching_up() {
                    self.read_again();
                }
            }
            None => match self.head.clone() {
                Some(head) => self.heal(now, &head),
                None => self.read_again(),
            },
        }
    }

    /// Takes in that a state was loaded: the head as it was read with the last of the log, and the
    /// staged state. None if it could not be had.
    pub fn handle_loaded(&mut self, now: Instant, loaded: Option<(&Head, Held)>) {
        self.finish();
        let Some((head, staged)) = loaded else {
            self.staged = None;
            self.back_off(now);
            return;
        };
        self.head = Some(head.clone());
        let whole = staged.position == head.position()
            && staged.digest.fingerprint() == head.digest.fingerprint();
        if !whole {
            self.staged = None;
            self.back_off(now);
            return;
        }
        self.staged = Some(Held { list: head.list.clone(), source: head.source, ..staged });
        if self.reign_wants_staged() {
            self.open_on_staged();
            return;
        }
        let leaves = |p: Position| {
            matches!(
                history::standing(p, &head.list, &head.claims),
                Standing::Covered | Standing::Settled
            )
        };
        if self.held.as_ref().is_none_or(|held| leaves(held.position)) {
            self.step = Some(Step::Install);
        } else {
            // Another master answered, or the store lost our place meanwhile.
            self.staged = None;
            self.read_again();
        }
    }

    /// Takes in that the own state is the staged one now.
    pub fn handle_installed(&mut self, now: Instant) {
        self.finish();
        if let Some(staged) = self.staged.take() {
            self.held = Some(staged);
        }
        if self.reign_is_reconciled() {
            return;
        }
        self.arrive(now);
        self.read_again();
    }

    /// Takes in that the store was told. `epoch` is the newest given, or none if it refused.
    pub fn handle_raised(&mut self, now: Instant, epoch: Option<crate::id::Epoch>) {
        let step = self.finish();
        if let Some(epoch) = epoch {
            self.elector.handle_epoch(epoch);
            if let Some(Step::Raise { position: Some(position), .. }) = step {
                self.push_event(Event::Raised(position));
            }
        }
        self.raise_for = None;
        if self.reign.is_some() {
            self.read_again();
            return;
        }
        self.report.out_of_sync(now, Reason::Claimed);
        self.back_off(now);
    }

    /// Takes in that a step got no answer from the store. The same step may be due again.
    pub fn handle_step_failure(&mut self, now: Instant) {
        self.finish();
        self.report.out_of_sync(now, Reason::StoreDown);
        self.staged = None;
        self.restart_reign();
        self.back_off(now);
    }
}

/// Counts the entries that may be applied one after the other.
fn acceptable(held: &Held, entries: &[BatchMeta]) -> usize {
    let mut at = (held.position, held.digest.fingerprint());
    let follows = |meta: &&BatchMeta| {
        let builds_on = (meta.previous, meta.before);
        let may = history::may_apply(at, at.0.term.epoch, meta.position.term, builds_on).is_ok();
        at = (meta.position, meta.after);
        may
    };
    entries.iter().take_while(follows).count()
}
