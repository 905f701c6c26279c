//! Which rows become entities, which are off, and which our own filter leaves out.
//!
//! *Off* is evidence: some row says so, the item's own or the one it cannot live without. What only
//! our tags, environments or organizations leave out is neither an entity nor off. Parents are
//! decided before their children: products, APIs, subscriptions, keys.

use std::collections::{BTreeMap, BTreeSet};

use zonesync_core::entity::{Kind, PAYLOAD_MAX};
use zonesync_core::id::{EntityKey, EntityKeyBuf};
use zonesync_core::time::WallTime;

use super::api::{self, Plans};
use super::ground::{Fate, Ground, Members, Serves};
use super::rows::{Body, Event, Key, Payload, Subscription};
use super::scope::Scope;
use super::{BadRow, MappingOptions, Origin, Rows, Slot, Table, order, payload};
use crate::entity::Entity;
use crate::repository::Quarantined;

/// What is known of the plans of each API and product, by entity.
pub(super) type PlansOf = BTreeMap<EntityKeyBuf, Plans>;

/// What a pass over all rows gave.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    pub(super) entities: Vec<Entity>,
    pub(super) off: BTreeSet<EntityKeyBuf>,
    pub(super) quarantined: Vec<Quarantined>,
    pub(super) plans: PlansOf,
}

/// Decides about all rows as of `now`; `known` helps where an API cannot be read any more.
pub(super) fn decide(
    rows: &Rows,
    options: &MappingOptions,
    known: &PlansOf,
    now: WallTime,
) -> Result<Decisions, String> {
    let mut ground = Ground::default();
    rows.of(Table::EventsLatest).for_each(|row| ground.groups.put_row(row));
    let places = Places { rows, told: true };
    let mut decisions = decide_piece(rows, places, options, known, now, &mut ground)?;
    decisions.settle();
    for (key, fate) in ground.parents {
        if let Fate::Served(plans) = fate {
            decisions.plans.insert(key, plans);
        }
    }
    Ok(decisions)
}

/// The rows of environments, organizations and the installation.
#[derive(Clone, Copy)]
pub(super) struct Places<'a> {
    pub(super) rows: &'a Rows,
    /// What is wrong with them is told, and the node's metadata is given.
    pub(super) told: bool,
}

/// Decides about some rows on the ground of those that were decided before, which it adds to.
pub(super) fn decide_piece(
    rows: &Rows,
    places: Places<'_>,
    options: &MappingOptions,
    known: &PlansOf,
    now: WallTime,
    ground: &mut Ground,
) -> Result<Decisions, String> {
    let scope = Scope::resolve(options, places.rows)?;
    let mut pass =
        Pass { rows, places, options, known, now, scope, out: Decisions::default(), ground };
    if places.told {
        pass.places();
    }
    pass.small();
    pass.events();
    pass.products();
    pass.apis();
    pass.subscriptions();
    pass.keys();
    Ok(pass.out)
}

impl Decisions {
    /// Puts things in order, once all rows are decided.
    pub(super) fn settle(&mut self) {
        order::sort(&mut self.entities);
        // Two rows about one item: the first in the order of ids counts, as good as any rule.
        self.entities.dedup_by(|second, first| second.key == first.key);
        for entity in &self.entities {
            self.off.remove(&entity.key);
        }
    }
}

struct Pass<'a> {
    rows: &'a Rows,
    places: Places<'a>,
    options: &'a MappingOptions,
    known: &'a PlansOf,
    now: WallTime,
    scope: Scope<'a>,
    out: Decisions,
    ground: &'a mut Ground,
}

impl<'a> Pass<'a> {
    /// Says what a node must know of the whole, and what is wrong with places.
    fn places(&mut self) {
        let places = self.places.rows;
        let installation = places.of(Table::Installation).next().map(|row| &*row.id);
        let id = installation.unwrap_or(&self.options.zone);
        let named = self.scope.named.as_ref().map(|ids| ids.iter().copied());
        let json = payload::node_metadata(installation, named);
        self.out
            .entities
            .push(Entity::new(EntityKey::new(Kind::NODE_METADATA, id), json.into_bytes()));
        for table in [Table::Environments, Table::Organizations, Table::Installation] {
            for (id, slot) in places.slots(table) {
                self.body(id, slot);
            }
        }
    }

