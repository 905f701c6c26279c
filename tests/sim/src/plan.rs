//! What happens in a world, and when: drawn from a seed, or written by hand for a scenario.
//!
//! A plan is plain data, so that a failing one can be cut down and run again.

mod draw;
mod formats;

use std::fmt;

use crate::executor::Time;

pub use draw::draw;
pub use formats::VERSIONS;

/// One second.
pub const SECOND: Time = 1_000_000_000;

/// One millisecond.
pub const MS: Time = 1_000_000;

/// A world's beginning and what happens in it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Feeds all dice of the world.
    pub seed: u64,
    /// The nodes that there may be.
    pub slots: Vec<SlotPlan>,
    /// What happens, by time.
    pub acts: Vec<(Time, Act)>,
    /// When faults stop.
    pub end: Time,
    /// How often a primary reads everything.
    pub full_read: Time,
}

/// A place for a node, which may come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotPlan {
    /// Whether its node starts with the world; others join later.
    pub starts: bool,
    /// Whether it never stands for election.
    pub observes: bool,
    /// Whether its filter leaves tagged rows out.
    pub filtered: bool,
    /// Whether it keeps a local image.
    pub keeps: bool,
    /// How many millionths its clock is fast.
    pub ppm: i64,
    /// The newest format that its version knows.
    pub newest: u16,
}

/// A row of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// An API.
    Api(u64),
    /// A dictionary.
    Dictionary(u64),
    /// A subscription.
    Subscription(u64),
    /// The key of a subscription.
    Key(u64),
    /// An API product.
    Product(u64),
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Rows change.
    Change(Change),
    /// Something breaks.
    Fault(Fault),
}

/// A change in the control plane.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Rows are saved.
    Set(Vec<Row>),
    /// Rows are switched off, closed or revoked.
    Off(Vec<Row>),
    /// A row is deleted.
    Delete(Row),
    /// The rows are kept, to be restored later.
    Keep,
    /// Rows turn into ones that nobody can map, until they are saved again.
    Poison(Vec<Row>),
}

/// One of two masters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that was there before the split.
    Old,
    /// The one that the split made.
    New,
}

/// How long something lasts.
pub type For = Time;

/// Which slot's node.
pub type Slot = usize;

/// What breaks. What lasts is mended by itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// A node dies and is started again.
    Crash(Slot, For),
    /// The primary dies and is started again.
    CrashPrimary(For),
    /// A node is stopped cleanly and started again.
    Stop(Slot, For),
    /// The primary is stopped cleanly and started again.
    StopPrimary(For),
    /// A node is stopped cleanly and started again as a version that knows formats up to this one.
    Version(Slot, u16, For),
    /// All nodes die at once and start again.
    FleetRestart(For),
    /// A node joins.
    Join(Slot),
    /// A node leaves for good, cleanly.
    Leave(Slot),
    /// A node stands still.
    Pause(Slot, For),
    /// The primary stands still.
    PausePrimary(For),
    /// A node that stands still goes on at once.
    Wake(Slot),
    /// A node is cut off from the store.
    Cut(Slot, For),
    /// The primary is cut off from the store.
    CutPrimary(For),
    /// Requests and answers of all nodes get lost, so many of 100.
    Lossy(u64, For),
    /// Requests arrive long after their senders gave up, so many of 100.
    Late(u64, For),
    /// Requests arrive twice, so many of 100.
    Doubled(u64, For),
    /// Chunks are delayed past what follows, and the primary dies.
    LateChunks(For),
    /// Ways to the store take up to this long.
    Slow(Time, For),
    /// The store answers nobody.
    StoreDown(For),
    /// The store restarts empty.
    StoreEmptied,
    /// The store comes back from a copy of so long ago.
    StoreOld(For),
    /// The store fails over and loses its tail.
    StoreLostTail(For),
    /// Half the nodes reach another master; which of the two wins is drawn.
    Split(For),
    /// These nodes reach another master from now on.
    SplitOff(Vec<Slot>),
    /// These nodes are led to one of the two masters.
    Lead(Vec<Slot>, Side),
    /// What the primary sends arrives only after this long.
    StallPrimary(For),
    /// The store's clock jumps, in milliseconds.
    StoreClock(i64),
    /// The store has no room.
    StoreFull(For),
    /// The store takes no writes.
    StoreReadOnly(For),
    /// Records are read with flipped bits, so many of 100.
    StoreFlips(u64, For),
    /// A node's calendar jumps, in milliseconds.
    WallClock(Slot, i64),
    /// A node's clock runs so many millionths fast from now on.
    Drift(Slot, i64),
    /// The calendar of the primary's machine jumps, in milliseconds.
    WallClockOfPrimary(i64),
    /// The primary dies, and the store's clock jumps at the same moment.
    CrashAndStoreClock(For, i64),
    /// All nodes die, the store is emptied, and the nodes come back one by one.
    FreshStart(For),
    /// A node dies, and starts again with an empty disk.
    DiskLost(Slot, For),
    /// A node's disk fails.
    DiskFails(Slot, For),
    /// The repository does not answer.
    RepositoryDown(For),
    /// The repository takes so long.
    RepositorySlow(Time, For),
    /// The repository shows so many of 100 rows, and finds the others by id.
    RepositoryPartial(u64, For),
    /// The same, and says so.
    RepositoryIncomplete(u64, For),
    /// The repository shows so many of 100 rows, and finds no others.
    RepositoryLies(u64, For),
    /// The rows are restored as they were kept.
    RepositoryRestored,
    /// Rows turn into ones that nobody can map, and are mended later.
    Poison(Vec<Row>, For),
    /// All nodes go, so many of 100 keys are revoked, and the nodes come back.
    RevokedInTheDark(u64, For),
    /// The hosts take an entity out of lookups.
    Reject(Row),
    /// A person confirms what is held.
    Confirm,
}

