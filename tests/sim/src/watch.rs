//! Watches a world and says which promise was broken.
//!
//! Written from the promises, and not from the code: it knows what the control plane held
//! ([`Truth`](crate::truth::Truth)), sees every request that a server carried out (`store`), and
//! sees every state that a node shows (`node`). It asks no node what it thinks.

mod formats;
mod heard;
mod ledger;
mod model;
mod node;
mod store;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use zonesync::store::{Acquired, Bytes, Log, Look, RaiseAnswer, Renewed, Written};
use zonesync_core::election::{Report, Role};
use zonesync_core::format::batch::BatchWriter;
use zonesync_core::format::{Batch, BatchMeta, Head};
use zonesync_core::id::{EntityKey, EntityKeyBuf, Epoch, Position, Term, TermId};
use zonesync_core::time::Duration;

use std::sync::Arc;

pub use ledger::{Deed, Deeds, Ledger};
pub use node::Watched;

use crate::executor::{HostId, Time};
use crate::plane::Plane;
use crate::random::Random;
use heard::Heard;
use model::{Model, Models};
use store::AtStore;

/// What a zone promises, numbered as in `docs/promises.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// A term has one primary, and only a newer one is followed.
    OnePrimary = 1,
    /// A write of a deposed primary changes nothing.
    Fenced = 2,
    /// A published change reaches every node once, in order.
    InOrder = 3,
    /// A node is ready only with what was announced as complete.
    OnlyAnnounced = 4,
    /// Once faults stop, all come to hold the same.
    Converges = 5,
    /// A revoked key is not found again.
    StaysRevoked = 6,
    /// Rows that are not shown do not wipe the zone.
    NeverWiped = 7,
    /// Bad bytes do no harm.
    BadBytes = 8,
    /// A primary that goes is followed by another in time.
    InTime = 9,
    /// Nobody is handed a format that it cannot read.
    Readable = 10,
}

impl Promise {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::OnePrimary,
        Self::Fenced,
        Self::InOrder,
        Self::OnlyAnnounced,
        Self::Converges,
        Self::StaysRevoked,
        Self::NeverWiped,
        Self::BadBytes,
        Self::InTime,
        Self::Readable,
    ];
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::OnePrimary => "a term has one primary",
            Self::Fenced => "a deposed primary's write changes nothing",
            Self::InOrder => "changes arrive once, in order",
            Self::OnlyAnnounced => "ready only with an announced state",
            Self::Converges => "all come to hold the same",
            Self::StaysRevoked => "a revoked key is not found again",
            Self::NeverWiped => "missing rows do not wipe the zone",
            Self::BadBytes => "bad bytes do no harm",
            Self::InTime => "another primary follows in time",
            Self::Readable => "nobody is handed what it cannot read",
        };
        write!(f, "promise {} ({text})", *self as u8)
    }
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// When.
    pub at: Time,
    /// Which.
    pub promise: Promise,
    /// What was seen, in plain words.
    pub what: String,
    /// Which entity it is about.
    pub key: Option<EntityKeyBuf>,
}

/// A request to the store, as far as it is watched.
#[derive(Clone, Debug)]
pub enum Call {
    /// Looks at the lease.
    Look,
    /// Asks for the lease.
    Acquire {
        /// The new term's id.
        id: TermId,
        /// How long it lasts.
        ttl: Duration,
    },
    /// Prolongs the lease.
    Renew {
        /// Whose.
        term: Term,
        /// For how long.
        ttl: Duration,
    },
    /// Gives the lease back.
    Release(Term),
    /// Appends a batch.
    Publish {
        /// The writer's term.
        term: Term,
        /// What the batch says of itself.
        meta: BatchMeta,
        /// The record.
        bytes: Bytes,
    },
    /// Begins a snapshot, at this position.
    Begin(Term, Position),
    /// Stores a chunk.
    Chunk {
        /// The writer's term.
        term: Term,
        /// The snapshot's.
        position: Position,
        /// The chunk.
        bytes: Bytes,
    },
    /// Makes a snapshot the head's.
    Commit {
        /// The writer's term.
        term: Term,
        /// The head moves to it.
        moves: bool,
    },
    /// Changes the head.
    WriteHead(Term),
    /// Drops what a snapshot covers.
    Trim(Term),
    /// Tells of a loss.
    Raise,
    /// Reads head and log.
    Read,
    /// Reads a chunk.
    ReadChunk,
}

