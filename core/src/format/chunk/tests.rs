use proptest::prelude::*;
use std::vec::Vec;

use super::*;
use crate::entity::Kind;
use crate::format::items::Pushed;
use crate::format::testing::*;

type Parts = Vec<(KeyParts, Vec<u8>)>;

fn parts(count: core::ops::Range<usize>) -> impl Strategy<Value = Parts> {
    let payload = prop::collection::vec(any::<u8>(), 0..60);
    prop::collection::vec((key_parts(), payload), count)
}

fn record(position: Position, number: u32, parts: &Parts) -> Vec<u8> {
    record_in(FormatRange::KNOWN.oldest, position, number, parts)
}

fn record_in(format: u16, position: Position, number: u32, parts: &Parts) -> Vec<u8> {
    let mut writer = ChunkWriter::in_format(format, position, number);
    for (parts, payload) in parts {
        assert_eq!(writer.push(key(parts), payload), Ok(Pushed::Taken));
    }
    writer.finish()
}

proptest! {
    #[test]
    fn a_chunk_gives_back_what_was_pushed(
        parts in parts(0..20),
        position in positions(),
        number in any::<u32>(),
        format in formats(),
    ) {
        let bytes = record_in(format, position, number, &parts);
        let chunk = Chunk::decode(&bytes).unwrap();
        prop_assert_eq!((chunk.position(), chunk.number()), (position, number));
        prop_assert_eq!(chunk.len(), parts.len());
        prop_assert!(chunk.entities().eq(parts.iter().map(|(k, p)| (key(k), &p[..]))));
    }

    #[test]
    fn damage_is_always_found(
        parts in parts(0..5),
        at in any::<prop::sample::Index>(),
        flip in any::<u8>(),
        format in formats(),
    ) {
        let damaged = damage(&record_in(format, Position::START, 0, &parts), at, flip);
        prop_assert!(Chunk::decode(&damaged).is_err());
    }

    #[test]
    fn sealed_garbage_never_panics(
        parts in parts(1..5),
        wounds in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        format in formats(),
    ) {
        let mut bytes = record_in(format, Position::START, 0, &parts);
        bytes.truncate(bytes.len() - 8);
        for (at, value) in wounds {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let sealed = seal(bytes);
        if let Ok(chunk) = Chunk::decode(&sealed) {
            prop_assert_eq!(chunk.entities().count(), chunk.len());
        }
    }

    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Chunk::decode(&bytes).is_err());
        prop_assert!(super::super::Batch::decode(&bytes).is_err());
        prop_assert!(super::super::Head::decode(&bytes).is_err());
    }
}

#[test]
fn the_bytes_stand() {
    let mut writer = ChunkWriter::new(Position::START, 7);
    assert_eq!(writer.push(EntityKey::api_key("s", "i", "u"), b"p"), Ok(Pushed::Taken));
    let mut expected = std::vec![b'C', 1, 0];
    expected.extend([1, 36, 0, 0, 0]);
    expected.extend([0; 32]);
    expected.extend([7, 0, 0, 0]);
    expected.extend([2, 23, 0, 0, 0, 1, 0, 0, 0]);
    expected.extend([15, 0, 0, 0, 14, 1, 0, 1, 0, 1, 0, b's', b'i', b'u', 1, 0, 0, 0, b'p']);
    assert_eq!(writer.finish(), seal(expected));
}

#[test]
fn the_second_format_is_shorter_and_no_reader_of_the_first_takes_it() {
    let parts = std::vec![((14, ["s", "i", "u"].map(Into::into)), std::vec![7])];
    let (old, new) = (record(Position::START, 7, &parts), record_in(2, Position::START, 7, &parts));
    assert_eq!(new.len(), old.len() - 3);
    assert_eq!(new[..3], [b'C', 2, 0]);
    let first = FormatRange::up_to(1);
    assert!(Chunk::decode_within(&old, first).is_ok());
    assert_eq!(Chunk::decode_within(&new, first).err(), Some(DecodeError::NewerFormat(2)));
}

#[test]
fn a_chunk_keeps_its_bound() {
    let payload = [7; 470];
    let mut writer = ChunkWriter::new(Position::START, 0);
    while writer.push(EntityKey::new(Kind::API, "api"), &payload) == Ok(Pushed::Taken) {}
    let bytes = writer.finish();
    assert!(bytes.len() <= CHUNK_BYTES_MAX);
    assert!(bytes.len() > CHUNK_BYTES_MAX - 700, "it is filled");

    let large = std::vec![7; 2 << 20];
    let mut writer = ChunkWriter::new(Position::START, 0);
    assert_eq!(writer.push(EntityKey::new(Kind::API, "api"), &large), Ok(Pushed::Taken));
    assert_eq!(writer.push(EntityKey::new(Kind::API, "api"), b""), Ok(Pushed::Full));
}

#[test]
fn the_hash_of_a_snapshot_depends_on_each_chunk_and_their_order() {
    let hash = |chunks: &[&[u8]]| {
        let mut hash = SnapshotHash::new();
        chunks.iter().for_each(|chunk| hash.add(chunk));
        hash.finish()
    };
    let (a, b) = (record(Position::START, 0, &Vec::new()), record(Position::START, 1, &Vec::new()));
    assert_eq!(hash(&[&a, &b]), hash(&[&a, &b]));
    assert_ne!(hash(&[&a, &b]), hash(&[&b, &a]));
    assert_ne!(hash(&[&a]), hash(&[&a, &b]));
}
