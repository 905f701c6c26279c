//! One published batch: an entry of the log.

use crate::digest::Fingerprint;
use crate::id::Position;

/// The most changes of one batch.
pub const BATCH_CHANGES_MAX: usize = 10_000;

/// The most bytes of one batch. A single larger entity travels in a batch of its own.
pub const BATCH_BYTES_MAX: usize = 4 << 20;

/// What a batch says of itself, apart from its changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchMeta {
    /// The state after it.
    pub position: Position,
    /// The state it builds on.
    pub previous: Position,
    /// The digest of the state it builds on.
    pub before: Fingerprint,
    /// The digest of the state after it.
    pub after: Fingerprint,
}

/// A batch with its changes, decoded on demand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch;
