//! The lookups of a gateway, on one state.
//!
//! An API's own subscriptions and keys are asked first, then those of each product that holds it,
//! by the order of the products' ids. Of several that match, the one with the lowest subscription
//! id is given, so that all nodes answer alike.

use zonesync_core::time::WallTime;

use super::certificate::THUMBPRINT;
use super::hash::{md5, md5_from_hex};
use super::record::{At, Form, KeyRecord, OtherFacts, SubscriptionRecord};
use super::root::Root;

impl Root {
    /// Finds the subscription that an API key opens.
    #[inline]
    pub(super) fn by_key(
        &self,
        api: &str,
        key: &str,
        plan: Option<&str>,
        at: WallTime,
    ) -> Option<u32> {
        let on_plan =
            |is: u32| plan.is_none_or(|plan| self.names.find(&self.seed, plan) == Some(is));
        match self.access.find(self.seed.tag(api, key)) {
            Some(entry) if entry.window.holds(at) && on_plan(entry.plan) => Some(entry.number),
            None if !self.has_products => None,
            _ => self.by_key_exactly(api, key, plan, at.into()),
        }
    }

    /// The same by the records: for keys of one text, further keys of a subscription, times near
    /// the first and last ones, products.
    #[cold]
    fn by_key_exactly(&self, api: &str, key: &str, plan: Option<&str>, at: At) -> Option<u32> {
        let asked = self.ask(api, plan, at)?;
        self.in_scopes(&asked, |scope| {
            let tag = self.seed.tag(self.names.text(scope), key);
            let entry = self.access.find(tag)?;
            let shared = entry.is_shared().then(|| self.by_shared.find(tag.high()));
            let one = (!entry.is_shared()).then_some(entry.number);
            let found = one.into_iter().chain(shared.into_iter().flatten());
            self.opened(&asked, scope, found, |record| record.key() == key.as_bytes())
        })
    }

    /// The same by the MD5 of the key.
    pub(super) fn by_md5(&self, api: &str, hex: &str, plan: Option<&str>, at: At) -> Option<u32> {
        let wanted = md5_from_hex(hex)?;
        let asked = self.ask(api, plan, at)?;
        self.in_scopes(&asked, |scope| {
            let found = self.by_md5.find(self.seed.hash(scope, &wanted));
            self.opened(&asked, scope, found, |record| md5(record.key()) == wanted)
        })
    }

    /// Finds the subscription of a client.
    pub(super) fn by_client(
        &self,
        api: &str,
        client: &str,
        plan: Option<&str>,
        at: At,
    ) -> Option<u32> {
        let client = client.as_bytes();
        let asked = self.ask(api, plan, at)?;
        self.in_scopes(&asked, |scope| {
            let found = self.by_credential.find(self.seed.client(scope, client));
            let found = found.filter(|&number| {
                let record = self.subscription(number);
                record.form() == Form::Client && record.credential() == client
            });
            self.lowest(&asked, found.filter(|&n| self.subscription(n).scope == scope))
        })
    }

    /// Finds the subscription of a certificate.
    pub(super) fn by_certificate(
        &self,
        api: &str,
        thumbprint: &str,
        plan: Option<&str>,
        at: At,
    ) -> Option<u32> {
        let print = thumbprint.as_bytes();
        let asked = self.ask(api, plan, at)?;
        self.in_scopes(&asked, |scope| {
            let found = self.by_credential.find(self.seed.certificate(scope, print));
            let found = found.filter(|&number| {
                let record = self.subscription(number);
                record.form() == Form::Certificates
                    && record.credential().chunks(THUMBPRINT).any(|one| one == print)
            });
            self.lowest(&asked, found.filter(|&n| self.subscription(n).scope == scope))
        })
    }

    /// Finds a subscription by its id; of several scopes, the lowest.
    pub(super) fn by_id(&self, id: &str) -> Option<u32> {
        let found = self.by_id.find(self.seed.hash(0, id.as_bytes()));
        let scope = |number: u32| self.names.text(self.subscription(number).scope);
        found
            .filter(|&number| {
                let record = self.subscription(number);
                record.is_usable() && record.id() == id.as_bytes()
            })
            .min_by(|&a, &b| scope(a).cmp(scope(b)))
    }

    /// Gives a property of a dictionary; a name at run time comes before an id, then the lowest id.
    pub(super) fn property(&self, environment: &str, name: &str, property: &str) -> Option<&str> {
        let found = self.by_dictionary.find(self.seed.hash_all(0, &[environment, name]));
        let named = found.filter_map(|number| {
            let record = self.other(number);
            let OtherFacts::Dictionary(dictionary) = &record.facts else { return None };
            let id = record.key.as_ref().id;
            let by_name = *dictionary.name == *name;
            let is = *dictionary.environment == *environment && (by_name || id == name);
            is.then_some((!by_name, id, dictionary))
        });
        let (_, _, dictionary) = named.min_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)))?;
        dictionary.property(property)
    }

    /// Makes a request ready, or gives none if the state does not know the API or the plan.
    #[inline]
    fn ask(&self, api: &str, plan: Option<&str>, at: At) -> Option<Asked> {
        let api = self.names.find(&self.seed, api)?;
        let plan = match plan {
            Some(plan) => Some(self.names.find(&self.seed, plan)?),
            None => None,
        };
        Some(Asked { api, plan, at })
    }

    #[inline]
    fn in_scopes(&self, asked: &Asked, find: impl Fn(u32) -> Option<u32>) -> Option<u32> {
        find(asked.api).or_else(|| self.names.products(asked.api).iter().find_map(|&p| find(p)))
    }

    /// Gives the lowest subscription that a valid key among `keys` opens.
    #[inline]
    fn opened(
        &self,
        asked: &Asked,
        scope: u32,
        keys: impl Iterator<Item = u32>,
        is: impl Fn(&KeyRecord) -> bool,
    ) -> Option<u32> {
        let opened = keys.filter_map(|number| {
            let key = self.key(number);
            let record = self.subscription(key.subscription);
            if record.scope != scope || !is(key) || !key.is_valid(asked.at) {
                None
            } else if record.is_usable() {
                Some(key.subscription)
            } else {
                self.elsewhere(asked, record)
            }
        });
        self.lowest(asked, opened)
    }

    /// Finds a key's subscription in the API's other scopes, for it is not in the key's own.
    #[cold]
    fn elsewhere(&self, asked: &Asked, awaited: &SubscriptionRecord) -> Option<u32> {
        let usable = |scope| {
            let found = self.find_subscription(scope, awaited.id())?;
            self.subscription(found).is_usable().then_some(found)
        };
        let products = self.names.products(asked.api).iter();
        usable(asked.api).or_else(|| products.copied().find_map(usable))
    }

    /// Gives the subscription with the lowest id of those that are valid and of the asked plan.
    #[inline]
    fn lowest(&self, asked: &Asked, all: impl Iterator<Item = u32>) -> Option<u32> {
        let mut lowest: Option<u32> = None;
        for number in all {
            let record = self.subscription(number);
            let fits = asked.plan.is_none_or(|plan| record.plan() == plan);
            if !fits || !record.is_valid(asked.at) {
                continue;
            }
            if lowest.is_none_or(|other| record.id() < self.subscription(other).id()) {
                lowest = Some(number);
            }
        }
        lowest
    }
}

/// What is asked for, as numbers.
struct Asked {
    api: u32,
    plan: Option<u32>,
    at: At,
}
