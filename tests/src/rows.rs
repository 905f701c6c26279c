//! A management repository in memory, whose rows and manners a test sets.
//!
//! [`Rows`] is the control plane's side; each node gets a [`RowSource`] of its own, which remembers
//! its last read as a real source does.

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
use zonesync_core::digest::{Digest, DigestKey};
use zonesync_core::entity::Kind;
use zonesync_core::id::{EntityKey, EntityKeyBuf};
use zonesync_core::time::WallTime;

/// How far before a date a read begins, counted in changes: a row's date is its number.
const SLACK: u64 = 30;

/// The rows of a control plane. Clones are handles to the same rows.
#[derive(Clone, Debug, Default)]
pub struct Rows(Arc<Mutex<Inner>>);

/// How the repository behaves.
#[derive(Clone, Debug, Default)]
pub struct Manners {
    /// It gives no answer.
    pub down: bool,
    /// A read waits until this is taken back.
    pub stuck: bool,
    /// It shows, and finds, every second row only.
    pub half: bool,
    /// It shows, and finds, nothing.
    pub empty: bool,
    /// It says that rows may be missing.
    pub incomplete: bool,
    /// It shows every second row only, but finds them all.
    pub forgetful: bool,
    /// The next read panics.
    pub panics: bool,
}

#[derive(Debug, Default)]
struct Inner {
    rows: BTreeMap<EntityKeyBuf, Row>,
    manners: Manners,
    /// Counts all changes; the newest is the date of the rows it made.
    newest: u64,
    wakers: Vec<Waker>,
    full_reads: u64,
    reads: u64,
    asked: u64,
}

#[derive(Clone, Debug)]
struct Row {
    form: Form,
    changed: u64,
}

#[derive(Clone, Debug)]
enum Form {
    On(Arc<[u8]>),
    Off,
    Poison(Option<Arc<[u8]>>),
}

impl Rows {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Inner)) {
        let mut inner = self.lock();
        inner.newest += 1;
        change(&mut inner);
        let woken = std::mem::take(&mut inner.wakers);
        drop(inner);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Writes a row that is to be served.
    pub fn set(&self, key: EntityKey<'_>, payload: &str) {
        self.set_all([(EntityKeyBuf::from(key), payload.to_owned())]);
    }

    /// Writes many rows at once.
    pub fn set_all(&self, rows: impl IntoIterator<Item = (EntityKeyBuf, String)>) {
        self.change(|inner| {
            let changed = inner.newest;
            for (key, payload) in rows {
                let form = Form::On(payload.into_bytes().into());
                inner.rows.insert(key, Row { form, changed });
            }
        });
    }

    /// Has the row say that it is closed, revoked or off.
    pub fn off(&self, key: EntityKey<'_>) {
        self.reform(key, |_| Form::Off);
    }

    /// Makes the row one that nobody can map.
    pub fn poison(&self, key: EntityKey<'_>) {
        self.reform(key, |old| match old {
            Some(Form::On(payload)) => Form::Poison(Some(payload)),
            _ => Form::Poison(None),
        });
    }

    fn reform(&self, key: EntityKey<'_>, make: impl FnOnce(Option<Form>) -> Form) {
        self.change(|inner| {
            let (key, changed) = (EntityKeyBuf::from(key), inner.newest);
            let form = make(inner.rows.remove(&key).map(|row| row.form));
            inner.rows.insert(key, Row { form, changed });
        });
    }

    /// Deletes the row: it leaves no trace.
    pub fn remove(&self, key: EntityKey<'_>) {
        self.change(|inner| drop(inner.rows.remove(&EntityKeyBuf::from(key))));
    }

    /// Changes how the repository behaves, and wakes who waits for it.
    pub fn behave(&self, change: impl FnOnce(&mut Manners)) {
        self.change(|inner| change(&mut inner.manners));
    }

    /// Counts the reads that were asked for, and those of everything among them.
    pub fn reads(&self) -> (u64, u64) {
        let inner = self.lock();
        (inner.reads, inner.full_reads)
    }

    /// Counts the questions that were begun, answered or not.
    pub fn asked(&self) -> u64 {
        self.lock().asked
    }

    /// Counts the rows that are to be served.
    pub fn count(&self) -> usize {
        self.lock().rows.values().filter(|row| row.form.served().is_some()).count()
    }

    /// Gives the fingerprint of the state that all rows make, as a status shows it.
    pub fn digest(&self) -> String {
        let hash = DigestKey::default();
        let mut digest = Digest::EMPTY;
        for (key, row) in &self.lock().rows {
            if let Some(payload) = row.form.served() {
                let key = key.as_ref();
                digest.add(key.kind, hash.version(key, payload));
            }
        }
        digest.fingerprint().to_string()
    }

    /// Opens the rows for one node.
    pub fn source(&self) -> RowSource {
        RowSource { rows: self.clone(), read: Arc::new(Mutex::new(None)) }
    }
}

impl Form {
    /// The version that a zone serves: of a row that went bad, the last good one.
    fn served(&self) -> Option<&Arc<[u8]>> {
        match self {
            Self::On(payload) | Self::Poison(Some(payload)) => Some(payload),
            Self::Off | Self::Poison(None) => None,
        }
    }
}

/// The rows as one node reads them.
#[derive(Clone, Debug)]
pub struct RowSource {
    rows: Rows,
    /// The change up to which this node has read.
    read: Arc<Mutex<Option<u64>>>,
}

