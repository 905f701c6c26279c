//! A clock that stands still until a test moves it.

use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use futures_lite::future::{self, block_on};
use zonesync::runtime::{Runtime, Sleep, Task};
use zonesync_core::time::Instant;

/// A runtime whose time is set by hand. Tasks run on threads of their own.
#[derive(Clone, Debug, Default)]
pub struct HandClock(Arc<Mutex<Hand>>);

#[derive(Debug, Default)]
struct Hand {
    now: Instant,
    sleepers: Vec<Waker>,
}

impl HandClock {
    /// Lets time pass, and wakes who slept.
    pub fn pass(&self, time: Duration) {
        let mut hand = self.0.lock().expect("no test panics in here");
        hand.now = hand.now + time;
        let woken = std::mem::take(&mut hand.sleepers);
        drop(hand);
        woken.into_iter().for_each(Waker::wake);
    }
}

impl Runtime for HandClock {
    fn spawn(&self, task: Task) {
        thread::spawn(|| block_on(task));
    }

    fn now(&self) -> Instant {
        self.0.lock().expect("no test panics in here").now
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        let (clock, end) = (self.0.clone(), self.now() + duration);
        Box::pin(future::poll_fn(move |context| {
            let mut hand = clock.lock().expect("no test panics in here");
            if hand.now >= end {
                return Poll::Ready(());
            }
            hand.sleepers.push(context.waker().clone());
            Poll::Pending
        }))
    }
}
