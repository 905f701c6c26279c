//! `lookup-busy`: batches of 1,000 lookups beside a writer of 10,000 changes/s (100 batches of 100
//! changed subscriptions a second), next to without. Microseconds a batch of lookups.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use zonesync::core::digest::DigestKey;
use zonesync::core::time::WallTime;
use zonesync::state::State;
use zonesync_tests::data::{Data, NOW_MS, Random, apply};
use zonesync_tests::figure::{self, Goal, median};

const ROUNDS: usize = 6;
const LOOKUPS: usize = 1_000;
const CHANGES: usize = 100;
const PERIOD: Duration = Duration::from_millis(10);

fn main() {
    let data = Data::new(figure::size(1_000_000, 20_000), 1);
    let (state, mut writer) = State::new(DigestKey::default());
    data.load(&mut writer);
    let seconds = figure::size(2.0, 0.3);
    let (busy, end, applied) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = Random(3);
            for round in 1.. {
                let due = Instant::now() + PERIOD;
                if end.load(Ordering::Relaxed) {
                    return;
                }
                if busy.load(Ordering::Relaxed) {
                    let some = (0..CHANGES).map(|_| &data.pairs[random.below(data.pairs.len())]);
                    let batch: Vec<_> = some.map(|pair| data.subscription(pair, round)).collect();
                    apply(&mut writer, round, &batch);
                    applied.fetch_add(CHANGES as u64, Ordering::Relaxed);
                }
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        });
        let (mut quiet, mut beside) = (Vec::new(), Vec::new());
        let mut ratios = Vec::new();
        for _ in 0..ROUNDS {
            let alone = batches(&state, &data, seconds);
            busy.store(true, Ordering::Relaxed);
            let (start, before) = (Instant::now(), applied.load(Ordering::Relaxed));
            let both = batches(&state, &data, seconds);
            let changes = applied.load(Ordering::Relaxed) - before;
            busy.store(false, Ordering::Relaxed);
            let per_s = changes as f64 / start.elapsed().as_secs_f64();
            println!(
                "raw lookup-busy median alone {:.1} us, beside {per_s:.0} changes/s {:.1} us",
                median(&alone),
                median(&both)
            );
            ratios.push(median(&both) / median(&alone));
            quiet.extend(alone);
            beside.extend(both);
        }
        end.store(true, Ordering::Relaxed);
        for (name, list) in [("alone", &mut quiet), ("beside", &mut beside)] {
            list.sort_by(f64::total_cmp);
            println!("raw lookup-busy p99.9 {name} {:.1} us", list[list.len() * 999 / 1_000]);
        }
        figure::print("lookup-busy", median(&ratios), "x", Goal::AtMost, 1.2);
    });
}

/// Gives the microseconds of each batch of lookups within some seconds.
fn batches(state: &State, data: &Data, seconds: f64) -> Vec<f64> {
    let mut random = Random(4);
    let mut times = Vec::new();
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < seconds {
        let some = (0..LOOKUPS).map(|_| &data.pairs[random.below(data.pairs.len())]);
        let some: Vec<_> = some.collect();
        let start = Instant::now();
        for pair in some {
            let at = WallTime::from_millis(NOW_MS);
            let found = state.by_key(data.api(pair), &pair.key, None, at, |_| ());
            assert!(found.is_some(), "what was put in is found");
        }
        times.push(start.elapsed().as_nanos() as f64 / 1_000.0);
    }
    times
}
