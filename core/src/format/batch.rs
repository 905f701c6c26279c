//! One published batch: an entry of the log.
//!
//! | tag | field |
//! |---|---|
//! | 1 | position, previous position, fingerprint before, fingerprint after |
//! | 2 | list of terms; there only if the list does not simply advance to the position |
//! | 3 | count of changes (four bytes), then the changes, each with its length before it |
//!
//! A change is its key, one byte of flags, the version it replaces, the version after, the payload;
//! the flags say which of the last three are there.

use crate::digest::Fingerprint;
use crate::entity::{Action, Change, Version};
use crate::history::TermList;
use crate::id::Position;

use super::FormatRange;
use super::bytes::{DecodeError, Reader};
use super::items::{read_key, read_list, read_payload, read_position};
use super::record::{Fields, Magic};

/// The most changes of one batch.
pub const BATCH_CHANGES_MAX: usize = 10_000;

/// The most bytes of one batch. A single larger entity travels in a batch of its own.
pub const BATCH_BYTES_MAX: usize = 4 << 20;

const MAGIC: Magic = Magic { byte: b'B', name: "batch" };
const META: u8 = 1;
const LIST: u8 = 2;
const CHANGES: u8 = 3;

const REPLACES: u8 = 1;
const DEPLOYS: u8 = 2;

/// What a batch says of itself, apart from its changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchMeta {
    /// The state after it.
    pub position: Position,
    /// The state it builds on.
    pub previous: Position,
    /// The digest of the state it builds on.
    pub before: Fingerprint,
    /// The digest of the state after it.
    pub after: Fingerprint,
}

/// A batch whose bytes were checked. Keys and payloads borrow from them.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    meta: BatchMeta,
    list: Option<TermList>,
    changes: Changes<'a>,
}

impl<'a> Batch<'a> {
    /// Checks a record of any format that this version knows, every change of it included.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Self::decode_within(bytes, FormatRange::KNOWN)
    }

    /// Checks a record as [`Batch::decode`] does, if it is of one of these formats.
    pub fn decode_within(bytes: &'a [u8], formats: FormatRange) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(bytes, MAGIC, formats)?;
        let format = fields.format;
        let (mut meta, mut list) = (None, None);
        let mut changes = Changes { left: Reader::new(&[], bytes.len()), count: 0, format };
        while let Some((tag, mut field)) = fields.next()? {
            match tag {
                META => meta = Some(read_meta(&mut field)?),
                LIST => list = Some(read_list(&mut field)?),
                CHANGES => changes = check_changes(field, format)?,
                _ => {}
            }
        }
        let meta = meta.ok_or(DecodeError::Missing("what the batch says of itself"))?;
        Ok(Self { meta, list, changes })
    }

    /// Gives what the batch says of itself.
    pub fn meta(&self) -> &BatchMeta {
        &self.meta
    }

    /// Gives the format that it is written in.
    pub fn format(&self) -> u16 {
        self.changes.format
    }

    /// Gives the list that takes the place of the one before, if it does not simply advance.
    pub fn list(&self) -> Option<&TermList> {
        self.list.as_ref()
    }

    /// Counts the changes.
    pub fn len(&self) -> usize {
        self.changes.count
    }

    /// Says whether there are no changes, as in the entry that opens a term.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Goes through the changes in the order in which they are applied.
    pub fn changes(&self) -> Changes<'a> {
        self.changes.clone()
    }
}

/// The changes of a [`Batch`].
#[derive(Clone, Debug)]
pub struct Changes<'a> {
    left: Reader<'a>,
    count: usize,
    format: u16,
}

impl<'a> Iterator for Changes<'a> {
    type Item = Change<'a>;

    fn next(&mut self) -> Option<Change<'a>> {
        self.count = self.count.checked_sub(1)?;
        // Checked before; were it not, the changes would end here.
        self.left.part("change").and_then(|change| read_change(change, self.format)).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count, Some(self.count))
    }
}

impl ExactSizeIterator for Changes<'_> {}

