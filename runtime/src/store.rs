//! The zone store: where the zone keeps its lease, its log and its snapshots.
//!
//! [`ZoneStore`] is a contract, not a place. Each method is one atomic step at the store and names
//! what it compares; a store translates and decides nothing, the rules are `zonesync_core`'s. Any
//! step may be carried out although its reply is lost, so each can be sent again with the same
//! arguments.
//!
//! Every write of a primary carries its term, and the store refuses it as [`Written::Fenced`]
//! unless that is the newest term given. The fence is the store's, whatever the writer's clock says.
//!
//! The same suite of tests runs against every store.

pub mod memory;
pub mod redis;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use zonesync_core::digest::Digest;
pub use zonesync_core::election::Seen;
use zonesync_core::election::{Lease, LeaseStamp, Report};
use zonesync_core::format::{BatchMeta, Filter, Head, Snapshot, Source};
use zonesync_core::history::TermList;
use zonesync_core::id::{Epoch, InstanceId, NodeId, Position, Term, TermId};
use zonesync_core::removal::GuardData;
use zonesync_core::time::Duration;

/// An answer on its way.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Bytes that several holders share.
pub type Bytes = Arc<[u8]>;

/// One zone in one store.
pub trait ZoneStore: Send + Sync + fmt::Debug + 'static {
    /// Shows lease, newest term, head position and live reports; leaves `report`, if given, as this
    /// instance's newest. A report is live for twice the TTL by the store's clock.
    fn look(&self, report: Option<Report>) -> Reply<'_, Look>;

    /// Asks for the lease and a new term.
    ///
    /// Granted if no lease stands, or the standing one still bears `Acquire::still`, or the same
    /// instance holds it. The epoch is one above the higher of the newest given and
    /// `Acquire::known`. The same term id again, while its lease stands, gets the same answer.
    /// Refused if the newest epoch given is above `Acquire::known`: so a late duplicate never takes
    /// a lease, for its sender's knowledge is old. Denied if `Acquire::known` is more than 2^32
    /// above the newest given: no zone can have come there.
    fn acquire(&self, request: Acquire) -> Reply<'_, Acquired>;

    /// Prolongs the lease of `Renew::term` by its TTL, if that term still holds it.
    ///
    /// Refused as behind if the head is below `Renew::acknowledged`, or beside it on another term:
    /// the store lost something. A head above it is the holder's own batch under way.
    fn renew(&self, request: Renew) -> Reply<'_, Renewed>;

    /// Ends the lease of `term` at once and wakes every waiter. Does nothing for another term.
    fn release(&self, term: Term) -> Reply<'_, ()>;

    /// Appends one batch to the log and moves the head to it.
    ///
    /// Done if the head stands at `BatchMeta::previous`, and done already if it stands at the batch
    /// itself with the same fingerprint; behind if it stands below `previous`, or beside it on
    /// another term, else ahead. The head is made if there is none and `previous` is
    /// [`Position::START`]. With the head, the list advances to the position, or becomes
    /// `HeadUpdate::list`; claims that the list then covers are dropped.
    fn publish(&self, request: Publish) -> Reply<'_, Written>;

    /// Notes that chunks of a snapshot at `position` will follow, so that leftovers are swept.
    fn begin_snapshot(&self, term: Term, position: Position) -> Reply<'_, Written>;

    /// Stores chunk `number` of the snapshot at `position`, which was begun in this `term`.
    fn put_chunk(
        &self,
        term: Term,
        position: Position,
        number: u32,
        bytes: Bytes,
    ) -> Reply<'_, Written>;

    /// Makes the snapshot the head's, now that all its chunks are there.
    ///
    /// Behind if the head is below `CommitSnapshot::snapshot` (below its `from` if that is given),
    /// or beside it on another term; if a chunk is missing, or the set was begun in another term.
    /// With `from`, a first load or restore, the head must stand exactly there and moves to the
    /// snapshot's position without an entry in the log; else it must be at or above the position
    /// and stays. Done already if the head names this snapshot; ahead if it names another at the
    /// same or a newer position.
    fn commit_snapshot(&self, request: CommitSnapshot) -> Reply<'_, Written>;

    /// Changes the head without a batch: settles claims, moves `source`, keeps guard data.
    ///
    /// Behind if the head is below `at`, or beside it on another term; ahead if it is above.
    fn write_head(&self, term: Term, at: Position, update: HeadUpdate) -> Reply<'_, Written>;

    /// Drops the log up to the newest snapshot, and all other snapshots, sparing what live readers
    /// are reading and a snapshot under way in this term.
    fn trim(&self, term: Term) -> Reply<'_, Written>;

    /// Tells the store what a node has seen, see [`zonesync_core::history::raise`].
    fn raise(&self, request: Raise) -> Reply<'_, RaiseAnswer>;

    /// Reads head and log in one step: the entries that follow `after`, in order, at most about
    /// `max_bytes` but at least one.
    ///
    /// `Log::gap` says that the log does not hold the place `after` though the head is elsewhere.
    fn read(&self, after: Position, max_bytes: usize) -> Reply<'_, Log>;

    /// Reads one chunk of the snapshot at `position`, or none if it is gone.
    fn chunk(&self, position: Position, number: u32) -> Reply<'_, Option<Bytes>>;

    /// Says whether the last batch went to fewer replicas than this store was told to wait for.
    ///
    /// It is published all the same. Always false where there are no replicas to wait for.
    fn is_unreplicated(&self) -> bool {
        false
    }

    /// Waits until the head is not at `Seen::head`, the lease of `Seen::lease` was released or
    /// another was given, or `timeout` has passed.
    ///
    /// What happened between the look that showed `seen` and this call ends the wait at once. A
    /// mere renewal does not end it, nor need the end of a lease by time. May return early.
    /// Dropping the future ends the wait.
    fn wait(&self, seen: Seen, timeout: Duration) -> Reply<'_, ()>;
}

