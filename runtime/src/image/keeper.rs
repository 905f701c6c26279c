//! Keeps the image: what the driver hands over is written by a task of its own.
//!
//! The driver never waits for the disk. It hands over each batch that was applied, and a head
//! whenever something besides moved; after a load it hands over the whole state. The task gathers
//! what waits into one frame, and packs a new image when the journal has outgrown a quarter of its
//! snapshot. While it packs, what comes meanwhile goes into the old image, too: so that one loses
//! nothing if the new one never stands.

use std::sync::Arc;

use async_channel::Receiver;
use zonesync_core::format::{Batch, BatchMeta, FormatRange, Head};
use zonesync_core::id::Position;
use zonesync_core::time::{Duration, WallTime};

use super::format::Identity;
use super::load::{self, Loaded};
use super::queue::{Entry, Job, Queue};
use super::scribe::Scribe;
use super::{Disk, ImageError};
use crate::driver::Board;
use crate::runtime::Runtime;
use crate::state::Writer;
use crate::store::Bytes;

/// How often a quiet image is told that it is still the newest state.
const SEEN_EVERY: Duration = Duration::from_secs(60);

/// A disk that has not given the image by then is left alone, and the node starts without.
const READ_MAX: Duration = Duration::from_secs(60);

/// What became of the own state, as far as the image must know.
#[derive(Clone, Debug)]
pub(crate) enum Kept {
    /// This batch was applied.
    Batch(BatchMeta, Bytes),
    /// It is another one: loaded, or read in full.
    Anew,
}

/// The driver's side of the image.
pub(crate) struct Keeper {
    disk: Arc<dyn Disk>,
    own: Identity,
    runtime: Arc<dyn Runtime>,
    board: Arc<Board>,
    queue: Arc<Queue>,
    /// Where the image ends once all that was handed over is written. Boxed, for it is large and is
    /// compared after each step.
    last: Option<Box<Head>>,
    /// When the state was last known to be the zone's newest, and when the image was told.
    known_at: WallTime,
    told_at: WallTime,
    flushed: Option<Receiver<()>>,
}

