//! Who may enter: from the tag of (scope, key) to all that most lookups need of a key.
//!
//! A [`Tag`] stands for both texts, and agreeing in it *is* being equal: no text is read.
//!
//! The top bits of a tag choose a page, the next ones a place in it. A page is an array of slots,
//! each in the place of its tag or within [`REACH`] of it, so a lookup looks at as many neighbours,
//! all of them, without asking whether it may stop: one visit to slow memory, and no guess for the
//! processor. A page without room near a place is laid out anew, a little longer. Slots are plain
//! data, so copying a page touches nothing else, and laying it out takes the tags alone.
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

/// A slot lies less than this far from the place of its tag.
const REACH: usize = 8;

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

/// A page: slots in the order of their places, with gaps; or nothing.
#[derive(Clone, Default)]
struct Page(Option<Arc<[Slot]>>);

impl Page {
    /// Lays out slots in a page with at least `places`.
    fn new(bits: u32, slots: &[Slot], mut places: usize) -> Self {
        if slots.is_empty() {
            return Self(None);
        }
        loop {
            let mut page = vec![Slot::default(); places + REACH - 1];
            if slots.iter().all(|slot| put(&mut page, bits, *slot)) {
                return Self(Some(page.into()));
            }
            places += places / 16 + 1;
        }
    }

    #[inline]
    fn slots(&self) -> &[Slot] {
        self.0.as_deref().unwrap_or_default()
    }

    fn used(&self) -> impl Iterator<Item = &Slot> {
        self.slots().iter().filter(|slot| slot.high != 0)
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

    /// Finds what is known of the keys with a tag.
    #[inline]
    pub(super) fn find(&self, tag: Tag) -> Option<Entry> {
        let slots = self.pages.get(self.page(tag.high())).slots();
        if slots.is_empty() {
            return None;
        }
        let place = place(self.bits, slots.len(), tag.high());
        let near: &[Slot; REACH] = slots[place..].first_chunk().expect("a page ends past REACH");
        let mut at = REACH;
        for (number, slot) in near.iter().enumerate() {
            at = if slot.high == tag.high() { number } else { at };
        }
        let slot = near.get(at)?;
        (slot.low == tag.low() || slot.entry.is_shared()).then_some(slot.entry)
    }

    /// Gives the entry in whose slot a tag belongs, though the low part of the tag may differ.
    pub(super) fn get(&self, tag: Tag) -> Option<Entry> {
        let slots = self.pages.get(self.page(tag.high())).slots();
        position(slots, self.bits, tag.high()).map(|at| slots[at].entry)
    }

    /// Gives a tag its entry, and a slot if it has none.
    pub(super) fn set(&mut self, tag: Tag, entry: Entry) {
        let (bits, slot) = (self.bits, Slot { high: tag.high(), low: tag.low(), entry });
        let page = self.page(tag.high());
        let page = self.pages.get_mut(page);
        if let Some(at) = position(page.slots(), bits, tag.high()) {
            Arc::make_mut(page.0.as_mut().expect("a page with a slot"))[at] = slot;
            return;
        }
        self.len += 1;
        if page.0.as_mut().is_some_and(|slots| put(Arc::make_mut(slots), bits, slot)) {
            return;
        }
        let all: Vec<Slot> = page.used().copied().chain([slot]).collect();
        let places = (page.slots().len() + 1).saturating_sub(REACH);
        *page = Page::new(bits, &all, places + places / 16 + 1);
        if self.len > PAGE_MAX << self.bits {
            self.widen();
        }
    }

    /// Takes the slot of a tag away.
    pub(super) fn remove(&mut self, tag: Tag) {
        let bits = self.bits;
        let page = self.page(tag.high());
        let page = self.pages.get_mut(page);
        let slots = Arc::make_mut(page.0.as_mut().expect("what is taken away is there"));
        let at = position(slots, bits, tag.high()).expect("what is taken away is there");
        let fixed = |(at, slot): (usize, &Slot)| {
            slot.high == 0 || place(bits, slots.len(), slot.high) == at
        };
        let rest = slots.iter().enumerate().skip(at + 1).position(fixed);
        let last = rest.map_or(slots.len() - 1, |rest| at + rest);
        slots.copy_within(at + 1..=last, at);
        slots[last] = Slot::default();
        self.len -= 1;
        let used = page.used().count();
        if used * 2 < page.slots().len().saturating_sub(REACH) || used == 0 {
            let all: Vec<Slot> = page.used().copied().collect();
            *page = Page::new(bits, &all, used + used / 4 + 1);
        }
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
            let all: Vec<Slot> = self.pages.get(page).used().copied().collect();
            let upper = |slot: &Slot| slot.high >> (64 - bits) & 1 == 1;
            let middle = all.iter().position(upper).unwrap_or(all.len());
            // Not by `split_at` alone: slots of one place are in no order.
            let (low, high): (Vec<Slot>, Vec<Slot>) = match all[middle..].iter().all(upper) {
                true => (all[..middle].to_vec(), all[middle..].to_vec()),
                false => all.iter().partition(|slot| !upper(slot)),
            };
            for (at, half) in [(2 * page, low), (2 * page + 1, high)] {
                *pages.get_mut(at) = Page::new(bits, &half, half.len() + half.len() / 4 + 1);
            }
        }
        (self.pages, self.bits) = (pages, bits);
    }

