//! A hash index: from a hash to the numbers of the records that have it.
//!
//! The top bits of a hash choose a page; the next 16 are the *tag*. A page is an exact array of
//! (tag, number), six bytes each, sorted by tag: since tags are spread evenly, a lookup jumps to
//! where the tag should stand and walks the few steps that it is off. There are no empty slots, so
//! a page is full and small, and copying it with one entry more or less is what a shared page needs
//! anyway.
//!
//! Pages hold about 128 entries at most on average; past that, all are split in four. Only then is
//! each record hashed again, by the caller.

use std::sync::Arc;

use super::tree::Tree;

/// Entries per page, on average, past which pages are split.
const PAGE_MAX: usize = 128;

/// A page is split into this many: two bits of a hash.
const SPLIT_BITS: u32 = 2;

/// The words of an entry: tag, low and high half of the number.
const ENTRY: usize = 3;

/// A page: entries sorted by tag, or none.
#[derive(Clone, Default)]
struct Page(Option<Arc<[u16]>>);

impl Page {
    #[inline]
    fn words(&self) -> &[u16] {
        self.0.as_deref().unwrap_or_default()
    }
}

/// Numbers of records by hash. Copies share what did not change.
#[derive(Clone)]
pub(super) struct Index {
    pages: Tree<Page>,
    bits: u32,
    len: usize,
}

impl Index {
    /// Makes an empty index.
    pub(super) fn new() -> Self {
        let mut pages = Tree::new();
        pages.get_mut(1);
        Self { pages, bits: 1, len: 0 }
    }

    /// Goes through the numbers whose hash agrees in page and tag. Some may be of other hashes.
    #[inline]
    pub(super) fn find(&self, hash: u64) -> impl Iterator<Item = u32> + '_ {
        let (page, tag) = self.place(hash);
        let words = self.pages.get(page).words();
        let start = seek(words, tag);
        words[start * ENTRY..]
            .chunks_exact(ENTRY)
            .take_while(move |entry| entry[0] == tag)
            .map(|entry| number(entry))
    }

    /// Adds `number` under `hash`. Where it stands there already, it then stands there twice.
    pub(super) fn insert(&mut self, hash: u64, number: u32) {
        let (page, tag) = self.place(hash);
        let page = self.pages.get_mut(page);
        let old = page.words();
        let at = seek(old, tag) * ENTRY;
        let entry = [tag, number as u16, (number >> 16) as u16];
        page.0 = Some(concat(&[&old[..at], &entry, &old[at..]]));
        self.len += 1;
    }

    /// Takes `number` out from under `hash`.
    pub(super) fn remove(&mut self, hash: u64, gone: u32) {
        let (page, tag) = self.place(hash);
        let page = self.pages.get_mut(page);
        let old = page.words();
        let mut at = seek(old, tag) * ENTRY;
        while at < old.len() && old[at] == tag && number(&old[at..at + ENTRY]) != gone {
            at += ENTRY;
        }
        assert!(at < old.len() && old[at] == tag, "what is taken out of an index is in it");
        let rest = &old[at + ENTRY..];
        let empty = at == 0 && rest.is_empty();
        page.0 = if empty { None } else { Some(concat(&[&old[..at], rest])) };
        self.len -= 1;
    }

    /// Whether nothing is in it.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether [`Self::widen`] is due.
    pub(super) fn is_crowded(&self) -> bool {
        self.len > PAGE_MAX << self.bits
    }

    /// Splits each page, given all that the index holds once more.
    pub(super) fn widen(&mut self, mut all: Vec<(u64, u32)>) {
        assert_eq!(all.len(), self.len, "an index is made anew from what it holds");
        all.sort_unstable();
        let mut wider = Self { pages: Tree::new(), bits: self.bits + SPLIT_BITS, len: self.len };
        let page = |hash| place(wider.bits, hash).0;
        let mut pages = Tree::new();
        pages.get_mut((1 << wider.bits) - 1);
        for page in all.chunk_by(|a, b| page(a.0) == page(b.0)) {
            let (place, _) = wider.place(page[0].0);
            let entries = page.iter().map(|&(hash, number)| (wider.place(hash).1, number));
            let words =
                entries.flat_map(|(tag, number)| [tag, number as u16, (number >> 16) as u16]);
            let words = words.collect();
            *pages.get_mut(place) = Page(Some(words));
        }
        wider.pages = pages;
        *self = wider;
    }

    #[inline]
    fn place(&self, hash: u64) -> (usize, u16) {
        place(self.bits, hash)
    }
}

/// Gives page and tag of a hash.
#[inline]
fn place(bits: u32, hash: u64) -> (usize, u16) {
    ((hash >> (64 - bits)) as usize, (hash << bits >> 48) as u16)
}

fn number(entry: &[u16]) -> u32 {
    u32::from(entry[1]) | u32::from(entry[2]) << 16
}

/// Finds the first entry whose tag is not below `tag`.
#[inline]
fn seek(words: &[u16], tag: u16) -> usize {
    let count = words.len() / ENTRY;
    let mut at = (usize::from(tag) * count) >> 16;
    while at < count && words[at * ENTRY] < tag {
        at += 1;
    }
    while at > 0 && words[(at - 1) * ENTRY] >= tag {
        at -= 1;
    }
    at
}

fn concat(parts: &[&[u16]]) -> Arc<[u16]> {
    let mut all = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
    parts.iter().for_each(|part| all.extend_from_slice(part));
    all.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u32) -> u64 {
        u64::from(number).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17)
            ^ u64::from(number).wrapping_mul(0xd6e8_feb8_6659_fd93)
    }

    #[test]
    fn what_went_in_is_found_through_all_splits() {
        let mut index = Index::new();
        for number in 0..5_000 {
            index.insert(hash(number), number);
            if index.is_crowded() {
                index.widen((0..=number).map(|n| (hash(n), n)).collect());
            }
        }
        assert!(index.bits > 1);
        assert!((0..5_000).all(|n| index.find(hash(n)).any(|found| found == n)));
        let strangers = (5_000..10_000).filter(|n| index.find(hash(*n)).next().is_some()).count();
        assert!(strangers < 100, "{strangers} strangers have the tag of another");
    }

    #[test]
    fn a_removed_number_is_gone_and_others_stay() {
        let mut index = Index::new();
        (0..200).for_each(|n| index.insert(hash(n), n));
        let before = index.clone();
        (0..200).step_by(2).for_each(|n| index.remove(hash(n), n));
        for n in 0..200 {
            assert_eq!(index.find(hash(n)).any(|found| found == n), n % 2 == 1);
            assert!(before.find(hash(n)).any(|found| found == n));
        }
    }

    #[test]
    fn numbers_of_one_hash_are_all_found() {
        let mut index = Index::new();
        (0..70_000).step_by(1_000).for_each(|n| index.insert(42, n));
        let mut found: Vec<_> = index.find(42).collect();
        found.sort_unstable();
        assert_eq!(found, (0..70_000).step_by(1_000).collect::<Vec<_>>());
    }
}
