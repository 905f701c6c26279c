//! What changed since a position, bounded.

use zonesync_core::id::{EntityKeyBuf, Position};
use zonesync_core::time::Duration;

use crate::store::Bytes;

/// Hands out changes in order. A reader that falls behind is told to start over.
#[derive(Debug)]
pub struct ChangeFeed;

/// The changes that lead to one position.
#[derive(Clone, Debug)]
pub struct Step {
    /// The state after them.
    pub position: Position,
    /// Each changed entity: its new payload, or none if it is gone.
    pub changes: Vec<(EntityKeyBuf, Option<Bytes>)>,
}

/// Why a feed gave no changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedError {
    /// The changes after the asked position are forgotten: take a view and start over from it.
    Behind,
    /// The node was stopped and all its changes were handed out.
    Stopped,
}

impl ChangeFeed {
    /// Gives the next step, or none if there was none for `timeout`. Blocks the calling thread.
    pub fn next(&mut self, _timeout: Duration) -> Result<Option<Step>, FeedError> {
        unimplemented!()
    }
}
