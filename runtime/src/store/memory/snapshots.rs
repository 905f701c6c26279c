//! Snapshots: chunks that come one by one, the commit that makes them the head's, and the trim that
//! drops what they replace.

use std::collections::BTreeMap;
use std::sync::Arc;

use zonesync_core::bugs::{self, Bug};
use zonesync_core::format::Snapshot;
use zonesync_core::id::{Position, Term};
use zonesync_core::time::Instant;

use super::log::check_list;
use super::zone::{Zone, record_bytes};
use crate::store::{Bytes, CommitSnapshot, HeadUpdate, StoreError, Written};

/// The chunk sets of a zone, by the position of the state they hold.
pub(super) type Snapshots = BTreeMap<Position, ChunkSet>;

/// The chunks of one snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChunkSet {
    /// The term that began it.
    begun: Term,
    /// Whether a head has named it: from then on it never changes.
    committed: bool,
    chunks: BTreeMap<u32, Bytes>,
}

impl ChunkSet {
    fn new(begun: Term) -> Self {
        Self { begun, committed: false, chunks: BTreeMap::new() }
    }

    /// Reckons what the set takes.
    pub(super) fn bytes(&self) -> usize {
        self.chunks.values().map(|chunk| record_bytes(chunk)).sum()
    }

    /// Says whether `term` may take the set as its own: it began it, or some head vouched for it.
    fn belongs_to(&self, term: Term) -> bool {
        self.committed || self.begun == term
    }

    /// Says whether the chunks from zero to `count` are all there.
    fn is_complete(&self, count: u32) -> bool {
        self.chunks.range(..count).count() == count as usize
            || bugs::planted(Bug::CommitWithoutChunks)
    }
}

impl Zone {
    /// Notes a chunk set, see [`crate::store::ZoneStore::begin_snapshot`].
    ///
    /// Sweeps what nobody will commit any more: sets of earlier terms, and lower ones of this term.
    /// So a snapshot that was given up does not take the room of the next.
    pub(super) fn begin_snapshot(
        &mut self,
        term: Term,
        position: Position,
    ) -> Result<Written, StoreError> {
        if self.is_fenced(term) {
            return Ok(Written::Fenced);
        }
        self.retain_sets(|at, set| set.committed || (set.begun == term && at >= position));
        self.snapshots.entry(position).or_insert_with(|| ChunkSet::new(term));
        Ok(Written::Done)
    }

    /// Stores a chunk, see [`crate::store::ZoneStore::put_chunk`].
    pub(super) fn put_chunk(
        &mut self,
        term: Term,
        position: Position,
        number: u32,
        bytes: Bytes,
    ) -> Result<Written, StoreError> {
        if self.is_fenced(term) && !bugs::planted(Bug::PlainChunkWrite) {
            return Ok(Written::Fenced);
        }
        let Some(set) = self.snapshots.get(&position) else {
            return Ok(Written::Behind);
        };
        let old = set.chunks.get(&number);
        if old == Some(&bytes) && set.belongs_to(term) {
            return Ok(Written::Done);
        }
        if set.committed {
            return Ok(Written::Ahead);
        }
        if !set.belongs_to(term) {
            return Ok(Written::Behind);
        }
        let (added, removed) = (record_bytes(&bytes), old.map_or(0, |old| record_bytes(old)));
        self.check_room(added, removed)?;
        self.bytes = self.bytes - removed + added;
        if let Some(set) = self.snapshots.get_mut(&position) {
            set.chunks.insert(number, bytes);
        }
        Ok(Written::Done)
    }

