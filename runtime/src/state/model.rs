//! The lookups once more, plain and slow, over a sorted list of all entities; and random states.
//!
//! Nothing here is shared with the state but the manner of reading one time stamp: payloads are read
//! as plain JSON.

use std::collections::BTreeMap;

use serde_json::Value;
use zonesync_core::entity::Kind;
use zonesync_core::id::{EntityKey, EntityKeyBuf};

use super::certificate;

/// All entities of a state, and those that the host rejected.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) entities: BTreeMap<EntityKeyBuf, Vec<u8>>,
    pub(super) rejected: Vec<EntityKeyBuf>,
}

/// Which text a key is asked by.
#[derive(Clone, Copy, Debug)]
pub(super) enum By {
    Key,
    Md5,
    Client,
    Certificate,
}

impl Model {
    /// Gives the scope and id of the subscription that is found.
    pub(super) fn find(
        &self,
        by: By,
        api: &str,
        text: &str,
        plan: Option<&str>,
        at: i64,
    ) -> Option<(String, String)> {
        let scopes = self.scopes(api);
        let found = |scope: &String| match by {
            By::Key => self.keyed(scope, &scopes, |key| key == text, plan, at),
            By::Md5 => self.keyed(scope, &scopes, |key| md5_hex(key) == text, plan, at),
            By::Client => self.credited(scope, plan, at, |json| {
                certificate_of(json).is_none() && member(json, "clientId") == Some(text)
            }),
            By::Certificate => self.credited(scope, plan, at, |json| {
                certificate_of(json).is_some_and(|c| certificate::thumbprints(c) == text)
            }),
        };
        scopes.iter().find_map(found)
    }

    /// The API, then the products that hold it.
    fn scopes(&self, api: &str) -> Vec<String> {
        let environment = |json: &Value| member(json, "environmentId").unwrap_or("").to_owned();
        let of_api = self.usable(EntityKey::new(Kind::API, api)).map(|json| environment(&json));
        let of_api = of_api.unwrap_or_default();
        let mut scopes = vec![api.to_owned()];
        for (key, _) in self.of_kind(Kind::API_PRODUCT) {
            let Some(json) = self.usable(key) else { continue };
            let lists = json["apiIds"].as_array().is_some_and(|all| all.iter().any(|a| a == api));
            let served = json["plans"].as_array().is_some_and(|plans| {
                plans.iter().any(|p| p["status"] == "published" || p["status"] == "deprecated")
            });
            let own = environment(&json);
            if lists && served && (own.is_empty() || of_api.is_empty() || own == of_api) {
                scopes.push(key.id.to_owned());
            }
        }
        scopes
    }

    fn keyed(
        &self,
        scope: &str,
        scopes: &[String],
        is: impl Fn(&str) -> bool,
        plan: Option<&str>,
        at: i64,
    ) -> Option<(String, String)> {
        let opened = self.of_kind(Kind::API_KEY).filter_map(|(key, _)| {
            let json = self.usable(key).filter(|_| key.scope == scope)?;
            let flag = |name: &str| json[name] == true;
            let expired = json["expireAt"].as_i64().is_some_and(|expires| expires <= at);
            let active = json["active"].is_null() || flag("active");
            let valid = active && !flag("revoked") && !flag("paused") && !expired;
            if !valid || !is(member(&json, "key")?) {
                return None;
            }
            let own = [scope.to_owned()];
            let (scope, json) = own.iter().chain(scopes).find_map(|scope| {
                let id = EntityKey::subscription(scope, key.subscription);
                Some((scope, self.usable(id)?))
            })?;
            let found = (scope.clone(), key.subscription.to_owned());
            valid_subscription(&json, plan, at).then_some(found)
        });
        opened.min_by(|a, b| a.1.cmp(&b.1))
    }

    fn credited(
        &self,
        scope: &str,
        plan: Option<&str>,
        at: i64,
        is: impl Fn(&Value) -> bool,
    ) -> Option<(String, String)> {
        let found = self.of_kind(Kind::SUBSCRIPTION).filter_map(|(key, _)| {
            let json = self.usable(key).filter(|_| key.scope == scope)?;
            let found = (scope.to_owned(), key.id.to_owned());
            (is(&json) && valid_subscription(&json, plan, at)).then_some(found)
        });
        found.min()
    }

    /// Finds a subscription by id.
    pub(super) fn subscription(&self, id: &str) -> Option<(String, String)> {
        let all = self.of_kind(Kind::SUBSCRIPTION);
        let mut named = all.filter(|(key, _)| key.id == id && self.usable(*key).is_some());
        named.next().map(|(key, _)| (key.scope.to_owned(), key.id.to_owned()))
    }

    /// Finds a property of a dictionary.
    pub(super) fn property(&self, environment: &str, name: &str, property: &str) -> Option<String> {
        let all: Vec<(&str, Value)> = (self.of_kind(Kind::DICTIONARY))
            .filter_map(|(key, _)| Some((key.id, self.usable(key)?)))
            .filter(|(_, json)| member(json, "environmentId").unwrap_or("") == environment)
            .collect();
        let named = |(id, json): &&(&str, Value)| member(json, "key").unwrap_or(id) == name;
        let dictionary =
            all.iter().find(named).or_else(|| all.iter().find(|(id, _)| *id == name))?;
        dictionary.1["properties"][property].as_str().map(str::to_owned)
    }

    /// How many entities cannot be used.
    pub(super) fn unusable(&self) -> usize {
        let read =
            [Kind::API, Kind::API_PRODUCT, Kind::SUBSCRIPTION, Kind::API_KEY, Kind::DICTIONARY];
        let bad = |key: &&EntityKeyBuf| {
            let bad = read.contains(&key.as_ref().kind) && self.usable(key.as_ref()).is_none();
            bad || self.rejected.contains(key)
        };
        self.entities.keys().filter(bad).count()
    }

    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (EntityKey<'_>, &[u8])> {
        let all = self.entities.iter().map(|(key, payload)| (key.as_ref(), &**payload));
        all.filter(move |(key, _)| key.kind == kind)
    }

    fn usable(&self, key: EntityKey<'_>) -> Option<Value> {
        let key = EntityKeyBuf::from(key);
        let payload = self.entities.get(&key).filter(|_| !self.rejected.contains(&key))?;
        let json: Value = serde_json::from_slice(payload).ok().filter(Value::is_object)?;
        let needs: &[&str] = match key.as_ref().kind {
            Kind::SUBSCRIPTION => &["plan", "status"],
            Kind::API_KEY => &["key"],
            _ => &[],
        };
        if key.as_ref().kind == Kind::DICTIONARY && json["key"].is_number() {
            return None;
        }
        needs.iter().all(|name| member(&json, name).is_some()).then_some(json)
    }
}

fn valid_subscription(json: &Value, plan: Option<&str>, at: i64) -> bool {
    member(json, "status") == Some("ACCEPTED")
        && plan.is_none_or(|plan| member(json, "plan") == Some(plan))
        && json["startingAt"].as_i64().is_none_or(|starting| starting <= at)
        && json["endingAt"].as_i64().is_none_or(|ending| at < ending)
}

fn certificate_of(json: &Value) -> Option<&str> {
    member(json, "clientCertificate")
}

fn member<'a>(json: &'a Value, name: &str) -> Option<&'a str> {
    json[name].as_str().filter(|text| !text.is_empty())
}

/// Gives the MD5 of a text as lower-case hex.
pub(super) fn md5_hex(text: &str) -> String {
    super::hash::md5(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
