use proptest::prelude::*;
use std::vec::Vec;

use super::*;
use crate::entity::{Kind, PAYLOAD_MAX};
use crate::format::items::{EncodeError, Pushed};
use crate::format::testing::*;
use crate::id::{EntityKey, ID_MAX};

const META: BatchMeta = BatchMeta {
    position: Position::START,
    previous: Position::START,
    before: Fingerprint(1),
    after: Fingerprint(2),
};

type ChangeParts = (KeyParts, Option<u128>, Option<(u128, Vec<u8>)>);

fn change_parts() -> impl Strategy<Value = ChangeParts> {
    let payload = prop::collection::vec(any::<u8>(), 0..60);
    (key_parts(), prop::option::of(1..=u128::MAX), prop::option::of((1..=u128::MAX, payload)))
}

fn change((parts, replaces, deploy): &ChangeParts) -> Change<'_> {
    let action = match deploy {
        Some((_, payload)) => Action::Deploy { payload },
        None => Action::Undeploy,
    };
    let version = deploy.as_ref().map(|(version, _)| Version(*version));
    Change { key: key(parts), action, replaces: replaces.map(Version), version }
}

fn metas() -> impl Strategy<Value = BatchMeta> {
    (positions(), positions(), any::<u128>(), any::<u128>()).prop_map(
        |(position, previous, b, a)| BatchMeta {
            position,
            previous,
            before: Fingerprint(b),
            after: Fingerprint(a),
        },
    )
}

fn record(changes: &[Change<'_>], meta: BatchMeta, list: Option<&TermList>) -> Vec<u8> {
    record_in(FormatRange::KNOWN.oldest, changes, meta, list)
}

fn record_in(
    format: u16,
    changes: &[Change<'_>],
    meta: BatchMeta,
    list: Option<&TermList>,
) -> Vec<u8> {
    let mut writer = BatchWriter::in_format(format);
    for change in changes {
        assert_eq!(writer.push(change), Ok(Pushed::Taken));
    }
    writer.finish(meta, list)
}

fn undeploy(id: &str) -> Change<'_> {
    let key = EntityKey::new(Kind::API, id);
    Change { key, action: Action::Undeploy, replaces: Some(Version(5)), version: None }
}

fn deploy(payload: &[u8]) -> Change<'_> {
    let key = EntityKey::new(Kind::API, "api");
    Change { key, action: Action::Deploy { payload }, replaces: None, version: Some(Version(9)) }
}

