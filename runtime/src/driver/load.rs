//! Reading: the log, snapshots, and what is done with them.

use async_channel::Receiver;
use zonesync_core::bugs::{self, Bug};
use zonesync_core::diff;
use zonesync_core::digest::{Digest, DigestKey};
use zonesync_core::entity::{Action, Version};
use zonesync_core::format::chunk::Chunk;
use zonesync_core::format::chunk::SnapshotHash;
use zonesync_core::format::{Batch, BatchMeta, FormatRange, Head, Snapshot, Source};
use zonesync_core::history::TermList;
use zonesync_core::id::{EntityKey, Epoch, Position};
use zonesync_core::node::Held;

use super::work::{Staged, Work, change};
use crate::image::Kept;
use crate::runtime::Runtime;
use crate::state::{Bulk, BulkPart, BulkReader, View, Writer};
use crate::store::{Entry, StoreError, ZoneStore};

/// The most bytes of log that one read asks for.
pub(super) const READ_BYTES_MAX: usize = 8 << 20;

/// How often the log is read on after a snapshot before the load is given up.
const READS_MAX: usize = 10_000;

/// How many chunks may be under way between the store and the state that is made of them.
const READING_MAX: usize = 8;

/// Why a state could not be loaded or an entry not be applied.
#[derive(Debug)]
pub(super) enum LoadError {
    Store(StoreError),
    /// A chunk or a place in the log is gone; a newer snapshot will be there.
    Gone(&'static str),
    /// What the store holds is not what was announced.
    Bad(String),
}

impl From<StoreError> for LoadError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Gone(what) => write!(f, "{what} is gone; a newer snapshot takes its place"),
            Self::Bad(why) => f.write_str(why),
        }
    }
}

/// Verifies the first `count` entries that were read and applies them to the own state, one by one.
///
/// Gives how many were applied and the state after them; an entry that does not verify ends the walk
/// with an error, and nothing of it is applied.
pub(super) fn apply(
    work: &mut Work,
    count: usize,
    mut held: Held,
    formats: FormatRange,
) -> (u64, Held, Option<LoadError>) {
    let mut entries = std::mem::take(&mut work.entries);
    entries.truncate(count);
    if bugs::planted(Bug::ApplyOutOfOrder) {
        entries.reverse();
    }
    let mut applied = 0;
    for entry in &entries {
        let changes = match apply_one(work, entry, &mut held, formats) {
            Ok(changes) => changes,
            Err(error) => return (applied, held, Some(error)),
        };
        let (position, bytes) = (entry.meta.position, entry.bytes.len());
        work.kept.push(Kept::Batch(entry.meta, entry.bytes.clone()));
        tracing::debug!(%position, changes, bytes, "apply: entry");
        applied += 1;
    }
    (applied, held, None)
}

fn apply_one(
    work: &mut Work,
    Entry { meta, bytes }: &Entry,
    held: &mut Held,
    formats: FormatRange,
) -> Result<usize, LoadError> {
    let batch = decode(bytes, *meta, formats)?;
    let view = work.writer.view();
    let after = digest_after(&work.key, view.digest(), &batch, |key| view.get(key))?;
    drop(view);
    let cut = batch.len() > 1 && bugs::planted(Bug::BatchCutShort);
    let count = if cut { batch.len() - 1 } else { batch.len() };
    work.writer.apply(meta.position, &mut batch.changes().take(count));
    follow(held, &batch, after);
    Ok(batch.len())
}

fn decode(bytes: &[u8], meta: BatchMeta, formats: FormatRange) -> Result<Batch<'_>, LoadError> {
    let batch = Batch::decode_within(bytes, formats)
        .map_err(|error| LoadError::Bad(format!("entry {}: {error}", meta.position)))?;
    if *batch.meta() != meta {
        return Err(LoadError::Bad(format!("entry {} speaks of another", meta.position)));
    }
    Ok(batch)
}

