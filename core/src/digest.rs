//! An order-free hash of a state, kept up to date change by change.
//!
//! Each entity counts as one 128-bit number, its [`Version`]: SipHash-1-3 (Aumasson and Bernstein,
//! 2012) with 128 bits of output over its key and payload. The digest of a kind is the sum of these
//! numbers modulo 2^128, with a count. Adding and removing cost one addition; no order matters; two
//! states that agree in all sums and counts are the same but for a chance of about 2^-128, as long
//! as nobody who knows the hash key chooses the payloads.

use core::fmt;
use core::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::entity::{KINDS_MAX, Kind, Version};
use crate::id::EntityKey;

/// The key of the hash. A zone without encryption uses all zeros, so that anyone can verify it.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct DigestKey(pub [u8; 16]);

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey(..)")
    }
}

impl DigestKey {
    /// Hashes an entity's key and payload.
    ///
    /// Hashed are the code of the kind, each part of the key with its length before it as two
    /// bytes, little endian, then the payload.
    pub fn version(&self, key: EntityKey<'_>, payload: &[u8]) -> Version {
        let mut hash = SipHasher13::new_with_key(&self.0);
        hash.write(&[key.kind.code()]);
        for part in [key.scope, key.id, key.subscription] {
            hash.write(&(part.len() as u16).to_le_bytes());
            hash.write(part.as_bytes());
        }
        hash.write(payload);
        Version(hash.finish128().as_u128().max(1))
    }
}

/// Count and sum of the entities of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindDigest {
    /// How many entities there are.
    pub count: u64,
    /// The sum of their versions modulo 2^128.
    pub sum: u128,
}

/// Counts and sums of a whole state, kind by kind.
#[derive(Clone, PartialEq, Eq)]
pub struct Digest {
    kinds: [KindDigest; KINDS_MAX],
}

impl Digest {
    /// The digest of the state without entities.
    pub const EMPTY: Self = Self { kinds: [KindDigest { count: 0, sum: 0 }; KINDS_MAX] };

    /// Takes in one more entity.
    pub fn add(&mut self, kind: Kind, version: Version) {
        let sums = &mut self.kinds[usize::from(kind.code())];
        sums.count += 1;
        sums.sum = sums.sum.wrapping_add(version.0);
    }

    /// Takes in all entities of another state, none of which it has.
    pub fn add_all(&mut self, other: &Self) {
        for (sums, more) in self.kinds.iter_mut().zip(&other.kinds) {
            sums.count += more.count;
            sums.sum = sums.sum.wrapping_add(more.sum);
        }
    }

    /// Takes out an entity that was added before.
    pub fn remove(&mut self, kind: Kind, version: Version) {
        let sums = &mut self.kinds[usize::from(kind.code())];
        sums.count = sums.count.saturating_sub(1);
        sums.sum = sums.sum.wrapping_sub(version.0);
    }

    /// Follows one change: `replaces` goes, `version` comes.
    pub fn change(&mut self, kind: Kind, replaces: Option<Version>, version: Option<Version>) {
        if let Some(old) = replaces {
            self.remove(kind, old);
        }
        if let Some(new) = version {
            self.add(kind, new);
        }
    }

    /// Gives count and sum of one kind.
    pub fn kind(&self, kind: Kind) -> KindDigest {
        self.kinds[usize::from(kind.code())]
    }

    /// Sets count and sum of one kind, as read from a store.
    pub fn set_kind(&mut self, kind: Kind, sums: KindDigest) {
        self.kinds[usize::from(kind.code())] = sums;
    }

    /// Goes through the kinds that have entities, in the order of a cycle.
    pub fn kinds(&self) -> impl Iterator<Item = (Kind, KindDigest)> + '_ {
        (1..KINDS_MAX as u8)
            .filter_map(Kind::from_code)
            .map(|kind| (kind, self.kind(kind)))
            .filter(|(_, sums)| *sums != KindDigest::default())
    }

    /// Counts all entities.
    pub fn count(&self) -> u64 {
        self.kinds.iter().map(|sums| sums.count).sum()
    }

    /// Folds the digest into one number, to carry it with a batch.
    ///
    /// SipHash-1-3-128 with a zero key over code, count and sum of each kind that has entities, the
    /// numbers little endian. The empty state gives zero.
    pub fn fingerprint(&self) -> Fingerprint {
        if self.kinds().next().is_none() {
            return Fingerprint(0);
        }
        let mut hash = SipHasher13::new_with_key(&[0; 16]);
        for (kind, sums) in self.kinds() {
            hash.write(&[kind.code()]);
            hash.write(&sums.count.to_le_bytes());
            hash.write(&sums.sum.to_le_bytes());
        }
        Fingerprint(hash.finish128().as_u128().max(1))
    }
}

impl Default for Digest {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.kinds().map(|(kind, sums)| (kind, sums.count))).finish()?;
        write!(f, " {}", self.fingerprint())
    }
}

/// A whole [`Digest`] as one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub u128);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}
