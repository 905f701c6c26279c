//! Figure `propagation`: one change published -> found by a lookup in each of 4 connected nodes,
//! while 1,000 changes/s flow; 99 of 100 times within.
//!
//! Five nodes of one process, so four besides the primary, each with connections of its own, on the
//! embedded store or with `STORE=redis` on a Redis, with 20,000 subscriptions and their keys. Of the changes one in ten is measured: a key with a new text,
//! looked up by that text. The clock starts before the in-memory repository is told of the change
//! (stricter than the store's acknowledgement, which comes later) and stops when the last of the
//! four finds it. A node looks each time after it applied something, so nobody spins. Left out: a
//! network, and a database.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use zonesync::core::election::Role;
use zonesync::runtime::wall_now;
use zonesync::state::State;
use zonesync::{Options, ZoneSync};
use zonesync_tests::bench::Zone;
use zonesync_tests::figure::{self, Goal, Times};
use zonesync_tests::stream::Stream;

const CONNECTED: usize = 4;
const CHANGES_PER_S: u32 = 1_000;
const MEASURED_EVERY: u32 = 10;

/// A change on its way.
struct Probe {
    api: String,
    key: String,
    begun: Instant,
    /// Who has not found it yet, as bits.
    missing: u32,
}

#[derive(Default)]
struct Probes {
    under_way: HashMap<u32, Probe>,
    each: Vec<Duration>,
    last: Vec<Duration>,
}

impl Probes {
    /// Has a node look for what it has not found.
    fn look(&mut self, state: &State, bit: u32) {
        let Self { under_way, each, last } = self;
        under_way.retain(|_, probe| {
            let found = || state.by_key(&probe.api, &probe.key, None, wall_now(), |_| ());
            if probe.missing & bit != 0 && found().is_some() {
                probe.missing &= !bit;
                each.push(probe.begun.elapsed());
                if probe.missing == 0 {
                    last.push(probe.begun.elapsed());
                }
            }
            probe.missing != 0
        });
    }
}

fn main() {
    let stream = Stream::new(figure::size(20_000, 2_000), 1);
    let Some(zone) = Zone::start(CONNECTED + 1, stream.clone(), Options::default()) else {
        figure::skip("propagation", "the store cannot be had");
        return;
    };
    let probes = Arc::new(Mutex::new(Probes::default()));
    let secondaries = || zone.nodes().iter().filter(|node| node.status().role != Role::Primary);
    for (number, node) in secondaries().enumerate() {
        let (probes, state) = (Arc::clone(&probes), node.state().clone());
        node.state().on_change(Box::new(move || {
            probes.lock().expect("no hook panics").look(&state, 1 << number);
        }));
    }
    let samples = figure::size(3_000, 100);
    // Keys of the first half are measured; the rest flows in the second, never over a measured one.
    let all = stream.numbers();
    let middle = all.end / 2;
    let (begun, mut changes) = (Instant::now(), 0);
    while changes < samples * MEASURED_EVERY {
        thread::sleep((begun + Duration::from_secs(1) * changes / CHANGES_PER_S) - Instant::now());
        if changes % MEASURED_EVERY == 0 {
            measure(&stream, &probes, changes / MEASURED_EVERY % middle);
        } else {
            stream.change(middle..all.end);
        }
        changes += 1;
    }
    let rate = f64::from(changes) / begun.elapsed().as_secs_f64();
    let end = Instant::now() + Duration::from_secs(10);
    while !probes.lock().expect("no hook panics").under_way.is_empty() && Instant::now() < end {
        thread::sleep(Duration::from_millis(1));
    }
    let probes = probes.lock().expect("no hook panics");
    assert!(probes.under_way.is_empty(), "{} changes never arrived", probes.under_way.len());
    let batches: u64 = zone.nodes().iter().map(published).sum();
    println!("raw propagation changes {changes} changes/s {rate:.0} batches {batches}");
    Times::new(probes.each.iter().copied()).print_raw("propagation-each-node");
    let times = Times::new(probes.last.iter().copied());
    times.print_raw("propagation");
    figure::print("propagation", times.percentile(99.0), "ms", Goal::AtMost, 20.0);
}

fn published(node: &Arc<ZoneSync>) -> u64 {
    node.status().counters.published
}

/// Changes the key of a pair and has its way watched.
fn measure(stream: &Stream, probes: &Mutex<Probes>, number: u32) {
    let begun = Instant::now();
    // Locked until the probe stands there: who applies the change meanwhile looks afterwards.
    let mut probes = probes.lock().expect("no hook panics");
    let revision = stream.change_key(number);
    let (api, key) = stream.key(number, revision);
    let missing = (1 << CONNECTED) - 1;
    probes.under_way.insert(number, Probe { api: api.to_owned(), key, begun, missing });
}
