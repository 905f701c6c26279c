//! The bytes of an image, as `image.rs` describes them, checked. `encode` makes them.
//!
//! [`decode`] takes any bytes. It never panics, and holds no more than a few words for each frame
//! that is really there.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};
use zonesync_core::digest::{DigestKey, Fingerprint};
use zonesync_core::entity::Kind;
use zonesync_core::format::bytes::Reader;
use zonesync_core::format::chunk::{Chunk, SnapshotHash};
use zonesync_core::format::{Batch, DecodeError, Filter, FormatRange, Head};
use zonesync_core::id::{EntityKey, Position, ZoneName};
use zonesync_core::time::WallTime;

use super::ImageError;
use crate::parallel;

/// The newest format that this version reads, and the one that it writes.
pub const FORMAT: u16 = 1;

pub(super) const MAGIC: [u8; 16] = *b"zonesync image\n\0";
pub(super) const PROLOGUE_LEN: usize = 16 + 2 + 16 + 8;
pub(super) const FRAME_HEAD_LEN: usize = 1 + 4 + 4;
pub(super) const FRAME_SUM_LEN: usize = 8;

/// The largest body that any writer makes: a chunk or batch of one entity takes 16 MiB and a little.
pub(super) const BODY_MAX: usize = 64 << 20;

pub(super) const IDENTITY: u8 = b'I';
pub(super) const CHUNK: u8 = b'C';
pub(super) const SEALED: u8 = b'S';
pub(super) const JOURNAL: u8 = b'J';

/// Whose image it is. A node takes none but its own.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The zone.
    pub zone: ZoneName,
    /// The key of the zone's digests.
    pub digest_key: DigestKey,
    /// What the node reads the repository with.
    pub filter: Filter,
    /// The formats of records that the node reads.
    pub formats: FormatRange,
}

impl Identity {
    pub(super) fn mark(&self, seed: u128) -> u128 {
        let key = EntityKey::new(Kind::API, "zonesync image");
        self.digest_key.version(key, &seed.to_le_bytes()).0
    }
}

/// An image whose bytes were checked. What it holds borrows from them.
#[derive(Clone, Debug)]
pub struct Image<'a> {
    /// Drawn when it was written.
    pub seed: u128,
    /// The zone it is of.
    pub zone: &'a str,
    /// What the snapshot is of.
    pub sealed: Head,
    /// The snapshot.
    pub chunks: Vec<Chunk<'a>>,
    formats: FormatRange,
    /// What came after it, as bytes: decoded, a small record takes a hundred times its room.
    journal: Vec<&'a [u8]>,
    /// When its state was last known to be the zone's newest.
    pub at: WallTime,
    /// Where the snapshot ends and the journal begins.
    pub snapshot_end: usize,
    /// Where the journal ends; what comes after is a torn tail.
    pub end: usize,
}

/// One step in the journal.
#[derive(Clone, Debug)]
pub enum Record<'a> {
    /// A batch that was applied.
    Batch(Box<Batch<'a>>),
    /// Where the state stands, and what belongs to it; no entity changed.
    Mark(Box<Head>),
}

impl<'a> Image<'a> {
    /// Goes through what came after the snapshot.
    pub fn journal(&self) -> impl Iterator<Item = Record<'a>> + '_ {
        // Checked before; were it not, the journal would end here.
        self.journal.iter().map_while(|record| read_record(record, self.formats).ok())
    }

    /// Counts the records of the journal.
    pub fn journal_len(&self) -> usize {
        self.journal.len()
    }
}

/// Checks an image. With `own` it must be of that zone, digest key and filter, and its records of
/// those formats.
///
/// What the entities sum up to is not checked: only whoever holds them knows that.
pub fn decode<'a>(bytes: &'a [u8], own: Option<&Identity>) -> Result<Image<'a>, ImageError> {
    let formats = own.map_or(FormatRange::KNOWN, |own| own.formats);
    let seed = read_prologue(bytes)?;
    let mut frames = Frames { bytes, at: PROLOGUE_LEN, seed };
    let zone = read_identity(frames.whole(IDENTITY)?, seed, own)?;
    let (mut records, mut hash, mut size) = (Vec::new(), SnapshotHash::new(), 0);
    let (time, sealed) = loop {
        let frame = frames.whole(0)?;
        let at = frame.body_at;
        match frame.kind {
            CHUNK => {
                hash.add(frame.body);
                size += frame.body.len() as u64;
                records.push((at, frame.body));
            }
            SEALED => {
                break read_sealed(&frame, formats).map_err(|e| ImageError::record(at, e))?;
            }
            _ => return Err(ImageError::damaged(at, "this frame does not belong here")),
        }
    };
    let chunks = read_chunks(&records, formats)?;
    let named = sealed.snapshot.filter(|snapshot| {
        snapshot.position == sealed.position()
            && usize::try_from(snapshot.chunks) == Ok(chunks.len())
            && (snapshot.bytes, snapshot.hash) == (size, hash.finish())
            && chunks.iter().all(|chunk| chunk.position() == snapshot.position)
    });
    if named.is_none() {
        return Err(ImageError::damaged(frames.at, "the chunks are not those of the snapshot"));
    }
    let snapshot_end = frames.at;
    let mut image = Image {
        seed,
        zone,
        sealed,
        chunks,
        formats,
        journal: Vec::new(),
        at: time,
        snapshot_end,
        end: snapshot_end,
    };
    read_journal(&mut image, frames)?;
    Ok(image)
}

