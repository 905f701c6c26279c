//! A small state for devices without an allocator: who may call which API.
//!
//! A [`Table`] holds up to `N` subscriptions and API keys in fixed room (about 200 bytes each) and
//! answers the one question of an edge: does this key or client open this API now? Changes are found
//! by [`EntityKey`], questions by (API, credential); both by binary search. A change moves up to `N`
//! small numbers, which is fine for some thousands of rows.
//!
//! What it leaves out: payloads, all other kinds, and API products. Whoever fills it reads payloads,
//! and inserts what opens a product once for each API of it. API ids and credentials are not kept but
//! hashed under a secret key, 128 bits each; two that collide would be taken for one, at a chance of
//! about 2^-128 as long as the key stays secret. Draw it anew at each start.
//!
//! A key opens its API only while its subscription is there and open, too. So a closed subscription
//! closes its keys in whichever order the changes arrive.

use core::fmt;
use core::hash::Hasher;

use heapless::{String, Vec};
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::entity::Kind;
use crate::id::EntityKey;
use crate::time::WallTime;

/// The most bytes of the id of a plan or a subscription: a UUID with some room.
pub const TABLE_ID_MAX: usize = 40;

/// What a caller shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential<'a> {
    /// An API key.
    ApiKey(&'a str),
    /// The client id of a token that was checked elsewhere.
    Client(&'a str),
}

/// What a subscription or an API key says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access<'a> {
    /// What opens it. A subscription that only keys open has none.
    pub credential: Option<Credential<'a>>,
    /// The plan of a subscription. That of a key is its subscription's; leave it empty.
    pub plan: &'a str,
    /// When it begins to match.
    pub starts: Option<WallTime>,
    /// When it no longer matches.
    pub ends: Option<WallTime>,
}

/// What a look-up found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant<'a> {
    /// The id of the subscription.
    pub subscription: &'a str,
    /// The plan subscribed to.
    pub plan: &'a str,
}

/// Why a row was not taken in. The table is as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertError {
    /// All rows are taken.
    Full,
    /// The id of the plan or the subscription has more than [`TABLE_ID_MAX`] bytes.
    TooLong,
    /// It is neither a subscription nor an API key.
    Kind(Kind),
}

impl fmt::Display for InsertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the table is full"),
            Self::TooLong => write!(f, "the id has more than {TABLE_ID_MAX} bytes"),
            Self::Kind(kind) => write!(f, "a table holds no {kind}"),
        }
    }
}

impl core::error::Error for InsertError {}

type Id = String<TABLE_ID_MAX>;

#[derive(Clone, Debug)]
struct Row {
    entity: u128,
    /// Hash of API and credential; zero opens nothing.
    door: u128,
    /// For an API key the entity of its subscription, else its own.
    parent: u128,
    subscription: Id,
    plan: Id,
    starts: Option<WallTime>,
    ends: Option<WallTime>,
}

impl Row {
    fn rank(&self) -> (u128, &str, u128) {
        (self.door, &self.subscription, self.entity)
    }

    fn is_open(&self, now: WallTime) -> bool {
        self.starts.is_none_or(|starts| starts <= now) && self.ends.is_none_or(|ends| now < ends)
    }
}

/// A table of up to `N` rows; `N` is at most 65,535.
#[derive(Clone)]
pub struct Table<const N: usize> {
    secret: [u8; 16],
    rows: Vec<Row, N>,
    /// Places in `rows`, ordered by entity.
    by_entity: Vec<u16, N>,
    /// Places in `rows`, ordered by door, then subscription.
    by_door: Vec<u16, N>,
}

impl<const N: usize> Table<N> {
    /// Makes a table without rows that hashes under `secret`.
    pub const fn new(secret: [u8; 16]) -> Self {
        const { assert!(N <= u16::MAX as usize, "places in a table are two bytes") };
        Self { secret, rows: Vec::new(), by_entity: Vec::new(), by_door: Vec::new() }
    }

    /// Counts the rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Says whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Puts in what `key` says of itself, in the place of what it said before.
    pub fn insert(&mut self, key: EntityKey<'_>, access: &Access<'_>) -> Result<(), InsertError> {
        let row = self.row(key, access)?;
        if self.place_of(row.entity).is_err() && self.rows.is_full() {
            return Err(InsertError::Full);
        }
        self.take_out(row.entity);
        self.put_in(row);
        Ok(())
    }

