//! Writing: batches, snapshots, the head.

use std::sync::Arc;

use zonesync_core::bugs::{self, Bug};
use zonesync_core::digest::Digest;
use zonesync_core::format::Pushed;
use zonesync_core::format::batch::BatchWriter;
use zonesync_core::format::chunk::{ChunkWriter, SnapshotHash};
use zonesync_core::format::{Batch, BatchMeta, Filter, Snapshot};
use zonesync_core::history::TermList;
use zonesync_core::id::{EntityKey, Position, Term};
use zonesync_core::node::{Base, Held, Settled, Write};

use super::load::held_of;
use super::work::{InFlight, Work, change};
use crate::entity::Entity;
use crate::image::Kept;
use crate::state::Bulk;
use crate::store::{CommitSnapshot, Entry, HeadUpdate, Publish, StoreError, Written, ZoneStore};

/// How many entities of a first load are read at once.
const FILL_PART: usize = 2_000;

/// What the store made of a write, as the rules see it.
pub(super) fn outcome(written: Result<Written, StoreError>) -> (Write, Option<StoreError>) {
    match written {
        Ok(Written::Done) => (Write::Done, None),
        Ok(Written::Fenced) => (Write::Fenced, None),
        Ok(Written::Behind | Written::Ahead) => (Write::Lost, None),
        Err(error @ StoreError::Full) => (Write::Full, Some(error)),
        Err(error) => (Write::Failed, Some(error)),
    }
}

/// What a batch, or a write that ends a difference, does.
pub(super) struct Ending {
    pub(super) list: Option<TermList>,
    pub(super) settled: Settled,
    pub(super) filter: Filter,
}

impl Work {
    /// The parts of the head that move when all that is pending stands.
    fn last_update(&self, ending: &Ending, digest: Option<Digest>) -> HeadUpdate {
        HeadUpdate {
            digest,
            list: ending.list.clone(),
            source: Some(self.source),
            settled: ending.settled.to_vec(),
            filter: Some(ending.filter),
            guard: Some(self.guard.clone()),
            ..HeadUpdate::default()
        }
    }
}

/// Publishes the entry without changes that begins a term.
pub(super) async fn open(
    work: &mut Work,
    store: &dyn ZoneStore,
    (term, meta, format): (Term, BatchMeta, u16),
    update: HeadUpdate,
) -> Result<Written, StoreError> {
    let bytes = BatchWriter::in_format(format).finish(meta, None).into();
    let entry = Entry { meta, bytes };
    // A head that is there keeps its own, which may be that of the snapshot before.
    let makes_head = meta.previous == Position::START;
    let update = HeadUpdate { format: makes_head.then_some(format), ..update };
    let written = store.publish(Publish { term, entry, update }).await?;
    if written == Written::Done
        && let Some(staged) = &mut work.staged
    {
        staged.move_to(meta.position);
    }
    Ok(written)
}

/// Where a batch goes.
pub(super) struct Place {
    pub(super) term: Term,
    pub(super) position: Position,
    pub(super) previous: Position,
    pub(super) base: Base,
    pub(super) format: u16,
}

/// Publishes the next batch of what is pending and applies it to its base once it stands.
///
/// Gives the bytes of its record, how many changes are still pending, and the base's digest.
pub(super) async fn next_batch(
    work: &mut Work,
    store: &dyn ZoneStore,
    place: &Place,
    ending: Ending,
) -> (Result<Written, StoreError>, u64, usize, Digest) {
    let Place { term, position, base, .. } = *place;
    let same =
        |sent: &InFlight| sent.request.term == term && sent.request.entry.meta.position == position;
    if !work.in_flight.as_ref().is_some_and(same) {
        work.in_flight = Some(build(work, place, &ending));
    }
    let Some(sent) = &work.in_flight else { unreachable!("it was just built") };
    let request = sent.request.clone();
    let bytes = request.entry.bytes.len() as u64;
    let after = sent.after.clone();
    if bugs::planted(Bug::AppliesBeforeAcknowledgement) {
        apply(work, &request.entry, position, base);
    }
    let written = store.publish(request).await;
    let applies = match written {
        Ok(Written::Done) => true,
        Ok(Written::Fenced) => bugs::planted(Bug::StepDownKeepsWriting),
        _ => false,
    };
    if applies {
        let Some(sent) = work.in_flight.take() else { unreachable!("it was just sent") };
        apply(work, &sent.request.entry, position, base);
        work.pending.drain(..sent.changes);
        tracing::debug!(%position, changes = sent.changes, bytes, "publish: batch");
    }
    (written, bytes, work.pending.len(), after)
}

