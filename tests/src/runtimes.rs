//! Hosts to run nodes on: tokio, one bare thread, and one that a test can freeze.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread::JoinHandle;

use async_executor::Executor;
use futures_lite::future::block_on;
use zonesync::runtime::{Runtime, Smol, Task};

/// Tasks on tokio's threads; timers stay async-io's.
pub struct Tokio(Option<tokio::runtime::Runtime>);

impl Tokio {
    /// Starts a host with two threads.
    pub fn new() -> Self {
        let host = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
        Self(Some(host.expect("threads can be started")))
    }
}

impl Default for Tokio {
    fn default() -> Self {
        Self::new()
    }
}

impl Runtime for Tokio {
    fn spawn(&self, task: Task) {
        self.0.as_ref().expect("it runs until it is dropped").spawn(task);
    }
}

impl Drop for Tokio {
    fn drop(&mut self) {
        // The last handle may go in one of its own tasks, where tokio must not wait for itself.
        if let Some(host) = self.0.take() {
            host.shutdown_background();
        }
    }
}

impl fmt::Debug for Tokio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokio")
    }
}

/// One thread that runs an executor, and nothing else.
pub struct Bare {
    executor: Arc<Executor<'static>>,
    stop: async_channel::Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Bare {
    /// Starts the thread.
    pub fn new() -> Self {
        let executor = Arc::new(Executor::new());
        let (stop, stopped) = async_channel::bounded::<()>(1);
        let runner = executor.clone();
        let run = move || {
            let _ = block_on(runner.run(stopped.recv()));
        };
        Self { executor, stop, thread: Some(std::thread::spawn(run)) }
    }
}

impl Default for Bare {
    fn default() -> Self {
        Self::new()
    }
}

impl Runtime for Bare {
    fn spawn(&self, task: Task) {
        self.executor.spawn(task).detach();
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.stop.close();
        let own = std::thread::current().id();
        if let Some(thread) = self.thread.take().filter(|thread| thread.thread().id() != own) {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Bare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bare")
    }
}

/// A host whose tasks all stand still while it is frozen, as a paused machine's do.
#[derive(Debug)]
pub struct Freezer {
    inner: Smol,
    ice: Arc<Mutex<Ice>>,
}

#[derive(Debug, Default)]
struct Ice {
    frozen: bool,
    wakers: Vec<Waker>,
}

impl Freezer {
    /// Starts a host that runs.
    pub fn new() -> Self {
        let inner = Smol::new(2).expect("threads can be started");
        Self { inner, ice: Arc::default() }
    }

    /// Stops all tasks where they wait next.
    pub fn freeze(&self) {
        self.ice.lock().expect("no test panics in here").frozen = true;
    }

    /// Lets all tasks go on.
    pub fn thaw(&self) {
        let mut ice = self.ice.lock().expect("no test panics in here");
        ice.frozen = false;
        let woken = std::mem::take(&mut ice.wakers);
        drop(ice);
        woken.into_iter().for_each(Waker::wake);
    }
}

impl Default for Freezer {
    fn default() -> Self {
        Self::new()
    }
}

impl Runtime for Freezer {
    fn spawn(&self, mut task: Task) {
        let ice = self.ice.clone();
        let task = poll_fn(move |context| {
            {
                let mut ice = ice.lock().expect("no test panics in here");
                if ice.frozen {
                    ice.wakers.push(context.waker().clone());
                    return Poll::Pending;
                }
            }
            task.as_mut().poll(context)
        });
        self.inner.spawn(Box::pin(task));
    }
}
