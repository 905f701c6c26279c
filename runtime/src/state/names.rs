//! Numbers for the names that many records repeat: APIs, API products and plans.

use std::sync::Arc;

use super::hash::Seed;
use super::index::Index;
use super::slots::Slots;
use super::tree::Tree;

/// A name in use, or a free place.
#[derive(Clone, Default)]
struct Name {
    text: Option<Arc<str>>,
    /// For an API: the products that hold it, in the order in which they are asked.
    products: Option<Arc<[u32]>>,
}

/// The names of one state.
#[derive(Clone)]
pub(super) struct Names {
    records: Tree<Name>,
    by_text: Index,
}

impl Names {
    /// Makes an empty list.
    pub(super) fn new() -> Self {
        Self { records: Tree::new(), by_text: Index::new() }
    }

    /// Makes a list of many names, each in use, by their numbers.
    pub(super) fn of(seed: &Seed, texts: Vec<Arc<str>>) -> Self {
        let hashes = texts.iter().map(|text| seed.hash(0, text.as_bytes()));
        let mut sorted: Vec<_> = hashes.zip(0..).collect();
        sorted.sort_unstable();
        let records = texts.into_iter().map(|text| Name { text: Some(text), products: None });
        Self { records: Tree::of(records.collect()), by_text: Index::of(&sorted) }
    }

    /// Finds the number of a name in use.
    #[inline]
    pub(super) fn find(&self, seed: &Seed, text: &str) -> Option<u32> {
        self.by_text.find(seed.hash(0, text.as_bytes())).find(|&number| self.text(number) == text)
    }

    /// Gives the name with this number, or nothing if it is free.
    #[inline]
    pub(super) fn text(&self, number: u32) -> &str {
        self.records.get(number as usize).text.as_deref().unwrap_or_default()
    }

    /// Gives the products that hold the API with this number.
    #[inline]
    pub(super) fn products(&self, api: u32) -> &[u32] {
        self.records.get(api as usize).products.as_deref().unwrap_or_default()
    }

    /// Whether no name is in use.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.by_text.is_empty()
    }

    /// Sets the products that hold the API with this number.
    pub(super) fn set_products(&mut self, api: u32, products: &[u32]) {
        self.records.get_mut(api as usize).products =
            (!products.is_empty()).then(|| products.into());
    }
}

/// Who uses which name; a writer's side of [`Names`].
pub(super) struct NameUses {
    uses: Vec<u32>,
    slots: Slots,
}

impl NameUses {
    /// Makes the counts of an empty list.
    pub(super) fn new() -> Self {
        Self { uses: Vec::new(), slots: Slots::new() }
    }

    /// Makes the counts of [`Names::of`].
    pub(super) fn of(uses: Vec<u32>) -> Self {
        Self { slots: Slots::below(uses.len() as u32), uses }
    }

    /// Gives the number of a name and counts one more use.
    pub(super) fn acquire(&mut self, names: &mut Names, seed: &Seed, text: &str) -> u32 {
        let number = names.find(seed, text).unwrap_or_else(|| {
            let number = self.slots.take();
            *names.records.get_mut(number as usize) =
                Name { text: Some(text.into()), products: None };
            names.by_text.insert(seed.hash(0, text.as_bytes()), number);
            if names.by_text.is_crowded() {
                let all =
                    (0..self.slots.end()).filter(|&n| names.records.get(n as usize).text.is_some());
                let all: Vec<_> =
                    all.map(|n| (seed.hash(0, names.text(n).as_bytes()), n)).collect();
                names.by_text.widen(all);
            }
            number
        });
        let at = number as usize;
        if self.uses.len() <= at {
            self.uses.resize(at + 1, 0);
        }
        self.uses[at] += 1;
        number
    }

    /// Counts one use less, and frees the number with the last.
    pub(super) fn release(&mut self, names: &mut Names, seed: &Seed, number: u32) {
        let uses = &mut self.uses[number as usize];
        *uses -= 1;
        if *uses == 0 {
            names.by_text.remove(seed.hash(0, names.text(number).as_bytes()), number);
            *names.records.get_mut(number as usize) = Name::default();
            self.slots.give(number);
        }
    }
}
