//! What is written can be read, byte for byte as documented, and nothing else can.

use std::sync::Arc;

use proptest::prelude::*;
use redis::Value;
use zonesync_core::digest::Fingerprint;
use zonesync_core::election::{Report, Role};
use zonesync_core::format::{Filter, Snapshot};
use zonesync_core::history::{Reign, TermList};
use zonesync_core::id::{
    Epoch, InstanceId, NUMBER_MAX, Position, Sequence, Term, TermId, ZoneName,
};

use super::keys::Keys;
use super::reply::Parts;
use super::seal::{Place, Seal};
use super::{head, report, text};
use crate::runtime::{Runtime, Task};
use crate::store::redis::{Encryption, EncryptionKey};
use crate::store::{HeadUpdate, StoreError};

/// Draws the same number for ever.
#[derive(Debug)]
struct Fixed;

impl Runtime for Fixed {
    fn spawn(&self, _task: Task) {
        unreachable!("nothing here runs in the background")
    }

    fn random(&self) -> u128 {
        0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100
    }
}

fn zone() -> ZoneName {
    "orders".parse().unwrap()
}

fn key(id: &str, byte: u8) -> EncryptionKey {
    EncryptionKey::new(id, [byte; 32]).unwrap()
}

fn seal(encryption: Option<&Encryption>) -> Seal {
    Seal::new(&zone(), encryption, &(Arc::new(Fixed) as Arc<dyn Runtime>))
}

fn at(epoch: u64, id: u128, sequence: u64) -> Position {
    Position { term: Term { epoch: Epoch(epoch), id: TermId(id) }, sequence: Sequence(sequence) }
}

prop_compose! {
    fn positions()(epoch in 0..=NUMBER_MAX, id in any::<u128>(), sequence in 0..=NUMBER_MAX) -> Position {
        at(epoch, id, sequence)
    }
}

proptest! {
    #[test]
    fn a_text_gives_back_what_was_written(
        places in prop::collection::vec(positions(), 1..16),
        chunks in any::<u32>(),
        hash in any::<u128>(),
    ) {
        let place = places[0];
        prop_assert_eq!(text::read_position(&text::position(place)), Ok(place));
        prop_assert_eq!(text::read_term(&text::term(place.term)), Ok(place.term));
        let snapshot = Snapshot { position: place, chunks, bytes: 7, hash };
        prop_assert_eq!(text::read_snapshot(&text::snapshot(&snapshot)), Ok(snapshot));
        let reigns: Vec<_> =
            places.iter().map(|p| Reign { term: p.term, last: p.sequence }).collect();
        let list = TermList::from_reigns(&reigns);
        prop_assert_eq!(text::read_list(&text::list(&list)), Ok(list));
    }

    #[test]
    fn any_text_is_read_or_refused(garbage in "[0-9a-f os-]{0,80}") {
        if let Ok(position) = text::read_position(&garbage) {
            prop_assert_eq!(text::position(position), garbage.clone());
        }
        let _ = (text::read_list(&garbage), text::read_claims(&garbage));
        let _ = (text::read_snapshot(&garbage), text::read_term(&garbage));
    }

    #[test]
    fn a_sealed_record_is_given_back_and_damage_is_found(
        record in prop::collection::vec(0..4_u8, 0..2000),
        wound in any::<prop::sample::Index>(),
        by in 1..=u8::MAX,
        encrypted in any::<bool>(),
    ) {
        let keys = encrypted.then(|| Encryption::new(key("k", 7), []));
        let (seal, place) = (seal(keys.as_ref()), Place::Chunk(at(1, 2, 3), 4));
        let mut stored = seal.close(place, &record).unwrap();
        prop_assert_eq!(&*seal.open(place, &stored).unwrap(), &*record);
        let wound = wound.index(stored.len());
        stored[wound] = stored[wound].wrapping_add(by);
        prop_assert!(seal.open(place, &stored).is_err());
        stored.truncate(wound);
        prop_assert!(seal.open(place, &stored).is_err());
    }

    #[test]
    fn garbage_is_refused(
        codec in 0..4_u8,
        garbage in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let stored = [&[codec][..], &garbage].concat();
        for keys in [None, Some(Encryption::new(key("k", 7), []))] {
            prop_assert!(seal(keys.as_ref()).open(Place::Head("guard"), &stored).is_err());
        }
        let bytes = |bytes: &[u8]| Value::BulkString(bytes.to_vec());
        let parts = vec![bytes(&[b'0'; 32]), bytes(b"-"), bytes(&[b"R\x01", &*garbage].concat())];
        let _ = report::read_all(Parts::of(Value::Array(parts)).unwrap());
        for field in ["at", "list", "claims", "digest", "snapshot", "format"] {
            let fields = vec![bytes(field.as_bytes()), bytes(&garbage)];
            let _ = head::read(Parts::of(Value::Array(fields)).unwrap(), &seal(None));
        }
    }
}

