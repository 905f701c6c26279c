//! The handle of a change feed: what changed, step by step.
//!
//! A step is lent, not copied: C reads its changes in place until it asks for the next step. That
//! needs neither a buffer of unknown size nor a callback.

use std::mem::{offset_of, size_of};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::Duration;

use zonesync::state::{ChangeFeed, FeedError, Step};

use crate::arguments::output;
use crate::guard::guard;
use crate::handle::{self, Handle, Mark};
use crate::node::zone_sync_node;
use crate::result::zone_sync_result_t;
use crate::value::{zone_sync_bytes_t, zone_sync_position_t, zone_sync_text_t};

/// A feed of changes. Made by `zone_sync_feed_open()`, freed by `zone_sync_feed_free()`.
///
/// One thread at a time uses it; a call beside another answers `ZONE_SYNC_BUSY`. It may outlive its
/// node.
#[derive(Debug)]
pub struct zone_sync_feed {
    mark: Mark,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    changes: ChangeFeed,
    /// The step that C is reading.
    step: Option<Step>,
}

impl Handle for zone_sync_feed {
    const MAGIC: u64 = 0x7a73_2d66_6565_6431;

    unsafe fn mark(this: *const Self) -> *const Mark {
        // SAFETY: the caller vouches for the memory.
        unsafe { &raw const (*this).mark }
    }
}

impl zone_sync_feed {
    fn enter(&self) -> Result<MutexGuard<'_, Inner>, zone_sync_result_t> {
        self.inner.try_lock().map_err(|refused| match refused {
            TryLockError::WouldBlock => zone_sync_result_t::Busy,
            TryLockError::Poisoned(_) => zone_sync_result_t::Panic,
        })
    }
}

/// What happened to an entity.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum zone_sync_action_t {
    /// It has this payload from now on.
    Deploy = 1,
    /// It is gone; there is no payload.
    Undeploy = 2,
}

/// One change of one entity, lent by a feed until its next step is asked for or it is freed.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct zone_sync_change_t {
    /// A number of `zone_sync_kind_t`, or one that is not listed there.
    pub kind: u32,
    /// What happened.
    pub action: zone_sync_action_t,
    /// The API or API product of a subscription or an API key, else empty.
    pub scope: zone_sync_text_t,
    /// The id of the entity.
    pub id: zone_sync_text_t,
    /// The subscription that an API key serves, else empty.
    pub subscription: zone_sync_text_t,
    /// The new payload, byte for byte as published; empty if the entity is gone.
    pub payload: zone_sync_bytes_t,
}

const _: () = {
    let pointer = size_of::<*const u8>();
    assert!(size_of::<zone_sync_action_t>() == 4);
    assert!(size_of::<zone_sync_change_t>() == 8 + 8 * pointer);
    assert!(offset_of!(zone_sync_change_t, scope) == 8);
    assert!(offset_of!(zone_sync_change_t, payload) == 8 + 6 * pointer);
};

/// Opens a feed of the changes after `since`, or after now if that is NULL.
///
/// To miss nothing, read the position, then the state, then open a feed since that position.
/// `feed_out` gets a handle of its own, which is freed apart from the node. Safe from any thread.
///
/// # Safety
///
/// Pointers are NULL or what this documentation and the top of the header say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zone_sync_feed_open(
    node: *const zone_sync_node,
    since: *const zone_sync_position_t,
    feed_out: *mut *mut zone_sync_feed,
) -> zone_sync_result_t {
    guard(|| {
        // SAFETY: the caller vouches for the handle, and for the position if there is one.
        let (node, since) = unsafe { (handle::borrow(node)?, since.as_ref()) };
        let feed_out = output(feed_out)?;
        let changes = node.state.changes(since.map(|position| (*position).into()));
        let feed = handle::give(zone_sync_feed {
            mark: handle::mark::<zone_sync_feed>(),
            inner: Mutex::new(Inner { changes, step: None }),
        });
        // SAFETY: not NULL; the caller vouches that it is writable.
        unsafe { feed_out.write(feed) };
        Ok(())
    })
}

/// Goes to the next step: the changes that lead to one position.
///
/// `position_out` gets the state's position after them, `count_out` how many there are, which may
/// be zero; read them with `zone_sync_feed_change()`. What was lent of the step before is gone,
/// whatever the answer. `ZONE_SYNC_TIMED_OUT` if nothing changed for `timeout_ms` milliseconds;
/// `ZONE_SYNC_BEHIND` if the next changes are forgotten; `ZONE_SYNC_STOPPED` once the node was
/// stopped and all its changes were read. Blocks the calling thread.
///
/// # Safety
///
/// Pointers are NULL or what this documentation and the top of the header say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zone_sync_feed_next(
    feed: *mut zone_sync_feed,
    timeout_ms: u32,
    position_out: *mut zone_sync_position_t,
    count_out: *mut usize,
) -> zone_sync_result_t {
    guard(|| {
        // SAFETY: the caller vouches for the handle.
        let feed = unsafe { handle::borrow(feed) }?;
        let (position_out, count_out) = (output(position_out)?, output(count_out)?);
        let mut inner = feed.enter()?;
        inner.step = None;
        let step = match inner.changes.next(Duration::from_millis(timeout_ms.into())) {
            Ok(Some(step)) => inner.step.insert(step),
            Ok(None) => return Err(zone_sync_result_t::TimedOut),
            Err(FeedError::Behind) => return Err(zone_sync_result_t::Behind),
            Err(FeedError::Stopped) => return Err(zone_sync_result_t::Stopped),
        };
        // SAFETY: neither is NULL; the caller vouches that they are writable.
        unsafe {
            position_out.write(step.position.into());
            count_out.write(step.changes.len());
        }
        Ok(())
    })
}

/// Reads change `index` of the present step, counted from 0, into `change_out`.
///
/// What it points to is lent until the next call of `zone_sync_feed_next()` or
/// `zone_sync_feed_free()` with this feed; copy what must live longer. `ZONE_SYNC_NOT_FOUND` if the
/// step has no such change.
///
/// # Safety
///
/// Pointers are NULL or what this documentation and the top of the header say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zone_sync_feed_change(
    feed: *const zone_sync_feed,
    index: usize,
    change_out: *mut zone_sync_change_t,
) -> zone_sync_result_t {
    guard(|| {
        // SAFETY: the caller vouches for the handle.
        let feed = unsafe { handle::borrow(feed) }?;
        let change_out = output(change_out)?;
        let inner = feed.enter()?;
        let change = inner.step.as_ref().and_then(|step| step.changes.get(index));
        let (key, payload) = change.ok_or(zone_sync_result_t::NotFound)?;
        let key = key.as_ref();
        let action = match payload {
            Some(_) => zone_sync_action_t::Deploy,
            None => zone_sync_action_t::Undeploy,
        };
        let change = zone_sync_change_t {
            kind: key.kind.code().into(),
            action,
            scope: key.scope.into(),
            id: key.id.into(),
            subscription: key.subscription.into(),
            payload: payload.as_deref().unwrap_or_default().into(),
        };
        // SAFETY: not NULL; the caller vouches that it is writable.
        unsafe { change_out.write(change) };
        Ok(())
    })
}

/// Frees a feed and what it lent.
///
/// NULL may be freed. No other call with this feed may be running or follow. In a forked child the
/// memory is kept.
///
/// # Safety
///
/// `feed` is NULL or a handle that no other call uses, now or later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zone_sync_feed_free(feed: *mut zone_sync_feed) {
    // SAFETY: the caller vouches for it.
    unsafe { handle::free(feed) }
}
