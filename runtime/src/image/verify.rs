//! Working out again, from the payloads, what a state sums up to.

use serde::{Deserialize, Serialize};
use zonesync_core::digest::{Digest, DigestKey, KindDigest};
use zonesync_core::entity::{KINDS_MAX, Kind};
use zonesync_core::id::Position;

use super::ImageError;
use super::format::decode;
use super::load::build;
use crate::state::View;

/// What a state sums up to, kind by kind, beside what was announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Where the state stands.
    pub position: Position,
    /// The kinds that either side has, in the order of a cycle.
    pub kinds: Vec<KindCheck>,
}

/// Counts and sums of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindCheck {
    /// The kind's name.
    pub kind: String,
    /// How many entities are held.
    pub count: u64,
    /// What they sum up to, 32 hex digits.
    pub sum: String,
    /// How many were announced.
    pub announced_count: u64,
    /// What those sum up to.
    pub announced_sum: String,
    /// Whether both agree.
    pub agrees: bool,
}

impl Verified {
    /// Says whether all kinds agree.
    pub fn agrees(&self) -> bool {
        self.kinds.iter().all(|kind| kind.agrees)
    }

    fn new(position: Position, held: &Digest, announced: &Digest) -> Self {
        let kinds = (1..KINDS_MAX as u8).filter_map(Kind::from_code).filter_map(|kind| {
            let (held, announced) = (held.kind(kind), announced.kind(kind));
            let none = KindDigest::default();
            (held != none || announced != none).then(|| KindCheck {
                kind: kind.to_string(),
                count: held.count,
                sum: format!("{:032x}", held.sum),
                announced_count: announced.count,
                announced_sum: format!("{:032x}", announced.sum),
                agrees: held == announced,
            })
        });
        Self { position, kinds: kinds.collect() }
    }
}

/// Compares what the payloads of a view sum up to with the digest that it carries, the one that the
/// zone announced for its position.
pub fn verify_state(view: &View, key: &DigestKey) -> Verified {
    Verified::new(view.position(), &sum(view, key), view.digest())
}

/// Compares what the payloads of an image sum up to with what it says of itself.
///
/// Needs as much memory as the state. An image that is damaged gives an error.
pub fn verify(bytes: &[u8], key: &DigestKey) -> Result<Verified, ImageError> {
    let image = decode(bytes, None)?;
    let (head, writer) = build(&image, *key)?;
    Ok(Verified::new(head.position(), &sum(&writer.view(), key), &head.digest))
}

fn sum(view: &View, key: &DigestKey) -> Digest {
    let mut digest = Digest::EMPTY;
    for kind in (1..KINDS_MAX as u8).filter_map(Kind::from_code) {
        for (entity, payload) in view.entities(kind) {
            digest.add(kind, key.version(entity, payload));
        }
    }
    digest
}