    /// Removes `key`; says whether it was there.
    pub fn remove(&mut self, key: EntityKey<'_>) -> bool {
        self.take_out(self.entity(key))
    }

    /// Finds what `credential` opens of `api` at `now`, under `plan` if one is given.
    ///
    /// Of several subscriptions the one with the lowest id is given.
    pub fn lookup(
        &self,
        api: &str,
        credential: Credential<'_>,
        plan: Option<&str>,
        now: WallTime,
    ) -> Option<Grant<'_>> {
        let door = self.door(api, credential);
        let begin = self.by_door.partition_point(|place| self.at(*place).door < door);
        let rows = self.by_door[begin..].iter().map(|place| self.at(*place));
        rows.take_while(|row| row.door == door).filter(|row| row.is_open(now)).find_map(|row| {
            let parent = self.at(self.by_entity[self.place_of(row.parent).ok()?]);
            let opens = parent.is_open(now) && plan.is_none_or(|plan| plan == parent.plan);
            opens.then_some(Grant { subscription: &row.subscription, plan: &parent.plan })
        })
    }

    fn row(&self, key: EntityKey<'_>, access: &Access<'_>) -> Result<Row, InsertError> {
        let (subscription, parent) = match key.kind {
            Kind::SUBSCRIPTION => (key.id, key),
            Kind::API_KEY => {
                (key.subscription, EntityKey::subscription(key.scope, key.subscription))
            }
            kind => return Err(InsertError::Kind(kind)),
        };
        let id = |text| Id::try_from(text).map_err(|_| InsertError::TooLong);
        Ok(Row {
            entity: self.entity(key),
            door: access.credential.map_or(0, |credential| self.door(key.scope, credential)),
            parent: self.entity(parent),
            subscription: id(subscription)?,
            plan: id(access.plan)?,
            starts: access.starts,
            ends: access.ends,
        })
    }

    fn put_in(&mut self, row: Row) {
        let place = self.rows.len() as u16;
        let by_entity = self.place_of(row.entity).unwrap_or_else(|place| place);
        let by_door = self.door_place(&row);
        // The caller made room.
        let _ = self.rows.push(row);
        let _ = self.by_entity.insert(by_entity, place);
        let _ = self.by_door.insert(by_door, place);
    }

    /// Removes a row; the last one moves to its place.
    fn take_out(&mut self, entity: u128) -> bool {
        let Ok(found) = self.place_of(entity) else { return false };
        let place = self.by_entity.remove(found);
        let by_door = self.door_place(self.at(place));
        self.by_door.remove(by_door);
        let last = self.rows.len() as u16 - 1;
        if place != last {
            let moved = self.at(last);
            let by_door = self.door_place(moved);
            if let Ok(by_entity) = self.place_of(moved.entity) {
                self.by_entity[by_entity] = place;
            }
            self.by_door[by_door] = place;
        }
        self.rows.swap_remove(usize::from(place));
        true
    }

    fn at(&self, place: u16) -> &Row {
        &self.rows[usize::from(place)]
    }

    fn place_of(&self, entity: u128) -> Result<usize, usize> {
        self.by_entity.binary_search_by_key(&entity, |place| self.at(*place).entity)
    }

    fn door_place(&self, row: &Row) -> usize {
        let own = row.rank();
        self.by_door.partition_point(|place| self.at(*place).rank() < own)
    }

    fn entity(&self, key: EntityKey<'_>) -> u128 {
        self.hash(key.kind.code(), &[key.scope, key.id, key.subscription])
    }

    fn door(&self, api: &str, credential: Credential<'_>) -> u128 {
        let (sort, text) = match credential {
            Credential::ApiKey(key) => (u8::MAX, key),
            Credential::Client(id) => (u8::MAX - 1, id),
        };
        self.hash(sort, &[api, text]).max(1)
    }

    fn hash(&self, sort: u8, parts: &[&str]) -> u128 {
        let mut hash = SipHasher13::new_with_key(&self.secret);
        hash.write(&[sort]);
        for part in parts {
            hash.write(&(part.len() as u64).to_le_bytes());
            hash.write(part.as_bytes());
        }
        hash.finish128().as_u128()
    }
}

impl<const N: usize> fmt::Debug for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({} of {N} rows)", self.rows.len())
    }
}

#[cfg(test)]
mod tests;
