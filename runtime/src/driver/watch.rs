//! What the driver waits for, and the watches it keeps on store and repository.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use zonesync_core::election::{Role, Seen};
use zonesync_core::time::Instant;

use super::lease::LeaseOutcome;
use super::running::{Ended, Running};
use super::{Driver, Request};

pub(super) type Wait<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Whatever came first.
#[expect(clippy::large_enum_variant, reason = "one value per turn, never many")]
pub(super) enum Signal {
    Lease(LeaseOutcome),
    Step(Ended),
    StoreMoved,
    RepositoryChanged,
    Request(Option<Request>),
    Time,
}

/// The watches on store and repository.
#[derive(Default)]
pub(super) struct Watches {
    store: Option<(Seen, Wait<bool>)>,
    repository: Option<Wait<()>>,
    /// The store is not watched before: it failed just now, and a head that cannot be read would
    /// wake the node again and again.
    store_from: Instant,
    /// The last read may have missed rows: read again after a while, changed or not.
    pub(super) again: bool,
}

impl Watches {
    /// Leaves the store alone until then.
    pub(super) fn rest(&mut self, until: Instant) {
        self.store_from = until;
    }
}

impl Driver {
    /// Keeps the watches on store and repository as the node wants them.
    pub(super) fn watch(&mut self, now: Instant) {
        // A node that is busy looks again by itself; the wait goes on until it names other things.
        match self.node.watching() {
            Some(seen) if self.watches.store.as_ref().is_none_or(|(old, _)| *old != seen) => {
                self.watches.store = Some((seen, self.watch_store(now, seen)));
            }
            None if self.node.role() == Role::Primary => self.watches.store = None,
            _ => {}
        }
        // Kept through the steps of a reign: a change that came beside a read is not lost.
        if self.node.role() != Role::Primary {
            self.watches.repository = None;
        } else if self.watches.repository.is_none() && self.node.watches_repository() {
            self.watches.repository = self.watch_repository();
        }
    }

    fn watch_store(&self, now: Instant, seen: Seen) -> Wait<bool> {
        let (store, runtime, poll) =
            (self.tools.store.clone(), self.tools.runtime.clone(), self.poll);
        let rest = self.watches.store_from.since(now);
        Box::pin(async move {
            if !rest.is_zero() {
                runtime.sleep(rest).await;
            }
            let begun = runtime.now();
            let answer = store.wait(seen, poll * 10).await;
            if answer.is_err() {
                runtime.sleep(poll).await;
            }
            answer.is_ok() && runtime.now().since(begun) < poll * 10
        })
    }

    fn watch_repository(&self) -> Option<Wait<()>> {
        let repository = self.tools.repository.clone()?;
        let (runtime, again, pause) =
            (self.tools.runtime.clone(), self.watches.again, self.poll * 5);
        Some(Box::pin(async move {
            let late = async {
                if again {
                    runtime.sleep(pause).await;
                } else {
                    std::future::pending().await
                }
            };
            futures_lite::future::or(repository.changed(), late).await;
        }))
    }

    /// Waits for whatever comes first.
    pub(super) async fn next(&mut self) -> Signal {
        let now = self.tools.now();
        // While it stops, only the lease is due, and that has a limit of its own.
        let due = self.node.poll_timeout().filter(|_| !self.stopping);
        let pause = due.map_or(self.poll, |at| at.since(now));
        let mut timer = self.tools.runtime.sleep(pause);
        let closed = self.stopping && self.requests.is_closed();
        let mut request = pin!(self.requests.recv());
        let mut ended = pin!(end_of(&self.step));
        let (lease, watches) = (&mut self.lease, &mut self.watches);
        std::future::poll_fn(|context| {
            if let Some(outcome) = poll_slot(lease, context) {
                return Poll::Ready(Signal::Lease(outcome));
            }
            if let Poll::Ready(ended) = ended.as_mut().poll(context) {
                return Poll::Ready(Signal::Step(ended));
            }
            if !closed && let Poll::Ready(request) = request.as_mut().poll(context) {
                return Poll::Ready(Signal::Request(request.ok()));
            }
            if let Some((_, watch)) = &mut watches.store
                && let Poll::Ready(moved) = watch.as_mut().poll(context)
            {
                watches.store = None;
                return Poll::Ready(if moved { Signal::StoreMoved } else { Signal::Time });
            }
            if poll_slot(&mut watches.repository, context).is_some() {
                return Poll::Ready(Signal::RepositoryChanged);
            }
            timer.as_mut().poll(context).map(|()| Signal::Time)
        })
        .await
    }
}

async fn end_of(step: &Option<Running>) -> Ended {
    match step {
        Some(running) => running.ended().await,
        None => std::future::pending().await,
    }
}

/// Polls what a slot holds, and empties it once that is done.
fn poll_slot<T>(slot: &mut Option<Wait<T>>, context: &mut Context<'_>) -> Option<T> {
    match slot.as_mut()?.as_mut().poll(context) {
        Poll::Ready(done) => {
            *slot = None;
            Some(done)
        }
        Poll::Pending => None,
    }
}
