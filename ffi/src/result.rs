//! What a call can answer: one enum for all functions.
//!
//! Numbers are part of the ABI: explicit, only ever added, never given to another meaning.

use crate::value::zone_sync_text_t;

/// What came of a call. `zone_sync_result_text()` says it in words.
///
/// Numbers are never reused; a program should treat one that it does not know as an error.
#[repr(u32)]
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum zone_sync_result_t {
    /// Done. Only now are outputs written, unless a function says otherwise.
    Ok = 0,
    /// A pointer that must not be NULL is NULL.
    NullPointer = 1,
    /// An argument has a value that the function does not take.
    InvalidArgument = 2,
    /// A text is not UTF-8.
    NotUtf8 = 3,
    /// The pointer is no handle of this kind, or the handle was freed. Found by a mark in the
    /// handle: freed memory may hold anything, so do not count on it.
    InvalidHandle = 4,
    /// The process was forked after the library's threads were started. Use it in the parent.
    Forked = 5,
    /// The library has a fault: the call failed half-way and was stopped at the border.
    Panic = 6,
    /// The program was written for an ABI that this library does not speak.
    AbiMismatch = 7,
    /// The configuration cannot be read or has mistakes; the message lists all of them.
    InvalidConfig = 8,
    /// The configuration is good, but the node cannot start; the message says why.
    StartFailed = 9,
    /// The buffer is too small. The needed length is written, nothing else.
    BufferTooSmall = 10,
    /// There is no such thing, or none that matches now.
    NotFound = 11,
    /// It did not happen within the time-out.
    TimedOut = 12,
    /// The node was stopped.
    Stopped = 13,
    /// The feed no longer holds the next changes: open another and start over.
    Behind = 14,
    /// Another thread is inside a call with this feed.
    Busy = 15,
}

impl zone_sync_result_t {
    const ALL: [Self; 16] = [
        Self::Ok,
        Self::NullPointer,
        Self::InvalidArgument,
        Self::NotUtf8,
        Self::InvalidHandle,
        Self::Forked,
        Self::Panic,
        Self::AbiMismatch,
        Self::InvalidConfig,
        Self::StartFailed,
        Self::BufferTooSmall,
        Self::NotFound,
        Self::TimedOut,
        Self::Stopped,
        Self::Behind,
        Self::Busy,
    ];

    const fn text(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NullPointer => "a pointer that must not be NULL is NULL",
            Self::InvalidArgument => "an argument has a value that the function does not take",
            Self::NotUtf8 => "a text is not UTF-8",
            Self::InvalidHandle => "not a handle of this kind, or already freed",
            Self::Forked => "the process was forked after zonesync was started in it",
            Self::Panic => "zonesync has a fault and stopped the call",
            Self::AbiMismatch => "the program was written for another ABI version",
            Self::InvalidConfig => "the configuration cannot be used",
            Self::StartFailed => "the node cannot start",
            Self::BufferTooSmall => "the buffer is too small",
            Self::NotFound => "not found",
            Self::TimedOut => "timed out",
            Self::Stopped => "the node was stopped",
            Self::Behind => "the changes are forgotten: start over",
            Self::Busy => "another thread is using this feed",
        }
    }
}

/// Says in words what a result means.
///
/// Takes a number, so that any value is safe to ask about; an unknown one gives `unknown result`.
/// The text depends on the number alone and lives as long as the library. Safe from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn zone_sync_result_text(result: u32) -> zone_sync_text_t {
    let known = zone_sync_result_t::ALL.into_iter().find(|known| *known as u32 == result);
    zone_sync_text_t::from(known.map_or("unknown result", zone_sync_result_t::text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_run_without_a_gap_and_each_has_its_own_text() {
        for (number, result) in zone_sync_result_t::ALL.into_iter().enumerate() {
            assert_eq!(result as usize, number);
            let same = |other: &zone_sync_result_t| other.text() == result.text();
            assert_eq!(zone_sync_result_t::ALL.iter().filter(|r| same(r)).count(), 1, "{result:?}");
        }
    }
}
