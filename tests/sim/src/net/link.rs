//! One node's way to the store.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_lite::future::{block_on, or, poll_fn};
use zonesync::store::memory::MemoryStore;
use zonesync::store::{
    Acquire, Acquired, Bytes, CommitSnapshot, HeadUpdate, Log, Look, Publish, Raise, RaiseAnswer,
    Renew, Renewed, Reply, Seen, StoreError, Written, ZoneStore,
};
use zonesync_core::election::Report;
use zonesync_core::id::{Position, Term};
use zonesync_core::time::Duration;

use super::Net;
use crate::executor::{HostId, Time, WORLD};
use crate::watch::{self, Call};

const MS: Time = 1_000_000;

/// How long a node waits for an answer.
const PATIENCE: Time = 1_000 * MS;

/// How late a late request comes.
const LATE: (Time, Time) = (1_500 * MS, 9_000 * MS);

/// When a doubled request comes again.
const AGAIN: (Time, Time) = (MS, 7_000 * MS);

/// A connection as its node sees it.
#[derive(Clone)]
pub struct Link {
    net: Net,
    host: HostId,
}

/// What becomes of one request.
struct Fate {
    there: Time,
    back: Time,
    arrives: bool,
    answered: bool,
    again: Option<Time>,
    flip: Option<u64>,
}

impl Link {
    pub(super) fn new(net: Net, host: HostId) -> Self {
        Self { net, host }
    }

    fn draw(&self, call: &Call) -> Fate {
        let mut inner = self.net.lock();
        let wire = inner.wires.get(&self.host).copied().unwrap_or_default();
        let now = inner.executor.now();
        let flips = inner.servers[wire.server].manners.flips;
        let random = &mut inner.random;
        let mut way = || {
            let slow = if wire.slow > 0 { random.below(wire.slow) } else { 0 };
            random.within(MS / 5, 2 * MS) + slow
        };
        let is_chunk = matches!(call, Call::Chunk { .. });
        let (there, back) = (way(), way());
        let late_share = if is_chunk { wire.late.max(wire.late_chunks) } else { wire.late };
        let late = random.percent(late_share);
        let there = if late { there + random.within(LATE.0, LATE.1) } else { there };
        let there = there + wire.held_until.saturating_sub(now);
        Fate {
            there,
            back,
            arrives: !wire.cut && !random.percent(wire.lost_requests),
            answered: !random.percent(wire.lost_replies),
            again: random.percent(wire.doubled).then(|| random.within(AGAIN.0, AGAIN.1)),
            flip: random.percent(flips).then(|| random.next()),
        }
    }

    /// Sends a request, and waits for its answer as long as a node's patience lasts.
    async fn send<T: watch::Reply + Send + 'static>(
        &self,
        call: Call,
        run: impl Fn(&MemoryStore) -> Result<T, StoreError> + Send + Sync + 'static,
    ) -> Result<T, StoreError> {
        let fate = self.draw(&call);
        let (net, host) = (self.net.clone(), self.host);
        let reads = matches!(call, Call::Read);
        let executor = net.lock().executor.clone();
        {
            let watch = net.lock().watch.clone();
            watch.lock().expect("one thread").sent(executor.now(), host, &call);
        }
        let (reply, replied) = place_for_one();
        if fate.arrives {
            let own = executor.clone();
            let message = async move {
                own.sleep(fate.there).await;
                let answer = net.execute(host, &call, &run);
                if fate.answered {
                    let answer = answer.map(|mut answer| {
                        fate.flip.inspect(|seed| answer.flip(*seed));
                        answer
                    });
                    own.sleep(fate.back).await;
                    if let Ok(answer) = &answer {
                        let (least, head) = (answer.least_format(), answer.head_format());
                        let watch = net.lock().watch.clone();
                        let mut watch = watch.lock().expect("one thread");
                        watch.formats.answered((own.now(), host), reads, least, head);
                    }
                    reply.put(answer);
                }
                if let Some(again) = fate.again {
                    own.sleep(again).await;
                    let _ = net.execute(host, &call, &run);
                }
            };
            executor.spawn(WORLD, Box::pin(message));
        }
        let late = async {
            executor.sleep(PATIENCE).await;
            Err(StoreError::Unavailable("no answer".into()))
        };
        let answer = or(replied.take(), late).await;
        if let Ok(told) = &answer {
            let watch = self.net.lock().watch.clone();
            watch.lock().expect("one thread").answered(host, reads, told.epoch());
        }
        answer
    }

    /// Ends when the connection breaks.
    async fn broken(&self, breaks: u64) -> StoreError {
        poll_fn(|context: &mut Context<'_>| {
            let mut inner = self.net.lock();
            if inner.breaks != breaks {
                return Poll::Ready(());
            }
            inner.waiting.insert(self.host, context.waker().clone());
            Poll::Pending
        })
        .await;
        StoreError::Unavailable("connection lost".into())
    }
}

/// Steps of the memory store are done when they are first asked for.
fn now<T>(reply: Reply<'_, T>) -> Result<T, StoreError> {
    block_on(reply)
}

