//! Asking a running node from outside, over a Unix socket.
//!
//! One JSON object per line goes in, JSON lines come out; [`Request`] and [`Answer`] are the whole
//! protocol. [`serve`] opens the socket, [`Client`] talks to it, and [`Admin`] is what stands
//! behind it: a [`crate::ZoneSync`], or a stand-in in a test.
//!
//! Whoever may open the socket may do all of it, so the file is 0600 and its folder 0700. A bad
//! client costs at most one of [`CONNECTIONS_MAX`] connections for a bounded time. Payloads leave
//! the node only when a request asks for them; without that, an API key's value is masked.

mod client;
mod connection;
mod label;
mod protocol;
mod server;
mod socket;
#[cfg(test)]
mod tests;
mod zone;

pub use client::Client;
pub use protocol::{
    Action, Answer, Credential, EntityText, ErrorCode, KeyText, PAGE_DEFAULT, PAGE_MAX,
    REQUEST_MAX, Request, parse_position, position_text,
};
pub use server::{AdminServer, CONNECTIONS_MAX, serve};
pub use socket::default_folder;

use zonesync_core::entity::Kind;
use zonesync_core::id::{EntityKey, EntityKeyBuf, Position};
use zonesync_core::time::Duration;

use crate::image::Verified;
use crate::state::{ChangeFeed, FeedError, Step};
use crate::status::Status;
use crate::store::Bytes;

/// What can be asked of a node. All calls may block for as long as they read; none waits.
pub trait Admin: Send + Sync + 'static {
    /// Tells how the node is.
    fn status(&self) -> Status;

    /// Lists entities of a kind, sorted by key, from the first one behind `after`.
    fn list(&self, kind: Kind, after: Option<EntityKey<'_>>, limit: usize, payload: bool) -> Page;

    /// Finds the entities of a kind with this id; without a scope or a subscription in all of them.
    fn get(&self, query: &Get, payload: bool) -> Page;

    /// Finds the subscription that a caller with this credential would use.
    fn lookup(&self, api: &str, credential: &Credential, plan: Option<&str>) -> Looked;

    /// Starts a feed of the changes after `since`, or after now, and says where it starts.
    fn changes(&self, since: Option<Position>) -> (Position, Box<dyn Changes>);

    /// Works out what the payloads of the state sum up to.
    fn verify(&self) -> Verified;

    /// Lets the held removals with this token pass. Returns false if no held set has it.
    fn confirm_removal(&self, token: &str) -> bool;

    /// Gives up the lease for now. Returns whether it was held.
    fn step_down(&self) -> bool;
}

/// Hands out changes in order, as a [`ChangeFeed`] does.
pub trait Changes: Send + 'static {
    /// Gives the next step, or none if there was none for `timeout`. Blocks the calling thread.
    fn next(&mut self, timeout: Duration) -> Result<Option<Step>, FeedError>;
}

impl Changes for ChangeFeed {
    fn next(&mut self, timeout: Duration) -> Result<Option<Step>, FeedError> {
        ChangeFeed::next(self, timeout)
    }
}

/// Which entity is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Get {
    /// Its kind.
    pub kind: Kind,
    /// Its id.
    pub id: String,
    /// Its API or API product; any if not given.
    pub scope: Option<String>,
    /// For an API key its subscription; any if not given.
    pub subscription: Option<String>,
}

/// Some entities, all from one position.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The position.
    pub position: Position,
    /// The entities, sorted by key.
    pub items: Vec<Item>,
    /// There are more behind the last one.
    pub more: bool,
}

/// One entity as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// What tells it from others.
    pub key: EntityKeyBuf,
    /// A few words about it, without secrets.
    pub label: String,
    /// How many bytes its payload has.
    pub size: usize,
    /// The payload, if it was asked for.
    pub payload: Option<Bytes>,
}

impl Item {
    /// Describes an entity.
    pub fn new(key: EntityKey<'_>, payload: &[u8], with_payload: bool) -> Self {
        Self {
            key: key.into(),
            label: label::label(key.kind, payload),
            size: payload.len(),
            payload: with_payload.then(|| payload.into()),
        }
    }
}

/// What a lookup gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Looked {
    /// The position that answered.
    pub position: Position,
    /// The subscription that matched, if one did.
    pub found: Option<Match>,
}

/// A subscription that matched.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// Its id.
    pub id: String,
    /// Its plan.
    pub plan: String,
    /// Its payload.
    pub payload: Bytes,
}
