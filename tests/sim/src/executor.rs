//! Runs all tasks of a world in one thread, on a clock of its own.
//!
//! Time stands still while anything can run, and then jumps to the next timer. Which of several
//! runnable tasks comes first is drawn from the seed. A task belongs to a host: a host can be paused,
//! so that its tasks wait while time goes on, and killed, so that they are dropped where they stand.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};

use zonesync::runtime::Task;

use crate::random::Random;

/// Nanoseconds of the world's own time.
pub type Time = u64;

/// Which machine a task runs on. Zero is the world itself.
pub type HostId = u32;

/// The host of what belongs to no node: requests on their way, servers.
pub const WORLD: HostId = 0;

/// More tasks or timers than a sound world ever has at once.
const MANY: usize = 20_000;

/// More turns in a moment than a world takes that is not going round in a circle.
const BUSY: u64 = 50_000;

/// A moment, for [`BUSY`].
const MOMENT: Time = 100_000_000;

/// Runs tasks. Clones are handles to the same world.
#[derive(Clone)]
pub struct Executor(Arc<Shared>);

struct Shared {
    inner: Mutex<Inner>,
    woken: Mutex<Vec<u64>>,
}

struct Inner {
    now: Time,
    tasks: BTreeMap<u64, Slot>,
    ready: Vec<u64>,
    /// Tasks that were woken while their host was paused.
    parked: BTreeMap<HostId, Vec<u64>>,
    paused: BTreeSet<HostId>,
    timers: BTreeMap<(Time, u64), Waker>,
    next: u64,
    random: Random,
}

struct Slot {
    host: HostId,
    task: Option<Task>,
    waker: Arc<TaskWaker>,
}

struct TaskWaker {
    id: u64,
    woken: AtomicBool,
    shared: std::sync::Weak<Shared>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::Relaxed)
            && let Some(shared) = self.shared.upgrade()
        {
            shared.woken.lock().expect("one thread").push(self.id);
        }
    }
}

impl Executor {
    /// Starts a world at time zero.
    pub fn new(seed: u64) -> Self {
        let inner = Inner {
            now: 0,
            tasks: BTreeMap::new(),
            ready: Vec::new(),
            parked: BTreeMap::new(),
            paused: BTreeSet::new(),
            timers: BTreeMap::new(),
            next: 1,
            random: Random::new(seed),
        };
        Self(Arc::new(Shared { inner: Mutex::new(inner), woken: Mutex::default() }))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().expect("one thread")
    }

    /// Gives the world's time.
    pub fn now(&self) -> Time {
        self.inner().now
    }

    /// Runs `task` on `host`.
    pub fn spawn(&self, host: HostId, task: Task) {
        let mut inner = self.inner();
        let id = inner.next;
        inner.next += 1;
        let woken = AtomicBool::new(true);
        let waker = Arc::new(TaskWaker { id, woken, shared: Arc::downgrade(&self.0) });
        inner.tasks.insert(id, Slot { host, task: Some(task), waker });
        inner.ready.push(id);
    }

    /// Waits until the world's time is `at`.
    pub fn sleep_until(&self, at: Time) -> Timer {
        Timer { executor: self.clone(), at, number: None }
    }

    /// Waits for so long.
    pub fn sleep(&self, nanos: Time) -> Timer {
        self.sleep_until(self.now().saturating_add(nanos))
    }

    /// Drops all tasks of a host where they stand.
    pub fn kill(&self, host: HostId) {
        let mut inner = self.inner();
        let gone: Vec<u64> =
            inner.tasks.iter().filter(|(_, slot)| slot.host == host).map(|(id, _)| *id).collect();
        let dropped: Vec<_> = gone.iter().filter_map(|id| inner.tasks.remove(id)).collect();
        inner.parked.remove(&host);
        inner.paused.remove(&host);
        drop(inner);
        // What a task drops may wake or even spawn others.
        drop(dropped);
    }

    /// Stops a host's tasks where they wait next.
    pub fn pause(&self, host: HostId) {
        self.inner().paused.insert(host);
    }

    /// Lets a host's tasks go on.
    pub fn resume(&self, host: HostId) {
        let mut inner = self.inner();
        inner.paused.remove(&host);
        let parked = inner.parked.remove(&host).unwrap_or_default();
        inner.ready.extend(parked);
    }

