//! One zone as a plain value: what is stored, and the fence that each write passes.
//!
//! Each step is one method, here and in the files beside: `leases`, `log`, `snapshots`. A step
//! checks everything before it changes anything.

use std::collections::VecDeque;
use std::mem::size_of;
use std::sync::Arc;

use zonesync_core::bugs::{self, Bug};
use zonesync_core::digest::Fingerprint;
use zonesync_core::election::Lease;
use zonesync_core::format::Head;
use zonesync_core::history::Claims;
use zonesync_core::id::{Epoch, Position, Term};
use zonesync_core::time::{Duration, Instant};

use super::reports::Reports;
use super::snapshots::Snapshots;
use crate::store::{Entry, Seen, StoreError, Written};

/// What an entry or a chunk is reckoned to take beside its bytes.
const RECORD_BYTES: usize = 128;

/// How long a lease is taken to last until somebody names a TTL.
const TTL_DEFAULT: Duration = Duration::from_secs(3);

/// Everything that a store holds of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Zone {
    /// The newest term given.
    pub(super) term: Term,
    /// The lease and when it ends. Kept past its end until somebody looks.
    pub(super) lease: Option<(Lease, Instant)>,
    /// The term of the lease that was given back last.
    pub(super) released: Term,
    /// The TTL named last.
    pub(super) ttl: Duration,
    pub(super) reports: Reports,
    pub(super) head: Option<Arc<Head>>,
    /// The fingerprint of the entry that the head stands at; none if no entry brought it there.
    pub(super) published: Option<Fingerprint>,
    /// Claims made while there is no head to hold them.
    pub(super) waiting: Claims,
    /// The log, oldest first. An entry builds on the one before, unless a snapshot moved the head
    /// in between.
    pub(super) log: VecDeque<Entry>,
    pub(super) snapshots: Snapshots,
    /// What log and chunks take.
    pub(super) bytes: usize,
    /// Of these, the bytes of the log.
    pub(super) log_bytes: usize,
    bytes_max: usize,
    pub(super) spare_bytes: usize,
}

impl Zone {
    /// Makes an empty zone with the given bounds.
    pub(super) fn new(bytes_max: usize, spare_bytes: usize) -> Self {
        Self {
            term: Term::default(),
            lease: None,
            released: Term::default(),
            ttl: TTL_DEFAULT,
            reports: Reports::default(),
            head: None,
            published: None,
            waiting: Claims::new(),
            log: VecDeque::new(),
            snapshots: Snapshots::default(),
            bytes: 0,
            log_bytes: 0,
            bytes_max,
            spare_bytes,
        }
    }

    /// Empties the zone; its bounds stay.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.bytes_max, self.spare_bytes);
    }

    /// Gives where the head stands; the start if there is none.
    pub(super) fn position(&self) -> Position {
        self.head.as_ref().map_or(Position::START, |head| head.position())
    }

    /// Says whether head or lease are others than those seen. A lease that only ran out is not.
    pub(super) fn has_moved(&self, seen: Seen) -> bool {
        let lease = match &self.lease {
            Some((lease, _)) => lease.term != seen.lease,
            None => seen.lease != Term::default() && seen.lease == self.released,
        };
        lease || self.position() != seen.head
    }

    /// Says whether `term` may not write. The zero term never may: nobody was given it.
    pub(super) fn is_fenced(&self, term: Term) -> bool {
        let same = bugs::planted(Bug::FenceByEpochOnly) && term.epoch == self.term.epoch;
        (term != self.term && !same) || term.epoch == Epoch(0)
    }

    /// Compares where the head stands with where a write wants it: none if it is there.
    ///
    /// A head at the same epoch and sequence but of another reign counts as behind: what the write
    /// builds on is not there.
    pub(super) fn misplaced(&self, wanted: Position) -> Option<Written> {
        let head = self.position();
        if head == wanted {
            None
        } else if is_below_or_beside(head, wanted) {
            Some(Written::Behind)
        } else {
            Some(Written::Ahead)
        }
    }

    /// Says whether the head has lost `position`: it stands below it, or beside it on another reign.
    pub(super) fn lacks(&self, position: Position) -> bool {
        self.misplaced(position) == Some(Written::Behind)
    }

    /// Makes sure that a record of `added` bytes fits when one of `removed` bytes goes.
    pub(super) fn check_room(&self, added: usize, removed: usize) -> Result<(), StoreError> {
        let used = (self.bytes - removed).saturating_add(added).saturating_add(size_of::<Head>());
        if used > self.bytes_max { Err(StoreError::Full) } else { Ok(()) }
    }
}

/// What a record of `bytes` is reckoned to take.
pub(super) fn record_bytes(bytes: &[u8]) -> usize {
    bytes.len() + RECORD_BYTES
}

fn is_below_or_beside(head: Position, wanted: Position) -> bool {
    (head.term.epoch, head.sequence) <= (wanted.term.epoch, wanted.sequence)
}
