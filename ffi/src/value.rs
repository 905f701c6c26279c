//! Structs that cross the border by value. Their layout is part of the ABI, so it is asserted.

use std::mem::{offset_of, size_of};

use libc::c_char;
use zonesync::core::id::{Epoch, Position, Sequence, Term, TermId};

/// Text: UTF-8, not NUL-ended. `data` may be anything if `length` is 0.
///
/// Who owns the bytes, and how long they live, stands where one is handed over.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct zone_sync_text_t {
    /// The first byte.
    pub data: *const c_char,
    /// How many bytes.
    pub length: usize,
}

impl From<&str> for zone_sync_text_t {
    fn from(text: &str) -> Self {
        Self { data: text.as_ptr().cast(), length: text.len() }
    }
}

/// Bytes of any content. `data` may be anything if `length` is 0.
///
/// Who owns the bytes, and how long they live, stands where one is handed over.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct zone_sync_bytes_t {
    /// The first byte.
    pub data: *const u8,
    /// How many bytes.
    pub length: usize,
}

impl From<&[u8]> for zone_sync_bytes_t {
    fn from(bytes: &[u8]) -> Self {
        Self { data: bytes.as_ptr(), length: bytes.len() }
    }
}

/// Names one state of the zone. All zero before anything was published.
///
/// Ordered by `epoch`, then `sequence`. Two positions are the same only if all three agree: after
/// a split, two terms may bear the same epoch.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct zone_sync_position_t {
    /// The number of the reign in which the state was published.
    pub epoch: u64,
    /// The number of the batch that made it.
    pub sequence: u64,
    /// The random id of the reign, first byte first as it is printed.
    pub term_id: [u8; 16],
}

impl From<Position> for zone_sync_position_t {
    fn from(position: Position) -> Self {
        Self {
            epoch: position.term.epoch.0,
            sequence: position.sequence.0,
            term_id: position.term.id.0.to_be_bytes(),
        }
    }
}

impl From<zone_sync_position_t> for Position {
    fn from(position: zone_sync_position_t) -> Self {
        let id = TermId(u128::from_be_bytes(position.term_id));
        Self {
            term: Term { epoch: Epoch(position.epoch), id },
            sequence: Sequence(position.sequence),
        }
    }
}

const POINTER: usize = size_of::<*const u8>();
const _: () = {
    assert!(size_of::<usize>() == POINTER, "lengths are as wide as pointers");
    assert!(size_of::<zone_sync_text_t>() == 2 * POINTER);
    assert!(size_of::<zone_sync_bytes_t>() == 2 * POINTER);
    assert!(size_of::<zone_sync_position_t>() == 32);
    assert!(offset_of!(zone_sync_position_t, sequence) == 8);
    assert!(offset_of!(zone_sync_position_t, term_id) == 16);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_comes_back_as_it_went() {
        let term = Term { epoch: Epoch(7), id: TermId(0x0102 << 112 | 3) };
        let position = Position { term, sequence: Sequence(42) };
        let value = zone_sync_position_t::from(position);
        assert_eq!((value.epoch, value.sequence), (7, 42));
        assert_eq!((value.term_id[..2].to_vec(), value.term_id[15]), (vec![1, 2], 3));
        assert_eq!(Position::from(value), position);
        assert_eq!(zone_sync_position_t::from(Position::START).term_id, [0; 16]);
    }
}
