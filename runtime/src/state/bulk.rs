//! A whole state from many entities at once: a snapshot, an image, a first load.
//!
//! One by one, each change copies pages that readers share, and finds its way through indexes that
//! grow. Here nobody reads yet, so entities are only *read* at first ([`BulkReader::read`]), a part of
//! them on each thread: facts, hashes, a copy of the payload. Once all are there and their number is
//! known ([`Bulk::finish`]), records and indexes are made in one go. What comes out is the state that
//! [`Writer::apply`] makes of the same entities.
//!
//! ```
//! use zonesync::core::digest::DigestKey;
//! use zonesync::core::entity::Kind;
//! use zonesync::core::id::{EntityKey, Position};
//! use zonesync::state::{Bulk, State};
//!
//! let mut bulk = Bulk::new(DigestKey::default());
//! let reader = bulk.reader();
//! // For each piece, on any thread:
//! let part = reader.read([(EntityKey::new(Kind::API, "orders"), &b"{}"[..])]);
//! bulk.add(part);
//! // The new state is nobody's yet: it may be compared and changed, and then take the place of another.
//! let loaded = bulk.finish(Position::START)?;
//! let (state, mut writer) = State::new(DigestKey::default());
//! writer.replace(loaded);
//! assert_eq!(state.view().digest().count(), 1);
//! # Ok::<(), zonesync::state::Twice>(())
//! ```

mod build;
mod read;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use zonesync_core::digest::{Digest, DigestKey};
use zonesync_core::id::{EntityKey, EntityKeyBuf, Position};

use super::facts::Reason;
use super::hash::Seed;
use super::payload::Payload;
use super::record::{KeyRecord, OtherFacts, SubscriptionRecord};
use super::tag::Tag;
use super::{State, Writer};
use crate::parallel;
use read::NewNames;

/// Gathers the parts of a state that is made at once.
pub struct Bulk {
    reader: BulkReader,
    parts: Vec<BulkPart>,
}

/// Reads entities for one [`Bulk`]. Clones read for the same one, on any thread.
#[derive(Clone)]
pub struct BulkReader(Arc<Shared>);

struct Shared {
    digest_key: DigestKey,
    seed: Seed,
    names: Mutex<NewNames>,
}

/// Entities that were read, each with a copy of its payload.
#[derive(Default)]
pub struct BulkPart {
    digest: Digest,
    subscriptions: Vec<NewSubscription>,
    /// Hashes of credentials, and the subscriptions that have them, as numbers within this part.
    credentials: Vec<(u64, u32)>,
    keys: Vec<NewKey>,
    /// The ids of the subscriptions that keys name, one after the other.
    named: String,
    others: Vec<NewOther>,
}

/// A usable subscription.
struct NewSubscription {
    record: SubscriptionRecord,
    id_hash: u64,
}

/// A usable key. It does not know the number of its subscription yet.
struct NewKey {
    record: KeyRecord,
    scope: u32,
    /// The hash of its subscription's id, and where that ends in [`BulkPart::named`].
    named_hash: u64,
    named_end: usize,
    tag: Tag,
    md5_hash: u64,
}

/// Anything else.
struct NewOther {
    key: EntityKeyBuf,
    payload: Payload,
    /// None if it must be read again where names are known.
    facts: Option<Result<OtherFacts, Reason>>,
}

/// An entity came twice, which nothing that holds a state whole lets happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Twice(pub EntityKeyBuf);

impl fmt::Display for Twice {
    /// Names the kind alone: the rest may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an entity of kind {} is there twice", self.0.as_ref().kind)
    }
}

impl std::error::Error for Twice {}

impl Bulk {
    /// Begins a state whose digest is made with `digest_key`.
    pub fn new(digest_key: DigestKey) -> Self {
        let shared =
            Shared { digest_key, seed: Seed::random(), names: Mutex::new(NewNames::new()) };
        Self { reader: BulkReader(Arc::new(shared)), parts: Vec::new() }
    }

    /// Gives what reads entities for this state.
    pub fn reader(&self) -> BulkReader {
        self.reader.clone()
    }

    /// Adds entities that a reader of this state has read. The order of parts does not matter.
    pub fn add(&mut self, part: BulkPart) {
        self.parts.push(part);
    }

    /// Reads `pieces` of the state, on several threads, and adds them all.
    pub(crate) fn add_all<T: Sync>(
        &mut self,
        pieces: &[T],
        read: impl Fn(&BulkReader, &T) -> BulkPart + Sync,
    ) {
        self.parts.extend(parallel::map(pieces, |piece| read(&self.reader, piece)));
    }

    /// Sums up what was added.
    pub fn digest(&self) -> Digest {
        let mut digest = Digest::EMPTY;
        self.parts.iter().for_each(|part| digest.add_all(&part.digest));
        digest
    }

    /// Makes the state, at `position`, and gives its writer. Nobody has a [`State`] of it.
    ///
    /// Of a large state it uses two threads.
    pub fn finish(self, position: Position) -> Result<Writer, Twice> {
        let digest = self.digest();
        let names = self.reader.0.names.lock().unwrap_or_else(PoisonError::into_inner).take();
        let shared = &*self.reader.0;
        let (mut root, editor) = build::build(shared, names, self.parts)?;
        (root.position, root.digest) = (position, digest);
        Ok(State::of(root, editor).1)
    }
}

impl BulkReader {
    /// Reads entities.
    pub fn read<'a>(
        &self,
        entities: impl IntoIterator<Item = (EntityKey<'a>, &'a [u8])>,
    ) -> BulkPart {
        read::read(&self.0, entities.into_iter())
    }
}

impl BulkPart {
    /// Counts the entities.
    pub fn len(&self) -> usize {
        self.subscriptions.len() + self.keys.len() + self.others.len()
    }

    /// Says whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Bulk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bulk").field("digest", &self.digest()).finish_non_exhaustive()
    }
}

impl fmt::Debug for BulkReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BulkReader").finish_non_exhaustive()
    }
}

impl fmt::Debug for BulkPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BulkPart").field("digest", &self.digest).finish_non_exhaustive()
    }
}
