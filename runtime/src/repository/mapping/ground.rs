//! What decisions rest on: parents with their plans, products, groups, subscriptions.
//!
//! Kept apart from rows, so that rows can be decided in pieces: parents first, then their children,
//! page by page.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use foldhash::fast::RandomState;
use zonesync_core::entity::Kind;
use zonesync_core::id::{EntityKey, EntityKeyBuf};

use super::api::Plans;
use super::rows::{Body, Event, Row, Subscription};

/// What became of a row that others rest on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate<T> {
    Served(T),
    Off,
    Filtered,
    Broken,
}

/// What became of APIs and products, by entity.
pub(super) type Parents = BTreeMap<EntityKeyBuf, Fate<Plans>>;

/// All that is known when a piece of rows is decided.
#[derive(Debug, Default)]
pub(super) struct Ground {
    pub(super) parents: Parents,
    pub(super) products: Products,
    pub(super) groups: Groups,
    pub(super) subscriptions: Subscriptions,
    /// Parents whose fate or plans are not what they were.
    pub(super) touched: BTreeSet<EntityKeyBuf>,
    /// A parent that was served is left out by our own filter now.
    pub(super) left: bool,
    /// Parents that are new or changed: their subscriptions are to be dispatched by force. None
    /// means all.
    pub(super) changed: Option<BTreeSet<Box<str>>>,
}

impl Ground {
    /// Takes over what does not change from one read to the next, for a look on the side.
    pub(super) fn fork(&self) -> Self {
        Self {
            parents: self.parents.clone(),
            products: self.products.clone(),
            groups: self.groups.clone(),
            ..Self::default()
        }
    }

    /// Forgets what only one read rests on.
    pub(super) fn forget(&mut self) {
        self.subscriptions = Subscriptions::default();
        self.touched.clear();
        self.products.resold.clear();
        self.left = false;
    }

    /// Notes what became of a parent.
    pub(super) fn set_parent(&mut self, key: EntityKey<'_>, fate: Fate<Plans>) {
        let key = EntityKeyBuf::from(key);
        if self.parents.get(&key) != Some(&fate) {
            let served = matches!(self.parents.get(&key), Some(Fate::Served(_)));
            self.left |= served && fate == Fate::Filtered;
            self.touched.insert(key.clone());
            self.parents.insert(key, fate);
        }
    }
}

/// What a product contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Members {
    pub(super) apis: Box<[Box<str>]>,
    pub(super) environment: Option<Box<str>>,
}

/// An API that some product contains.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sold {
    api: Box<str>,
    environment: Option<Box<str>>,
}

/// Which APIs served products contain.
#[derive(Clone, Debug, Default)]
pub(super) struct Products {
    members: BTreeMap<Box<str>, Members>,
    /// APIs of products that changed, before and after.
    resold: BTreeSet<Box<str>>,
    /// The same as `members` by API and environment; empty until it is asked for.
    sold: Option<BTreeSet<Sold>>,
}

impl Products {
    /// Notes what a product contains; none if it is served no longer.
    pub(super) fn put(&mut self, id: &str, members: Option<Members>) {
        if self.members.get(id) == members.as_ref() {
            return;
        }
        let before = match &members {
            Some(members) => self.members.insert(id.into(), members.clone()),
            None => self.members.remove(id),
        };
        let changed = [before, members].into_iter().flatten();
        self.resold.extend(changed.flat_map(|members| members.apis.into_vec()));
        self.sold = None;
    }

    /// Gives the APIs of products that changed, before and after, and forgets them.
    pub(super) fn resold(&mut self) -> BTreeSet<Box<str>> {
        std::mem::take(&mut self.resold)
    }

    /// Says whether some product of this environment contains the API.
    pub(super) fn contain(&mut self, api: &str, environment: Option<&str>) -> bool {
        let sold = self.sold.get_or_insert_with(|| {
            let mut sold = BTreeSet::new();
            for Members { apis, environment } in self.members.values() {
                let of = |api: &str| Sold { api: api.into(), environment: environment.clone() };
                sold.extend(apis.iter().map(|api| of(api)));
            }
            sold
        });
        let environment = environment.map(Into::into);
        !sold.is_empty() && sold.contains(&Sold { api: api.into(), environment })
    }
}

/// Shared policy groups by their id, each with the first of its environments.
///
/// Ids of groups are unique in their environment only. The one whose environment comes first has
/// the plain key, which is all that older gateways know; any other one carries its environment as
/// scope, so that neither group overwrites the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Groups(BTreeMap<Box<str>, Box<str>>);

impl Groups {
    /// Takes in a group.
    pub(super) fn put(&mut self, id: &str, environment: &str) {
        match self.0.get_mut(id) {
            Some(known) if **known <= *environment => {}
            Some(known) => *known = environment.into(),
            None => drop(self.0.insert(id.into(), environment.into())),
        }
    }

    pub(super) fn put_row(&mut self, row: &Row) {
        if let Body::Event(event) = &row.body
            && event.kind == Some(Kind::SHARED_POLICY_GROUP)
        {
            self.put(&event.entity, environment_of(event));
        }
    }

