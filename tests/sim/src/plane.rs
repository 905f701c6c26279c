//! The control plane and its management repository: rows, how they change, and how reading them
//! fails.
//!
//! Each node reads through a [`Source`] of its own, which remembers its last read as a real one
//! does. Rows have dates of the control plane's clock; a row may become visible a little after its
//! date, so a read since a date goes back by the slack.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use futures_lite::future::poll_fn;
use zonesync::entity::Entity;
use zonesync::repository::{
    Found, ManagementRepository, Quarantined, Read, Reading, Reply, RepositoryError,
};
use zonesync_core::id::EntityKeyBuf;
use zonesync_core::time::WallTime;

use crate::executor::{Executor, Time};
use crate::host::wall;
use crate::random::Random;
use crate::rows;
use crate::truth::{Content, Tick, Truth};

/// How far before the newest date seen a read begins.
const SLACK_MS: i64 = 30_000;

/// A row is visible at most this long after its date.
const COMMIT_MS_MAX: u64 = 1_500;

/// How long an answer takes.
const ANSWER: Time = 3_000_000;

/// The control plane. Clones are handles to the same rows.
#[derive(Clone)]
pub struct Plane(Arc<Mutex<Inner>>);

/// How the repository behaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manners {
    /// It gives no answer.
    pub down: bool,
    /// An answer takes this much longer; it is of when it was asked.
    pub slow: Time,
    /// It leaves rows out.
    pub partial: Option<Partial>,
}

/// Which rows are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    /// Of 100 rows, so many are shown.
    pub shown: u64,
    /// Chooses them.
    pub seed: u64,
    /// A look-up by id finds the others all the same.
    pub finds: bool,
    /// It says that rows may be missing.
    pub says_so: bool,
}

struct Inner {
    executor: Executor,
    rows: BTreeMap<EntityKeyBuf, Row>,
    /// Rows as they were, to be restored.
    copy: Option<BTreeMap<EntityKeyBuf, Row>>,
    truth: Truth,
    manners: Manners,
    tick: Tick,
    revision: u64,
    random: Random,
    wakers: Vec<Waker>,
    /// It has left out rows that a look-up did not find either.
    has_lied: bool,
    /// It has left out rows.
    has_missed: bool,
    /// How many bytes more than needed a payload has.
    weight: usize,
}

#[derive(Clone, Debug)]
struct Row {
    form: Form,
    revision: u64,
    date: WallTime,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    On(Arc<[u8]>),
    Off,
    /// Cannot be mapped.
    Poison,
}

