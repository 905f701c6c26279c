//! Starting from an image: what a node held before it was started again.
//!
//! The node stands at the image's position like one that was never away: it follows, heals, raises
//! and takes over from there. Until a head has confirmed what it holds, the state counts as an image
//! all the same. It is served alone, marked stale, where the store does not answer, is empty or lost
//! the position; and only if the host allows that and the image is fresh.
//!
//! What may not be served must not be published either. So a primary that would make the zone's
//! state from such an image forgets it, and begins like a node that holds nothing.

use super::{Event, Held, Node, Reason, Step};
use crate::bugs::{self, Bug};
use crate::history::TakeOver;
use crate::time::{Duration, Instant};

/// A state of which no head has been seen since the start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Image {
    fresh_until: Instant,
}

impl Node {
    /// Takes in the state that the driver read from its image, and how long it stays fresh.
    ///
    /// Comes before any other input; a node that holds a state already takes none.
    pub fn handle_image(&mut self, now: Instant, held: Held, fresh_for: Duration) {
        if self.held.is_some() || self.step.is_some() || self.reign.is_some() {
            return;
        }
        self.elector.handle_epoch(held.position.term.epoch);
        self.held = Some(held);
        self.image = Some(Image { fresh_until: now + fresh_for });
    }

    /// Says whether the state held is one from an image that no head has confirmed yet.
    pub fn holds_image(&self) -> bool {
        self.image.is_some()
    }

    /// Serves the image alone, if it may be. Being ready is never taken back.
    pub(super) fn serve_image(&mut self, now: Instant) {
        let (Some(held), true) = (&self.held, self.may_serve_image(now)) else { return };
        if !self.report.ready {
            let position = held.position;
            self.report.ready = true;
            self.report.stale = !bugs::planted(Bug::ImageTakenForTheZones);
            self.push_event(Event::ReadyByImage(position));
        }
    }

    fn may_serve_image(&self, now: Instant) -> bool {
        let fresh = |image: Image| self.config.stale_ready && now < image.fresh_until;
        self.image.is_some_and(|image| self.report.ready || fresh(image))
    }

    /// A head has confirmed what is held: it is the zone's state and no image any more.
    pub(super) fn confirm_image(&mut self) {
        self.image = None;
    }

    /// Asks a primary that would publish from an image which may not be served to forget it.
    pub(super) fn forgets_image(&mut self, now: Instant, plan: TakeOver) -> bool {
        let publishes = matches!(plan, TakeOver::Restore | TakeOver::Reconcile);
        if !publishes || self.image.is_none() {
            return false;
        }
        self.serve_image(now);
        if self.may_serve_image(now) {
            return false;
        }
        self.step = Some(Step::Forget);
        true
    }

    /// Takes in that the own state is empty now.
    pub fn handle_forgotten(&mut self, now: Instant) {
        self.finish();
        self.held = None;
        self.image = None;
        self.raised = None;
        self.report.out_of_sync(now, Reason::TakingOver);
        self.read_again();
    }
}