    /// Makes a snapshot the head's, see [`crate::store::ZoneStore::commit_snapshot`].
    ///
    /// Behind, too, if a chunk is missing. Ahead if the head names a newer snapshot: a late commit
    /// must not bring back one that a trim may have dropped.
    pub(super) fn commit_snapshot(
        &mut self,
        request: CommitSnapshot,
    ) -> Result<Written, StoreError> {
        let CommitSnapshot { term, snapshot, from, update } = request;
        if self.is_fenced(term) {
            return Ok(Written::Fenced);
        }
        let named = self.head.as_ref().and_then(|head| head.snapshot);
        if named == Some(snapshot) {
            return Ok(Written::Done);
        }
        let needed = from.unwrap_or(snapshot.position);
        if self.lacks(needed) {
            return Ok(Written::Behind);
        }
        let moved = from.is_some_and(|from| self.position() != from);
        if moved || named.is_some_and(|named| named.position >= snapshot.position) {
            return Ok(Written::Ahead);
        }
        let Some(set) = self.snapshots.get(&snapshot.position) else {
            return Ok(Written::Behind);
        };
        if !set.belongs_to(term) || !set.is_complete(snapshot.chunks) {
            return Ok(Written::Behind);
        }
        let target = from.map_or_else(|| self.position(), |_| snapshot.position);
        if from.is_some_and(|from| target.term != term || target.sequence <= from.sequence) {
            return Err(StoreError::Denied(format!("a snapshot of {term} at {target}")));
        }
        check_list(&update, target)?;
        self.name_snapshot(target, snapshot, update);
        if from.is_some() {
            self.published = None;
        }
        Ok(Written::Done)
    }

    fn name_snapshot(&mut self, target: Position, snapshot: Snapshot, update: HeadUpdate) {
        if let Some(set) = self.snapshots.get_mut(&snapshot.position) {
            set.committed = true;
            let extra = set.chunks.split_off(&snapshot.chunks);
            self.bytes -= extra.values().map(|chunk| record_bytes(chunk)).sum::<usize>();
        }
        self.move_head(target, update);
        if let Some(head) = &mut self.head {
            Arc::make_mut(head).snapshot = Some(snapshot);
        }
    }

    /// Drops what the newest snapshot replaces, see [`crate::store::ZoneStore::trim`].
    ///
    /// Spared are a snapshot that a live reader reads with the log after it, and a newer one that is
    /// under way in this term.
    pub(super) fn trim(&mut self, now: Instant, term: Term) -> Written {
        if self.is_fenced(term) {
            return Written::Fenced;
        }
        self.reports.sweep(now, self.ttl);
        let Some(newest) = self.head.as_ref().and_then(|head| head.snapshot) else {
            return Written::Done;
        };
        let newest = newest.position;
        let mut spared = self.spared(newest);
        while self.spared_bytes(&spared, newest) > self.spare_bytes {
            // The reader of the oldest snapshot is the slowest.
            spared.remove(0);
        }
        let floor = spared.first().copied().unwrap_or(newest);
        while let Some(entry) = self.log.pop_front_if(|entry| entry.meta.position <= floor) {
            self.bytes -= record_bytes(&entry.bytes);
            self.log_bytes -= record_bytes(&entry.bytes);
        }
        self.retain_sets(|at, set| {
            let under_way = !set.committed && set.begun == term && at > newest;
            (at == newest && !bugs::planted(Bug::TrimTooFar)) || under_way || spared.contains(&at)
        });
        Written::Done
    }

    /// Gives one chunk, see [`crate::store::ZoneStore::chunk`].
    pub(super) fn chunk(&self, position: Position, number: u32) -> Option<Bytes> {
        self.snapshots.get(&position)?.chunks.get(&number).cloned()
    }

    /// Lists the older snapshots that live readers read, oldest first.
    fn spared(&self, newest: Position) -> Vec<Position> {
        let is_old = |at: &Position| self.snapshots.get(at).is_some_and(|set| set.committed);
        let mut spared: Vec<_> =
            self.reports.reading().filter(|at| *at != newest && is_old(at)).collect();
        spared.sort_unstable();
        spared.dedup();
        spared
    }

    /// Reckons what sparing these snapshots takes: their chunks, and the log from the oldest up to
    /// the newest snapshot.
    fn spared_bytes(&self, spared: &[Position], newest: Position) -> usize {
        let Some(oldest) = spared.first() else { return 0 };
        let kept = |at: Position| *oldest < at && at <= newest;
        let log = self.log.iter().filter(|entry| kept(entry.meta.position));
        let log: usize = log.map(|entry| record_bytes(&entry.bytes)).sum();
        let sets = spared.iter().filter_map(|at| self.snapshots.get(at));
        log + sets.map(ChunkSet::bytes).sum::<usize>()
    }

    fn retain_sets(&mut self, keep: impl Fn(Position, &ChunkSet) -> bool) {
        let bytes = &mut self.bytes;
        self.snapshots.retain(|at, set| {
            let kept = keep(*at, set);
            if !kept {
                *bytes -= set.bytes();
            }
            kept
        });
    }
}
