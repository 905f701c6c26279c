//! A zone store between a node and the real one, that fails as told.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use futures_lite::future::poll_fn;
use zonesync::store::{
    Acquire, Acquired, Bytes, CommitSnapshot, HeadUpdate, Log, Look, Publish, Raise, RaiseAnswer,
    Renew, Renewed, Reply, Seen, StoreError, Written, ZoneStore,
};
use zonesync_core::election::Report;
use zonesync_core::id::{Position, Term};
use zonesync_core::time::Duration;

/// A store whose connection a test spoils. Clones share what is told.
#[derive(Clone, Debug)]
pub struct Faulty {
    inner: Arc<dyn ZoneStore>,
    told: Arc<Mutex<Told>>,
}

/// What a connection does to requests and replies.
#[derive(Debug, Default)]
pub struct Faults {
    /// Every request fails.
    pub down: bool,
    /// Reads of the log fail, and nothing else.
    pub unreadable: bool,
    /// Batches and chunks find no room.
    pub full: bool,
    /// Of 100 requests, so many are lost before the store has them.
    pub lost_requests: u64,
    /// Of 100 replies, so many are lost on their way back.
    pub lost_replies: u64,
    /// Every request waits until this is taken back.
    pub stuck: bool,
    /// Batches wait until this is taken back, on their way to the store.
    pub stuck_batches: bool,
}

#[derive(Debug, Default)]
struct Told {
    faults: Faults,
    seed: u64,
    wakers: Vec<Waker>,
    written: Vec<Written>,
    calls: u64,
    reads: u64,
    empty_batches: u64,
}

impl Faulty {
    /// Puts a sound connection before `inner`. What is lost later depends on `seed`.
    pub fn new(inner: Arc<dyn ZoneStore>, seed: u64) -> Self {
        Self { inner, told: Arc::new(Mutex::new(Told { seed, ..Told::default() })) }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().expect("no test panics in here")
    }

    /// Tells the connection what to do from now on, and lets go of what waits.
    pub fn tell(&self, change: impl FnOnce(&mut Faults)) {
        let mut told = self.told();
        change(&mut told.faults);
        let woken = std::mem::take(&mut told.wakers);
        drop(told);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Gives how batches were answered so far, lost replies included.
    pub fn written(&self) -> Vec<Written> {
        self.told().written.clone()
    }

    /// Counts the calls so far.
    pub fn calls(&self) -> u64 {
        self.told().calls
    }

    /// Counts the reads of the log so far.
    pub fn reads(&self) -> u64 {
        self.told().reads
    }

    /// Counts the batches without changes that were sent beyond the one that opens each term.
    pub fn empty_batches(&self) -> u64 {
        self.told().empty_batches
    }

    /// Says whether a request waits here.
    pub fn waits(&self) -> bool {
        !self.told().wakers.is_empty()
    }

    fn room(&self) -> Result<(), StoreError> {
        if self.told().faults.full { Err(StoreError::Full) } else { Ok(()) }
    }

    async fn gate(&self, closed: impl Fn(&Faults) -> bool) {
        poll_fn(|context: &mut Context<'_>| {
            let mut told = self.told();
            if closed(&told.faults) {
                told.wakers.push(context.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }

    async fn through<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
        batch: bool,
    ) -> Result<T, StoreError> {
        self.gate(|faults| faults.stuck || (batch && faults.stuck_batches)).await;
        let lost = || StoreError::Unavailable("lost on the way".into());
        let (no_request, no_reply) = {
            let mut told = self.told();
            told.calls += 1;
            let request = told.draw() < told.faults.lost_requests || told.faults.down;
            let reply = told.draw() < told.faults.lost_replies;
            (request, reply)
        };
        if no_request {
            return Err(lost());
        }
        let answer = call.await?;
        if no_reply { Err(lost()) } else { Ok(answer) }
    }
}

impl Told {
    /// Draws a number below 100 (xorshift, Marsaglia 2003).
    fn draw(&mut self) -> u64 {
        let mut x = self.seed | 1 << 63;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.seed = x;
        (x >> 20) % 100
    }
}

impl ZoneStore for Faulty {
    fn look(&self, report: Option<Report>) -> Reply<'_, Look> {
        Box::pin(self.through(self.inner.look(report), false))
    }

    fn acquire(&self, request: Acquire) -> Reply<'_, Acquired> {
        Box::pin(self.through(self.inner.acquire(request), false))
    }

    fn renew(&self, request: Renew) -> Reply<'_, Renewed> {
        Box::pin(self.through(self.inner.renew(request), false))
    }

    fn release(&self, term: Term) -> Reply<'_, ()> {
        Box::pin(self.through(self.inner.release(term), false))
    }

    fn publish(&self, request: Publish) -> Reply<'_, Written> {
        let meta = request.entry.meta;
        let opens = meta.previous.term != meta.position.term;
        self.told().empty_batches += u64::from(!opens && meta.before == meta.after);
        let call = async move {
            self.room()?;
            let answer = self.inner.publish(request).await?;
            self.told().written.push(answer);
            Ok(answer)
        };
        Box::pin(self.through(call, true))
    }

    fn begin_snapshot(&self, term: Term, position: Position) -> Reply<'_, Written> {
        Box::pin(self.through(self.inner.begin_snapshot(term, position), false))
    }

    fn put_chunk(
        &self,
        term: Term,
        position: Position,
        number: u32,
        bytes: Bytes,
    ) -> Reply<'_, Written> {
        let call = async move {
            self.room()?;
            self.inner.put_chunk(term, position, number, bytes).await
        };
        Box::pin(self.through(call, false))
    }

    fn commit_snapshot(&self, request: CommitSnapshot) -> Reply<'_, Written> {
        Box::pin(self.through(self.inner.commit_snapshot(request), false))
    }

    fn write_head(&self, term: Term, at: Position, update: HeadUpdate) -> Reply<'_, Written> {
        Box::pin(self.through(self.inner.write_head(term, at, update), false))
    }

    fn trim(&self, term: Term) -> Reply<'_, Written> {
        Box::pin(self.through(self.inner.trim(term), false))
    }

    fn raise(&self, request: Raise) -> Reply<'_, RaiseAnswer> {
        Box::pin(self.through(self.inner.raise(request), false))
    }

    fn read(&self, after: Position, max_bytes: usize) -> Reply<'_, Log> {
        let call = async move {
            let unreadable = {
                let mut told = self.told();
                told.reads += 1;
                told.faults.unreadable
            };
            if unreadable {
                return Err(StoreError::Unavailable("the log cannot be read".into()));
            }
            self.inner.read(after, max_bytes).await
        };
        Box::pin(self.through(call, false))
    }

    fn chunk(&self, position: Position, number: u32) -> Reply<'_, Option<Bytes>> {
        Box::pin(self.through(self.inner.chunk(position, number), false))
    }

    fn is_unreplicated(&self) -> bool {
        self.inner.is_unreplicated()
    }

    fn wait(&self, seen: Seen, timeout: Duration) -> Reply<'_, ()> {
        Box::pin(self.through(self.inner.wait(seen, timeout), false))
    }
}
