//! One state at one position: all records and all indexes. Readers see it whole.

use std::sync::Arc;

use zonesync_core::digest::Digest;
use zonesync_core::entity::Kind;
use zonesync_core::id::{EntityKey, EntityKeyBuf, Position};

use super::Unusable;
use super::access::{Access, Entry};
use super::facts::Dictionary;
use super::hash::{Seed, md5};
use super::index::Index;
use super::names::Names;
use super::payload::Payload;
use super::record::{Form, KeyRecord, OtherFacts, OtherRecord, Pair, SubscriptionRecord};
use super::tag::Tag;
use super::tree::Tree;

/// A whole state. Cloning shares all that is large.
#[derive(Clone)]
pub(super) struct Root {
    pub(super) position: Position,
    pub(super) digest: Digest,
    pub(super) seed: Seed,
    pub(super) names: Names,
    pub(super) pairs: Tree<Pair>,
    pub(super) others: Tree<Option<Arc<OtherRecord>>>,
    /// Subscriptions by id, awaited ones too.
    pub(super) by_id: Index,
    /// Subscriptions by (scope, client id) and by (scope, thumbprint).
    pub(super) by_credential: Index,
    /// Keys by (number of subscription, id), but for those that have the number of their subscription.
    pub(super) by_key_id: Index,
    /// Keys by (scope, key).
    pub(super) access: Access,
    /// Keys that share a tag, by its high part.
    pub(super) by_shared: Index,
    /// Keys by (scope, MD5 of key).
    pub(super) by_md5: Index,
    /// Others by their whole key.
    pub(super) by_other: Index,
    /// Dictionaries by (environment, name at run time) and by (environment, id).
    pub(super) by_dictionary: Index,
    /// Whether any API is in a product.
    pub(super) has_products: bool,
    pub(super) unusable: Arc<Unusable>,
}

/// Where an entity is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Subscription(u32),
    Key(u32),
    Other(u32),
}

impl Root {
    /// Makes the empty state.
    pub(super) fn new() -> Self {
        Self {
            position: Position::START,
            digest: Digest::EMPTY,
            seed: Seed::random(),
            names: Names::new(),
            pairs: Tree::new(),
            others: Tree::new(),
            by_id: Index::new(),
            by_credential: Index::new(),
            by_key_id: Index::new(),
            access: Access::new(),
            by_shared: Index::new(),
            by_md5: Index::new(),
            by_other: Index::new(),
            by_dictionary: Index::new(),
            has_products: false,
            unusable: Arc::default(),
        }
    }

    #[inline]
    pub(super) fn subscription(&self, number: u32) -> &SubscriptionRecord {
        &self.pairs.get(number as usize).subscription
    }

    #[inline]
    pub(super) fn key(&self, number: u32) -> &KeyRecord {
        &self.pairs.get(number as usize).key
    }

    pub(super) fn subscription_mut(&mut self, number: u32) -> &mut SubscriptionRecord {
        &mut self.pairs.get_mut(number as usize).subscription
    }

    pub(super) fn key_mut(&mut self, number: u32) -> &mut KeyRecord {
        &mut self.pairs.get_mut(number as usize).key
    }

    /// Gives an entity of the others. Panics if the place is free.
    pub(super) fn other(&self, number: u32) -> &OtherRecord {
        self.others.get(number as usize).as_deref().expect("an index names a record in use")
    }

    /// Finds an entity.
    pub(super) fn place(&self, key: EntityKey<'_>) -> Option<Place> {
        self.usable_place(key).or_else(|| {
            let mut found = self.by_other.find(self.other_hash(key));
            found.find(|&n| self.other(n).key.as_ref() == key).map(Place::Other)
        })
    }

