//! A management repository in memory whose rows change as often as wanted.
//!
//! It holds subscriptions with one API key each, the same for the same seed: random UUIDs (their
//! last twelve digits are the number of the pair), payloads of about 470 bytes with varied texts.
//! Only the revision of each row is kept; payloads are written when they are read. So a reading
//! tells the number and the revision of each entity back ([`number`], [`revision`]), and whoever
//! watches a zone from outside can tell the newest value from an older one.
//!
//! [`Stream`] changes rows; each node reads through a [`Reader`] of its own.

mod names;

pub use names::{number, revision};

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::future::{Future, poll_fn};
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};

use zonesync::core::entity::Kind;
use zonesync::core::format::Source;
use zonesync::core::id::EntityKeyBuf;
use zonesync::core::time::WallTime;
use zonesync::entity::Entity;
use zonesync::repository::{Found, ManagementRepository, Read, Reading, Reply};
use zonesync::runtime::wall_now;

use self::names::Names;
use crate::data::Random;

/// How many changes are remembered. A reader further behind reads everything.
const NOTED_MAX: usize = 100_000;

/// How far before a date a reader starts that has read nothing yet.
const SLACK_MS: i64 = 30_000;

/// One row that changed: a subscription, or the key of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    /// The subscription of this pair.
    Subscription(u32),
    /// The key of this pair.
    Key(u32),
}

/// A subscription and its key, as they stand. Revisions count from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The revision of the subscription.
    pub subscription: u32,
    /// The revision of the key. Each has another key text.
    pub key: u32,
    /// The key is not revoked.
    pub key_on: bool,
}

/// The rows. Clones share them.
#[derive(Clone)]
pub struct Stream(Arc<Shared>);

struct Shared {
    names: Names,
    /// When all rows were made.
    made: WallTime,
    rows: Mutex<Rows>,
}

struct Rows {
    pairs: Vec<Pair>,
    /// The newest changes, with their dates.
    noted: VecDeque<(WallTime, Row)>,
    /// The number of the first one noted.
    first: u64,
    random: Random,
    waiting: Vec<Waker>,
}

impl Rows {
    fn end(&self) -> u64 {
        self.first + self.noted.len() as u64
    }
}

impl Stream {
    /// Makes `count` subscriptions with a key each.
    pub fn new(count: usize, seed: u64) -> Self {
        let rows = Rows {
            pairs: vec![Pair { subscription: 1, key: 1, key_on: true }; count],
            noted: VecDeque::with_capacity(NOTED_MAX + 1),
            first: 0,
            random: Random(!seed),
            waiting: Vec::new(),
        };
        let names = Names::new(count, seed);
        Self(Arc::new(Shared { names, made: wall_now(), rows: Mutex::new(rows) }))
    }

    /// Makes the repository of one node.
    pub fn reader(&self) -> Reader {
        Reader { stream: self.clone(), place: Mutex::default() }
    }

    /// Gives the numbers of all pairs.
    pub fn numbers(&self) -> Range<u32> {
        0..self.0.names.count()
    }

    /// Copies how all rows stand.
    pub fn pairs(&self) -> Vec<Pair> {
        self.rows().pairs.clone()
    }

    /// Gives the API of a pair, and the text of its key in a revision.
    pub fn key(&self, number: u32, revision: u32) -> (&str, String) {
        (self.0.names.api(number), self.0.names.key_text(number, revision))
    }

    /// Writes the entity of a row as it is when its pair stands like this; none for a revoked key.
    pub fn entity(&self, row: Row, pair: Pair) -> Result<Entity, EntityKeyBuf> {
        match row {
            Row::Subscription(n) => Ok(self.0.names.subscription(n, pair.subscription)),
            Row::Key(n) if pair.key_on => Ok(self.0.names.api_key(n, pair.key)),
            Row::Key(n) => Err(self.0.names.key_of_api_key(n)),
        }
    }

    /// Changes some row of these pairs: of ten, seven get a subscription of another text, two a key of another
    /// text, and one a key that is revoked, or comes back.
    pub fn change(&self, among: Range<u32>) {
        let mut rows = self.rows();
        let number = among.start + rows.random.below(among.len()) as u32;
        let how = rows.random.below(10);
        let pair = &mut rows.pairs[number as usize];
        let row = match how {
            0..7 => {
                pair.subscription += 1;
                Row::Subscription(number)
            }
            _ => {
                let on = pair.key_on;
                pair.key_on = how < 9 || !on;
                pair.key += u32::from(pair.key_on);
                Row::Key(number)
            }
        };
        self.note(rows, row);
    }

    /// Gives the key of a pair another text, and its revision back.
    pub fn change_key(&self, number: u32) -> u32 {
        let mut rows = self.rows();
        let pair = &mut rows.pairs[number as usize];
        pair.key_on = true;
        pair.key += 1;
        let revision = pair.key;
        self.note(rows, Row::Key(number));
        revision
    }

