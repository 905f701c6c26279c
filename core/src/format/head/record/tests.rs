use proptest::prelude::*;
use std::vec::Vec;

use super::*;
use crate::entity::Version;
use crate::format::testing::*;
use crate::format::{FORMAT, FormatRange};

fn kinds() -> impl Strategy<Value = Kind> {
    (1..32_u8).prop_map(|code| Kind::from_code(code).unwrap())
}

fn claims() -> impl Strategy<Value = Claims> {
    prop::collection::vec((positions(), any::<bool>()), 0..=CLAIMS_MAX).prop_map(|claims| {
        let state = |settled| if settled { ClaimState::Settled } else { ClaimState::Open };
        let claim = |(position, settled)| Claim { position, state: state(settled) };
        Claims::from_claims(&claims.into_iter().map(claim).collect::<Vec<_>>())
    })
}

fn snapshots() -> impl Strategy<Value = Option<Snapshot>> {
    let parts = (positions(), any::<u32>(), any::<u64>(), any::<u128>());
    prop::option::of(parts.prop_map(|(position, chunks, bytes, hash)| Snapshot {
        position,
        chunks,
        bytes,
        hash,
    }))
}

fn digests() -> impl Strategy<Value = Digest> {
    prop::collection::vec((kinds(), 1..u128::MAX), 0..20).prop_map(|versions| {
        let mut digest = Digest::EMPTY;
        versions.into_iter().for_each(|(kind, version)| digest.add(kind, Version(version)));
        digest
    })
}

fn sources() -> impl Strategy<Value = Source> {
    prop::collection::vec((kinds(), any::<i64>()), 0..20).prop_map(|dates| {
        let mut source = Source::default();
        for (kind, date) in dates {
            source.advance(kind, WallTime::from_millis(date));
        }
        source
    })
}

fn guards() -> impl Strategy<Value = GuardData> {
    let step = (kinds(), any::<i64>(), 0..100_000_000_i64, 0..100_u64, any::<bool>());
    (prop::collection::vec(step, 0..20), digests()).prop_map(|(steps, digest)| {
        let mut guard = GuardData::new();
        for (kind, jump, near, count, near_by) in steps {
            let now = WallTime::from_millis(if near_by { near } else { jump });
            guard.observe(now, &digest);
            guard.pass(now, kind, count);
            if count % 3 == 0 {
                guard.hold(kind, count, Token(count));
            }
        }
        guard
    })
}

prop_compose! {
    fn heads()(
        incarnation in any::<u128>(),
        list in lists(),
        claims in claims(),
        snapshot in snapshots(),
        digest in digests(),
        source in sources(),
        filter in any::<u128>().prop_map(Filter),
        guard in guards(),
        format in formats(),
    ) -> Head {
        Head { incarnation, format, list, claims, snapshot, digest, source, filter, guard }
    }
}

proptest! {
    #[test]
    fn a_head_gives_back_what_it_was(head in heads()) {
        prop_assert_eq!(Head::decode(&head.encode()), Ok(head));
    }

    #[test]
    fn damage_is_always_found(
        head in heads(),
        at in any::<prop::sample::Index>(),
        flip in any::<u8>(),
    ) {
        prop_assert!(Head::decode(&damage(&head.encode(), at, flip)).is_err());
    }

    #[test]
    fn sealed_garbage_never_panics(
        head in heads(),
        wounds in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = head.encode();
        bytes.truncate(bytes.len() - 8);
        for (at, value) in wounds {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(head) = Head::decode(&seal(bytes)) {
            prop_assert_eq!(Head::decode(&head.encode()), Ok(head));
        }
    }
}

fn empty() -> Head {
    Head {
        incarnation: 7,
        format: 1,
        list: Default::default(),
        claims: Claims::new(),
        snapshot: None,
        digest: Digest::EMPTY,
        source: Source::default(),
        filter: Filter(9),
        guard: GuardData::new(),
    }
}

#[test]
fn the_bytes_stand() {
    let mut head = empty();
    head.digest.add(Kind::API, Version(3));
    head.source.advance(Kind::API, WallTime::from_millis(4));
    head.guard.hold(Kind::API, 5, Token(6));
    let mut expected = std::vec![b'H', 1, 0, 1, 16, 0, 0, 0];
    expected.extend(7_u128.to_le_bytes());
    expected.extend([2, 1, 0, 0, 0, 0, 3, 0, 0, 0, 0]);
    expected.extend([5, 25, 0, 0, 0, 12]);
    expected.extend(1_u64.to_le_bytes());
    expected.extend(3_u128.to_le_bytes());
    expected.extend([6, 9, 0, 0, 0, 12]);
    expected.extend(4_i64.to_le_bytes());
    expected.extend([7, 16, 0, 0, 0]);
    expected.extend(9_u128.to_le_bytes());
    expected.extend([8, 9, 0, 0, 0]);
    expected.extend([0; 9]);
    expected.extend([9, 0, 0, 0, 0, 10, 17, 0, 0, 0, 12]);
    expected.extend(5_u64.to_le_bytes());
    expected.extend(6_u64.to_le_bytes());
    assert_eq!(head.encode(), seal(expected));
}

#[test]
fn a_newer_head_is_refused_and_a_newer_field_skipped() {
    let grown = with_unknown_field(&empty().encode(), 200, b"of a later version");
    assert_eq!(Head::decode(&grown), Ok(empty()));
    let newer = Head { format: FORMAT + 1, ..empty() }.encode();
    assert_eq!(Head::decode(&newer), Err(DecodeError::NewerFormat(FORMAT + 1)));
    let second = Head { format: 2, ..empty() };
    assert_eq!(Head::decode(&second.encode()), Ok(second.clone()));
    let refused = Head::decode_within(&second.encode(), FormatRange::up_to(1));
    assert_eq!(refused, Err(DecodeError::NewerFormat(2)));
}
