//! A zone at work for as long as wanted: `FOR` seconds, ten minutes if nothing is said.
//!
//! Three nodes of one process on the embedded store hold 100,000 subscriptions and their keys. Each
//! second 1,000 rows change; every ten seconds the primary is ended, killed and stopped in turns, and
//! started again. All the while the promises are checked from outside (`promises`); every thirty
//! seconds the flow pauses and all nodes must come to hold just the newest rows. Memory must not
//! grow: that of the last minute is held against that of the third. `SIZE=small` runs 15 s with
//! 2,000 subscriptions, pausing every five.
//!
//! Prints `soak <what> <numbers> <held|missed>`, and fails if something was missed.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use zonesync::{Options, ZoneSync};
use zonesync_tests::alloc::CountingAllocator;
use zonesync_tests::bench::{TakeOver, Zone};
use zonesync_tests::figure;
use zonesync_tests::process;
use zonesync_tests::promises::{Promise, Promises, Seen};
use zonesync_tests::stream::Stream;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

const NODES: usize = 3;
const CHANGES_PER_S: u32 = 1_000;
const TAKE_OVER_EVERY: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_secs(60);
/// How far the memory of the last minute may be from that of the third, in percent.
const GROWTH_MAX: f64 = 5.0;

/// What the flow and the main thread share.
struct Flow<'a> {
    stream: &'a Stream,
    /// Held for a burst of changes, and while the flow is to pause.
    gate: Mutex<()>,
    end: AtomicBool,
    changes: AtomicU64,
}

impl Flow<'_> {
    /// Changes rows at an even pace.
    fn run(&self) {
        let (mut due, step) = (Instant::now(), Duration::from_secs(1) / CHANGES_PER_S);
        while !self.end.load(Ordering::Relaxed) {
            let gate = self.gate.lock().expect("no change panics");
            // After a pause it goes on at its pace, and makes up for nothing.
            due = due.max(Instant::now() - 100 * step);
            while due <= Instant::now() {
                self.stream.change(self.stream.numbers());
                self.changes.fetch_add(1, Ordering::Relaxed);
                due += step;
            }
            drop(gate);
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
}

/// What came of a run besides promises.
#[derive(Default)]
struct Findings {
    /// Kills and stops, and the longest take-over after one of them.
    ends: [(u32, Duration); 2],
    quiet_checks: u32,
    slowest_quiet: Duration,
    /// The memory of the process, at a time since the start, in MB.
    memory: Vec<(Duration, f64)>,
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
    let mut zone = Zone::start(NODES, stream.clone(), options);
    let promises = Promises::new(zone.store.clone(), stream.clone());
    println!("raw soak started in {:.1} s", begun.elapsed().as_secs_f64());
    let flow = Flow {
        stream: &stream,
        gate: Mutex::new(()),
        end: AtomicBool::new(false),
        changes: AtomicU64::new(0),
    };
    let mut findings = Findings::default();
    thread::scope(|scope| {
        let watch = |node: &Arc<ZoneSync>| watch(scope, node, &promises, &stream);
        let mut followed: Followed = zone.nodes().iter().map(watch).collect();
        scope.spawn(|| flow.run());
        let begun = Instant::now();
        let (mut take_over_at, mut pause_at) = (TAKE_OVER_EVERY / 2, pause_every);
        while begun.elapsed() < length {
            thread::sleep(Duration::from_millis(500));
            let now = begun.elapsed();
            findings.memory.push((now, process::resident_mb()));
            if now >= take_over_at {
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
        flow.end.store(true, Ordering::Relaxed);
        zone.nodes().iter().for_each(|node| node.stop());
    });
    report(&promises, &findings, length)
}

fn watch<'s>(
    scope: &'s Scope<'s, '_>,
    node: &Arc<ZoneSync>,
    promises: &'s Promises,
    stream: &Stream,
) -> (Arc<ZoneSync>, Arc<Mutex<Seen>>) {
    let seen = Arc::new(Mutex::new(Seen::new(stream.numbers().len())));
    let followed = (Arc::clone(node), Arc::clone(&seen));
    let node = Arc::clone(node);
    scope.spawn(move || promises.follow(&node, &seen));
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
    flow: &Flow<'_>,
    promises: &Promises,
    followed: &Followed,
    within: Duration,
    findings: &mut Findings,
) {
    let _gate = flow.gate.lock().expect("no change panics");
    let begun = Instant::now();
    promises.check_quiet(followed, within);
    findings.quiet_checks += 1;
    findings.slowest_quiet = findings.slowest_quiet.max(begun.elapsed());
}

fn print_state(begun: Instant, flow: &Flow<'_>, zone: &Zone) {
    let position = zone.nodes()[0].state().position();
    println!(
        "raw soak at {:.0} s: {} changes, position {position}, CPU {:.1} s, RSS {:.0} MB, of these \
         allocated {:.0} MB",
        begun.elapsed().as_secs_f64(),
        flow.changes.load(Ordering::Relaxed),
        process::cpu_seconds(),
        process::resident_mb(),
        ALLOCATOR.live() as f64 / 1e6,
    );
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
        let third = mean_memory(findings, MINUTE * 2);
        let last = mean_memory(findings, length - MINUTE);
        let change = (last / third - 1.0) * 100.0;
        let held = change.abs() <= GROWTH_MAX;
        missed |= !held;
        let verdict = if held { "held" } else { "missed" };
        println!(
            "soak memory third minute {third:.0} MB last {last:.0} MB {change:+.1} % {verdict}"
        );
    }
    if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Gives the mean of the minute that begins at a time.
fn mean_memory(findings: &Findings, from: Duration) -> f64 {
    let of_minute = |(at, _): &&(Duration, f64)| *at >= from && *at < from + MINUTE;
    let minute: Vec<f64> = findings.memory.iter().filter(of_minute).map(|(_, mb)| *mb).collect();
    minute.iter().sum::<f64>() / minute.len() as f64
}
