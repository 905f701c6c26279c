//! The handle of a running node: start it, wait for it, ask how it is, stop it, free it.

use std::mem::{offset_of, size_of};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use libc::c_char;
use zonesync::ZoneSync;
use zonesync::state::State;

use crate::arguments::{Buffer, optional_text, output};
use crate::fork::{self, Generation};
use crate::guard::guard;
use crate::handle::{self, Handle, Mark};
use crate::result::zone_sync_result_t;
use crate::start::{self, Refused, Source};
use crate::value::{zone_sync_position_t, zone_sync_text_t};
use crate::version::ZONE_SYNC_ABI_VERSION;

/// A node, running or stopped. Made by `start_zone_sync()`, freed by `zone_sync_node_free()`.
///
/// All calls but the last may be made from any thread, beside each other.
#[derive(Debug)]
pub struct zone_sync_node {
    mark: Mark,
    stopped: AtomicBool,
    /// For lookups: one step nearer than through `sync`.
    pub(crate) state: State,
    sync: ZoneSync,
}

impl Handle for zone_sync_node {
    const MAGIC: u64 = 0x7a73_2d6e_6f64_6531;

    unsafe fn mark(this: *const Self) -> *const Mark {
        // SAFETY: the caller vouches for the memory.
        unsafe { &raw const (*this).mark }
    }
}

/// What a node is started with. Read during `start_zone_sync()` and not kept.
///
/// One of `text` and `path` has a `data` that is not NULL.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct zone_sync_config_t {
    /// `ZONE_SYNC_ABI_VERSION`: what the program was written for.
    pub abi_version: u32,
    /// Zero.
    pub flags: u32,
    /// The configuration itself: what stands in a gravitee.yml.
    pub text: zone_sync_text_t,
    /// The path of a file with the configuration.
    pub path: zone_sync_text_t,
}

const _: () = {
    let pointer = size_of::<*const u8>();
    assert!(size_of::<zone_sync_config_t>() == 8 + 4 * pointer);
    assert!(offset_of!(zone_sync_config_t, text) == 8);
    assert!(offset_of!(zone_sync_config_t, path) == 8 + 2 * pointer);
};

/// Starts a node and gives its handle.
///
/// Returns as soon as the configuration is read; see `zone_sync_wait_ready()`. Variables of the
/// environment that name settings come before those of the configuration, so do not change the
/// environment meanwhile. Starts threads, named `zonesync-*`.
///
/// On `ZONE_SYNC_INVALID_CONFIG` and `ZONE_SYNC_START_FAILED` the reasons are copied to `message`,
/// one a line; on `ZONE_SYNC_OK` what the configuration says that is ignored. As much is written as
/// fits, which may cut the last character; `message_length_out` tells the whole length. `message`
/// may be NULL if `message_capacity` is 0, `message_length_out` may be NULL if `message` is.
///
/// Answers `ZONE_SYNC_FORKED` in the child of a process that used the library: start in the child
/// alone.
///
/// # Safety
///
/// Pointers are NULL or what this documentation and the top of the header say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn start_zone_sync(
    config: *const zone_sync_config_t,
    node_out: *mut *mut zone_sync_node,
    message: *mut c_char,
    message_capacity: usize,
    message_length_out: *mut usize,
) -> zone_sync_result_t {
    guard(|| {
        let mut unwanted = 0;
        let length_out = if message.is_null() && message_length_out.is_null() {
            &raw mut unwanted
        } else {
            message_length_out
        };
        // SAFETY: the caller vouches for the buffer; `unwanted` lives until the end of the call.
        let message = unsafe { Buffer::new(message.cast(), message_capacity, length_out) }?;
        let node_out = output(node_out)?;
        // SAFETY: the caller vouches for what is not NULL.
        let source = unsafe { source(config) }?;
        if Generation::now() != Generation::FIRST {
            return Err(zone_sync_result_t::Forked);
        }
        let started = if fork::watch() {
            start::start(source)
        } else {
            Err(Refused::Start("no memory for a fork handler".to_owned()))
        };
        match started {
            Ok(started) => {
                message.put_cut(started.warnings.as_bytes());
                let node = handle::give(zone_sync_node {
                    mark: handle::mark::<zone_sync_node>(),
                    stopped: AtomicBool::new(false),
                    state: started.sync.state().clone(),
                    sync: started.sync,
                });
                // SAFETY: not NULL; the caller vouches that it is writable.
                unsafe { node_out.write(node) };
                Ok(())
            }
            Err(Refused::Config(reasons)) => {
                message.put_cut(reasons.as_bytes());
                Err(zone_sync_result_t::InvalidConfig)
            }
            Err(Refused::Start(reason)) => {
                message.put_cut(reason.as_bytes());
                Err(zone_sync_result_t::StartFailed)
            }
        }
    })
}