    fn small(&mut self) {
        for (id, slot) in self.rows.slots(Table::Licenses) {
            let Some(Body::License(row)) = self.body(id, slot) else { continue };
            let wanted = row.of_organization && self.scope.holds_organization(&row.organization);
            let key = EntityKey::new(Kind::LICENSE, &row.organization);
            if let (true, Some(text)) = (wanted, &row.text) {
                self.out.emit(key, text.to_string(), id, &slot.origin);
            }
        }
        for (id, slot) in self.rows.slots(Table::AccessPoints) {
            let Some(Body::AccessPoint(row)) = self.body(id, slot) else { continue };
            let targets = ["GATEWAY", "TCP_GATEWAY", "KAFKA_GATEWAY"];
            let environment = row.environment.as_deref();
            if !row.of_environment
                || !targets.contains(&&*row.target)
                || !self.scope.holds(environment)
            {
                continue;
            }
            let key = EntityKey::new(Kind::ACCESS_POINT, id);
            match row.deleted {
                true => self.out.off(key),
                false => self.out.emit(key, payload::access_point(id, row), id, &slot.origin),
            }
        }
        for (bad, origin) in &self.rows.nameless {
            self.out.quarantine(bad.kind, bad.key.clone(), origin.place(None), bad.reason.clone());
        }
    }

    /// Organizations, dictionaries and shared policy groups.
    fn events(&mut self) {
        for (id, slot) in self.rows.slots(Table::EventsLatest) {
            let Some(Body::Event(event)) = self.body(id, slot) else { continue };
            let Some(kind) = event.kind else { continue };
            if !self.scope.holds_any(&event.environments) {
                continue;
            }
            let mut key = EntityKey::new(kind, &event.entity);
            let json = match kind {
                Kind::ORGANIZATION => payload::organization(event, &self.options.tags),
                Kind::DICTIONARY if event.off => Ok(String::new()),
                Kind::DICTIONARY => payload::dictionary(event),
                Kind::SHARED_POLICY_GROUP => {
                    key.scope = self.ground.groups.scope(event);
                    match event.off {
                        true => Ok(String::new()),
                        false => payload::shared_policy_group(event, &self.scope).map(|(j, _)| j),
                    }
                }
                _ => continue,
            };
            match json {
                _ if event.off => self.out.off(key),
                Ok(json) => self.out.emit(key, json, id, &slot.origin),
                Err(reason) => self.out.broken(key, id, &slot.origin, reason),
            }
        }
    }

    fn products(&mut self) {
        for (id, slot, event) in self.events_of(Kind::API_PRODUCT) {
            let key = EntityKey::new(Kind::API_PRODUCT, &event.entity);
            if event.off {
                self.ground.products.put(&event.entity, None);
                self.out.off(key);
                self.ground.set_parent(key, Fate::Off);
                continue;
            }
            let product = match payload::product(event, &self.scope, self.options) {
                Ok(product) => product,
                Err(reason) => {
                    self.out.broken(key, id, &slot.origin, reason);
                    let fate = self.as_known(key);
                    self.ground.set_parent(key, fate);
                    continue;
                }
            };
            let here = self.options.tags.matches(product.tags.iter().map(|tag| &**tag));
            if !here || product.plans.served.is_empty() {
                self.ground.products.put(&event.entity, None);
            } else {
                let (apis, environment) = (product.apis.clone(), product.environment.clone());
                let members = Members { apis, environment };
                self.ground.products.put(&event.entity, Some(members));
            }
            self.out.emit(key, product.json, id, &slot.origin);
            let fate = match here && !product.apis.is_empty() {
                true => Fate::Served(product.plans),
                false => Fate::Filtered,
            };
            self.ground.set_parent(key, fate);
        }
    }

