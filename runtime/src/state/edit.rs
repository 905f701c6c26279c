//! Changes of a state: the writer's side of records and indexes.
//!
//! An [`Editor`] works on a copy of the newest [`Root`] that nobody else sees yet. What it keeps
//! besides (free numbers, who uses which name, how many keys a subscription has) is of no use to
//! readers.
//!
//! No order of changes matters: a key that comes before its subscription makes an *awaited* record
//! with the subscription's scope and id, which stays as long as a key names it. The key keeps its
//! number, whether the subscription is there or not.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use zonesync_core::digest::DigestKey;
use zonesync_core::entity::{Action, Change, Kind, PAYLOAD_MAX};
use zonesync_core::id::{EntityKey, EntityKeyBuf};

use super::Unusable;
use super::access::Entry;
use super::facts::{self, KeyFacts, Reason, SubscriptionFacts};
use super::names::NameUses;
use super::payload::{Block, Payload};
use super::record::{Form, KeyRecord, OtherFacts, OtherRecord, SubscriptionRecord};
use super::root::{Place, Root};
use super::slots::Slots;

/// What a writer keeps besides the state itself.
pub(super) struct Editor {
    digest_key: DigestKey,
    names: NameUses,
    pairs: Slots,
    others: Slots,
    /// How many keys name a subscription besides the one that has its number, if any does.
    further: HashMap<u32, u32>,
    /// Products that list an API, by the API's name; numbers of other records.
    listed: HashMap<u32, Vec<u32>>,
    /// All entities that cannot be used, and why.
    unusable: BTreeMap<EntityKeyBuf, Arc<str>>,
    unusable_changed: bool,
}

impl Editor {
    /// Makes the editor of an empty state.
    pub(super) fn new(digest_key: DigestKey) -> Self {
        Self {
            digest_key,
            names: NameUses::new(),
            pairs: Slots::new(),
            others: Slots::new(),
            further: HashMap::new(),
            listed: HashMap::new(),
            unusable: BTreeMap::new(),
            unusable_changed: false,
        }
    }

    /// Makes the editor of a state with these names and pairs, and `further` keys as counted. Its other
    /// entities are put in one by one.
    pub(super) fn of(
        digest_key: DigestKey,
        names: NameUses,
        pairs: Slots,
        further: HashMap<u32, u32>,
    ) -> Self {
        Self { names, pairs, further, ..Self::new(digest_key) }
    }

    /// Carries out one change. Gives what the entity is now, or `None` if nothing changed.
    pub(super) fn apply(
        &mut self,
        root: &mut Root,
        change: &Change<'_>,
    ) -> Option<Option<Payload>> {
        let key = change.key;
        let place = root.place(key);
        let old = place.map(|place| root.payload(place).clone());
        let after = match change.action {
            Action::Undeploy => {
                self.remove(root, place?);
                None
            }
            Action::Deploy { payload } => {
                if old.as_ref().is_some_and(|old| old.bytes() == payload) {
                    return None;
                }
                Some(self.put(root, key, payload, place))
            }
        };
        root.widen();
        if let Some(old) = old {
            root.digest.remove(key.kind, self.digest_key.version(key, old.bytes()));
        }
        if let Some(new) = &after {
            root.digest.add(key.kind, self.digest_key.version(key, new.bytes()));
        }
        Some(after)
    }

    /// Puts in an entity that is not there yet, and neither a usable subscription nor a usable key.
    /// `facts` are what was read of it, if that needs no names.
    pub(super) fn put_new(
        &mut self,
        root: &mut Root,
        key: EntityKey<'_>,
        payload: Payload,
        facts: Option<Result<OtherFacts, Reason>>,
    ) {
        let facts = facts.unwrap_or_else(|| self.read_other(root, key, payload.bytes()));
        self.put_other(root, key, payload, facts);
        root.widen();
    }

    /// Takes an entity out of lookups until it changes. Gives false if there is no such entity.
    pub(super) fn reject(&mut self, root: &mut Root, key: EntityKey<'_>, reason: &str) -> bool {
        let Some(place) = root.place(key) else { return false };
        let payload = root.payload(place).clone();
        self.remove(root, place);
        self.put_other(root, key, payload, Err(Reason::Owned(reason.to_owned())));
        root.widen();
        true
    }