    /// Gives the scope of a group's key.
    pub(super) fn scope<'e>(&self, event: &'e Event) -> &'e str {
        let environment = environment_of(event);
        let first = self.0.get(&event.entity).is_none_or(|first| **first == *environment);
        if first { "" } else { environment }
    }

    /// Says whether a group that was known before has another first environment now.
    pub(super) fn moved(&self, before: &Self) -> bool {
        before.0.iter().any(|(id, first)| self.0.get(id).is_some_and(|now| now != first))
    }
}

fn environment_of(event: &Event) -> &str {
    event.environments.first().map_or("", |id| id)
}

/// What became of subscriptions, as far as keys rest on it: 20 bytes for one with a UUID.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    by_uuid: HashMap<[u8; 16], u32, RandomState>,
    by_id: HashMap<Box<str>, u32, RandomState>,
    /// Scopes and plans, each pair once.
    places: Vec<(Box<str>, Box<str>)>,
    numbers: HashMap<(Box<str>, Box<str>), u32, RandomState>,
    /// The newest pair: rows of one plan tend to come together.
    last: Option<u32>,
}

const FATES: u32 = 4;

impl Subscriptions {
    /// Notes what became of one. Its scope must be known, or its keys have no key of their own.
    pub(super) fn put(&mut self, id: &str, scope: &str, plan: &str, fate: &Fate<()>) {
        let fate = match fate {
            Fate::Served(()) => 0,
            Fate::Off => 1,
            Fate::Filtered => 2,
            Fate::Broken => 3,
        };
        let packed = self.place(scope, plan) * FATES + fate;
        match uuid(id) {
            Some(uuid) => drop(self.by_uuid.insert(uuid, packed)),
            None => drop(self.by_id.insert(id.into(), packed)),
        }
    }

    /// Gives scope, plan and fate.
    pub(super) fn get(&self, id: &str) -> Option<(&str, &str, Fate<()>)> {
        let packed = match uuid(id) {
            Some(uuid) => *self.by_uuid.get(&uuid)?,
            None => *self.by_id.get(id)?,
        };
        let (scope, plan) = &self.places[(packed / FATES) as usize];
        let fate = match packed % FATES {
            0 => Fate::Served(()),
            1 => Fate::Off,
            2 => Fate::Filtered,
            _ => Fate::Broken,
        };
        Some((scope, plan, fate))
    }

    fn place(&mut self, scope: &str, plan: &str) -> u32 {
        let same = |place: &(Box<str>, Box<str>)| *place.0 == *scope && *place.1 == *plan;
        if let Some(last) = self.last.filter(|last| same(&self.places[*last as usize])) {
            return last;
        }
        let next = u32::try_from(self.places.len()).ok().filter(|n| *n < u32::MAX / FATES);
        let next = next.expect("fewer than 2^30 plans with subscriptions");
        let number = *self.numbers.entry((scope.into(), plan.into())).or_insert(next);
        if number == next {
            self.places.push((scope.into(), plan.into()));
        }
        self.last = Some(number);
        number
    }
}

/// Reads a UUID as it is usually spelt; any other spelling is a text of its own.
fn uuid(id: &str) -> Option<[u8; 16]> {
    let bytes = id.as_bytes();
    if bytes.len() != 36 {
        return None;
    }
    let (mut out, mut at) = ([0u8; 16], 0);
    for byte in &mut out {
        if matches!(at, 8 | 13 | 18 | 23) {
            if bytes[at] != b'-' {
                return None;
            }
            at += 1;
        }
        *byte = nibble(bytes[at])? << 4 | nibble(bytes[at + 1])?;
        at += 2;
    }
    Some(out)
}

fn nibble(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// What a key takes from its subscription.
#[derive(Clone, Copy)]
pub(super) struct Serves<'a> {
    pub(super) scope: &'a str,
    pub(super) plan: &'a str,
}

impl Fate<()> {
    /// Drops what a fate carries.
    pub(super) fn of(fate: &Fate<&Subscription>) -> Self {
        match fate {
            Fate::Served(_) => Self::Served(()),
            Fate::Off => Self::Off,
            Fate::Filtered => Self::Filtered,
            Fate::Broken => Self::Broken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_usual_spelling_of_a_uuid_is_packed() {
        let usual = "1a9cb8a4-6f0e-4d19-9cb8-a46f0e8d1901";
        assert_eq!(uuid(usual).unwrap()[..2], [0x1a, 0x9c]);
        let others =
            [&usual.to_uppercase(), &usual.replace('-', "0"), "1a9cb8a4", &usual.replace('4', "g")];
        others.iter().for_each(|other| assert_eq!(uuid(other), None, "{other}"));
        let mut table = Subscriptions::default();
        table.put(usual, "a", "p", &Fate::Served(()));
        table.put(others[0], "b", "p", &Fate::Off);
        table.put("third", "a", "q", &Fate::Broken);
        assert_eq!(table.get(usual), Some(("a", "p", Fate::Served(()))));
        assert_eq!(table.get(others[0]), Some(("b", "p", Fate::Off)));
        assert_eq!(table.get("third"), Some(("a", "q", Fate::Broken)));
        assert_eq!(table.get("fourth"), None);
    }

    #[test]
    fn a_product_that_changes_changes_what_is_sold() {
        let mut products = Products::default();
        assert!(!products.contain("a", None));
        products
            .put("p", Some(Members { apis: ["a".into()].into(), environment: Some("e".into()) }));
        assert!(products.contain("a", Some("e")) && !products.contain("a", None));
        products.put("p", None);
        assert!(!products.contain("a", Some("e")));
    }
}
