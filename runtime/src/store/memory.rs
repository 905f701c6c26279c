//! A zone store inside one process: for tests, for simulations, and for gateways that run as
//! several nodes of one process.
//!
//! The steps are methods of a plain value, `Zone`, with the time as an argument. Here it stands
//! behind one lock that is held for a step and never across an await. Clones of a [`MemoryStore`]
//! are handles to the same zone; [`MemoryStore::shared`] finds a zone by name within the process.
//!
//! Read `memory/zone.rs` first, then `leases`, `log` and `snapshots` beside it.

mod leases;
mod log;
mod registry;
mod reports;
mod snapshots;
mod waiters;
mod zone;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use zonesync_core::election::Report;
use zonesync_core::format::Head;
use zonesync_core::id::{Position, Term, TermId, ZoneName};
use zonesync_core::time::{Duration, Instant};

use super::{
    Acquire, Acquired, Bytes, CommitSnapshot, HeadUpdate, Log, Look, Publish, Raise, RaiseAnswer,
    Renew, Renewed, Reply, Seen, StoreError, Written, ZoneStore,
};
use crate::runtime::Runtime;
use waiters::{Wait, Waiters};
use zone::Zone;

/// Bounds of a [`MemoryStore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryOptions {
    /// The most bytes of log, chunks and head together. Past it, publishing and chunks are answered
    /// with [`StoreError::Full`].
    pub max_bytes: usize,
    /// The most bytes of log and old snapshots that a trim spares for readers. Past it, the slowest
    /// reader is given up.
    pub spare_bytes: usize,
    /// Where the ids that fence a raise come from; drawn at random if none is given.
    ///
    /// A simulation names one, so that the same seed gives the same history.
    pub seed: Option<u64>,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self { max_bytes: 1 << 30, spare_bytes: 256 << 20, seed: None }
    }
}

/// A handle to one zone in this process. Clones share the zone.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
    /// Waits for time-outs; the store's clock is that of whoever made the zone.
    runtime: Arc<dyn Runtime>,
}

/// What the handles of one zone share.
#[derive(Debug)]
struct Shared {
    name: ZoneName,
    clock: Arc<dyn Runtime>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    zone: Zone,
    waiters: Waiters,
    ids: Ids,
}

impl MemoryStore {
    /// Makes a zone that only this handle and its clones know.
    ///
    /// The store's clock is `runtime`'s.
    pub fn new(name: ZoneName, runtime: Arc<dyn Runtime>, options: MemoryOptions) -> Self {
        let shared = Arc::new(Shared::new(name, Arc::clone(&runtime), options));
        Self { shared, runtime }
    }

    /// Finds the zone of that name in this process, or makes it. It goes with its last handle.
    ///
    /// Bounds and clock are those of whoever came first.
    pub fn shared(name: &ZoneName, runtime: Arc<dyn Runtime>, options: MemoryOptions) -> Self {
        let make = || Shared::new(name.clone(), Arc::clone(&runtime), options);
        Self { shared: registry::find_or_make(name, make), runtime }
    }

    /// Gives the name of the zone.
    pub fn name(&self) -> &ZoneName {
        &self.shared.name
    }

    /// Shows the newest term and the head without being a node.
    #[doc(hidden)]
    pub fn peek(&self) -> (Term, Option<Arc<Head>>) {
        let inner = self.shared.lock();
        (inner.zone.term, inner.zone.head.clone())
    }

    /// Copies the zone as it stands, for [`MemoryStore::restore_zone`].
    #[doc(hidden)]
    pub fn copy_zone(&self) -> ZoneCopy {
        ZoneCopy(self.shared.lock().zone.clone())
    }

    /// Puts an old copy in the place of the zone, as a server does that comes back from a backup.
    #[doc(hidden)]
    pub fn restore_zone(&self, copy: &ZoneCopy) {
        self.lose(|zone| *zone = copy.0.clone());
    }

    /// Empties the zone, as a server does that restarts without its data.
    #[doc(hidden)]
    pub fn clear(&self) {
        self.lose(Zone::clear);
    }

    fn lose(&self, change: impl FnOnce(&mut Zone)) {
        let mut inner = self.shared.lock();
        change(&mut inner.zone);
        let woken = inner.waiters.notify();
        drop(inner);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Carries out one step, and wakes the waiters if its answer says that something moved.
    ///
    /// They are woken after the lock is free, so that a waker may call the store.
    fn step<T>(
        &self,
        step: impl FnOnce(&mut Zone, Instant) -> T,
        moved: impl FnOnce(&T) -> bool,
    ) -> T {
        let mut inner = self.shared.lock();
        let now = self.shared.clock.now();
        let answer = step(&mut inner.zone, now);
        let woken = if moved(&answer) { inner.waiters.notify() } else { Vec::new() };
        drop(inner);
        woken.into_iter().for_each(Waker::wake);
        answer
    }
}

/// A moment of a zone, kept so that a test can go back to it.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct ZoneCopy(Zone);

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("zone", self.name()).finish_non_exhaustive()
    }
}

