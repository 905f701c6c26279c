//! The difference of two sorted states.
//!
//! [`merge`] walks both at once and holds two items of each, so it costs one step per entity and no
//! memory. Both sides come sorted by key, each key once. Input that is not would give a wrong
//! difference, so each step is checked, and the walk ends with [`OutOfOrder`]: then nothing that it
//! gave before may be used.

use core::cmp::Ordering;
use core::fmt;

use crate::entity::Version;
use crate::id::EntityKey;

/// Something with a key and a version: an entity, or whatever stands for one.
pub trait Item {
    /// What items are sorted by.
    type Key: Ord;

    /// Gives the key. Called several times per item, so it should cost next to nothing.
    fn key(&self) -> Self::Key;

    /// Gives the version of the content.
    fn version(&self) -> Version;
}

impl<'a> Item for (EntityKey<'a>, Version) {
    type Key = EntityKey<'a>;

    fn key(&self) -> EntityKey<'a> {
        self.0
    }

    fn version(&self) -> Version {
        self.1
    }
}

/// One entity that is not the same on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference<O, N> {
    /// Only the new side has it.
    Added(N),
    /// Both have it, with different content.
    Changed(O, N),
    /// Only the old side has it.
    Removed(O),
}

/// One of the two states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The state before.
    Old,
    /// The state after.
    New,
}

/// A key came that is not above the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfOrder {
    /// Where it came.
    pub side: Side,
    /// The place of the item, from zero.
    pub index: u64,
}

impl fmt::Display for OutOfOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::Old => "old",
            Side::New => "new",
        };
        write!(f, "item {} of the {side} state is not above the one before it", self.index)
    }
}

impl core::error::Error for OutOfOrder {}

/// Gives what changed from `old` to `new`, in the order of keys.
pub fn merge<O, N>(old: O, new: N) -> Merge<O::IntoIter, N::IntoIter>
where
    O: IntoIterator<Item: Item>,
    N: IntoIterator<Item: Item<Key = <O::Item as Item>::Key>>,
{
    Merge {
        old: Ordered::new(old.into_iter(), Side::Old),
        new: Ordered::new(new.into_iter(), Side::New),
        order: None,
    }
}

/// The walk that [`merge`] begins. It ends for good after an error.
pub struct Merge<O: Iterator, N: Iterator> {
    old: Ordered<O>,
    new: Ordered<N>,
    /// How the first items compare, where that is known already.
    order: Option<Ordering>,
}

impl<O, N> Iterator for Merge<O, N>
where
    O: Iterator<Item: Item>,
    N: Iterator<Item: Item<Key = <O::Item as Item>::Key>>,
{
    type Item = Result<Difference<O::Item, N::Item>, OutOfOrder>;

    fn next(&mut self) -> Option<Self::Item> {
        let difference = self.step();
        if let Some(Err(_)) = difference {
            (self.old.begun, self.old.first) = (true, None);
            (self.new.begun, self.new.first) = (true, None);
        }
        difference
    }
}

impl<O, N> Merge<O, N>
where
    O: Iterator<Item: Item>,
    N: Iterator<Item: Item<Key = <O::Item as Item>::Key>>,
{
    fn step(&mut self) -> Option<<Self as Iterator>::Item> {
        loop {
            let order = match (self.old.first(), self.new.first()) {
                (None, None) => return None,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => self.order.unwrap_or_else(|| old.key().cmp(&new.key())),
            };
            let old = if order.is_le() { self.old.take() } else { None };
            let new = if order.is_ge() { self.new.take() } else { None };
            self.order = match (self.old.first(), self.new.first()) {
                (Some(old), Some(new)) => Some(old.key().cmp(&new.key())),
                _ => None,
            };
            // Where both sides come to the same key, one of them shows for both that it rose: most
            // steps then compare twice and not three times.
            let agree = self.order == Some(Ordering::Equal);
            let rose = self.old.check(old.as_ref());
            let rose = rose.and_then(|()| self.new.check(new.as_ref().filter(|_| !agree)));
            if let Err(error) = rose {
                return Some(Err(error));
            }
            return match (old, new) {
                (Some(old), Some(new)) if old.version() == new.version() => continue,
                (Some(old), Some(new)) => Some(Ok(Difference::Changed(old, new))),
                (Some(old), None) => Some(Ok(Difference::Removed(old))),
                (None, new) => new.map(|new| Ok(Difference::Added(new))),
            };
        }
    }
}

/// One side, with its first item.
struct Ordered<I: Iterator> {
    items: I,
    side: Side,
    first: Option<I::Item>,
    begun: bool,
    index: u64,
}

impl<I: Iterator<Item: Item>> Ordered<I> {
    fn new(items: I, side: Side) -> Self {
        Self { items, side, first: None, begun: false, index: 0 }
    }

    /// Shows the item to be taken next.
    fn first(&mut self) -> Option<&I::Item> {
        if !self.begun {
            self.begun = true;
            self.first = self.items.next();
        }
        self.first.as_ref()
    }

    /// Takes the first item; the one behind it is to be checked next.
    fn take(&mut self) -> Option<I::Item> {
        let first = self.first.take()?;
        self.index += 1;
        self.first = self.items.next();
        Some(first)
    }

    /// Says whether the first item is above the one `before` it, if both are there.
    fn check(&self, before: Option<&I::Item>) -> Result<(), OutOfOrder> {
        match (before, &self.first) {
            (Some(before), Some(first)) if first.key() <= before.key() => {
                Err(OutOfOrder { side: self.side, index: self.index })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
