//! `subscription-memory`: bytes of a subscription with one key, all indexes, at 1,000,000.
//!
//! Bytes asked of the allocator, less the bytes of the payloads. Left out: what the system's
//! allocator adds, and the feed, whose bound does not depend on the number of subscriptions.

use zonesync::core::digest::DigestKey;
use zonesync::state::State;
use zonesync_tests::alloc::CountingAllocator;
use zonesync_tests::data::Data;
use zonesync_tests::figure::{self, Goal};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

fn main() {
    let data = Data::new(figure::size(1_000_000, 20_000), 1);
    let before = ALLOCATOR.live();
    let (state, mut writer) = State::with_feed(DigestKey::default(), 0);
    let payloads = data.load(&mut writer);
    let live = ALLOCATOR.live() - before;
    let count = data.pairs.len();
    println!(
        "raw subscription-memory {count} subscriptions: {live} bytes live, {payloads} bytes of payload"
    );
    figure::print(
        "subscription-memory",
        (live - payloads as u64) as f64 / count as f64,
        "bytes",
        Goal::AtMost,
        120.0,
    );
    assert_eq!(state.view().digest().count(), 2 * count as u64);
}