proptest! {
    #[test]
    fn a_batch_gives_back_what_was_pushed(
        parts in prop::collection::vec(change_parts(), 0..20),
        meta in metas(),
        list in prop::option::of(lists()),
        format in formats(),
    ) {
        let changes: Vec<_> = parts.iter().map(change).collect();
        let bytes = record_in(format, &changes, meta, list.as_ref());
        let batch = Batch::decode(&bytes).unwrap();
        prop_assert_eq!(batch.meta(), &meta);
        prop_assert_eq!(batch.list(), list.as_ref());
        prop_assert_eq!(batch.len(), changes.len());
        prop_assert_eq!(batch.changes().collect::<Vec<_>>(), &changes[..]);
        for other in FormatRange::KNOWN.oldest..=FormatRange::KNOWN.newest {
            let rewritten = record_in(other, &changes, meta, list.as_ref());
            prop_assert_eq!(batch.rewritten(other), Some(rewritten));
        }
    }

    #[test]
    fn damage_is_always_found(
        parts in prop::collection::vec(change_parts(), 0..5),
        meta in metas(),
        at in any::<prop::sample::Index>(),
        flip in any::<u8>(),
        format in formats(),
    ) {
        let changes: Vec<_> = parts.iter().map(change).collect();
        let damaged = damage(&record_in(format, &changes, meta, None), at, flip);
        prop_assert!(Batch::decode(&damaged).is_err());
    }

    /// With the right checksum behind it, so that the parts themselves are put to the test.
    #[test]
    fn sealed_garbage_never_panics(
        parts in prop::collection::vec(change_parts(), 1..5),
        wounds in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        meta in metas(),
        format in formats(),
    ) {
        let changes: Vec<_> = parts.iter().map(change).collect();
        let mut bytes = record_in(format, &changes, meta, None);
        bytes.truncate(bytes.len() - 8);
        for (at, value) in wounds {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let sealed = seal(bytes);
        if let Ok(batch) = Batch::decode(&sealed) {
            prop_assert_eq!(batch.changes().count(), batch.len());
        }
    }
}

#[test]
fn the_bytes_stand() {
    let bytes = record(&[undeploy("a"), deploy(b"p")], META, None);
    let mut expected = std::vec![b'B', 1, 0];
    expected.extend([1, 96, 0, 0, 0]);
    expected.extend([0; 64]);
    expected.extend(1_u128.to_le_bytes());
    expected.extend(2_u128.to_le_bytes());
    expected.extend([3, 69, 0, 0, 0, 2, 0, 0, 0]);
    expected.extend([25, 0, 0, 0, 12, 0, 0, 1, 0, 0, 0, b'a', 1]);
    expected.extend(5_u128.to_le_bytes());
    expected.extend([32, 0, 0, 0, 12, 0, 0, 3, 0, 0, 0, b'a', b'p', b'i', 2]);
    expected.extend(9_u128.to_le_bytes());
    expected.extend([1, 0, 0, 0, b'p']);
    assert_eq!(bytes[..bytes.len() - 8], expected);
    assert_eq!(bytes, seal(expected));
}

#[test]
fn the_bytes_of_the_second_format_stand() {
    let long = "x".repeat(300);
    let bytes = record_in(2, &[undeploy("a"), undeploy(&long)], META, None);
    let expected: &[u8] = &[22, 0, 0, 0, 12, 0, 1, 0, b'a', 1];
    let at = 3 + 5 + 96 + 5 + 4;
    assert_eq!(bytes[..3], [b'B', 2, 0]);
    assert_eq!(bytes[at..at + expected.len()], *expected);
    let expected: &[u8] = &[67, 1, 0, 0, 12, 0, 255, 44, 1, 0, b'x', b'x'];
    let at = at + 26;
    assert_eq!(bytes[at..at + expected.len()], *expected);
}

/// A version that came before a format refuses its records, and one that came after may, too.
#[test]
fn a_reader_refuses_what_is_not_of_its_range() {
    let (old, new) = (record_in(1, &[], META, None), record_in(2, &[], META, None));
    let first = FormatRange::up_to(1);
    assert!(Batch::decode_within(&old, first).is_ok());
    let newer = Batch::decode_within(&new, first).err();
    assert_eq!(newer, Some(DecodeError::NewerFormat(2)));
    let second = FormatRange { oldest: 2, newest: 2 };
    assert!(Batch::decode_within(&new, second).is_ok());
    let older = Batch::decode_within(&old, second).err();
    assert_eq!(older, Some(DecodeError::OlderFormat(1)));
}

#[test]
fn a_newer_format_is_refused_and_a_newer_field_skipped() {
    let bytes = record(&[undeploy("a")], META, None);
    let grown = with_unknown_field(&bytes, 200, b"of a later version");
    assert_eq!(Batch::decode(&grown).unwrap().changes().next(), Some(undeploy("a")));

    let twice = with_unknown_field(&bytes, super::META, &bytes[8..104]);
    let at = bytes.len() - 8;
    let value = DecodeError::Value { what: "field tag", at };
    assert_eq!(Batch::decode(&twice).err(), Some(value));

    let mut newer = bytes;
    newer[1] = 3;
    assert_eq!(Batch::decode(&newer).err(), Some(DecodeError::NewerFormat(3)));
    assert_eq!(Batch::decode(b"C").err(), Some(DecodeError::Magic("batch")));
}

#[test]
fn a_change_may_grow_at_its_end() {
    let bytes = record(&[undeploy("a"), deploy(b"p")], META, None);
    let mut grown = bytes[..bytes.len() - 8].to_vec();
    let (field, first) = (3 + 5 + 96 + 1, 3 + 5 + 96 + 5 + 4);
    grown[field] += 3;
    grown[first] += 3;
    let end = first + 4 + 28;
    grown.splice(end - 3..end - 3, *b"new");
    let sealed = seal(grown);
    let batch = Batch::decode(&sealed).unwrap();
    assert!(batch.changes().eq([undeploy("a"), deploy(b"p")]));
}

#[test]
fn a_batch_keeps_its_bounds() {
    let mut writer = BatchWriter::new();
    for _ in 0..BATCH_CHANGES_MAX {
        assert_eq!(writer.push(&undeploy("a")), Ok(Pushed::Taken));
    }
    assert_eq!(writer.push(&undeploy("a")), Ok(Pushed::Full));
    assert_eq!(writer.len(), BATCH_CHANGES_MAX);
    let bytes = writer.finish(META, None);
    assert_eq!(Batch::decode(&bytes).unwrap().len(), BATCH_CHANGES_MAX);

    let payload = std::vec![7; 1 << 20];
    let mut writer = BatchWriter::new();
    while writer.push(&deploy(&payload)) == Ok(Pushed::Taken) {}
    assert_eq!(writer.len(), 3, "a fourth would pass 4 MiB");
    let full = TermList::from_reigns(
        &[crate::history::Reign { term: META.position.term, last: META.position.sequence }; 16],
    );
    assert!(writer.finish(META, Some(&full)).len() <= BATCH_BYTES_MAX);
}

#[test]
fn a_large_entity_gets_a_batch_of_its_own() {
    let large = std::vec![7; PAYLOAD_MAX];
    let mut writer = BatchWriter::new();
    assert_eq!(writer.push(&undeploy("a")), Ok(Pushed::Taken));
    assert_eq!(writer.push(&deploy(&large)), Ok(Pushed::Full));
    let mut writer = BatchWriter::new();
    assert_eq!(writer.push(&deploy(&large)), Ok(Pushed::Taken));
    assert_eq!(writer.push(&undeploy("a")), Ok(Pushed::Full));
    let bytes = writer.finish(META, None);
    assert!(Batch::decode(&bytes).unwrap().changes().eq([deploy(&large)]));
}

#[test]
fn what_cannot_be_read_is_not_written() {
    let mut writer = BatchWriter::new();
    let long = "x".repeat(ID_MAX + 1);
    assert_eq!(writer.push(&undeploy(&long)), Err(EncodeError::KeyTooLong));
    let large = std::vec![7; PAYLOAD_MAX + 1];
    assert_eq!(writer.push(&deploy(&large)), Err(EncodeError::PayloadTooLong));
    let gone = Change { version: None, ..deploy(b"p") };
    assert_eq!(writer.push(&gone), Err(EncodeError::Version));
    let none = Change { replaces: Some(Version(0)), ..undeploy("a") };
    assert_eq!(writer.push(&none), Err(EncodeError::Version));
    assert!(writer.is_empty());
}

#[test]
fn a_key_cut_inside_a_character_is_refused() {
    let whole = Change { key: EntityKey::subscription("é", "x"), ..undeploy("") };
    let mut bytes = record(&[whole], META, None);
    bytes.truncate(bytes.len() - 8);
    let at = 3 + 5 + 96 + 5 + 4 + 4 + 1;
    assert_eq!(bytes[at..at + 6], [2, 0, 1, 0, 0, 0]);
    bytes[at] = 1;
    bytes[at + 2] = 2;
    let value = DecodeError::Value { what: "text of a key", at: at + 6 };
    assert_eq!(Batch::decode(&seal(bytes)).err(), Some(value));
}