    fn usable_place(&self, key: EntityKey<'_>) -> Option<Place> {
        match key.kind {
            Kind::SUBSCRIPTION if key.subscription.is_empty() => {
                let scope = self.names.find(&self.seed, key.scope)?;
                let number = self.find_subscription(scope, key.id.as_bytes())?;
                self.subscription(number).is_usable().then_some(Place::Subscription(number))
            }
            Kind::API_KEY => {
                let scope = self.names.find(&self.seed, key.scope)?;
                let number = self.find_subscription(scope, key.subscription.as_bytes())?;
                self.find_key(number, key.id.as_bytes()).map(Place::Key)
            }
            _ => None,
        }
    }

    /// Finds a subscription, usable or awaited.
    pub(super) fn find_subscription(&self, scope: u32, id: &[u8]) -> Option<u32> {
        self.by_id.find(self.seed.hash(0, id)).find(|&number| {
            let record = self.subscription(number);
            record.scope == scope && record.id() == id
        })
    }

    /// Finds a key of the subscription with this number.
    pub(super) fn find_key(&self, subscription: u32, id: &[u8]) -> Option<u32> {
        let is = |&number: &u32| {
            let record = self.key(number);
            record.payload.is_some() && record.subscription == subscription && record.id() == id
        };
        let further = || self.by_key_id.find(self.seed.hash(subscription, id)).find(is);
        Some(subscription).filter(is).or_else(further)
    }

    /// Gives the payload that is kept at a place.
    pub(super) fn payload(&self, place: Place) -> &Payload {
        match place {
            Place::Subscription(number) => self.subscription(number).payload.as_ref(),
            Place::Key(number) => self.key(number).payload.as_ref(),
            Place::Other(number) => Some(&self.other(number).payload),
        }
        .expect("a place in use has a payload")
    }