    fn apis(&mut self) {
        for (id, slot, event) in self.events_of(Kind::API) {
            let key = EntityKey::new(Kind::API, &event.entity);
            let Payload::Api(api) = &event.payload else {
                self.out.off(key);
                self.ground.set_parent(key, Fate::Off);
                continue;
            };
            if event.off {
                self.out.off(key);
                self.ground.set_parent(key, Fate::Off);
                continue;
            }
            // Federated APIs run elsewhere.
            if api.version.as_deref().is_some_and(|version| version.starts_with("FEDERATED")) {
                self.ground.set_parent(key, Fate::Filtered);
                continue;
            }
            let definition = match api::definition(api, self.options) {
                Ok(definition) => definition,
                Err(reason) => {
                    self.out.broken(key, id, &slot.origin, reason);
                    let fate = self.as_known(key);
                    self.ground.set_parent(key, fate);
                    continue;
                }
            };
            let key = EntityKey::new(Kind::API, &definition.id);
            let plans = definition.plans;
            let environment = api.environment.as_deref();
            let sold = self.ground.products.contain(&definition.id, environment);
            let here = sold || self.options.tags.matches(definition.tags.iter().map(|tag| &**tag));
            // A file is the whole truth, so one without the member has nothing to say on plans and
            // is served as it stands. An event always has the plans; none there is none open.
            let open = sold || !plans.served.is_empty() || (api.plain && plans.absent);
            if here && open {
                let json = payload::api(event, &definition.json, environment, &self.scope);
                self.out.emit(key, json, id, &slot.origin);
                self.ground.set_parent(key, Fate::Served(plans));
            } else if here && plans.filtered.is_empty() {
                // The gateway goes on serving the revision before this one, an oversight. The row
                // says that no plan is open, and so nobody may come in.
                self.out.off(key);
                self.ground.set_parent(key, Fate::Off);
            } else {
                self.ground.set_parent(key, Fate::Filtered);
            }
        }
    }

    fn subscriptions(&mut self) {
        for (id, slot) in self.rows.slots(Table::Subscriptions) {
            let (scope, plan, fate) = match self.body(id, slot) {
                Some(Body::Subscription(row)) => {
                    let fate = self.subscription(id, row, &slot.origin);
                    (row.scope(), &*row.plan, Fate::of(&fate))
                }
                _ => {
                    let Err(BadRow { key: Some(key), off, .. }) = &slot.row else { continue };
                    let fate = if *off { Fate::Off } else { Fate::Broken };
                    (key.as_ref().scope, "", fate)
                }
            };
            self.ground.subscriptions.put(id, scope, plan, &fate);
        }
    }