/// Lease, term and head as the store shows them.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// The lease, if one stands.
    pub lease: Option<Lease>,
    /// The newest term given; zero if none was.
    pub term: Term,
    /// Where the head stands, if there is one.
    pub head: Option<Position>,
    /// The newest report of each live instance.
    pub live: Vec<Report>,
}

/// A request for the lease.
#[derive(Clone, Debug)]
pub struct Acquire {
    /// The candidate's name.
    pub node: NodeId,
    /// Which start of it.
    pub instance: InstanceId,
    /// The id of the new term, drawn by the candidate.
    pub id: TermId,
    /// The highest epoch that the candidate has seen anywhere.
    pub known: Epoch,
    /// The lease that may be taken although it stands, since it stood still for too long.
    pub still: Option<LeaseStamp>,
    /// How long the lease lasts.
    pub ttl: Duration,
}

/// What came of asking for the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// It is yours, with this term.
    Granted(Term),
    /// Another instance holds it.
    Held,
    /// The store has given this epoch, which is above the one named; look again.
    Stale(Epoch),
}

/// A renewal.
#[derive(Clone, Debug)]
pub struct Renew {
    /// The term to prolong.
    pub term: Term,
    /// The last position that the store acknowledged to this term.
    pub acknowledged: Position,
    /// How long the lease lasts from now.
    pub ttl: Duration,
    /// The holder's report.
    pub report: Report,
}

/// What came of a renewal.
#[derive(Clone, Debug)]
pub enum Renewed {
    /// The lease lasts another TTL.
    Done {
        /// Claims that are open.
        claims: Vec<Position>,
        /// The newest report of each live instance, the holder's own among them.
        live: Vec<Report>,
    },
    /// The term is over.
    Fenced,
    /// The store lost something that it had acknowledged.
    Behind,
}

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It stands, now or since an earlier try.
    Done,
    /// The term is not the newest given. Nothing was changed.
    Fenced,
    /// The head is below what the write builds on: the store lost something. Nothing was changed.
    Behind,
    /// The head is past what the write builds on. Nothing was changed.
    Ahead,
}

