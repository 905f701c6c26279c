//! Who may enter: from the tag of (scope, key) to all that most lookups need of a key.
//!
//! A [`Tag`] stands for both texts, and agreeing in it *is* being equal: no text is read.
//!
//! The top bits of a tag choose a page, the next ones a *bucket* of it. A page is an array of slots
//! sorted by their tags, without gaps, and knows where each bucket begins. There a lookup compares
//! one byte of each slot, its *mark*, and only looks at a slot if that is the same. What it compares
//! is small and lies with the pages, apart from the slots, so that a key which is not there is
//! hardly ever sought in slow memory, and one that is there takes one visit. Slots are plain data,
//! so copying a page touches nothing else.
//!
//! A tag has one slot. Where keys share one, the slot says so, and an [`Index`] knows them all.
//!
//! [`Index`]: super::index::Index

use std::sync::Arc;

use super::record::Window;
use super::tag::Tag;
use super::tree::Tree;

/// Slots per page, on average, past which pages are split in two.
const PAGE_MAX: usize = 128;

/// Buckets per page, and the bits of a tag that say which.
const BUCKETS: usize = 1 << BUCKET_BITS;
const BUCKET_BITS: u32 = 5;

/// How many slots a bucket may have, to be compared at once. It has four on average, at most.
const BUCKET_MAX: usize = 16;

/// How many slots a page may have. Past that, all pages are split early, which hardly ever happens.
const SLOTS_MAX: usize = 192;

/// Stands for where a bucket begins that is too long. It is past all marks, so there are none.
const CROWDED: u8 = u8::MAX;

/// What is known of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// The number of the key.
    pub(super) number: u32,
    /// The plan of its subscription.
    pub(super) plan: u32,
    /// When it surely opens the subscription with the same number.
    pub(super) window: Window,
}

impl Entry {
    /// Stands for several keys.
    pub(super) const SHARED: Self = Self { number: u32::MAX, plan: 0, window: Window::NEVER };

    /// Whether several keys have the tag.
    #[inline]
    pub(super) fn is_shared(&self) -> bool {
        self.number == u32::MAX
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    high: u64,
    low: u32,
    entry: Entry,
}

/// A page: slots sorted by the high part of their tags; or nothing.
#[derive(Clone)]
struct Page {
    slots: Arc<[Slot]>,
    /// Where each bucket begins, or [`CROWDED`].
    buckets: [u8; BUCKETS],
    /// The marks of the slots, then zeros.
    marks: [u8; SLOTS_MAX + BUCKET_MAX],
}

impl Default for Page {
    fn default() -> Self {
        let marks = [0; SLOTS_MAX + BUCKET_MAX];
        Self { slots: Arc::default(), buckets: [0; BUCKETS], marks }
    }
}

impl Page {
    /// Makes a page of sorted slots, if there is room for them.
    fn new(bits: u32, slots: impl Iterator<Item = Slot>) -> Option<Self> {
        let slots: Arc<[Slot]> = slots.collect();
        let mut page = Self::default();
        if slots.len() > SLOTS_MAX {
            return None;
        }
        for (slot, to) in slots.iter().zip(&mut page.marks) {
            *to = mark(slot.high);
        }
        let mut begin = 0;
        for (number, to) in page.buckets.iter_mut().enumerate() {
            let rest = &slots[begin..];
            let length = rest.iter().take_while(|slot| bucket(bits, slot.high) == number).count();
            *to = if length > BUCKET_MAX { CROWDED } else { begin as u8 };
            begin += length;
        }
        page.slots = slots;
        Some(page)
    }

    /// Finds the slot of a tag.
    #[inline]
    fn find(&self, bits: u32, high: u64) -> Option<&Slot> {
        let slots = &self.slots;
        let begin = usize::from(self.buckets[bucket(bits, high)]);
        let Some(marks) = self.marks.get(begin..).and_then(|marks| marks.first_chunk()) else {
            return self.position(high).ok().map(|at| &slots[at]);
        };
        let mut same = same(marks, mark(high));
        while same != 0 {
            // What lies past the last slot may seem to have the same mark.
            let slot = slots.get(begin + (same.trailing_zeros() / 8) as usize);
            if let Some(slot) = slot.filter(|slot| slot.high == high) {
                return Some(slot);
            }
            same &= same - 1;
        }
        None
    }

    /// Gives where the slot of a tag stands, or would have to.
    #[cold]
    fn position(&self, high: u64) -> Result<usize, usize> {
        self.slots.binary_search_by_key(&high, |slot| slot.high)
    }
}

/// Keys by tag. Copies share what did not change.
#[derive(Clone)]
pub(super) struct Access {
    pages: Tree<Page>,
    bits: u32,
    len: usize,
}

impl Access {
    /// Makes an empty table.
    pub(super) fn new() -> Self {
        let mut pages = Tree::new();
        pages.get_mut(1);
        Self { pages, bits: 1, len: 0 }
    }