#[test]
fn a_record_is_stored_as_documented() {
    let place = Place::Entry(at(7, 1, 42));
    let plain = seal(None).close(place, b"record").unwrap();
    assert_eq!(plain, b"\x00\x06\x00\x00\x00\x0e\xbf\xb2\xfc\xf2\x71\xbc\xcbrecord");

    let keys = Encryption::new(key("first", 1), []);
    let sealed = seal(Some(&keys)).close(place, b"record").unwrap();
    let nonce: Vec<u8> = (0..16).chain(0..8).collect();
    assert_eq!(sealed[..31], [&b"\x02\x05first"[..], &nonce].concat());
    assert_eq!(sealed.len(), 31 + 5 + 6 + 16, "codec, length, record and tag");
}

#[test]
fn a_length_is_not_trusted() {
    // Says that four bytes of zstd become 4 GiB.
    let mut stored = seal(None).close(Place::Head("guard"), &[0; 200]).unwrap();
    assert_eq!(stored[0], 1, "it was worth compressing");
    stored[1..5].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(seal(None).open(Place::Head("guard"), &stored).is_err());
}

#[test]
fn an_encrypted_record_is_read_in_its_own_place_alone() {
    let keys = Encryption::new(key("a", 1), []);
    let seal_a = seal(Some(&keys));
    let place = Place::Chunk(at(1, 2, 3), 4);
    let stored = seal_a.close(place, b"record").unwrap();
    for other in
        [Place::Chunk(at(1, 2, 3), 5), Place::Chunk(at(1, 2, 4), 4), Place::Entry(at(1, 2, 3))]
    {
        assert!(matches!(seal_a.open(other, &stored), Err(StoreError::Corrupt(_))), "{other}");
    }
    let runtime = Arc::new(Fixed) as Arc<dyn Runtime>;
    let elsewhere = Seal::new(&"other".parse().unwrap(), Some(&keys), &runtime);
    assert!(elsewhere.open(place, &stored).is_err());
}

#[test]
fn all_keys_read_and_the_first_writes() {
    let place = Place::Head("digest");
    let old = seal(Some(&Encryption::new(key("old", 1), []))).close(place, b"x").unwrap();
    let both = seal(Some(&Encryption::new(key("new", 2), [key("old", 1)])));
    assert_eq!(&*both.open(place, &old).unwrap(), b"x");
    let new = both.close(place, b"x").unwrap();
    let only = seal(Some(&Encryption::new(key("new", 2), [])));
    assert_eq!(&*only.open(place, &new).unwrap(), b"x");
    assert!(matches!(only.open(place, &old), Err(StoreError::Denied(_))));
    assert!(matches!(seal(None).open(place, &new), Err(StoreError::Denied(_))));
    assert_ne!(only.mark(b"x"), seal(None).mark(b"x"), "a mark tells nothing without the key");
}

