//! From an image to a state.

use zonesync_core::digest::Digest;
use zonesync_core::entity::{Action, Change};
use zonesync_core::format::Head;
use zonesync_core::format::chunk::Chunk;
use zonesync_core::id::{EntityKey, Position};
use zonesync_core::time::WallTime;

use super::encode::Encoder;
use super::format::{Identity, Image, Record, decode};
use super::{Disk, ImageError};
use crate::state::Writer;

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

/// Reads the image and fills an empty state with it. Gives none if there is no image.
///
/// After an error the state is empty again.
pub(crate) async fn load(
    disk: &dyn Disk,
    own: &Identity,
    writer: &mut Writer,
) -> Result<Option<Loaded>, ImageError> {
    let Some(contents) = disk.read().await.map_err(ImageError::Disk)? else { return Ok(None) };
    let image = decode((*contents).as_ref(), Some(own))?;
    match fill(&image, writer) {
        Ok(head) => {
            let encoder = Encoder::resume(&image);
            let stands = Stands { encoder, snapshot_bytes: image.snapshot_end };
            Ok(Some(Loaded { head, at: image.at, stands }))
        }
        Err(error) => {
            empty(writer);
            Err(error)
        }
    }
}

/// Fills an empty state. Gives where it stands then.
pub(super) fn fill(image: &Image<'_>, writer: &mut Writer) -> Result<Head, ImageError> {
    let mut head = Head { snapshot: None, ..image.sealed.clone() };
    let mut deploys =
        image.chunks.iter().flat_map(Chunk::entities).map(|(key, payload)| deploy(key, payload));
    writer.apply(head.position(), &mut deploys);
    if *writer.view().digest() != head.digest {
        return Err(ImageError::Digest);
    }
    for record in image.journal() {
        match record {
            Record::Batch(batch) => {
                let meta = batch.meta();
                writer.apply(meta.position, &mut batch.changes());
                head.digest = Digest::clone(writer.view().digest());
                if head.digest.fingerprint() != meta.after {
                    return Err(ImageError::Digest);
                }
                match batch.list() {
                    Some(list) => head.list = list.clone(),
                    None => head.list.advance(meta.position),
                }
            }
            Record::Mark(mark) => {
                // Its digest has the right fingerprint, but it is the entities that count.
                head = Head { digest: head.digest, snapshot: None, ..*mark };
                writer.move_to(head.position());
            }
        }
    }
    if head.position() != writer.view().position() {
        return Err(ImageError::Digest);
    }
    Ok(head)
}

fn deploy<'a>(key: EntityKey<'a>, payload: &'a [u8]) -> Change<'a> {
    Change { key, action: Action::Deploy { payload }, replaces: None, version: None }
}

fn empty(writer: &mut Writer) {
    let view = writer.view();
    let undeploy =
        |(key, _)| Change { key, action: Action::Undeploy, replaces: None, version: None };
    writer.apply(Position::START, &mut view.sorted().map(undeploy));
}
