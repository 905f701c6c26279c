//! Waiting for the zone to move, without losing a wake-up.
//!
//! A wait takes the number of the newest notice when it is made, and looks at that number and
//! leaves its waker under one lock. So a notice either is seen by the look or finds the waker.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::Shared;
use crate::runtime::Sleep;
use crate::store::{Seen, StoreError};

/// Who is waiting, and how many notices there were.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    notices: u64,
    next: u64,
    wakers: BTreeMap<u64, Waker>,
}

impl Waiters {
    /// Ends every wait. The caller wakes the wakers once the lock is free.
    #[must_use]
    pub(super) fn notify(&mut self) -> Vec<Waker> {
        self.notices += 1;
        std::mem::take(&mut self.wakers).into_values().collect()
    }

    /// Counts the wakers that are left here.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.wakers.len()
    }
}

/// One wait. Ends when the zone shows something else than `seen`, at a notice, or when `sleep` does.
pub(super) struct Wait {
    shared: Arc<Shared>,
    seen: Seen,
    sleep: Sleep,
    notices: u64,
    id: u64,
}

impl Wait {
    pub(super) fn new(shared: Arc<Shared>, seen: Seen, sleep: Sleep) -> Self {
        let mut inner = shared.lock();
        let (notices, id) = (inner.waiters.notices, inner.waiters.next);
        inner.waiters.next += 1;
        drop(inner);
        Self { shared, seen, sleep, notices, id }
    }
}

impl Future for Wait {
    type Output = Result<(), StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut inner = this.shared.lock();
        if inner.waiters.notices != this.notices || inner.zone.has_moved(this.seen) {
            return Poll::Ready(Ok(()));
        }
        let replaced = inner.waiters.wakers.insert(this.id, context.waker().clone());
        drop(inner);
        drop(replaced);
        this.sleep.as_mut().poll(context).map(Ok)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let waker = self.shared.lock().waiters.wakers.remove(&self.id);
        drop(waker);
    }
}
