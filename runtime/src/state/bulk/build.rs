//! Records and indexes out of all that was read.
//!
//! Subscriptions have numbers in the order in which they came. Each key then looks for its
//! subscription, and takes its number if it is the first that does. What is left to do is to sort the
//! hashes of each index.

use std::collections::HashMap;
use std::sync::Arc;

use zonesync_core::id::EntityKey;

use super::super::access::{Access, Entry};
use super::super::edit::Editor;
use super::super::index::Index;
use super::super::names::{NameUses, Names};
use super::super::record::{Pair, SubscriptionRecord};
use super::super::root::{Root, utf8};
use super::super::slots::Slots;
use super::super::sort::sort_by_hash;
use super::super::tag::Tag;
use super::super::tree::Tree;
use super::{BulkPart, NewKey, NewOther, Shared, Twice};
use crate::parallel::{self, both};

/// Fewer entities are not worth a second thread.
const MANY: usize = 20_000;

/// Makes the state of what was read, without position and digest, and the editor that goes with it.
pub(super) fn build(
    shared: &Shared,
    names: Vec<Arc<str>>,
    mut parts: Vec<BulkPart>,
) -> Result<(Root, Editor), Twice> {
    let is_large = parts.iter().map(BulkPart::len).sum::<usize>() >= MANY;
    let others: Vec<NewOther> = parts.iter_mut().flat_map(|p| p.others.drain(..)).collect();
    let mut pairs = Pairs::gather(&mut parts);
    let (by_id, by_credential) = {
        let (ids, credentials) = (&pairs.ids, std::mem::take(&mut pairs.credentials));
        both(is_large, || sort_by_hash(ids.clone(), |id| id.0), || index(credentials))
    };
    pairs.each_once(&names, &by_id)?;
    let by_id = Index::of(&by_id);
    let found = find_all(is_large, &pairs.all, &by_id, &parts);
    let mut linked = Linked::default();
    for (part, found) in parts.into_iter().zip(found) {
        let mut begin = 0;
        for (key, found) in part.keys.into_iter().zip(found) {
            let named = &part.named[begin..key.named_end];
            begin = key.named_end;
            let subscription = found.unwrap_or_else(|| pairs.awaited(&key, named));
            linked.key(shared, &mut pairs, key, subscription);
        }
    }
    // Those that are awaited came later.
    let by_id = if pairs.awaited.is_empty() { by_id } else { index(pairs.ids) };
    let Linked { keys, by_md5, by_key_id, further } = linked;
    let by_key_id = sort_by_hash(by_key_id, |key| key.0);
    further_once(&pairs.all, &names, &by_key_id)?;
    let mut uses = vec![0; names.len()];
    for Pair { subscription, .. } in &pairs.all {
        if subscription.payload.is_some() {
            uses[subscription.scope as usize] += 1;
        }
        if subscription.is_usable() {
            uses[subscription.plan() as usize] += 1;
        }
    }
    let taken = Slots::below(number(pairs.all.len()));
    let all = pairs.all;
    let ((pairs, by_md5), (access, by_shared)) = both(
        is_large,
        || (Tree::of(all), index(by_md5)),
        || Access::of(&sort_by_hash(keys, |(tag, _)| tag.high())),
    );
    let mut root = Root {
        names: Names::of(&shared.seed, names),
        seed: shared.seed.clone(),
        pairs,
        by_id,
        by_credential,
        by_key_id: Index::of(&by_key_id),
        access,
        by_shared: index(by_shared),
        by_md5,
        ..Root::new()
    };
    let mut editor = Editor::of(shared.digest_key, NameUses::of(uses), taken, further);
    for NewOther { key, payload, facts } in others {
        if root.place(key.as_ref()).is_some() {
            return Err(Twice(key));
        }
        editor.put_new(&mut root, key.as_ref(), payload, facts);
    }
    editor.finish(&mut root);
    Ok((root, editor))
}

/// Subscriptions and keys, and what their indexes are made of.
struct Pairs {
    all: Vec<Pair>,
    ids: Vec<(u64, u32)>,
    credentials: Vec<(u64, u32)>,
    /// The numbers of subscriptions that keys name and that are not there, by scope and id.
    awaited: HashMap<(u32, Box<str>), u32>,
}

impl Pairs {
    /// Takes the subscriptions out of all parts.
    fn gather(parts: &mut [BulkPart]) -> Self {
        let count = |of: fn(&BulkPart) -> usize| parts.iter().map(of).sum();
        let subscriptions = count(|part| part.subscriptions.len());
        let mut all = Vec::with_capacity(subscriptions);
        let mut ids = Vec::with_capacity(subscriptions);
        let mut credentials = Vec::with_capacity(count(|part| part.credentials.len()));
        for part in parts {
            let base = number(all.len());
            let here = std::mem::take(&mut part.credentials).into_iter();
            credentials.extend(here.map(|(hash, at)| (hash, base + at)));
            for (new, at) in std::mem::take(&mut part.subscriptions).into_iter().zip(base..) {
                ids.push((new.id_hash, at));
                all.push(Pair { subscription: new.record, ..Pair::default() });
            }
        }
        Self { all, ids, credentials, awaited: HashMap::new() }
    }

