//! The management repository: where the control plane keeps the truth.
//!
//! Only the primary reads it. A [`ManagementRepository`] finds rows; [`mapping`] turns rows into
//! entities and is pure, so that every source gives the same entities, byte for byte.

pub mod directory;
pub mod jdbc;
pub mod mapping;
#[cfg(feature = "mysql")]
pub mod mysql;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub mod sql;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use zonesync_core::entity::Kind;
use zonesync_core::format::Source;
use zonesync_core::id::EntityKeyBuf;

use crate::entity::Entity;

/// An answer on its way.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = Result<T, RepositoryError>> + Send + 'a>>;

/// Prepares to read the database that settings describe.
pub(crate) fn open_sql(
    settings: &crate::config::SqlRepository,
    pause: std::time::Duration,
    mapping: mapping::MappingOptions,
    runtime: std::sync::Arc<dyn crate::runtime::Runtime>,
) -> Result<std::sync::Arc<dyn ManagementRepository>, RepositoryError> {
    match settings.url.make {
        #[cfg(feature = "postgres")]
        jdbc::Make::Postgres => {
            let options = postgres::PostgresOptions::of(settings, pause, mapping);
            Ok(std::sync::Arc::new(postgres::Postgres::open(options, runtime)?))
        }
        #[cfg(feature = "mysql")]
        jdbc::Make::MySql => {
            let options = mysql::MySqlOptions::of(settings, pause, mapping);
            Ok(std::sync::Arc::new(mysql::MySql::open(options, runtime)?))
        }
        #[allow(unreachable_patterns, reason = "with all features no make is left")]
        make => {
            let _ = (pause, mapping, runtime);
            let why = format!("this build was made without the feature that reads {make:?}");
            Err(RepositoryError::Denied(why))
        }
    }
}

/// A place that holds the rows of the control plane.
pub trait ManagementRepository: Send + Sync + fmt::Debug + 'static {
    /// Reads rows and maps them to entities.
    fn read(&self, request: Read) -> Reply<'_, Reading>;

    /// Looks rows up by the keys of their entities: was it taken away, or was it only not read?
    ///
    /// Gives one answer for each key, in order.
    fn find(&self, keys: Vec<EntityKeyBuf>) -> Reply<'_, Vec<Found>>;

    /// Waits until something may have changed since the last read. May return early.
    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// What to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// Everything.
    Full,
    /// What changed since the last read of this process, or since these dates (with 30 s of slack)
    /// if there was none. What an incomplete reading may have missed counts as not read. A source
    /// that cannot tell reads everything and says so.
    Since(Box<Source>),
}

/// What a read gave.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Everything was read: an entity that is not in `entities` is gone, or was missed.
    pub full: bool,
    /// A row may be missing that exists: nothing may be concluded from what is not there.
    pub incomplete: bool,
    /// Entities to hold, sorted by key, each once.
    pub entities: Vec<Entity>,
    /// Entities that a row says are off, closed, revoked, paused, expired or deleted, sorted.
    pub off: Vec<EntityKeyBuf>,
    /// Rows that could not be mapped. Their last good version stays.
    pub quarantined: Vec<Quarantined>,
    /// Per kind the newest row date seen.
    pub source: Source,
    /// How many rows were seen, those that are off included.
    pub rows: u64,
}

/// A row that could not be mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// The entity that it would have been, if that much is known. It counts as present.
    pub key: Option<EntityKeyBuf>,
    /// Its kind, if that much is known.
    pub kind: Option<Kind>,
    /// Where it stands: file and line, or table and id.
    pub place: String,
    /// What is wrong with it and what would be right.
    pub reason: String,
}

impl fmt::Display for Quarantined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.reason)
    }
}

/// What a look-up by id says of an entity that a read did not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A row says that it is to be held: the read missed it.
    Present,
    /// A row says off, closed, revoked, paused, expired or deleted.
    Off,
    /// There is a row, and only this node's own filter leaves it out.
    Filtered,
    /// There is no row.
    Missing,
}

/// Why the repository gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RepositoryError {
    /// It cannot be reached now: try again.
    Unavailable(String),
    /// It refuses us, or is not what the configuration says, until somebody changes that.
    Denied(String),
}

impl fmt::Display for RepositoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(why) => write!(f, "management repository unavailable: {why}"),
            Self::Denied(why) => write!(f, "management repository denies access: {why}"),
        }
    }
}

impl std::error::Error for RepositoryError {}
