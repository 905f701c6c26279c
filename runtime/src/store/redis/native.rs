//! The native layout: a zone store on plain Redis, without modules.
//!
//! Each step of the contract is one script that compares before it writes, so two nodes never see
//! half a step. `docs/native-layout.md` says to the byte what is stored. This file ties the parts:
//! `leases`, `log` and `snapshots` hold the steps, `wait` the waiting, `scripts` what runs at the
//! server; `text`, `head`, `report` and `seal` say how values are written.

mod ahead;
mod cipher;
mod head;
mod keys;
mod leases;
mod log;
mod replicas;
mod reply;
mod report;
mod scripts;
mod seal;
mod snapshots;
mod text;
mod wait;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use redis::Value;
use zonesync_core::election::{Report, Seen};
use zonesync_core::id::{Position, Term, ZoneName};
use zonesync_core::time::Duration;

use super::RedisOptions;
use super::connection::{Lane, Script, Server};
use crate::runtime::Runtime;
use crate::store::{
    Acquire, Acquired, Bytes, CommitSnapshot, HeadUpdate, Log, Look, Publish, Raise, RaiseAnswer,
    Renew, Renewed, Reply, StoreError, Written, ZoneStore,
};
use ahead::Ahead;
use keys::Keys;
pub(super) use keys::prefix;
use replicas::Replicas;
use seal::{Place, Seal};
use wait::Watch;

/// From here on a record is compressed, or decompressed, on a thread that may take its time.
const ASIDE_FROM: usize = 64 << 10;

/// One zone in Redis. Clones share their connections.
#[derive(Clone)]
pub struct RedisStore(Arc<Inner>);

struct Inner {
    zone: ZoneName,
    keys: Keys,
    server: Server,
    runtime: Arc<dyn Runtime>,
    seal: Seal,
    replicas: Replicas,
    watch: Watch,
    ahead: Ahead,
    log_max: u64,
    command_timeout: Duration,
    bulk_timeout: Duration,
    /// Closed when the store goes, to end what reads for its waits.
    gone: async_channel::Receiver<()>,
    going: async_channel::Sender<()>,
}

impl RedisStore {
    /// Makes a handle to `zone` in the Redis of `options`. Connects when it is first used.
    ///
    /// Connections and waits need tasks in the background, which `runtime` runs.
    pub fn new(zone: ZoneName, options: RedisOptions, runtime: Arc<dyn Runtime>) -> Self {
        let keys = Keys::new(&zone);
        let (going, gone) = async_channel::bounded(1);
        let (command_timeout, bulk_timeout) = (options.command_timeout, options.bulk_timeout);
        let log_max = options.log_max;
        let seal = Seal::new(&zone, options.encryption.as_ref(), &runtime);
        let replicas = Replicas::new(options.wait);
        let server = Server::new(options, Arc::clone(&runtime), keys.term.clone());
        Self(Arc::new(Inner {
            zone,
            keys,
            server,
            runtime,
            seal,
            replicas,
            watch: Watch::default(),
            ahead: Ahead::default(),
            log_max,
            command_timeout,
            bulk_timeout,
            gone,
            going,
        }))
    }

    /// Gives the name of the zone.
    pub fn name(&self) -> &ZoneName {
        &self.0.zone
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("zone", self.name()).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.going.close();
    }
}

impl Inner {
    async fn run(
        &self,
        lane: Lane,
        script: &Script,
        keys: &[&str],
        args: &[impl AsRef<[u8]>],
    ) -> Result<Value, StoreError> {
        let args: Vec<_> = args.iter().map(AsRef::as_ref).collect();
        self.server.run(lane, script, keys, &args).await
    }

    /// Makes what is stored of a record, aside if it is large.
    async fn close(&self, place: Place, record: Bytes) -> Result<Vec<u8>, StoreError> {
        if record.len() < ASIDE_FROM {
            return self.seal.close(place, &record);
        }
        let seal = self.seal.clone();
        blocking::unblock(move || seal.close(place, &record)).await
    }

    /// Gives a record of what is stored, aside if that is large.
    async fn open(&self, place: Place, stored: Vec<u8>) -> Result<Bytes, StoreError> {
        if stored.len() < ASIDE_FROM {
            return self.seal.open(place, &stored);
        }
        let seal = self.seal.clone();
        blocking::unblock(move || seal.open(place, &stored)).await
    }
}

impl ZoneStore for RedisStore {
    fn look(&self, report: Option<Report>) -> Reply<'_, Look> {
        Box::pin(self.0.look(report))
    }

    fn acquire(&self, request: Acquire) -> Reply<'_, Acquired> {
        Box::pin(self.0.acquire(request))
    }

    fn renew(&self, request: Renew) -> Reply<'_, Renewed> {
        Box::pin(self.0.renew(request))
    }

    fn release(&self, term: Term) -> Reply<'_, ()> {
        Box::pin(self.0.release(term))
    }

    fn publish(&self, request: Publish) -> Reply<'_, Written> {
        Box::pin(self.0.publish(request))
    }

    fn begin_snapshot(&self, term: Term, position: Position) -> Reply<'_, Written> {
        Box::pin(self.0.begin_snapshot(term, position))
    }

    fn put_chunk(
        &self,
        term: Term,
        position: Position,
        number: u32,
        bytes: Bytes,
    ) -> Reply<'_, Written> {
        Box::pin(self.0.put_chunk(term, position, number, bytes))
    }

    fn commit_snapshot(&self, request: CommitSnapshot) -> Reply<'_, Written> {
        Box::pin(self.0.commit_snapshot(request))
    }

    fn write_head(&self, term: Term, at: Position, update: HeadUpdate) -> Reply<'_, Written> {
        Box::pin(self.0.write_head(term, at, update))
    }

    fn trim(&self, term: Term) -> Reply<'_, Written> {
        Box::pin(self.0.trim(term))
    }

    fn raise(&self, request: Raise) -> Reply<'_, RaiseAnswer> {
        Box::pin(self.0.raise(request))
    }

    fn read(&self, after: Position, max_bytes: usize) -> Reply<'_, Log> {
        Box::pin(self.0.read(after, max_bytes))
    }

    fn chunk(&self, position: Position, number: u32) -> Reply<'_, Option<Bytes>> {
        Box::pin(self.0.chunk(position, number))
    }

    fn is_unreplicated(&self) -> bool {
        self.0.replicas.are_missing()
    }

    fn wait(&self, seen: Seen, timeout: Duration) -> Reply<'_, ()> {
        Box::pin(self.0.wait(seen, timeout))
    }
}
