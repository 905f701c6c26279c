//! Changes that flow at an even pace.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use crate::stream::Stream;

/// How many late changes are made up for at once; what is later than that is left out.
const LATE_MAX: u32 = 100;

/// Changes rows of a stream until it is ended.
#[derive(Debug)]
pub struct Flow {
    stream: Stream,
    per_s: u32,
    /// Held for a burst of changes, and while the flow is to pause.
    gate: Mutex<()>,
    end: AtomicBool,
    changes: AtomicU64,
}

impl Flow {
    /// Makes so many changes a second, once it runs.
    pub fn new(stream: Stream, per_s: u32) -> Self {
        let (gate, end, changes) = Default::default();
        Self { stream, per_s, gate, end, changes }
    }

    /// Changes rows. Returns when the flow is ended.
    pub fn run(&self) {
        let (mut due, step) = (Instant::now(), Duration::from_secs(1) / self.per_s);
        while !self.end.load(Ordering::Relaxed) {
            let gate = self.pause();
            due = due.max(Instant::now() - LATE_MAX * step);
            while due <= Instant::now() {
                self.stream.change(self.stream.numbers());
                self.changes.fetch_add(1, Ordering::Relaxed);
                due += step;
            }
            drop(gate);
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }

    /// Lets nothing change until the guard is dropped.
    pub fn pause(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().expect("no change panics")
    }

    /// Ends the flow.
    pub fn end(&self) {
        self.end.store(true, Ordering::Relaxed);
    }

    /// Counts the changes so far.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }
}