    /// Runs until the world's time is `end`; `after` is called whenever a task of a host
    /// has run, and says whether to go on.
    ///
    /// Gives a host that runs and runs while time hardly moves.
    pub fn run_until(&self, end: Time, after: &mut dyn FnMut(HostId) -> bool) -> Option<HostId> {
        let (mut turns, mut since) = (0, self.now());
        loop {
            if self.now() > since + MOMENT {
                (turns, since) = (0, self.now());
            }
            while let Some(host) = self.run_one() {
                turns += 1;
                if turns > BUSY {
                    return Some(host);
                }
                if !after(host) {
                    return None;
                }
            }
            let mut inner = self.inner();
            assert!(inner.tasks.len() < MANY && inner.timers.len() < MANY, "the world grows");
            let due = inner.timers.first_key_value().map(|(key, _)| *key);
            let Some((at, number)) = due.filter(|(at, _)| *at <= end) else {
                inner.now = inner.now.max(end);
                return None;
            };
            inner.now = inner.now.max(at);
            let waker = inner.timers.remove(&(at, number));
            drop(inner);
            waker.into_iter().for_each(Waker::wake);
        }
    }

    /// Runs one task, and gives its host.
    fn run_one(&self) -> Option<HostId> {
        let (id, host, mut task, waker) = loop {
            let mut inner = self.inner();
            inner.ready.append(&mut self.0.woken.lock().expect("one thread"));
            if inner.ready.is_empty() {
                return None;
            }
            let at = if inner.ready.len() == 1 {
                0
            } else {
                let count = inner.ready.len() as u64;
                inner.random.below(count) as usize
            };
            let id = inner.ready.swap_remove(at);
            let Some(slot) = inner.tasks.get_mut(&id) else { continue };
            let host = slot.host;
            if inner.paused.contains(&host) {
                inner.parked.entry(host).or_default().push(id);
                continue;
            }
            let slot = inner.tasks.get_mut(&id).expect("it was just there");
            slot.waker.woken.store(false, Ordering::Relaxed);
            let task = slot.task.take().expect("a task runs once at a time");
            break (id, host, task, slot.waker.clone());
        };
        let waker = Waker::from(waker);
        let poll = task.as_mut().poll(&mut Context::from_waker(&waker));
        let mut inner = self.inner();
        if poll.is_ready() {
            let slot = inner.tasks.remove(&id);
            drop(inner);
            drop((slot, task));
        } else if let Some(slot) = inner.tasks.get_mut(&id) {
            slot.task = Some(task);
        } else {
            // It was killed while it ran.
            drop(inner);
            drop(task);
        }
        Some(host)
    }

    /// Drops all tasks: what they hold may hold this executor.
    pub fn clear(&self) {
        loop {
            let tasks = std::mem::take(&mut self.inner().tasks);
            if tasks.is_empty() {
                break;
            }
            drop(tasks);
        }
        let timers = std::mem::take(&mut self.inner().timers);
        drop(timers);
    }
}

/// A wait for a moment of the world.
pub struct Timer {
    executor: Executor,
    at: Time,
    number: Option<u64>,
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let executor = self.executor.clone();
        let mut inner = executor.inner();
        if inner.now >= self.at {
            if let Some(number) = self.number.take() {
                inner.timers.remove(&(self.at, number));
            }
            return Poll::Ready(());
        }
        let number = *self.number.get_or_insert_with(|| {
            inner.next += 1;
            inner.next
        });
        inner.timers.insert((self.at, number), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let waker = self.executor.inner().timers.remove(&(self.at, number));
            drop(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(list: &Arc<Mutex<Vec<(Time, u32)>>>, executor: &Executor, what: u32) {
        list.lock().expect("one thread").push((executor.now(), what));
    }

    #[test]
    fn time_jumps_from_timer_to_timer() {
        let (executor, list) = (Executor::new(1), Arc::default());
        for (host, pause) in [(1, 30), (2, 10)] {
            let (own, seen) = (executor.clone(), Arc::clone(&list));
            executor.spawn(
                host,
                Box::pin(async move {
                    own.sleep(pause).await;
                    note(&seen, &own, host);
                    own.sleep(pause).await;
                    note(&seen, &own, host);
                }),
            );
        }
        assert_eq!(executor.run_until(50, &mut |_| true), None);
        assert_eq!(*list.lock().expect("one thread"), [(10, 2), (20, 2), (30, 1)]);
        assert_eq!(executor.now(), 50);
    }

    #[test]
    fn a_paused_host_waits_and_a_killed_one_is_gone() {
        let (executor, list) = (Executor::new(1), Arc::default());
        for host in [1, 2] {
            let (own, seen) = (executor.clone(), Arc::clone(&list));
            executor.spawn(
                host,
                Box::pin(async move {
                    loop {
                        own.sleep(10).await;
                        note(&seen, &own, host);
                    }
                }),
            );
        }
        // Both have begun to wait.
        assert_eq!(executor.run_until(5, &mut |_| true), None);
        executor.pause(1);
        executor.kill(2);
        assert_eq!(executor.run_until(95, &mut |_| true), None);
        assert!(list.lock().expect("one thread").is_empty());
        executor.resume(1);
        assert_eq!(executor.run_until(105, &mut |_| true), None);
        assert_eq!(*list.lock().expect("one thread"), [(95, 1), (105, 1)]);
        executor.clear();
        assert!(executor.inner().timers.is_empty());
    }
}
