use proptest::prelude::*;
use std::collections::BTreeMap;
use std::string::String;
use std::vec::Vec;

use super::*;
use crate::entity::Kind;

type State = BTreeMap<(u8, String, String), u128>;
type Entry<'a> = (EntityKey<'a>, Version);

fn states() -> impl Strategy<Value = State> {
    // Few keys and versions, so that both sides often agree.
    let key = (12..15_u8, "[a-b]{0,2}", "[a-c]{0,2}");
    prop::collection::btree_map(key, 1..3_u128, 0..40)
}

fn items(state: &State) -> Vec<Entry<'_>> {
    let mut items = Vec::new();
    for ((kind, scope, id), version) in state {
        let kind = Kind::from_code(*kind).unwrap();
        items.push((EntityKey { scope, ..EntityKey::new(kind, id) }, Version(*version)));
    }
    items
}

fn model<'a>(old: &[Entry<'a>], new: &[Entry<'a>]) -> Vec<Difference<Entry<'a>, Entry<'a>>> {
    let by_key = |items: &[Entry<'a>]| items.iter().copied().collect::<BTreeMap<_, _>>();
    let (old, new) = (by_key(old), by_key(new));
    let mut all: BTreeMap<_, (Option<Version>, Option<Version>)> = BTreeMap::new();
    old.iter().for_each(|(key, version)| all.entry(*key).or_default().0 = Some(*version));
    new.iter().for_each(|(key, version)| all.entry(*key).or_default().1 = Some(*version));
    let difference = |(key, sides)| match sides {
        (Some(old), Some(new)) if old == new => None,
        (Some(old), Some(new)) => Some(Difference::Changed((key, old), (key, new))),
        (Some(old), None) => Some(Difference::Removed((key, old))),
        (None, new) => new.map(|new| Difference::Added((key, new))),
    };
    all.into_iter().filter_map(difference).collect()
}

proptest! {
    #[test]
    fn the_difference_is_that_of_two_maps(old in states(), new in states()) {
        let (old, new) = (items(&old), items(&new));
        let found: Result<Vec<_>, _> = merge(old.iter().copied(), new.iter().copied()).collect();
        prop_assert_eq!(found, Ok(model(&old, &new)));
    }

    #[test]
    fn disorder_on_either_side_is_found(
        state in states(),
        other in states(),
        (from, to) in any::<(prop::sample::Index, prop::sample::Index)>(),
        swap in any::<bool>(),
        side in any::<bool>(),
    ) {
        prop_assume!(state.len() > 1);
        let (mut state, other) = (items(&state), items(&other));
        let (from, to) = (from.index(state.len()), to.index(state.len()));
        if swap && from != to {
            state.swap(from, to);
        } else {
            state.insert(to, state[to]);
        }
        let index = (1..state.len()).find(|i| state[*i].0 <= state[i - 1].0).unwrap() as u64;
        let (mut walk, side) = if side {
            (merge(state.iter().copied(), other.iter().copied()), Side::Old)
        } else {
            (merge(other.iter().copied(), state.iter().copied()), Side::New)
        };
        prop_assert_eq!(walk.find_map(Result::err), Some(OutOfOrder { side, index }));
        prop_assert_eq!(walk.next(), None, "it ends for good");
    }
}