/// Works out the digest after a batch from what is held, and checks it against what the batch says.
fn digest_after<'a>(
    key: &DigestKey,
    before: &Digest,
    batch: &Batch<'_>,
    get: impl Fn(EntityKey<'_>) -> Option<&'a [u8]>,
) -> Result<Digest, LoadError> {
    let mut digest = before.clone();
    for change in batch.changes() {
        let held = get(change.key).map(|payload| key.version(change.key, payload));
        let version = match change.action {
            Action::Deploy { payload } => Some(key.version(change.key, payload)),
            Action::Undeploy => None,
        };
        digest.change(change.key.kind, held, version);
    }
    let meta = batch.meta();
    if digest.fingerprint() == meta.after
        || is_unverified()
        || bugs::planted(Bug::DigestNotCompared)
    {
        return Ok(digest);
    }
    Err(LoadError::Bad(format!("entry {} leads to another state than it says", meta.position)))
}

/// Bugs that need a state that nobody verifies.
fn is_unverified() -> bool {
    bugs::planted(Bug::ApplyOutOfOrder)
        || bugs::planted(Bug::SkipGap)
        || bugs::planted(Bug::SnapshotHalfRead)
}

fn follow(held: &mut Held, batch: &Batch<'_>, after: Digest) {
    held.position = batch.meta().position;
    held.digest = after;
    match batch.list() {
        Some(list) => held.list = list.clone(),
        None => held.list.advance(held.position),
    }
}

/// Loads a snapshot and the log after it, up to a head that was read with the last of the log. Gives
/// the newest epoch that the store had given then, too.
pub(super) async fn load(
    work: &mut Work,
    store: &dyn ZoneStore,
    runtime: &dyn Runtime,
    snapshot: Snapshot,
    formats: FormatRange,
) -> Result<(Epoch, Head, Held), LoadError> {
    let loaded = load_snapshot(work.key, store, runtime, snapshot, formats).await?;
    let mut staged = Staged::new(loaded, Source::default());
    for _ in 0..READS_MAX {
        let log = store.read(staged.view().position(), READ_BYTES_MAX).await?;
        let head = log.head.ok_or(LoadError::Gone("the head"))?;
        if log.gap {
            return Err(LoadError::Gone("the log after the snapshot"));
        }
        for entry in &log.entries {
            let batch = decode(&entry.bytes, entry.meta, formats)?;
            let builds_on = (entry.meta.previous, entry.meta.before);
            let view = staged.view();
            let here = (view.position(), view.digest().fingerprint());
            if builds_on != here && !is_unverified() {
                return Err(LoadError::Bad(format!("entry {} has a gap", entry.meta.position)));
            }
            digest_after(&work.key, view.digest(), &batch, |key| view.get(key))?;
            staged.apply(entry.meta.position, batch.changes());
        }
        let (position, digest) = (staged.view().position(), staged.view().digest());
        if position == head.position() {
            let held = Held {
                position,
                list: head.list.clone(),
                digest: match bugs::planted(Bug::SnapshotHalfRead) {
                    true => head.digest.clone(),
                    false => digest.clone(),
                },
                source: head.source,
            };
            work.seen = Some(head.clone());
            work.zone = Some((head.incarnation, head.filter));
            staged.source = head.source;
            work.staged = Some(staged);
            return Ok((log.term.epoch, Head::clone(&head), held));
        }
        futures_lite::future::yield_now().await;
    }
    Err(LoadError::Gone("the end of the log"))
}

