//! What the zone announced at each position, entity by entity.

use std::collections::BTreeMap;
use std::sync::Arc;

use zonesync_core::entity::Action;
use zonesync_core::format::Batch;
use zonesync_core::format::chunk::Chunk;
use zonesync_core::id::{Position, Term};

use crate::plane::Plane;
use crate::rows::{self, ROWS};
use crate::truth::{Content, Tick};

/// How many of the newest positions are remembered.
const KEPT: usize = 3_000;

/// A content, and since when the control plane can have said so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) content: Content,
    pub(super) since: Tick,
}

/// All entities, by their numbers.
pub(super) type Model = Arc<[Cell; ROWS]>;

/// The announced states.
#[derive(Default)]
pub(super) struct Models {
    at: BTreeMap<Position, Model>,
    /// Snapshots under way.
    chunks: BTreeMap<(Term, Position), BTreeMap<usize, Content>>,
}

/// The state before anything was announced.
pub(super) fn empty() -> Model {
    Arc::new([Cell::default(); ROWS])
}

impl Models {
    /// Gives what was announced at a position.
    pub(super) fn at(&self, position: Position) -> Option<Model> {
        self.at.get(&position).cloned()
    }

    fn put(&mut self, position: Position, model: Model) {
        self.at.insert(position, model);
        while self.at.len() > KEPT {
            self.at.pop_first();
        }
    }

    /// Announces what a batch makes of the position that it builds on. Gives, for each change, the
    /// entity, what it was and what it is; the second is none if it did not stand since.
    pub(super) fn publish(
        &mut self,
        plane: &Plane,
        batch: &Batch<'_>,
    ) -> Vec<(usize, Cell, Result<Cell, Content>)> {
        let mut model = self.at(batch.meta().previous).unwrap_or_else(empty);
        let mut changes = Vec::new();
        if !batch.is_empty() {
            let cells = Arc::make_mut(&mut model);
            for change in batch.changes() {
                let row = rows::index(change.key);
                let content = match change.action {
                    Action::Deploy { payload } => Content::Revision(rows::revision(payload)),
                    Action::Undeploy => Content::Absent,
                };
                let old = cells[row];
                let since = plane.with_truth(|truth| truth.reach(row, old.since, content));
                let new = Cell { content, since: since.unwrap_or(old.since) };
                cells[row] = new;
                changes.push((row, old, since.map(|_| new).ok_or(content)));
            }
        }
        self.put(batch.meta().position, model);
        changes
    }

    /// Takes in a chunk of a snapshot.
    pub(super) fn chunk(&mut self, term: Term, position: Position, bytes: &[u8]) {
        let set = self.chunks.entry((term, position)).or_default();
        if let Ok(chunk) = Chunk::decode(bytes) {
            for (key, payload) in chunk.entities() {
                set.insert(rows::index(key), Content::Revision(rows::revision(payload)));
            }
        }
    }

    /// Announces a snapshot that fills the store. `shown` is what its writer shows.
    pub(super) fn fill(&mut self, plane: &Plane, term: Term, position: Position, shown: &Model) {
        let set = self.chunks.remove(&(term, position)).unwrap_or_default();
        let mut cells = [Cell::default(); ROWS];
        for (row, cell) in cells.iter_mut().enumerate() {
            let content = set.get(&row).copied().unwrap_or_default();
            *cell = if shown[row].content == content {
                shown[row]
            } else {
                let since = plane.with_truth(|truth| truth.reach(row, 0, content));
                Cell { content, since: since.unwrap_or(0) }
            };
        }
        self.put(position, Arc::new(cells));
    }
}
