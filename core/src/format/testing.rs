//! What the tests of several records share.

use proptest::prelude::*;
use std::string::String;
use std::vec::Vec;

use super::FormatRange;
use crate::entity::Kind;
use crate::history::{Reign, TermList};
use crate::id::{EntityKey, Epoch, NUMBER_MAX, Position, Sequence, Term, TermId};

/// The parts of a key, of any kind that a zone can carry.
pub(super) type KeyParts = (u8, [String; 3]);

pub(super) fn key_parts() -> impl Strategy<Value = KeyParts> {
    let part = prop_oneof![9 => "[a-z0-9é-]{0,40}", 1 => "[a-z]{250,260}"];
    (1..32_u8, prop::array::uniform3(part))
}

/// Each format that this version knows.
pub(super) fn formats() -> impl Strategy<Value = u16> {
    FormatRange::KNOWN.oldest..=FormatRange::KNOWN.newest
}

pub(super) fn key((code, [scope, id, subscription]): &KeyParts) -> EntityKey<'_> {
    EntityKey { kind: Kind::from_code(*code).unwrap(), scope, id, subscription }
}

pub(super) fn positions() -> impl Strategy<Value = Position> {
    (0..=NUMBER_MAX, any::<u128>(), 0..=NUMBER_MAX).prop_map(|(epoch, id, sequence)| Position {
        term: Term { epoch: Epoch(epoch), id: TermId(id) },
        sequence: Sequence(sequence),
    })
}

pub(super) fn lists() -> impl Strategy<Value = TermList> {
    prop::collection::vec(positions(), 0..=16).prop_map(|positions| {
        let reign = |p: Position| Reign { term: p.term, last: p.sequence };
        TermList::from_reigns(&positions.into_iter().map(reign).collect::<Vec<_>>())
    })
}

/// Damages a record: cuts it at `at` and, if `flip` is not zero, flips bits there instead.
pub(super) fn damage(record: &[u8], at: prop::sample::Index, flip: u8) -> Vec<u8> {
    let at = at.index(record.len());
    let mut damaged = record.to_vec();
    if flip == 0 {
        damaged.truncate(at);
    } else {
        damaged[at] ^= flip;
    }
    damaged
}

/// Puts bytes of a field with an unknown tag before the checksum, and the right checksum behind.
pub(super) fn with_unknown_field(record: &[u8], tag: u8, content: &[u8]) -> Vec<u8> {
    let mut grown = record[..record.len() - 8].to_vec();
    grown.push(tag);
    grown.extend_from_slice(&(content.len() as u32).to_le_bytes());
    grown.extend_from_slice(content);
    seal(grown)
}

/// Puts the right checksum behind bytes.
pub(super) fn seal(mut record: Vec<u8>) -> Vec<u8> {
    let sum = super::record::checksum(&record);
    record.extend_from_slice(&sum.to_le_bytes());
    record
}