impl Keeper {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        own: Identity,
        runtime: Arc<dyn Runtime>,
        board: Arc<Board>,
    ) -> Self {
        Self {
            disk,
            own,
            runtime,
            board,
            queue: Arc::new(Queue::new()),
            last: None,
            known_at: WallTime::default(),
            told_at: WallTime::default(),
            flushed: None,
        }
    }

    /// Reads the image into an empty state, and begins to keep it. An image that cannot be used is
    /// set aside, and the node starts without.
    pub(crate) async fn load(&mut self, writer: &mut Writer) -> Option<Loaded> {
        let place = self.disk.place();
        let late = async {
            self.runtime.sleep(READ_MAX).await;
            Err(ImageError::Disk(std::io::ErrorKind::TimedOut.into()))
        };
        let read = load::load(&*self.disk, &self.own, writer);
        let (loaded, error) = match futures_lite::future::or(read, late).await {
            Ok(loaded) => (loaded, None),
            Err(error) => (None, Some(error)),
        };
        let mut scribe = Scribe::new(
            self.disk.clone(),
            self.own.clone(),
            self.runtime.clone(),
            self.board.clone(),
            self.queue.clone(),
        );
        if let Some(error) = error {
            tracing::warn!(place, %error, "image: not used");
            scribe.post(|image| image.error = Some(error.to_string()));
            if error.is_of_file() {
                scribe.set_aside().await;
            }
        }
        if let Some(loaded) = &loaded {
            let (position, entities) = (loaded.head.position(), loaded.head.digest.count());
            tracing::info!(place, %position, entities, "image: read");
            self.last = Some(Box::new(loaded.head.clone()));
            self.known_at = loaded.at;
            scribe.go_on(loaded);
        }
        let (done, flushed) = async_channel::bounded::<()>(1);
        self.flushed = Some(flushed);
        self.runtime.spawn(Box::pin(async move {
            scribe.run().await;
            drop(done);
        }));
        loaded
    }

    /// Hands over what became of the state since the last call. `end` is where it stands now, and
    /// `in_sync` whether that is the zone's newest.
    pub(crate) fn keep(
        &mut self,
        writer: &Writer,
        kept: &mut Vec<Kept>,
        end: Box<Head>,
        in_sync: bool,
    ) {
        let now = self.runtime.wall_now();
        if in_sync {
            self.known_at = now;
        }
        let (wanted, lost) = self.queue.wants();
        let anew = kept.iter().any(|kept| matches!(kept, Kept::Anew));
        if anew {
            self.last = None;
        }
        // What does not follow from what is there must not come behind it.
        let last = self.last.take_if(|last| !lost && leads(last, kept, &end));
        let continues = last.is_some();
        match last {
            Some(last) => self.add(last, kept, &end, in_sync, now),
            None => kept.clear(),
        }
        if wanted || (!lost && !continues) {
            self.pack(writer, end, continues);
        } else if continues {
            self.last = Some(end);
        }
    }

    /// Adds to the journal what leads from `last` to `end`.
    fn add(
        &mut self,
        mut last: Box<Head>,
        kept: &mut Vec<Kept>,
        end: &Head,
        in_sync: bool,
        now: WallTime,
    ) {
        for kept in kept.drain(..) {
            if let Kept::Batch(meta, bytes) = kept {
                last.list.advance(meta.position);
                self.push(Some(for_all_versions(bytes)), meta.position);
            }
        }
        last.digest.clone_from(&end.digest);
        let quiet = now.as_millis().saturating_sub(self.told_at.as_millis()).unsigned_abs();
        if *last != *end {
            self.push(Some(end.encode().into()), end.position());
        } else if in_sync && u128::from(quiet) >= SEEN_EVERY.as_millis() {
            self.push(None, end.position());
        }
    }

    fn push(&mut self, record: Option<Bytes>, position: Position) {
        self.told_at = self.known_at;
        self.queue.push(Entry { record, position, at: self.known_at });
    }

    /// Asks for a snapshot of what is held now.
    fn pack(&mut self, writer: &Writer, end: Box<Head>, continues: bool) {
        let view = writer.view();
        if (view.position(), view.digest()) != (end.position(), &end.digest) {
            tracing::error!(position = %end.position(), "image: not written, for the state is another");
            return;
        }
        self.told_at = self.known_at;
        self.last = Some(end.clone());
        self.queue.push_snapshot(Job { view, head: *end, at: self.known_at, continues });
    }

    /// Forgets what the image holds: the next state is another.
    pub(crate) fn begin_anew(&mut self) {
        self.last = None;
    }

    /// Waits until all that was handed over is written, and ends.
    pub(crate) async fn close(&mut self) {
        self.queue.close();
        if let Some(flushed) = self.flushed.take() {
            // Says so by going.
            let _ = flushed.recv().await;
        }
    }
}

/// Gives a batch in the oldest format, in which the rest of an image is, too: a node whose version is
/// rolled back must find what it was sure to keep.
fn for_all_versions(bytes: Bytes) -> Bytes {
    let oldest = FormatRange::KNOWN.oldest;
    let newer = Batch::decode(&bytes).ok().filter(|batch| batch.format() > oldest);
    newer.and_then(|batch| batch.rewritten(oldest)).map_or(bytes, Bytes::from)
}

/// Says whether the batches lead from one state to the other, position by position.
fn leads(last: &Head, kept: &[Kept], end: &Head) -> bool {
    if kept.is_empty() {
        return last.digest == end.digest;
    }
    let mut at = (last.position(), last.digest.fingerprint());
    let follow = kept.iter().all(|kept| match kept {
        Kept::Batch(meta, _) => {
            let follows = (meta.previous, meta.before) == at;
            at = (meta.position, meta.after);
            follows
        }
        Kept::Anew => false,
    });
    follow && at.1 == end.digest.fingerprint()
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.queue.cut();
    }
}
