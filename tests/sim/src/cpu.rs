//! How long a thread has worked.

use std::time::{Duration, Instant};

/// Measures the time that the calling thread spends on a processor; where the system does not tell,
/// the time that passes.
#[derive(Debug)]
pub struct Work {
    begun: Instant,
    worked: Option<u64>,
}

impl Work {
    /// Begins to measure.
    pub fn begin() -> Self {
        Self { begun: Instant::now(), worked: worked() }
    }

    /// Gives the time since.
    pub fn done(&self) -> Duration {
        match (self.worked, worked()) {
            (Some(before), Some(now)) => Duration::from_nanos(now - before),
            _ => self.begun.elapsed(),
        }
    }
}

/// Linux tells it in nanoseconds.
fn worked() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok()
}
