//! Positions that some node stood at and the store lost.

use heapless::Vec;

use super::TermList;
use crate::bugs::{self, Bug};
use crate::id::Position;

/// How many claims a head holds. While all of them are open, a further node waits its turn.
pub const CLAIMS_MAX: usize = 64;

/// Whether a claim still holds its node where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimState {
    /// Nobody has looked at the truth since.
    Open,
    /// A full read of the management repository, begun after the claim was known, was published.
    Settled,
}

/// One lost position. It speaks for all lower positions of its term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The highest position that is claimed.
    pub position: Position,
    /// Open or settled.
    pub state: ClaimState,
}

impl Claim {
    fn speaks_for(&self, position: Position) -> bool {
        self.position.term == position.term && position.sequence <= self.position.sequence
    }
}

/// The last [`CLAIMS_MAX`] claims, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    claims: Vec<Claim, CLAIMS_MAX>,
}

impl Claims {
    /// Starts without claims.
    pub const fn new() -> Self {
        Self { claims: Vec::new() }
    }

    /// Makes claims from a slice, oldest first; keeps the last [`CLAIMS_MAX`].
    pub fn from_claims(claims: &[Claim]) -> Self {
        let last = &claims[claims.len().saturating_sub(CLAIMS_MAX)..];
        Self { claims: Vec::from_slice(last).unwrap_or_default() }
    }

    /// Goes through all claims, oldest first.
    pub fn claims(&self) -> &[Claim] {
        &self.claims
    }

    /// Goes through the claims that are open.
    pub fn open(&self) -> impl Iterator<Item = Position> + '_ {
        self.claims.iter().filter(|c| c.state == ClaimState::Open).map(|c| c.position)
    }

    /// Says whether some claim, open or settled, speaks for `position`.
    pub fn contains(&self, position: Position) -> bool {
        self.claims.iter().any(|claim| claim.speaks_for(position))
    }

    /// Says whether a settled claim speaks for `position`.
    pub fn settles(&self, position: Position) -> bool {
        let left = bugs::planted(Bug::OwnClaimLeft);
        let settled = |c: &&Claim| c.state == ClaimState::Settled || left;
        self.claims.iter().filter(settled).any(|claim| claim.speaks_for(position))
    }

    /// Adds an open claim, unless one speaks for `position` already.
    ///
    /// Makes room by forgetting the oldest settled claim. Returns false, and changes nothing, if
    /// there is none: the node must raise again later.
    pub fn add(&mut self, position: Position) -> bool {
        if self.contains(position) {
            return true;
        }
        let lower = |c: &Claim| {
            c.state == ClaimState::Open
                && c.position.term == position.term
                && c.position.sequence < position.sequence
        };
        if let Some(claim) = self.claims.iter_mut().find(|c| lower(c)) {
            claim.position = position;
            return true;
        }
        if self.claims.is_full() {
            match self.claims.iter().position(|c| c.state == ClaimState::Settled) {
                Some(oldest) => drop(self.claims.remove(oldest)),
                None => return false,
            }
        }
        self.claims.push(Claim { position, state: ClaimState::Open }).is_ok()
    }

    /// Settles the open claims in `known`, and no others.
    pub fn settle(&mut self, known: &[Position]) {
        for claim in &mut self.claims {
            if known.contains(&claim.position) {
                claim.state = ClaimState::Settled;
            }
        }
    }

    /// Forgets the claims that `list` has come to cover.
    pub fn drop_covered(&mut self, list: &TermList) {
        self.claims.retain(|claim| !list.covers(claim.position));
    }
}
