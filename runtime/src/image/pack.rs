//! A whole state into a new image, chunk by chunk.

use std::io;

use zonesync_core::format::chunk::{ChunkWriter, SnapshotHash};
use zonesync_core::format::{Head, Pushed, Snapshot};
use zonesync_core::id::EntityKey;
use zonesync_core::time::WallTime;

use super::Disk;
use super::encode::Encoder;
use super::format::Identity;
use crate::state::View;

/// Writes an image of `view` and lets it stand. `head` is what the zone announced for it, `at` when
/// that was last known to be the newest.
///
/// For tools and measurements: a node writes its image by itself.
pub async fn write(
    disk: &dyn Disk,
    own: &Identity,
    view: &View,
    head: Head,
    at: WallTime,
) -> io::Result<()> {
    let mut packing = Packing::begin(disk, own, head).await?;
    // Collected, since the walk over a view must not be held across an await.
    let entities: Vec<_> = view.sorted().collect();
    let mut rest = &entities[..];
    while !rest.is_empty() {
        rest = packing.chunk(rest).await?;
    }
    packing.seal(at).await?;
    disk.commit().await
}

/// A new image under way.
pub(super) struct Packing<'a> {
    disk: &'a dyn Disk,
    encoder: Encoder,
    head: Head,
    snapshot: Snapshot,
    hash: SnapshotHash,
}

impl<'a> Packing<'a> {
    /// Begins an image of the state of which `head` speaks.
    pub(super) async fn begin(disk: &'a dyn Disk, own: &Identity, head: Head) -> io::Result<Self> {
        let mut seed = [0; 16];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let (encoder, bytes) = Encoder::begin(own, u128::from_le_bytes(seed));
        disk.begin().await?;
        disk.put(bytes).await?;
        let snapshot = Snapshot { position: head.position(), chunks: 0, bytes: 0, hash: 0 };
        Ok(Self { disk, encoder, head, snapshot, hash: SnapshotHash::new() })
    }

    /// Writes one chunk of the first of `entities`. Gives the rest.
    pub(super) async fn chunk<'e, 'k>(
        &mut self,
        mut entities: &'e [(EntityKey<'k>, &'k [u8])],
    ) -> io::Result<&'e [(EntityKey<'k>, &'k [u8])]> {
        let mut chunk = ChunkWriter::new(self.snapshot.position, self.snapshot.chunks);
        while let Some(((key, payload), rest)) = entities.split_first() {
            match chunk.push(*key, payload).map_err(io::Error::other)? {
                Pushed::Taken => entities = rest,
                Pushed::Full => break,
            }
        }
        let record = chunk.finish();
        self.hash.add(&record);
        self.snapshot.chunks += 1;
        self.snapshot.bytes += record.len() as u64;
        self.disk.put(self.encoder.chunk(&record)).await?;
        // A disk that answers at once must not keep a thread from the lease.
        futures_lite::future::yield_now().await;
        Ok(entities)
    }

    /// Ends the snapshot. Gives what goes on with the journal, and where that begins.
    pub(super) async fn seal(mut self, at: WallTime) -> io::Result<(Encoder, usize)> {
        self.snapshot.hash = self.hash.finish();
        self.head.snapshot = Some(self.snapshot);
        self.disk.put(self.encoder.sealed(at, &self.head)).await?;
        let end = self.encoder.len();
        Ok((self.encoder, end))
    }
}
