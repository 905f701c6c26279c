//! Who stands where: lists of terms, claims, and what follows from them after a loss.
//!
//! A store can lose its tail, come back from an old copy, or answer as two masters at once. So no
//! node trusts a bare number. The head carries the list of the newest terms with the last sequence
//! each reached, and a position is *covered* only if that list has its term, reached at least as
//! far. A position that is not covered was on a branch that the store no longer has. Its holder
//! claims it, keeps its state, and leaves it only when the list comes to cover it or the primary has
//! settled the claim by reading the management repository in full.
//!
//! Start with [`TermList::covers`], then [`standing`] and [`take_over`].

mod claims;
mod list;

pub use claims::{CLAIMS_MAX, Claim, ClaimState, Claims};
pub use list::{LIST_MAX, Reign, TermList};

use core::fmt;

use crate::bugs::{self, Bug};
use crate::digest::Fingerprint;
use crate::id::{Epoch, NUMBER_MAX, Position, Term};

/// The furthest that a raise may jump above the newest epoch given: 2^32.
pub const RAISE_MAX: u64 = 1 << 32;

/// How a node's position relates to what the store holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The store's history contains it: follow.
    Covered,
    /// The store lost it, and the primary has since read the repository in full: leave it.
    Settled,
    /// The store lost it and knows that: keep the state and wait.
    Claimed,
    /// The store lost it and does not know: raise.
    Lost,
}

/// Says how `position` stands against a head's list and claims.
pub fn standing(position: Position, list: &TermList, claims: &Claims) -> Standing {
    if list.covers(position) {
        Standing::Covered
    } else if claims.settles(position) {
        Standing::Settled
    } else if claims.contains(position) {
        Standing::Claimed
    } else {
        Standing::Lost
    }
}

/// What a new primary does with the state that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeOver {
    /// Nothing is held and nothing is stored: read the repository and publish a first state.
    FirstLoad,
    /// The store's state is the truth: follow to it, then go on from there.
    Follow,
    /// The store only lost something that we hold: publish what it lacks.
    Restore,
    /// Two branches: neither memory nor store decides. The repository does.
    Reconcile,
}

/// Decides how to begin a reign, from the head as read after the lease was taken.
///
/// `held` is one's own position with its list, `stored` the head's list and claims; either may be
/// missing. A store whose head names no complete state counts as holding nothing.
pub fn take_over(
    held: Option<(Position, &TermList)>,
    stored: Option<(&TermList, &Claims)>,
) -> TakeOver {
    match (held, stored) {
        (None, None) => TakeOver::FirstLoad,
        (None, Some(_)) if bugs::planted(Bug::ColdFoundsTruth) => TakeOver::FirstLoad,
        (None, Some(_)) => TakeOver::Follow,
        (Some(_), None) => TakeOver::Restore,
        (Some((position, own)), Some((list, claims))) => match standing(position, list, claims) {
            Standing::Covered | Standing::Settled => TakeOver::Follow,
            _ if own.covers(list.position()) => TakeOver::Restore,
            _ if bugs::planted(Bug::MemoryOfAnotherBranchPublished) => TakeOver::Restore,
            _ => TakeOver::Reconcile,
        },
    }
}

/// What a store does with a raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raised {
    /// The newest epoch given becomes this one, under an id that nobody holds.
    pub epoch: Option<Epoch>,
    /// The position becomes an open claim.
    pub claim: bool,
}

/// A raise that a store refuses: it names an epoch no zone can have come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RaiseTooFar {
    /// The newest epoch that the store has given.
    pub stored: Epoch,
    /// The epoch that the raise named.
    pub named: Epoch,
}

impl fmt::Display for RaiseTooFar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stored, named } = self;
        write!(f, "a raise to {named} is more than {RAISE_MAX} above the stored {stored}")
    }
}

impl core::error::Error for RaiseTooFar {}

/// Works out what a raise changes. `stored` is the newest term given, `seen` the highest epoch that
/// the node has seen, `position` where it stands.
pub fn raise(
    stored: Epoch,
    seen: Epoch,
    position: Option<Position>,
    list: &TermList,
    claims: &Claims,
) -> Result<Raised, RaiseTooFar> {
    let lost = position.filter(|p| standing(*p, list, claims) == Standing::Lost);
    let named = lost.map_or(seen, |p| seen.max(p.term.epoch));
    if named.0 > stored.0.saturating_add(RAISE_MAX) || named.0 >= NUMBER_MAX {
        return Err(RaiseTooFar { stored, named });
    }
    let behind = stored < seen || lost.is_some_and(|p| stored <= p.term.epoch);
    let behind = behind || bugs::planted(Bug::RaiseForEver);
    let epoch = if behind { stored.max(named).next() } else { None };
    Ok(Raised { epoch, claim: lost.is_some() })
}

/// Why an entry of the log may not be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is of a reign older than one that this node has seen.
    OldTerm(Epoch),
    /// It does not build on the position held.
    Gap(Position),
    /// It builds on the position held, but on another state.
    Branch(Fingerprint),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OldTerm(seen) => write!(f, "its epoch is below {seen}, which was seen"),
            Self::Gap(previous) => write!(f, "it builds on {previous}"),
            Self::Branch(before) => write!(f, "it builds on another state, {before}"),
        }
    }
}

impl core::error::Error for Refusal {}

/// Says whether an entry of `term` that builds on (`previous`, `before`) may be applied to the
/// state (`held`, `fingerprint`) by a node that has seen epoch `seen`.
pub fn may_apply(
    (held, fingerprint): (Position, Fingerprint),
    seen: Epoch,
    term: Term,
    (previous, before): (Position, Fingerprint),
) -> Result<(), Refusal> {
    if term.epoch < seen {
        Err(Refusal::OldTerm(seen))
    } else if bugs::planted(Bug::SkipGap) {
        Ok(())
    } else if previous != held {
        Err(Refusal::Gap(previous))
    } else if before != fingerprint {
        Err(Refusal::Branch(before))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
