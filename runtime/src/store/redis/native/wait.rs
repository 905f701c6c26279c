//! Waiting for the zone to move: one blocking read for all waits of a store.
//!
//! Whatever moves the zone adds to the stream `wake`, which keeps its newest entry only. One task
//! reads it, blocking, from the entry that was newest when a wait compared head and lease with what
//! its node saw; so what happens after that is never missed. A wait that is dropped leaves the task
//! alone, and the task ends when a read has ended and nobody waits any more: the connection is never
//! left with an answer on its way, and no wait costs more than one comparison.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::mem;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use redis::{Value, cmd};
use zonesync_core::id::Term;
use zonesync_core::time::Duration;

use super::reply::{Bad, Parts, bad};
use super::{Inner, scripts, text};
use crate::store::redis::connection::{Lane, Server};
use crate::store::{Seen, StoreError};

/// How long the server holds a read of which nothing comes. A connection that is dead without a
/// sign is found only after this; until then, the looks of the node find what it misses.
const BLOCK: Duration = Duration::from_secs(10);

/// The id of an entry of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct WakeId(u64, u64);

/// What the waits of a store share with the task that reads for them.
#[derive(Debug, Default)]
pub(super) struct Watch(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// How often the waits were ended.
    notices: u64,
    /// Why the last read failed, if it did.
    failed: Option<StoreError>,
    /// Up to where the task has read, while it runs.
    reading: Option<WakeId>,
    /// What a look showed, with the entry that was newest then.
    known: Option<(Seen, WakeId)>,
    /// Counts the waits, those included that are still comparing.
    waits: usize,
    next: u64,
    wakers: BTreeMap<u64, Waker>,
}

impl Watch {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what a look showed. A wait beside that need not compare again.
    pub(super) fn know(&self, seen: Seen, newest: &str) {
        self.lock().known = read_id(newest).ok().map(|id| (seen, id));
    }

    fn enter(&self) -> Waiting<'_> {
        let mut state = self.lock();
        state.waits += 1;
        state.next += 1;
        Waiting { watch: self, id: state.next, notices: state.notices }
    }

    /// Says from where to read for a wait beside `seen`, if nothing that happened since that was
    /// seen can have been told to others only.
    fn place_of(&self, seen: Seen) -> Option<WakeId> {
        let state = self.lock();
        let (known, id) = state.known?;
        (known == seen && state.reading.is_none_or(|reading| reading <= id)).then_some(id)
    }

    /// Ends every wait. Gives whether there was any.
    fn notify(&self, read: Result<WakeId, StoreError>) -> bool {
        let mut state = self.lock();
        state.notices += 1;
        let any = state.waits > 0;
        match read {
            Ok(id) => state.reading = any.then_some(id),
            Err(error) => {
                state.reading = None;
                state.failed = Some(error);
            }
        }
        let woken = mem::take(&mut state.wakers);
        drop(state);
        woken.into_values().for_each(Waker::wake);
        any
    }

    /// Ends the reading if nobody waits.
    fn may_rest(&self) -> bool {
        let mut state = self.lock();
        let rest = state.waits == 0;
        if rest {
            state.reading = None;
        }
        rest
    }
}

/// One wait, counted until it is dropped.
struct Waiting<'a> {
    watch: &'a Watch,
    id: u64,
    notices: u64,
}

