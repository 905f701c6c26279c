//! The task that writes: appends frames to the image that stands, and packs new ones.
//!
//! After an error nothing is appended any more, since something is missing before it; the image that
//! stands stays as it is, an older state of the zone. A while later a new one is packed.

use std::io;
use std::sync::Arc;

use zonesync_core::bugs::{self, Bug};
use zonesync_core::time::Duration;

use super::Disk;
use super::encode::Encoder;
use super::format::Identity;
use super::load::{Loaded, Stands};
use super::pack::Packing;
use super::queue::{Entry, Job, Next, Queue};
use crate::driver::Board;
use crate::runtime::Runtime;
use crate::status;

/// A journal smaller than this is not worth a new snapshot.
const JOURNAL_MIN: usize = 1 << 20;

/// The most bytes of records that go into the old image and the new one while that is packed.
const TAIL_MAX: usize = 64 << 20;

/// How long a disk that failed is left alone.
const RETRY: Duration = Duration::from_secs(10);

pub(super) struct Scribe {
    disk: Arc<dyn Disk>,
    own: Identity,
    runtime: Arc<dyn Runtime>,
    board: Arc<Board>,
    queue: Arc<Queue>,
    /// The image that stands, if it is known and whole.
    stands: Option<Stands>,
    /// One stands that cannot be used and must not be deleted.
    aside_due: bool,
}

impl Scribe {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        own: Identity,
        runtime: Arc<dyn Runtime>,
        board: Arc<Board>,
        queue: Arc<Queue>,
    ) -> Self {
        let scribe = Self { disk, own, runtime, board, queue, stands: None, aside_due: false };
        let place = scribe.disk.place();
        scribe.board.facts().image = Some(status::Image { place, ..status::Image::default() });
        scribe
    }

    /// Changes what the status says of the image.
    pub(super) fn post(&self, change: impl FnOnce(&mut status::Image)) {
        if let Some(image) = &mut self.board.facts().image {
            change(image);
        }
    }

    /// Goes on with an image that was read.
    pub(super) fn go_on(&mut self, loaded: &Loaded) {
        self.stands = Some(loaded.stands.clone());
        self.post(|image| {
            image.position = Some(loaded.head.position());
            image.at = Some(loaded.at);
        });
        self.post_size();
    }

    /// Takes an image out of the way that cannot be used.
    pub(super) async fn set_aside(&mut self) {
        self.aside_due = true;
        if let Err(error) = self.try_set_aside().await {
            self.tell(&error);
        }
    }

    async fn try_set_aside(&mut self) -> io::Result<()> {
        if self.aside_due {
            let aside = self.disk.set_aside().await?;
            tracing::warn!(aside, "image: the unusable one is kept here");
            self.aside_due = false;
        }
        Ok(())
    }

    /// Writes what the queue gives until that ends.
    pub(super) async fn run(mut self) {
        loop {
            let written = match self.queue.next().await {
                Next::Group(group) => self.append(&group).await,
                Next::Snapshot(job) => self.pack(*job).await,
                Next::End => return,
            };
            if let Err(error) = written {
                self.tell(&error);
                // What waits is left out from here on, up to the next snapshot.
                self.stands = None;
                let (rest, ended) = (self.runtime.sleep(RETRY), self.queue.ended());
                futures_lite::future::or(rest, ended).await;
                self.queue.want();
            }
        }
    }

    fn tell(&self, error: &io::Error) {
        let place = self.disk.place();
        tracing::warn!(place, %error, "image: not written");
        self.post(|image| image.error = Some(error.to_string()));
    }

    /// Adds records to the image that stands, as one frame. Where none does, they are left out.
    async fn append(&mut self, group: &[Entry]) -> io::Result<()> {
        let (Some(stands), Some(last)) = (&mut self.stands, group.last()) else { return Ok(()) };
        let at = stands.encoder.len();
        let frame = frame(&mut stands.encoder, group);
        if bugs::planted(Bug::SafeTooSoon) {
            self.post(|image| image.position = Some(last.position));
        }
        self.disk.append(at as u64, frame).await?;
        self.post(|image| {
            (image.position, image.at) = (Some(last.position), Some(last.at));
            image.error = None;
        });
        self.post_size();
        if let Some(Stands { encoder, snapshot_bytes }) = &self.stands
            && encoder.len() - snapshot_bytes > JOURNAL_MIN.max(snapshot_bytes / 4)
        {
            self.queue.want();
        }
        Ok(())
    }

    fn post_size(&self) {
        if let Some(Stands { encoder, snapshot_bytes }) = &self.stands {
            self.post(|image| {
                image.snapshot_bytes = *snapshot_bytes as u64;
                image.journal_bytes = (encoder.len() - snapshot_bytes) as u64;
            });
        }
    }

    /// Writes a new image and lets it stand in the place of the one before.
    async fn pack(&mut self, job: Job) -> io::Result<()> {
        let Job { view, head, at, continues } = job;
        self.try_set_aside().await?;
        let disk = self.disk.clone();
        let mut tail = Tail::default();
        let mut packing = Packing::begin(&*disk, &self.own, head).await?;
        // Collected, since the walk over a view must not be held across an await.
        let entities: Vec<_> = view.sorted().collect();
        let mut rest = &entities[..];
        while !rest.is_empty() {
            rest = packing.chunk(rest).await?;
            if self.queue.is_over() {
                return Ok(());
            }
            self.go_on_meanwhile(continues, &mut tail).await?;
        }
        let (mut encoder, snapshot_bytes) = packing.seal(at).await?;
        let mut end = (view.position(), at);
        for group in tail.groups {
            end = group.last().map_or(end, |last| (last.position, last.at));
            disk.put(frame(&mut encoder, &group)).await?;
        }
        if self.queue.is_over() {
            return Ok(());
        }
        disk.commit().await?;
        tracing::debug!(position = %view.position(), bytes = encoder.len(), "image: packed");
        self.stands = Some(Stands { encoder, snapshot_bytes });
        self.post(|image| {
            (image.position, image.at, image.error) = (Some(end.0), Some(end.1), None);
        });
        self.post_size();
        Ok(())
    }

    /// Adds what came meanwhile to the image that stands, and keeps it for the new one.
    async fn go_on_meanwhile(&mut self, continues: bool, tail: &mut Tail) -> io::Result<()> {
        while continues && self.stands.is_some() && tail.bytes < TAIL_MAX {
            let Some(group) = self.queue.take_group() else { return Ok(()) };
            self.append(&group).await?;
            tail.bytes +=
                group.iter().filter_map(|e| e.record.as_ref()).map(|r| r.len()).sum::<usize>();
            tail.groups.push(group);
        }
        Ok(())
    }
}

/// What came while an image was packed.
#[derive(Default)]
struct Tail {
    groups: Vec<Vec<Entry>>,
    bytes: usize,
}

fn frame(encoder: &mut Encoder, group: &[Entry]) -> Vec<u8> {
    let at = group.iter().map(|entry| entry.at).max().unwrap_or_default();
    encoder.journal(at, group.iter().filter_map(|entry| entry.record.as_deref()))
}
