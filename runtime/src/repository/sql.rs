//! What the repositories in SQL databases have in common: all but the dialect.
//!
//! - `dialect`: what one database asks to be said otherwise than another.
//! - `tables`: which tables and columns a database has, and under which names.
//! - `clock`: dates without a zone.
//! - `rows`, `reader`: pages of rows, parsed as they arrive.
//! - `full`, `since`, `find`: the three ways to read.
//!
//! A read sees one moment of the database, so nothing can move while its pages are read. Rows go
//! through the same mapping as those of every other source, piece by piece.

pub(crate) mod clock;
pub(crate) mod dialect;
mod find;
mod full;
mod probe;
mod reader;
mod rows;
mod since;
mod tables;
pub(crate) mod wait;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use zonesync_core::id::EntityKeyBuf;
use zonesync_core::time::Duration;

use super::mapping::MappingOptions;
use super::mapping::stream::Stream;
use super::{Found, Read, Reading, Reply, RepositoryError};
use crate::runtime::Runtime;
use dialect::{Dialect, Session};
use probe::Newest;
#[cfg(feature = "mysql")]
pub(crate) use reader::IDS_MAX;
use reader::{Common, Reader};
use tables::Shape;

/// How an SQL database is read, whatever its make.
#[derive(Clone, Debug)]
pub struct SqlOptions {
    /// What stands before each table's name.
    pub prefix: String,
    /// The zone whose clock the dates in the database show: `UTC`, `Europe/Paris`.
    pub time_zone: String,
    /// How many connections a read of everything may use at a time.
    pub readers: usize,
    /// How many rows one query asks for; of events, which are larger, a twentieth.
    pub page: usize,
    /// The longest that a database may be silent in the middle of an answer.
    pub timeout: Duration,
    /// How often to ask whether anything changed.
    pub probe: Duration,
    /// How often to read what changed without asking.
    pub pause: Duration,
    /// How rows are mapped.
    pub mapping: MappingOptions,
}

impl SqlOptions {
    /// Takes the usual numbers.
    pub fn new(mapping: MappingOptions) -> Self {
        let (prefix, time_zone) = (String::new(), "UTC".into());
        let (timeout, pause) = (Duration::from_secs(30), Duration::from_secs(5));
        let probe = Duration::from_millis(500);
        let page = reader::ROWS_MAX;
        Self { prefix, time_zone, readers: 4, page, timeout, probe, pause, mapping }
    }
}

impl SqlOptions {
    pub(crate) fn of(
        settings: &crate::config::SqlRepository,
        pause: Duration,
        mapping: MappingOptions,
    ) -> Self {
        let usual = Self::new(mapping);
        Self {
            prefix: settings.prefix.clone(),
            time_zone: settings.time_zone.clone(),
            readers: usual.readers.min(settings.connections),
            timeout: settings.timeout,
            probe: settings.probe,
            pause,
            ..usual
        }
    }
}

/// A management repository in an SQL database.
#[derive(Debug)]
pub(crate) struct Sql {
    dialect: Arc<dyn Dialect>,
    runtime: Arc<dyn Runtime>,
    options: SqlOptions,
    zone: clock::Zone,
    common: OnceLock<Arc<Common>>,
    /// Connections that wait for the next read.
    idle: Mutex<Vec<Idle>>,
    /// What is known from the reads before; none while one is under way.
    stream: Mutex<Option<Stream>>,
    /// The newest dates as the last read saw them.
    seen: Mutex<Option<Newest>>,
}

struct Idle(Box<dyn Session>);

impl std::fmt::Debug for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Idle")
    }
}

/// The most connections that are kept for the next read.
const IDLE_MAX: usize = 1;

impl Sql {
    /// Prepares to read; nothing is connected yet.
    pub(crate) fn new(
        dialect: Arc<dyn Dialect>,
        runtime: Arc<dyn Runtime>,
        options: SqlOptions,
    ) -> Result<Self, RepositoryError> {
        let zone = clock::Zone::named(&options.time_zone).ok_or_else(|| {
            let name = &options.time_zone;
            RepositoryError::Denied(format!("there is no time zone {name}: UTC, Europe/Paris, .."))
        })?;
        let stream = Mutex::new(Some(Stream::new(options.mapping.clone())));
        let (common, idle) = (OnceLock::new(), Mutex::default());
        let seen = Mutex::default();
        Ok(Self { dialect, runtime, options, zone, common, idle, stream, seen })
    }

    /// Opens a connection, or takes one that waits, and begins to see one moment.
    async fn begin(&self) -> Result<(Reader, Option<String>), RepositoryError> {
        let waiting = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(Idle(mut session)) = waiting
            && let Ok(moment) = session.begin(None).await
        {
            return Ok((self.reader(session).await?, moment));
        }
        let mut session = self.dialect.connect().await?;
        let moment = session.begin(None).await?;
        Ok((self.reader(session).await?, moment))
    }

    async fn reader(&self, mut session: Box<dyn Session>) -> Result<Reader, RepositoryError> {
        let common = match self.common.get() {
            Some(common) => Arc::clone(common),
            None => {
                let prefix = &self.options.prefix;
                let shape = Shape::ask(&mut *session, &*self.dialect, prefix).await?;
                let (dialect, zone) = (Arc::clone(&self.dialect), self.zone.clone());
                let page = self.options.page.max(1);
                let common = Common { dialect, shape, zone, page };
                Arc::clone(self.common.get_or_init(|| Arc::new(common)))
            }
        };
        Ok(Reader { session, common, metadata: None })
    }

    /// Ends what a connection saw and keeps it for the next read.
    async fn end(&self, mut reader: Reader) {
        if reader.session.end().await.is_ok() {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < IDLE_MAX {
                idle.push(Idle(reader.session));
            }
        }
    }

    /// Takes what is known; another read under way leaves nothing.
    fn known(&self) -> Stream {
        let known = self.stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        known.unwrap_or_else(|| Stream::new(self.options.mapping.clone()))
    }

    fn keep(&self, stream: Stream) {
        *self.stream.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream);
    }

    fn seen(&self) -> Option<Newest> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn read(&self, request: Read) -> Reply<'_, Reading> {
        Box::pin(async move {
            let mut stream = self.known();
            let answer = self.read_with(&mut stream, request).await;
            if answer.is_err() {
                stream.abandon();
            }
            self.keep(stream);
            answer
        })
    }

    async fn read_with(
        &self,
        stream: &mut Stream,
        request: Read,
    ) -> Result<Reading, RepositoryError> {
        let (mut reader, moment) = self.begin().await?;
        let newest = reader.newest().await?;
        let before = self.seen();
        let mut reading = None;
        if let Read::Since(source) = request
            && !before.is_some_and(|before| newest.fell_behind(&before))
        {
            reading = self.read_since(&mut reader, stream, &source, &newest).await?;
        }
        let reading = match reading {
            Some(reading) => {
                self.end(reader).await;
                reading
            }
            None => self.read_full(reader, moment, stream).await?,
        };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(newest);
        Ok(reading)
    }

    pub(crate) fn find(&self, keys: Vec<EntityKeyBuf>) -> Reply<'_, Vec<Found>> {
        Box::pin(async move {
            let (mut reader, _) = self.begin().await?;
            let mut look = {
                let known = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
                match &*known {
                    Some(stream) => stream.look(self.runtime.wall_now()),
                    None => Stream::new(self.options.mapping.clone()),
                }
            };
            let found = self.look_up(&mut reader, &mut look, &keys).await?;
            self.end(reader).await;
            Ok(found)
        })
    }

    pub(crate) fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.wait_for_change())
    }
}
