//! What all handles share: a mark that tells a handle from other memory, and from a freed one.
//!
//! The check is a help, not a proof: freed memory may be reused. It reads two words, no lock.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::fork::Generation;
use crate::guard::guard;
use crate::result::zone_sync_result_t;

/// The mark that each handle carries.
#[derive(Debug)]
pub(crate) struct Mark {
    magic: AtomicU64,
    made_in: Generation,
}

/// A type that C holds by pointer.
pub(crate) trait Handle {
    /// Tells this type from all others and from common garbage.
    const MAGIC: u64;

    /// Finds the mark without touching anything else of the handle.
    ///
    /// # Safety
    ///
    /// `this` points to memory as large as the handle.
    unsafe fn mark(this: *const Self) -> *const Mark;
}

/// Makes the mark of a new handle.
pub(crate) fn mark<T: Handle>() -> Mark {
    Mark { magic: AtomicU64::new(T::MAGIC), made_in: Generation::now() }
}

/// Gives a new handle to C, which gives it back to [`free`].
pub(crate) fn give<T: Handle>(handle: T) -> *mut T {
    Box::into_raw(Box::new(handle))
}

/// Borrows a handle of C for one call.
///
/// # Safety
///
/// `handle` is NULL, or points to memory as large as the handle that is not freed before the call
/// ends.
pub(crate) unsafe fn borrow<'a, T: Handle>(handle: *const T) -> Result<&'a T, zone_sync_result_t> {
    if handle.is_null() {
        return Err(zone_sync_result_t::NullPointer);
    }
    if !handle.is_aligned() {
        return Err(zone_sync_result_t::InvalidHandle);
    }
    // SAFETY: not NULL, aligned, and the caller vouches for the memory.
    let mark = unsafe { &*T::mark(handle) };
    if mark.magic.load(Relaxed) != T::MAGIC {
        return Err(zone_sync_result_t::InvalidHandle);
    }
    if mark.made_in != Generation::now() {
        return Err(zone_sync_result_t::Forked);
    }
    // SAFETY: the mark says that this is a handle of this type, and it is not freed meanwhile.
    Ok(unsafe { &*handle })
}

/// Frees a handle. NULL, no handle and a handle freed before are let pass.
///
/// In a forked child the memory is left as it is: what it holds would wait for threads that only
/// the parent has.
///
/// # Safety
///
/// As for [`borrow`], and no other call uses the handle, now or later.
pub(crate) unsafe fn free<T: Handle>(handle: *mut T) {
    let _ = guard(|| {
        if handle.is_null() || !handle.is_aligned() {
            return Ok(());
        }
        // SAFETY: not NULL, aligned, and the caller vouches for the memory.
        let mark = unsafe { &*T::mark(handle) };
        let made_here = mark.made_in == Generation::now();
        if mark.magic.compare_exchange(T::MAGIC, 0, Relaxed, Relaxed).is_ok() && made_here {
            // SAFETY: the mark says that `give` made it, and that nobody freed it before us.
            drop(unsafe { Box::from_raw(handle) });
        }
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Door {
        mark: Mark,
        _room: u64,
    }

    impl Handle for Door {
        const MAGIC: u64 = 0x646f_6f72;

        unsafe fn mark(this: *const Self) -> *const Mark {
            // SAFETY: the caller vouches for the memory.
            unsafe { &raw const (*this).mark }
        }
    }

    fn result(handle: *const Door) -> Option<zone_sync_result_t> {
        // SAFETY: each test passes NULL or memory of a door.
        unsafe { borrow(handle) }.err()
    }

    #[test]
    fn only_a_living_handle_of_this_process_is_taken() {
        let door = give(Door { mark: mark::<Door>(), _room: 0 });
        assert_eq!(result(door), None);
        assert_eq!(result(std::ptr::null()), Some(zone_sync_result_t::NullPointer));
        assert_eq!(result(door.wrapping_byte_add(1)), Some(zone_sync_result_t::InvalidHandle));
        // SAFETY: made above, used by nobody else.
        unsafe { free(door) };

        let foreign = Door { mark: mark::<Door>(), _room: 0 };
        foreign.mark.magic.store(7, Relaxed);
        assert_eq!(result(&foreign), Some(zone_sync_result_t::InvalidHandle));
    }

    #[test]
    fn freeing_clears_the_mark_and_happens_once() {
        let mut door = Door { mark: mark::<Door>(), _room: 0 };
        // A handle of another process is left where it is, so this test can look at it after.
        door.mark.made_in = Generation::OTHER;
        assert_eq!(result(&door), Some(zone_sync_result_t::Forked));
        // SAFETY: the memory is that of a door; as it is of another process it is not released.
        unsafe { free(&raw mut door) };
        assert_eq!(result(&door), Some(zone_sync_result_t::InvalidHandle));
        // SAFETY: as above.
        unsafe { free(&raw mut door) };
        // SAFETY: NULL may be freed.
        unsafe { free(std::ptr::null_mut::<Door>()) };
    }
}
