//! The beginning of a reign: look where the store stands, follow or load, open the term there.

use super::reign::Stage;
use super::{Event, Held, Node, Reason, Step};
use crate::bugs::{self, Bug};
use crate::election::Report;
use crate::format::{BatchMeta, Head, Source};
use crate::history::{self, TakeOver};
use crate::id::Position;
use crate::time::Instant;

impl Node {
    /// Decides how to begin, from the head as read after the lease was taken.
    pub(super) fn take_over(&mut self, now: Instant, entries: &[BatchMeta], gap: bool) {
        let head = self.head.clone();
        let complete = head.as_ref().filter(|h| h.is_complete());
        let plan = self.plan(complete);
        let format = head.as_ref().map_or_else(|| self.formats.wanted(now), |head| head.format);
        if self.forgets_image(now, plan) {
            return;
        }
        let Some(reign) = &mut self.reign else { return };
        (reign.plan, reign.format) = (plan, format);
        let at = head.as_ref().map_or(Position::START, Head::position);
        match (plan, complete) {
            (TakeOver::FirstLoad, _) | (TakeOver::Restore, None) => self.open(at),
            (TakeOver::Follow, _) => {
                if self.stands_at_head() {
                    self.arrive(now);
                    self.open(at);
                } else {
                    self.follow(now, entries, gap);
                }
            }
            (TakeOver::Restore, Some(head)) => self.load(now, head.snapshot),
            (TakeOver::Reconcile, Some(head)) => {
                let position = self.held.as_ref().map(|h| h.position);
                if position.is_some_and(|p| !head.claims.contains(p)) {
                    self.step = Some(Step::Raise { seen: self.elector.known(), position });
                } else {
                    self.load(now, head.snapshot);
                }
            }
            (TakeOver::Reconcile, None) => unreachable!("two branches need two states"),
        }
    }

    /// Says what to do on a store that holds `complete`.
    fn plan(&self, complete: Option<&Head>) -> TakeOver {
        let held = self.held.as_ref().map(|held| (held.position, &held.list));
        let plan = history::take_over(held, complete.map(|head| (&head.list, &head.claims)));
        let above = |(own, _)| self.live.as_ref().is_none_or(|report| report.position <= own);
        let newest = bugs::planted(Bug::ReportsDecideNewest) && held.is_some_and(above);
        if newest && plan == TakeOver::Reconcile { TakeOver::Restore } else { plan }
    }

    pub(super) fn reign_wants_staged(&self) -> bool {
        self.reign.as_ref().is_some_and(|r| {
            r.stage == Stage::Looking && matches!(r.plan, TakeOver::Restore | TakeOver::Reconcile)
        })
    }

    /// Opens on the head that the staged state was loaded with, if it still asks for the same plan.
    pub(super) fn open_on_staged(&mut self, now: Instant) {
        let (Some(head), Some(reign)) = (&self.head, &self.reign) else { return };
        let claimed = self.held.as_ref().is_none_or(|held| head.claims.contains(held.position));
        let same =
            reign.plan == self.plan(Some(head)) && (claimed || reign.plan == TakeOver::Restore);
        if same {
            self.open(head.position());
        } else {
            self.staged = None;
            self.back_off(now);
        }
    }

    /// Takes in what live nodes report. A first load is left to a candidate that holds a state, once
    /// and for a TTL: then it is no first load.
    pub(super) fn hear_live(&mut self, now: Instant, live: &[Report]) {
        let (own, filter) = (self.config.election.instance, self.config.filter);
        let Some(reign) = &mut self.reign else { return };
        reign.heard = true;
        let begins = reign.plan == TakeOver::FirstLoad && reign.stage == Stage::Preparing;
        let better = |r: &Report| {
            r.can_stand && r.filter == filter && r.instance != own && r.position != Position::START
        };
        if begins && !self.left_first_load && live.iter().any(better) {
            self.left_first_load = true;
            self.step_down(now, self.config.election.ttl);
        }
    }

    /// Begins the term on `previous`, with a sequence above one's own and every claimed one.
    fn open(&mut self, previous: Position) {
        let claimed = self.head.iter().flat_map(|h| h.claims.claims()).map(|c| c.position.sequence);
        let own = self.held.as_ref().map(|h| h.position.sequence);
        let again = bugs::planted(Bug::SameTermAfterBehind);
        let highest = claimed.chain(own).filter(|_| !again).chain([previous.sequence]).max();
        let Some(sequence) = highest.unwrap_or_default().next() else { return };
        self.raised = None;
        if let Some(reign) = &mut self.reign {
            reign.stage = Stage::Opening { previous, sequence };
        }
        self.rest_until = None;
    }

    /// Says how a primary stands: what it holds is the zone's newest once it has followed to it, or
    /// made it so.
    pub(super) fn report_standing(&mut self, now: Instant) {
        let Some(reign) = &self.reign else { return };
        let begun = !matches!(reign.stage, Stage::Looking | Stage::Opening { .. });
        if begun && reign.plan == TakeOver::Follow {
            self.report.in_sync();
        } else {
            self.report.out_of_sync(now, Reason::TakingOver);
        }
    }

    pub(super) fn opened(&mut self, now: Instant, meta: BatchMeta) {
        self.push_event(Event::Opened(meta.position));
        let known = self.head.as_ref().map_or(Source::default(), |h| h.source);
        let snapshot = self.head.as_ref().and_then(|h| h.snapshot);
        let format = self.formats.wanted(now);
        let Some(reign) = &mut self.reign else { return };
        reign.acknowledged = meta.position;
        reign.snapshot_bytes = snapshot.map_or(0, |s| s.bytes);
        reign.snapshot_at = snapshot.map_or(Position::START, |s| s.position);
        reign.log_bytes = self.log_bytes;
        reign.since = if known == Source::default() { None } else { Some(known) };
        reign.full_at = now + self.config.full_read;
        reign.stage = Stage::Preparing;
        match reign.plan {
            TakeOver::Follow => {
                advance(self.held.as_mut(), meta.position);
            }
            TakeOver::Restore if self.staged.is_none() => {
                reign.stage = Stage::Filling { from: meta.position, format };
            }
            TakeOver::Restore | TakeOver::Reconcile => {
                advance(self.staged.as_mut(), meta.position);
            }
            TakeOver::FirstLoad => {}
        }
        self.report_standing(now);
    }
}

fn advance(state: Option<&mut Held>, position: Position) {
    if let Some(state) = state {
        state.position = position;
        state.list.advance(position);
    }
}
