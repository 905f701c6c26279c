//! The head as bytes.
//!
//! | tag | field |
//! |---|---|
//! | 1 | incarnation |
//! | 2 | list of terms |
//! | 3 | claims, each a position and one byte: 0 open, 1 settled |
//! | 4 | snapshot: position, count of chunks, bytes, hash; not there while there is none |
//! | 5 | digest: per kind its code, count and sum |
//! | 6 | source: per kind its code and date in milliseconds since 1970 |
//! | 7 | filter |
//! | 8 | guard: newest hour, one byte and, if that is 1, the hour it was set back to |
//! | 9 | guard, per kind: code, count of hours not empty; of each: age, highest, absent |
//! | 10 | guard, what is held: per kind its code, count and token |
//!
//! Fields 3 to 10 run to their end; one that is missing is empty. The format number of the record
//! is the head's own: the lowest that a reader must know. Kinds rise within a field.

use super::{Filter, Head, Snapshot, Source};
use crate::digest::{Digest, KindDigest};
use crate::entity::Kind;
use crate::format::FormatRange;
use crate::format::bytes::{DecodeError, Reader};
use crate::format::items::{read_kind, read_list, read_position};
use crate::format::record::{Fields, Magic};
use crate::history::{CLAIMS_MAX, Claim, ClaimState, Claims};
use crate::id::Position;
use crate::removal::{GuardData, HOURS, Hour, Token};
use crate::time::WallTime;

const MAGIC: Magic = Magic { byte: b'H', name: "head" };

const INCARNATION: u8 = 1;
const LIST: u8 = 2;
const CLAIMS: u8 = 3;
const SNAPSHOT: u8 = 4;
const DIGEST: u8 = 5;
const SOURCE: u8 = 6;
const FILTER: u8 = 7;
const GUARD: u8 = 8;
const GUARD_HOURS: u8 = 9;
const GUARD_HELD: u8 = 10;

impl Head {
    /// Reads a record of any format that this version knows.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode_within(bytes, FormatRange::KNOWN)
    }

    /// Reads a record, if it is of one of these formats.
    pub fn decode_within(bytes: &[u8], formats: FormatRange) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(bytes, MAGIC, formats)?;
        let (mut incarnation, mut list) = (None, None);
        let mut head = Self {
            incarnation: 0,
            format: fields.format,
            list: Default::default(),
            claims: Claims::new(),
            snapshot: None,
            digest: Digest::EMPTY,
            source: Source::default(),
            filter: Filter::default(),
            guard: GuardData::new(),
        };
        while let Some((tag, mut field)) = fields.next()? {
            match tag {
                INCARNATION => incarnation = Some(field.u128("incarnation")?),
                LIST => list = Some(read_list(&mut field)?),
                CLAIMS => head.claims = read_claims(&mut field)?,
                SNAPSHOT => head.snapshot = Some(read_snapshot(&mut field)?),
                DIGEST => head.digest = read_digest(&mut field)?,
                SOURCE => head.source = read_source(&mut field)?,
                FILTER => head.filter = Filter(field.u128("filter")?),
                GUARD => read_guard(&mut field, &mut head.guard)?,
                GUARD_HOURS => read_guard_hours(&mut field, &mut head.guard)?,
                GUARD_HELD => read_guard_held(&mut field, &mut head.guard)?,
                _ => {}
            }
        }
        head.incarnation = incarnation.ok_or(DecodeError::Missing("incarnation"))?;
        head.list = list.ok_or(DecodeError::Missing("list of terms"))?;
        Ok(head)
    }
}

fn read_claims(reader: &mut Reader<'_>) -> Result<Claims, DecodeError> {
    let open = Claim { position: Position::START, state: ClaimState::Open };
    let (mut claims, mut count) = ([open; CLAIMS_MAX], 0);
    while !reader.is_empty() {
        let at = reader.offset();
        let claim =
            claims.get_mut(count).ok_or(DecodeError::TooMuch { what: "list of claims", at })?;
        claim.position = read_position(reader)?;
        let at = reader.offset();
        claim.state = match reader.u8("state of a claim")? {
            0 => ClaimState::Open,
            1 => ClaimState::Settled,
            _ => return Err(DecodeError::Value { what: "state of a claim", at }),
        };
        count += 1;
    }
    Ok(Claims::from_claims(&claims[..count]))
}

fn read_snapshot(reader: &mut Reader<'_>) -> Result<Snapshot, DecodeError> {
    Ok(Snapshot {
        position: read_position(reader)?,
        chunks: reader.u32("count of chunks")?,
        bytes: reader.u64("bytes of the chunks")?,
        hash: reader.u128("hash of the chunks")?,
    })
}

