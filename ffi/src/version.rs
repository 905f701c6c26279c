//! Which library this is, for programs that load it at run time.

use crate::value::zone_sync_text_t;

/// The ABI that this header describes. It grows when something is added or changed.
pub const ZONE_SYNC_ABI_VERSION: u32 = 1;

/// The first part of the library's version.
pub const ZONE_SYNC_VERSION_MAJOR: u32 = 0;

/// The second part of the library's version.
pub const ZONE_SYNC_VERSION_MINOR: u32 = 1;

/// The third part of the library's version.
pub const ZONE_SYNC_VERSION_PATCH: u32 = 0;

/// Gives the ABI that the loaded library speaks: compare it with `ZONE_SYNC_ABI_VERSION`.
///
/// A binding asks this first, before any other call. Safe from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn zone_sync_abi_version() -> u32 {
    ZONE_SYNC_ABI_VERSION
}

/// Gives the version of the loaded library, as in `1.2.3`.
///
/// The text lives as long as the library. Safe from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn zone_sync_version() -> zone_sync_text_t {
    zone_sync_text_t::from(env!("CARGO_PKG_VERSION"))
}