    /// Takes it out, and leaves that of an empty state.
    pub(super) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::new(self.digest_key))
    }

    /// Goes through the entities that cannot be used, and why.
    pub(super) fn unusable(&self) -> impl Iterator<Item = (&EntityKeyBuf, &Arc<str>)> {
        self.unusable.iter()
    }

    /// Brings the list of unusable entities up to date.
    pub(super) fn finish(&mut self, root: &mut Root) {
        if std::mem::take(&mut self.unusable_changed) {
            let first = self.unusable.iter().take(Unusable::LISTED_MAX);
            root.unusable = Arc::new(Unusable {
                listed: first.map(|(key, reason)| (key.clone(), reason.clone())).collect(),
                total: self.unusable.len(),
            });
        }
    }

    /// Puts an entity where it belongs now and takes it from `place`, where it was.
    fn put(
        &mut self,
        root: &mut Root,
        key: EntityKey<'_>,
        payload: &[u8],
        place: Option<Place>,
    ) -> Payload {
        let reason = match key.kind {
            Kind::SUBSCRIPTION => match read_subscription(key, payload) {
                Ok(facts) => {
                    if let Some(Place::Other(number)) = place {
                        self.remove_other(root, number);
                    }
                    return self.put_subscription(root, key, payload, &facts);
                }
                Err(reason) => Err(reason),
            },
            Kind::API_KEY => match read_key(key, payload) {
                Ok(facts) => {
                    if let Some(Place::Other(number)) = place {
                        self.remove_other(root, number);
                    }
                    return self.put_key(root, key, payload, &facts);
                }
                Err(reason) => Err(reason),
            },
            _ => Ok(()),
        };
        if let Some(place) = place {
            self.remove(root, place);
        }
        let facts = reason.and_then(|()| self.read_other(root, key, payload));
        let payload = Block::new(payload).finish();
        self.put_other(root, key, payload.clone(), facts);
        payload
    }

    fn remove(&mut self, root: &mut Root, place: Place) {
        match place {
            Place::Subscription(number) => self.remove_subscription(root, number),
            Place::Key(number) => self.remove_key(root, number),
            Place::Other(number) => self.remove_other(root, number),
        }
    }

    fn put_subscription(
        &mut self,
        root: &mut Root,
        key: EntityKey<'_>,
        payload: &[u8],
        facts: &SubscriptionFacts<'_>,
    ) -> Payload {
        let number = self.awaited_subscription(root, key.scope, key.id);
        let plan = self.names.acquire(&mut root.names, &root.seed, &facts.plan);
        let before = root.entry(number);
        self.unlink_subscription(root, number);
        let record = root.subscription_mut(number);
        *record = SubscriptionRecord::new(key.id, payload, facts, record.scope, plan);
        let record = record.clone();
        for hash in record.credential_hashes(&root.seed) {
            root.by_credential.insert(hash, number);
        }
        self.follow_subscription(root, number, before);
        record.payload.expect("it was just put there")
    }

    /// Gives the number of a subscription, which is awaited from now on if it was not known.
    fn awaited_subscription(&mut self, root: &mut Root, scope: &str, id: &str) -> u32 {
        let known = root.names.find(&root.seed, scope);
        if let Some(number) = known.and_then(|scope| root.find_subscription(scope, id.as_bytes())) {
            return number;
        }
        let scope = self.names.acquire(&mut root.names, &root.seed, scope);
        let number = self.pairs.take();
        *root.subscription_mut(number) = SubscriptionRecord::awaited(scope, id.as_bytes());
        root.by_id.insert(root.seed.hash(0, id.as_bytes()), number);
        number
    }

    /// Takes a usable subscription out of all indexes but that of ids.
    fn unlink_subscription(&mut self, root: &mut Root, number: u32) {
        let record = root.subscription(number).clone();
        if record.is_usable() {
            for hash in record.credential_hashes(&root.seed) {
                root.by_credential.remove(hash, number);
            }
            self.names.release(&mut root.names, &root.seed, record.plan());
        }
    }

    /// Lets a subscription's first key follow it. Of others, `access` knows no dates.
    fn follow_subscription(&self, root: &mut Root, number: u32, before: Entry) {
        let key = root.key(number);
        let has_key = key.payload.is_some() && key.subscription == number;
        if has_key && root.entry(number) != before {
            root.relink_key(number);
        }
    }

    fn remove_subscription(&mut self, root: &mut Root, number: u32) {
        let before = root.entry(number);
        self.unlink_subscription(root, number);
        let record = root.subscription_mut(number);
        *record = SubscriptionRecord::awaited(record.scope, record.id());
        self.follow_subscription(root, number, before);
        self.forget_subscription(root, number);
    }

    /// Frees the place of a subscription if it is neither there nor named by a key.
    fn forget_subscription(&mut self, root: &mut Root, number: u32) {
        let record = root.subscription(number);
        let has_key = root.key(number).payload.is_some() || self.further.contains_key(&number);
        if record.is_usable() || has_key {
            return;
        }
        let (scope, hash) = (record.scope, root.seed.hash(0, record.id()));
        root.by_id.remove(hash, number);
        *root.subscription_mut(number) = SubscriptionRecord::default();
        self.names.release(&mut root.names, &root.seed, scope);
        self.give_pair(root, number);
    }

    /// Gives a number back once neither a subscription nor a key has it.
    fn give_pair(&mut self, root: &Root, number: u32) {
        if root.subscription(number).form() == Form::Free && root.key(number).payload.is_none() {
            self.pairs.give(number);
        }
    }

    fn put_key(
        &mut self,
        root: &mut Root,
        key: EntityKey<'_>,
        payload: &[u8],
        facts: &KeyFacts<'_>,
    ) -> Payload {
        let subscription = self.awaited_subscription(root, key.scope, key.subscription);
        let known = root.find_key(subscription, key.id.as_bytes());
        let is_new = known.is_none();
        let number = known.unwrap_or_else(|| match &root.key(subscription).payload {
            None => subscription,
            Some(_) => self.pairs.take(),
        });
        let rekeyed = is_new || root.key(number).key() != facts.key.as_bytes();
        let before = (!is_new).then(|| root.entry(number));
        if !is_new && rekeyed {
            root.unlink_key(number);
            root.by_md5.remove(root.md5_hash(number), number);
        }
        let record = KeyRecord::new(key.id, payload, facts, subscription);
        *root.key_mut(number) = record.clone();
        if is_new && number != subscription {
            *self.further.entry(subscription).or_default() += 1;
            root.by_key_id.insert(root.seed.hash(subscription, key.id.as_bytes()), number);
        }
        if rekeyed {
            root.link_key(number);
            root.by_md5.insert(root.md5_hash(number), number);
        } else if Some(root.entry(number)) != before {
            root.relink_key(number);
        }
        record.payload.expect("it was just put there")
    }

    fn remove_key(&mut self, root: &mut Root, number: u32) {
        root.unlink_key(number);
        root.by_md5.remove(root.md5_hash(number), number);
        let record = root.key(number);
        let subscription = record.subscription;
        if number != subscription {
            let hash = root.seed.hash(subscription, record.id());
            root.by_key_id.remove(hash, number);
            self.forget_further(subscription);
        }
        *root.key_mut(number) = KeyRecord::default();
        self.give_pair(root, number);
        self.forget_subscription(root, subscription);
    }

    fn forget_further(&mut self, subscription: u32) {
        let count = self.further.get_mut(&subscription).expect("a further key was counted");
        *count -= 1;
        if *count == 0 {
            self.further.remove(&subscription);
        }
    }

    fn read_other(
        &mut self,
        root: &mut Root,
        key: EntityKey<'_>,
        payload: &[u8],
    ) -> Result<OtherFacts, Reason> {
        if key.kind != Kind::API_PRODUCT {
            return read_plain(key, payload);
        }
        bare(key)?;
        let facts = facts::product(payload)?;
        let mut name = |text: &str| self.names.acquire(&mut root.names, &root.seed, text);
        let mut apis = facts.apis;
        apis.sort_unstable();
        apis.dedup();
        if !facts.served {
            apis.clear();
        }
        Ok(OtherFacts::Product {
            environment: facts.environment.into(),
            apis: apis.iter().map(|api| name(api)).collect(),
            name: name(key.id),
        })
    }

    fn put_other(
        &mut self,
        root: &mut Root,
        key: EntityKey<'_>,
        payload: Payload,
        facts: Result<OtherFacts, Reason>,
    ) {
        let number = self.others.take();
        let key_buf = EntityKeyBuf::from(key);
        let (facts, reason) = match facts {
            Ok(facts) => (facts, None),
            Err(reason) => (OtherFacts::None, Some(Arc::<str>::from(reason))),
        };
        if let Some(reason) = &reason {
            self.unusable.insert(key_buf.clone(), reason.clone());
            self.unusable_changed = true;
        }
        let record = Arc::new(OtherRecord { key: key_buf, payload, reason, facts });
        *root.others.get_mut(number as usize) = Some(record.clone());
        root.by_other.insert(root.other_hash(key), number);
        match &record.facts {
            OtherFacts::Product { apis, .. } => {
                for &api in apis {
                    self.listed.entry(api).or_default().push(number);
                    self.resolve_products(root, api);
                }
            }
            OtherFacts::Dictionary(dictionary) => {
                for hash in root.dictionary_hashes(&record.key, dictionary) {
                    root.by_dictionary.insert(hash, number);
                }
            }
            OtherFacts::Api(_) => self.resolve_products_of(root, key.id),
            OtherFacts::None => {}
        }
    }

    fn remove_other(&mut self, root: &mut Root, number: u32) {
        let record = root.others.get_mut(number as usize).take().expect("an entity to remove");
        let key = record.key.as_ref();
        root.by_other.remove(root.other_hash(key), number);
        self.others.give(number);
        if record.reason.is_some() {
            self.unusable.remove(&record.key);
            self.unusable_changed = true;
        }
        match &record.facts {
            OtherFacts::Product { apis, name, .. } => {
                for &api in apis {
                    let listed = self.listed.entry(api).or_default();
                    listed.retain(|&product| product != number);
                    if listed.is_empty() {
                        self.listed.remove(&api);
                    }
                    self.resolve_products(root, api);
                }
                // Only now, for a name without uses is gone, and its products with it.
                for &name in apis.iter().chain([name]) {
                    self.names.release(&mut root.names, &root.seed, name);
                }
            }
            OtherFacts::Dictionary(dictionary) => {
                for hash in root.dictionary_hashes(&record.key, dictionary) {
                    root.by_dictionary.remove(hash, number);
                }
            }
            OtherFacts::Api(_) => self.resolve_products_of(root, key.id),
            OtherFacts::None => {}
        }
    }

    fn resolve_products_of(&mut self, root: &mut Root, api: &str) {
        if let Some(api) = root.names.find(&root.seed, api) {
            self.resolve_products(root, api);
        }
    }

    /// Works out anew which products hold an API: those that list it, unless product and API say
    /// that they are of different environments.
    fn resolve_products(&mut self, root: &mut Root, api: u32) {
        let environment = match root.place(EntityKey::new(Kind::API, root.names.text(api))) {
            Some(Place::Other(number)) => match &root.other(number).facts {
                OtherFacts::Api(environment) => &**environment,
                _ => "",
            },
            _ => "",
        };
        let listed = self.listed.get(&api).map(Vec::as_slice).unwrap_or_default();
        let holding = listed.iter().filter_map(|&number| match &root.other(number).facts {
            OtherFacts::Product { environment: e, name, .. }
                if e.is_empty() || environment.is_empty() || **e == *environment =>
            {
                Some(*name)
            }
            _ => None,
        });
        let mut products: Vec<u32> = holding.collect();
        products.sort_unstable_by(|&a, &b| root.names.text(a).cmp(root.names.text(b)));
        root.names.set_products(api, &products);
        root.has_products = !self.listed.is_empty();
    }
}