    fn note(&self, mut rows: MutexGuard<'_, Rows>, row: Row) {
        // Dates never go back, so that a reader can search by them.
        let newest = rows.noted.back().map_or(self.0.made, |(date, _)| *date);
        rows.noted.push_back((wall_now().max(newest), row));
        if rows.noted.len() > NOTED_MAX {
            rows.noted.pop_front();
            rows.first += 1;
        }
        let waiting = std::mem::take(&mut rows.waiting);
        drop(rows);
        waiting.into_iter().for_each(Waker::wake);
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.0.rows.lock().expect("no change ends in a panic")
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("numbers", &self.numbers()).finish_non_exhaustive()
    }
}

/// The rows as one node reads them: after its first read, only what changed.
#[derive(Debug)]
pub struct Reader {
    stream: Stream,
    place: Mutex<Place>,
}

/// How far a reader has come.
#[derive(Debug, Default)]
struct Place {
    /// The number of the first change not read; none before the first read.
    next: Option<u64>,
    /// The dates that the last read named.
    asked: Source,
}

impl Reader {
    /// Finds where a read begins, or none if it must read everything.
    ///
    /// A read that names other dates than the last one is of another reign: what the last one was
    /// given may never have been published. So it starts from the dates, as the first one does.
    fn start(&self, rows: &Rows, place: &Place, source: &Source) -> Option<u64> {
        if let Some(next) = place.next.filter(|_| place.asked == *source) {
            return (next >= rows.first).then_some(next);
        }
        let dates = [source.newest(Kind::SUBSCRIPTION)?, source.newest(Kind::API_KEY)?];
        let since = WallTime::from_millis(dates[0].min(dates[1]).as_millis() - SLACK_MS);
        let front = rows.noted.front().filter(|_| rows.first > 0);
        let known = since > front.map_or(self.stream.0.made, |(date, _)| *date);
        let skipped = rows.noted.partition_point(|(date, _)| *date < since);
        known.then_some(rows.first + skipped as u64)
    }

    fn read_now(&self, request: &Read) -> Reading {
        let rows = self.stream.rows();
        let mut place = self.place.lock().expect("no read ends in a panic");
        let (start, asked) = match request {
            Read::Full => (None, Source::default()),
            Read::Since(source) => (self.start(&rows, &place, source), **source),
        };
        *place = Place { next: Some(rows.end()), asked };
        let mut source = Source::default();
        let newest = rows.noted.back().map_or(self.stream.0.made, |(date, _)| *date);
        source.advance(Kind::SUBSCRIPTION, newest);
        source.advance(Kind::API_KEY, newest);
        let changed: Vec<(Row, Pair)> = match start {
            Some(start) => {
                let skipped = (start - rows.first) as usize;
                let changed: BTreeSet<Row> =
                    rows.noted.range(skipped..).map(|(_, row)| *row).collect();
                changed.into_iter().map(|row| (row, rows.pairs[row.number()])).collect()
            }
            None => {
                // Copied, so that changes need not wait until all payloads are written.
                let pairs = rows.pairs.clone();
                drop(rows);
                self.stream.0.names.sorted().map(|row| (row, pairs[row.number()])).collect()
            }
        };
        let full = start.is_none();
        let mut reading =
            Reading { full, source, rows: changed.len() as u64, ..Reading::default() };
        for (row, pair) in changed {
            match self.stream.entity(row, pair) {
                Ok(entity) => reading.entities.push(entity),
                Err(off) => reading.off.push(off),
            }
        }
        reading.entities.sort_by(|a, b| a.key.cmp(&b.key));
        reading.off.sort();
        reading
    }

    fn find_now(&self, key: &EntityKeyBuf) -> Found {
        let key = key.as_ref();
        let rows = self.stream.rows();
        let pair = number(key.id).and_then(|n| rows.pairs.get(n as usize));
        match (pair, key.kind) {
            (Some(_), Kind::SUBSCRIPTION) => Found::Present,
            (Some(pair), Kind::API_KEY) if pair.key_on => Found::Present,
            (Some(_), Kind::API_KEY) => Found::Off,
            _ => Found::Missing,
        }
    }
}

impl Row {
    fn number(self) -> usize {
        match self {
            Self::Subscription(number) | Self::Key(number) => number as usize,
        }
    }
}

impl ManagementRepository for Reader {
    fn read(&self, request: Read) -> Reply<'_, Reading> {
        Box::pin(async move { Ok(self.read_now(&request)) })
    }

    fn find(&self, keys: Vec<EntityKeyBuf>) -> Reply<'_, Vec<Found>> {
        Box::pin(async move { Ok(keys.iter().map(|key| self.find_now(key)).collect()) })
    }

    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(poll_fn(|context| {
            let mut rows = self.stream.rows();
            let next = self.place.lock().expect("no read ends in a panic").next;
            if next != Some(rows.end()) {
                return Poll::Ready(());
            }
            if !rows.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                rows.waiting.push(context.waker().clone());
            }
            Poll::Pending
        }))
    }
}

#[cfg(test)]
mod tests;