impl Call {
    /// Gives the term of a primary's write.
    pub fn writes_as(&self) -> Option<Term> {
        match self {
            Self::Publish { term, .. } | Self::Chunk { term, .. } | Self::Commit { term, .. } => {
                Some(*term)
            }
            Self::Begin(term, _) | Self::WriteHead(term) | Self::Trim(term) => Some(*term),
            _ => None,
        }
    }

    /// Says whether a server that takes no writes refuses it.
    pub fn is_write(&self) -> bool {
        !matches!(self, Self::Read | Self::ReadChunk)
    }

    /// Says whether a full server refuses it.
    pub fn needs_room(&self) -> bool {
        matches!(
            self,
            Self::Publish { .. } | Self::Begin(..) | Self::Chunk { .. } | Self::Commit { .. }
        )
    }
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out.
    Done,
    /// It was refused.
    Refused,
    /// The lease was given.
    Granted(Term),
    /// An error.
    Failed,
}

/// A request that a server carried out or refused.
#[derive(Debug)]
pub struct Executed<'a> {
    /// When.
    pub at: Time,
    /// Whose.
    pub host: HostId,
    /// At which server.
    pub server: usize,
    /// What was asked.
    pub call: &'a Call,
    /// Newest term and head before.
    pub before: (Term, Option<Arc<Head>>),
    /// Newest term and head after.
    pub after: (Term, Option<Arc<Head>>),
    /// What came of it.
    pub outcome: Outcome,
}

/// An answer as it is watched, and spoiled.
pub trait Reply {
    /// Gives the newest epoch that it tells of.
    fn epoch(&self) -> Option<Epoch> {
        None
    }

    /// Gives what it says.
    fn outcome(&self) -> Outcome {
        Outcome::Done
    }

    /// Gives the least format that the live reports in it speak of.
    fn least_format(&self) -> Option<u16> {
        None
    }

    /// Gives the format of the head in it.
    fn head_format(&self) -> Option<u16> {
        None
    }

    /// Spoils what it carries: turns a bit, or leaves something out so that the checksum fits.
    fn flip(&mut self, _seed: u64) {}
}

fn least(live: &[Report]) -> Option<u16> {
    live.iter().map(|report| report.format).min()
}

impl Reply for () {}

impl Reply for Look {
    fn least_format(&self) -> Option<u16> {
        least(&self.live)
    }

    fn epoch(&self) -> Option<Epoch> {
        Some(self.term.epoch)
    }
}

impl Reply for RaiseAnswer {
    fn epoch(&self) -> Option<Epoch> {
        match self {
            Self::Done(epoch) => Some(*epoch),
            Self::TooFar => None,
        }
    }
}

impl Reply for Acquired {
    fn epoch(&self) -> Option<Epoch> {
        match self {
            Self::Granted(term) => Some(term.epoch),
            Self::Stale(epoch) => Some(*epoch),
            Self::Held => None,
        }
    }

    fn outcome(&self) -> Outcome {
        match self {
            Self::Granted(term) => Outcome::Granted(*term),
            _ => Outcome::Refused,
        }
    }
}

impl Reply for Renewed {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Done { .. } => Outcome::Done,
            _ => Outcome::Refused,
        }
    }

    fn least_format(&self) -> Option<u16> {
        match self {
            Self::Done { live, .. } => least(live),
            _ => None,
        }
    }
}

impl Reply for Written {
    fn outcome(&self) -> Outcome {
        if *self == Self::Done { Outcome::Done } else { Outcome::Refused }
    }
}

impl Reply for Log {
    fn epoch(&self) -> Option<Epoch> {
        Some(self.term.epoch)
    }

    fn head_format(&self) -> Option<u16> {
        self.head.as_ref().map(|head| head.format)
    }

    fn flip(&mut self, seed: u64) {
        if let Some(entry) = self.entries.last_mut() {
            let cut = if seed.is_multiple_of(2) { cut(&entry.bytes) } else { None };
            entry.bytes = cut.unwrap_or_else(|| flipped(&entry.bytes, seed));
        }
    }
}

impl Reply for Option<Bytes> {
    fn flip(&mut self, seed: u64) {
        if let Some(bytes) = self {
            *bytes = flipped(bytes, seed);
        }
    }
}

