//! How records are stored: compressed where that helps, and encrypted if there is a key.
//!
//! A stored record is a codec (one byte: 0 plain, 1 zstd), the length of the record (four bytes), a
//! checksum (eight bytes) and the data. Numbers are little endian. The checksum is SipHash-1-3-128
//! with a zero key over codec, length and data, the low 64 bits: damage is found before anything is
//! decompressed. The length is bounded before anything is allocated.
//!
//! An encrypted one is the byte 2 and what `cipher` makes of codec, length and data.

use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use siphasher::sip128::{Hasher128, SipHasher13};
use zonesync_core::entity::PAYLOAD_MAX;
use zonesync_core::id::{Position, ZoneName};

use super::cipher::Cipher;
use super::reply::{Bad, bad};
use super::text;
use crate::runtime::Runtime;
use crate::store::redis::options::Encryption;
use crate::store::{Bytes, StoreError};

const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
const ENCRYPTED: u8 = 2;

/// Codec, length and checksum.
const HEADER: usize = 1 + 4 + 8;

/// Codec and length: inside the encryption, that needs no checksum.
const INNER: usize = 1 + 4;

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

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(field) => write!(f, "head {field}"),
            Self::Entry(at) => write!(f, "entry {}", text::position(*at)),
            Self::Chunk(at, number) => write!(f, "chunk {} {number}", text::position(*at)),
        }
    }
}

/// Turns records into what is stored, and back.
#[derive(Clone, Debug)]
pub(super) struct Seal {
    zone: ZoneName,
    cipher: Option<Arc<Cipher>>,
}

impl Seal {
    pub(super) fn new(
        zone: &ZoneName,
        encryption: Option<&Encryption>,
        runtime: &Arc<dyn Runtime>,
    ) -> Self {
        let cipher = encryption.map(|keys| Arc::new(Cipher::new(keys, Arc::clone(runtime))));
        Self { zone: zone.clone(), cipher }
    }

    /// Names the key that is written with; nothing without one.
    pub(super) fn key(&self) -> &str {
        self.cipher.as_ref().map_or("", |cipher| cipher.key())
    }

    /// Makes what is stored of `record`.
    pub(super) fn close(&self, place: Place, record: &[u8]) -> Result<Vec<u8>, StoreError> {
        if record.len() > RECORD_MAX {
            return Err(StoreError::Denied(format!("{place} has {} bytes", record.len())));
        }
        let compressed = compress(record);
        let codec = if compressed.is_some() { ZSTD } else { PLAIN };
        let data = compressed.as_deref().unwrap_or(record);
        let mut inner = [codec; INNER];
        inner[1..].copy_from_slice(&(record.len() as u32).to_le_bytes());
        if let Some(cipher) = &self.cipher {
            return Ok(cipher.encrypt(ENCRYPTED, self.context(place).as_bytes(), &inner, data));
        }
        let mut stored = Vec::with_capacity(HEADER + data.len());
        stored.extend_from_slice(&inner);
        stored.extend_from_slice(&checksum(&inner, data).to_le_bytes());
        stored.extend_from_slice(data);
        Ok(stored)
    }

    /// Gives the record that is stored.
    pub(super) fn open(&self, place: Place, stored: &[u8]) -> Result<Bytes, StoreError> {
        let corrupt = |bad: Bad| StoreError::Corrupt(format!("{place}: {}", bad.why()));
        match (stored.split_first(), &self.cipher) {
            (Some((&ENCRYPTED, sealed)), Some(cipher)) => {
                let inner = cipher.decrypt(place, self.context(place).as_bytes(), sealed)?;
                unpack(&inner).map_err(corrupt)
            }
            (Some((&ENCRYPTED, _)), None) => Err(StoreError::Denied(
                "the zone is encrypted, and this node has no key for it".into(),
            )),
            (_, Some(cipher)) if !cipher.takes_plaintext() => Err(StoreError::Denied(format!(
                "{place} is not encrypted, and this node has a key: allow plaintext while the zone \
                 moves over"
            ))),
            _ => verify(stored).map_err(corrupt),
        }
    }

    /// Hashes a record, so that the same one is known again. Without the key, the hash of an
    /// encrypted zone tells nothing.
    pub(super) fn mark(&self, record: &[u8]) -> u128 {
        let key = self.cipher.as_ref().map(|cipher| cipher.mark_key()).unwrap_or_default();
        let mut hash = SipHasher13::new_with_key(&key);
        hash.write(record);
        hash.finish128().as_u128()
    }

    /// Says what a record is of: an encrypted one can be read in its own place only.
    fn context(&self, place: Place) -> String {
        format!("zonesync {} {place}", self.zone)
    }
}

fn verify(stored: &[u8]) -> Result<Bytes, Bad> {
    let short = || bad("too short");
    let (inner, rest) = stored.split_first_chunk::<INNER>().ok_or_else(short)?;
    let (sum, data) = rest.split_first_chunk().ok_or_else(short)?;
    if checksum(inner, data) != u64::from_le_bytes(*sum) {
        return Err(bad("its checksum does not match"));
    }
    unpack_parts(inner, data)
}

fn unpack(inner: &[u8]) -> Result<Bytes, Bad> {
    let (inner, data) = inner.split_first_chunk().ok_or_else(|| bad("too short"))?;
    unpack_parts(inner, data)
}

fn unpack_parts(inner: &[u8; INNER], data: &[u8]) -> Result<Bytes, Bad> {
    let [codec, len @ ..] = *inner;
    let len = u32::from_le_bytes(len) as usize;
    match codec {
        PLAIN if len == data.len() => Ok(data.into()),
        ZSTD if len <= RECORD_MAX => decompress(data, len),
        PLAIN | ZSTD => Err(bad("its length is not what it says")),
        _ => Err(bad("its codec is of a later version")),
    }
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

fn checksum(header: &[u8], data: &[u8]) -> u64 {
    let mut hash = SipHasher13::new();
    hash.write(header);
    hash.write(data);
    hash.finish128().h1
}
