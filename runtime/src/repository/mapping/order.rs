//! Puts many entities in the order of their keys.
//!
//! To compare two keys means to look at two texts somewhere in memory, and a million entities want
//! twenty million comparisons. So the beginning of each key is packed into a number first: kind,
//! scope by its place among all scopes, and the first bytes of the id. Those are sorted; texts are
//! looked at only where the numbers are the same.

use std::collections::{BTreeSet, HashMap};

use foldhash::fast::RandomState;

use crate::entity::Entity;

/// Below this there is nothing to gain.
const FEW: usize = 1_000;

/// The bytes of an id that fit into the number.
const ID_BYTES: usize = 11;

/// The most scopes that can be numbered: three bytes.
const SCOPES_MAX: usize = 1 << 24;

/// Sorts by key; entities with the same key stay in the order they are in.
pub(super) fn sort(entities: &mut [Entity]) {
    let places = if entities.len() < FEW { None } else { scopes(entities) };
    let Some(places) = places else { return entities.sort_by(|a, b| a.key.cmp(&b.key)) };
    let packed = |entity: &Entity| {
        let key = entity.key.as_ref();
        let mut bytes = [0; 16];
        bytes[0] = key.kind.code();
        bytes[1..4].copy_from_slice(&places[key.scope].to_be_bytes()[1..]);
        let id = &key.id.as_bytes()[..key.id.len().min(ID_BYTES)];
        bytes[4..4 + id.len()].copy_from_slice(id);
        // One byte is left: it tells an id that ends here from one whose next byte is zero.
        bytes[15] = u8::from(key.id.len() > ID_BYTES);
        u128::from_be_bytes(bytes)
    };
    let mut order: Vec<(u128, u32)> =
        entities.iter().zip(0..).map(|(entity, at)| (packed(entity), at)).collect();
    order.sort_unstable_by(|a, b| {
        let keys = || entities[a.1 as usize].key.cmp(&entities[b.1 as usize].key);
        a.0.cmp(&b.0).then_with(keys).then(a.1.cmp(&b.1))
    });
    drop(places);
    permute(entities, &mut order);
}

/// Numbers the scopes in their order; none if there are too many, or too many entities.
fn scopes(entities: &[Entity]) -> Option<HashMap<Box<str>, u32, RandomState>> {
    u32::try_from(entities.len()).ok()?;
    let scopes: std::collections::HashSet<&str, RandomState> =
        entities.iter().map(|entity| entity.key.as_ref().scope).collect();
    if scopes.len() > SCOPES_MAX {
        return None;
    }
    let sorted: BTreeSet<&str> = scopes.into_iter().collect();
    Some(sorted.into_iter().map(Box::from).zip(0..).collect())
}

/// Moves each entity to its place: the one at `order[n].1` goes to `n`.
fn permute(entities: &mut [Entity], order: &mut [(u128, u32)]) {
    const DONE: u32 = u32::MAX;
    for start in 0..order.len() {
        let mut at = start;
        // Along one circle of places; what is taken out at its start goes in at its end.
        while order[at].1 != DONE {
            let from = order[at].1 as usize;
            order[at].1 = DONE;
            if from == start {
                break;
            }
            entities.swap(at, from);
            at = from;
        }
    }
}

#[cfg(test)]
mod tests {
    use zonesync_core::entity::Kind;
    use zonesync_core::id::EntityKey;

    use super::*;

    #[test]
    fn the_order_is_that_of_keys_and_equals_keep_theirs() {
        let (mut entities, mut number) = (Vec::new(), 1u64);
        for n in 0..5_000u32 {
            // A simple generator, so that the order is always the same.
            number = number
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let word = |bits: u64| format!("{:x}", number >> bits & 0xff);
            let (scope, id) =
                (format!("a{}", word(60)), "id with a long head ".to_owned() + &word(32));
            let id = match n % 4 {
                0 => id,
                1 => word(40),
                2 => format!("{}\0", word(40)),
                _ => format!("elevenbytes{}", ["", "\0", "x"][n as usize % 3]),
            };
            let kind = [Kind::API, Kind::SUBSCRIPTION, Kind::API_KEY][number as usize >> 33 & 1];
            let key = EntityKey { kind, scope: &scope, id: &id, subscription: "" };
            entities.push(Entity::new(key, n.to_be_bytes()));
        }
        let mut expected = entities.clone();
        expected.sort_by(|a, b| a.key.cmp(&b.key));
        sort(&mut entities);
        assert!(entities == expected);
        assert!(entities.windows(2).any(|two| two[0].key == two[1].key));
    }
}
