//! Names: zones, nodes, instances, terms, positions, entities.
//!
//! All are small values that never touch a heap. Numbers that reach a store stay below 2^53
//! ([`NUMBER_MAX`]), since scripting engines count in doubles.

use core::fmt;
use core::str::FromStr;

use heapless::String;

use crate::entity::Kind;

/// The highest epoch or sequence: one less than 2^53.
pub const NUMBER_MAX: u64 = (1 << 53) - 1;

/// The most bytes of one part of an entity's key.
pub const ID_MAX: usize = 512;

/// The name of a zone: 1 to 64 of `A-Z a-z 0-9 . _ -`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneName(String<64>);

impl ZoneName {
    /// Gives the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ZoneName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if text.is_empty() || !text.bytes().all(allowed) {
            return Err(InvalidName::Zone);
        }
        String::try_from(text).map(Self).map_err(|_| InvalidName::Zone)
    }
}

impl fmt::Display for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a node, for people: 1 to 128 bytes of text without control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(String<128>);

impl NodeId {
    /// Gives the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(InvalidName::Node);
        }
        String::try_from(text).map(Self).map_err(|_| InvalidName::Node)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidName {
    /// A zone's name is 1 to 64 of `A-Z a-z 0-9 . _ -`.
    Zone,
    /// A node's name is 1 to 128 bytes without control characters.
    Node,
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zone => "a zone's name has 1 to 64 characters of A-Z a-z 0-9 . _ -",
            Self::Node => "a node's name has 1 to 128 bytes and no control characters",
        })
    }
}

impl core::error::Error for InvalidName {}

/// 128 random bits drawn at each start of a node, so that a restart is never mistaken for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(pub u128);

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "i{:08x}", self.0 >> 96)
    }
}

/// The number of a reign. It grows with each one; zero means that there was none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    /// Gives the epoch after this one, or none past [`NUMBER_MAX`].
    pub const fn next(self) -> Option<Self> {
        if self.0 < NUMBER_MAX { Some(Self(self.0 + 1)) } else { None }
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{}", self.0)
    }
}

/// 128 random bits that tell two reigns of the same epoch apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TermId(pub u128);

impl fmt::Display for TermId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{:08x}", self.0 >> 96)
    }
}

/// One reign: its number and its random id. Two terms are one only if both agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term {
    /// The number, which grows with each reign.
    pub epoch: Epoch,
    /// The random id.
    pub id: TermId,
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.epoch, self.id)
    }
}

/// The number of a published batch; it goes on across terms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

impl Sequence {
    /// Gives the sequence after this one, or none past [`NUMBER_MAX`].
    pub const fn next(self) -> Option<Self> {
        if self.0 < NUMBER_MAX { Some(Self(self.0 + 1)) } else { None }
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

/// Names one state of the zone: the term it was published in, and the batch that made it.
///
/// Ordered by epoch, then sequence; the term id only breaks ties, so that the order is total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Position {
    /// The reign in which the state was published.
    pub term: Term,
    /// The batch that made it.
    pub sequence: Sequence,
}

impl Position {
    /// The place before anything was published.
    pub const START: Self =
        Self { term: Term { epoch: Epoch(0), id: TermId(0) }, sequence: Sequence(0) };
}

impl Ord for Position {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        let rank = |p: &Self| (p.term.epoch, p.sequence, p.term.id);
        rank(self).cmp(&rank(other))
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.term.epoch, self.sequence)
    }
}

/// What tells one entity from another.
///
/// Ordered by kind, scope, id, subscription: the order in which states are sorted, sent and
/// compared. Parts that a kind does not use are empty; each has at most [`ID_MAX`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityKey<'a> {
    /// What sort of item it is.
    pub kind: Kind,
    /// The API or API product that a subscription or an API key belongs to, else empty.
    pub scope: &'a str,
    /// The id of the item.
    pub id: &'a str,
    /// For an API key, the subscription it serves: one key may serve several. Else empty.
    pub subscription: &'a str,
}

impl<'a> EntityKey<'a> {
    /// Makes the key of an item that needs no scope.
    pub const fn new(kind: Kind, id: &'a str) -> Self {
        Self { kind, scope: "", id, subscription: "" }
    }

    /// Makes the key of a subscription to `scope`, an API or an API product.
    pub const fn subscription(scope: &'a str, id: &'a str) -> Self {
        Self { kind: Kind::SUBSCRIPTION, scope, id, subscription: "" }
    }

