//! From an image to a state.

use std::collections::BTreeMap;

use zonesync_core::bugs::{self, Bug};
use zonesync_core::digest::DigestKey;
use zonesync_core::entity::Action;
use zonesync_core::format::Head;
use zonesync_core::id::EntityKey;
use zonesync_core::time::WallTime;

use super::encode::Encoder;
use super::format::{Identity, Image, Record, decode};
use super::{Disk, ImageError};
use crate::state::{Bulk, Writer};

/// What an image held, apart from the entities.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Where it stands, with all that belongs to it.
    pub(crate) head: Head,
    /// When that was last known to be the zone's newest.
    pub(crate) at: WallTime,
    pub(super) stands: Stands,
}

/// The image that stands on the disk.
#[derive(Clone, Debug)]
pub(super) struct Stands {
    pub(super) encoder: Encoder,
    pub(super) snapshot_bytes: usize,
}

/// Reads the image into an empty state. Gives none if there is no image.
///
/// After an error the state is still empty.
pub(crate) async fn load(
    disk: &dyn Disk,
    own: &Identity,
    writer: &mut Writer,
) -> Result<Option<Loaded>, ImageError> {
    let Some(contents) = disk.read().await.map_err(ImageError::Disk)? else { return Ok(None) };
    let image = decode((*contents).as_ref(), Some(own))?;
    let (head, loaded) = build(&image, own.digest_key)?;
    if *loaded.view().digest() != head.digest {
        return Err(ImageError::Digest);
    }
    writer.replace(loaded);
    let encoder = Encoder::resume(&image);
    let stands = Stands { encoder, snapshot_bytes: image.snapshot_end };
    Ok(Some(Loaded { head, at: image.at, stands }))
}

/// Makes the state that an image holds. Gives where it stands, too, and what it should sum up to.
///
/// As one step: nobody may see the snapshot without its journal, where a key stands that was revoked
/// since.
pub(super) fn build(image: &Image<'_>, key: DigestKey) -> Result<(Head, Writer), ImageError> {
    let mut head = Head { snapshot: None, ..image.sealed.clone() };
    let mut journal: BTreeMap<EntityKey<'_>, Option<&[u8]>> = BTreeMap::new();
    for record in image.journal().filter(|_| !bugs::planted(Bug::JournalNotReplayed)) {
        match record {
            Record::Batch(batch) => {
                for change in batch.changes() {
                    let payload = match change.action {
                        Action::Deploy { payload } => Some(payload),
                        Action::Undeploy => None,
                    };
                    journal.insert(change.key, payload);
                    head.digest.change(change.key.kind, change.replaces, change.version);
                }
                let meta = batch.meta();
                if head.digest.fingerprint() != meta.after {
                    return Err(ImageError::Digest);
                }
                match batch.list() {
                    Some(list) => head.list = list.clone(),
                    None => head.list.advance(meta.position),
                }
            }
            // Its digest has the right fingerprint, but it is the entities that count.
            Record::Mark(mark) => head = Head { digest: head.digest, snapshot: None, ..*mark },
        }
    }
    let mut bulk = Bulk::new(key);
    bulk.add_all(&image.chunks, |reader, chunk| {
        reader.read(chunk.entities().filter(|(key, _)| !journal.contains_key(key)))
    });
    let changed = journal.iter().filter_map(|(key, payload)| Some((*key, (*payload)?)));
    bulk.add(bulk.reader().read(changed));
    // An entity that is there twice sums up to something else, too.
    let loaded = bulk.finish(head.position()).map_err(|_| ImageError::Digest)?;
    Ok((head, loaded))
}
