//! Reading ahead: while a reader works on one chunk of a snapshot, the next ones are on their way.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_channel::Receiver;
use zonesync_core::format::Snapshot;
use zonesync_core::id::Position;

use super::Inner;
use crate::store::{Bytes, StoreError};

/// How many chunks are on their way at most. They are also what an abandoned read leaves behind.
const AHEAD_MAX: u32 = 4;

type Fetched = Result<Option<Bytes>, StoreError>;

/// The chunks that are likely to be asked for next.
#[derive(Debug, Default)]
pub(super) struct Ahead(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The newest snapshot that was seen: how far reading ahead goes.
    newest: Option<Snapshot>,
    /// Of which snapshot the chunks below are.
    position: Position,
    coming: VecDeque<(u32, Receiver<Fetched>)>,
}

impl Ahead {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the snapshot that a head names.
    pub(super) fn know(&self, newest: Option<Snapshot>) {
        self.lock().newest = newest;
    }
}

impl State {
    /// Takes a chunk that is on its way, and lets go of what stands before it.
    fn take(&mut self, position: Position, number: u32) -> Option<Receiver<Fetched>> {
        if self.position != position {
            self.coming.clear();
            self.position = position;
        }
        while let Some((coming, fetched)) = self.coming.pop_front() {
            if coming == number {
                return Some(fetched);
            }
        }
        None
    }

    /// Gives the numbers that are now to be fetched.
    fn wanted(&self, number: u32) -> std::ops::Range<u32> {
        let chunks = match self.newest {
            Some(newest) if newest.position == self.position => newest.chunks,
            _ => 0,
        };
        let from = self.coming.back().map_or(number, |(coming, _)| *coming).saturating_add(1);
        from..number.saturating_add(1 + AHEAD_MAX).min(chunks)
    }
}

impl Inner {
    pub(super) async fn chunk(self: &Arc<Self>, position: Position, number: u32) -> Fetched {
        let coming = {
            let mut state = self.ahead.lock();
            let coming = state.take(position, number);
            for number in state.wanted(number) {
                let fetched = self.fetch_aside(position, number);
                state.coming.push_back((number, fetched));
            }
            coming
        };
        match coming {
            // Its task may have gone with its host.
            Some(coming) => match coming.recv().await {
                Ok(fetched) => fetched,
                Err(_) => self.fetch(position, number).await,
            },
            None => self.fetch(position, number).await,
        }
    }

    fn fetch_aside(self: &Arc<Self>, position: Position, number: u32) -> Receiver<Fetched> {
        let (done, fetched) = async_channel::bounded(1);
        let inner = Arc::downgrade(self);
        self.runtime.spawn(Box::pin(async move {
            if let Some(inner) = inner.upgrade() {
                // Whoever does not wait for it any more needs it no more.
                let _ = done.send(inner.fetch(position, number).await).await;
            }
        }));
        fetched
    }
}