fn flipped(bytes: &Bytes, seed: u64) -> Bytes {
    let mut bytes = bytes.to_vec();
    let bit = seed % (bytes.len() as u64 * 8);
    bytes[bit as usize / 8] ^= 1 << (bit % 8);
    bytes.into()
}

/// A record without its last change, and with the checksum of that: only the digest can tell.
fn cut(bytes: &Bytes) -> Option<Bytes> {
    let batch = Batch::decode(bytes).ok().filter(|batch| !batch.is_empty())?;
    let mut writer = BatchWriter::new();
    for change in batch.changes().take(batch.len() - 1) {
        let _ = writer.push(&change).ok()?;
    }
    Some(writer.finish(*batch.meta(), batch.list()).into())
}

/// Watches one world.
pub struct Watch {
    plane: Plane,
    random: Random,
    store: AtStore,
    heard: Heard,
    models: Models,
    /// What each node shows.
    shown: BTreeMap<HostId, Model>,
    /// When nodes went on that had stood still.
    resumed: BTreeMap<HostId, Time>,
    /// The first promise that was broken.
    broken: Option<Broken>,
    lines: VecDeque<(Time, String)>,
    checks: BTreeMap<Promise, u64>,
    /// Which formats nodes read, and what they were shown.
    pub formats: formats::Formats,
    /// What the servers were asked, and made of it.
    pub ledger: Ledger,
    /// An entity whose story is told in the trace.
    pub focus: Option<EntityKeyBuf>,
    /// Nodes that never stand for election.
    pub observers: BTreeSet<HostId>,
    /// When the last batch was taken, and whose it was.
    pub published: (Time, HostId),
    /// Nodes with another filter take part, so rows may be removed that only a filter leaves out.
    pub has_filters: bool,
}

/// How many lines of what happened are kept for a trace.
const LINES: usize = 2000;

impl Watch {
    /// Watches a world with these rows.
    pub fn new(plane: Plane, random: Random) -> Self {
        Self {
            plane,
            random,
            store: AtStore::default(),
            heard: Heard::default(),
            models: Models::default(),
            shown: BTreeMap::new(),
            resumed: BTreeMap::new(),
            broken: None,
            lines: VecDeque::with_capacity(LINES),
            checks: BTreeMap::new(),
            formats: formats::Formats::default(),
            ledger: Ledger::default(),
            focus: None,
            observers: BTreeSet::new(),
            published: (0, 0),
            has_filters: false,
        }
    }

    /// Gives the first broken promise.
    pub fn broken(&self) -> Option<&Broken> {
        self.broken.as_ref()
    }

    /// Gives how often each promise was checked.
    pub fn checks(&self) -> &BTreeMap<Promise, u64> {
        &self.checks
    }

    /// Gives what happened last, oldest first.
    pub fn trace(&self) -> impl Iterator<Item = &(Time, String)> {
        self.lines.iter()
    }

    /// Notes something for the trace. Nothing is added once a promise is broken.
    pub fn note(&mut self, at: Time, what: impl FnOnce() -> String) {
        if self.broken.is_some() {
            return;
        }
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back((at, what()));
    }

    /// Notes something about an entity, if its story is told.
    pub fn note_of(&mut self, at: Time, key: EntityKey<'_>, what: impl FnOnce() -> String) {
        if self.focus.as_ref().is_some_and(|focus| focus.as_ref() == key) {
            self.note(at, || format!("{key}: {}", what()));
        }
    }

    /// Notes a check, and what is wrong if it failed.
    pub fn check(&mut self, at: Time, promise: Promise, kept: bool, what: impl FnOnce() -> String) {
        self.check_of(at, promise, None, kept, what);
    }

    /// Notes a check of one entity.
    pub fn check_of(
        &mut self,
        at: Time,
        promise: Promise,
        key: Option<&EntityKeyBuf>,
        kept: bool,
        what: impl FnOnce() -> String,
    ) {
        *self.checks.entry(promise).or_default() += 1;
        if !kept && self.broken.is_none() {
            let what = what();
            self.lines.push_back((at, format!("BROKEN {promise}: {what}")));
            self.broken = Some(Broken { at, promise, what, key: key.cloned() });
        }
    }
}

/// A short word for a role.
pub fn role(role: Role) -> &'static str {
    match role {
        Role::Primary => "primary",
        Role::Secondary => "secondary",
        Role::Observer => "observer",
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("broken", &self.broken).finish_non_exhaustive()
    }
}