    fn subscription(
        &mut self,
        id: &str,
        row: &'a Subscription,
        origin: &Origin,
    ) -> Fate<&'a Subscription> {
        if !self.scope.holds(row.environment.as_deref()) {
            return Fate::Filtered;
        }
        let key = EntityKey::subscription(row.scope(), id);
        if !row.is_accepted() || row.ending_at.is_some_and(|end| end < self.now) {
            self.out.off(key);
            return Fate::Off;
        }
        let kind = if row.product.is_some() { Kind::API_PRODUCT } else { Kind::API };
        let parent = self.ground.parents.get(&EntityKey::new(kind, row.scope()).into());
        match parent {
            Some(Fate::Served(plans)) if plans.served.contains(&row.plan) => {
                let changed = self.ground.changed.as_ref();
                let forced = changed.is_none_or(|changed| changed.contains(row.scope()));
                let json = payload::subscription(id, row, forced);
                self.out.emit(key, json, id, origin);
                Fate::Served(row)
            }
            Some(Fate::Served(plans)) if plans.closed.contains(&row.plan) => {
                self.out.off(key);
                Fate::Off
            }
            Some(Fate::Off) => {
                self.out.off(key);
                Fate::Off
            }
            Some(Fate::Broken) => {
                self.out.broken(
                    key,
                    id,
                    origin,
                    format!("its {kind} {} cannot be read", row.scope()),
                );
                Fate::Broken
            }
            Some(Fate::Served(_) | Fate::Filtered) | None => Fate::Filtered,
        }
    }

    fn keys(&mut self) {
        for (id, slot) in self.rows.slots(Table::Keys) {
            let Some(Body::Key(row)) = self.body(id, slot) else { continue };
            // Federated keys are checked where their API runs.
            if row.federated || !self.scope.holds(row.environment.as_deref()) {
                continue;
            }
            for subscription in &row.subscriptions {
                self.key(id, row, subscription, &slot.origin);
            }
        }
    }

    fn key(&mut self, id: &str, row: &Key, subscription: &str, origin: &Origin) {
        let Some((scope, plan, fate)) = self.ground.subscriptions.get(subscription) else { return };
        let key = EntityKey::api_key(scope, id, subscription);
        let closed = row.revoked || row.paused || row.expire_at.is_some_and(|at| at < self.now);
        match fate {
            Fate::Filtered => {}
            Fate::Off => self.out.off(key),
            _ if closed => self.out.off(key),
            Fate::Served(()) => {
                let json = payload::api_key(id, row, subscription, Serves { scope, plan });
                self.out.emit(key, json, id, origin);
            }
            Fate::Broken => {
                let reason = format!("its subscription {subscription} cannot be read");
                self.out.broken(key, id, origin, reason);
            }
        }
    }

    /// Gives the events of a kind that are read here.
    fn events_of(&mut self, kind: Kind) -> Vec<(&'a str, &'a Slot, &'a Event)> {
        let mut found = Vec::new();
        for (id, slot) in self.rows.slots(Table::EventsLatest) {
            match &slot.row {
                Ok(row) => match &row.body {
                    Body::Event(event)
                        if event.kind == Some(kind)
                            && self.scope.holds_any(&event.environments) =>
                    {
                        found.push((id, slot, event));
                    }
                    _ => {}
                },
                // What is wrong with it is told once, by `events`.
                Err(bad) if bad.kind == Some(kind) => {
                    let Some(key) = &bad.key else { continue };
                    let fate = if bad.off { Fate::Off } else { self.as_known(key.as_ref()) };
                    self.ground.set_parent(key.as_ref(), fate);
                }
                Err(_) => {}
            }
        }
        found
    }

    /// Takes the plans of an API that cannot be read as they last were.
    fn as_known(&self, key: EntityKey<'_>) -> Fate<Plans> {
        let key = EntityKeyBuf::from(key);
        match self.ground.parents.get(&key) {
            Some(fate @ Fate::Served(_)) => fate.clone(),
            _ => self.known.get(&key).map_or(Fate::Broken, |plans| Fate::Served(plans.clone())),
        }
    }

    /// Gives what a row says; tells what is wrong with it if it cannot be read.
    fn body(&mut self, id: &str, slot: &'a Slot) -> Option<&'a Body> {
        match &slot.row {
            Ok(row) => Some(&row.body),
            Err(bad) => {
                match &bad.key {
                    Some(key) if bad.off => drop(self.out.off.insert(key.clone())),
                    key => {
                        let place = slot.origin.place(Some(id));
                        self.out.quarantine(bad.kind, key.clone(), place, bad.reason.clone());
                    }
                }
                None
            }
        }
    }
}

impl Decisions {
    fn emit(&mut self, key: EntityKey<'_>, json: String, id: &str, origin: &Origin) {
        if json.len() > PAYLOAD_MAX {
            let reason = format!("larger than the {PAYLOAD_MAX} bytes that an entity may have");
            return self.broken(key, id, origin, reason);
        }
        self.entities.push(Entity::new(key, json.into_bytes()));
    }

    fn off(&mut self, key: EntityKey<'_>) {
        self.off.insert(key.into());
    }

    fn broken(&mut self, key: EntityKey<'_>, id: &str, origin: &Origin, reason: String) {
        self.quarantine(Some(key.kind), Some(key.into()), origin.place(Some(id)), reason);
    }

    fn quarantine(
        &mut self,
        kind: Option<Kind>,
        key: Option<EntityKeyBuf>,
        place: String,
        reason: String,
    ) {
        self.quarantined.push(Quarantined { key, kind, place, reason });
    }
}