/// What moves in the head together with a write. `None` leaves a part as it is.
#[derive(Clone, Debug, Default)]
pub struct HeadUpdate {
    /// Counts and sums of the state after the write.
    pub digest: Option<Digest>,
    /// A list to put in the place of the head's, ending at the new position.
    pub list: Option<TermList>,
    /// How far the state has come.
    pub source: Option<Source>,
    /// Claims that are settled now.
    pub settled: Vec<Position>,
    /// What the state was read with.
    pub filter: Option<Filter>,
    /// What the guard must not forget.
    pub guard: Option<GuardData>,
    /// Drawn by a primary that finds no head; ignored otherwise.
    pub incarnation: u128,
    /// What a reader of the head must know from now on: with a snapshot, and with the batch that
    /// makes the head.
    pub format: Option<u16>,
}

/// A batch on its way to the log.
#[derive(Clone, Debug)]
pub struct Publish {
    /// The writer's term.
    pub term: Term,
    /// The batch.
    pub entry: Entry,
    /// What moves in the head with it.
    pub update: HeadUpdate,
}

/// One batch in the log: what it says of itself, and the whole record as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Position, what it builds on, digests.
    pub meta: BatchMeta,
    /// The record, see [`zonesync_core::format::batch`].
    pub bytes: Bytes,
}

/// A snapshot whose chunks are all stored.
#[derive(Clone, Debug)]
pub struct CommitSnapshot {
    /// The writer's term.
    pub term: Term,
    /// The snapshot.
    pub snapshot: Snapshot,
    /// For a first load or restore: where the head stands, to be moved to the snapshot.
    pub from: Option<Position>,
    /// What moves in the head with it.
    pub update: HeadUpdate,
}

/// What a node tells a store that may have gone back.
#[derive(Clone, Copy, Debug)]
pub struct Raise {
    /// The highest epoch that the node has seen.
    pub seen: Epoch,
    /// Where the node stands, if it holds a state.
    pub position: Option<Position>,
}

/// What a store made of a raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RaiseAnswer {
    /// The newest epoch given is now this one; it may have been before.
    Done(Epoch),
    /// The raise names an epoch too far above the stored one.
    TooFar,
}

/// Head and log, read in one step.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// The newest term given.
    pub term: Term,
    /// The head, if there is one.
    pub head: Option<Arc<Head>>,
    /// Entries after the place asked for, each building on the one before.
    pub entries: Vec<Entry>,
    /// The log does not hold the place asked for.
    pub gap: bool,
    /// About how many bytes the whole log has. A new primary goes by it: the next snapshot is due
    /// when the log is long, whoever wrote it.
    pub bytes: u64,
}

/// Why a store gave no answer. Whether the step was carried out is not known, but where a case says
/// that nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// No connection, a time-out, a server that is loading or failing over: try again.
    Unavailable(String),
    /// No room for the write. Nothing was changed, and what is stored stays readable. Try again later.
    Full,
    /// The store refuses us, and will until somebody changes its settings or ours. Nothing was
    /// changed.
    Denied(String),
    /// What the store holds is not what we wrote.
    Corrupt(String),
    /// The head is of this format, which this version does not know: nothing else can be said of it.
    Format(u16),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(why) => write!(f, "zone store unavailable: {why}"),
            Self::Full => f.write_str("zone store full"),
            Self::Denied(why) => write!(f, "zone store denies access: {why}"),
            Self::Corrupt(why) => write!(f, "zone store holds bad data: {why}"),
            Self::Format(format) => write!(f, "zone store holds format {format}, not known here"),
        }
    }
}

impl std::error::Error for StoreError {}

impl StoreError {
    /// Says whether the same step may succeed by itself later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Full)
    }
}
