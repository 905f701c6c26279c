//! Runs many seeds on several threads, and adds up what came of them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use zonesync_core::bugs::{Bug, plant};

use crate::cpu::Work;
use crate::executor::Time;
use crate::plan::draw;
use crate::watch::{Broken, Promise};
use crate::world::{Ending, run};

/// What came of many seeds.
#[derive(Debug, Default)]
pub struct Totals {
    /// How many ran.
    pub seeds: u64,
    /// Those that broke a promise.
    pub broken: BTreeMap<u64, Broken>,
    /// How often each promise was checked.
    pub checks: BTreeMap<Promise, u64>,
    /// How often each kind of fault happened.
    pub faults: BTreeMap<&'static str, u64>,
    /// Simulated time.
    pub simulated: Time,
    /// How long nodes took to agree once faults had stopped, shortest first.
    pub agreed: Vec<Time>,
    /// The processor's time of all threads together.
    pub worked: Duration,
}

/// Which seeds to run, and when to stop.
#[derive(Clone, Debug)]
pub struct Orders {
    /// The seeds.
    pub seeds: Range<u64>,
    /// No seed is begun after this.
    pub until: Option<Instant>,
    /// How many threads run them.
    pub threads: usize,
    /// The bug that is planted.
    pub bug: Option<Bug>,
    /// Stops at the first broken promise.
    pub first: bool,
}

/// Runs seeds.
pub fn run_many(orders: &Orders) -> Totals {
    let totals = Mutex::new(Totals::default());
    let (next, stop) = (AtomicU64::new(orders.seeds.start), AtomicBool::new(false));
    plant(orders.bug);
    std::thread::scope(|scope| {
        for _ in 0..orders.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let late = orders.until.is_some_and(|until| Instant::now() >= until);
                    if seed >= orders.seeds.end || late || stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let work = Work::begin();
                    let ending = run(&draw(seed));
                    if ending.broken.is_some() && orders.first {
                        stop.store(true, Ordering::Relaxed);
                    }
                    totals.lock().expect("no seed panics in here").add(seed, work.done(), ending);
                }
            });
        }
    });
    plant(None);
    let mut totals = totals.into_inner().expect("all threads are done");
    totals.agreed.sort_unstable();
    totals
}

impl Totals {
    fn add(&mut self, seed: u64, worked: Duration, ending: Ending) {
        self.seeds += 1;
        self.worked += worked;
        self.simulated += ending.passed;
        self.agreed.extend(ending.agreed_after);
        for (promise, count) in ending.checks {
            *self.checks.entry(promise).or_default() += count;
        }
        for (fault, count) in ending.faults {
            *self.faults.entry(fault).or_default() += count;
        }
        if let Some(broken) = ending.broken {
            self.broken.insert(seed, broken);
        }
    }

    /// Gives the simulated hours in a second of a processor.
    pub fn hours_per_s(&self) -> f64 {
        self.simulated as f64 / 3.6e12 / self.worked.as_secs_f64()
    }
}