/// Reads a subscription, if it can be one by its key.
pub(super) fn read_subscription<'a>(
    key: EntityKey<'_>,
    payload: &'a [u8],
) -> Result<SubscriptionFacts<'a>, Reason> {
    if key.scope.is_empty() || key.id.is_empty() || !key.subscription.is_empty() {
        return Err("its key needs a scope and an id, and nothing more".into());
    }
    bounded(payload)?;
    facts::subscription(payload)
}

/// Reads an API key, if it can be one by its key.
pub(super) fn read_key<'a>(key: EntityKey<'_>, payload: &'a [u8]) -> Result<KeyFacts<'a>, Reason> {
    if key.scope.is_empty() || key.id.is_empty() || key.subscription.is_empty() {
        return Err("its key needs a scope, an id and a subscription".into());
    }
    bounded(payload)?;
    facts::api_key(payload)
}

/// Reads an entity that is neither subscription, key nor product, none of which needs names.
pub(super) fn read_plain(key: EntityKey<'_>, payload: &[u8]) -> Result<OtherFacts, Reason> {
    Ok(match key.kind {
        Kind::API => {
            bare(key)?;
            OtherFacts::Api(facts::api_environment(payload)?.into())
        }
        Kind::DICTIONARY => {
            bare(key)?;
            OtherFacts::Dictionary(facts::dictionary(key.id, payload)?)
        }
        _ => OtherFacts::None,
    })
}

fn bare(key: EntityKey<'_>) -> Result<(), Reason> {
    let plain = key.scope.is_empty() && key.subscription.is_empty();
    if plain { Ok(()) } else { Err("its key has more than an id".into()) }
}

fn bounded(payload: &[u8]) -> Result<(), Reason> {
    if payload.len() > PAYLOAD_MAX {
        Err("the payload is longer than 16 MiB".into())
    } else {
        Ok(())
    }
}
