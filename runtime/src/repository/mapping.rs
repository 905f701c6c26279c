//! Rows of the control plane become entities.
//!
//! A [`Mapper`] holds rows, in whatever order they came, and maps all of them in one pass: so a
//! decision that rests on another row (a plan of an API, a key's subscription) is taken anew
//! whenever that row changes, and every order of arrival gives the same entities. Nothing here
//! does I/O or reads a clock.
//!
//! - `rows`: what a row says, and what is wrong with it.
//! - `decide`: which rows become entities, which are off, which our filter leaves out.
//! - `api`, `payload`: what the entities look like.
//! - `memory`: what was mapped before, so that nothing is published for nothing.

#![cfg_attr(
    not(any(feature = "mysql", feature = "postgres")),
    allow(dead_code, reason = "some of it serves databases alone")
)]

mod api;
mod decide;
mod ground;
pub(crate) mod json;
pub(crate) mod members;
mod memory;
mod order;
mod payload;
mod rows;
mod scope;
mod secrets;
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(crate) mod stream;
mod tags;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use zonesync_core::format::Filter;
use zonesync_core::id::{EntityKey, EntityKeyBuf};
use zonesync_core::time::WallTime;

use super::{Found, Reading, RepositoryError};

pub use memory::{same_but_date, same_but_dispatch};
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(crate) use rows::event_types;
pub(crate) use rows::{ApiPayload, api_payload};
pub use rows::{BadRow, Row, Table};
pub use tags::Tags;

/// The secret that the gateway is shipped with, known to everybody.
pub const DEFAULT_SECRET: &str = "vvLJ4Q8Khvv9tm2tIPdkGEdmgKUruAL6";

/// What is read of the control plane, and how it is mapped.
#[derive(Clone)]
pub struct MappingOptions {
    /// The name of the zone, the id of node metadata where there is no installation.
    pub zone: String,
    /// The sharding tags of this gateway.
    pub tags: Tags,
    /// Organizations to read, by hrid; none is all.
    pub organizations: Vec<String>,
    /// Environments to read, by hrid or by id; none is all.
    pub environments: Vec<String>,
    /// `organizations` and `environments` hold hrids. If not, environments are ids.
    pub legacy_hrids: bool,
    /// Decrypt encrypted API properties. If not, they stay as they are: every gateway decrypts.
    pub decrypt: bool,
    /// The secret that API properties are encrypted with.
    pub secret: String,
}

impl Default for MappingOptions {
    fn default() -> Self {
        Self {
            zone: "default".into(),
            tags: Tags::default(),
            organizations: Vec::new(),
            environments: Vec::new(),
            legacy_hrids: true,
            decrypt: false,
            secret: DEFAULT_SECRET.into(),
        }
    }
}

impl fmt::Debug for MappingOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MappingOptions")
            .field("zone", &self.zone)
            .field("tags", &self.tags)
            .field("organizations", &self.organizations)
            .field("environments", &self.environments)
            .field("legacy_hrids", &self.legacy_hrids)
            .field("decrypt", &self.decrypt)
            .finish_non_exhaustive()
    }
}

impl MappingOptions {
    /// Gives the hash of what is read: tags, organizations and environments, in any order.
    pub fn filter(&self) -> Filter {
        let mut lines: Vec<String> = self.tags.folded().map(|tag| format!("tag {tag}")).collect();
        let how = if self.legacy_hrids { "hrid" } else { "id" };
        // Organizations count only as hrids; ids of them are not looked at.
        let organizations = self.organizations.iter().filter(|_| self.legacy_hrids);
        lines.extend(organizations.map(|name| format!("organization {how} {name}")));
        lines.extend(self.environments.iter().map(|name| format!("environment {how} {name}")));
        lines.sort();
        lines.dedup();
        let hash = Sha256::digest(lines.join("\n"));
        let half: [u8; 16] = hash[..16].try_into().expect("a SHA-256 has 32 bytes");
        Filter(u128::from_be_bytes(half))
    }
}

/// Where a row stands, for people.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The file or the table.
    pub source: Arc<str>,
    /// The line in it, from one.
    pub line: Option<u32>,
}

impl Origin {
    fn place(&self, id: Option<&str>) -> String {
        match (self.line, id) {
            (Some(line), _) => format!("{}:{line}", self.source),
            (None, Some(id)) => format!("{} {id}", self.source),
            (None, None) => self.source.to_string(),
        }
    }
}

/// The rows held.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    tables: [BTreeMap<Box<str>, Slot>; Table::ALL.len()],
    /// Rows of which not even the id is known.
    nameless: Vec<(BadRow, Origin)>,
}

#[derive(Debug)]
struct Slot {
    origin: Origin,
    row: Result<Arc<Row>, BadRow>,
}

impl Rows {
    fn slots(&self, table: Table) -> impl Iterator<Item = (&str, &Slot)> {
        self.tables[table as usize].iter().map(|(id, slot)| (&**id, slot))
    }