impl Plane {
    /// Makes a control plane without rows.
    pub fn new(executor: Executor, random: Random) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            executor,
            rows: BTreeMap::new(),
            copy: None,
            truth: Truth::default(),
            manners: Manners::default(),
            tick: 0,
            revision: 0,
            random,
            wakers: Vec::new(),
            has_lied: false,
            has_missed: false,
            weight: 0,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("one thread")
    }

    fn change(&self, change: impl FnOnce(&mut Inner)) {
        let mut inner = self.lock();
        inner.tick += 1;
        change(&mut inner);
        let woken = std::mem::take(&mut inner.wakers);
        drop(inner);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Makes all payloads from now on longer by so many bytes.
    pub fn weigh(&self, weight: usize) {
        self.lock().weight = weight;
    }

    /// Writes rows in a new revision, all at once.
    pub fn set(&self, keys: &[EntityKeyBuf]) {
        self.change(|inner| {
            for key in keys {
                inner.revision += 1;
                let revision = inner.revision;
                let payload = rows::payload(key.as_ref(), revision, inner.weight);
                inner.put(key, Form::On(payload.into()), revision);
            }
        });
    }

    /// Has rows say that they are off, closed or revoked, all at once.
    pub fn off(&self, keys: &[EntityKeyBuf]) {
        self.change(|inner| keys.iter().for_each(|key| inner.put(key, Form::Off, 0)));
    }

    /// Deletes a row: it leaves no trace.
    pub fn delete(&self, key: &EntityKeyBuf) {
        self.change(|inner| {
            inner.rows.remove(key);
            inner.truth.note(inner.tick, rows::index(key.as_ref()), Content::Absent);
        });
    }

    /// Makes a row one that nobody can map; the zone keeps its last good version.
    pub fn poison(&self, key: &EntityKeyBuf) {
        self.change(|inner| {
            let date = inner.date();
            if let Some(row) = inner.rows.get_mut(key).filter(|row| row.form != Form::Off) {
                row.form = Form::Poison;
                row.date = date;
            }
        });
    }

    /// Keeps the rows as they are, for [`Plane::restore`].
    pub fn keep(&self) {
        let mut inner = self.lock();
        inner.copy = Some(inner.rows.clone());
    }

    /// Puts the rows back that were kept, dates and all, as a database does that is restored.
    pub fn restore(&self) {
        self.change(|inner| {
            let Some(rows) = inner.copy.clone() else { return };
            let all: BTreeSet<_> = inner.rows.keys().chain(rows.keys()).cloned().collect();
            inner.rows = rows;
            for key in all {
                let content = match inner.rows.get(&key) {
                    Some(Row { form: Form::On(_), revision, .. }) => Content::Revision(*revision),
                    Some(Row { form: Form::Poison, .. }) => continue,
                    _ => Content::Absent,
                };
                inner.truth.note(inner.tick, rows::index(key.as_ref()), content);
            }
        });
    }

    /// Changes how the repository behaves.
    pub fn behave(&self, change: impl FnOnce(&mut Manners)) {
        self.change(|inner| {
            change(&mut inner.manners);
            inner.has_missed |= inner.manners.partial.is_some();
            inner.has_lied |= inner.manners.partial.is_some_and(|partial| !partial.finds);
        });
    }

    /// Lists the keys of the rows that are on.
    pub fn on(&self) -> Vec<EntityKeyBuf> {
        let inner = self.lock();
        let on = inner.rows.iter().filter(|(_, row)| matches!(row.form, Form::On(_)));
        on.map(|(key, _)| key.clone()).collect()
    }

    /// Says whether a row is one that nobody can map.
    pub fn is_poison(&self, key: &EntityKeyBuf) -> bool {
        self.lock().rows.get(key).is_some_and(|row| row.form == Form::Poison)
    }

    /// Says whether there is a row that says off.
    pub fn is_off(&self, key: &EntityKeyBuf) -> bool {
        self.lock().rows.get(key).is_some_and(|row| row.form == Form::Off)
    }

    /// Says whether there is a row, whatever it says.
    pub fn has_row(&self, key: &EntityKeyBuf) -> bool {
        self.lock().rows.contains_key(key)
    }

    /// Says whether reads have left out rows that a look-up did not find either.
    pub fn has_lied(&self) -> bool {
        self.lock().has_lied
    }

    /// Says whether reads have left out rows.
    pub fn has_missed(&self) -> bool {
        self.lock().has_missed
    }

    /// Looks at the truth.
    pub fn with_truth<T>(&self, look: impl FnOnce(&Truth) -> T) -> T {
        look(&self.lock().truth)
    }

    /// Opens the repository for one node. `filtered` nodes do not see tagged rows.
    pub fn source(&self, filtered: bool) -> Source {
        Source { plane: self.clone(), filtered, last: Arc::default() }
    }
}

impl Inner {
    fn put(&mut self, key: &EntityKeyBuf, form: Form, revision: u64) {
        let content = match form {
            Form::On(_) => Content::Revision(revision),
            _ => Content::Absent,
        };
        self.truth.note(self.tick, rows::index(key.as_ref()), content);
        let date = self.date();
        self.rows.insert(key.clone(), Row { form, revision, date });
    }

    fn date(&mut self) -> WallTime {
        let lag = self.random.below(COMMIT_MS_MAX) as i64;
        WallTime::from_millis(wall(self.executor.now()).as_millis() - lag)
    }

    fn shows(&self, key: &EntityKeyBuf, by_id: bool) -> bool {
        let Some(partial) = self.manners.partial else { return true };
        (by_id && partial.finds) || rows::hash(key, partial.seed) % 100 < partial.shown
    }
}

