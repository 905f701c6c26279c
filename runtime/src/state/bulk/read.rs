//! Reading entities, a part of them on each thread.
//!
//! All that depends on one entity alone is done here. Names get their numbers for good, so that hashes
//! with such a number in them can be worked out; the list of names is shared by all threads, and each
//! part asks it but once for each name.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::RandomState;
use zonesync_core::entity::Kind;
use zonesync_core::id::EntityKey;

use super::super::edit::{read_key, read_plain, read_subscription};
use super::super::facts::{KeyFacts, Reason, SubscriptionFacts};
use super::super::hash::md5;
use super::super::payload::Block;
use super::super::record::{KeyRecord, OtherFacts, SubscriptionRecord};
use super::{BulkPart, NewKey, NewOther, NewSubscription, Shared};

pub(super) fn read<'a>(
    shared: &Shared,
    entities: impl Iterator<Item = (EntityKey<'a>, &'a [u8])>,
) -> BulkPart {
    let mut names = Known { numbers: HashMap::default(), last: ("", None), all: &shared.names };
    let mut part = BulkPart::default();
    for (key, payload) in entities {
        part.digest.add(key.kind, shared.digest_key.version(key, payload));
        let facts = match key.kind {
            Kind::SUBSCRIPTION => match read_subscription(key, payload) {
                Ok(facts) => {
                    part.subscription(shared, &mut names, key, payload, facts);
                    continue;
                }
                Err(reason) => Some(Err(reason)),
            },
            Kind::API_KEY => match read_key(key, payload) {
                Ok(facts) => {
                    part.key(shared, &mut names, key, payload, &facts);
                    continue;
                }
                Err(reason) => Some(Err(reason)),
            },
            Kind::API_PRODUCT => None,
            _ => Some(read_plain(key, payload)),
        };
        part.other(key, payload, facts);
    }
    part
}

impl BulkPart {
    fn subscription<'a>(
        &mut self,
        shared: &Shared,
        names: &mut Known<'a, '_>,
        key: EntityKey<'a>,
        payload: &[u8],
        facts: SubscriptionFacts<'a>,
    ) {
        let scope = names.scope(key.scope);
        let plan = match &facts.plan {
            Cow::Borrowed(plan) => names.number(plan),
            Cow::Owned(plan) => names.ask(plan),
        };
        let record = SubscriptionRecord::new(key.id, payload, &facts, scope, plan);
        let number = self.subscriptions.len() as u32;
        let hashes = record.credential_hashes(&shared.seed);
        self.credentials.extend(hashes.map(|hash| (hash, number)));
        let id_hash = shared.seed.hash(0, key.id.as_bytes());
        self.subscriptions.push(NewSubscription { record, id_hash });
    }

    fn key<'a>(
        &mut self,
        shared: &Shared,
        names: &mut Known<'a, '_>,
        key: EntityKey<'a>,
        payload: &[u8],
        facts: &KeyFacts<'a>,
    ) {
        let scope = names.scope(key.scope);
        self.named.push_str(key.subscription);
        self.keys.push(NewKey {
            record: KeyRecord::new(key.id, payload, facts, u32::MAX),
            scope,
            named_hash: shared.seed.hash(0, key.subscription.as_bytes()),
            named_end: self.named.len(),
            tag: shared.seed.tag(key.scope, &facts.key),
            md5_hash: shared.seed.hash(scope, &md5(facts.key.as_bytes())),
        });
    }

    fn other(
        &mut self,
        key: EntityKey<'_>,
        payload: &[u8],
        facts: Option<Result<OtherFacts, Reason>>,
    ) {
        let payload = Block::new(payload).finish();
        self.others.push(NewOther { key: key.into(), payload, facts });
    }
}

/// The names of a state that is being made, by number.
pub(super) struct NewNames {
    texts: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32, RandomState>,
}

impl NewNames {
    pub(super) fn new() -> Self {
        Self { texts: Vec::new(), numbers: HashMap::default() }
    }

    /// Takes the texts out.
    pub(super) fn take(&mut self) -> Vec<Arc<str>> {
        self.numbers.clear();
        std::mem::take(&mut self.texts)
    }

    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = u32::try_from(self.texts.len()).expect("fewer than 2^32 names");
        let text: Arc<str> = text.into();
        self.texts.push(text.clone());
        self.numbers.insert(text, number);
        number
    }
}

/// The names that one part has met.
struct Known<'a, 'b> {
    numbers: HashMap<&'a str, u32, RandomState>,
    /// The last scope: entities of one mostly come together.
    last: (&'a str, Option<u32>),
    all: &'b Mutex<NewNames>,
}

impl<'a> Known<'a, '_> {
    fn scope(&mut self, text: &'a str) -> u32 {
        if let (last, Some(number)) = self.last
            && last == text
        {
            return number;
        }
        let number = self.number(text);
        self.last = (text, Some(number));
        number
    }

    fn number(&mut self, text: &'a str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.ask(text);
        self.numbers.insert(text, number);
        number
    }

    fn ask(&self, text: &str) -> u32 {
        // A panic elsewhere leaves a list behind that is whole, but for a name in `texts` alone.
        self.all.lock().unwrap_or_else(PoisonError::into_inner).number(text)
    }
}
