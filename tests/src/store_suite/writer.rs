//! A primary in small: what the cases write with.

use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::block_on;
use zonesync::store::{
    Acquire, Acquired, Bytes, CommitSnapshot, Entry, HeadUpdate, Publish, Renew, Renewed, Reply,
    StoreError, Written, ZoneStore,
};
use zonesync_core::digest::Fingerprint;
use zonesync_core::election::{Report, Role};
use zonesync_core::format::{BatchMeta, Filter, Head, Snapshot};
use zonesync_core::id::{Epoch, InstanceId, Position, Sequence, Term, TermId};

/// Waits for an answer that must come.
pub fn ask<T>(reply: Reply<'_, T>) -> T {
    block_on(reply).expect("the store answers")
}

/// Makes the report of an instance that stands at `position`.
pub fn report(instance: u128, position: Position) -> Report {
    Report {
        node: format!("node-{instance}").parse().expect("a node's name"),
        instance: InstanceId(instance),
        role: Role::Secondary,
        position,
        seen: position.term.epoch,
        fingerprint: Fingerprint(0),
        count: 0,
        can_stand: true,
        format: 1,
        filter: Filter(0),
        reading: None,
    }
}

/// Makes `size` bytes that no store can squeeze; the same `seed` gives the same.
pub fn noise(seed: u128, size: usize) -> Vec<u8> {
    let mut state = (seed as u64 ^ (seed >> 64) as u64) | 1 << 63;
    let words = std::iter::repeat_with(|| {
        // xorshift (Marsaglia, 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(size).collect()
}

/// Makes a batch of `size` bytes that leads from `previous` to `position`. The fingerprint after it
/// is `after`.
pub fn entry(previous: Position, position: Position, after: u128, size: usize) -> Entry {
    let meta = BatchMeta { position, previous, before: Fingerprint(0), after: Fingerprint(after) };
    Entry { meta, bytes: noise(after, size).into() }
}

/// A holder of a term, or of one that is over.
#[derive(Clone, Debug)]
pub struct Writer {
    /// Where it writes.
    pub store: Arc<dyn ZoneStore>,
    /// Who it is.
    pub instance: u128,
    /// Its term.
    pub term: Term,
    /// Where it believes the head to be.
    pub at: Position,
}

impl Writer {
    /// Asks for the lease as `instance` with the term id `id`, knowing what the store shows.
    pub fn request(store: &dyn ZoneStore, ttl: Duration, instance: u128, id: u128) -> Acquire {
        let report = report(instance, Position::START);
        let known = ask(store.look(None)).term.epoch;
        Acquire {
            node: report.node,
            instance: report.instance,
            id: TermId(id),
            known,
            still: None,
            ttl,
        }
    }

    /// Takes the free lease of `store` as `instance`; the id of its term is that number too.
    pub fn elect(store: &Arc<dyn ZoneStore>, ttl: Duration, instance: u128) -> Self {
        let request = Self::request(&**store, ttl, instance, instance);
        let answer = ask(store.acquire(request));
        let Acquired::Granted(term) = answer else { panic!("the lease is free: {answer:?}") };
        let at = ask(store.look(None)).head.unwrap_or(Position::START);
        Self { store: Arc::clone(store), instance, term, at }
    }

    /// Ends the reign, and begins the next one of `instance`.
    pub fn succeed(&self, ttl: Duration, instance: u128) -> Self {
        ask(self.store.release(self.term));
        Self::elect(&self.store, ttl, instance)
    }

    /// Names the position `by` sequences after where the head is, in this term.
    pub fn next(&self, by: u64) -> Position {
        Position { term: self.term, sequence: Sequence(self.at.sequence.0 + by) }
    }

    /// Makes the next batch, with `update`.
    pub fn batch(&self, size: usize, update: HeadUpdate) -> Publish {
        let position = self.next(1);
        let after = u128::from(position.sequence.0) << 64 | position.term.id.0;
        Publish { term: self.term, entry: entry(self.at, position, after, size), update }
    }

    /// Publishes the next batch of `size` bytes, and moves on.
    pub fn publish(&mut self, size: usize) -> Entry {
        self.publish_with(size, HeadUpdate::default())
    }

    /// Publishes the next batch with `update`, and moves on.
    pub fn publish_with(&mut self, size: usize, update: HeadUpdate) -> Entry {
        let batch = self.batch(size, update);
        assert_eq!(self.try_publish(&batch), Ok(Written::Done));
        self.at = batch.entry.meta.position;
        batch.entry
    }

    /// Sends a batch once.
    pub fn try_publish(&self, batch: &Publish) -> Result<Written, StoreError> {
        block_on(self.store.publish(batch.clone()))
    }

    /// Writes the chunks of a snapshot at `position` without making it the head's.
    pub fn chunks(&self, position: Position, chunks: &[&[u8]]) -> Snapshot {
        assert_eq!(ask(self.store.begin_snapshot(self.term, position)), Written::Done);
        for (number, chunk) in (0..).zip(chunks) {
            let bytes = Bytes::from(*chunk);
            let answer = ask(self.store.put_chunk(self.term, position, number, bytes));
            assert_eq!(answer, Written::Done);
        }
        let bytes = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        Snapshot { position, chunks: chunks.len() as u32, bytes, hash: bytes.into() }
    }

    /// Makes a snapshot the head's.
    pub fn commit(&self, snapshot: Snapshot, from: Option<Position>) -> Written {
        let update = HeadUpdate::default();
        ask(self.store.commit_snapshot(CommitSnapshot { term: self.term, snapshot, from, update }))
    }

    /// Writes a snapshot of where the head stands, and makes it the head's.
    pub fn snapshot(&self, chunks: &[&[u8]]) -> Snapshot {
        let snapshot = self.chunks(self.at, chunks);
        assert_eq!(self.commit(snapshot, None), Written::Done);
        snapshot
    }

    /// Renews the lease.
    pub fn renew(&self, ttl: Duration) -> Renewed {
        let report = report(self.instance, self.at);
        ask(self.store.renew(Renew { term: self.term, acknowledged: self.at, ttl, report }))
    }

    /// Gives the head as the store shows it.
    pub fn head(&self) -> Arc<Head> {
        ask(self.store.read(Position::START, 0)).head.expect("there is a head")
    }

    /// Names a position that no store ever held: another reign of `epoch`, at `sequence`.
    pub fn elsewhere(epoch: u64, sequence: u64) -> Position {
        let term = Term { epoch: Epoch(epoch), id: TermId(0xe15e) };
        Position { term, sequence: Sequence(sequence) }
    }
}
