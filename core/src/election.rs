//! Who writes: one node of a zone holds a lease in the zone store, and with it a term.
//!
//! The store's clock ends a lease, the holder's own clock ends its acting sooner, and the term
//! fences whatever arrives late. So no clock needs to agree with another.
//!
//! [`Elector`] is the state machine; the other types are what it and the store tell each other.

mod elector;

pub use elector::{Answer, Command, Config, Elector, Event, Loss};

use core::fmt;

use crate::digest::Fingerprint;
use crate::format::Filter;
use crate::id::{Epoch, InstanceId, NodeId, Position, Term};
use crate::time::Duration;

/// What a node is in its zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It holds the lease, reads the management repository and writes the zone store.
    Primary,
    /// It follows, and may stand for election.
    Secondary,
    /// It follows, and never stands.
    Observer,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
            Self::Observer => "observer",
        })
    }
}

/// The moment at which a lease ends by the store's clock. It moves with each renewal, so a stamp
/// that stands still means a holder that does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeaseStamp(pub u64);

/// A lease as the store shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The name of the holder.
    pub node: NodeId,
    /// Which start of the holder.
    pub instance: InstanceId,
    /// The term that comes with the lease.
    pub term: Term,
    /// When it ends by the store's clock.
    pub stamp: LeaseStamp,
    /// How long that is from now.
    pub remaining: Duration,
}

/// What a node saw of its store last. Waiting ends when the store shows something else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Where the head stood; [`Position::START`] if there was none.
    pub head: Position,
    /// The term of the lease that stood; zero if none did.
    pub lease: Term,
}

/// What a node tells the zone of itself, every third of the TTL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The node's name.
    pub node: NodeId,
    /// Which start of it.
    pub instance: InstanceId,
    /// What it is.
    pub role: Role,
    /// Where its state stands; [`Position::START`] while it holds none.
    pub position: Position,
    /// The highest epoch it has seen.
    pub seen: Epoch,
    /// The digest of its state.
    pub fingerprint: Fingerprint,
    /// How many entities it holds.
    pub count: u64,
    /// Whether it may become primary: it is a candidate, its host agrees, it reads the format.
    pub can_stand: bool,
    /// The newest format it reads. What the primary writes is no newer.
    pub format: u16,
    /// What it reads the repository with.
    pub filter: Filter,
    /// The snapshot that it is reading and that must not be trimmed.
    pub reading: Option<Position>,
}

#[cfg(test)]
mod tests;
