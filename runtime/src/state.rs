//! The state that a node holds in memory, and the lookups a gateway needs on each request.
//!
//! A [`State`] is read by any number of threads without a lock; its one [`Writer`] applies batches
//! beside them. A [`View`] pins one position: all its answers come from the state at that position.

mod feed;

pub use feed::{ChangeFeed, FeedError, Step};

use std::sync::Arc;

use zonesync_core::digest::{Digest, DigestKey};
use zonesync_core::entity::{Change, Kind};
use zonesync_core::id::{EntityKey, Position};
use zonesync_core::time::WallTime;

/// The state of one node, for reading. Cloning gives another handle to the same state.
#[derive(Clone, Debug)]
pub struct State {
    _inner: Arc<()>,
}

/// The one that changes a [`State`].
#[derive(Debug)]
pub struct Writer {
    _inner: Arc<()>,
}

/// A state at one position. Holding a view never delays the writer.
#[derive(Clone, Debug)]
pub struct View {
    _inner: Arc<()>,
}

/// A subscription that matched, borrowed from a [`View`].
#[derive(Clone, Copy, Debug)]
pub struct Subscription<'a> {
    _payload: &'a [u8],
}

impl Subscription<'_> {
    /// Gives its id.
    pub fn id(&self) -> &str {
        unimplemented!()
    }

    /// Gives the plan it subscribes to.
    pub fn plan(&self) -> &str {
        unimplemented!()
    }

    /// Gives its payload, byte for byte as published.
    pub fn payload(&self) -> &[u8] {
        unimplemented!()
    }
}

impl State {
    /// Makes an empty state and its writer.
    pub fn new(_digest_key: DigestKey) -> (Self, Writer) {
        unimplemented!()
    }

    /// Pins the newest position.
    pub fn view(&self) -> View {
        unimplemented!()
    }

    /// Gives the newest position.
    pub fn position(&self) -> Position {
        unimplemented!()
    }

    /// Finds the subscription that `key` opens on `api`, as [`View::by_key`], at the newest
    /// position, and hands it to `found`. Takes no lock and allocates nothing.
    pub fn by_key<R>(
        &self,
        _api: &str,
        _key: &str,
        _plan: Option<&str>,
        _at: WallTime,
        _found: impl FnOnce(Subscription<'_>) -> R,
    ) -> Option<R> {
        unimplemented!()
    }

    /// Starts a feed of the changes after `since`, or after now if none is given.
    pub fn changes(&self, _since: Option<Position>) -> ChangeFeed {
        unimplemented!()
    }
}

impl View {
    /// Gives the position.
    pub fn position(&self) -> Position {
        unimplemented!()
    }

    /// Gives counts and sums.
    pub fn digest(&self) -> &Digest {
        unimplemented!()
    }

    /// Gives the payload of an entity, byte for byte as published.
    pub fn get(&self, _key: EntityKey<'_>) -> Option<&[u8]> {
        unimplemented!()
    }

    /// Finds a subscription by its id, whatever its dates.
    pub fn subscription(&self, _id: &str) -> Option<Subscription<'_>> {
        unimplemented!()
    }

    /// Finds the subscription of `client` to `api`, or to a product that holds it; with a plan, only
    /// on that plan.
    pub fn by_client(
        &self,
        _api: &str,
        _client: &str,
        _plan: Option<&str>,
        _at: WallTime,
    ) -> Option<Subscription<'_>> {
        unimplemented!()
    }

    /// Finds the subscription that an API key opens on `api`, or on a product that holds it.
    pub fn by_key(
        &self,
        _api: &str,
        _key: &str,
        _plan: Option<&str>,
        _at: WallTime,
    ) -> Option<Subscription<'_>> {
        unimplemented!()
    }

    /// The same, by the lower-case hex MD5 of the key.
    pub fn by_md5(
        &self,
        _api: &str,
        _md5: &str,
        _plan: Option<&str>,
        _at: WallTime,
    ) -> Option<Subscription<'_>> {
        unimplemented!()
    }

    /// Finds the subscription of a client certificate by its thumbprint: base64url without padding
    /// of the SHA-256 of its DER.
    pub fn by_certificate(
        &self,
        _api: &str,
        _thumbprint: &str,
        _plan: Option<&str>,
        _at: WallTime,
    ) -> Option<Subscription<'_>> {
        unimplemented!()
    }

    /// Gives a property of the dictionary that `environment` knows under `dictionary` (its key, or
    /// its id).
    pub fn dictionary_property(
        &self,
        _environment: &str,
        _dictionary: &str,
        _property: &str,
    ) -> Option<&str> {
        unimplemented!()
    }

    /// Goes through the entities of a kind, in no particular order.
    pub fn entities(&self, _kind: Kind) -> Box<dyn Iterator<Item = (EntityKey<'_>, &[u8])> + '_> {
        unimplemented!()
    }

    /// Goes through all entities, sorted by key.
    pub fn sorted(&self) -> Box<dyn Iterator<Item = (EntityKey<'_>, &[u8])> + '_> {
        unimplemented!()
    }
}

impl Writer {
    /// Applies changes as one step: readers see all of them or none, at `position`.
    pub fn apply<'a>(
        &mut self,
        _position: Position,
        _changes: &mut dyn Iterator<Item = Change<'a>>,
    ) {
        unimplemented!()
    }

    /// Names the present state by another position: nothing else changes.
    pub fn move_to(&mut self, _position: Position) {
        unimplemented!()
    }

    /// Pins the newest position.
    pub fn view(&self) -> View {
        unimplemented!()
    }
}
