//! The parts that several records share: positions, lists of terms, keys, payloads.

use core::fmt;

use super::bytes::{DecodeError, Reader};
use super::range::SHORT_LENGTHS;
use crate::entity::{Kind, PAYLOAD_MAX};
use crate::history::{LIST_MAX, Reign, TermList};
use crate::id::{EntityKey, Epoch, ID_MAX, Position, Sequence, Term, TermId};

/// In the place of a short length: the length takes the next two bytes.
const LONG: u8 = u8::MAX;

/// Takes a position: epoch, term id, sequence.
pub(super) fn read_position(reader: &mut Reader<'_>) -> Result<Position, DecodeError> {
    let epoch = Epoch(reader.number("epoch")?);
    let id = TermId(reader.u128("term id")?);
    let sequence = Sequence(reader.number("sequence")?);
    Ok(Position { term: Term { epoch, id }, sequence })
}

/// Takes a list of terms: a count of one byte, then as many positions, oldest first.
pub(super) fn read_list(reader: &mut Reader<'_>) -> Result<TermList, DecodeError> {
    let at = reader.offset();
    let count = usize::from(reader.u8("count of terms")?);
    if count > LIST_MAX {
        return Err(DecodeError::TooMuch { what: "list of terms", at });
    }
    let mut reigns = [Reign { term: Term::default(), last: Sequence(0) }; LIST_MAX];
    for reign in &mut reigns[..count] {
        let Position { term, sequence } = read_position(reader)?;
        *reign = Reign { term, last: sequence };
    }
    Ok(TermList::from_reigns(&reigns[..count]))
}

/// Takes the code of a kind, known or not.
pub(super) fn read_kind(reader: &mut Reader<'_>) -> Result<Kind, DecodeError> {
    let at = reader.offset();
    Kind::from_code(reader.u8("kind")?).ok_or(DecodeError::Value { what: "kind", at })
}

/// Takes a key: kind, three lengths, then scope, id and subscription as one text.
pub(super) fn read_key<'a>(
    reader: &mut Reader<'a>,
    format: u16,
) -> Result<EntityKey<'a>, DecodeError> {
    let kind = read_kind(reader)?;
    let at = reader.offset();
    let mut lens = [0; 3];
    for len in &mut lens {
        *len = read_length(reader, format)?;
        if *len > ID_MAX {
            return Err(DecodeError::TooMuch { what: "key", at });
        }
    }
    let [scope, id, subscription] = lens;
    let at = reader.offset();
    let bytes = reader.take(scope + id + subscription, "key")?;
    // Checked as one text, then cut; a cut inside a character gives none.
    let parts = core::str::from_utf8(bytes).ok().and_then(|text| {
        let (scope, rest) = text.split_at_checked(scope)?;
        let (id, subscription) = rest.split_at_checked(id)?;
        Some(EntityKey { kind, scope, id, subscription })
    });
    parts.ok_or(DecodeError::Value { what: "text of a key", at })
}

/// Takes the length of a part of a key: two bytes, or one where that is enough.
fn read_length(reader: &mut Reader<'_>, format: u16) -> Result<usize, DecodeError> {
    let what = "length of a key";
    if format >= SHORT_LENGTHS {
        let short = reader.u8(what)?;
        if short != LONG {
            return Ok(usize::from(short));
        }
    }
    Ok(usize::from(reader.u16(what)?))
}

/// Takes a payload: a length of four bytes, then the bytes.
pub(super) fn read_payload<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let at = reader.offset();
    let len = usize::try_from(reader.u32("length of a payload")?).unwrap_or(usize::MAX);
    if len > PAYLOAD_MAX {
        return Err(DecodeError::TooMuch { what: "payload", at });
    }
    reader.take(len, "payload")
}

/// Why a change or an entity cannot be written. Nothing was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// A part of the key has more than [`ID_MAX`] bytes.
    KeyTooLong,
    /// The payload has more than [`PAYLOAD_MAX`] bytes.
    PayloadTooLong,
    /// A deploy without a version, an undeploy with one, or a version of zero.
    Version,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyTooLong => write!(f, "a part of the key has more than {ID_MAX} bytes"),
            Self::PayloadTooLong => write!(f, "the payload has more than {PAYLOAD_MAX} bytes"),
            Self::Version => f.write_str("the version does not fit the action"),
        }
    }
}

impl core::error::Error for EncodeError {}

#[cfg(feature = "alloc")]
mod writer {
    use super::{
        EncodeError, EntityKey, ID_MAX, LONG, PAYLOAD_MAX, Position, SHORT_LENGTHS, TermList,
    };
    use crate::format::bytes::Writer;

    /// What became of something that was to be put into a batch or a chunk.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[must_use]
    pub enum Pushed {
        /// It is in.
        Taken,
        /// There is no more room, and it is not in: finish this one, and push it into the next.
        Full,
    }

    pub(in crate::format) fn write_position(writer: &mut Writer, position: Position) {
        writer.u64(position.term.epoch.0);
        writer.u128(position.term.id.0);
        writer.u64(position.sequence.0);
    }

    pub(in crate::format) fn write_list(writer: &mut Writer, list: &TermList) {
        writer.u8(list.reigns().len() as u8);
        for reign in list.reigns() {
            write_position(writer, Position { term: reign.term, sequence: reign.last });
        }
    }

    pub(in crate::format) fn write_key(writer: &mut Writer, key: EntityKey<'_>, format: u16) {
        writer.u8(key.kind.code());
        for part in [key.scope, key.id, key.subscription] {
            write_length(writer, part.len(), format);
        }
        for part in [key.scope, key.id, key.subscription] {
            writer.put(part.as_bytes());
        }
    }

    fn write_length(writer: &mut Writer, len: usize, format: u16) {
        if format >= SHORT_LENGTHS {
            let short = u8::try_from(len).unwrap_or(LONG);
            writer.u8(short);
            if short != LONG {
                return;
            }
        }
        writer.u16(len as u16);
    }

    pub(in crate::format) fn write_payload(writer: &mut Writer, payload: &[u8]) {
        writer.u32(payload.len() as u32);
        writer.put(payload);
    }

    /// Gives the most bytes that key and payload take in any format, or says why they cannot be written.
    pub(in crate::format) fn measure(
        key: EntityKey<'_>,
        payload: &[u8],
    ) -> Result<usize, EncodeError> {
        let parts = [key.scope, key.id, key.subscription];
        if parts.iter().any(|part| part.len() > ID_MAX) {
            return Err(EncodeError::KeyTooLong);
        }
        if payload.len() > PAYLOAD_MAX {
            return Err(EncodeError::PayloadTooLong);
        }
        let text: usize = parts.iter().map(|part| part.len()).sum();
        Ok(1 + 3 * 3 + text + 4 + payload.len())
    }
}

#[cfg(feature = "alloc")]
pub use writer::Pushed;
#[cfg(feature = "alloc")]
pub(super) use writer::{measure, write_key, write_list, write_payload, write_position};
