//! Going through the entities of one state.

use std::cmp::Ordering;
use std::collections::HashMap;

use zonesync_core::digest::DigestKey;
use zonesync_core::entity::{KINDS_MAX, Kind, Version};
use zonesync_core::id::EntityKey;

use super::feed::Changes;
use super::root::{Place, Root};

/// An entity: its key and its payload.
pub(super) type Item<'a> = (EntityKey<'a>, &'a [u8]);

impl Root {
    /// Goes through the entities of a kind, in no particular order.
    pub(super) fn entities(&self, kind: Kind) -> impl Iterator<Item = Item<'_>> + '_ {
        self.usable(kind).chain(self.others(kind)).map(|place| self.item(place))
    }

    /// Goes through all entities, sorted by key. Sorts one kind at a time, without payloads.
    pub(super) fn sorted(&self) -> impl Iterator<Item = Item<'_>> + '_ {
        self.sorted_places().map(|place| self.item(place))
    }

    fn sorted_places(&self) -> impl Iterator<Item = Place> + '_ {
        let kinds = (1..KINDS_MAX as u8).filter_map(Kind::from_code);
        let kinds = kinds.filter(|kind| self.digest.kind(*kind).count > 0);
        kinds.flat_map(|kind| self.sorted_kind(kind))
    }

    /// Hands `changed` what differs from a sorted list of keys and versions: payloads of entities
    /// that are new or differ, none for those that are gone.
    pub(super) fn difference<'k>(
        &self,
        digest_key: &DigestKey,
        known: &mut dyn Iterator<Item = (EntityKey<'k>, Version)>,
        changed: &mut dyn FnMut(EntityKey<'_>, Option<&[u8]>),
    ) {
        let mut known = known.peekable();
        for (key, payload) in self.sorted() {
            while let Some((gone, _)) = known.next_if(|(other, _)| *other < key) {
                changed(gone, None);
            }
            match known.next_if(|(other, _)| *other == key) {
                Some((_, version)) if version == digest_key.version(key, payload) => {}
                _ => changed(key, Some(payload)),
            }
        }
        known.for_each(|(gone, _)| changed(gone, None));
    }

    /// Whether an entity that cannot be used here is the same in `other`, where it can.
    pub(super) fn usable_again(&self, other: &Self, key: EntityKey<'_>) -> bool {
        let (Some(here), Some(there)) = (self.place(key), other.place(key)) else { return false };
        let usable = match there {
            Place::Other(number) => other.other(number).reason.is_none(),
            Place::Subscription(_) | Place::Key(_) => true,
        };
        usable && self.payload(here).bytes() == other.payload(there).bytes()
    }

    /// Gives what turns this state into `other`; nothing if that is more than `most` changes.
    pub(super) fn changes_to(&self, other: &Self, most: usize) -> Option<Changes> {
        let (old, new) = (self.digest.count(), other.digest.count());
        if usize::try_from(old.abs_diff(new)).map_or(true, |least| least > most) {
            return None;
        }
        let mut changes = Changes::new();
        let (mut old, mut new) =
            (self.sorted_places().peekable(), other.sorted_places().peekable());
        loop {
            let keys = (
                old.peek().map(|at| self.entity_key(*at)),
                new.peek().map(|at| other.entity_key(*at)),
            );
            let order = match keys {
                (None, None) => return Some(changes),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => old.cmp(&new),
            };
            let gone = if order.is_le() { old.next() } else { None };
            let came = if order.is_ge() { new.next() } else { None };
            match (gone, came) {
                (Some(old), Some(new))
                    if self.payload(old).bytes() == other.payload(new).bytes() => {}
                (Some(old), None) => changes.push((self.entity_key(old).into(), None)),
                (_, Some(new)) => {
                    changes.push((other.entity_key(new).into(), Some(other.payload(new).clone())));
                }
                (None, None) => unreachable!("one of them comes first, or both"),
            }
            if changes.len() > most {
                return None;
            }
        }
    }

    fn item(&self, place: Place) -> Item<'_> {
        (self.entity_key(place), self.payload(place).bytes())
    }

    fn usable(&self, kind: Kind) -> Box<dyn Iterator<Item = Place> + '_> {
        match kind {
            Kind::SUBSCRIPTION => Box::new(
                self.subscription_numbers(|record| record.is_usable()).map(Place::Subscription),
            ),
            Kind::API_KEY => Box::new(self.key_numbers().map(Place::Key)),
            _ => Box::new(std::iter::empty()),
        }
    }

    fn others(&self, kind: Kind) -> impl Iterator<Item = Place> + '_ {
        let of_kind = move |&number: &u32| self.other(number).key.as_ref().kind == kind;
        self.other_numbers().filter(of_kind).map(Place::Other)
    }

    fn sorted_kind(&self, kind: Kind) -> impl Iterator<Item = Place> + use<> {
        let places = || self.usable(kind).chain(self.others(kind));
        let mut scopes: Vec<&str> = places().map(|place| self.entity_key(place).scope).collect();
        scopes.sort_unstable();
        scopes.dedup();
        let ranks: HashMap<&str, usize> = scopes.into_iter().zip(0..).collect();
        // The rank of the scope and the first bytes of the id are kept at hand. The whole keys,
        // which lie all over the memory, are compared only where those are equal.
        let mut all: Vec<_> = places()
            .map(|place| {
                let key = self.entity_key(place);
                (ranks[key.scope], start(key.id), place)
            })
            .collect();
        all.sort_unstable_by(|a, b| {
            let whole = || self.entity_key(a.2).cmp(&self.entity_key(b.2));
            (a.0, a.1).cmp(&(b.0, b.1)).then_with(whole)
        });
        all.into_iter().map(|(_, _, place)| place)
    }
}

/// Gives the first eight bytes of a text as a number that is ordered as the text.
fn start(text: &str) -> u64 {
    let mut bytes = [0; 8];
    let length = text.len().min(8);
    bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
    u64::from_be_bytes(bytes)
}