/// Gathers pending changes into a record. They stay pending until it stands.
fn build(work: &Work, place: &Place, ending: &Ending) -> InFlight {
    let Place { term, position, previous, base, format } = *place;
    let view = work.writer.view();
    let before = match (base, &work.staged) {
        (Base::Staged, Some(staged)) => staged.view().digest().clone(),
        _ => view.digest().clone(),
    };
    let mut after = before.clone();
    let mut batch = BatchWriter::in_format(format);
    let mut changes = 0;
    for pending in &work.pending {
        if changes == 1 && bugs::planted(Bug::SourceAheadOfData) {
            break;
        }
        let key = pending.key.as_ref();
        let old = Work::payload(base, &view, work.staged.as_ref(), key);
        if let Some(change) = change(&work.key, key, old, pending.payload.as_deref()) {
            match batch.push(&change) {
                Ok(Pushed::Taken) => after.change(key.kind, change.replaces, change.version),
                Ok(Pushed::Full) => break,
                // Not said which: a key may be a secret.
                Err(error) => tracing::error!(kind = %key.kind, %error, "not published"),
            }
        }
        changes += 1;
    }
    let (before, fingerprint) = (before.fingerprint(), after.fingerprint());
    let meta = BatchMeta { position, previous, before, after: fingerprint };
    let last = changes == work.pending.len();
    let list = if last { ending.list.as_ref() } else { None };
    let bytes = batch.finish(meta, list).into();
    let update = if last {
        work.last_update(ending, Some(after.clone()))
    } else {
        let source = bugs::planted(Bug::SourceAheadOfData).then_some(work.source);
        HeadUpdate { digest: Some(after.clone()), source, ..HeadUpdate::default() }
    };
    InFlight { request: Publish { term, entry: Entry { meta, bytes }, update }, changes, after }
}

fn apply(work: &mut Work, entry: &Entry, position: Position, base: Base) {
    let batch = match Batch::decode(&entry.bytes) {
        Ok(batch) => batch,
        Err(error) => unreachable!("a record of our own making: {error}"),
    };
    match (base, &mut work.staged) {
        (Base::Staged, Some(staged)) => staged.apply(position, batch.changes()),
        _ => {
            work.writer.apply(position, &mut batch.changes());
            work.kept.push(Kept::Batch(entry.meta, entry.bytes.clone()));
        }
    }
}

/// Changes the head without a batch.
pub(super) async fn write_head(
    work: &Work,
    store: &dyn ZoneStore,
    term: Term,
    at: Position,
    ending: Ending,
) -> Result<Written, StoreError> {
    store.write_head(term, at, work.last_update(&ending, None)).await
}

/// What a snapshot is to do.
pub(super) struct Packing {
    pub(super) term: Term,
    pub(super) position: Position,
    pub(super) from: Option<Position>,
    pub(super) pending: bool,
    pub(super) format: u16,
}

