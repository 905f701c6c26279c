//! A running node: start it, ask it, stop it.

use std::sync::Arc;

use zonesync_core::id::{NodeId, ZoneName};
use zonesync_core::time::Duration;

use crate::repository::ManagementRepository;
use crate::runtime::Runtime;
use crate::state::State;
use crate::status::Status;
use crate::store::ZoneStore;

/// One node of a zone, running.
///
/// Safe to use from any thread. Dropping it stops the node.
#[derive(Debug)]
pub struct ZoneSync {
    state: State,
}

/// What a node is made of, for hosts that bring their own parts.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The zone.
    pub zone: ZoneName,
    /// The node's name.
    pub node: NodeId,
    /// Where tasks run and what time it is.
    pub runtime: Arc<dyn Runtime>,
    /// The zone's store.
    pub store: Arc<dyn ZoneStore>,
    /// Where a primary reads; a node without one never stands.
    pub repository: Option<Arc<dyn ManagementRepository>>,
    /// Times and limits.
    pub options: Options,
}

/// Times and limits of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long a lease lasts.
    pub ttl: Duration,
    /// How often a node looks for what no push told it.
    pub poll: Duration,
    /// How often a primary reads the whole repository.
    pub full_read: Duration,
    /// Whether the node may become primary.
    pub candidate: bool,
    /// How many changes the feed remembers.
    pub feed_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(3),
            poll: Duration::from_secs(1),
            full_read: Duration::from_secs(3600),
            candidate: true,
            feed_max: 100_000,
        }
    }
}

impl ZoneSync {
    /// Starts a node from its parts.
    pub fn start_with(_parts: Parts) -> Self {
        unimplemented!()
    }

    /// Stops the node: releases the lease if it holds it, ends all tasks. May be called again, and
    /// beside running calls; lookups go on from the last state.
    pub fn stop(&self) {
        unimplemented!()
    }

    /// Ends all tasks at once without releasing anything, as a crash would.
    pub fn kill(&self) {
        unimplemented!()
    }

    /// Gives the state, for lookups.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Tells how the node is.
    pub fn status(&self) -> Status {
        unimplemented!()
    }

    /// Waits until the node is ready. Returns false if it is not after `timeout`, or was stopped.
    pub fn wait_ready(&self, _timeout: Duration) -> bool {
        unimplemented!()
    }

    /// Lets the held removals with this token pass. Returns false if no held set has it.
    pub fn confirm_removal(&self, _token: &str) -> bool {
        unimplemented!()
    }

    /// Gives up the lease for now, if held, and leaves it to others for a few TTLs. Returns whether
    /// it was held.
    pub fn step_down(&self) -> bool {
        unimplemented!()
    }
}
