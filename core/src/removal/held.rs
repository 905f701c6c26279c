//! A set of absent removals, and the token that a person confirms it with.

use core::fmt;
use core::hash::Hasher;
use core::str::FromStr;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::Evidence;
use crate::id::EntityKey;

/// Names one set of removals: the same set has the same token, any other set another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

impl fmt::Display for Token {
    /// Writes 16 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Token {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        if text.len() != 16 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(InvalidToken);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| InvalidToken)
    }
}

/// A text that is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidToken;

impl fmt::Display for InvalidToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token has 16 hexadecimal digits")
    }
}

impl core::error::Error for InvalidToken {}

/// The absent removals of one read and one kind, added up in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeldSet {
    count: u64,
    sum: u128,
}

impl HeldSet {
    /// Starts without removals.
    pub const fn new() -> Self {
        Self { count: 0, sum: 0 }
    }

    /// Adds the removal of `key`, once per key, if it may be held at all.
    ///
    /// Gives false and changes nothing for an evidenced removal: that is to be applied.
    #[must_use]
    pub fn add(&mut self, key: EntityKey<'_>, evidence: Evidence) -> bool {
        if evidence == Evidence::Evidenced {
            return false;
        }
        let mut hash = SipHasher13::new_with_key(&[0; 16]);
        hash.write(&[key.kind.code()]);
        for part in [key.scope, key.id, key.subscription] {
            hash.write(&(part.len() as u64).to_le_bytes());
            hash.write(part.as_bytes());
        }
        self.count += 1;
        self.sum = self.sum.wrapping_add(hash.finish128().as_u128());
        true
    }

    /// Counts the removals.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Gives the token of the set.
    ///
    /// SipHash-1-3-128 with a zero key over count and sum, the low 64 bits.
    pub fn token(&self) -> Token {
        let mut hash = SipHasher13::new_with_key(&[0; 16]);
        hash.write(&self.count.to_le_bytes());
        hash.write(&self.sum.to_le_bytes());
        Token(hash.finish128().h1)
    }
}
