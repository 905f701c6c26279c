//! Which subscription opens an API? What a gateway asks on each request.
//!
//! Arguments are flat, pointer beside length, and not structs: so a JVM can pass its own arrays.

use libc::c_char;
use zonesync::core::time::WallTime;
use zonesync::state::{Subscription, View};

use crate::arguments::{Buffer, optional_text, text};
use crate::guard::guard;
use crate::handle;
use crate::node::zone_sync_node;
use crate::result::zone_sync_result_t;

/// For `at_ms`: the present moment by the system's clock.
pub const ZONE_SYNC_NOW: i64 = -1;

/// What to copy of a subscription that matched.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum zone_sync_part_t {
    /// Its payload, byte for byte as published.
    Payload = 0,
    /// Its id.
    Id = 1,
    /// The id of the plan it subscribes to.
    Plan = 2,
}

impl zone_sync_part_t {
    fn from_number(number: u32) -> Result<Self, zone_sync_result_t> {
        [Self::Payload, Self::Id, Self::Plan]
            .into_iter()
            .find(|part| *part as u32 == number)
            .ok_or(zone_sync_result_t::InvalidArgument)
    }

    fn of<'a>(self, subscription: &'a Subscription<'_>) -> &'a [u8] {
        match self {
            Self::Payload => subscription.payload(),
            Self::Id => subscription.id().as_bytes(),
            Self::Plan => subscription.plan().as_bytes(),
        }
    }
}

/// Finds the subscription that an API key opens on `api`, or on a product that holds it.
///
/// `plan` NULL with a length of 0 means any plan. `at_ms` is the moment of the request in
/// milliseconds since 1970, or `ZONE_SYNC_NOW`. `part`, one of `zone_sync_part_t`, says what is
/// copied into `buffer`; `length_out` gets its length. `buffer` may be NULL if `capacity` is 0; on
/// `ZONE_SYNC_BUFFER_TOO_SMALL` only the length is written. `ZONE_SYNC_NOT_FOUND` if nothing
/// matches: there is no such key, or it is revoked, or its subscription is closed, paused, expired
/// or not yet started.
///
/// Takes no lock and no memory; never waits for a sync in progress. Safe from any thread.
///
/// # Safety
///
/// Pointers are NULL or what this documentation and the top of the header say.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments, reason = "each text is two")]
pub unsafe extern "C" fn zone_sync_lookup_key(
    node: *const zone_sync_node,
    api: *const c_char,
    api_length: usize,
    key: *const c_char,
    key_length: usize,
    plan: *const c_char,
    plan_length: usize,
    at_ms: i64,
    part: u32,
    buffer: *mut u8,
    capacity: usize,
    length_out: *mut usize,
) -> zone_sync_result_t {
    guard(|| {
        // SAFETY: the caller vouches for the handle, the texts and the buffer.
        let (node, api, key, plan, buffer) = unsafe {
            (
                handle::borrow(node)?,
                text(api, api_length)?,
                text(key, key_length)?,
                optional_text(plan, plan_length)?,
                Buffer::new(buffer, capacity, length_out)?,
            )
        };
        let (at, part) = (moment(at_ms)?, zone_sync_part_t::from_number(part)?);
        node.state
            .by_key(api, key, plan, at, |subscription| buffer.put(part.of(&subscription)))
            .unwrap_or(Err(zone_sync_result_t::NotFound))
    })
}

/// Finds a subscription by the lower-case hex MD5 of an API key.
///
/// Arguments and answers are those of `zone_sync_lookup_key()`. Safe from any thread.
///
/// # Safety
///
/// Pointers are NULL or what this documentation and the top of the header say.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments, reason = "each text is two")]
pub unsafe extern "C" fn zone_sync_lookup_md5(
    node: *const zone_sync_node,
    api: *const c_char,
    api_length: usize,
    md5: *const c_char,
    md5_length: usize,
    plan: *const c_char,
    plan_length: usize,
    at_ms: i64,
    part: u32,
    buffer: *mut u8,
    capacity: usize,
    length_out: *mut usize,
) -> zone_sync_result_t {
    // SAFETY: the caller vouches for the handle, the texts and the buffer.
    let ask = || unsafe {
        Ok(Question {
            node: handle::borrow(node)?,
            api: text(api, api_length)?,
            credential: text(md5, md5_length)?,
            plan: optional_text(plan, plan_length)?,
            at: moment(at_ms)?,
            part: zone_sync_part_t::from_number(part)?,
            buffer: Buffer::new(buffer, capacity, length_out)?,
        })
    };
    guard(|| ask()?.answer(View::by_md5))
}

