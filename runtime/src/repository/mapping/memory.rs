//! What was mapped before, so that nothing is published that means nothing new.
//!
//! Two members of payloads say when rather than what: an API's date, and whether a subscription is
//! to be dispatched by force. Both depend on what came before, so they are settled here, last.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use zonesync_core::entity::Kind;
use zonesync_core::id::EntityKeyBuf;

use super::decide::PlansOf;
use crate::entity::Entity;

/// How an API's payload ends: so two of them are compared but for their date.
pub(super) const DATE: &str = ",\"deployedAt\":";
/// How a subscription's payload ends.
pub(super) const FORCED: &str = ",\"forceDispatch\":true}";
/// How a subscription's payload ends that came alone.
pub(super) const ALONE: &str = ",\"forceDispatch\":false}";

/// The last mapping: parents with their payloads, subscriptions with their dispatch.
#[derive(Debug, Default)]
pub(super) struct Memory {
    parents: BTreeMap<EntityKeyBuf, Arc<[u8]>>,
    subscriptions: BTreeMap<EntityKeyBuf, Arc<[u8]>>,
    plans: PlansOf,
}

impl Memory {
    /// Gives the plans of APIs and products as they were when these could last be read.
    pub(super) fn plans(&self) -> &PlansOf {
        &self.plans
    }

    /// Settles dates and dispatch, and remembers the outcome.
    pub(super) fn settle(&mut self, entities: &mut [Entity], plans: PlansOf) {
        let (mut parents, mut subscriptions) = (BTreeMap::new(), BTreeMap::new());
        let mut changed = BTreeSet::new();
        // Parents come first in the order of keys.
        for entity in entities {
            let kind = entity.key.as_ref().kind;
            if kind == Kind::API || kind == Kind::API_PRODUCT {
                let held = self.parents.get(&entity.key);
                match held.filter(|held| same_but_date(held, &entity.payload)) {
                    Some(held) => entity.payload = Arc::clone(held),
                    None => {
                        changed.insert(entity.key.as_ref().id.to_owned());
                    }
                }
                parents.insert(entity.key.clone(), Arc::clone(&entity.payload));
            } else if kind == Kind::SUBSCRIPTION {
                let held = self.subscriptions.get(&entity.key);
                let forced = changed.contains(entity.key.as_ref().scope);
                match held.filter(|held| !forced && same_but_dispatch(held, &entity.payload)) {
                    Some(held) => entity.payload = Arc::clone(held),
                    None if forced => {}
                    None => entity.payload = alone(&entity.payload),
                }
                subscriptions.insert(entity.key.clone(), Arc::clone(&entity.payload));
            }
        }
        *self = Self { parents, subscriptions, plans };
    }
}

fn alone(payload: &[u8]) -> Arc<[u8]> {
    let body = payload.strip_suffix(FORCED.as_bytes()).unwrap_or(payload);
    [body, ALONE.as_bytes()].concat().into()
}

/// Says whether two payloads of a subscription differ in nothing but the forced dispatch.
///
/// A node that reads everything again must not publish for that member alone.
pub fn same_but_dispatch(held: &[u8], mapped: &[u8]) -> bool {
    let body = |payload: &[u8]| -> Option<usize> {
        let ends = [FORCED, ALONE].map(str::as_bytes);
        ends.iter().find_map(|end| Some(payload.strip_suffix(*end)?.len()))
    };
    match (body(held), body(mapped)) {
        (Some(a), Some(b)) => held[..a] == mapped[..b],
        _ => held == mapped,
    }
}

/// Says whether two payloads of an API or API product differ in nothing but the date of deployment.
///
/// The gateway takes such a one for the deployment that it has, as its revision is the same.
pub fn same_but_date(held: &[u8], mapped: &[u8]) -> bool {
    let body = |payload: &[u8]| {
        let at = payload.windows(DATE.len()).rposition(|part| part == DATE.as_bytes())?;
        let date = payload.get(at + DATE.len()..)?.strip_suffix(b"}")?;
        date.iter().all(|b| b.is_ascii_digit() || *b == b'-').then_some(at)
    };
    match (body(held), body(mapped)) {
        (Some(a), Some(b)) => held[..a] == mapped[..b],
        _ => held == mapped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_member_may_differ() {
        let forced = br#"{"id":"s","forceDispatch":true}"#;
        let alone = br#"{"id":"s","forceDispatch":false}"#;
        assert!(same_but_dispatch(forced, alone));
        assert!(!same_but_dispatch(forced, br#"{"id":"t","forceDispatch":true}"#));
        assert!(!same_but_dispatch(forced, br#"{"id":"s"}"#));
        assert!(same_but_date(br#"{"a":1,"deployedAt":1}"#, br#"{"a":1,"deployedAt":-22}"#));
        assert!(!same_but_date(br#"{"a":1,"deployedAt":1}"#, br#"{"a":2,"deployedAt":1}"#));
        assert!(!same_but_date(br#"{"a":1,"deployedAt":"x"}"#, br#"{"a":1,"deployedAt":1}"#));
    }
}