/// Writes a snapshot, chunks first, head last. Gives its bytes and, for one that fills the store,
/// what it holds.
pub(super) async fn snapshot(
    work: &mut Work,
    store: &dyn ZoneStore,
    packing: &Packing,
    ending: Ending,
) -> Result<(Written, u64, Option<Held>), StoreError> {
    let Packing { term, position, from, pending, format } = *packing;
    let begun = store.begin_snapshot(term, position).await?;
    if begun != Written::Done {
        return Ok((begun, 0, None));
    }
    let view = work.writer.view();
    let mut chunks = Chunks::new(store, (term, format), position);
    let mut digest = Digest::EMPTY;
    let mut stored = Written::Done;
    if pending {
        for Entity { key, payload } in &work.first {
            let key = key.as_ref();
            digest.add(key.kind, work.key.version(key, payload));
            stored = chunks.push(key, payload).await?;
            if stored != Written::Done {
                break;
            }
        }
    } else {
        digest = view.digest().clone();
        // Collected, since the walk over a view must not be held across an await.
        let entities: Vec<_> = view.sorted().collect();
        for (key, payload) in entities {
            stored = chunks.push(key, payload).await?;
            if stored != Written::Done {
                break;
            }
        }
    }
    if stored == Written::Done {
        stored = chunks.finish().await?;
    }
    if stored != Written::Done {
        return Ok((stored, 0, None));
    }
    let snapshot = chunks.snapshot();
    let list = ending.list.clone().unwrap_or_default();
    let update = match from {
        Some(_) => work.last_update(&ending, Some(digest)),
        None => HeadUpdate::default(),
    };
    let update = HeadUpdate { format: Some(format), ..update };
    let bytes = snapshot.bytes;
    let written = store.commit_snapshot(CommitSnapshot { term, snapshot, from, update }).await?;
    if written == Written::Done && pending {
        fill(work, position);
        work.kept.push(Kept::Anew);
    }
    if written == Written::Done {
        let entities = work.writer.view().digest().count();
        tracing::info!(%position, entities, bytes, "publish: snapshot");
    }
    let held = from.map(|_| held_of(&work.writer.view(), position, list, work.source));
    Ok((written, bytes, held))
}

/// Fills the own state, which is empty, with what a first load has put into the store.
fn fill(work: &mut Work, position: Position) {
    let entities = std::mem::take(&mut work.first);
    let mut bulk = Bulk::new(work.key);
    let parts: Vec<_> = entities.chunks(FILL_PART).collect();
    bulk.add_all(&parts, |reader, part| {
        reader.read(part.iter().map(|entity| (entity.key.as_ref(), &*entity.payload)))
    });
    match bulk.finish(position) {
        Ok(loaded) => work.writer.replace(loaded),
        // Of rows that give one entity the last counts.
        Err(twice) => {
            tracing::error!(%twice, "a reading of the repository");
            let mut changes = entities.iter().filter_map(|entity| {
                change(&work.key, entity.key.as_ref(), None, Some(&entity.payload))
            });
            work.writer.apply(position, &mut changes);
        }
    }
}

/// Cuts entities into chunks and stores each as it is full.
struct Chunks<'a> {
    store: &'a dyn ZoneStore,
    term: Term,
    format: u16,
    writer: Option<ChunkWriter>,
    hash: SnapshotHash,
    snapshot: Snapshot,
}

impl<'a> Chunks<'a> {
    fn new(store: &'a dyn ZoneStore, (term, format): (Term, u16), position: Position) -> Self {
        let snapshot = Snapshot { position, chunks: 0, bytes: 0, hash: 0 };
        let writer = Some(ChunkWriter::in_format(format, position, 0));
        Self { store, term, format, writer, hash: SnapshotHash::new(), snapshot }
    }

    async fn push(&mut self, key: EntityKey<'_>, payload: &[u8]) -> Result<Written, StoreError> {
        let Some(writer) = &mut self.writer else { return Ok(Written::Done) };
        match writer.push(key, payload) {
            Ok(Pushed::Taken) => return Ok(Written::Done),
            Ok(Pushed::Full) => {}
            Err(error) => {
                tracing::error!(kind = %key.kind, %error, "not put into a snapshot");
                return Ok(Written::Done);
            }
        }
        let written = self.finish().await?;
        let Snapshot { position, chunks, .. } = self.snapshot;
        let mut writer = ChunkWriter::in_format(self.format, position, chunks);
        // The first entity is always taken.
        let _ = writer.push(key, payload);
        self.writer = Some(writer);
        Ok(written)
    }

    async fn finish(&mut self) -> Result<Written, StoreError> {
        let Some(writer) = self.writer.take().filter(|writer| !writer.is_empty()) else {
            return Ok(Written::Done);
        };
        let bytes: Arc<[u8]> = writer.finish().into();
        self.hash.add(&bytes);
        let number = self.snapshot.chunks;
        self.snapshot.chunks += 1;
        self.snapshot.bytes += bytes.len() as u64;
        let mut written =
            self.store.put_chunk(self.term, self.snapshot.position, number, bytes).await;
        if bugs::planted(Bug::CommitWithoutChunks) {
            written = written.or(Ok(Written::Done));
        }
        // A store that answers at once must not keep a thread from the lease.
        futures_lite::future::yield_now().await;
        written
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot { hash: self.hash.finish(), ..self.snapshot }
    }
}