    /// Sees that no subscription came twice.
    fn each_once(&self, names: &[Arc<str>], by_id: &[(u64, u32)]) -> Result<(), Twice> {
        let of = |number: u32| {
            let record = &self.all[number as usize].subscription;
            (record.scope, record.id())
        };
        match twice(by_id, of) {
            Some((scope, id)) => {
                let scope = &names[scope as usize];
                Err(Twice(EntityKey::subscription(scope, utf8(id)).into()))
            }
            None => Ok(()),
        }
    }

    /// Gives the number of a subscription that only keys name.
    fn awaited(&mut self, key: &NewKey, id: &str) -> u32 {
        let Self { all, ids, awaited, .. } = self;
        *awaited.entry((key.scope, id.into())).or_insert_with(|| {
            let number = number(all.len());
            let subscription = SubscriptionRecord::awaited(key.scope, id.as_bytes());
            all.push(Pair { subscription, ..Pair::default() });
            ids.push((key.named_hash, number));
            number
        })
    }
}

/// What the indexes of keys are made of.
#[derive(Default)]
struct Linked {
    keys: Vec<(Tag, Entry)>,
    by_md5: Vec<(u64, u32)>,
    by_key_id: Vec<(u64, u32)>,
    further: HashMap<u32, u32>,
}

impl Linked {
    /// Gives a key its number and its record.
    fn key(&mut self, shared: &Shared, pairs: &mut Pairs, new: NewKey, subscription: u32) {
        let is_first = pairs.all[subscription as usize].key.payload.is_none();
        let number = if is_first {
            subscription
        } else {
            *self.further.entry(subscription).or_default() += 1;
            let hash = shared.seed.hash(subscription, new.record.id());
            let number = number(pairs.all.len());
            self.by_key_id.push((hash, number));
            pairs.all.push(Pair::default());
            number
        };
        let pair = &mut pairs.all[number as usize];
        pair.key = new.record;
        pair.key.subscription = subscription;
        self.keys.push((new.tag, pair.entry(number)));
        self.by_md5.push((new.md5_hash, number));
    }
}

/// Sees that no key of a subscription came twice. Only further keys can be such.
fn further_once(pairs: &[Pair], names: &[Arc<str>], all: &[(u64, u32)]) -> Result<(), Twice> {
    let key = |number: u32| &pairs[number as usize].key;
    let of = |number: u32| (key(number).subscription, key(number).id());
    let first = |number: &u32| key(key(*number).subscription).id() == key(*number).id();
    let again = all.iter().map(|(_, number)| *number).find(first).map(of);
    let Some((subscription, id)) = again.or_else(|| twice(all, of)) else { return Ok(()) };
    let subscription = &pairs[subscription as usize].subscription;
    let scope = &names[subscription.scope as usize];
    Err(Twice(EntityKey::api_key(scope, utf8(id), utf8(subscription.id())).into()))
}

/// Finds something that two of the same hash have in common.
fn twice<T: Ord>(sorted: &[(u64, u32)], of: impl Fn(u32) -> T) -> Option<T> {
    let same = sorted.chunk_by(|a, b| a.0 == b.0).filter(|same| same.len() > 1);
    same.into_iter().find_map(|same| {
        let mut all: Vec<T> = same.iter().map(|(_, number)| of(*number)).collect();
        all.sort_unstable();
        let at = all.windows(2).position(|two| two[0] == two[1])?;
        Some(all.swap_remove(at))
    })
}

/// Finds the subscription of each key, part by part.
fn find_all(
    is_large: bool,
    pairs: &[Pair],
    by_id: &Index,
    parts: &[BulkPart],
) -> Vec<Vec<Option<u32>>> {
    let find_part = |part: &BulkPart| {
        let mut begin = 0;
        let find = |key: &NewKey| {
            let named = &part.named.as_bytes()[begin..key.named_end];
            begin = key.named_end;
            by_id.find(key.named_hash).find(|&number| {
                let record = &pairs[number as usize].subscription;
                record.scope == key.scope && record.id() == named
            })
        };
        part.keys.iter().map(find).collect()
    };
    match is_large {
        true => parallel::map(parts, find_part),
        false => parts.iter().map(find_part).collect(),
    }
}

fn index(entries: Vec<(u64, u32)>) -> Index {
    Index::of(&sort_by_hash(entries, |entry| entry.0))
}

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("fewer than 2^32 records")
}
