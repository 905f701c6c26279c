//! The default host: an executor of our own, on threads that we start and join.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use async_executor::Executor;

use super::{Runtime, Task};

/// Runs tasks on a few named threads. They end, joined, when the last handle goes.
pub struct Smol {
    executor: Arc<Executor<'static>>,
    stop: async_channel::Sender<()>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Smol {
    /// Starts `threads` threads named `zonesync-0`, `zonesync-1`, and so on.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let executor = Arc::new(Executor::new());
        let (stop, stopped) = async_channel::bounded::<()>(1);
        let mut handles = Vec::new();
        for number in 0..threads.max(1) {
            let (executor, stopped) = (Arc::clone(&executor), stopped.clone());
            let run = move || {
                // Ends when the sender is dropped or closed. A task that panics ends alone: its
                // thread goes on, for the others need it.
                let turn = || async_io::block_on(executor.run(stopped.recv()));
                while catch_unwind(AssertUnwindSafe(turn)).is_err() {}
            };
            let thread = std::thread::Builder::new().name(format!("zonesync-{number}"));
            handles.push(thread.spawn(run)?);
        }
        Ok(Self { executor, stop, threads: Mutex::new(handles) })
    }
}

impl Runtime for Smol {
    fn spawn(&self, task: Task) {
        self.executor.spawn(task).detach();
    }
}

impl Drop for Smol {
    fn drop(&mut self) {
        self.stop.close();
        let threads = self.threads.get_mut().unwrap_or_else(|e| e.into_inner());
        let own = std::thread::current().id();
        for thread in threads.drain(..) {
            // A task may hold the last handle: then its own thread ends by itself.
            if thread.thread().id() != own {
                let _ = thread.join();
            }
        }
    }
}

impl fmt::Debug for Smol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smol").finish_non_exhaustive()
    }
}
