//! A zone at work for as long as wanted: `FOR` seconds, ten minutes if nothing is said.
//!
//! Three nodes of one process on the embedded store, or with `STORE=redis` on a Redis, hold 100,000 subscriptions and their keys. Each
//! second 1,000 rows change; every ten seconds the primary is ended, killed and stopped in turns, and
//! started again. All the while the promises are checked from outside (`promises`); every thirty
//! seconds the flow pauses and all nodes must come to hold just the newest rows. Memory must not
//! grow: that of the last minute is held against that of the third. `SIZE=small` runs 15 s with
//! 2,000 subscriptions, pausing every five.
//!
//! Prints `soak <what> <numbers> <held|missed>`, and fails if something was missed.

use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use futures_lite::future::block_on;
use zonesync::core::id::Position;
use zonesync::store::ZoneStore;
use zonesync::{Options, ZoneSync};
use zonesync_tests::alloc::CountingAllocator;
use zonesync_tests::bench::{TakeOver, Zone};
use zonesync_tests::figure::{self, Times};
use zonesync_tests::flow::Flow;
use zonesync_tests::process;
use zonesync_tests::promises::{Promise, Promises, Seen};
use zonesync_tests::stream::Stream;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

const NODES: usize = 3;
const CHANGES_PER_S: u32 = 1_000;
const TAKE_OVER_EVERY: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_secs(60);
/// How far the memory of the last minute may pass that of the third, in percent.
const GROWTH_MAX: f64 = 5.0;

/// What came of a run besides promises.
#[derive(Default)]
struct Findings {
    /// Kills and stops, and the longest take-over after one of them.
    ends: [(u32, Duration); 2],
    quiet_checks: u32,
    slowest_quiet: Duration,
    memory: Vec<Memory>,
}

/// The memory of the process at a time since the start.
#[derive(Clone, Copy)]
struct Memory {
    at: Duration,
    resident_mb: f64,
    /// What the program asked for, without what the allocator keeps beside it.
    allocated_mb: f64,
}

impl Memory {
    fn now(begun: Instant) -> Self {
        let (resident_mb, allocated_mb) = (process::resident_mb(), ALLOCATOR.live() as f64 / 1e6);
        Self { at: begun.elapsed(), resident_mb, allocated_mb }
    }
}

type Followed = Vec<(Arc<ZoneSync>, Arc<Mutex<Seen>>)>;

fn main() -> ExitCode {
    let seconds = std::env::var("FOR").ok().and_then(|text| text.parse().ok());
    let length = Duration::from_secs(seconds.unwrap_or(figure::size(600, 15)));
    let pause_every = Duration::from_secs(figure::size(30, 5));
    let stream = Stream::new(figure::size(100_000, 2_000), 1);
    let begun = Instant::now();
    let options = Options { ttl: Duration::from_secs(3), ..Options::default() };
    let within = options.ttl * 3 + options.poll * 2;
    let Some(mut zone) = Zone::start(NODES, stream.clone(), options) else {
        println!("soak skipped the store cannot be had");
        return ExitCode::SUCCESS;
    };
    let promises = Promises::new(zone.open_store(), stream.clone());
    let starts = Mutex::new(Vec::new());
    println!("raw soak started in {:.1} s", begun.elapsed().as_secs_f64());
    let flow = Flow::new(stream.clone(), CHANGES_PER_S);
    let mut findings = Findings::default();
    thread::scope(|scope| {
        let watch = |node: &Arc<ZoneSync>| watch(scope, node, &promises, &starts);
        let mut followed: Followed = zone.nodes().iter().map(watch).collect();
        scope.spawn(|| flow.run());
        let begun = Instant::now();
        let (mut take_over_at, mut pause_at) = (TAKE_OVER_EVERY / 2, pause_every);
        while begun.elapsed() < length {
            thread::sleep(Duration::from_millis(500));
            findings.memory.push(Memory::now(begun));
            if begun.elapsed() >= take_over_at {
                take_over_at += TAKE_OVER_EVERY;
                let ended = take_over(&zone, &promises, &mut findings);
                // Let go first: the old node ends with its last holder.
                followed.remove(ended);
                zone.restart(ended);
                followed.insert(ended, watch(&zone.nodes()[ended]));
            }
            if begun.elapsed() >= pause_at {
                pause_at += pause_every;
                pause(&flow, &promises, &followed, within, &mut findings);
                print_state(begun, &flow, &zone);
            }
        }
        pause(&flow, &promises, &followed, within, &mut findings);
        print_state(begun, &flow, &zone);
        flow.end();
        zone.nodes().iter().for_each(|node| node.stop());
    });
    let starts = starts.into_inner().expect("no follower panics");
    Times::new(starts.into_iter().skip(NODES)).print_raw("soak-start-to-ready");
    report(&promises, &findings, length)
}

