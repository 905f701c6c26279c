//! Maps rows piece by piece, for sources that are too large to be held.
//!
//! A [`Mapper`](super::Mapper) holds all rows. A [`Stream`] holds none: it takes pieces in the order
//! of what rests on what (places, products, APIs, subscriptions, keys), and keeps from one read to
//! the next only what later decisions rest on: parents with their plans, products, groups.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;
use zonesync_core::entity::Kind;
use zonesync_core::format::Source;
use zonesync_core::id::{EntityKey, EntityKeyBuf};
use zonesync_core::time::WallTime;

use super::decide::{Decisions, Places, PlansOf, decide_piece};
use super::ground::{Fate, Ground, Groups};
use super::memory::DATE;
use super::rows::Body;
use super::{BadRow, MappingOptions, Origin, Row, Rows, Slot, Table, denied};
use crate::repository::{Found, Reading, RepositoryError};

/// How far ahead of our clock a row may be dated, in ms, and still say how far the source has come.
const AHEAD_MAX: i64 = 30_000;

/// Some rows of the control plane.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    rows: Rows,
}

impl Piece {
    /// Takes in a row, or what is wrong with it.
    pub(crate) fn put(&mut self, row: Result<Row, BadRow>, source: &Arc<str>) {
        let origin = Origin { source: Arc::clone(source), line: None };
        let (table, id) = match &row {
            Ok(row) => (row.table, Some(row.id.clone())),
            Err(bad) => (bad.table, bad.id.clone()),
        };
        match (id, row) {
            (Some(id), row) => {
                self.rows.tables[table as usize]
                    .insert(id, Slot { origin, row: row.map(Arc::new) });
            }
            (None, Err(bad)) => self.rows.nameless.push((bad, origin)),
            (None, Ok(_)) => unreachable!("every good row has an id"),
        }
    }

    /// Counts the rows.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Gives the ids of the rows of a table.
    pub(crate) fn ids(&self, table: Table) -> impl Iterator<Item = &str> {
        self.rows.slots(table).map(|(id, _)| id)
    }

    /// Gives the subscriptions that keys name.
    pub(crate) fn subscriptions_of_keys(&self) -> impl Iterator<Item = &str> {
        self.rows.of(Table::Keys).flat_map(|row| match &row.body {
            Body::Key(key) => key.subscriptions.iter().map(|id| &**id).collect(),
            _ => Vec::new(),
        })
    }

    /// Gives keys with the subscriptions that they open.
    pub(crate) fn openings(&self) -> impl Iterator<Item = (Box<str>, Box<str>)> {
        self.rows.of(Table::Keys).flat_map(|row| match &row.body {
            Body::Key(key) => {
                key.subscriptions.iter().map(|id| (row.id.clone(), id.clone())).collect()
            }
            _ => Vec::new(),
        })
    }

    /// Gives the entities that rows are about, whatever they say.
    pub(crate) fn keys(&self) -> impl Iterator<Item = EntityKeyBuf> {
        let slots = Table::ALL.iter().flat_map(|table| self.rows.slots(*table));
        slots.filter_map(|(_, slot)| match &slot.row {
            Ok(row) => row.key(),
            Err(bad) => bad.key.clone(),
        })
    }

    /// Gives the APIs and products that events are about.
    pub(crate) fn parents(&self) -> impl Iterator<Item = EntityKeyBuf> {
        self.keys().filter(|key| {
            let kind = key.as_ref().kind;
            kind == Kind::API || kind == Kind::API_PRODUCT
        })
    }
}

/// Maps rows piece by piece.
#[derive(Debug)]
pub(crate) struct Stream {
    options: MappingOptions,
    now: WallTime,
    places: Rows,
    ground: Ground,
    /// Plans as they were when their API or product could last be read.
    known: PlansOf,
    /// Hashes of the payloads of parents, but for their date.
    payloads: BTreeMap<EntityKeyBuf, u64>,
    out: Decisions,
    source: Source,
    marks: Source,
    rows: u64,
    full: bool,
    /// Something was read: what parents there are is known.
    grounded: bool,
}

