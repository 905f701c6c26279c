//! `lookup`: (api, key) at 1,000,000 subscriptions with one key each, next to a bare `hashbrown`
//! get of the same keys in the same random order, all found and half of them. Nanoseconds a lookup.
//!
//! Left out: reading what was found. The rival knows nothing of APIs, dates and plans; its keys lie
//! one behind the other.

use std::hint::black_box;
use std::time::Instant;

use hashbrown::HashMap;
use zonesync::core::digest::DigestKey;
use zonesync::core::time::WallTime;
use zonesync::state::State;
use zonesync_tests::alloc::CountingAllocator;
use zonesync_tests::data::{Data, NOW_MS, Random, print_squeeze};
use zonesync_tests::figure::{self, Goal, median};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

const ROUNDS: usize = 7;

fn main() {
    let data = Data::new(figure::size(1_000_000, 20_000), 1);
    print_squeeze(&data);
    let (state, mut writer) = State::with_feed(DigestKey::default(), 0);
    let start = Instant::now();
    let bytes = data.load(&mut writer);
    let per_s = 2.0 * data.pairs.len() as f64 / start.elapsed().as_secs_f64();
    println!(
        "raw loaded {} entities, {bytes} bytes of payload, {per_s:.0}/s",
        2 * data.pairs.len()
    );

    let arena: String = data.pairs.iter().map(|pair| pair.key.as_str()).collect();
    let keys = arena.as_bytes().chunks(data.pairs[0].key.len());
    let map: HashMap<&[u8], u32> = keys.zip(0..).collect();

    let mut random = Random(2);
    let mut order: Vec<usize> = (0..data.pairs.len()).collect();
    random.shuffle(&mut order);
    let all: Vec<(&str, String)> =
        order.iter().map(|&at| (data.api(&data.pairs[at]), data.pairs[at].key.clone())).collect();
    let mut half = all.clone();
    half.iter_mut().step_by(2).for_each(|(_, key)| *key = random.uuid());
    random.shuffle(&mut half);

    // The first lookup of a thread sets up the place where it notes what it reads.
    assert!(state.view().position() == state.position());
    for (name, asked) in [("lookup", &all), ("lookup-half", &half)] {
        let (mut ours, mut bare) = (Vec::with_capacity(ROUNDS), Vec::with_capacity(ROUNDS));
        let mut allocations = 0;
        for _ in 0..ROUNDS {
            let before = ALLOCATOR.count();
            ours.push(time(asked, |api, key| {
                state
                    .by_key(api, key, None, WallTime::from_millis(NOW_MS), |s| {
                        black_box(s);
                    })
                    .is_some()
            }));
            allocations += ALLOCATOR.count() - before;
            bare.push(time(asked, |_, key| map.get(key.as_bytes()).is_some()));
        }
        println!(
            "raw {name} zonesync {ours:.1?} ns, hashbrown {bare:.1?} ns, {allocations} allocations"
        );
        assert_eq!(allocations, 0, "a lookup allocates nothing");
        let ratios: Vec<f64> = ours.iter().zip(&bare).map(|(ours, bare)| ours / bare).collect();
        figure::print(name, median(&ratios), "x", Goal::AtMost, 1.5);
    }
}

/// Gives the nanoseconds of one lookup.
fn time(asked: &[(&str, String)], look: impl Fn(&str, &str) -> bool) -> f64 {
    let start = Instant::now();
    let found = asked.iter().filter(|(api, key)| look(api, key)).count();
    let elapsed = start.elapsed();
    assert!(found >= asked.len() / 2, "what was put in is found");
    elapsed.as_nanos() as f64 / asked.len() as f64
}