impl RowSource {
    fn last(&self) -> Option<u64> {
        *self.read.lock().expect("no test panics in here")
    }

    async fn ready(&self) -> Result<(), RepositoryError> {
        self.rows.lock().asked += 1;
        poll_fn(|context: &mut Context<'_>| {
            let mut inner = self.rows.lock();
            if inner.manners.stuck {
                inner.wakers.push(context.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(match inner.manners.down {
                true => Err(RepositoryError::Unavailable("the rows are down".into())),
                false => Ok(()),
            })
        })
        .await
    }

    fn take(&self, request: &Read) -> Reading {
        let mut inner = self.rows.lock();
        if std::mem::take(&mut inner.manners.panics) {
            drop(inner);
            panic!("this read was told to panic");
        }
        inner.reads += 1;
        inner.full_reads += u64::from(*request == Read::Full);
        let from = match request {
            Read::Full => None,
            Read::Since(source) => self.last().or_else(|| {
                let newest = source.kinds().map(|(_, date)| date.as_millis() as u64).max();
                newest.map(|newest| newest.saturating_sub(SLACK))
            }),
        };
        let mut reading = Reading { full: from.is_none(), ..Reading::default() };
        reading.incomplete = inner.manners.incomplete;
        let hidden = inner.manners.hidden(true);
        for (number, (key, row)) in inner.rows.iter().enumerate() {
            if hidden(number) || from.is_some_and(|from| row.changed <= from) {
                continue;
            }
            reading.rows += 1;
            let date = WallTime::from_millis(row.changed as i64);
            reading.source.advance(key.as_ref().kind, date);
            match &row.form {
                Form::On(payload) => {
                    reading.entities.push(Entity { key: key.clone(), payload: payload.clone() });
                }
                Form::Off => reading.off.push(key.clone()),
                Form::Poison(_) => reading.quarantined.push(Quarantined {
                    key: Some(key.clone()),
                    kind: Some(key.as_ref().kind),
                    place: format!("row {number}"),
                    reason: "a poison row of the test".into(),
                }),
            }
        }
        *self.read.lock().expect("no test panics in here") = Some(inner.newest);
        reading
    }
}

impl Manners {
    /// Says which rows are not shown, by a look-up or by a `read`.
    fn hidden(&self, read: bool) -> impl Fn(usize) -> bool + use<> {
        let half = self.half || (read && self.forgetful);
        let empty = self.empty;
        move |number| empty || (half && number % 2 == 1)
    }
}

impl ManagementRepository for RowSource {
    fn read(&self, request: Read) -> Reply<'_, Reading> {
        Box::pin(async move {
            self.ready().await?;
            Ok(self.take(&request))
        })
    }

    fn find(&self, keys: Vec<EntityKeyBuf>) -> Reply<'_, Vec<Found>> {
        Box::pin(async move {
            self.ready().await?;
            let inner = self.rows.lock();
            let hidden = inner.manners.hidden(false);
            let shown: BTreeSet<_> = inner
                .rows
                .keys()
                .enumerate()
                .filter(|(n, _)| !hidden(*n))
                .map(|(_, key)| key)
                .collect();
            let find =
                |key: &EntityKeyBuf| match inner.rows.get(key).filter(|_| shown.contains(key)) {
                    None => Found::Missing,
                    Some(Row { form: Form::Off, .. }) => Found::Off,
                    Some(_) => Found::Present,
                };
            Ok(keys.iter().map(find).collect())
        })
    }

    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(poll_fn(|context: &mut Context<'_>| {
            let mut inner = self.rows.lock();
            if self.last() != Some(inner.newest) && !inner.manners.down {
                return Poll::Ready(());
            }
            inner.wakers.push(context.waker().clone());
            Poll::Pending
        }))
    }
}

/// Makes `count` subscriptions with a key each, numbered from `first`; their secrets say so.
pub fn subscriptions(first: usize, count: usize) -> Vec<(EntityKeyBuf, String)> {
    let mut rows = Vec::with_capacity(count * 2);
    for number in first..first + count {
        let (id, api) = (format!("sub-{number}"), format!("api-{}", number % 7));
        let payload = format!(
            r#"{{"id":"{id}","api":"{api}","plan":"p","status":"ACCEPTED","forceDispatch":true}}"#
        );
        rows.push((EntityKey::subscription(&api, &id).into(), payload));
        let key = format!("key-{number}");
        let payload = format!(
            r#"{{"id":"{key}","key":"{SECRET}-{number}","api":"{api}","plan":"p","subscription":"{id}","active":true}}"#
        );
        rows.push((EntityKey::api_key(&api, &key, &id).into(), payload));
    }
    rows
}

/// Makes `count` APIs.
pub fn apis(count: usize) -> Vec<(EntityKeyBuf, String)> {
    let make = |number: usize| {
        let id = format!("api-{number}");
        let payload = format!(r#"{{"id":"{id}","name":"n","deployedAt":1700000000000}}"#);
        (EntityKey::new(Kind::API, &id).into(), payload)
    };
    (0..count).map(make).collect()
}

/// What every API key of [`subscriptions`] begins with. No log may hold it.
pub const SECRET: &str = "s3cr3t-api-key";

/// Gives the key of an API.
pub fn api(id: &str) -> EntityKey<'_> {
    EntityKey::new(Kind::API, id)
}