impl Stream {
    /// Makes a stream that knows nothing yet.
    pub(crate) fn new(options: MappingOptions) -> Self {
        Self {
            options,
            now: WallTime::default(),
            places: Rows::default(),
            ground: Ground::default(),
            known: PlansOf::default(),
            payloads: BTreeMap::new(),
            out: Decisions::default(),
            source: Source::default(),
            marks: Source::default(),
            rows: 0,
            full: false,
            grounded: false,
        }
    }

    /// Says whether the parents are known, so that a part can be read alone.
    pub(crate) fn is_grounded(&self) -> bool {
        self.grounded
    }

    /// Begins a read as of `now`, with the rows of environments, organizations, installation.
    ///
    /// What was known of parents is forgotten for a full read, but for plans of those that cannot
    /// be read any more.
    pub(crate) fn begin(
        &mut self,
        full: bool,
        now: WallTime,
        places: Piece,
    ) -> Result<(), RepositoryError> {
        self.out = Decisions::default();
        self.source = Source::default();
        (self.rows, self.now, self.full) = (0, now, full);
        let ground = std::mem::take(&mut self.ground);
        let first = self.payloads.is_empty();
        if full {
            for (key, fate) in ground.parents {
                if let Fate::Served(plans) = fate {
                    self.known.insert(key, plans);
                }
            }
            self.grounded = false;
        } else {
            self.ground = ground.fork();
        }
        // Of the first state nobody has seen anything.
        self.ground.changed = (!first).then(BTreeSet::new);
        self.rows += places.len() as u64;
        self.places = places.rows;
        if full {
            self.piece(&Rows::default(), true)?;
        }
        Ok(())
    }

    /// Takes in the ids of shared policy groups, each with an environment, before their events.
    ///
    /// Says whether a group that was known before has to move, to give its place to another.
    pub(crate) fn groups<'a>(
        &mut self,
        groups: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> bool {
        let mut now = Groups::default();
        groups.into_iter().for_each(|(id, environment)| now.put(id, environment));
        let moved = now.moved(&self.ground.groups);
        self.ground.groups = now;
        moved
    }

    /// Maps some rows on the ground of those before.
    pub(crate) fn take(&mut self, piece: &Piece) -> Result<(), RepositoryError> {
        self.rows += piece.len() as u64;
        let latest = WallTime::from_millis(self.now.as_millis().saturating_add(AHEAD_MAX));
        for row in Table::ALL.iter().flat_map(|table| piece.rows.of(*table)) {
            if let Some((kind, date)) = row.dated()
                && date <= latest
            {
                self.source.advance(kind, date);
            }
        }
        self.piece(&piece.rows, false)
    }

    fn piece(&mut self, rows: &Rows, told: bool) -> Result<(), RepositoryError> {
        let places = Places { rows: &self.places, told };
        let (options, known) = (&self.options, &self.known);
        let decided = decide_piece(rows, places, options, known, self.now, &mut self.ground);
        let mut decided = decided.map_err(denied)?;
        for entity in &decided.entities {
            let key = entity.key.as_ref();
            if key.kind == Kind::API || key.kind == Kind::API_PRODUCT {
                let hash = hash_but_date(&entity.payload);
                if self.payloads.insert(entity.key.clone(), hash) != Some(hash)
                    && let Some(changed) = &mut self.ground.changed
                {
                    changed.insert(key.id.into());
                }
            }
        }
        self.out.entities.append(&mut decided.entities);
        self.out.off.append(&mut decided.off);
        self.out.quarantined.append(&mut decided.quarantined);
        Ok(())
    }

    /// Gives the parents that are not what they were, and forgets them: their children are due.
    pub(crate) fn touched(&mut self) -> BTreeSet<EntityKeyBuf> {
        std::mem::take(&mut self.ground.touched)
    }

    /// Says which parents count as new or changed, where none was known before.
    pub(crate) fn only_changed(&mut self, parents: &BTreeSet<EntityKeyBuf>) {
        let ids = parents.iter().map(|key| key.as_ref().id.into());
        self.ground.changed = Some(ids.collect());
    }