impl Shared {
    fn new(name: ZoneName, clock: Arc<dyn Runtime>, options: MemoryOptions) -> Self {
        let ids = Ids::new(options.seed.unwrap_or_else(drawn_seed));
        let zone = Zone::new(options.max_bytes, options.spare_bytes);
        let inner = Mutex::new(Inner { zone, waiters: Waiters::default(), ids });
        Self { name, clock, inner }
    }

    /// Takes the lock. A step that panicked has left no half of a change: each checks first and
    /// changes last.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says whether a write was carried out.
fn done(answer: &Result<Written, StoreError>) -> bool {
    *answer == Ok(Written::Done)
}

impl ZoneStore for MemoryStore {
    fn look(&self, report: Option<Report>) -> Reply<'_, Look> {
        Box::pin(async move { Ok(self.step(|zone, now| zone.look(now, report), |_| false)) })
    }

    fn acquire(&self, request: Acquire) -> Reply<'_, Acquired> {
        Box::pin(async move {
            let granted = |answer: &Result<_, _>| matches!(answer, Ok(Acquired::Granted(_)));
            self.step(|zone, now| zone.acquire(now, request), granted)
        })
    }

    fn renew(&self, request: Renew) -> Reply<'_, Renewed> {
        Box::pin(async move { Ok(self.step(|zone, now| zone.renew(now, request), |_| false)) })
    }

    fn release(&self, term: Term) -> Reply<'_, ()> {
        Box::pin(async move {
            self.step(|zone, now| zone.release(now, term), |released| *released);
            Ok(())
        })
    }

    fn publish(&self, request: Publish) -> Reply<'_, Written> {
        Box::pin(async move { self.step(|zone, _| zone.publish(request), done) })
    }

    fn begin_snapshot(&self, term: Term, position: Position) -> Reply<'_, Written> {
        Box::pin(async move { self.step(|zone, _| zone.begin_snapshot(term, position), |_| false) })
    }

    fn put_chunk(
        &self,
        term: Term,
        position: Position,
        number: u32,
        bytes: Bytes,
    ) -> Reply<'_, Written> {
        Box::pin(async move {
            self.step(|zone, _| zone.put_chunk(term, position, number, bytes), |_| false)
        })
    }

    fn commit_snapshot(&self, request: CommitSnapshot) -> Reply<'_, Written> {
        Box::pin(async move { self.step(|zone, _| zone.commit_snapshot(request), done) })
    }

    fn write_head(&self, term: Term, at: Position, update: HeadUpdate) -> Reply<'_, Written> {
        Box::pin(async move { self.step(|zone, _| zone.write_head(term, at, update), done) })
    }

    fn trim(&self, term: Term) -> Reply<'_, Written> {
        Box::pin(async move { Ok(self.step(|zone, now| zone.trim(now, term), |_| false)) })
    }

    fn raise(&self, request: Raise) -> Reply<'_, RaiseAnswer> {
        Box::pin(async move {
            let spare = self.shared.lock().ids.draw();
            let raised = self.step(|zone, _| zone.raise(request, spare), |(_, moved)| *moved);
            Ok(raised.0)
        })
    }

    fn read(&self, after: Position, max_bytes: usize) -> Reply<'_, Log> {
        Box::pin(async move { Ok(self.step(|zone, _| zone.read(after, max_bytes), |_| false)) })
    }

    fn chunk(&self, position: Position, number: u32) -> Reply<'_, Option<Bytes>> {
        Box::pin(async move { Ok(self.step(|zone, _| zone.chunk(position, number), |_| false)) })
    }

    fn wait(&self, seen: Seen, timeout: Duration) -> Reply<'_, ()> {
        Box::pin(Wait::new(Arc::clone(&self.shared), seen, self.runtime.sleep(timeout)))
    }
}

/// Draws term ids that nobody holds, for raises.
#[derive(Debug)]
struct Ids(u64);

impl Ids {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn draw(&mut self) -> TermId {
        TermId((u128::from(self.next()) << 64) | u128::from(self.next()))
    }

    /// SplitMix64 (Steele, Lea and Flood, 2014): no two of its 2^64 outputs are equal.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

/// Draws a seed from the system, or from the clock where the system has no randomness to give.
fn drawn_seed() -> u64 {
    getrandom::u64().unwrap_or_else(|_| crate::runtime::monotonic_now().as_nanos())
}
