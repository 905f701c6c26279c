//! `lookup-two`: two threads that look keys up, next to one; no writer. Lookups a second.

use std::thread;
use std::time::Instant;

use zonesync::core::digest::DigestKey;
use zonesync::core::time::WallTime;
use zonesync::state::State;
use zonesync_tests::data::{Data, NOW_MS, Random};
use zonesync_tests::figure::{self, Goal, median};

const ROUNDS: usize = 7;

fn main() {
    let data = Data::new(figure::size(1_000_000, 20_000), 1);
    let (state, mut writer) = State::with_feed(DigestKey::default(), 0);
    data.load(&mut writer);
    let mut order: Vec<usize> = (0..data.pairs.len()).collect();
    Random(2).shuffle(&mut order);
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let one = rate(&state, &data, &[&order]);
        let (left, right) = order.split_at(order.len() / 2);
        let two = rate(&state, &data, &[left, right]);
        println!("raw lookup-two one thread {one:.0}/s, two threads {two:.0}/s");
        ratios.push(two / one);
    }
    figure::print("lookup-two", median(&ratios), "x", Goal::AtLeast, 1.5);
}

/// Gives the lookups a second of as many threads as there are lists.
fn rate(state: &State, data: &Data, lists: &[&[usize]]) -> f64 {
    let start = Instant::now();
    thread::scope(|scope| {
        for list in lists {
            scope.spawn(move || {
                for &at in *list {
                    let pair = &data.pairs[at];
                    let at = WallTime::from_millis(NOW_MS);
                    let found = state.by_key(data.api(pair), &pair.key, None, at, |_| ());
                    assert!(found.is_some(), "what was put in is found");
                }
            });
        }
    });
    let asked: usize = lists.iter().map(|list| list.len()).sum();
    asked as f64 / start.elapsed().as_secs_f64()
}
