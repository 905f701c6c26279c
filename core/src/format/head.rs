//! The head: what the store says of its newest complete state.
//!
//! The record is described in `head/record.rs`.

mod record;

use crate::digest::Digest;
use crate::entity::{KINDS_MAX, Kind};
use crate::history::{Claims, TermList};
use crate::id::Position;
use crate::removal::GuardData;
use crate::time::WallTime;

/// What the store says of its newest state. Changes only together with the log or a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Drawn when the head was first written, so that a store that starts over is told apart.
    pub incarnation: u128,
    /// The format that a reader must know: none of the snapshot's chunks, and no entry of the log
    /// behind it, is of a newer one.
    pub format: u16,
    /// The reigns behind the state; its end is the head's position.
    pub list: TermList,
    /// Positions that the store lost.
    pub claims: Claims,
    /// The newest snapshot. While there is none, the state is not complete.
    pub snapshot: Option<Snapshot>,
    /// Counts and sums of the state.
    pub digest: Digest,
    /// Up to which row date the state holds what the management repository held.
    pub source: Source,
    /// What the state was read with.
    pub filter: Filter,
    /// What the mass-removal guard must not forget.
    pub guard: GuardData,
}

impl Head {
    /// Gives the position of the newest state.
    pub fn position(&self) -> Position {
        self.list.position()
    }

    /// Says whether the state was announced as complete.
    pub fn is_complete(&self) -> bool {
        self.snapshot.is_some()
    }
}

/// Names a snapshot: the whole state at one position, cut into chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The state it holds.
    pub position: Position,
    /// How many chunks there are, numbered from zero.
    pub chunks: u32,
    /// The bytes of all chunks as stored.
    pub bytes: u64,
    /// SipHash-1-3-128, zero key, over the checksums of the chunks in order.
    pub hash: u128,
}

/// Per kind the newest row date read: where a successor reads on.
///
/// Dates are the rows' own, never a node's clock. A kind without a date is read in full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Source {
    newest: [Option<WallTime>; KINDS_MAX],
}

impl Source {
    /// Gives the newest row date of `kind`.
    pub fn newest(&self, kind: Kind) -> Option<WallTime> {
        self.newest[usize::from(kind.code())]
    }

    /// Moves `kind` forward to `date`; never back.
    pub fn advance(&mut self, kind: Kind, date: WallTime) {
        let newest = &mut self.newest[usize::from(kind.code())];
        *newest = Some(newest.map_or(date, |old| old.max(date)));
    }

    /// Goes through the kinds that have a date.
    pub fn kinds(&self) -> impl Iterator<Item = (Kind, WallTime)> + '_ {
        (1..KINDS_MAX as u8)
            .filter_map(Kind::from_code)
            .filter_map(|kind| Some((kind, self.newest(kind)?)))
    }

    /// Says whether this source has come at least as far as `other` in every kind.
    pub fn reaches(&self, other: &Self) -> bool {
        other.kinds().all(|(kind, date)| self.newest(kind).is_some_and(|own| own >= date))
    }
}

/// What a state was read with: a hash over sharding tags, organizations and environments, sorted.
///
/// Nodes of one zone must agree on it, or each take-over would empty the zone of what the new
/// primary's filter leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter(pub u128);
