//! Where the tasks of this process run: a few threads of its own.

use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use async_executor::Executor;
use zonesync::runtime::{Runtime, Task};

/// More threads than this would only wait for each other.
const THREADS_MAX: usize = 4;

/// Named threads that run tasks until the process ends.
#[derive(Debug)]
pub(crate) struct Threads(&'static Executor<'static>);

impl Threads {
    /// Starts as many threads as the machine has cores, up to a few.
    pub(crate) fn start() -> Arc<dyn Runtime> {
        let executor: &'static Executor<'static> = Box::leak(Box::new(Executor::new()));
        let count = thread::available_parallelism().map_or(2, NonZero::get).min(THREADS_MAX);
        for number in 0..count {
            let forever = executor.run(futures_lite::future::pending::<()>());
            let named = thread::Builder::new().name(format!("zonesync-{number}"));
            named
                .spawn(move || async_io::block_on(forever))
                .expect("the system gives a process its first threads");
        }
        Arc::new(Self(executor))
    }
}

impl Runtime for Threads {
    fn spawn(&self, task: Task) {
        self.0.spawn(task).detach();
    }
}
