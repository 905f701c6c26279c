//! The newest terms of a state's history, and how far each came.

use heapless::Vec;

use crate::bugs::{self, Bug};
use crate::id::{Position, Sequence, Term};

/// How many terms a list remembers. A node away for longer than these is no longer covered.
pub const LIST_MAX: usize = 16;

/// One reign in a list: a term and the last sequence that belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reign {
    /// Which term.
    pub term: Term,
    /// The last sequence it reached; for the newest term, the one it stands at.
    pub last: Sequence,
}

/// The newest [`LIST_MAX`] reigns behind a state, oldest first.
///
/// Kept by the head for the store's state, and by each node for its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TermList {
    reigns: Vec<Reign, LIST_MAX>,
}

impl TermList {
    /// The list of the state before anything was published.
    pub const fn new() -> Self {
        Self { reigns: Vec::new() }
    }

    /// Makes a list from reigns, oldest first; keeps the newest [`LIST_MAX`].
    pub fn from_reigns(reigns: &[Reign]) -> Self {
        let newest = &reigns[reigns.len().saturating_sub(LIST_MAX)..];
        Self { reigns: Vec::from_slice(newest).unwrap_or_default() }
    }

    /// Goes through the reigns, oldest first.
    pub fn reigns(&self) -> &[Reign] {
        &self.reigns
    }

    /// Gives the position that the list ends at.
    pub fn position(&self) -> Position {
        self.reigns
            .last()
            .map_or(Position::START, |reign| Position { term: reign.term, sequence: reign.last })
    }

    /// Says whether a state with this history contains `position`: the list has its very term, and
    /// that term came at least as far.
    pub fn covers(&self, position: Position) -> bool {
        let is_it = |r: &Reign| {
            r.term == position.term
                || (bugs::planted(Bug::FollowFork) && r.term.epoch == position.term.epoch)
        };
        let reached =
            |r: &Reign| position.sequence <= r.last || bugs::planted(Bug::ListHoldsBeginnings);
        position == Position::START
            || self.reigns.iter().any(|r| is_it(r) && reached(r))
            || (bugs::planted(Bug::MissingTermCovered) && !self.reigns.iter().any(is_it))
    }

    /// Follows to `position`: a new term is opened, the newest one moves on.
    pub fn advance(&mut self, position: Position) {
        match self.reigns.last_mut() {
            Some(newest) if newest.term == position.term => newest.last = position.sequence,
            _ => {
                if self.reigns.is_full() {
                    self.reigns.remove(0);
                }
                let reign = Reign { term: position.term, last: position.sequence };
                // The line above made room.
                let _ = self.reigns.push(reign);
            }
        }
    }
}
