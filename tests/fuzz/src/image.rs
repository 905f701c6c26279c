//! Images, as a disk gives them: any bytes, and frames that have their checksums.
//!
//! An input that is no image is a list of parts, each a letter, its length in two bytes and its
//! record without the checksum: `C` a chunk, `S` a head, `B` a batch, `H` a mark in the journal.

use zonesync::image::{decode, verify};
use zonesync_core::digest::{Digest, DigestKey};
use zonesync_core::format::chunk::{Chunk, SnapshotHash};
use zonesync_core::format::{Batch, Head, Snapshot};

use crate::seal::{self, at, sealed, sum, unsealed};

const MAGIC: &[u8; 16] = b"zonesync image\n\0";
const SEED: u128 = 77;

/// Reads an image, and loads it.
pub fn run(bytes: &[u8]) {
    let image = if bytes.starts_with(MAGIC) { bytes.to_vec() } else { build(bytes) };
    let key = DigestKey::default();
    if let Ok(image) = decode(&image, None) {
        assert_eq!(image.journal().count(), image.journal_len());
    }
    let _ = verify(&image, &key);
}

/// An image as parts, and one as bytes.
pub fn seeds() -> Vec<Vec<u8>> {
    let position = at(3, 14);
    let mark = Head { digest: Digest::EMPTY, ..seal::head(position) };
    let parts = [
        (b'C', seal::chunk(position)),
        (b'S', seal::head(position).encode()),
        (b'H', mark.encode()),
        (b'B', seal::batch(position)),
    ];
    let mut seed = Vec::new();
    for (letter, record) in &parts {
        let record = unsealed(record);
        seed.push(*letter);
        seed.extend_from_slice(&(record.len() as u16).to_le_bytes());
        seed.extend_from_slice(record);
    }
    let image = build(&seed);
    let read = decode(&image, None).expect("an image");
    assert_eq!((read.chunks.len(), read.journal_len()), (1, 2));
    vec![image, seed]
}

/// Takes the parts of an input.
fn parts(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let ([letter, low, high], rest) = bytes.split_first_chunk()?;
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        let (part, rest) = rest.split_at(length);
        bytes = rest;
        Some((*letter, part))
    })
}

/// Makes an image of parts, whose head names the chunks before it, and what they sum up to.
fn build(bytes: &[u8]) -> Vec<u8> {
    let mut image = Frames::begin();
    let (mut digest, mut hash, mut count, mut size) = (Digest::EMPTY, SnapshotHash::new(), 0, 0);
    // What comes in the journal must follow.
    let mut state = (at(0, 0), digest.fingerprint());
    for (letter, part) in parts(bytes) {
        let mut record = sealed(part);
        match letter {
            b'C' => {
                if let Ok(chunk) = Chunk::decode(&record) {
                    for (key, payload) in chunk.entities() {
                        digest.add(key.kind, DigestKey::default().version(key, payload));
                    }
                }
                hash.add(&record);
                (count, size) = (count + 1, size + record.len() as u64);
                image.put(b'C', &record);
            }
            b'S' => {
                if let Ok(mut head) = Head::decode(&record) {
                    let position = head.position();
                    let hash = hash.finish();
                    head.snapshot = Some(Snapshot { position, chunks: count, bytes: size, hash });
                    head.digest = digest.clone();
                    state = (position, digest.fingerprint());
                    record = head.encode();
                }
                image.put(b'S', &[&[0; 8][..], &record].concat());
            }
            _ => {
                match (Batch::decode(&record), Head::decode(&record)) {
                    (Ok(batch), _) => {
                        let (previous, before) = state;
                        let meta =
                            zonesync_core::format::BatchMeta { previous, before, ..*batch.meta() };
                        state = (meta.position, meta.after);
                        record = seal::with_meta(&batch, meta);
                    }
                    (_, Ok(mut head)) if letter == b'H' => {
                        head.digest = digest.clone();
                        state = (head.position(), digest.fingerprint());
                        record = head.encode();
                    }
                    _ => {}
                }
                let length = (record.len() as u32).to_le_bytes();
                image.put(b'J', &[&[0; 8][..], &length, &record].concat());
            }
        }
    }
    image.0
}

/// An image under way.
struct Frames(Vec<u8>);

impl Frames {
    fn begin() -> Self {
        let mut image = Self(MAGIC.to_vec());
        image.0.extend_from_slice(&1_u16.to_le_bytes());
        image.0.extend_from_slice(&SEED.to_le_bytes());
        let sum = sum(0, &[&image.0]);
        image.0.extend_from_slice(&sum.to_le_bytes());
        let name = b"fuzz";
        let identity = [&4_u32.to_le_bytes()[..], name, &[0; 32]].concat();
        image.put(b'I', &identity);
        image
    }

    fn put(&mut self, kind: u8, body: &[u8]) {
        let (at, length) = ((self.0.len() as u64).to_le_bytes(), (body.len() as u32).to_le_bytes());
        let speaks = if kind == b'C' { &body[body.len().saturating_sub(8)..] } else { body };
        let head_sum = sum(SEED, &[&at, &[kind], &length]) as u32;
        let body_sum = sum(SEED, &[&at, &[kind], &length, speaks]);
        self.0.push(kind);
        self.0.extend_from_slice(&length);
        self.0.extend_from_slice(&head_sum.to_le_bytes());
        self.0.extend_from_slice(body);
        self.0.extend_from_slice(&body_sum.to_le_bytes());
    }
}
