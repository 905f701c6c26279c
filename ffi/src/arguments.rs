//! Where what C hands over becomes Rust values, and answers go back into its buffers.

use std::slice;

use libc::c_char;

use crate::result::zone_sync_result_t;

/// Reads a text that must be there.
///
/// # Safety
///
/// `data` is NULL, or `length` bytes from it stay readable and unchanged for `'a`.
pub(crate) unsafe fn text<'a>(
    data: *const c_char,
    length: usize,
) -> Result<&'a str, zone_sync_result_t> {
    if data.is_null() {
        return Err(zone_sync_result_t::NullPointer);
    }
    // No memory is larger; a negative number that was cast ends here.
    if length > isize::MAX as usize {
        return Err(zone_sync_result_t::InvalidArgument);
    }
    // SAFETY: not NULL, not larger than memory can be; the caller vouches for the rest.
    let bytes = unsafe { slice::from_raw_parts(data.cast::<u8>(), length) };
    str::from_utf8(bytes).map_err(|_| zone_sync_result_t::NotUtf8)
}

/// Reads a text that may be left out: NULL with a length of 0.
///
/// # Safety
///
/// As for [`text`].
pub(crate) unsafe fn optional_text<'a>(
    data: *const c_char,
    length: usize,
) -> Result<Option<&'a str>, zone_sync_result_t> {
    if data.is_null() && length == 0 {
        return Ok(None);
    }
    // SAFETY: the caller vouches for it.
    unsafe { text(data, length) }.map(Some)
}

/// Checks that an output is there, before any work is done for it.
pub(crate) fn output<T>(out: *mut T) -> Result<*mut T, zone_sync_result_t> {
    if out.is_null() { Err(zone_sync_result_t::NullPointer) } else { Ok(out) }
}

/// The caller's buffer, and where its needed length goes.
#[derive(Debug)]
pub(crate) struct Buffer {
    data: *mut u8,
    capacity: usize,
    length_out: *mut usize,
}

impl Buffer {
    /// Takes a buffer; NULL with a capacity of 0 only asks for the length.
    ///
    /// # Safety
    ///
    /// Until the call ends, `capacity` bytes from `data` and the length at `length_out` are
    /// writable, and nothing else uses them.
    pub(crate) unsafe fn new(
        data: *mut u8,
        capacity: usize,
        length_out: *mut usize,
    ) -> Result<Self, zone_sync_result_t> {
        if length_out.is_null() || (data.is_null() && capacity > 0) {
            return Err(zone_sync_result_t::NullPointer);
        }
        Ok(Self { data, capacity, length_out })
    }

    /// Writes `bytes` and their length, or only the length if they do not fit.
    pub(crate) fn put(self, bytes: &[u8]) -> Result<(), zone_sync_result_t> {
        let fits = bytes.len() <= self.capacity;
        self.put_start(bytes, if fits { bytes.len() } else { 0 });
        if fits { Ok(()) } else { Err(zone_sync_result_t::BufferTooSmall) }
    }

    /// Writes as much of `bytes` as fits, and their whole length.
    pub(crate) fn put_cut(self, bytes: &[u8]) {
        let fitting = bytes.len().min(self.capacity);
        self.put_start(bytes, fitting);
    }

    fn put_start(self, bytes: &[u8], count: usize) {
        debug_assert!(count <= bytes.len() && count <= self.capacity);
        if count > 0 {
            // SAFETY: `count` is within both; whoever made the buffer vouches that it is writable
            // and apart from anything of ours.
            unsafe { self.data.copy_from_nonoverlapping(bytes.as_ptr(), count) };
        }
        // SAFETY: checked not to be NULL; writable as whoever made the buffer vouches.
        unsafe { self.length_out.write(bytes.len()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_do_not_fit_leave_the_buffer_as_it_was() {
        let (mut data, mut length) = ([9_u8; 4], 0_usize);
        let buffer = |data: &mut [u8], length: &mut usize| {
            // SAFETY: both live until the end of the test.
            unsafe { Buffer::new(data.as_mut_ptr(), data.len(), length) }.unwrap()
        };
        let put = buffer(&mut data, &mut length).put(b"hello");
        assert_eq!((put, length, data), (Err(zone_sync_result_t::BufferTooSmall), 5, [9; 4]));
        let put = buffer(&mut data, &mut length).put(b"hey");
        assert_eq!((put, length, data), (Ok(()), 3, *b"hey\x09"));
        buffer(&mut data, &mut length).put_cut(b"hello");
        assert_eq!((length, data), (5, *b"hell"));
    }

    #[test]
    fn no_text_is_not_an_empty_text() {
        let null = std::ptr::null();
        // SAFETY: NULL, or text that lives as long as the program.
        unsafe {
            assert_eq!(optional_text(null, 0), Ok(None));
            assert_eq!(optional_text(null, 1), Err(zone_sync_result_t::NullPointer));
            assert_eq!(optional_text(c"x".as_ptr(), 0), Ok(Some("")));
            assert_eq!(text(null, 0), Err(zone_sync_result_t::NullPointer));
            assert_eq!(text(c"\xff".as_ptr(), 1), Err(zone_sync_result_t::NotUtf8));
            assert_eq!(text(c"x".as_ptr(), usize::MAX), Err(zone_sync_result_t::InvalidArgument));
        }
    }
}
