//! What the driver tells the outside: events through tracing, facts on the board.

use zonesync_core::election::Loss;
use zonesync_core::id::{Term, TermId};
use zonesync_core::node::Event;
use zonesync_core::time::Instant;

use super::Driver;

impl Driver {
    /// Tells what happened, through tracing and counters.
    pub(super) fn tell(&mut self) {
        while let Some(event) = self.node.poll_event() {
            match event {
                Event::Won(term) => {
                    tracing::info!(%term, "election: this node is primary");
                    self.see_term(term);
                    self.board.update(|facts| facts.counters.reigns += 1);
                }
                Event::Lost(term, Loss::Released) => {
                    tracing::info!(%term, "election: lease given back");
                    self.leave_reign();
                }
                Event::Lost(term, why) => {
                    tracing::warn!(%term, ?why, "election: this node is primary no longer");
                    self.leave_reign();
                }
                Event::Opened(position) => tracing::info!(%position, "publish: reign begun"),
                Event::Ready(position) => tracing::info!(%position, "ready"),
                Event::ReadyByImage(position) => {
                    tracing::warn!(%position, "ready by the local image alone; it may be stale");
                }
                Event::Healing(position) => {
                    tracing::info!(%position, "heal: loading a snapshot");
                    self.board.update(|facts| facts.counters.heals += 1);
                }
                Event::Raised(position) => {
                    tracing::warn!(%position, "heal: the store lost this position; claimed it");
                }
                Event::Settled(claims) => tracing::info!(claims, "heal: claims settled"),
                Event::Format(format) => tracing::info!(format, "publish: in this format"),
                Event::Unreadable(format) => {
                    tracing::warn!(format, "the zone is in a format that this version cannot read");
                }
                Event::HeldShort => tracing::warn!("read: too few rows; a person must confirm"),
            }
        }
    }

    /// Forgets what the reign that just ended has begun.
    fn leave_reign(&mut self) {
        if let Some(running) = &self.step {
            running.abandon_reading();
        }
        match &mut self.work {
            Some(work) => {
                work.discard();
                work.quarantine.clear();
            }
            None => self.discard = true,
        }
        self.board.update(|facts| facts.leave_repository());
    }

    /// Posts how the node stands.
    pub(super) fn post(&self, now: Instant) {
        let (role, standing) = (self.node.role(), self.node.standing(now));
        let epoch = self.node.seen();
        let mut facts = self.board.facts();
        let news = facts.role != role
            || facts.standing.as_ref().is_none_or(|old| {
                (old.ready, old.in_sync, &old.primary)
                    != (standing.ready, standing.in_sync, &standing.primary)
            });
        facts.role = role;
        // After a raise only the number is known.
        let unnamed = Term { epoch, id: TermId(0) };
        facts.term = if self.newest.epoch == epoch { self.newest } else { unnamed };
        facts.standing = Some(standing);
        facts.at = now;
        drop(facts);
        if news {
            self.board.update(|_| {});
        }
    }
}