    #[inline]
    fn page(&self, high: u64) -> usize {
        (high >> (64 - self.bits)) as usize
    }
}

/// Gives the place of a tag in a page of `length` slots.
#[inline]
fn place(bits: u32, length: usize, high: u64) -> usize {
    let places = (length - (REACH - 1)) as u64;
    (((high << bits >> 32) * places) >> 32) as usize
}

/// Finds the slot of a tag.
fn position(slots: &[Slot], bits: u32, high: u64) -> Option<usize> {
    let near = if slots.is_empty() { 0 } else { place(bits, slots.len(), high) };
    slots.iter().skip(near).take(REACH).position(|slot| slot.high == high).map(|at| near + at)
}

/// Puts a slot into a page, behind those of lower places. Gives false if some slot would then be
/// out of reach.
fn put(slots: &mut [Slot], bits: u32, slot: Slot) -> bool {
    let length = slots.len();
    let place = |slot: &Slot| place(bits, length, slot.high);
    let home = place(&slot);
    let higher = |other: &Slot| other.high == 0 || place(other) > home;
    let Some(at) = slots[home..][..REACH].iter().position(higher) else { return false };
    let at = home + at;
    let Some(free) = slots[at..].iter().position(|slot| slot.high == 0) else { return false };
    let free = at + free;
    if (at..free).any(|at| at + 1 - place(&slots[at]) >= REACH) {
        return false;
    }
    slots.copy_within(at..free, at + 1);
    slots[at] = slot;
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(number: u32) -> Tag {
        let high = u64::from(number).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Tag::new((high ^ high >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9), high)
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
            access.is_empty() && (0..1 << access.bits).all(|p| access.pages.get(p).0.is_none())
        );
    }

    #[test]
    fn pages_are_mostly_full() {
        let count = if cfg!(miri) { 300 } else { 30_000 };
        let mut access = Access::new();
        (0..count).for_each(|n| access.set(tag(n), entry(n)));
        let slots: usize = (0..1 << access.bits).map(|p| access.pages.get(p).slots().len()).sum();
        assert!(count as usize * 100 / slots > 65, "{count} in {slots}");
    }

    #[test]
    fn a_tag_that_agrees_in_part_is_another_unless_the_slot_is_shared() {
        let mut access = Access::new();
        let other = Tag::new(tag(1).high(), 7);
        access.set(tag(1), entry(1));
        assert_eq!((access.find(other), access.get(other)), (None, Some(entry(1))));
        access.set(tag(1), Entry::SHARED);
        assert!(access.find(other).is_some_and(|entry| entry.is_shared()));
    }
}
