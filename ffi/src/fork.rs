//! Notices that the process was forked: a child has our memory but none of our threads.
//!
//! A counter that `pthread_atfork` moves in each child. Asking it costs one plain load, where
//! `getpid` is a system call on every lookup. A child made by a bare `clone` or `vfork` is not
//! noticed; such a child may only call `exec` anyway.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// How many forks lie between the process that first called [`watch`] and this one.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// A generation of processes; a handle belongs to the one it was made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation(u32);

impl Generation {
    /// The generation of the process that first used the library.
    pub(crate) const FIRST: Self = Self(0);

    /// A generation that a test never is.
    #[cfg(test)]
    pub(crate) const OTHER: Self = Self(u32::MAX);

    /// Reads the generation of this process.
    pub(crate) fn now() -> Self {
        Self(FORKS.load(Relaxed))
    }
}

/// Starts counting forks. Returns false if the C library has no memory for it.
pub(crate) fn watch() -> bool {
    static WATCHED: OnceLock<bool> = OnceLock::new();
    *WATCHED.get_or_init(|| {
        // SAFETY: `child` stays in place as long as the library: the C library forgets it when
        // the library is unloaded. It does what may be done in a forked child: one atomic add.
        unsafe { libc::pthread_atfork(None, None, Some(child)) == 0 }
    })
}

extern "C" fn child() {
    FORKS.fetch_add(1, Relaxed);
}
