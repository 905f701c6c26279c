//! How records are stored: compressed where that helps.
//!
//! A stored record is a codec (one byte: 0 plain, 1 zstd), the length of the record (four bytes), a
//! checksum (eight bytes) and the data. Numbers are little endian. The checksum is SipHash-1-3-128
//! with a zero key over codec, length and data, the low 64 bits: damage is found before anything is
//! decompressed. The length is bounded before anything is allocated.

use std::hash::Hasher;
use std::sync::Arc;

use siphasher::sip128::{Hasher128, SipHasher13};
use zonesync_core::entity::PAYLOAD_MAX;
use zonesync_core::id::Position;

use super::reply::{Bad, bad};
use crate::store::{Bytes, StoreError};

const PLAIN: u8 = 0;
const ZSTD: u8 = 1;

const HEADER: usize = 1 + 4 + 8;

/// The longest record: the largest entity with what stands around it.
const RECORD_MAX: usize = PAYLOAD_MAX + (1 << 20);

/// From here on compressing is tried.
const COMPRESS_FROM: usize = 128;

/// The level of zstd.
const LEVEL: i32 = 1;

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A field of the head.
    Head(&'static str),
    /// The entry of the log at a position.
    Entry(Position),
    /// A chunk of the snapshot at a position.
    Chunk(Position, u32),
}

/// Turns records into what is stored, and back.
#[derive(Clone, Debug, Default)]
pub(super) struct Seal;

impl Seal {
    /// Makes what is stored of `record`.
    pub(super) fn close(&self, _place: Place, record: &[u8]) -> Result<Vec<u8>, StoreError> {
        if record.len() > RECORD_MAX {
            return Err(StoreError::Denied(format!("a record of {} bytes", record.len())));
        }
        let mut stored = vec![0; HEADER];
        stored[1..5].copy_from_slice(&(record.len() as u32).to_le_bytes());
        match compress(record) {
            Some(smaller) => {
                stored[0] = ZSTD;
                stored.extend_from_slice(&smaller);
            }
            None => {
                stored[0] = PLAIN;
                stored.extend_from_slice(record);
            }
        }
        let sum = checksum(&stored[..5], &stored[HEADER..]);
        stored[5..HEADER].copy_from_slice(&sum.to_le_bytes());
        Ok(stored)
    }

    /// Gives the record that is stored.
    pub(super) fn open(&self, place: Place, stored: &[u8]) -> Result<Bytes, StoreError> {
        self.try_open(stored).map_err(|bad| match place {
            Place::Head(field) => named(bad, format_args!("{field} of the head")),
            Place::Entry(at) => named(bad, format_args!("entry {at}")),
            Place::Chunk(at, number) => named(bad, format_args!("chunk {number} of {at}")),
        })
    }

    fn try_open(&self, stored: &[u8]) -> Result<Bytes, Bad> {
        let (header, data) =
            stored.split_first_chunk::<HEADER>().ok_or_else(|| bad("too short"))?;
        let [codec, l0, l1, l2, l3, sum @ ..] = *header;
        if checksum(&header[..5], data) != u64::from_le_bytes(sum) {
            return Err(bad("its checksum does not match"));
        }
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        match codec {
            PLAIN if len == data.len() => Ok(data.into()),
            ZSTD if len <= RECORD_MAX => decompress(data, len),
            PLAIN | ZSTD => Err(bad("its length is not what it says")),
            _ => Err(bad("its codec is of a later version")),
        }
    }
}

fn named(bad: Bad, what: std::fmt::Arguments<'_>) -> StoreError {
    StoreError::Corrupt(format!("{what}: {}", bad.why()))
}

fn compress(record: &[u8]) -> Option<Vec<u8>> {
    if record.len() < COMPRESS_FROM {
        return None;
    }
    let smaller = zstd::bulk::compress(record, LEVEL).ok()?;
    (smaller.len() < record.len()).then_some(smaller)
}

fn decompress(data: &[u8], len: usize) -> Result<Bytes, Bad> {
    let mut record: Bytes = std::iter::repeat_n(0, len).collect();
    let place = Arc::get_mut(&mut record).expect("nobody else has it yet");
    match zstd::bulk::decompress_to_buffer(data, place) {
        Ok(filled) if filled == len => Ok(record),
        _ => Err(bad("it does not decompress to the length it says")),
    }
}

/// Hashes a record, so that the same one is known again.
pub(super) fn mark(record: &[u8]) -> u128 {
    let mut hash = SipHasher13::new();
    hash.write(record);
    hash.finish128().as_u128()
}

fn checksum(header: &[u8], data: &[u8]) -> u64 {
    let mut hash = SipHasher13::new();
    hash.write(header);
    hash.write(data);
    hash.finish128().h1
}
