//! What the control plane held, and when: the measure of what a node may hold.
//!
//! Each entity has a line of eras, cut by every change of its row. A node may go from one content to
//! another only forward along that line: the other must have stood after the one did. A control
//! plane that is restored from yesterday begins new eras with old contents, so that going back is
//! then forward.

use crate::rows::ROWS;

/// A moment of the control plane: counts its changes.
pub type Tick = u64;

/// What a row said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Content {
    /// There was no row, or one that said off, closed or revoked.
    #[default]
    Absent,
    /// A row in this revision.
    Revision(u64),
}

#[derive(Clone, Copy, Debug)]
struct Era {
    from: Tick,
    content: Content,
}

/// The eras of all entities, by their numbers.
#[derive(Debug)]
pub struct Truth {
    lines: Vec<Vec<Era>>,
}

impl Default for Truth {
    fn default() -> Self {
        Self { lines: vec![vec![Era { from: 0, content: Content::Absent }]; ROWS] }
    }
}

impl Truth {
    /// Notes that a row says so from now on.
    pub fn note(&mut self, at: Tick, row: usize, content: Content) {
        let line = &mut self.lines[row];
        if line.last().is_some_and(|last| last.content != content) {
            line.push(Era { from: at, content });
        }
    }

    /// Says since when a node that knew of `since` can know that `content` stood, or none if it did
    /// not stand any more by then.
    pub fn reach(&self, row: usize, since: Tick, content: Content) -> Option<Tick> {
        let line = &self.lines[row];
        // From the newest back, as far as eras reach past `since`.
        let ended = |number: usize| line.get(number + 1).is_some_and(|next| next.from <= since);
        let eras = line.iter().enumerate().rev().take_while(|(number, _)| !ended(*number));
        let found = eras.filter(|(_, era)| era.content == content).last()?;
        Some(since.max(found.1.from))
    }

    /// Gives what stands now.
    pub fn now(&self, row: usize) -> Content {
        self.lines[row].last().map_or(Content::Absent, |era| era.content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_goes_only_forward() {
        let (one, two) = (Content::Revision(1), Content::Revision(2));
        let mut truth = Truth::default();
        for (at, content) in [(5, one), (8, two), (9, Content::Absent)] {
            truth.note(at, 3, content);
        }
        assert_eq!(truth.reach(3, 0, one), Some(5));
        assert_eq!(truth.reach(3, 5, two), Some(8));
        assert_eq!(truth.reach(3, 8, one), None);
        assert_eq!(truth.reach(3, 8, Content::Absent), Some(9));
        assert_eq!(truth.reach(3, 9, two), None);
        // From yesterday's copy.
        truth.note(12, 3, one);
        assert_eq!(truth.reach(3, 9, one), Some(12));
    }
}