    /// Makes a table of many keys, sorted by the high part of their tags. Gives those that share one,
    /// too, each under that part.
    pub(super) fn of(sorted: &[(Tag, Entry)]) -> (Self, Vec<(u64, u32)>) {
        let (mut slots, mut shared) = (Vec::with_capacity(sorted.len()), Vec::new());
        for same in sorted.chunk_by(|a, b| a.0.high() == b.0.high()) {
            let [(tag, entry), ..] = same else { continue };
            let (mut low, mut entry) = (tag.low(), *entry);
            if same.len() > 1 {
                shared.extend(same.iter().map(|(tag, entry)| (tag.high(), entry.number)));
                (low, entry) = (0, Entry::SHARED);
            }
            slots.push(Slot { high: tag.high(), low, entry });
        }
        let mut bits = 1;
        loop {
            let fits = slots.len() <= PAGE_MAX << bits;
            if let Some(pages) = fits.then(|| pages(bits, &slots)).flatten() {
                return (Self { pages: Tree::of(pages), bits, len: slots.len() }, shared);
            }
            bits += 1;
        }
    }

    /// Finds what is known of the keys with a tag.
    #[inline]
    pub(super) fn find(&self, tag: Tag) -> Option<Entry> {
        let slot = self.pages.get(self.page(tag.high())).find(self.bits, tag.high())?;
        (slot.low == tag.low() || slot.entry.is_shared()).then_some(slot.entry)
    }

    /// Gives the entry in whose slot a tag belongs, though the low part of the tag may differ.
    pub(super) fn get(&self, tag: Tag) -> Option<Entry> {
        let page = self.pages.get(self.page(tag.high()));
        page.find(self.bits, tag.high()).map(|slot| slot.entry)
    }

    /// Gives a tag its entry, and a slot if it has none.
    pub(super) fn set(&mut self, tag: Tag, entry: Entry) {
        let (bits, slot) = (self.bits, Slot { high: tag.high(), low: tag.low(), entry });
        let page = self.page(slot.high);
        let page = self.pages.get_mut(page);
        let at = match page.position(slot.high) {
            Ok(at) => {
                Arc::make_mut(&mut page.slots)[at] = slot;
                return;
            }
            Err(at) => at,
        };
        let (before, after) = page.slots.split_at(at);
        let all = before.iter().chain([&slot]).chain(after).copied();
        match Page::new(bits, all) {
            Some(new) if self.len < PAGE_MAX << bits => {
                *page = new;
                self.len += 1;
            }
            _ => {
                self.widen();
                self.set(tag, entry);
            }
        }
    }

    /// Takes the slot of a tag away.
    pub(super) fn remove(&mut self, tag: Tag) {
        let bits = self.bits;
        let page = self.page(tag.high());
        let page = self.pages.get_mut(page);
        let at = page.position(tag.high()).expect("what is taken away is there");
        let (before, after) = page.slots.split_at(at);
        let rest = before.iter().chain(&after[1..]).copied();
        *page = Page::new(bits, rest).expect("there was room for one more");
        self.len -= 1;
    }

    /// Whether nothing is in it.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Splits each page in two.
    fn widen(&mut self) {
        let bits = self.bits + 1;
        let mut pages = Tree::<Page>::new();
        pages.get_mut((1 << bits) - 1);
        for page in 0..1 << self.bits {
            let all = &self.pages.get(page).slots;
            let middle = all.partition_point(|slot| slot.high << self.bits >> 63 == 0);
            let (low, high) = all.split_at(middle);
            for (at, half) in [(2 * page, low), (2 * page + 1, high)] {
                let half = Page::new(bits, half.iter().copied());
                *pages.get_mut(at) = half.expect("a part of a page is no larger");
            }
        }
        (self.pages, self.bits) = (pages, bits);
    }