/// Checks all chunks, on several threads: nearly all of an image is chunks.
fn read_chunks<'a>(
    records: &[(usize, &'a [u8])],
    formats: FormatRange,
) -> Result<Vec<Chunk<'a>>, ImageError> {
    let read = |(at, record): &(usize, &'a [u8])| {
        Chunk::decode_within(record, formats).map_err(|error| ImageError::record(*at, error))
    };
    let chunks = parallel::map(records, read).into_iter().collect::<Result<Vec<_>, _>>()?;
    let strays = records.iter().zip(&chunks).zip(0..);
    let stray = strays.map(|((record, chunk), number)| (record.0, chunk.number() == number));
    match stray.into_iter().find(|(_, is_here)| !is_here) {
        Some((at, _)) => Err(ImageError::damaged(at, "this chunk belongs elsewhere")),
        None => Ok(chunks),
    }
}

fn read_prologue(bytes: &[u8]) -> Result<u128, ImageError> {
    if !bytes.starts_with(&MAGIC) {
        return Err(ImageError::NotAnImage);
    }
    let short = |e| ImageError::record(MAGIC.len(), e);
    let mut reader = Reader::new(&bytes[MAGIC.len()..], MAGIC.len());
    let format = reader.u16("format number").map_err(short)?;
    if format > FORMAT {
        return Err(ImageError::NewerFormat(format));
    }
    let seed = reader.u128("seed").map_err(short)?;
    let sum = reader.u64("checksum").map_err(short)?;
    if format == 0 || sum != low(&hash(0, &[&bytes[..PROLOGUE_LEN - 8]])) {
        return Err(ImageError::damaged(0, "the first bytes do not have their checksum"));
    }
    Ok(seed)
}

fn read_identity<'a>(
    frame: Frame<'a>,
    seed: u128,
    own: Option<&Identity>,
) -> Result<&'a str, ImageError> {
    let mut reader = Reader::new(frame.body, frame.body_at);
    let mut read = || -> Result<_, DecodeError> {
        let length = usize::try_from(reader.u32("zone")?).unwrap_or(usize::MAX);
        let name = reader.take(length, "zone")?;
        Ok((name, reader.u128("mark of the digest key")?, reader.u128("filter")?))
    };
    let (name, mark, filter) = read().map_err(|e| ImageError::record(frame.body_at, e))?;
    let Some(zone) = std::str::from_utf8(name).ok().filter(|z| z.parse::<ZoneName>().is_ok())
    else {
        return Err(ImageError::damaged(frame.body_at, "the zone has no name"));
    };
    let Some(own) = own else { return Ok(zone) };
    let foreign = |what, image: String, own: String| ImageError::Foreign { what, image, own };
    if zone != own.zone.as_str() {
        return Err(foreign("zone", zone.to_owned(), own.zone.to_string()));
    }
    if mark != own.mark(seed) {
        let (image, own) = ("not this node's".to_owned(), "its own".to_owned());
        return Err(foreign("digest key", image, own));
    }
    if filter != own.filter.0 {
        let hex = |filter| format!("{filter:032x}");
        return Err(foreign("filter", hex(filter), hex(own.filter.0)));
    }
    Ok(zone)
}

fn read_sealed(frame: &Frame<'_>, formats: FormatRange) -> Result<(WallTime, Head), DecodeError> {
    let mut reader = Reader::new(frame.body, frame.body_at);
    let time = WallTime::from_millis(reader.i64("time")?);
    Ok((time, Head::decode_within(&frame.body[8..], formats)?))
}

