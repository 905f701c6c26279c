//! What a zone store holds, as values and as bytes.
//!
//! - [`head`]: what the store says of its newest complete state.
//! - [`batch`]: one published batch, an entry of the log.
//! - [`chunk`]: a piece of a snapshot.
//! - [`bytes`]: the reader and writer below them all.
//!
//! Every record begins with a magic byte and a format number and ends with a checksum. Decoding
//! never panics, never reads past the end, and never trusts a length before it has seen the bytes.

pub mod batch;
pub mod bytes;
pub mod chunk;
pub mod head;

pub use batch::{Batch, BatchMeta};
pub use head::{Filter, Head, Snapshot, Source};

/// The newest format that this version reads and writes.
pub const FORMAT: u16 = 1;