impl Waiting<'_> {
    async fn notice(&self) -> Result<(), StoreError> {
        poll_fn(|context| {
            let mut state = self.watch.lock();
            if state.notices != self.notices {
                return Poll::Ready(state.failed.clone().map_or(Ok(()), Err));
            }
            state.wakers.insert(self.id, context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.watch.lock();
        state.waits -= 1;
        let waker = state.wakers.remove(&self.id);
        drop(state);
        drop(waker);
    }
}

impl Inner {
    pub(super) async fn wait(
        self: &Arc<Self>,
        seen: Seen,
        timeout: Duration,
    ) -> Result<(), StoreError> {
        let sleep = self.runtime.sleep(timeout);
        let waiting = self.watch.enter();
        let moved = async {
            let from = match self.watch.place_of(seen) {
                Some(from) => from,
                None => {
                    let (moved, newest) = self.compare(seen).await?;
                    if moved {
                        return Ok(());
                    }
                    newest
                }
            };
            self.read_from(from);
            waiting.notice().await
        };
        let late = async {
            sleep.await;
            Ok(())
        };
        futures_lite::future::or(moved, late).await
    }

    /// Says whether the zone shows something else than `seen`, and where to read on from.
    async fn compare(&self, seen: Seen) -> Result<(bool, WakeId), StoreError> {
        let lease = match seen.lease {
            none if none == Term::default() => String::new(),
            term => text::term(term),
        };
        let keys = [&*self.keys.lease, &self.keys.head, &self.keys.wake];
        let args = [text::position(seen.head), lease];
        let answer = self.run(Lane::Lease, &scripts::WATCH, &keys, &args).await?;
        let mut parts = Parts::of(answer)?;
        let moved = match parts.text("moved or still")?.as_str() {
            "moved" => true,
            "still" => false,
            _ => return Err(bad("an answer of another script").into()),
        };
        Ok((moved, read_id(&parts.text("a wake")?)?))
    }

    /// Has the task read from `from`, if it does not read from there or before already.
    fn read_from(self: &Arc<Self>, from: WakeId) {
        let mut state = self.watch.lock();
        if state.reading.is_some() {
            return;
        }
        state.reading = Some(from);
        state.failed = None;
        drop(state);
        // The task must not keep the store, or a store that is dropped would go on reading.
        let (inner, gone) = (Arc::downgrade(self), self.gone.clone());
        let (server, key) = (self.server.clone(), self.keys.wake.clone());
        self.runtime.spawn(Box::pin(async move {
            let mut place = from;
            loop {
                let mut read = pin!(read(&server, &key, place));
                let mut gone = pin!(gone.recv());
                let outcome =
                    futures_lite::future::or(async { Some(read.as_mut().await) }, async {
                        let _ = gone.as_mut().await;
                        None
                    });
                let Some(outcome) = outcome.await else { return };
                let Some(inner) = inner.upgrade() else { return };
                let goes_on = match outcome {
                    Ok(Some(newest)) => {
                        place = newest;
                        inner.watch.notify(Ok(newest))
                    }
                    Ok(None) => !inner.watch.may_rest(),
                    Err(error) => {
                        inner.watch.notify(Err(error));
                        false
                    }
                };
                if !goes_on {
                    return;
                }
            }
        }));
    }
}

/// Waits for an entry after `from`, and gives the id of the newest, or none if none came.
async fn read(server: &Server, key: &str, from: WakeId) -> Result<Option<WakeId>, StoreError> {
    let mut read = cmd("XREAD");
    read.arg("BLOCK").arg(BLOCK.as_millis() as u64).arg("STREAMS").arg(key);
    read.arg(format!("{}-{}", from.0, from.1));
    let answer = server.call(Lane::Watch, &read, BLOCK + BLOCK / 2).await?;
    Ok(newest(answer)?)
}

/// Finds the id in an answer of one stream, as either version of the protocol gives it.
fn newest(answer: Value) -> Result<Option<WakeId>, Bad> {
    let entries = match answer {
        Value::Nil => return Ok(None),
        Value::Map(streams) => streams.into_iter().next().map(|(_, entries)| entries),
        streams => match Parts::of(streams)?.next("a stream")? {
            Value::Array(mut stream) => stream.pop(),
            _ => None,
        },
    };
    let Some(Value::Array(mut entries)) = entries else { return Err(bad("a stream")) };
    let newest = entries.pop().ok_or_else(|| bad("a stream without entries"))?;
    read_id(&Parts::of(newest)?.text("the id of an entry")?).map(Some)
}

fn read_id(text: &str) -> Result<WakeId, Bad> {
    let (time, number) = text.split_once('-').ok_or_else(|| bad("the id of an entry"))?;
    Ok(WakeId(text::read_number(time)?, text::read_number(number)?))
}