fn check_changes(mut field: Reader<'_>, format: u16) -> Result<Changes<'_>, DecodeError> {
    let at = field.offset();
    let count = usize::try_from(field.u32("count of changes")?).unwrap_or(usize::MAX);
    if count > BATCH_CHANGES_MAX {
        return Err(DecodeError::TooMuch { what: "count of changes", at });
    }
    let changes = Changes { left: field.clone(), count, format };
    for _ in 0..count {
        field.part("change").and_then(|change| read_change(change, format))?;
    }
    Ok(changes)
}

fn read_meta(reader: &mut Reader<'_>) -> Result<BatchMeta, DecodeError> {
    Ok(BatchMeta {
        position: read_position(reader)?,
        previous: read_position(reader)?,
        before: Fingerprint(reader.u128("fingerprint before")?),
        after: Fingerprint(reader.u128("fingerprint after")?),
    })
}

fn read_change(mut reader: Reader<'_>, format: u16) -> Result<Change<'_>, DecodeError> {
    let key = read_key(&mut reader, format)?;
    // Flags that this version does not know speak of parts behind those it knows.
    let flags = reader.u8("flags of a change")?;
    let replaces = (flags & REPLACES != 0).then(|| read_version(&mut reader)).transpose()?;
    if flags & DEPLOYS == 0 {
        return Ok(Change { key, action: Action::Undeploy, replaces, version: None });
    }
    let version = Some(read_version(&mut reader)?);
    let action = Action::Deploy { payload: read_payload(&mut reader)? };
    Ok(Change { key, action, replaces, version })
}

fn read_version(reader: &mut Reader<'_>) -> Result<Version, DecodeError> {
    let at = reader.offset();
    match reader.u128("version")? {
        0 => Err(DecodeError::Value { what: "version", at }),
        version => Ok(Version(version)),
    }
}

#[cfg(feature = "alloc")]
mod writer {
    use alloc::vec::Vec;

    use super::*;
    use crate::format::bytes::Writer;
    use crate::format::items::{
        EncodeError, Pushed, measure, write_key, write_list, write_payload, write_position,
    };
    use crate::format::record::RecordWriter;

    /// What a batch may take besides its changes: the frame, the meta, a full list of terms.
    const OVERHEAD_MAX: usize = 1024;

    /// Gathers changes for one batch.
    #[derive(Clone, Debug)]
    pub struct BatchWriter {
        changes: Writer,
        count: usize,
        format: u16,
    }

    impl BatchWriter {
        /// Starts without changes, in the oldest format, which everybody reads.
        pub const fn new() -> Self {
            Self::in_format(FormatRange::KNOWN.oldest)
        }

        /// Starts without changes, in one of the formats that this version knows.
        pub const fn in_format(format: u16) -> Self {
            assert!(FormatRange::KNOWN.reads(format), "only what is known can be written");
            Self { changes: Writer::new(), count: 0, format }
        }

        /// Puts a change behind the others, if the batch stays within its bounds.
        ///
        /// The first change is always taken, so a large entity gets a batch of its own.
        pub fn push(&mut self, change: &Change<'_>) -> Result<Pushed, EncodeError> {
            let (payload, deploys) = match change.action {
                Action::Deploy { payload } => (payload, true),
                Action::Undeploy => (&[][..], false),
            };
            let zero = Some(Version(0));
            if change.version.is_some() != deploys
                || change.version == zero
                || change.replaces == zero
            {
                return Err(EncodeError::Version);
            }
            let most = 4 + measure(change.key, payload)? + 1 + 2 * 16;
            let bytes = self.changes.bytes().len() + most + OVERHEAD_MAX;
            if self.count > 0 && (self.count == BATCH_CHANGES_MAX || bytes > BATCH_BYTES_MAX) {
                return Ok(Pushed::Full);
            }
            self.count += 1;
            self.changes.part(|writer| {
                write_key(writer, change.key, self.format);
                let replaces = if change.replaces.is_some() { REPLACES } else { 0 };
                writer.u8(replaces | if deploys { DEPLOYS } else { 0 });
                for version in [change.replaces, change.version].into_iter().flatten() {
                    writer.u128(version.0);
                }
                if deploys {
                    write_payload(writer, payload);
                }
            });
            Ok(Pushed::Taken)
        }

        /// Counts the changes taken.
        pub fn len(&self) -> usize {
            self.count
        }

        /// Says whether no change was taken yet.
        pub fn is_empty(&self) -> bool {
            self.count == 0
        }

        /// Makes the record. `list` is given only if the list does not simply advance.
        pub fn finish(self, meta: BatchMeta, list: Option<&TermList>) -> Vec<u8> {
            let changes = self.changes.bytes();
            let mut record = RecordWriter::new(MAGIC, self.format, changes.len() + OVERHEAD_MAX);
            record.field(META, |writer| {
                write_position(writer, meta.position);
                write_position(writer, meta.previous);
                writer.u128(meta.before.0);
                writer.u128(meta.after.0);
            });
            if let Some(list) = list {
                record.field(LIST, |writer| write_list(writer, list));
            }
            record.field(CHANGES, |writer| {
                writer.u32(self.count as u32);
                writer.put(changes);
            });
            record.finish()
        }
    }

    impl Batch<'_> {
        /// Makes the same batch in another format. None if it does not fit there.
        pub fn rewritten(&self, format: u16) -> Option<Vec<u8>> {
            let mut writer = BatchWriter::in_format(format);
            let fits = self.changes().all(|change| writer.push(&change) == Ok(Pushed::Taken));
            fits.then(|| writer.finish(self.meta, self.list()))
        }
    }

    impl Default for BatchWriter {
        fn default() -> Self {
            Self::new()
        }
    }
}

#[cfg(feature = "alloc")]
pub use writer::BatchWriter;

#[cfg(test)]
mod tests;
