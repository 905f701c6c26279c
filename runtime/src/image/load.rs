//! From an image to a state.

use std::collections::BTreeMap;

use zonesync_core::bugs::{self, Bug};
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
///
/// As one step: nobody may see the snapshot without its journal, where a key stands that was revoked
/// since.
pub(super) fn fill(image: &Image<'_>, writer: &mut Writer) -> Result<Head, ImageError> {
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
    let snapshot = image.chunks.iter().flat_map(Chunk::entities);
    let unchanged = snapshot.filter(|(key, _)| !journal.contains_key(key));
    let changed = journal.iter().filter_map(|(key, payload)| Some((*key, (*payload)?)));
    let mut deploys = unchanged.chain(changed).map(|(key, payload)| deploy(key, payload));
    writer.apply(head.position(), &mut deploys);
    if *writer.view().digest() != head.digest {
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
