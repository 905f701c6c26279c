//! What an image is written to.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

/// An answer on its way.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

/// The bytes of a whole image, however they are held.
pub type Contents = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// A place for one image, which this node alone uses.
///
/// At any moment one image stands, or none, and another may be under way beside it. After a crash
/// the one that stood last is there: with all that was appended and answered, and with any part of
/// what was appended and not answered. What was under way is gone.
///
/// One call is under way at a time, and none may block the task that makes it. A call that is dropped
/// may still be carried out, wholly or in part, but before any later one.
pub trait Disk: Send + Sync + fmt::Debug + 'static {
    /// Names the place, for people.
    fn place(&self) -> String;

    /// Reads the image that stands. Gives none if there is none.
    fn read(&self) -> Reply<'_, Option<Contents>>;

    /// Makes the image that stands `at` bytes long and adds `bytes` to it. They are safe from a
    /// crash once this is answered.
    fn append(&self, at: u64, bytes: Vec<u8>) -> Reply<'_, ()>;

    /// Begins another image, empty, in the place of one under way.
    fn begin(&self) -> Reply<'_, ()>;

    /// Adds bytes to the image under way.
    fn put(&self, bytes: Vec<u8>) -> Reply<'_, ()>;

    /// Lets the image under way stand in the place of the one before, as one step. It is safe from a
    /// crash once this is answered.
    fn commit(&self) -> Reply<'_, ()>;

    /// Takes the image that stands out of the way, without deleting it, since it cannot be used. Gives
    /// where it is now.
    fn set_aside(&self) -> Reply<'_, String>;
}
