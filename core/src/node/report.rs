//! How a node stands with its zone: ready, in sync, and if not, why.

use core::fmt;

use crate::election::Loss;
use crate::id::{NodeId, Position, Term};
use crate::time::{Duration, Instant};

/// Something that an operator may want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// This node is primary.
    Won(Term),
    /// This node is primary no longer.
    Lost(Term, Loss),
    /// The reign has begun: its first entry stands.
    Opened(Position),
    /// This node holds a complete announced state, for the first time since it started.
    Ready(Position),
    /// This node serves what its image holds, for the zone's state cannot be had.
    ReadyByImage(Position),
    /// The state did not follow from the log: a snapshot is loaded.
    Healing(Position),
    /// The store lost this position, and was told so.
    Raised(Position),
    /// Claims were settled by a full read.
    Settled(usize),
    /// The rows of the repository fall too far short of what live nodes hold.
    HeldShort,
    /// This node writes the zone in this format from now on.
    Format(u16),
    /// The zone is written in this format, which this node cannot read.
    Unreadable(u16),
}

/// Why a node is not in sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is.
    None,
    /// It has just started.
    Starting,
    /// The store holds nothing yet.
    StoreEmpty,
    /// The store is in its first load.
    FirstLoad,
    /// It is catching up.
    CatchingUp,
    /// Its state differs from what the zone announced; it loads a snapshot.
    Mismatch,
    /// The store lost the position it stands at; it waits until the primary has settled that.
    Claimed,
    /// It is taking over.
    TakingOver,
    /// The store does not answer.
    StoreDown,
    /// The store has no room for what is to be published.
    StoreFull,
    /// The repository gave fewer rows than live nodes hold; a person must confirm.
    Short,
    /// The zone is written in this format, which this version does not read.
    Format(u16),
    /// It was stopped.
    Stopped,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Format(format) => {
                return write!(f, "the zone is in format {format}, which this version cannot read");
            }
            Self::None => "",
            Self::Starting => "starting",
            Self::StoreEmpty => "the zone store is empty; waiting for a primary to fill it",
            Self::FirstLoad => "the zone store is in its first load",
            Self::CatchingUp => "catching up with the zone",
            Self::Mismatch => "the state differs from the zone's; loading a snapshot",
            Self::Claimed => {
                "the zone store lost this node's position; waiting for the primary to settle it"
            }
            Self::TakingOver => "taking over as primary",
            Self::StoreDown => "the zone store does not answer",
            Self::StoreFull => "the zone store is full; publishing waits for room",
            Self::Short => "the repository gave far fewer rows than live nodes hold; confirm it",
            Self::Stopped => "stopped",
        })
    }
}

/// How a node stands with its zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Held a complete announced state since it started. Never taken back.
    pub ready: bool,
    /// Serves a state that is not, or not yet, the zone's.
    pub stale: bool,
    /// Holds the newest state, now.
    pub in_sync: bool,
    /// Why it does not.
    pub reason: Reason,
    /// How long it has not.
    pub lag: Duration,
    /// Who holds the lease, as last seen.
    pub primary: Option<NodeId>,
}

/// What [`Standing`] is made from.
#[derive(Clone, Debug)]
pub(super) struct Health {
    pub(super) ready: bool,
    pub(super) stale: bool,
    pub(super) stopped: bool,
    pub(super) primary: Option<NodeId>,
    reason: Reason,
    out_since: Option<Instant>,
}

impl Health {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            ready: false,
            stale: false,
            stopped: false,
            primary: None,
            reason: Reason::Starting,
            out_since: Some(now),
        }
    }

    pub(super) fn in_sync(&mut self) {
        self.reason = Reason::None;
        self.out_since = None;
        self.stale = false;
    }

    pub(super) fn out_of_sync(&mut self, now: Instant, reason: Reason) {
        self.reason = reason;
        self.out_since.get_or_insert(now);
    }

    pub(super) fn reason_is_catching_up(&self) -> bool {
        self.reason == Reason::CatchingUp
    }

    pub(super) fn standing(&self, now: Instant) -> Standing {
        Standing {
            ready: self.ready,
            stale: self.stale,
            in_sync: self.out_since.is_none() && !self.stopped,
            reason: if self.stopped { Reason::Stopped } else { self.reason },
            lag: self.out_since.map_or(Duration::ZERO, |since| now.since(since)),
            primary: self.primary.clone(),
        }
    }
}
