//! What changed since a position, bounded.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use zonesync_core::id::{EntityKeyBuf, Position};
use zonesync_core::time::Duration;

use super::payload::Payload;
use crate::store::Bytes;

/// Hands out changes in order. A reader that falls behind is told to start over.
///
/// After a heal it hands out the difference. Several feeds of one state do not disturb each other.
pub struct ChangeFeed {
    log: Arc<FeedLog>,
    /// The number of the step to hand out next, or none if it was forgotten before the start.
    next: Option<u64>,
}

/// The changes that lead to one position.
#[derive(Clone, Debug)]
pub struct Step {
    /// The state after them.
    pub position: Position,
    /// Each changed entity: its new payload, or none if it is gone. Empty if the same state only
    /// has another position.
    pub changes: Vec<(EntityKeyBuf, Option<Bytes>)>,
}

/// Why a feed gave no changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedError {
    /// The changes after the asked position are forgotten: take a view and start over from it.
    Behind,
    /// The node was stopped and all its changes were handed out.
    Stopped,
}

impl fmt::Display for FeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Behind => "the changes after the asked position are forgotten",
            Self::Stopped => "the node is stopped",
        })
    }
}

impl std::error::Error for FeedError {}

impl ChangeFeed {
    /// Gives the next step, or none if there was none for `timeout`. Blocks the calling thread.
    ///
    /// After [`FeedError::Behind`] each further call says the same: start over with a new feed.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Step>, FeedError> {
        let deadline = Instant::now().checked_add(timeout);
        let next = self.next.ok_or(FeedError::Behind)?;
        let mut steps = self.log.lock();
        let step = loop {
            let Some(at) = next.checked_sub(steps.first) else {
                self.next = None;
                return Err(FeedError::Behind);
            };
            if let Some(step) = steps.kept.get(at as usize) {
                break step.clone();
            }
            if steps.closed {
                return Err(FeedError::Stopped);
            }
            let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
            let left = left.unwrap_or(Duration::MAX);
            if left.is_zero() {
                return Ok(None);
            }
            let woken = self.log.wake.wait_timeout(steps, left);
            steps = woken.unwrap_or_else(PoisonError::into_inner).0;
        };
        drop(steps);
        self.next = Some(next + 1);
        let bytes = |payload: &Payload| Bytes::from(payload.bytes());
        let changes = step.changes.iter().map(|(key, new)| (key.clone(), new.as_ref().map(bytes)));
        Ok(Some(Step { position: step.position, changes: changes.collect() }))
    }
}

impl fmt::Debug for ChangeFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeFeed").field("next", &self.next).finish_non_exhaustive()
    }
}

/// Changed entities with their new payloads.
pub(super) type Changes = Vec<(EntityKeyBuf, Option<Payload>)>;

/// The newest steps of a state, for all its feeds.
pub(super) struct FeedLog {
    steps: Mutex<Steps>,
    wake: Condvar,
}

struct Steps {
    kept: VecDeque<Arc<KeptStep>>,
    /// The number of the first kept step.
    first: u64,
    /// Where the state stood before it.
    base: Position,
    /// What the kept steps count together.
    weight: usize,
    weight_max: usize,
    closed: bool,
}

struct KeptStep {
    position: Position,
    changes: Changes,
    /// What it counts besides.
    too_much: usize,
}

impl KeptStep {
    /// A step counts by its changes, and one more for itself.
    fn weight(&self) -> usize {
        self.changes.len() + self.too_much + 1
    }
}

impl FeedLog {
    /// Makes a log that remembers at most `changes_max` changes and as many steps.
    pub(super) fn new(changes_max: usize) -> Arc<Self> {
        let steps = Steps {
            kept: VecDeque::new(),
            first: 0,
            base: Position::START,
            weight: 0,
            weight_max: changes_max,
            closed: false,
        };
        Arc::new(Self { steps: Mutex::new(steps), wake: Condvar::new() })
    }

    /// Gives the most changes that a step may have to be remembered.
    pub(super) fn changes_max(&self) -> usize {
        self.lock().weight_max.saturating_sub(1)
    }

    /// Adds a step, without changes if they are too many to be remembered. Calls `publish` first, so
    /// that nobody sees a state whose step is not there, or a step whose state is not.
    pub(super) fn push(
        &self,
        position: Position,
        changes: Option<Changes>,
        publish: impl FnOnce(),
    ) {
        let mut forgotten = Vec::new();
        let mut steps = self.lock();
        publish();
        // What is too much to be remembered makes all before it be forgotten, and then itself.
        let too_much = if changes.is_none() { steps.weight_max } else { 0 };
        let step = KeptStep { position, changes: changes.unwrap_or_default(), too_much };
        steps.weight += step.weight();
        steps.kept.push_back(Arc::new(step));
        while steps.weight > steps.weight_max {
            let Some(old) = steps.kept.pop_front() else { break };
            steps.weight -= old.weight();
            steps.first += 1;
            steps.base = old.position;
            forgotten.push(old);
        }
        drop(steps);
        self.wake.notify_all();
    }

    /// Ends all feeds once they have handed out what is there.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_all();
    }

    /// Starts a feed after `since`, or after the newest step.
    pub(super) fn feed(self: &Arc<Self>, since: Option<Position>) -> ChangeFeed {
        let steps = self.lock();
        let end = steps.first + steps.kept.len() as u64;
        // From the newest back: a position that came twice counts where it came last.
        let after = |since| {
            let kept = steps.kept.iter().rposition(|step| step.position == since);
            let after_kept = kept.map(|at| steps.first + at as u64 + 1);
            after_kept.or((steps.base == since).then_some(steps.first))
        };
        let next = since.map_or(Some(end), after);
        ChangeFeed { log: self.clone(), next }
    }

    fn lock(&self) -> MutexGuard<'_, Steps> {
        // A panic elsewhere leaves whole steps behind.
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
