//! One entity's bytes in a shared block, behind a pointer of eight bytes.
//!
//! A block is a header (holders, length), the payload as published, and a *tail*: texts that lookups
//! need and that do not stand in the payload as they are (escaped ones, a computed thumbprint). A
//! [`Text`] names a text in a block with four bytes. The header takes six bytes, or ten before a
//! payload of 16 KiB or more.
//!
//! `Arc<[u8]>` would do the same with 32 bytes an entity instead of 14. All unsafe code of the
//! state is in this file.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::{AtomicU32, Ordering, fence};

/// Holders past which a program surely leaks them; counting on would wrap around.
const HOLDERS_MAX: u32 = u32::MAX / 2;

/// The bit of the first length that says that a tail follows the payload.
const TAIL: u16 = 1 << 15;

/// The bit of the first length that says that the true one follows in four bytes.
const LARGE: u16 = 1 << 14;

/// The length of a tail stands before it, in this many bytes.
const TAIL_LENGTH: usize = 4;

/// The holders, and the first length after them.
const SMALL_HEADER: usize = size_of::<AtomicU32>() + size_of::<u16>();

/// The same, and the true length.
const LARGE_HEADER: usize = SMALL_HEADER + size_of::<u32>();

/// Shared bytes that never change. Cloning counts one more holder.
pub(super) struct Payload(NonNull<AtomicU32>);

// SAFETY: the bytes never change after `Block::finish`, and the count of holders is atomic.
unsafe impl Send for Payload {}
// SAFETY: as above; `&Payload` gives shared reads only.
unsafe impl Sync for Payload {}

impl Payload {
    /// Gives the payload as published.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.all()[..self.length()]
    }

    /// Gives a text of this block.
    ///
    /// A `Text` of another block gives some other bytes of this one, or panics.
    pub(super) fn text(&self, text: Text) -> &[u8] {
        let (offset, length) = text.parts();
        if length < LONG {
            // The payload alone, to touch no more memory than the text: its end is not needed.
            &self.all_from(offset)[..length]
        } else {
            let all = self.all();
            let start = offset + TAIL_LENGTH;
            let length = u32::from_le_bytes(all[offset..start].try_into().expect("four bytes"));
            &all[start..start + length as usize]
        }
    }

    fn holders(&self) -> &AtomicU32 {
        // SAFETY: the block lives as long as a holder does, and `self` is one; the count was
        // written by `Block::finish`, and is changed by atomic steps only.
        unsafe { self.0.as_ref() }
    }

    /// Gives bytes of the block, from `at` on.
    ///
    /// # Safety
    ///
    /// `Block::finish` wrote at least `at + length` bytes, and `at` is past the holders.
    unsafe fn part(&self, at: usize, length: usize) -> &[u8] {
        // SAFETY: the bytes are within the block, as the caller says, and nobody changes them.
        unsafe { slice::from_raw_parts(self.0.as_ptr().cast::<u8>().add(at), length) }
    }

    fn first_length(&self) -> u16 {
        // SAFETY: every block has a first length.
        let bytes = unsafe { self.part(size_of::<AtomicU32>(), size_of::<u16>()) };
        u16::from_le_bytes(bytes.try_into().expect("two bytes"))
    }

    fn header(&self) -> usize {
        if self.first_length() & LARGE == 0 { SMALL_HEADER } else { LARGE_HEADER }
    }

    fn length(&self) -> usize {
        let first = self.first_length();
        if first & LARGE == 0 {
            return usize::from(first & !TAIL);
        }
        // SAFETY: with `LARGE` set, `Block::finish` wrote the true length there.
        let bytes = unsafe { self.part(SMALL_HEADER, size_of::<u32>()) };
        u32::from_le_bytes(bytes.try_into().expect("four bytes")) as usize
    }

    /// How many bytes follow the header.
    fn size(&self) -> usize {
        let length = self.length();
        if self.first_length() & TAIL == 0 {
            return length;
        }
        // SAFETY: with `TAIL` set, `Block::finish` wrote the tail's length right after the payload.
        let tail = unsafe { self.part(self.header() + length, TAIL_LENGTH) };
        let tail = u32::from_le_bytes(tail.try_into().expect("four bytes"));
        length + TAIL_LENGTH + tail as usize
    }

    fn all(&self) -> &[u8] {
        // SAFETY: `Block::finish` wrote `size` bytes after the header.
        unsafe { self.part(self.header(), self.size()) }
    }

    fn all_from(&self, offset: usize) -> &[u8] {
        &self.all()[offset..]
    }
}

impl Clone for Payload {
    fn clone(&self) -> Self {
        // Relaxed as in `Arc`: whoever clones holds one already.
        if self.holders().fetch_add(1, Ordering::Relaxed) > HOLDERS_MAX {
            std::process::abort();
        }
        Self(self.0)
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        if self.holders().fetch_sub(1, Ordering::Release) != 1 {
            return;
        }
        // All other holders' reads come before the memory goes.
        fence(Ordering::Acquire);
        let layout = layout(self.header() + self.size());
        // SAFETY: the last holder is gone, so nobody can reach the block any more; `finish`
        // allocated it with this layout, worked out from the same bytes.
        unsafe { dealloc(self.0.as_ptr().cast(), layout) }
    }
}

impl std::fmt::Debug for Payload {
    /// Tells the length only: payloads hold keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Payload({} bytes)", self.length())
    }
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, align_of::<AtomicU32>()).expect("a block fits in memory")
}

/// Length in a [`Text`] of a text whose true length stands before it, in the tail.
const LONG: usize = 127;
const OFFSET_BITS: u32 = 25;

