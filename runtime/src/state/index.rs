//! A hash index: from a hash to the numbers of the records that have it.
//!
//! The top bits of a hash choose a page; the next 16 are the *tag*. A page is an exact array: its
//! tags, sorted, then the numbers in the same order, six bytes an entry. Since tags are spread
//! evenly, a lookup guesses where its tag stands and counts the smaller ones in a window around
//! that. It counts them all, without looking whether it may stop: a processor that need not guess
//! how a comparison ends goes on to the record, and to the next lookup, while memory is still slow
//! to answer. There are no empty slots, so a page is full and small, and copying it with one entry
//! more or less is what a shared page needs anyway.
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

/// How many tags a lookup counts. A tag stands about 5 off its guess in a page of 128, and hardly
/// ever 16.
const WINDOW: usize = 32;

/// A page: all tags, sorted, then all numbers; or nothing.
#[derive(Clone, Default)]
struct Page(Option<Arc<[u16]>>);

impl Page {
    /// Makes a page of sorted entries.
    fn new(entries: &[(u16, u32)]) -> Self {
        let tags = entries.iter().map(|&(tag, _)| tag);
        let numbers = entries.iter().flat_map(|&(_, number)| halves(number));
        let words: Vec<u16> = tags.chain(numbers).collect();
        Self((!words.is_empty()).then(|| words.into()))
    }

    /// Gives the tags and the numbers in halves.
    #[inline]
    fn parts(&self) -> (&[u16], &[[u16; 2]]) {
        let words = self.0.as_deref().unwrap_or_default();
        let (tags, numbers) = words.split_at(words.len() / ENTRY);
        (tags, numbers.as_chunks().0)
    }

    /// Makes a page with `number` put in at `at`.
    fn with(&self, at: usize, tag: u16, number: u32) -> Self {
        let (tags, numbers) = self.parts();
        let numbers = numbers.as_flattened();
        Self(Some(concat(&[
            &tags[..at],
            &[tag],
            &tags[at..],
            &numbers[..2 * at],
            &halves(number),
            &numbers[2 * at..],
        ])))
    }

    /// Makes a page without the entry at `at`.
    fn without(&self, at: usize) -> Self {
        let (tags, numbers) = self.parts();
        if tags.len() == 1 {
            return Self(None);
        }
        let numbers = numbers.as_flattened();
        Self(Some(concat(&[
            &tags[..at],
            &tags[at + 1..],
            &numbers[..2 * at],
            &numbers[2 * (at + 1)..],
        ])))
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

    /// Makes an index of many entries, sorted by hash.
    pub(super) fn of(sorted: &[(u64, u32)]) -> Self {
        let mut bits = 1;
        while sorted.len() > PAGE_MAX << bits {
            bits += SPLIT_BITS;
        }
        Self::with_bits(bits, sorted)
    }

    fn with_bits(bits: u32, sorted: &[(u64, u32)]) -> Self {
        let mut pages = vec![Page::default(); 1 << bits];
        let mut entries = Vec::new();
        for page in sorted.chunk_by(|a, b| place(bits, a.0).0 == place(bits, b.0).0) {
            entries.clear();
            entries.extend(page.iter().map(|&(hash, number)| (place(bits, hash).1, number)));
            pages[place(bits, page[0].0).0] = Page::new(&entries);
        }
        Self { pages: Tree::of(pages), bits, len: sorted.len() }
    }

    /// Goes through the numbers whose hash agrees in page and tag. Some may be of other hashes.
    #[inline]
    pub(super) fn find(&self, hash: u64) -> impl Iterator<Item = u32> + '_ {
        let (page, tag) = self.place(hash);
        let (tags, numbers) = self.pages.get(page).parts();
        let start = seek(tags, tag);
        let same = tags[start..].iter().zip(&numbers[start..]).take_while(move |(t, _)| **t == tag);
        same.map(|(_, halves)| number(*halves))
    }

    /// Adds `number` under `hash`. Where it stands there already, it then stands there twice.
    pub(super) fn insert(&mut self, hash: u64, number: u32) {
        let (page, tag) = self.place(hash);
        let page = self.pages.get_mut(page);
        *page = page.with(seek(page.parts().0, tag), tag, number);
        self.len += 1;
    }

    /// Takes `number` out from under `hash`.
    pub(super) fn remove(&mut self, hash: u64, gone: u32) {
        let (page, tag) = self.place(hash);
        let page = self.pages.get_mut(page);
        let (tags, numbers) = page.parts();
        let start = seek(tags, tag);
        let same = tags[start..].iter().zip(&numbers[start..]).take_while(|(t, _)| **t == tag);
        let found = same.map(|(_, halves)| number(*halves)).position(|number| number == gone);
        let at = start + found.expect("what is taken out of an index is in it");
        *page = page.without(at);
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
        *self = Self::with_bits(self.bits + SPLIT_BITS, &all);
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

fn halves(number: u32) -> [u16; 2] {
    [number as u16, (number >> 16) as u16]
}

#[inline]
fn number([low, high]: [u16; 2]) -> u32 {
    u32::from(low) | u32::from(high) << 16
}

/// Finds the first of sorted tags that is not below `tag`.
#[inline]
fn seek(tags: &[u16], tag: u16) -> usize {
    let below = |tags: &[u16]| tags.iter().map(|&t| u16::from(t < tag)).sum::<u16>();
    let Some(last) = tags.len().checked_sub(WINDOW) else {
        return usize::from(below(tags));
    };
    let guess = (usize::from(tag) * tags.len()) >> 16;
    let start = guess.saturating_sub(WINDOW / 2).min(last);
    let window: &[u16; WINDOW] = tags[start..].first_chunk().expect("the window is in the page");
    let mut at = start + usize::from(below(window));
    // Hardly ever is the place outside the window.
    while at > 0 && at <= start && tags[at - 1] >= tag {
        at -= 1;
    }
    while at >= start + WINDOW && at < tags.len() && tags[at] < tag {
        at += 1;
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
    fn an_index_made_at_once_is_that_made_one_by_one() {
        for count in [0, 1, 200, 256, 257, 5_000] {
            let mut sorted: Vec<_> = (0..count).map(|n| (hash(n), n)).collect();
            sorted.sort_unstable();
            let at_once = Index::of(&sorted);
            let mut one_by_one = Index::new();
            for number in 0..count {
                one_by_one.insert(hash(number), number);
                if one_by_one.is_crowded() {
                    one_by_one.widen((0..=number).map(|n| (hash(n), n)).collect());
                }
            }
            assert_eq!((at_once.bits, at_once.len), (one_by_one.bits, one_by_one.len));
            for page in 0..1 << at_once.bits {
                assert_eq!(at_once.pages.get(page).0, one_by_one.pages.get(page).0);
            }
        }
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
    fn a_tag_is_found_however_unevenly_they_are_spread() {
        for tags in
            [vec![7; 100], (0..100).collect(), (65_400..65_500).collect(), vec![0; 3], vec![]]
        {
            for tag in [0, 6, 7, 8, 50, 99, 100, 65_399, 65_450, u16::MAX] {
                assert_eq!(seek(&tags, tag), tags.partition_point(|&t| t < tag), "{tags:?} {tag}");
            }
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
