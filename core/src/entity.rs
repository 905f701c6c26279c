//! What an item of state is, and what a change of it means.
//!
//! An entity's payload is bytes that the zone carries unchanged; this crate never looks inside.
//! Two payloads of one key are the same if their [`Version`]s are.

use core::fmt;
use core::str::FromStr;

use crate::id::EntityKey;

/// The most bytes of one payload: 16 MiB.
pub const PAYLOAD_MAX: usize = 16 << 20;

/// The kinds a zone can tell apart: codes run from 1 to one less than this.
pub const KINDS_MAX: usize = 32;

/// What sort of item an entity is.
///
/// A number rather than an enum: a node carries and counts kinds that it does not know, as a newer
/// node may publish them. Codes are also the order of kinds in a cycle, so that a plan is known
/// before the subscriptions to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(u8);

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        impl Kind {
            $($(#[$doc])* pub const $name: Self = Self($code);)*

            /// The kinds that this version knows, in the order of a cycle.
            pub const KNOWN: &'static [Self] = &[$(Self::$name),*];

            /// Gives the name, as in the stores and in the CLI, or none for an unknown kind.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// Facts about the installation that every node needs.
    NODE_METADATA = 1, "NODE_METADATA";
    /// The licence of an organization.
    LICENSE = 2, "LICENSE";
    /// A host name under which an environment is reached.
    ACCESS_POINT = 3, "ACCESS_POINT";
    /// An organization with its flows.
    ORGANIZATION = 4, "ORGANIZATION";
    /// A dictionary of properties.
    DICTIONARY = 5, "DICTIONARY";
    /// A Kafka cluster that native APIs refer to.
    KAFKA_CLUSTER = 6, "KAFKA_CLUSTER";
    /// A group of policies that several flows share.
    SHARED_POLICY_GROUP = 7, "SHARED_POLICY_GROUP";
    /// A principal or resource of the authorization engine.
    AUTHZ_ENTITY = 9, "AUTHZ_ENTITY";
    /// A policy of the authorization engine.
    AUTHZ_POLICY = 10, "AUTHZ_POLICY";
    /// Several APIs sold as one.
    API_PRODUCT = 11, "API_PRODUCT";
    /// An API with its plans.
    API = 12, "API";
    /// A subscription to a plan.
    SUBSCRIPTION = 13, "SUBSCRIPTION";
    /// A key that opens a subscription.
    API_KEY = 14, "API_KEY";
}

impl Kind {
    /// Makes a kind from its code, or none if no zone can carry it.
    pub const fn from_code(code: u8) -> Option<Self> {
        if code != 0 && (code as usize) < KINDS_MAX { Some(Self(code)) } else { None }
    }

    /// Gives the code.
    pub const fn code(self) -> u8 {
        self.0
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;

    /// Reads a name in any letter case.
    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        let known = |kind: &&Self| kind.name().is_some_and(|n| n.eq_ignore_ascii_case(text));
        Self::KNOWN.iter().find(known).copied().ok_or(UnknownKind)
    }
}

/// A text that names no kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownKind;

impl fmt::Display for UnknownKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a kind; the kinds are")?;
        Kind::KNOWN.iter().try_for_each(|kind| write!(f, " {kind}"))
    }
}

impl core::error::Error for UnknownKind {}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "KIND_{}", self.0),
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The content of an entity as a number: a keyed hash of its key and payload.
///
/// Equal versions mean equal content. The digest of a state is the sum of its versions. Zero is
/// never a version of anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u128);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{:08x}", self.0 >> 96)
    }
}

/// What happens to one entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// It has this payload from now on.
    Deploy {
        /// The bytes, carried unchanged.
        payload: &'a [u8],
    },
    /// It is gone.
    Undeploy,
}

/// One change of one entity. It carries the version it replaces, so that a node that keeps only
/// some kinds can still follow the digest of what it drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// Which entity.
    pub key: EntityKey<'a>,
    /// What happens to it.
    pub action: Action<'a>,
    /// The version before, or none if the entity is new.
    pub replaces: Option<Version>,
    /// The version after, or none if the entity is gone.
    pub version: Option<Version>,
}

/// Where a change stands inside a batch: what takes access away comes before what gives it.
///
/// Within the first group children go before parents (keys, then subscriptions, then APIs); within
/// the second parents go before children.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank(u8, u8);

impl Rank {
    /// Gives the place of a change of `kind` that `revokes` access or does not.
    pub const fn of(kind: Kind, revokes: bool) -> Self {
        if revokes { Self(0, u8::MAX - kind.0) } else { Self(1, kind.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes_agree() {
        for kind in Kind::KNOWN {
            assert_eq!(Kind::from_code(kind.code()), Some(*kind));
            assert_eq!(kind.name().unwrap().to_ascii_lowercase().parse(), Ok(*kind));
        }
        assert_eq!(Kind::from_code(0), None);
        assert_eq!(Kind::from_code(KINDS_MAX as u8), None);
        assert_eq!("API_KEYS".parse::<Kind>(), Err(UnknownKind));
    }

    #[test]
    fn access_is_taken_away_before_it_is_given() {
        let revoked_key = Rank::of(Kind::API_KEY, true);
        let closed_subscription = Rank::of(Kind::SUBSCRIPTION, true);
        let withdrawn_api = Rank::of(Kind::API, true);
        let new_api = Rank::of(Kind::API, false);
        let new_key = Rank::of(Kind::API_KEY, false);
        let mut ranks = [new_key, withdrawn_api, new_api, revoked_key, closed_subscription];
        ranks.sort();
        assert_eq!(ranks, [revoked_key, closed_subscription, withdrawn_api, new_api, new_key]);
    }
}
