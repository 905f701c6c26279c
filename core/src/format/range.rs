//! Which formats a node reads and writes, and what differs between them.
//!
//! | format | what is new |
//! |---|---|
//! | 1 | the first |
//! | 2 | in batches and chunks, each of the three lengths of a key takes one byte; a part of 255 bytes or more has that byte at 255 and its length in two more |

/// The newest format that this version reads and writes.
pub const FORMAT: u16 = 2;

/// Lengths of keys are short from this format on.
pub(super) const SHORT_LENGTHS: u16 = 2;

/// The formats that a node reads and writes, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatRange {
    /// The oldest one; at least 1.
    pub oldest: u16,
    /// The newest one.
    pub newest: u16,
}

impl FormatRange {
    /// All that this version knows.
    pub const KNOWN: Self = Self { oldest: 1, newest: FORMAT };

    /// Makes the range of a version that came before `newest` was followed by another.
    pub const fn up_to(newest: u16) -> Self {
        Self { oldest: Self::KNOWN.oldest, newest }
    }

    /// Says whether a record or a head of `format` can be read.
    pub const fn reads(self, format: u16) -> bool {
        self.oldest <= format && format <= self.newest
    }

    /// Gives the format of this range that is nearest to `format`.
    pub(crate) fn nearest(self, format: u16) -> u16 {
        format.min(self.newest).max(self.oldest)
    }
}

impl Default for FormatRange {
    fn default() -> Self {
        Self::KNOWN
    }
}