/// Loads a snapshot by itself. While chunks come from the store, those that are there are read.
async fn load_snapshot(
    key: DigestKey,
    store: &dyn ZoneStore,
    runtime: &dyn Runtime,
    snapshot: Snapshot,
    formats: FormatRange,
) -> Result<Writer, LoadError> {
    let mut bulk = Bulk::new(key);
    let mut hash = SnapshotHash::new();
    let (done, parts) = async_channel::bounded(READING_MAX);
    let mut reading = 0;
    for number in 0..snapshot.chunks {
        let bytes = match store.chunk(snapshot.position, number).await {
            Ok(Some(bytes)) => bytes,
            _ if bugs::planted(Bug::SnapshotHalfRead) => continue,
            answer => answer?.ok_or(LoadError::Gone("a chunk"))?,
        };
        hash.add(&bytes);
        let (reader, position) = (bulk.reader(), snapshot.position);
        if snapshot.chunks == 1 {
            // Not worth a task.
            bulk.add(read_chunk(&bytes, position, number, formats, &reader)?);
        } else {
            if reading == READING_MAX {
                take_part(&mut bulk, &parts).await?;
                reading -= 1;
            }
            let done = done.clone();
            runtime.spawn(Box::pin(async move {
                let part = read_chunk(&bytes, position, number, formats, &reader);
                // Whoever has given up by now needs it no more.
                let _ = done.send(part).await;
            }));
            reading += 1;
        }
        futures_lite::future::yield_now().await;
    }
    drop(done);
    for _ in 0..reading {
        take_part(&mut bulk, &parts).await?;
    }
    if hash.finish() != snapshot.hash && !is_unverified() {
        return Err(LoadError::Bad(format!("the chunks of {} do not agree", snapshot.position)));
    }
    let bad = |twice| LoadError::Bad(format!("the snapshot {}: {twice}", snapshot.position));
    bulk.finish(snapshot.position).map_err(bad)
}

async fn take_part(
    bulk: &mut Bulk,
    parts: &Receiver<Result<BulkPart, LoadError>>,
) -> Result<(), LoadError> {
    // The host may drop tasks when it ends.
    bulk.add(parts.recv().await.map_err(|_| LoadError::Gone("a task"))??);
    Ok(())
}

/// Checks and reads one chunk.
fn read_chunk(
    bytes: &[u8],
    position: Position,
    number: u32,
    formats: FormatRange,
    reader: &BulkReader,
) -> Result<BulkPart, LoadError> {
    let chunk = Chunk::decode_within(bytes, formats)
        .map_err(|error| LoadError::Bad(format!("chunk {number} of {position}: {error}")))?;
    if chunk.position() != position || chunk.number() != number {
        return Err(LoadError::Bad(format!("chunk {number} belongs elsewhere")));
    }
    Ok(reader.read(chunk.entities()))
}

/// Turns the own state into the staged one as one step.
pub(super) fn install(work: &mut Work) -> Result<(), LoadError> {
    let Some(mut staged) = work.staged.take() else {
        return Err(LoadError::Gone("the staged state"));
    };
    let position = staged.view().position();
    if bugs::planted(Bug::GhostKept) {
        let (old, new) = (work.writer.view(), staged.view().clone());
        let ghosts = old.sorted().filter(|(key, _)| new.get(*key).is_none());
        staged.apply(
            position,
            ghosts.filter_map(|(key, payload)| change(&work.key, key, None, Some(payload))),
        );
    }
    let entities = staged.view().digest().count();
    work.writer.replace(staged.into_writer());
    work.kept.push(Kept::Anew);
    tracing::info!(%position, entities, "heal: snapshot installed");
    Ok(())
}

/// Empties the own state as one step.
pub(super) fn forget(work: &mut Work) {
    let view = work.writer.view();
    let hash = work.key;
    let mut changes =
        view.sorted().filter_map(|(key, payload)| change(&hash, key, Some(payload), None));
    work.writer.apply(Position::START, &mut changes);
    work.guard = Default::default();
    tracing::info!("image: forgotten, since it may not be published");
}

/// An entity of a sorted state, for the merge.
pub(super) struct Sorted<'a> {
    pub(super) key: EntityKey<'a>,
    pub(super) payload: &'a [u8],
    pub(super) hash: &'a DigestKey,
}

impl<'a> diff::Item for Sorted<'a> {
    type Key = EntityKey<'a>;

    fn key(&self) -> EntityKey<'a> {
        self.key
    }

    fn version(&self) -> Version {
        self.hash.version(self.key, self.payload)
    }
}

/// Gives the state that a view holds, under a list.
pub(super) fn held_of(view: &View, position: Position, list: TermList, source: Source) -> Held {
    Held { position, list, digest: view.digest().clone(), source }
}