/// The repository as one node reads it.
#[derive(Clone)]
pub struct Source {
    plane: Plane,
    filtered: bool,
    last: Arc<Mutex<Option<LastRead>>>,
}

/// A node's last read.
#[derive(Clone, Copy, Debug)]
struct LastRead {
    tick: Tick,
    /// Up to this date nothing was missed.
    date: Option<WallTime>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Source")
    }
}

impl Source {
    async fn answer(&self) -> Result<(), RepositoryError> {
        let (executor, wait) = {
            let inner = self.plane.lock();
            (inner.executor.clone(), ANSWER + inner.manners.slow)
        };
        executor.sleep(wait).await;
        match self.plane.lock().manners.down {
            true => Err(RepositoryError::Unavailable("the repository is down".into())),
            false => Ok(()),
        }
    }

    fn take(&self, request: &Read) -> Reading {
        let inner = self.plane.lock();
        let last = *self.last.lock().expect("one thread");
        let last = last.and_then(|last| last.date);
        let since = match request {
            Read::Since(source) if last.is_some() || source.kinds().next().is_some() => {
                Some(source)
            }
            _ => None,
        };
        let from = |kind| {
            let newest = since.and_then(|source| last.or_else(|| source.newest(kind)));
            newest.map(|date| WallTime::from_millis(date.as_millis() - SLACK_MS))
        };
        let mut reading = Reading { full: since.is_none(), ..Reading::default() };
        reading.incomplete = inner.manners.partial.is_some_and(|partial| partial.says_so);
        let mut seen = last.unwrap_or_default();
        for (key, row) in &inner.rows {
            let from = from(key.as_ref().kind);
            if from.is_some_and(|from| row.date < from) || !inner.shows(key, false) {
                continue;
            }
            if self.filtered && rows::is_tagged(key) {
                continue;
            }
            reading.rows += 1;
            seen = seen.max(row.date);
            reading.source.advance(key.as_ref().kind, row.date);
            match &row.form {
                Form::On(payload) => {
                    reading.entities.push(Entity { key: key.clone(), payload: payload.clone() });
                }
                Form::Off => reading.off.push(key.clone()),
                Form::Poison => reading.quarantined.push(Quarantined {
                    key: Some(key.clone()),
                    kind: Some(key.as_ref().kind),
                    place: format!("the row of {key}"),
                    reason: "it is poison".into(),
                }),
            }
        }
        // What may have been missed is read again.
        let date = if reading.incomplete { last } else { Some(seen) };
        *self.last.lock().expect("one thread") = Some(LastRead { tick: inner.tick, date });
        reading
    }
}

impl ManagementRepository for Source {
    fn read(&self, request: Read) -> Reply<'_, Reading> {
        Box::pin(async move {
            // As of when it was asked: a slow answer is an old one.
            let reading = self.take(&request);
            let answer = self.answer().await;
            if answer.is_err() {
                *self.last.lock().expect("one thread") = None;
            }
            answer.map(|()| reading)
        })
    }

    fn find(&self, keys: Vec<EntityKeyBuf>) -> Reply<'_, Vec<Found>> {
        Box::pin(async move {
            self.answer().await?;
            let inner = self.plane.lock();
            let find = |key: &EntityKeyBuf| match inner.rows.get(key) {
                Some(_) if !inner.shows(key, true) => Found::Missing,
                None => Found::Missing,
                Some(Row { form: Form::Off, .. }) => Found::Off,
                Some(_) if self.filtered && rows::is_tagged(key) => Found::Filtered,
                Some(_) => Found::Present,
            };
            Ok(keys.iter().map(find).collect())
        })
    }

    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(poll_fn(|context: &mut Context<'_>| {
            let mut inner = self.plane.lock();
            let last = self.last.lock().expect("one thread").map(|last| last.tick);
            if last != Some(inner.tick) && !inner.manners.down {
                return Poll::Ready(());
            }
            inner.wakers.push(context.waker().clone());
            Poll::Pending
        }))
    }
}
