//! The frame of a record: magic byte, format number, fields, checksum.

use core::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::FormatRange;
use super::bytes::{DecodeError, Reader};

/// The bytes of a checksum.
pub(super) const CHECKSUM_LEN: usize = 8;

const HEADER_LEN: usize = 3;

/// Tells one sort of record from another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Magic {
    /// The first byte.
    pub(super) byte: u8,
    /// What a person calls it.
    pub(super) name: &'static str,
}

/// The fields of a record whose checksum was found right.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    /// The format number of the record.
    pub(super) format: u16,
    left: Reader<'a>,
    last: u8,
}

impl<'a> Fields<'a> {
    /// Checks the frame around a record, which must be of one of these formats.
    pub(super) fn open(
        bytes: &'a [u8],
        magic: Magic,
        formats: FormatRange,
    ) -> Result<Self, DecodeError> {
        if bytes.first() != Some(&magic.byte) {
            return Err(DecodeError::Magic(magic.name));
        }
        let format = Reader::new(&bytes[1..], 1).u16("format number")?;
        if format > formats.newest {
            return Err(DecodeError::NewerFormat(format));
        }
        let (record, sum) = bytes
            .split_last_chunk::<CHECKSUM_LEN>()
            .filter(|(record, _)| record.len() >= HEADER_LEN)
            .ok_or(DecodeError::Short { what: "checksum", at: HEADER_LEN })?;
        if checksum(record) != u64::from_le_bytes(*sum) {
            return Err(DecodeError::Checksum);
        }
        if format == 0 {
            return Err(DecodeError::Value { what: "format number", at: 1 });
        }
        if format < formats.oldest {
            return Err(DecodeError::OlderFormat(format));
        }
        let left = Reader::new(&record[HEADER_LEN..], HEADER_LEN);
        Ok(Self { format, left, last: 0 })
    }

    /// Takes the next field: its tag and its content.
    pub(super) fn next(&mut self) -> Result<Option<(u8, Reader<'a>)>, DecodeError> {
        if self.left.is_empty() {
            return Ok(None);
        }
        let at = self.left.offset();
        let tag = self.left.u8("field tag")?;
        if tag <= self.last {
            return Err(DecodeError::Value { what: "field tag", at });
        }
        self.last = tag;
        Ok(Some((tag, self.left.part("field")?)))
    }
}

pub(super) fn checksum(bytes: &[u8]) -> u64 {
    let mut hash = SipHasher13::new_with_key(&[0; 16]);
    hash.write(bytes);
    hash.finish128().h1
}

#[cfg(feature = "alloc")]
mod writer {
    use alloc::vec::Vec;

    use super::{Magic, checksum};
    use crate::format::bytes::Writer;

    /// Puts a record together.
    pub(in crate::format) struct RecordWriter {
        writer: Writer,
        last: u8,
    }

    impl RecordWriter {
        /// Starts a record that will have about `bytes` bytes.
        pub(in crate::format) fn new(magic: Magic, format: u16, bytes: usize) -> Self {
            let mut writer = Writer::with_capacity(bytes);
            writer.u8(magic.byte);
            writer.u16(format);
            Self { writer, last: 0 }
        }

        /// Adds a field, with what `fill` puts as its content.
        pub(in crate::format) fn field(&mut self, tag: u8, fill: impl FnOnce(&mut Writer)) {
            assert!(tag > self.last, "fields are written in the order of their tags");
            self.last = tag;
            self.writer.u8(tag);
            self.writer.part(fill);
        }

        /// Ends the record with its checksum.
        pub(in crate::format) fn finish(mut self) -> Vec<u8> {
            let sum = checksum(self.writer.bytes());
            self.writer.u64(sum);
            self.writer.into_bytes()
        }
    }
}

#[cfg(feature = "alloc")]
pub(super) use writer::RecordWriter;
