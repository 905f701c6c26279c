//! Following: read, apply, load, raise. A primary that is catching up does the same.

use super::{Event, Held, LogSeen, Node, Reason, Step};
use crate::bugs::{self, Bug};
use crate::election::Loss;
use crate::format::{BatchMeta, Head, Snapshot};
use crate::history::{self, Standing};
use crate::id::{Epoch, Position};
use crate::time::{Duration, Instant};

/// How often a snapshot is loaded in a row before the node takes a breath.
const LOADS_MAX: u32 = 5;

impl Node {
    /// Takes in head and log.
    pub fn handle_log(&mut self, now: Instant, seen: LogSeen<'_>) {
        self.finish();
        self.failures = 0;
        let went_back = seen.term.epoch < self.elector.known();
        let went_back = went_back && !bugs::planted(Bug::EpochGoesBack);
        self.elector.handle_epoch(seen.term.epoch);
        if went_back && !self.doubt {
            // Sent before something that we have heard of since, such as the grant of our own lease:
            // ask again before we judge.
            self.doubt = true;
            self.read_again();
            return;
        }
        self.doubt = false;
        self.log_bytes = seen.log_bytes;
        let stands = self.head.as_ref().map(Head::position) == seen.head.map(Head::position);
        if core::mem::take(&mut self.woken) && stands {
            self.elector.handle_wake(now);
        }
        let unreadable = seen.head.map(|head| head.format).filter(|format| self.refuses(*format));
        match unreadable {
            // A loss is told whatever the head says, for its term says that.
            Some(_) if went_back => self.head = None,
            Some(format) => return self.refuse(now, format),
            None => self.formats.unreadable = None,
        }
        // A head is large, and mostly the one that is known.
        if self.head.as_ref() != seen.head && unreadable.is_none() {
            self.head = seen.head.cloned();
        }
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
        let Some(head) = &self.head else {
            let reason = if self.held.is_some() { Reason::Claimed } else { Reason::StoreEmpty };
            self.report.out_of_sync(now, reason);
            self.serve_image(now);
            self.rest(now);
            if self.held.is_some() {
                // Whoever founds the zone anew must hear of what is held, and soon.
                self.elector.handle_wake(now);
            }
            return;
        };
        let (at, snapshot) = (head.position(), head.snapshot);
        let Some(held) = &self.held else {
            if head.is_complete() {
                self.report.out_of_sync(now, Reason::CatchingUp);
                self.load(now, snapshot);
            } else {
                self.report.out_of_sync(now, Reason::FirstLoad);
                if bugs::planted(Bug::ReadyBeforeComplete) {
                    self.become_ready(at);
                }
                self.rest(now);
            }
            return;
        };
        let standing = history::standing(held.position, &head.list, &head.claims);
        let position = held.position;
        let behind = standing == Standing::Covered && position != at;
        let follow = if behind { acceptable(held, entries) } else { 0 };
        if standing != Standing::Lost {
            self.raised = None;
        }
        if matches!(standing, Standing::Claimed | Standing::Lost) {
            self.serve_image(now);
        }
        match standing {
            Standing::Covered if position == at => {
                if self.stands_at_head() {
                    self.arrive(now);
                } else {
                    self.heal(now, at, snapshot);
                }
            }
            Standing::Covered => match follow {
                0 => self.heal(now, at, snapshot),
                _ if gap => self.heal(now, at, snapshot),
                count => {
                    self.report.out_of_sync(now, Reason::CatchingUp);
                    self.step = Some(Step::Apply { count });
                }
            },
            Standing::Settled => self.heal(now, at, snapshot),
            Standing::Claimed if !bugs::planted(Bug::RaiseForEver) => {
                self.report.out_of_sync(now, Reason::Claimed);
                self.rest(now);
            }
            Standing::Claimed | Standing::Lost => {
                let position = Some(position);
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
        if !complete {
            self.report.out_of_sync(now, Reason::FirstLoad);
        } else if self.reign.is_none() {
            // What a cold node takes while claims are open stays marked until none is.
            let stale = unreconciled && (self.report.stale || !self.report.ready);
            self.report.in_sync();
            self.report.stale = stale;
        }
        if complete {
            self.confirm_image();
            if !unreconciled || self.config.stale_ready {
                self.become_ready(position);
            }
        }
        self.rest(now);
    }

    pub(super) fn become_ready(&mut self, position: Position) {
        self.confirm_image();
        if !self.report.ready {
            self.report.ready = true;
            self.push_event(Event::Ready(position));
        }
    }

    pub(super) fn stands_at_head(&self) -> bool {
        self.held.as_ref().zip(self.head.as_ref()).is_some_and(|(held, head)| {
            held.position == head.position()
                && (held.digest.fingerprint() == head.digest.fingerprint()
                    || bugs::planted(Bug::DigestNotCompared))
        })
    }

    fn heal(&mut self, now: Instant, at: Position, snapshot: Option<Snapshot>) {
        self.report.out_of_sync(now, Reason::Mismatch);
        self.push_event(Event::Healing(at));
        self.load(now, snapshot);
    }

    pub(super) fn load(&mut self, now: Instant, snapshot: Option<Snapshot>) {
        self.loads += 1;
        match snapshot {
            Some(snapshot) if self.loads <= LOADS_MAX => {
                self.step = Some(Step::Load { snapshot });
            }
            _ => {
                self.loads = 0;
                self.rest(now);
            }
        }
    }

    /// Takes in that entries were applied, and what the state is now. None if the first of them
    /// could not be verified: then nothing was.
    pub fn handle_applied(&mut self, now: Instant, held: Option<Held>) {
        self.finish();
        match held {
            Some(held) => {
                self.held = Some(held);
                if self.stands_at_head() {
                    self.arrive(now);
                }
                // The log may have grown meanwhile; a primary goes on with taking over.
                if self.reign.is_some() || self.report.reason_is_catching_up() {
                    self.read_again();
                }
            }
            None => match self.head.as_ref().map(|head| (head.position(), head.snapshot)) {
                Some((at, snapshot)) => self.heal(now, at, snapshot),
                None => self.read_again(),
            },
        }
    }

    /// Takes in that a state was loaded: epoch and head as they were read with the last of the log,
    /// and the staged state. None if it could not be had.
    pub fn handle_loaded(&mut self, now: Instant, loaded: Option<(Epoch, &Head, Held)>) {
        let step = self.finish();
        self.staged = None;
        let unasked = bugs::planted(Bug::LogAndHeadFromTwoMasters);
        // What was read is not the head that it was read with, or the store went back meanwhile: to
        // a head older than the one that it was asked for, or before an epoch that was heard of.
        let known = self.elector.known();
        let whole = |(epoch, head, staged): &(Epoch, &Head, Held)| {
            head.is_complete()
                && !self.refuses(head.format)
                && staged.position == head.position()
                && staged.digest.fingerprint() == head.digest.fingerprint()
                && (unasked
                    || (*epoch >= known
                        && self.head.as_ref().is_none_or(|h| h.position() <= head.position())))
        };
        let Some((_, head, staged)) = loaded.filter(whole) else {
            if matches!(step, Some(Step::Install)) {
                // A primary without the state that it published cannot go on.
                self.elector.step_down(now, Duration::ZERO);
                self.take_election_events(now);
            }
            self.back_off(now);
            return;
        };
        self.head = Some(head.clone());
        self.staged = Some(Held { list: head.list.clone(), source: head.source, ..staged });
        if self.reign_wants_staged() {
            self.open_on_staged(now);
            return;
        }
        let leaves = |p: Position| {
            matches!(
                history::standing(p, &head.list, &head.claims),
                Standing::Covered | Standing::Settled
            )
        };
        if unasked || self.held.as_ref().is_none_or(|held| leaves(held.position)) {
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
        if self.reign_is_reconciled(now) {
            return;
        }
        if self.stands_at_head() {
            self.arrive(now);
        }
        self.read_again();
    }

    /// Takes in that the store was told. `epoch` is the newest given, or none if it refused.
    pub fn handle_raised(&mut self, now: Instant, epoch: Option<Epoch>) {
        let Some(Step::Raise { position, .. }) = self.finish() else { return };
        let repeated = position.is_some() && position == self.raised;
        self.raise_for = None;
        self.raised = position;
        if let Some(epoch) = epoch {
            self.elector.handle_epoch(epoch);
            if let Some(position) = position {
                self.push_event(Event::Raised(position));
                if let Some(reign) = &mut self.reign {
                    reign.raised.add(position);
                }
            }
            if let Some(term) = self.reign.as_ref().map(|reign| reign.term)
                && epoch > term.epoch
            {
                // What was seen fences this very reign.
                self.elector.handle_refused(now, term, Loss::Fenced);
                self.take_election_events(now);
            }
        }
        if self.reign.is_none() {
            self.report.out_of_sync(now, Reason::Claimed);
        } else if self.is_steady() {
            return self.report_standing(now);
        }
        if epoch.is_none() || repeated || self.reign.is_none() {
            self.back_off(now);
        } else {
            self.read_again();
        }
    }

    /// Takes in that a step got no answer from the store. The same step may be due again.
    pub fn handle_step_failure(&mut self, now: Instant) {
        self.finish();
        self.report.out_of_sync(now, Reason::StoreDown);
        self.serve_image(now);
        self.staged = None;
        if bugs::planted(Bug::ReadyTakenBack) {
            self.report.ready = false;
        }
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