    /// Gives the key of the entity that is kept at a place.
    pub(super) fn entity_key(&self, place: Place) -> EntityKey<'_> {
        match place {
            Place::Subscription(number) => {
                let record = self.subscription(number);
                EntityKey::subscription(self.names.text(record.scope), utf8(record.id()))
            }
            Place::Key(number) => {
                let record = self.key(number);
                let subscription = self.subscription(record.subscription);
                let scope = self.names.text(subscription.scope);
                EntityKey::api_key(scope, utf8(record.id()), utf8(subscription.id()))
            }
            Place::Other(number) => self.other(number).key.as_ref(),
        }
    }

    pub(super) fn other_hash(&self, key: EntityKey<'_>) -> u64 {
        self.seed.hash_all(u32::from(key.kind.code()), &[key.scope, key.id, key.subscription])
    }

    fn key_tag(&self, number: u32) -> Tag {
        let record = self.key(number);
        let scope = self.names.text(self.subscription(record.subscription).scope);
        self.seed.tag(scope, utf8(record.key()))
    }

    /// Gives what `access` should know of the key with this number.
    pub(super) fn entry(&self, number: u32) -> Entry {
        self.pairs.get(number as usize).entry(number)
    }

    /// Lets a key be found by its text.
    pub(super) fn link_key(&mut self, number: u32) {
        let tag = self.key_tag(number);
        let Some(known) = self.access.get(tag) else {
            return self.access.set(tag, self.entry(number));
        };
        if !known.is_shared() {
            self.by_shared.insert(tag.high(), known.number);
            self.access.set(tag, Entry::SHARED);
        }
        self.by_shared.insert(tag.high(), number);
    }

    /// Takes a key from where [`Self::link_key`] put it. Its record must still be the same.
    pub(super) fn unlink_key(&mut self, number: u32) {
        let tag = self.key_tag(number);
        if !self.access.get(tag).expect("a linked key has a slot").is_shared() {
            return self.access.remove(tag);
        }
        self.by_shared.remove(tag.high(), number);
        let same = |&number: &u32| self.key_tag(number).high() == tag.high();
        let rest: Vec<u32> = self.by_shared.find(tag.high()).filter(same).take(2).collect();
        let [last] = rest[..] else { return };
        self.by_shared.remove(tag.high(), last);
        self.access.set(self.key_tag(last), self.entry(last));
    }

    /// Brings what `access` knows of a linked key up to date.
    pub(super) fn relink_key(&mut self, number: u32) {
        let tag = self.key_tag(number);
        if self.access.get(tag).is_some_and(|known| !known.is_shared()) {
            self.access.set(tag, self.entry(number));
        }
    }

    pub(super) fn md5_hash(&self, number: u32) -> u64 {
        let record = self.key(number);
        self.seed.hash(self.subscription(record.subscription).scope, &md5(record.key()))
    }

    /// Hashes both names of a dictionary; one if they are the same.
    pub(super) fn dictionary_hashes(
        &self,
        key: &EntityKeyBuf,
        dictionary: &Dictionary,
    ) -> impl Iterator<Item = u64> + use<> {
        let id = key.as_ref().id;
        let hash = |name: &str| self.seed.hash_all(0, &[&dictionary.environment, name]);
        let second = (*dictionary.name != *id).then(|| hash(id));
        [Some(hash(&dictionary.name)), second].into_iter().flatten()
    }

    /// Widens each index that is due.
    pub(super) fn widen(&mut self) {
        if self.by_id.is_crowded() {
            let all = self.subscription_numbers(|r| r.form() != Form::Free);
            let all = all.map(|n| (self.seed.hash(0, self.subscription(n).id()), n));
            let all: Vec<_> = all.collect();
            self.by_id.widen(all);
        }
        if self.by_credential.is_crowded() {
            let all = self.subscription_numbers(SubscriptionRecord::is_usable);
            let all = all.flat_map(|n| {
                let hashes = self.subscription(n).credential_hashes(&self.seed);
                hashes.map(move |hash| (hash, n))
            });
            let all: Vec<_> = all.collect();
            self.by_credential.widen(all);
        }
        if self.by_key_id.is_crowded() {
            let hash = |n| self.seed.hash(self.key(n).subscription, self.key(n).id());
            let further = self.key_numbers().filter(|&n| self.key(n).subscription != n);
            let all: Vec<_> = further.map(|n| (hash(n), n)).collect();
            self.by_key_id.widen(all);
        }
        if self.by_shared.is_crowded() {
            let shared = |tag: &(Tag, u32)| self.access.get(tag.0).is_some_and(|e| e.is_shared());
            let all = self.key_numbers().map(|n| (self.key_tag(n), n)).filter(shared);
            let all: Vec<_> = all.map(|(tag, n)| (tag.high(), n)).collect();
            self.by_shared.widen(all);
        }
        if self.by_md5.is_crowded() {
            let all: Vec<_> = self.key_numbers().map(|n| (self.md5_hash(n), n)).collect();
            self.by_md5.widen(all);
        }
        if self.by_other.is_crowded() {
            let hash = |n| self.other_hash(self.other(n).key.as_ref());
            let all: Vec<_> = self.other_numbers().map(|n| (hash(n), n)).collect();
            self.by_other.widen(all);
        }
        if self.by_dictionary.is_crowded() {
            let all = self.other_numbers().flat_map(|n| {
                let record = self.other(n);
                let hashes = match &record.facts {
                    OtherFacts::Dictionary(d) => Some(self.dictionary_hashes(&record.key, d)),
                    _ => None,
                };
                hashes.into_iter().flatten().map(move |hash| (hash, n))
            });
            let all: Vec<_> = all.collect();
            self.by_dictionary.widen(all);
        }
    }

    pub(super) fn subscription_numbers(
        &self,
        wanted: impl Fn(&SubscriptionRecord) -> bool,
    ) -> impl Iterator<Item = u32> {
        let all = 0..self.pairs.len() as u32;
        all.filter(move |&number| wanted(self.subscription(number)))
    }

    pub(super) fn key_numbers(&self) -> impl Iterator<Item = u32> {
        (0..self.pairs.len() as u32).filter(|&number| self.key(number).payload.is_some())
    }

    pub(super) fn other_numbers(&self) -> impl Iterator<Item = u32> {
        (0..self.others.len() as u32).filter(|&number| self.others.get(number as usize).is_some())
    }
}

/// Gives a text of a record, which was a text when it was put there.
pub(super) fn utf8(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("records hold texts")
}