    /// Makes the key of an API key that opens `scope` for `subscription`.
    pub const fn api_key(scope: &'a str, id: &'a str, subscription: &'a str) -> Self {
        Self { kind: Kind::API_KEY, scope, id, subscription }
    }
}

impl fmt::Display for EntityKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        for part in [self.scope, self.id, self.subscription] {
            if !part.is_empty() {
                write!(f, " {part}")?;
            }
        }
        Ok(())
    }
}

#[cfg(feature = "alloc")]
mod owned {
    use alloc::boxed::Box;
    use core::fmt;

    use super::EntityKey;
    use crate::entity::Kind;

    /// An [`EntityKey`] that owns its text, in one allocation.
    #[derive(Clone, PartialEq, Eq, Hash)]
    pub struct EntityKeyBuf {
        kind: Kind,
        scope_end: u16,
        id_end: u16,
        text: Box<str>,
    }

    impl EntityKeyBuf {
        /// Borrows the key.
        pub fn as_ref(&self) -> EntityKey<'_> {
            let (scope_end, id_end) = (usize::from(self.scope_end), usize::from(self.id_end));
            EntityKey {
                kind: self.kind,
                scope: &self.text[..scope_end],
                id: &self.text[scope_end..id_end],
                subscription: &self.text[id_end..],
            }
        }
    }

    impl From<EntityKey<'_>> for EntityKeyBuf {
        /// Copies a key. Panics if a part is longer than [`super::ID_MAX`].
        fn from(key: EntityKey<'_>) -> Self {
            let longest = key.scope.len().max(key.id.len()).max(key.subscription.len());
            assert!(
                longest <= super::ID_MAX,
                "a part of a key has at most {} bytes",
                super::ID_MAX
            );
            let mut text = alloc::string::String::with_capacity(
                key.scope.len() + key.id.len() + key.subscription.len(),
            );
            text.push_str(key.scope);
            text.push_str(key.id);
            text.push_str(key.subscription);
            let scope_end = key.scope.len() as u16;
            let id_end = scope_end + key.id.len() as u16;
            Self { kind: key.kind, scope_end, id_end, text: text.into_boxed_str() }
        }
    }

    impl Ord for EntityKeyBuf {
        fn cmp(&self, other: &Self) -> core::cmp::Ordering {
            self.as_ref().cmp(&other.as_ref())
        }
    }

    impl PartialOrd for EntityKeyBuf {
        fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
            Some(self.cmp(other))
        }
    }

    impl fmt::Debug for EntityKeyBuf {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.as_ref().fmt(f)
        }
    }

    impl fmt::Display for EntityKeyBuf {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.as_ref().fmt(f)
        }
    }
}

#[cfg(feature = "alloc")]
pub use owned::EntityKeyBuf;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_name_has_only_the_characters_that_every_store_takes() {
        assert!("orders-eu.1_a".parse::<ZoneName>().is_ok());
        for bad in ["", "a b", "a,b", "ä", "{a}", &"x".repeat(65)] {
            assert_eq!(bad.parse::<ZoneName>(), Err(InvalidName::Zone), "{bad:?}");
        }
    }

    #[test]
    fn positions_are_ordered_by_epoch_then_sequence() {
        let at = |epoch, id, sequence| Position {
            term: Term { epoch: Epoch(epoch), id: TermId(id) },
            sequence: Sequence(sequence),
        };
        assert!(at(1, 9, 50) < at(2, 1, 7));
        assert!(at(2, 9, 6) < at(2, 1, 7));
        assert!(Position::START < at(1, 0, 0));
    }

    #[test]
    fn numbers_stop_where_doubles_stop_counting() {
        assert_eq!(Epoch(NUMBER_MAX).next(), None);
        assert_eq!(Sequence(NUMBER_MAX).next(), None);
        assert_eq!(Sequence(4).next(), Some(Sequence(5)));
    }

    #[test]
    fn an_owned_key_gives_back_its_parts() {
        let key = EntityKey::api_key("api", "key", "subscription");
        assert_eq!(EntityKeyBuf::from(key).as_ref(), key);
        let plain = EntityKey::new(Kind::API, "api");
        assert_eq!(EntityKeyBuf::from(plain).as_ref(), plain);
    }
}
