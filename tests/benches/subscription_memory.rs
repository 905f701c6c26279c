//! `subscription-memory`: bytes of a subscription with one key, all indexes, at 1,000,000; the more of
//! a state made batch by batch and of one made at once. The rate of the latter is printed, too.
//!
//! Bytes asked of the allocator, less the bytes of the payloads. Left out: what the system's
//! allocator adds, and the feed, whose bound does not depend on the number of subscriptions.

use std::time::Instant;

use zonesync::core::digest::DigestKey;
use zonesync::core::id::{EntityKeyBuf, Position};
use zonesync::state::{Bulk, BulkPart, BulkReader, State, View};
use zonesync_tests::alloc::CountingAllocator;
use zonesync_tests::data::Data;
use zonesync_tests::figure::{self, Goal};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

/// Entities that one thread reads at once, as many as a chunk of a snapshot holds.
const PART: usize = 2_000;

fn main() {
    let data = Data::new(figure::size(1_000_000, 20_000), 1);
    let before = ALLOCATOR.live();
    let (state, mut writer) = State::with_feed(DigestKey::default(), 0);
    let payloads = data.load(&mut writer) as u64;
    let by_batch = measure("by batch", &data, ALLOCATOR.live() - before, payloads, state.view());
    drop((state, writer));

    let subscriptions = data.pairs.iter().map(|pair| data.subscription(pair, 0));
    let entities: Vec<_> =
        subscriptions.chain(data.pairs.iter().map(|p| data.api_key(p))).collect();
    let before = ALLOCATOR.live();
    let begun = Instant::now();
    let mut bulk = Bulk::new(DigestKey::default());
    let parts: Vec<_> = entities.chunks(PART).collect();
    let (left, right) = parts.split_at(parts.len() / 2);
    let (one, other) = (bulk.reader(), bulk.reader());
    let (left, right) = std::thread::scope(|scope| {
        let left = scope.spawn(move || read_all(&one, left));
        let right = read_all(&other, right);
        (left.join().expect("reading does not panic"), right)
    });
    left.into_iter().chain(right).for_each(|part| bulk.add(part));
    let read = begun.elapsed();
    let writer = bulk.finish(Position::START).expect("all are different");
    let all = begun.elapsed();
    let rate = entities.len() as f64 / all.as_secs_f64();
    println!(
        "raw subscription-memory at once: read {read:.0?}, all {all:.0?}, {rate:.0} entities/s"
    );
    let live = ALLOCATOR.live() - before;
    let at_once = measure("at once", &data, live, payloads, writer.view());
    let most = by_batch.max(at_once);
    figure::print("subscription-memory", most, "bytes", Goal::AtMost, 120.0);
}

fn read_all(reader: &BulkReader, parts: &[&[(EntityKeyBuf, String)]]) -> Vec<BulkPart> {
    let read = |part: &&[(EntityKeyBuf, String)]| {
        reader.read(part.iter().map(|(key, payload)| (key.as_ref(), payload.as_bytes())))
    };
    parts.iter().map(read).collect()
}

fn measure(how: &str, data: &Data, live: u64, payloads: u64, view: View) -> f64 {
    let count = data.pairs.len();
    assert_eq!(view.digest().count(), 2 * count as u64);
    let bytes = (live - payloads) as f64 / count as f64;
    println!(
        "raw subscription-memory {how}: {count} subscriptions, {live} bytes live, {payloads} bytes \
         of payload, {bytes:.1} bytes each"
    );
    bytes
}