impl Fault {
    /// Says how long it lasts.
    pub fn lasts(&self) -> For {
        match self {
            Self::Crash(_, time)
            | Self::CrashPrimary(time)
            | Self::Stop(_, time)
            | Self::StopPrimary(time)
            | Self::Version(_, _, time)
            | Self::FleetRestart(time)
            | Self::Pause(_, time)
            | Self::PausePrimary(time)
            | Self::Cut(_, time)
            | Self::CutPrimary(time)
            | Self::Lossy(_, time)
            | Self::Late(_, time)
            | Self::Doubled(_, time)
            | Self::LateChunks(time)
            | Self::Slow(_, time)
            | Self::StoreDown(time)
            | Self::Split(time)
            | Self::StoreFull(time)
            | Self::StoreReadOnly(time)
            | Self::StoreFlips(_, time)
            | Self::CrashAndStoreClock(time, _)
            | Self::StallPrimary(time)
            | Self::DiskLost(_, time)
            | Self::DiskFails(_, time)
            | Self::RepositoryDown(time)
            | Self::RepositorySlow(_, time)
            | Self::RepositoryPartial(_, time)
            | Self::RepositoryIncomplete(_, time)
            | Self::RepositoryLies(_, time)
            | Self::Poison(_, time)
            | Self::RevokedInTheDark(_, time) => *time,
            // One node after the other.
            Self::FreshStart(time) => *time * 9,
            Self::Join(_)
            | Self::Leave(_)
            | Self::Wake(_)
            | Self::SplitOff(_)
            | Self::Lead(..)
            | Self::StoreEmptied
            | Self::StoreOld(_)
            | Self::StoreLostTail(_)
            | Self::StoreClock(_)
            | Self::WallClock(..)
            | Self::WallClockOfPrimary(_)
            | Self::Drift(..)
            | Self::RepositoryRestored
            | Self::Reject(_)
            | Self::Confirm => 0,
        }
    }

    /// Gives the word for its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Crash(..) => "crash",
            Self::CrashPrimary(..) => "crash of the primary",
            Self::Stop(..) => "stop",
            Self::StopPrimary(..) => "stop of the primary",
            Self::Version(_, newest, _) if *newest == VERSIONS.0 => "roll-back",
            Self::Version(..) => "upgrade",
            Self::FleetRestart(..) => "fleet restart",
            Self::Join(..) => "join",
            Self::Leave(..) => "leave",
            Self::Pause(..) => "pause",
            Self::PausePrimary(..) => "pause of the primary",
            Self::Wake(..) => "wake",
            Self::Cut(..) => "cut",
            Self::CutPrimary(..) => "cut of the primary",
            Self::Lossy(..) => "lost messages",
            Self::Late(..) => "late messages",
            Self::Doubled(..) => "doubled messages",
            Self::LateChunks(..) => "late chunks",
            Self::Slow(..) => "slow messages",
            Self::StoreDown(..) => "store down",
            Self::StoreEmptied => "store emptied",
            Self::StoreOld(..) => "store from an old copy",
            Self::StoreLostTail(..) => "store without its tail",
            Self::Split(..) => "two masters",
            Self::SplitOff(..) => "another master",
            Self::Lead(..) => "led to a master",
            Self::StallPrimary(..) => "stall of the primary",
            Self::StoreClock(..) => "store's clock jumps",
            Self::StoreFull(..) => "store full",
            Self::StoreReadOnly(..) => "store read-only",
            Self::StoreFlips(..) => "flipped bits",
            Self::WallClock(..) => "calendar jumps",
            Self::Drift(..) => "clock drifts",
            Self::WallClockOfPrimary(..) => "calendar of the primary jumps",
            Self::CrashAndStoreClock(..) => "crash and store's clock jumps",
            Self::FreshStart(..) => "fresh start",
            Self::DiskLost(..) => "disk lost",
            Self::DiskFails(..) => "disk fails",
            Self::RepositoryDown(..) => "repository down",
            Self::RepositorySlow(..) => "repository slow",
            Self::RepositoryPartial(..) => "repository partial",
            Self::RepositoryIncomplete(..) => "repository incomplete",
            Self::RepositoryLies(100.., ..) => "repository well",
            Self::RepositoryLies(0, ..) => "repository empty",
            Self::RepositoryLies(..) => "repository lies",
            Self::RepositoryRestored => "repository restored",
            Self::Poison(..) => "poison rows",
            Self::RevokedInTheDark(..) => "keys revoked in the dark",
            Self::Reject(..) => "host rejects",
            Self::Confirm => "person confirms",
        }
    }
}

impl Act {
    /// Gives the fault, if it is one.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Fault(fault) => Some(fault),
            Self::Change(_) => None,
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Change(change) => write!(f, "{change:?}"),
            Self::Fault(fault) => write!(f, "{}: {fault:?}", fault.kind()),
        }
    }
}