/// Finds out where the configuration is.
///
/// # Safety
///
/// `config` is NULL or points to a config whose texts stay readable for `'a`.
unsafe fn source<'a>(config: *const zone_sync_config_t) -> Result<Source<'a>, zone_sync_result_t> {
    if config.is_null() {
        return Err(zone_sync_result_t::NullPointer);
    }
    // A program of another version may have another struct: only this field is sure to be there.
    // SAFETY: not NULL; the caller vouches that the struct is readable.
    if unsafe { (*config).abi_version } != ZONE_SYNC_ABI_VERSION {
        return Err(zone_sync_result_t::AbiMismatch);
    }
    // SAFETY: not NULL; the caller vouches that the struct is readable.
    let config = unsafe { *config };
    if config.flags != 0 {
        return Err(zone_sync_result_t::InvalidArgument);
    }
    // SAFETY: the caller vouches for both texts.
    let (text, path) = unsafe {
        (
            optional_text(config.text.data, config.text.length)?,
            optional_text(config.path.data, config.path.length)?,
        )
    };
    match (text, path) {
        (Some(text), None) => Ok(Source::Text(text)),
        (None, Some(path)) => Ok(Source::Path(path)),
        (None, None) => Err(zone_sync_result_t::NullPointer),
        (Some(_), Some(_)) => Err(zone_sync_result_t::InvalidArgument),
    }
}

/// Stops the node: releases the lease if it holds it, and ends its threads.
///
/// May be called again, and beside running calls: waits in other threads end with
/// `ZONE_SYNC_STOPPED`, and lookups go on from the last state. The handle stays, to be freed later.
/// Returns when the node has stopped. Safe from any thread.
///
/// # Safety
///
/// `node` is NULL or a handle that is not freed before the call ends.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stop_zone_sync(node: *mut zone_sync_node) -> zone_sync_result_t {
    guard(|| {
        // SAFETY: the caller vouches for the handle.
        let node = unsafe { handle::borrow(node) }?;
        node.stopped.store(true, Relaxed);
        node.sync.stop();
        Ok(())
    })
}

/// Frees a node, and stops it first if it runs.
///
/// NULL may be freed. No other call with this node may be running or follow; feeds opened on it
/// may go on and are freed apart. In a forked child the memory is kept, as the node's threads are
/// not there to let go of it.
///
/// # Safety
///
/// `node` is NULL or a handle that no other call uses, now or later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zone_sync_node_free(node: *mut zone_sync_node) {
    // SAFETY: the caller vouches for it.
    unsafe { handle::free(node) }
}

/// Waits until the node is ready: it holds a complete state that the zone announced.
///
/// Answers `ZONE_SYNC_OK` at once if it is, `ZONE_SYNC_TIMED_OUT` if it is not after `timeout_ms`
/// milliseconds, and `ZONE_SYNC_STOPPED` if the node was stopped before. Why it is not stands in
/// the status. Blocks the calling thread. Safe from any thread.
///
/// # Safety
///
/// `node` is NULL or a handle that is not freed before the call ends.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zone_sync_wait_ready(
    node: *const zone_sync_node,
    timeout_ms: u32,
) -> zone_sync_result_t {
    guard(|| {
        // SAFETY: the caller vouches for the handle.
        let node = unsafe { handle::borrow(node) }?;
        if node.sync.wait_ready(Duration::from_millis(timeout_ms.into())) {
            Ok(())
        } else if node.stopped.load(Relaxed) {
            Err(zone_sync_result_t::Stopped)
        } else {
            Err(zone_sync_result_t::TimedOut)
        }
    })
}

/// Copies the node's status, a JSON object, into `buffer`.
///
/// `length_out` gets its length. `buffer` may be NULL if `capacity` is 0. On
/// `ZONE_SYNC_BUFFER_TOO_SMALL` only the length is written; the next status may be longer, so leave
/// some room. It takes locks and memory: for people and health checks, not for each request. Safe
/// from any thread.
///
/// # Safety
///
/// Pointers are NULL or what this documentation and the top of the header say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zone_sync_status(
    node: *const zone_sync_node,
    buffer: *mut c_char,
    capacity: usize,
    length_out: *mut usize,
) -> zone_sync_result_t {
    guard(|| {
        // SAFETY: the caller vouches for the handle and the buffer.
        let (node, buffer) =
            unsafe { (handle::borrow(node)?, Buffer::new(buffer.cast(), capacity, length_out)?) };
        let json = serde_json::to_vec(&node.sync.status()).expect("a status is always JSON");
        buffer.put(&json)
    })
}

/// Reads the last position that the node applied into `position_out`.
///
/// Takes no lock. Safe from any thread.
///
/// # Safety
///
/// Pointers are NULL or what this documentation and the top of the header say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zone_sync_position(
    node: *const zone_sync_node,
    position_out: *mut zone_sync_position_t,
) -> zone_sync_result_t {
    guard(|| {
        // SAFETY: the caller vouches for the handle.
        let node = unsafe { handle::borrow(node) }?;
        let position_out = output(position_out)?;
        // SAFETY: not NULL; the caller vouches that it is writable.
        unsafe { position_out.write(node.state.position().into()) };
        Ok(())
    })
}
