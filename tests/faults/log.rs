//! What the store's log tells: whether a deposed primary wrote.
//!
//! Reads as an observer would, over a connection that no fault touches but those of the server itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures_lite::future::block_on;
use zonesync::core::id::{Epoch, Position};
use zonesync::store::ZoneStore;

/// How often the log is read.
const PAUSE: Duration = Duration::from_millis(20);

/// The most bytes of the log at a time.
const READ_MAX: usize = 4 << 20;

/// Reads the log until it is dropped.
#[derive(Debug)]
pub(crate) struct LogWatch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    end: AtomicBool,
    /// The store is about to lose something: what was read so far no longer counts.
    forget: AtomicBool,
    entries: AtomicU64,
    deposed: AtomicU64,
}

impl LogWatch {
    /// Starts to read.
    pub(crate) fn new(store: Arc<dyn ZoneStore>) -> Self {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let thread = Some(thread::spawn(move || own.run(&*store)));
        Self { shared, thread }
    }

    /// Says that the store loses something now.
    pub(crate) fn forget(&self) {
        self.shared.forget.store(true, Ordering::Relaxed);
    }

    /// Counts the entries read so far.
    pub(crate) fn entries(&self) -> u64 {
        self.shared.entries.load(Ordering::Relaxed)
    }

    /// Counts entries that stand behind one of a newer term.
    pub(crate) fn deposed(&self) -> u64 {
        self.shared.deposed.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn run(&self, store: &dyn ZoneStore) {
        let (mut place, mut epoch) = (Position::START, Epoch(0));
        while !self.end.load(Ordering::Relaxed) {
            thread::sleep(PAUSE);
            if self.forget.swap(false, Ordering::Relaxed) {
                (place, epoch) = (Position::START, Epoch(0));
            }
            let Ok(log) = block_on(store.read(place, READ_MAX)) else { continue };
            for entry in &log.entries {
                let position = entry.meta.position;
                self.entries.fetch_add(1, Ordering::Relaxed);
                self.deposed.fetch_add(u64::from(position.term.epoch < epoch), Ordering::Relaxed);
                epoch = epoch.max(position.term.epoch);
                place = position;
            }
            let head = log.head.as_ref().map(|head| head.position());
            if let Some(head) = head.filter(|_| log.gap) {
                place = head;
            }
        }
    }
}

impl Drop for LogWatch {
    fn drop(&mut self) {
        self.shared.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
