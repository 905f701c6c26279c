//! Counts what the allocator does, for tests and benches that promise to stay within a bound.
//!
//! Put it in place with `#[global_allocator] static ALLOCATOR: CountingAllocator =
//! CountingAllocator::new();`, then compare [`CountingAllocator::count`] and
//! [`CountingAllocator::live`] before and after. All threads are counted together.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The system's allocator, with counters.
#[derive(Debug, Default)]
pub struct CountingAllocator {
    count: AtomicU64,
    gained: AtomicU64,
    freed: AtomicU64,
}

impl CountingAllocator {
    /// Starts with counters at zero.
    pub const fn new() -> Self {
        Self { count: AtomicU64::new(0), gained: AtomicU64::new(0), freed: AtomicU64::new(0) }
    }

    /// Counts the allocations so far; one that grows or shrinks counts once more.
    pub fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    /// Gives the bytes that are allocated now, as they were asked for.
    pub fn live(&self) -> u64 {
        self.gained.load(Relaxed).saturating_sub(self.freed.load(Relaxed))
    }

    fn note(&self, gained: usize, freed: usize) {
        self.gained.fetch_add(gained as u64, Relaxed);
        self.freed.fetch_add(freed as u64, Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator unchanged; counting touches no memory of it.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.count.fetch_add(1, Relaxed);
        self.note(layout.size(), 0);
        // SAFETY: the caller keeps the promises of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.count.fetch_add(1, Relaxed);
        self.note(layout.size(), 0);
        // SAFETY: the caller keeps the promises of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.count.fetch_add(1, Relaxed);
        self.note(size, layout.size());
        // SAFETY: the caller keeps the promises of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.note(0, layout.size());
        // SAFETY: the caller keeps the promises of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}
