//! The local image: the state on this machine's disk, so that a node can start without its zone.
//!
//! An image is one file: a snapshot of the state at one position, and behind it a journal of what was
//! applied since. [`decode`] checks every byte of it; `load` puts it into a state; `keeper` writes it
//! in the background, in the order in which things happened; [`Disk`] is what it is written to, and
//! [`FileDisk`] the real one. [`verify()`] works out again what a state sums up to.
//!
//! Only what the zone announced comes into an image: a state that was loaded, published or followed
//! to, and the batches of the log that led on from there.
//!
//! # The file, byte by byte
//!
//! All numbers are little endian. *Hash* is SipHash-1-3-128; where eight or four bytes of it stand,
//! they are its lowest.
//!
//! | bytes | what |
//! |---|---|
//! | 16 | `zonesync image`, a newline, a zero |
//! | 2 | format number, now 1 |
//! | 16 | seed: random, drawn for each image |
//! | 8 | hash of all above, with a zero key |
//!
//! Then come frames, without gaps. The key of their hashes is the seed, so no frame of another image
//! can pass, and each hash begins with the frame's own offset in the file (eight bytes), so none can
//! stand elsewhere.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | kind of the frame |
//! | 4 | length of its body |
//! | 4 | hash of offset, kind and length |
//! | length | body |
//! | 8 | hash of offset, kind, length and body; of a chunk's body only its last eight bytes, the chunk's own checksum, which speaks for the rest |
//!
//! | kind | body | how many |
//! |---|---|---|
//! | `I` | whose it is: zone (four bytes of length, text), mark of the digest key (16), filter of the node (16) | one, first |
//! | `C` | a chunk, see [`zonesync_core::format::chunk`] | any number, from number zero on |
//! | `S` | time (8, milliseconds since 1970), then a head, see [`zonesync_core::format::head`], that names the chunks as its snapshot | one |
//! | `J` | time (8), then records, each with its length (four bytes) before it: a batch, see [`zonesync_core::format::batch`], or a head without a snapshot | any number |
//!
//! The mark of the digest key is the version, under that key, of the API `zonesync image` with the
//! seed as its payload: it tells two keys apart and nothing else.
//!
//! The records are in the oldest format that this version writes, so that the version before finds its
//! state after a roll-back; one that a node cannot read is refused with the image.
//!
//! A batch in the journal builds on position and digest before it. A head there says where the state
//! stands now, with which list of terms, source and guard, and changes no entity. A frame's time is
//! when its state was last known to be the zone's newest; the image is as old as its newest frame.
//!
//! A journal frame is written and synced as one. So a torn one can only be the last, and is cut: a
//! frame that ends past the file, one whose body does not have its hash and that ends with the file,
//! or a rest of zeros. Everything else that does not fit is damage, and the file is set aside.

mod disk;
mod encode;
mod error;
mod file;
mod format;
mod keeper;
mod load;
mod pack;
mod queue;
mod scribe;
#[cfg(test)]
mod tests;
mod verify;

pub use disk::{Contents, Disk, Reply};
pub use error::ImageError;
pub use file::FileDisk;
pub use format::{FORMAT, Identity, Image, Record, decode};
pub use pack::write;
pub use verify::{KindCheck, Verified, verify, verify_state};

pub(crate) use keeper::{Keeper, Kept};
