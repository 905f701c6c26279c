//! Reading: the log, snapshots, and what is done with them.

use zonesync_core::bugs::{self, Bug};
use zonesync_core::diff::{self, Difference};
use zonesync_core::digest::{Digest, DigestKey};
use zonesync_core::entity::{Action, Version};
use zonesync_core::format::chunk::Chunk;
use zonesync_core::format::chunk::SnapshotHash;
use zonesync_core::format::{Batch, BatchMeta, Head, Snapshot};
use zonesync_core::history::TermList;
use zonesync_core::id::{EntityKey, Epoch, Position};
use zonesync_core::node::Held;

use super::work::{Staged, Work, change};
use crate::image::Kept;
use crate::state::View;
use crate::store::{StoreError, ZoneStore};

/// The most bytes of log that one read asks for.
pub(super) const READ_BYTES_MAX: usize = 8 << 20;

/// How often the log is read on after a snapshot before the load is given up.
const READS_MAX: usize = 10_000;

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
) -> (u64, Held, Option<LoadError>) {
    let mut entries = std::mem::take(&mut work.entries);
    entries.truncate(count);
    if bugs::planted(Bug::ApplyOutOfOrder) {
        entries.reverse();
    }
    let mut applied = 0;
    for entry in &entries {
        let changes = match apply_one(work, &entry.bytes, entry.meta, &mut held) {
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
    bytes: &[u8],
    meta: BatchMeta,
    held: &mut Held,
) -> Result<usize, LoadError> {
    let batch = decode(bytes, meta)?;
    let view = work.writer.view();
    let after = digest_after(&work.key, view.digest(), &batch, |key| view.get(key))?;
    drop(view);
    let cut = batch.len() > 1 && bugs::planted(Bug::BatchCutShort);
    let count = if cut { batch.len() - 1 } else { batch.len() };
    work.writer.apply(meta.position, &mut batch.changes().take(count));
    follow(held, &batch, after);
    Ok(batch.len())
}

fn decode(bytes: &[u8], meta: BatchMeta) -> Result<Batch<'_>, LoadError> {
    let batch = Batch::decode(bytes)
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
    snapshot: Snapshot,
) -> Result<(Epoch, Head, Held), LoadError> {
    let mut staged = Staged::at(snapshot.position);
    let mut hash = SnapshotHash::new();
    for number in 0..snapshot.chunks {
        let bytes = match store.chunk(snapshot.position, number).await {
            Ok(Some(bytes)) => bytes,
            _ if bugs::planted(Bug::SnapshotHalfRead) => continue,
            answer => answer?.ok_or(LoadError::Gone("a chunk"))?,
        };
        let bad =
            |error| LoadError::Bad(format!("chunk {number} of {}: {error}", snapshot.position));
        let chunk = Chunk::decode(&bytes).map_err(bad)?;
        if chunk.position() != snapshot.position || chunk.number() != number {
            return Err(LoadError::Bad(format!("chunk {number} belongs elsewhere")));
        }
        hash.add(&bytes);
        for (key, payload) in chunk.entities() {
            staged.insert(key, payload.into(), &work.key);
        }
        futures_lite::future::yield_now().await;
    }
    if hash.finish() != snapshot.hash && !is_unverified() {
        return Err(LoadError::Bad(format!("the chunks of {} do not agree", snapshot.position)));
    }
    for _ in 0..READS_MAX {
        let log = store.read(staged.position, READ_BYTES_MAX).await?;
        let head = log.head.ok_or(LoadError::Gone("the head"))?;
        if log.gap {
            return Err(LoadError::Gone("the log after the snapshot"));
        }
        for entry in &log.entries {
            let batch = decode(&entry.bytes, entry.meta)?;
            let builds_on = (entry.meta.previous, entry.meta.before);
            if builds_on != (staged.position, staged.digest.fingerprint()) && !is_unverified() {
                return Err(LoadError::Bad(format!("entry {} has a gap", entry.meta.position)));
            }
            digest_after(&work.key, &staged.digest, &batch, |key| staged.get(key))?;
            staged.apply(entry.meta.position, batch.changes(), &work.key);
        }
        if staged.position == head.position() {
            let held = Held {
                position: staged.position,
                list: head.list.clone(),
                digest: match bugs::planted(Bug::SnapshotHalfRead) {
                    true => head.digest.clone(),
                    false => staged.digest.clone(),
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

/// Turns the own state into the staged one as one step.
pub(super) fn install(work: &mut Work) -> Result<(), LoadError> {
    let Some(staged) = work.staged.take() else {
        return Err(LoadError::Gone("the staged state"));
    };
    let view = work.writer.view();
    let hash = work.key;
    let mut changes = Vec::new();
    let old = view.sorted().map(|(key, payload)| Sorted { key, payload, hash: &hash });
    let new = staged.sorted().map(|(key, payload)| Sorted { key, payload, hash: &hash });
    for difference in diff::merge(old, new) {
        let difference = difference.map_err(|error| LoadError::Bad(error.to_string()))?;
        let (key, from, to) = match difference {
            Difference::Added(new) => (new.key, None, Some(new.payload)),
            Difference::Changed(old, new) => (new.key, Some(old.payload), Some(new.payload)),
            Difference::Removed(_) if bugs::planted(Bug::GhostKept) => continue,
            Difference::Removed(old) => (old.key, Some(old.payload), None),
        };
        changes.extend(change(&hash, key, from, to));
    }
    let (position, changes_count) = (staged.position, changes.len());
    work.writer.apply(position, &mut changes.into_iter());
    work.kept.push(Kept::Anew);
    tracing::info!(%position, changes = changes_count, "heal: snapshot installed");
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
pub(super) fn held_of(
    view: &View,
    position: Position,
    list: TermList,
    source: zonesync_core::format::Source,
) -> Held {
    Held { position, list, digest: view.digest().clone(), source }
}
