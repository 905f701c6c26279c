//! A running node as the admin socket sees it.

use std::collections::BTreeMap;

use zonesync_core::entity::Kind;
use zonesync_core::id::{EntityKey, Position};

use super::{Admin, Changes, Credential, Get, Item, Looked, Match, Page};
use crate::image::Verified;
use crate::node::ZoneSync;
use crate::runtime::wall_now;
use crate::state::View;
use crate::status::Status;

/// A page with payloads ends when it holds this many bytes of them, whatever its limit.
const PAGE_BYTES_MAX: usize = 16 << 20;

impl Admin for ZoneSync {
    fn status(&self) -> Status {
        ZoneSync::status(self)
    }

    fn list(&self, kind: Kind, after: Option<EntityKey<'_>>, limit: usize, payload: bool) -> Page {
        let view = self.state().view();
        let behind = |key: &EntityKey<'_>| after.is_none_or(|after| *key > after);
        page(&view, view.entities(kind).filter(|(key, _)| behind(key)), limit, payload)
    }

    fn get(&self, query: &Get, payload: bool) -> Page {
        let view = self.state().view();
        let Get { kind, id, scope, subscription } = query;
        let scoped = *kind == Kind::SUBSCRIPTION || *kind == Kind::API_KEY;
        if !scoped && scope.is_none() && subscription.is_none() {
            let key = EntityKey::new(*kind, id);
            return page(&view, view.get(key).map(|found| (key, found)).into_iter(), 1, payload);
        }
        let meant = |key: &EntityKey<'_>| {
            key.id == id
                && scope.as_deref().is_none_or(|scope| key.scope == scope)
                && subscription.as_deref().is_none_or(|one| key.subscription == one)
        };
        let found = view.entities(*kind).filter(|(key, _)| meant(key));
        page(&view, found, super::PAGE_MAX, payload)
    }

    fn lookup(&self, api: &str, credential: &Credential, plan: Option<&str>) -> Looked {
        let (view, at) = (self.state().view(), wall_now());
        let found = match credential {
            Credential::Key(key) => view.by_key(api, key, plan, at),
            Credential::Md5(md5) => view.by_md5(api, md5, plan, at),
            Credential::Client(client) => view.by_client(api, client, plan, at),
            Credential::Certificate(thumb) => view.by_certificate(api, thumb, plan, at),
        };
        let found = found.map(|found| Match {
            id: found.id().into(),
            plan: found.plan().into(),
            payload: found.payload().into(),
        });
        Looked { position: view.position(), found }
    }

    fn changes(&self, since: Option<Position>) -> (Position, Box<dyn Changes>) {
        // Start at a position that we know: a change in between is then told, not lost.
        let start = since.unwrap_or_else(|| self.state().position());
        (start, Box::new(self.state().changes(Some(start))))
    }

    fn verify(&self) -> Verified {
        ZoneSync::verify(self)
    }

    fn confirm_removal(&self, token: &str) -> bool {
        ZoneSync::confirm_removal(self, token)
    }

    fn step_down(&self) -> bool {
        ZoneSync::step_down(self)
    }
}

/// Takes the first `limit` entities by key from any order, holding no more than that.
fn page<'a>(
    view: &View,
    entities: impl Iterator<Item = (EntityKey<'a>, &'a [u8])>,
    limit: usize,
    payload: bool,
) -> Page {
    let (first, mut more) = smallest(entities, limit);
    let (mut items, mut bytes) = (Vec::with_capacity(first.len()), 0);
    for (key, content) in first {
        bytes += if payload { content.len() } else { 0 };
        if bytes > PAGE_BYTES_MAX && !items.is_empty() {
            more = true;
            break;
        }
        items.push(Item::new(key, content, payload));
    }
    Page { position: view.position(), items, more }
}

/// Gives the entries with the `limit` smallest keys, and whether any was left out.
fn smallest<K: Ord, V>(
    entries: impl Iterator<Item = (K, V)>,
    limit: usize,
) -> (BTreeMap<K, V>, bool) {
    let (mut first, mut more) = (BTreeMap::new(), false);
    for (key, value) in entries {
        if first.len() == limit {
            more = true;
            if first.last_key_value().is_none_or(|(last, _)| key >= *last) {
                continue;
            }
            first.pop_last();
        }
        first.insert(key, value);
    }
    (first, more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_hold_the_smallest_keys_in_order() {
        let entries = [5, 1, 4, 2, 3].map(|n| (n, ()));
        let (first, more) = smallest(entries.into_iter(), 3);
        assert_eq!((first.into_keys().collect::<Vec<_>>(), more), (vec![1, 2, 3], true));
        let (all, more) = smallest(entries.into_iter(), 5);
        assert_eq!((all.len(), more), (5, false));
    }
}