/// Finds a subscription by the thumbprint of a client certificate: base64url without padding of
/// the SHA-256 of its DER.
///
/// Arguments and answers are those of `zone_sync_lookup_key()`. Safe from any thread.
///
/// # Safety
///
/// Pointers are NULL or what this documentation and the top of the header say.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments, reason = "each text is two")]
pub unsafe extern "C" fn zone_sync_lookup_certificate(
    node: *const zone_sync_node,
    api: *const c_char,
    api_length: usize,
    thumbprint: *const c_char,
    thumbprint_length: usize,
    plan: *const c_char,
    plan_length: usize,
    at_ms: i64,
    part: u32,
    buffer: *mut u8,
    capacity: usize,
    length_out: *mut usize,
) -> zone_sync_result_t {
    // SAFETY: the caller vouches for the handle, the texts and the buffer.
    let ask = || unsafe {
        Ok(Question {
            node: handle::borrow(node)?,
            api: text(api, api_length)?,
            credential: text(thumbprint, thumbprint_length)?,
            plan: optional_text(plan, plan_length)?,
            at: moment(at_ms)?,
            part: zone_sync_part_t::from_number(part)?,
            buffer: Buffer::new(buffer, capacity, length_out)?,
        })
    };
    guard(|| ask()?.answer(View::by_certificate))
}

/// Finds a subscription by the client id of an application.
///
/// Arguments and answers are those of `zone_sync_lookup_key()`. Safe from any thread.
///
/// # Safety
///
/// Pointers are NULL or what this documentation and the top of the header say.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments, reason = "each text is two")]
pub unsafe extern "C" fn zone_sync_lookup_client(
    node: *const zone_sync_node,
    api: *const c_char,
    api_length: usize,
    client: *const c_char,
    client_length: usize,
    plan: *const c_char,
    plan_length: usize,
    at_ms: i64,
    part: u32,
    buffer: *mut u8,
    capacity: usize,
    length_out: *mut usize,
) -> zone_sync_result_t {
    // SAFETY: the caller vouches for the handle, the texts and the buffer.
    let ask = || unsafe {
        Ok(Question {
            node: handle::borrow(node)?,
            api: text(api, api_length)?,
            credential: text(client, client_length)?,
            plan: optional_text(plan, plan_length)?,
            at: moment(at_ms)?,
            part: zone_sync_part_t::from_number(part)?,
            buffer: Buffer::new(buffer, capacity, length_out)?,
        })
    };
    guard(|| ask()?.answer(View::by_client))
}

/// A lookup on a pinned view, with its arguments checked.
struct Question<'a> {
    node: &'a zone_sync_node,
    api: &'a str,
    credential: &'a str,
    plan: Option<&'a str>,
    at: WallTime,
    part: zone_sync_part_t,
    buffer: Buffer,
}

impl Question<'_> {
    fn answer(
        self,
        find: for<'v> fn(&'v View, &str, &str, Option<&str>, WallTime) -> Option<Subscription<'v>>,
    ) -> Result<(), zone_sync_result_t> {
        let view = self.node.state.view();
        let found = find(&view, self.api, self.credential, self.plan, self.at);
        let subscription = found.ok_or(zone_sync_result_t::NotFound)?;
        self.buffer.put(self.part.of(&subscription))
    }
}

fn moment(at_ms: i64) -> Result<WallTime, zone_sync_result_t> {
    match at_ms {
        ZONE_SYNC_NOW => Ok(now()),
        0.. => Ok(WallTime::from_millis(at_ms)),
        _ => Err(zone_sync_result_t::InvalidArgument),
    }
}

/// Reads the calendar as cheaply as the system can: on Linux the time of the last timer tick, a few
/// milliseconds old at most, at a fifth of the price of the exact one.
fn now() -> WallTime {
    #[cfg(target_os = "linux")]
    {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is ours, and large enough.
        if unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, &raw mut time) } == 0 {
            return WallTime::from_millis(time.tv_sec * 1000 + time.tv_nsec / 1_000_000);
        }
    }
    zonesync::runtime::wall_now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheap_clock_tells_the_time() {
        let exact = zonesync::runtime::wall_now().as_millis();
        assert!((now().as_millis() - exact).abs() < 1000);
        assert_eq!(moment(5), Ok(WallTime::from_millis(5)));
        assert_eq!(moment(-2), Err(zone_sync_result_t::InvalidArgument));
    }

    #[test]
    fn parts_are_known_by_number() {
        assert_eq!(zone_sync_part_t::from_number(1), Ok(zone_sync_part_t::Id));
        assert_eq!(zone_sync_part_t::from_number(3), Err(zone_sync_result_t::InvalidArgument));
    }
}
