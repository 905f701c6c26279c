//! What a zone store holds, as values and as bytes.
//!
//! - [`head`]: what the store says of its newest complete state.
//! - [`batch`]: one published batch, an entry of the log.
//! - [`chunk`]: a piece of a snapshot.
//! - [`bytes`]: the reader and writer below them all.
//!
//! A record is a magic byte, a format number (two bytes), fields, and a checksum: SipHash-1-3-128
//! with a zero key over all before it, the low 64 bits. A field is a tag (one byte), a length (four
//! bytes) and its content; tags rise. All numbers are little endian.
//!
//! Records grow without breaking older readers: a reader skips fields whose tags it does not know,
//! and whatever follows the parts that it knows inside a field, a change or an entity. What an
//! older reader must not skip needs a higher format number, which it refuses. [`FormatRange`] says
//! which formats there are. A writer is told which one to use: in a zone of several versions that is
//! one which all of them read.
//!
//! Decoding never panics, never reads past the end, and never trusts a length before it has seen
//! the bytes. Records are plain; whoever stores them may compress and encrypt them whole.

pub mod batch;
pub mod bytes;
pub mod chunk;
pub mod head;
mod items;
mod range;
mod record;
#[cfg(test)]
mod testing;

pub use batch::{Batch, BatchMeta};
pub use bytes::DecodeError;
pub use head::{Filter, Head, Snapshot, Source};
pub use items::EncodeError;
#[cfg(feature = "alloc")]
pub use items::Pushed;
pub use range::{FORMAT, FormatRange};