    /// Says whether a parent that was served is left out by our own filter now.
    pub(crate) fn left(&self) -> bool {
        self.ground.left
    }

    /// Gives the APIs of products that changed, before and after, and forgets them.
    pub(crate) fn resold(&mut self) -> BTreeSet<Box<str>> {
        self.ground.products.resold()
    }

    /// Gives the newest dates that were seen in the reads before.
    pub(crate) fn marks(&self) -> Source {
        self.marks
    }

    /// Says whether it is known what became of a subscription.
    pub(crate) fn knows_subscription(&self, id: &str) -> bool {
        self.ground.subscriptions.get(id).is_some()
    }

    /// Gives the environments to read; none is all.
    pub(crate) fn environments(&self) -> Result<Vec<String>, RepositoryError> {
        let scope = super::scope::Scope::resolve(&self.options, &self.places).map_err(denied)?;
        Ok(scope.environments().map(str::to_owned).collect())
    }

    /// Ends the read and gives what it gave.
    pub(crate) fn end(&mut self) -> Reading {
        // Only the children of this read rested on it; and the sorting needs room.
        self.ground.forget();
        let mut out = std::mem::take(&mut self.out);
        out.settle();
        // What rests on a row is decided again with it, and told once.
        out.quarantined.sort_by(|a, b| (&a.key, &a.place).cmp(&(&b.key, &b.place)));
        out.quarantined.dedup();
        self.grounded = true;
        if self.full {
            self.marks = Source::default();
            let parents = &self.ground.parents;
            self.payloads.retain(|key, _| parents.contains_key(key));
            self.known.retain(|key, _| parents.contains_key(key));
        }
        self.source.kinds().for_each(|(kind, date)| self.marks.advance(kind, date));
        Reading {
            full: self.full,
            incomplete: false,
            entities: out.entities,
            off: out.off.into_iter().collect(),
            quarantined: out.quarantined,
            source: self.source,
            rows: self.rows,
        }
    }

    /// Gives up a read in its midst: what it left is no ground to stand on.
    pub(crate) fn abandon(&mut self) {
        self.out = Decisions::default();
        self.ground.forget();
        self.grounded = false;
    }

    /// Begins a look on the side, which leaves what is known as it is.
    pub(crate) fn look(&self, now: WallTime) -> Self {
        Self {
            options: self.options.clone(),
            now,
            places: Rows::default(),
            ground: self.ground.fork(),
            known: self.known.clone(),
            payloads: BTreeMap::new(),
            out: Decisions::default(),
            source: Source::default(),
            marks: Source::default(),
            rows: 0,
            full: false,
            grounded: self.grounded,
        }
    }

    /// Ends a look: says of each key what the rows that were taken in say. `has_row` says whether
    /// there is a row at all.
    pub(crate) fn found(
        &mut self,
        keys: &[EntityKeyBuf],
        has_row: impl Fn(EntityKey<'_>) -> bool,
    ) -> Vec<Found> {
        self.out.settle();
        let out = &self.out;
        let quarantined: BTreeSet<_> =
            out.quarantined.iter().filter_map(|row| row.key.as_ref()).collect();
        let find = |key: &EntityKeyBuf| {
            let present = out.entities.binary_search_by(|e| e.key.cmp(key)).is_ok();
            if present || quarantined.contains(key) {
                Found::Present
            } else if out.off.contains(key) {
                Found::Off
            } else if has_row(key.as_ref()) {
                Found::Filtered
            } else {
                Found::Missing
            }
        };
        keys.iter().map(find).collect()
    }
}

/// Hashes a payload without the date at its end.
fn hash_but_date(payload: &[u8]) -> u64 {
    let tail = payload.len().saturating_sub(DATE.len() + 24);
    let at = payload[tail..].windows(DATE.len()).rposition(|part| part == DATE.as_bytes());
    let body = at.map_or(payload, |at| &payload[..tail + at]);
    FixedState::default().hash_one(body)
}
