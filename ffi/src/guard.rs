//! The border itself: no panic crosses it, and `errno` is after a call as it was before.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::result::zone_sync_result_t;

/// Runs the body of a C function. A panic in it becomes `Panic`.
///
/// What the body leaves half-done must be safe to meet again: handles hold nothing that a later
/// call could misread, and a feed whose call panicked says `Panic` from then on.
pub(crate) fn guard(body: impl FnOnce() -> Result<(), zone_sync_result_t>) -> zone_sync_result_t {
    let errno = Errno::save();
    let result = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => zone_sync_result_t::Ok,
        Ok(Err(result)) => result,
        Err(cause) => {
            // Dropping a panic's cause may panic in turn, here outside of the guard.
            std::mem::forget(cause);
            zone_sync_result_t::Panic
        }
    };
    errno.restore();
    result
}

/// The caller's `errno`, kept while we work.
struct Errno(libc::c_int);

impl Errno {
    fn save() -> Self {
        // SAFETY: the C library gives each thread a place for `errno` that lives as long as it.
        Self(unsafe { *Self::place() })
    }

    fn restore(self) {
        // SAFETY: as in `save`, and the place is this thread's own.
        unsafe { *Self::place() = self.0 }
    }

    fn place() -> *mut libc::c_int {
        #[cfg(target_os = "linux")]
        // SAFETY: always safe to call.
        return unsafe { libc::__errno_location() };
        #[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
        // SAFETY: always safe to call.
        return unsafe { libc::__error() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    extern "C" fn panics() -> zone_sync_result_t {
        guard(|| panic!("inside a call"))
    }

    #[test]
    fn a_panic_stops_at_the_border() {
        let call: extern "C" fn() -> zone_sync_result_t = panics;
        assert_eq!(call(), zone_sync_result_t::Panic);
        assert_eq!(guard(|| Ok(())), zone_sync_result_t::Ok);
        assert_eq!(guard(|| Err(zone_sync_result_t::Busy)), zone_sync_result_t::Busy);
    }

    #[test]
    fn errno_is_the_callers() {
        // SAFETY: the place is this thread's own.
        unsafe { *Errno::place() = 77 };
        let result = guard(|| {
            assert!(std::fs::File::open("/nowhere/at/all").is_err());
            Ok(())
        });
        assert_eq!(result, zone_sync_result_t::Ok);
        // SAFETY: as above.
        assert_eq!(unsafe { *Errno::place() }, 77);
    }
}
