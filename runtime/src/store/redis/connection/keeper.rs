//! Keeps the connection of one lane: makes it when it is wanted, and anew when it was lost.
//!
//! Connecting is a task of its own, so that a caller who leaves does not end it. After a failure the
//! lane rests, for longer each time. A caller waits for a connect under way, and for the end of a
//! rest, but never beyond his own limit; one failed connect is his answer.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_channel::Receiver;
use futures_lite::future::or;
use tracing::{debug, info, warn};
use zonesync_core::time::{Duration, Instant};

use super::line::Line;
use super::{Common, Inner, Lane, within};
use crate::store::StoreError;

/// The first rest.
const REST: Duration = Duration::from_millis(10);
/// How often a rest doubles: up to 1.28 s, for a zone has to be itself again soon after its store is.
const DOUBLINGS: u32 = 7;
/// How often it doubles while we are refused: up to 10.24 s, since that takes a person to change.
const DOUBLINGS_DENIED: u32 = 10;

/// Keeps the connection of one lane.
pub(super) struct Keeper {
    lane: Lane,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    line: Option<Arc<Line>>,
    /// A connect under way; closed when it is over.
    attempt: Option<Receiver<Infallible>>,
    /// Connects that failed, or led to nothing, one after another.
    failures: u32,
    rest_until: Instant,
    error: Option<StoreError>,
    /// What was last told of failures.
    told: Option<String>,
}

/// What a caller does next.
enum Next {
    Use(Arc<Line>),
    Await(Receiver<Infallible>),
    Rest(Instant),
    Fail(StoreError),
}

impl Keeper {
    pub(super) fn new(lane: Lane) -> Self {
        Self { lane, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the connection, once there is one.
    pub(super) async fn line(
        &self,
        inner: &Arc<Inner>,
        deadline: Instant,
    ) -> Result<Arc<Line>, StoreError> {
        let runtime = &inner.common.runtime;
        let mut tried = false;
        loop {
            match self.next(inner, deadline, tried) {
                Next::Use(line) => return Ok(line),
                Next::Fail(error) => return Err(error),
                Next::Rest(until) => runtime.sleep(until.since(runtime.now())).await,
                Next::Await(attempt) => {
                    tried = true;
                    let left = deadline.since(runtime.now());
                    let over = async { attempt.recv().await.is_err() };
                    if !within(runtime, left, over, || false).await {
                        let last = self.state().error.clone();
                        return Err(last.unwrap_or_else(|| {
                            StoreError::Unavailable(inner.common.route.way(&inner.common))
                        }));
                    }
                }
            }
        }
    }

    fn next(&self, inner: &Arc<Inner>, deadline: Instant, tried: bool) -> Next {
        let common = &inner.common;
        let now = common.runtime.now();
        let mut state = self.state();
        match &state.line {
            Some(line) if line.is_open() => return Next::Use(Arc::clone(line)),
            Some(_) => state.lost(common, now),
            None => {}
        }
        match &state.attempt {
            Some(attempt) if !attempt.is_closed() => return Next::Await(attempt.clone()),
            // Its task was dropped, or it panicked.
            Some(_) => {
                let error = StoreError::Unavailable("the task that connects was ended".to_owned());
                state.failed(common, now, error);
            }
            None => {}
        }
        match &state.error {
            Some(error) if tried => Next::Fail(error.clone()),
            Some(error) if state.rest_until > deadline => Next::Fail(error.clone()),
            Some(_) if state.rest_until > now => Next::Rest(state.rest_until),
            _ => Next::Await(self.attempt(inner, &mut state)),
        }
    }

    /// Starts to connect.
    fn attempt(&self, inner: &Arc<Inner>, state: &mut State) -> Receiver<Infallible> {
        let (tell, attempt) = async_channel::bounded(1);
        state.attempt = Some(attempt.clone());
        let (lane, common) = (self.lane, Arc::clone(&inner.common));
        let (weak, stopped) = (Arc::downgrade(inner), inner.common.stopped.clone());
        let task = async move {
            let connected = async { Some(connect(&common, lane).await) };
            let stop = async {
                let _ = stopped.recv().await;
                None
            };
            let outcome = or(connected, stop).await;
            if let (Some(outcome), Some(inner)) = (outcome, weak.upgrade()) {
                inner.keeper(lane).done(&inner, outcome);
            }
            drop(tell);
        };
        inner.common.runtime.spawn(Box::pin(task));
        attempt
    }

    /// Takes in what came of connecting.
    fn done(&self, inner: &Inner, outcome: Result<Line, StoreError>) {
        let common = &inner.common;
        let lane = self.lane.name();
        let mut state = self.state();
        state.attempt = None;
        match outcome {
            Ok(line) => {
                info!(lane, server = %line.address, version = %line.facts, "connected to redis");
                let before = common.route.arrived(&line.address);
                let address = line.address.clone();
                state.line = Some(Arc::new(line));
                state.error = None;
                state.told = None;
                drop(state);
                if let Some(before) = before {
                    info!(%before, now = %address, "the zone is on another server");
                    inner.leave_others(&address);
                }
            }
            Err(error) => {
                common.route.was_wrong();
                let text = error.to_string();
                if state.told.as_ref() == Some(&text) {
                    debug!(lane, %error, failures = state.failures, "cannot connect");
                } else {
                    warn!(lane, %error, "cannot connect");
                    state.told = Some(text);
                }
                state.failed(common, common.runtime.now(), error);
            }
        }
    }

    /// Gives the connection, if there is one now.
    pub(super) fn current(&self) -> Option<Arc<Line>> {
        self.state().line.clone()
    }
}

impl State {
    /// Takes in that the line is closed.
    fn lost(&mut self, common: &Common, now: Instant) {
        let Some(line) = self.line.take() else { return };
        if line.is_proved() {
            self.failures = 0;
        } else {
            let why = format!("lost the connection to {}: {}", line.address, line.reason());
            self.failed(common, now, StoreError::Unavailable(why));
        }
    }

    /// Takes in a failure: the next try comes later than the last.
    fn failed(&mut self, common: &Common, now: Instant, error: StoreError) {
        self.attempt = None;
        let doublings = if error.is_transient() { DOUBLINGS } else { DOUBLINGS_DENIED };
        let rest = REST * 2u32.pow(self.failures.min(doublings));
        self.failures = self.failures.saturating_add(1);
        // Between half of it and all, so that many nodes do not come at once.
        let chance = u32::try_from(common.runtime.random() & 0xffff).unwrap_or_default();
        self.rest_until = now + rest / 2 + rest / 2 * chance / 0xffff;
        self.error = Some(error);
    }
}

/// Finds the server and connects to it.
async fn connect(common: &Common, lane: Lane) -> Result<Line, StoreError> {
    let address = common.route.find(common).await?;
    let line = Line::open(common, lane, address).await?;
    if line.facts.replica {
        return Err(StoreError::Unavailable(format!(
            "{} is a replica, and the zone needs the master",
            line.address
        )));
    }
    Ok(line)
}