/// Takes kinds and what `read` takes behind each, to the end.
fn read_kinds(
    reader: &mut Reader<'_>,
    mut read: impl FnMut(Kind, &mut Reader<'_>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut last = None;
    while !reader.is_empty() {
        let at = reader.offset();
        let kind = read_kind(reader)?;
        if last >= Some(kind) {
            return Err(DecodeError::Value { what: "order of kinds", at });
        }
        last = Some(kind);
        read(kind, reader)?;
    }
    Ok(())
}

fn read_digest(reader: &mut Reader<'_>) -> Result<Digest, DecodeError> {
    let mut digest = Digest::EMPTY;
    read_kinds(reader, |kind, reader| {
        let (count, sum) = (reader.number("count of a kind")?, reader.u128("sum of a kind")?);
        digest.set_kind(kind, KindDigest { count, sum });
        Ok(())
    })?;
    Ok(digest)
}

fn read_source(reader: &mut Reader<'_>) -> Result<Source, DecodeError> {
    let mut source = Source::default();
    read_kinds(reader, |kind, reader| {
        source.advance(kind, WallTime::from_millis(reader.i64("date of a kind")?));
        Ok(())
    })?;
    Ok(source)
}

fn read_guard(reader: &mut Reader<'_>, guard: &mut GuardData) -> Result<(), DecodeError> {
    guard.newest = reader.i64("newest hour of the guard")?;
    let at = reader.offset();
    guard.rewound = match reader.u8("flag of the guard")? {
        0 => None,
        1 => Some(reader.i64("hour of the guard")?),
        _ => return Err(DecodeError::Value { what: "flag of the guard", at }),
    };
    Ok(())
}

fn read_guard_hours(reader: &mut Reader<'_>, guard: &mut GuardData) -> Result<(), DecodeError> {
    read_kinds(reader, |kind, reader| {
        let at = reader.offset();
        let count = usize::from(reader.u8("count of hours")?);
        if count > HOURS {
            return Err(DecodeError::TooMuch { what: "count of hours", at });
        }
        for _ in 0..count {
            let at = reader.offset();
            let age = usize::from(reader.u8("age of an hour")?);
            let hour = Hour {
                highest: reader.u32("highest count")?,
                absent: reader.u32("count of absences")?,
            };
            *guard.kinds[usize::from(kind.code())]
                .hours
                .get_mut(age)
                .ok_or(DecodeError::Value { what: "age of an hour", at })? = hour;
        }
        Ok(())
    })
}

fn read_guard_held(reader: &mut Reader<'_>, guard: &mut GuardData) -> Result<(), DecodeError> {
    read_kinds(reader, |kind, reader| {
        let count = reader.number("count of held removals")?;
        guard.hold(kind, count, Token(reader.u64("token")?));
        Ok(())
    })
}

#[cfg(feature = "alloc")]
mod writer {
    use alloc::vec::Vec;

    use super::*;
    use crate::format::bytes::Writer;
    use crate::format::items::{write_list, write_position};
    use crate::format::record::RecordWriter;

    /// About what the head of a busy zone takes.
    const CAPACITY: usize = 4096;

    impl Head {
        /// Makes the record.
        pub fn encode(&self) -> Vec<u8> {
            let mut record = RecordWriter::new(MAGIC, self.format, CAPACITY);
            record.field(INCARNATION, |writer| writer.u128(self.incarnation));
            record.field(LIST, |writer| write_list(writer, &self.list));
            record.field(CLAIMS, |writer| {
                for claim in self.claims.claims() {
                    write_position(writer, claim.position);
                    writer.u8(u8::from(claim.state == ClaimState::Settled));
                }
            });
            if let Some(snapshot) = &self.snapshot {
                record.field(SNAPSHOT, |writer| {
                    write_position(writer, snapshot.position);
                    writer.u32(snapshot.chunks);
                    writer.u64(snapshot.bytes);
                    writer.u128(snapshot.hash);
                });
            }
            record.field(DIGEST, |writer| {
                for (kind, sums) in self.digest.kinds() {
                    writer.u8(kind.code());
                    writer.u64(sums.count);
                    writer.u128(sums.sum);
                }
            });
            record.field(SOURCE, |writer| {
                for (kind, date) in self.source.kinds() {
                    writer.u8(kind.code());
                    writer.i64(date.as_millis());
                }
            });
            record.field(FILTER, |writer| writer.u128(self.filter.0));
            record.field(GUARD, |writer| {
                writer.i64(self.guard.newest);
                writer.u8(u8::from(self.guard.rewound.is_some()));
                self.guard.rewound.into_iter().for_each(|hour| writer.i64(hour));
            });
            record.field(GUARD_HOURS, |writer| write_guard_hours(writer, &self.guard));
            record.field(GUARD_HELD, |writer| {
                for (kind, held) in self.guard.held() {
                    writer.u8(kind.code());
                    writer.u64(held.count);
                    writer.u64(held.token.0);
                }
            });
            record.finish()
        }
    }

    fn write_guard_hours(writer: &mut Writer, guard: &GuardData) {
        for (code, kind) in guard.kinds.iter().enumerate() {
            let hours = || kind.hours.iter().enumerate().filter(|(_, h)| **h != Hour::default());
            let count = hours().count();
            if count == 0 {
                continue;
            }
            writer.u8(code as u8);
            writer.u8(count as u8);
            for (age, hour) in hours() {
                writer.u8(age as u8);
                writer.u32(hour.highest);
                writer.u32(hour.absent);
            }
        }
    }
}

#[cfg(test)]
mod tests;