fn watch<'s>(
    scope: &'s Scope<'s, '_>,
    node: &Arc<ZoneSync>,
    promises: &'s Promises,
    starts: &'s Mutex<Vec<Duration>>,
) -> (Arc<ZoneSync>, Arc<Mutex<Seen>>) {
    let seen = Arc::new(Mutex::new(Seen::new(promises.stream().numbers().len())));
    let followed = (Arc::clone(node), Arc::clone(&seen));
    let node = Arc::clone(node);
    scope.spawn(move || {
        let begun = Instant::now();
        if node.wait_ready(MINUTE) {
            starts.lock().expect("no follower panics").push(begun.elapsed());
        }
        promises.follow(&node, &seen);
    });
    followed
}

/// Ends the primary, killed and stopped in turns. Gives which node it was.
fn take_over(zone: &Zone, promises: &Promises, findings: &mut Findings) -> usize {
    let [kills, stops] = &mut findings.ends;
    let kill = kills.0 <= stops.0;
    let TakeOver { ended, time, last, first } = zone.take_over(kill);
    // What the ended node applied was acknowledged: its successor must have followed to it.
    promises.check(Promise::NothingLost, first.sequence > last.sequence, || {
        format!("{first} does not follow {last}")
    });
    let (count, longest) = if kill { kills } else { stops };
    (*count, *longest) = (*count + 1, time.max(*longest));
    ended
}

fn pause(
    flow: &Flow,
    promises: &Promises,
    followed: &Followed,
    within: Duration,
    findings: &mut Findings,
) {
    let _paused = flow.pause();
    let begun = Instant::now();
    promises.check_quiet(followed, within);
    findings.quiet_checks += 1;
    findings.slowest_quiet = findings.slowest_quiet.max(begun.elapsed());
}

fn print_state(begun: Instant, flow: &Flow, zone: &Zone) {
    let Memory { at, resident_mb, allocated_mb } = Memory::now(begun);
    let (batches, bytes) = log_size(&*zone.open_store());
    println!(
        "raw soak at {:.0} s: {} changes, position {}, CPU {:.1} s, RSS {resident_mb:.0} MB, of these \
         allocated {allocated_mb:.0} MB; the log after the snapshot has {batches} batches of {:.0} MB",
        at.as_secs_f64(),
        flow.changes(),
        zone.nodes()[0].state().position(),
        process::cpu_seconds(),
        bytes as f64 / 1e6,
    );
}

/// Counts the batches that a new node must apply after it has loaded the snapshot, and their bytes.
fn log_size(store: &dyn ZoneStore) -> (usize, usize) {
    let log = |after| block_on(store.read(after, usize::MAX)).expect("it is in this process");
    let head = log(Position::START).head.expect("the zone has a state");
    let entries = log(head.snapshot.expect("it is complete").position).entries;
    (entries.len(), entries.iter().map(|entry| entry.bytes.len()).sum())
}

fn report(promises: &Promises, findings: &Findings, length: Duration) -> ExitCode {
    let mut missed = false;
    for promise in Promise::ALL {
        let tally = promises.tally(promise);
        let held = tally.checked > 0 && tally.broken == 0;
        missed |= !held;
        let verdict = if held { "held" } else { "missed" };
        println!("soak {promise:?} checked {} broken {} {verdict}", tally.checked, tally.broken);
    }
    for (what, (count, longest)) in ["kill", "stop"].iter().zip(findings.ends) {
        println!("raw soak take-overs after a {what}: {count}, longest {longest:.1?}");
    }
    let (checks, slowest) = (findings.quiet_checks, findings.slowest_quiet);
    println!("raw soak quiet checks {checks}, slowest {slowest:.1?}");
    if length < MINUTE * 4 {
        println!("soak memory skipped the run is shorter than four minutes");
    } else {
        missed |= !report_memory("memory", findings, length, |memory| memory.resident_mb);
        missed |= !report_memory("allocated", findings, length, |memory| memory.allocated_mb);
    }
    if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Holds the last minute against the third. Gives whether nothing grew.
fn report_memory(
    what: &str,
    findings: &Findings,
    length: Duration,
    pick: impl Fn(&Memory) -> f64,
) -> bool {
    let mean = |from| {
        let within = |memory: &&Memory| memory.at >= from && memory.at < from + MINUTE;
        let minute: Vec<f64> = findings.memory.iter().filter(within).map(&pick).collect();
        minute.iter().sum::<f64>() / minute.len() as f64
    };
    let (third, last) = (mean(MINUTE * 2), mean(length - MINUTE));
    let growth = (last / third - 1.0) * 100.0;
    let held = growth <= GROWTH_MAX;
    let verdict = if held { "held" } else { "missed" };
    println!("soak {what} third minute {third:.0} MB last {last:.0} MB {growth:+.1} % {verdict}");
    held
}