impl ZoneStore for Link {
    fn look(&self, report: Option<Report>) -> Reply<'_, Look> {
        Box::pin(self.send(Call::Look, move |store| now(store.look(report.clone()))))
    }

    fn acquire(&self, request: Acquire) -> Reply<'_, Acquired> {
        let call = Call::Acquire { id: request.id, ttl: request.ttl };
        Box::pin(self.send(call, move |store| now(store.acquire(request.clone()))))
    }

    fn renew(&self, request: Renew) -> Reply<'_, Renewed> {
        let call = Call::Renew { term: request.term, ttl: request.ttl };
        Box::pin(self.send(call, move |store| now(store.renew(request.clone()))))
    }

    fn release(&self, term: Term) -> Reply<'_, ()> {
        Box::pin(self.send(Call::Release(term), move |store| now(store.release(term))))
    }

    fn publish(&self, request: Publish) -> Reply<'_, Written> {
        let call = Call::Publish {
            term: request.term,
            meta: request.entry.meta,
            bytes: request.entry.bytes.clone(),
        };
        Box::pin(self.send(call, move |store| now(store.publish(request.clone()))))
    }

    fn begin_snapshot(&self, term: Term, position: Position) -> Reply<'_, Written> {
        let run = move |store: &MemoryStore| now(store.begin_snapshot(term, position));
        Box::pin(self.send(Call::Begin(term, position), run))
    }

    fn put_chunk(
        &self,
        term: Term,
        position: Position,
        number: u32,
        bytes: Bytes,
    ) -> Reply<'_, Written> {
        let call = Call::Chunk { term, position, bytes: bytes.clone() };
        let run =
            move |store: &MemoryStore| now(store.put_chunk(term, position, number, bytes.clone()));
        Box::pin(self.send(call, run))
    }

    fn commit_snapshot(&self, request: CommitSnapshot) -> Reply<'_, Written> {
        let call = Call::Commit { term: request.term, moves: request.from.is_some() };
        Box::pin(self.send(call, move |store| now(store.commit_snapshot(request.clone()))))
    }

    fn write_head(&self, term: Term, at: Position, update: HeadUpdate) -> Reply<'_, Written> {
        let run = move |store: &MemoryStore| now(store.write_head(term, at, update.clone()));
        Box::pin(self.send(Call::WriteHead(term), run))
    }

    fn trim(&self, term: Term) -> Reply<'_, Written> {
        Box::pin(self.send(Call::Trim(term), move |store| now(store.trim(term))))
    }

    fn raise(&self, request: Raise) -> Reply<'_, RaiseAnswer> {
        Box::pin(self.send(Call::Raise, move |store| now(store.raise(request))))
    }

    fn read(&self, after: Position, max_bytes: usize) -> Reply<'_, Log> {
        Box::pin(self.send(Call::Read, move |store| now(store.read(after, max_bytes))))
    }

    fn chunk(&self, position: Position, number: u32) -> Reply<'_, Option<Bytes>> {
        Box::pin(self.send(Call::ReadChunk, move |store| now(store.chunk(position, number))))
    }

    fn wait(&self, seen: Seen, timeout: Duration) -> Reply<'_, ()> {
        Box::pin(async move {
            let (store, up, breaks, executor) = {
                let inner = self.net.lock();
                let wire = inner.wires.get(&self.host).copied().unwrap_or_default();
                let server = &inner.servers[wire.server];
                let held = wire.held_until > inner.executor.now();
                let up = !wire.cut && !held && !server.manners.down;
                (server.store.clone(), up, inner.breaks, inner.executor.clone())
            };
            if !up {
                executor.sleep(PATIENCE).await;
                return Err(StoreError::Unavailable("no connection".into()));
            }
            let wait = async { store.wait(seen, timeout).await };
            or(wait, async { Err(self.broken(breaks).await) }).await
        })
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({})", self.host)
    }
}

/// A place for one answer.
fn place_for_one<T>() -> (Put<T>, Take<T>) {
    let place = Arc::new(std::sync::Mutex::new(Place { value: None, waker: None }));
    (Put(Arc::clone(&place)), Take(place))
}

struct Place<T> {
    value: Option<T>,
    waker: Option<std::task::Waker>,
}

struct Put<T>(Arc<std::sync::Mutex<Place<T>>>);

struct Take<T>(Arc<std::sync::Mutex<Place<T>>>);

impl<T> Put<T> {
    fn put(self, value: T) {
        let mut place = self.0.lock().expect("one thread");
        place.value = Some(value);
        let waker = place.waker.take();
        drop(place);
        waker.into_iter().for_each(std::task::Waker::wake);
    }
}

impl<T> Take<T> {
    fn take(&self) -> impl Future<Output = T> + '_ {
        poll_fn(|context: &mut Context<'_>| {
            let mut place = self.0.lock().expect("one thread");
            match place.value.take() {
                Some(value) => Poll::Ready(value),
                None => {
                    place.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
    }
}