    fn of(&self, table: Table) -> impl Iterator<Item = &Row> {
        self.slots(table).filter_map(|(_, slot)| slot.row.as_deref().ok())
    }

    fn len(&self) -> usize {
        self.tables.iter().map(BTreeMap::len).sum::<usize>() + self.nameless.len()
    }
}

/// Holds rows and maps them.
#[derive(Debug)]
pub struct Mapper {
    options: MappingOptions,
    rows: Rows,
    memory: memory::Memory,
}

impl Mapper {
    /// Makes a mapper without rows.
    pub fn new(options: MappingOptions) -> Self {
        Self { options, rows: Rows::default(), memory: memory::Memory::default() }
    }

    /// Forgets all rows, for a read of everything. What was mapped before is still known.
    pub fn clear(&mut self) {
        self.rows = Rows::default();
    }

    /// Takes in a row, or what is wrong with it, in place of the one with its table and id.
    pub fn put(&mut self, row: Result<Arc<Row>, BadRow>, origin: Origin) {
        let (table, id) = match &row {
            Ok(row) => (row.table, Some(row.id.clone())),
            Err(bad) => (bad.table, bad.id.clone()),
        };
        match (id, row) {
            (Some(id), row) => {
                self.rows.tables[table as usize].insert(id, Slot { origin, row });
            }
            (None, Err(bad)) => self.rows.nameless.push((bad, origin)),
            (None, Ok(_)) => unreachable!("every good row has an id"),
        }
    }

    /// Says where the row with this id stands.
    pub fn origin(&self, table: Table, id: &str) -> Option<&Origin> {
        self.rows.tables[table as usize].get(id).map(|slot| &slot.origin)
    }

    /// Counts the rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Says whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Maps all rows as of `now`. The reading is a full one if the mapper holds all rows.
    ///
    /// A subscription asks for a forced dispatch if its API or product is new or changed in this
    /// call, and not if it came or changed alone.
    pub fn map(&mut self, now: WallTime) -> Result<Reading, RepositoryError> {
        let mut decisions =
            decide::decide(&self.rows, &self.options, self.memory.plans(), now).map_err(denied)?;
        let plans = std::mem::take(&mut decisions.plans);
        self.memory.settle(&mut decisions.entities, plans);
        let mut reading = Reading {
            full: true,
            incomplete: false,
            entities: decisions.entities,
            off: decisions.off.into_iter().collect(),
            quarantined: decisions.quarantined,
            source: Default::default(),
            rows: self.len() as u64,
        };
        for row in Table::ALL.iter().flat_map(|table| self.rows.of(*table)) {
            if let Some((kind, date)) = row.dated() {
                reading.source.advance(kind, date);
            }
        }
        Ok(reading)
    }

    /// Says of each entity what its row says, as of `now`.
    pub fn find(
        &self,
        keys: &[EntityKeyBuf],
        now: WallTime,
    ) -> Result<Vec<Found>, RepositoryError> {
        let decisions =
            decide::decide(&self.rows, &self.options, self.memory.plans(), now).map_err(denied)?;
        let find = |key: &EntityKeyBuf| {
            let present = decisions.entities.binary_search_by(|e| e.key.cmp(key)).is_ok()
                || decisions.quarantined.iter().any(|row| row.key.as_ref() == Some(key));
            if present {
                Found::Present
            } else if decisions.off.contains(key) {
                Found::Off
            } else if self.has_row(key.as_ref()) {
                Found::Filtered
            } else {
                Found::Missing
            }
        };
        Ok(keys.iter().map(find).collect())
    }

    /// Says whether there is a row about this entity, whatever it says.
    fn has_row(&self, key: EntityKey<'_>) -> bool {
        use zonesync_core::entity::Kind;
        let by_id = |table: Table| self.rows.tables[table as usize].contains_key(key.id);
        match key.kind {
            Kind::NODE_METADATA => true,
            Kind::LICENSE => by_id(Table::Licenses),
            Kind::ACCESS_POINT => by_id(Table::AccessPoints),
            // A key that no longer names the subscription has no row for this entity.
            Kind::SUBSCRIPTION => match self.rows.tables[Table::Subscriptions as usize].get(key.id)
            {
                Some(Slot { row: Ok(row), .. }) => match &row.body {
                    rows::Body::Subscription(body) => body.scope() == key.scope,
                    _ => false,
                },
                slot => slot.is_some(),
            },
            Kind::API_KEY => match self.rows.tables[Table::Keys as usize].get(key.id) {
                Some(Slot { row: Ok(row), .. }) => match &row.body {
                    rows::Body::Key(body) => {
                        body.subscriptions.iter().any(|id| **id == *key.subscription)
                    }
                    _ => false,
                },
                slot => slot.is_some(),
            },
            kind => self.rows.of(Table::EventsLatest).any(|row| match &row.body {
                rows::Body::Event(event) => event.kind == Some(kind) && *event.entity == *key.id,
                _ => false,
            }),
        }
    }
}

fn denied(why: String) -> RepositoryError {
    RepositoryError::Denied(why)
}

#[cfg(test)]
mod tests;