/// Where a text stands in its block: 25 bits of offset, 7 bits of length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Text(u32);

impl Text {
    fn new(offset: usize, length: usize) -> Self {
        assert!(offset < 1 << OFFSET_BITS && length <= LONG, "a text lies in the first 32 MiB");
        Self((length as u32) << OFFSET_BITS | offset as u32)
    }

    fn parts(self) -> (usize, usize) {
        ((self.0 & ((1 << OFFSET_BITS) - 1)) as usize, (self.0 >> OFFSET_BITS) as usize)
    }
}

/// A block being made.
pub(super) struct Block<'a> {
    payload: &'a [u8],
    tail: Vec<u8>,
}

impl<'a> Block<'a> {
    /// Begins the block of `payload`.
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self { payload, tail: Vec::new() }
    }

    /// Names `text`, where it stands if it is a part of the payload, else by a copy in the tail.
    pub(super) fn text(&mut self, text: &[u8]) -> Text {
        let (start, at) = (self.payload.as_ptr().addr(), text.as_ptr().addr());
        let within = at >= start && at + text.len() <= start + self.payload.len();
        if within && text.len() < LONG && at - start < 1 << OFFSET_BITS {
            return Text::new(at - start, text.len());
        }
        let offset = self.payload.len() + TAIL_LENGTH + self.tail.len();
        self.tail.extend_from_slice(&(text.len() as u32).to_le_bytes());
        self.tail.extend_from_slice(text);
        Text::new(offset, LONG)
    }

    /// Copies it all into shared memory.
    pub(super) fn finish(self) -> Payload {
        let Self { payload, tail } = self;
        let bound = 1 << 31;
        assert!(payload.len() < bound && tail.len() < bound, "a payload is at most 16 MiB");
        let is_large = payload.len() >= usize::from(LARGE);
        let mut first = if is_large { LARGE } else { payload.len() as u16 };
        if !tail.is_empty() {
            first |= TAIL;
        }
        let (large, length) =
            ((payload.len() as u32).to_le_bytes(), (tail.len() as u32).to_le_bytes());
        // In this order, after the holders.
        let parts: [&[u8]; 5] = [
            &first.to_le_bytes(),
            if is_large { &large } else { &[] },
            payload,
            if tail.is_empty() { &[] } else { &length },
            &tail,
        ];
        let size = parts.iter().map(|part| part.len()).sum::<usize>();
        let layout = layout(size_of::<AtomicU32>() + size);
        // SAFETY: the layout has room for the holders, so it is not empty.
        let block = unsafe { alloc(layout) };
        let Some(holders) = NonNull::new(block.cast::<AtomicU32>()) else {
            handle_alloc_error(layout)
        };
        // SAFETY: the block is fresh, aligned for the holders, and as long as they and all parts
        // together; each is written right behind the one before.
        unsafe {
            holders.write(AtomicU32::new(1));
            let mut to = block.add(size_of::<AtomicU32>());
            for part in parts {
                to.copy_from_nonoverlapping(part.as_ptr(), part.len());
                to = to.add(part.len());
            }
        }
        Payload(holders)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_gives_back_its_payload_and_texts() {
        let payload = b"{\"id\":\"abc\"}".to_vec();
        let mut block = Block::new(&payload);
        let inside = block.text(&payload[7..10]);
        let apart = block.text(b"other");
        let long = block.text(&[b'x'; 300]);
        let empty = block.text(b"");
        let block = block.finish();
        assert_eq!(block.bytes(), payload);
        assert_eq!(block.text(inside), b"abc");
        assert_eq!(block.text(apart), b"other");
        assert_eq!(block.text(long), [b'x'; 300]);
        assert_eq!(block.text(empty), b"");
    }

    #[test]
    fn a_long_text_of_the_payload_is_kept_apart() {
        let payload = vec![b'y'; 400];
        let mut block = Block::new(&payload);
        let texts = [126, 127, 400].map(|length| block.text(&payload[..length]));
        let block = block.finish();
        assert_eq!(texts.map(|text| block.text(text).len()), [126, 127, 400]);
    }

    #[test]
    fn payloads_around_the_largest_with_a_small_header_are_kept() {
        for length in [16_383, 16_384, 16_385] {
            let payload = vec![b'z'; length];
            let plain = Block::new(&payload).finish();
            let mut block = Block::new(&payload);
            let text = block.text(b"in the tail");
            let block = block.finish();
            assert_eq!((plain.bytes(), block.bytes()), (&payload[..], &payload[..]));
            assert_eq!(block.text(text), b"in the tail");
            assert_eq!(plain.header(), if length < 16_384 { 6 } else { 10 });
        }
    }

    #[test]
    fn an_empty_payload_is_a_payload() {
        let block = Block::new(b"").finish();
        assert_eq!(block.bytes(), b"");
    }

    #[test]
    fn holders_on_other_threads_keep_the_bytes() {
        let block = Block::new(b"shared").finish();
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let mine = block.clone();
                std::thread::spawn(move || assert_eq!(mine.clone().bytes(), b"shared"))
            })
            .collect();
        assert_eq!(block.holders().load(Ordering::Relaxed) as usize & !7, 0);
        drop(block);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }

    #[test]
    fn the_last_holder_is_counted_as_one() {
        let block = Block::new(b"x").finish();
        let other = block.clone();
        assert_eq!(block.holders().load(Ordering::Relaxed), 2);
        drop(other);
        assert_eq!(block.holders().load(Ordering::Relaxed), 1);
    }
}