    #[inline]
    fn page(&self, high: u64) -> usize {
        (high >> (64 - self.bits)) as usize
    }
}

/// Cuts sorted slots into pages, if each page has room for its own.
fn pages(bits: u32, slots: &[Slot]) -> Option<Vec<Page>> {
    let page = |slot: &Slot| (slot.high >> (64 - bits)) as usize;
    let mut pages = vec![Page::default(); 1 << bits];
    for slots in slots.chunk_by(|a, b| page(a) == page(b)) {
        pages[page(&slots[0])] = Page::new(bits, slots.iter().copied())?;
    }
    Some(pages)
}

/// Gives the byte by which a tag is sought first.
#[inline]
fn mark(high: u64) -> u8 {
    high as u8
}

/// Gives the bucket of a tag within its page.
#[inline]
fn bucket(bits: u32, high: u64) -> usize {
    (high << bits >> (64 - BUCKET_BITS)) as usize
}

/// Gives which marks are the same as `mark`: the top bit of their byte is set. Now and then that of
/// a mark behind one that is the same is set, too.
#[inline]
fn same(marks: &[u8; BUCKET_MAX], mark: u8) -> u128 {
    const ONES: u128 = u128::MAX / 255;
    // A byte is zero where the mark is the same, and its top bit is then set by the borrow.
    let differ = u128::from_le_bytes(*marks) ^ (u128::from(mark) * ONES);
    differ.wrapping_sub(ONES) & !differ & (ONES << 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(number: u32) -> Tag {
        let high = u64::from(number).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Tag::of((high ^ high >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9), high as u32)
    }

    fn entry(number: u32) -> Entry {
        Entry { number, plan: number / 2, window: Window::NEVER }
    }

    #[test]
    fn a_slot_is_as_small_as_the_memory_figure_needs() {
        assert_eq!(size_of::<Slot>(), 24);
    }

    #[test]
    fn what_went_in_is_found_until_it_is_taken_out() {
        let count = if cfg!(miri) { 600 } else { 20_000 };
        let mut access = Access::new();
        (0..count).for_each(|n| access.set(tag(n), entry(n)));
        let before = access.clone();
        assert!(access.bits > 1);
        for n in (0..count).filter(|n| n % 3 > 0) {
            access.remove(tag(n));
        }
        (0..count).step_by(3).for_each(|n| access.set(tag(n), entry(n + 1)));
        for n in 0..count {
            assert_eq!(before.find(tag(n)), Some(entry(n)));
            assert_eq!(access.find(tag(n)), (n % 3 == 0).then(|| entry(n + 1)));
            assert_eq!(access.find(tag(count + n)), None);
        }
        (0..count).step_by(3).for_each(|n| access.remove(tag(n)));
        assert!(
            access.is_empty()
                && (0..1 << access.bits).all(|p| access.pages.get(p).slots.is_empty())
        );
    }

    #[test]
    fn a_table_made_at_once_answers_as_one_made_one_by_one() {
        for count in [0, 1, 256, 257, 20_000] {
            let mut all: Vec<_> = (0..count).map(|n| (tag(n), entry(n))).collect();
            all.extend((0..count.min(3)).map(|n| (Tag::of(tag(n).high(), 7), entry(n + count))));
            all.sort_unstable_by_key(|(tag, _)| tag.high());
            let (access, mut shared) = Access::of(&all);
            assert_eq!((access.len, shared.len()), (count as usize, 2 * count.min(3) as usize));
            shared.sort_unstable_by_key(|(_, number)| *number);
            for (at, (high, number)) in (0..).zip(shared) {
                let of = if at < count.min(3) { at } else { number - count };
                assert_eq!(high, tag(of).high());
            }
            for n in 0..count {
                let wanted = if n < 3 { Entry::SHARED } else { entry(n) };
                assert_eq!(access.find(tag(n)), Some(wanted));
                assert_eq!(access.find(tag(count + n)), None);
            }
        }
        let crowd: Vec<_> = (0..SLOTS_MAX as u64 + 40)
            .map(|n| (Tag::of(1 << 63 | n << 48, 0), entry(n as u32)))
            .collect();
        let (access, _) = Access::of(&crowd);
        assert!(crowd.iter().all(|(tag, entry)| access.find(*tag) == Some(*entry)));
    }

    #[test]
    fn tags_that_crowd_together_are_found_all_the_same() {
        let mut access = Access::new();
        // More of a bucket than are compared at once, then more than a page holds.
        for (count, low) in [(BUCKET_MAX as u64 + 9, 3), (SLOTS_MAX as u64 + 40, 48)] {
            let tag = |n: u64| Tag::of(1 << 63 | n << low, n as u32);
            (0..count).for_each(|n| access.set(tag(n), entry(n as u32)));
            assert!((0..count).all(|n| access.find(tag(n)) == Some(entry(n as u32))));
            assert!((count..2 * count).all(|n| access.find(tag(n)).is_none()));
            (0..count).for_each(|n| access.remove(tag(n)));
        }
        assert!(access.is_empty());
    }

    #[test]
    fn marks_that_are_the_same_are_all_told() {
        let mut marks = [7; BUCKET_MAX];
        (marks[0], marks[5], marks[15]) = (9, 9, 9);
        let told = |mark| {
            let same = same(&marks, mark);
            (0..BUCKET_MAX).filter(|at| same >> (8 * at) & 0x80 != 0).collect::<Vec<_>>()
        };
        assert_eq!((told(9), told(3)), (vec![0, 5, 15], vec![]));
    }

    #[test]
    fn a_tag_that_agrees_in_part_is_another_unless_the_slot_is_shared() {
        let mut access = Access::new();
        let other = Tag::of(tag(1).high(), 7);
        access.set(tag(1), entry(1));
        assert_eq!((access.find(other), access.get(other)), (None, Some(entry(1))));
        access.set(tag(1), Entry::SHARED);
        assert!(access.find(other).is_some_and(|entry| entry.is_shared()));
    }
}