#[test]
fn plaintext_is_refused_unless_allowed() {
    let place = Place::Head("digest");
    let plain = seal(None).close(place, b"x").unwrap();
    let mut keys = Encryption::new(key("k", 1), []);
    assert!(matches!(seal(Some(&keys)).open(place, &plain), Err(StoreError::Denied(_))));
    keys.plaintext = true;
    assert_eq!(&*seal(Some(&keys)).open(place, &plain).unwrap(), b"x");
    assert!(!format!("{keys:?}").contains("1, 1"), "a key is not shown");
}

#[test]
fn keys_share_a_hash_tag() {
    let keys = Keys::new(&zone());
    assert_eq!(keys.head, "zonesync:{orders}:head");
    let chunk = "zonesync:{orders}:snap:7:0000000000000000000000000000000a:42:3";
    assert_eq!(keys.chunk(at(7, 10, 42), 3), chunk);
}

#[test]
fn a_report_is_stored_as_documented() {
    let report = Report {
        node: "node".parse().unwrap(),
        instance: InstanceId(9),
        role: Role::Observer,
        position: at(1, 2, 3),
        seen: Epoch(4),
        fingerprint: Fingerprint(5),
        count: 6,
        can_stand: true,
        format: 7,
        filter: Filter(8),
        reading: Some(at(1, 2, 3)),
    };
    let mut expected = format!("1-3-{:032x} R\x01\x02", 2).into_bytes();
    expected.extend(1_u64.to_le_bytes());
    expected.extend(2_u128.to_le_bytes());
    expected.extend(3_u64.to_le_bytes());
    expected.extend(4_u64.to_le_bytes());
    expected.extend(5_u128.to_le_bytes());
    expected.extend(6_u64.to_le_bytes());
    expected.extend([1, 7, 0]);
    expected.extend(8_u128.to_le_bytes());
    expected.extend(b"\x04node");
    assert_eq!(report::encode(&report), expected);

    let space = expected.iter().position(|byte| *byte == b' ').unwrap();
    let stored = [
        text::id(9).into_bytes(),
        expected[..space].to_vec(),
        [&expected[space + 1..], b"of a later version"].concat(),
    ];
    let parts = Parts::of(Value::Array(stored.map(Value::BulkString).into())).unwrap();
    assert_eq!(report::read_all(parts), Ok(vec![report]));
}

#[test]
fn a_head_gives_back_what_was_put() {
    let mut list = TermList::new();
    list.advance(at(1, 2, 3));
    let update = HeadUpdate { filter: Some(Filter(9)), ..HeadUpdate::default() };
    let args = head::update_args(&update, &seal(None)).unwrap();
    assert_eq!(args[..4], [&b""[..], b"", &[b'0'; 32], b"1"].map(<[u8]>::to_vec));
    let fields = [b"at".to_vec(), text::position(at(1, 2, 3)).into()];
    let fields = fields.into_iter().chain([b"list".to_vec(), text::list(&list).into()]);
    let fields = fields.chain([b"incarnation".to_vec(), args[2].clone()]);
    let fields: Vec<_> = fields.chain(args[4..].to_vec()).map(Value::BulkString).collect();
    let parts = Parts::of(Value::Array(fields)).unwrap();
    let (head, _) = head::read(parts, &seal(None)).unwrap().unwrap();
    assert_eq!((head.list, head.filter, head.format), (list, Filter(9), 1));
}

#[test]
fn a_head_of_a_newer_format_is_told_as_such() {
    let fields = [("at", "1-2-00000000000000000000000000000003"), ("format", "99")];
    let fields = fields.into_iter().flat_map(|(name, value)| [name, value]);
    let fields = fields.map(|text| Value::BulkString(text.into())).collect();
    let parts = Parts::of(Value::Array(fields)).unwrap();
    assert_eq!(head::read(parts, &seal(None)).unwrap_err(), StoreError::Format(99));
}
