//! A piece of a snapshot: entities with their payloads.
//!
//! | tag | field |
//! |---|---|
//! | 1 | position of the snapshot, number of the chunk (four bytes) |
//! | 2 | count of entities (four bytes), then the entities, each with its length before it |
//!
//! An entity is its key and its payload. Entities stand in the order in which they were pushed.

use core::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::FormatRange;
use super::bytes::{DecodeError, Reader};
use super::items::{read_key, read_payload, read_position};
use super::record::{CHECKSUM_LEN, Fields, Magic};
use crate::id::{EntityKey, Position};

/// The most bytes of one chunk. A single larger entity travels in a chunk of its own.
///
/// A little under 1 MiB, so that with the store's own overhead it fits an allocation of that size.
pub const CHUNK_BYTES_MAX: usize = (1 << 20) - 64;

const MAGIC: Magic = Magic { byte: b'C', name: "chunk" };
const PLACE: u8 = 1;
const ENTITIES: u8 = 2;

/// A chunk whose bytes were checked. Keys and payloads borrow from them.
#[derive(Clone, Debug)]
pub struct Chunk<'a> {
    position: Position,
    number: u32,
    entities: Entities<'a>,
}

impl<'a> Chunk<'a> {
    /// Checks a record of any format that this version knows, every entity of it included.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Self::decode_within(bytes, FormatRange::KNOWN)
    }

    /// Checks a record as [`Chunk::decode`] does, if it is of one of these formats.
    pub fn decode_within(bytes: &'a [u8], formats: FormatRange) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(bytes, MAGIC, formats)?;
        let format = fields.format;
        let mut place = None;
        let mut entities = Entities { left: Reader::new(&[], bytes.len()), count: 0, format };
        while let Some((tag, mut field)) = fields.next()? {
            match tag {
                PLACE => place = Some((read_position(&mut field)?, field.u32("chunk number")?)),
                ENTITIES => entities = check_entities(field, format)?,
                _ => {}
            }
        }
        let (position, number) = place.ok_or(DecodeError::Missing("place of the chunk"))?;
        Ok(Self { position, number, entities })
    }

    /// Gives the position of the snapshot that the chunk belongs to.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Gives the number of the chunk in its snapshot, from zero.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Counts the entities.
    pub fn len(&self) -> usize {
        self.entities.count
    }

    /// Says whether there are no entities, as in the only chunk of an empty state.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Goes through keys and payloads.
    pub fn entities(&self) -> Entities<'a> {
        self.entities.clone()
    }
}

/// The entities of a [`Chunk`].
#[derive(Clone, Debug)]
pub struct Entities<'a> {
    left: Reader<'a>,
    count: usize,
    format: u16,
}

impl<'a> Iterator for Entities<'a> {
    type Item = (EntityKey<'a>, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.count = self.count.checked_sub(1)?;
        // Checked before; were it not, the entities would end here.
        self.left.part("entity").and_then(|entity| read_entity(entity, self.format)).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count, Some(self.count))
    }
}

impl ExactSizeIterator for Entities<'_> {}

fn check_entities(mut field: Reader<'_>, format: u16) -> Result<Entities<'_>, DecodeError> {
    let count = usize::try_from(field.u32("count of entities")?).unwrap_or(usize::MAX);
    let entities = Entities { left: field.clone(), count, format };
    // Bounded by the bytes: each turn takes some, or ends it.
    for _ in 0..count {
        field.part("entity").and_then(|entity| read_entity(entity, format))?;
    }
    Ok(entities)
}

fn read_entity(mut reader: Reader<'_>, format: u16) -> Result<(EntityKey<'_>, &[u8]), DecodeError> {
    Ok((read_key(&mut reader, format)?, read_payload(&mut reader)?))
}

/// Works out [`super::Snapshot::hash`] from the chunks.
#[derive(Clone, Debug)]
pub struct SnapshotHash(SipHasher13);

impl SnapshotHash {
    /// Starts without chunks.
    pub fn new() -> Self {
        Self(SipHasher13::new_with_key(&[0; 16]))
    }

    /// Takes in the next chunk, in the order of their numbers: the record as it was written.
    ///
    /// Only its checksum is hashed, which speaks for the rest once the chunk was decoded.
    pub fn add(&mut self, chunk: &[u8]) {
        self.0.write(&chunk[chunk.len().saturating_sub(CHECKSUM_LEN)..]);
    }

    /// Gives the hash over all chunks taken in.
    pub fn finish(&self) -> u128 {
        self.0.finish128().as_u128()
    }
}

impl Default for SnapshotHash {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(feature = "alloc")]
mod writer {
    use alloc::vec::Vec;

    use super::*;
    use crate::format::bytes::Writer;
    use crate::format::items::{
        EncodeError, Pushed, measure, write_key, write_payload, write_position,
    };
    use crate::format::record::RecordWriter;

    /// What a chunk takes besides its entities, at most.
    const OVERHEAD_MAX: usize = 128;

    /// Gathers entities for one chunk.
    #[derive(Clone, Debug)]
    pub struct ChunkWriter {
        position: Position,
        number: u32,
        entities: Writer,
        count: usize,
        format: u16,
    }

    impl ChunkWriter {
        /// Starts chunk `number` of the snapshot at `position`, in the oldest format, which
        /// everybody reads.
        pub const fn new(position: Position, number: u32) -> Self {
            Self::in_format(FormatRange::KNOWN.oldest, position, number)
        }

        /// Starts a chunk in one of the formats that this version knows.
        pub const fn in_format(format: u16, position: Position, number: u32) -> Self {
            assert!(FormatRange::KNOWN.reads(format), "only what is known can be written");
            Self { position, number, entities: Writer::new(), count: 0, format }
        }

        /// Puts an entity behind the others, if the chunk stays within its bound.
        ///
        /// The first entity is always taken, so a large one gets a chunk of its own.
        pub fn push(&mut self, key: EntityKey<'_>, payload: &[u8]) -> Result<Pushed, EncodeError> {
            let bytes = self.entities.bytes().len() + 4 + measure(key, payload)? + OVERHEAD_MAX;
            if self.count > 0 && bytes > CHUNK_BYTES_MAX {
                return Ok(Pushed::Full);
            }
            self.count += 1;
            self.entities.part(|writer| {
                write_key(writer, key, self.format);
                write_payload(writer, payload);
            });
            Ok(Pushed::Taken)
        }

        /// Counts the entities taken.
        pub fn len(&self) -> usize {
            self.count
        }

        /// Says whether no entity was taken yet.
        pub fn is_empty(&self) -> bool {
            self.count == 0
        }

        /// Makes the record.
        pub fn finish(self) -> Vec<u8> {
            let entities = self.entities.bytes();
            let mut record = RecordWriter::new(MAGIC, self.format, entities.len() + OVERHEAD_MAX);
            record.field(PLACE, |writer| {
                write_position(writer, self.position);
                writer.u32(self.number);
            });
            record.field(ENTITIES, |writer| {
                writer.u32(self.count as u32);
                writer.put(entities);
            });
            record.finish()
        }
    }
}

#[cfg(feature = "alloc")]
pub use writer::ChunkWriter;

#[cfg(test)]
mod tests;