fn read_journal<'a>(image: &mut Image<'a>, mut frames: Frames<'a>) -> Result<(), ImageError> {
    let mut state = (image.sealed.position(), image.sealed.digest.fingerprint());
    while let Some(frame) = frames.next()? {
        let at = frame.body_at;
        if frame.kind != JOURNAL {
            return Err(ImageError::damaged(at, "this frame does not belong here"));
        }
        let mut reader = Reader::new(frame.body, at);
        let time = reader.i64("time").map_err(|e| ImageError::record(at, e))?;
        image.at = image.at.max(WallTime::from_millis(time));
        while !reader.is_empty() {
            let at = reader.offset();
            let record = reader.u32("length of a record").and_then(|length| {
                reader.take(usize::try_from(length).unwrap_or(usize::MAX), "record")
            });
            let bytes = record.map_err(|e| ImageError::record(at, e))?;
            let record =
                read_record(bytes, image.formats).map_err(|e| ImageError::record(at, e))?;
            state = follow(state, &record)
                .ok_or_else(|| ImageError::damaged(at, "this does not follow what is before it"))?;
            image.journal.push(bytes);
        }
        image.end = frames.at;
    }
    Ok(())
}

fn read_record(bytes: &[u8], formats: FormatRange) -> Result<Record<'_>, DecodeError> {
    match bytes.first() {
        Some(b'H') => Ok(Record::Mark(Box::new(Head::decode_within(bytes, formats)?))),
        _ => Ok(Record::Batch(Box::new(Batch::decode_within(bytes, formats)?))),
    }
}

/// Says where a record leads from a state, if it may follow it.
fn follow(state: (Position, Fingerprint), record: &Record<'_>) -> Option<(Position, Fingerprint)> {
    match record {
        Record::Batch(batch) => {
            let meta = batch.meta();
            ((meta.previous, meta.before) == state).then_some((meta.position, meta.after))
        }
        Record::Mark(head) => {
            (head.digest.fingerprint() == state.1).then_some((head.position(), state.1))
        }
    }
}

/// Takes frames, front to back.
struct Frames<'a> {
    bytes: &'a [u8],
    at: usize,
    seed: u128,
}

struct Frame<'a> {
    kind: u8,
    body: &'a [u8],
    body_at: usize,
}

impl<'a> Frames<'a> {
    /// Takes a frame that must be there, of this kind unless it is zero.
    fn whole(&mut self, kind: u8) -> Result<Frame<'a>, ImageError> {
        let at = self.at;
        let torn =
            || ImageError::damaged(at, "the file ends inside the snapshot, or is zero there");
        let frame = self.next()?.ok_or_else(torn)?;
        if kind != 0 && frame.kind != kind {
            return Err(ImageError::damaged(at, "this frame does not belong here"));
        }
        Ok(frame)
    }

    /// Takes a frame. None at the end of the file, and at a torn tail.
    fn next(&mut self) -> Result<Option<Frame<'a>>, ImageError> {
        let at = self.at;
        let left = &self.bytes[at..];
        let mut reader = Reader::new(left, at);
        let Ok(head) = reader.take(FRAME_HEAD_LEN, "frame") else { return Ok(None) };
        let (kind, length) = (head[0], [head[1], head[2], head[3], head[4]]);
        let sum = low(&hash(self.seed, &[&(at as u64).to_le_bytes(), &[kind], &length])) as u32;
        if head[5..] != sum.to_le_bytes() {
            // The system may give a file its length before its content.
            if left.iter().all(|byte| *byte == 0) {
                return Ok(None);
            }
            return Err(ImageError::damaged(at, "a frame does not have its checksum"));
        }
        let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
        if length > BODY_MAX {
            return Err(ImageError::damaged(at, "a frame is larger than any writer makes it"));
        }
        let whole =
            reader.take(length, "body").and_then(|body| Ok((body, reader.u64("checksum")?)));
        let Ok((body, sum)) = whole else { return Ok(None) };
        if sum != frame_sum(self.seed, at, kind, body) {
            if kind == JOURNAL && reader.is_empty() {
                return Ok(None);
            }
            return Err(ImageError::damaged(at, "a frame's body does not have its checksum"));
        }
        self.at = reader.offset();
        Ok(Some(Frame { kind, body, body_at: at + FRAME_HEAD_LEN }))
    }
}

pub(super) fn frame_sum(seed: u128, at: usize, kind: u8, body: &[u8]) -> u64 {
    let speaks = if kind == CHUNK { &body[body.len().saturating_sub(8)..] } else { body };
    let (at, length) = ((at as u64).to_le_bytes(), (body.len() as u32).to_le_bytes());
    low(&hash(seed, &[&at, &[kind], &length, speaks]))
}

pub(super) fn hash(seed: u128, parts: &[&[u8]]) -> SipHasher13 {
    let mut hash = SipHasher13::new_with_key(&seed.to_le_bytes());
    parts.iter().for_each(|part| hash.write(part));
    hash
}

pub(super) fn low(hash: &SipHasher13) -> u64 {
    hash.finish128().h1
}
