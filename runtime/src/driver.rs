//! Runs [`zonesync_core::node`]: carries out its steps and hands it what came of them.
//!
//! One task owns the node and waits for whatever comes first: an answer at the lease, the end of a
//! step, a change of store or repository, a moment, a wish. Steps run in tasks of their own, so that
//! a long one never delays a renewal. One step at a time owns the `Work`, and hands it back.

mod difference;
mod facts;
mod lease;
mod load;
mod publish;
mod step;
mod work;

pub(crate) use facts::{Board, Facts};

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_channel::Receiver;
use futures_lite::FutureExt;
use tracing::Instrument;
use zonesync_core::election::{Loss, Role, Seen};
use zonesync_core::node::{Event, LogSeen, Node, Step};
use zonesync_core::removal::Token;
use zonesync_core::time::Duration;

use self::lease::{Asker, LeaseOutcome};
use self::step::{Notes, Outcome, Tools};
use self::work::Work;
use crate::state::Writer;

type Wait<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// How long a node leaves the lease to others after it was made to step down, in TTLs.
const STEP_DOWN_TTLS: u32 = 3;

/// What a user asks of a running node.
#[derive(Debug)]
pub(crate) enum Request {
    Stop,
    StepDown(async_channel::Sender<bool>),
    Confirm(Token),
}

/// What the driver waits for.
#[expect(clippy::large_enum_variant, reason = "one at a time")]
enum Signal {
    Lease(LeaseOutcome),
    Step(Option<Box<(Work, Outcome, Notes)>>),
    StoreMoved,
    RepositoryChanged,
    Request(Option<Request>),
    Time,
}

/// One node, being driven.
pub(crate) struct Driver {
    pub(crate) node: Node,
    asker: Asker,
    tools: Tools,
    board: Arc<Board>,
    requests: Receiver<Request>,
    poll: Duration,
    work: Option<Work>,
    lease: Option<Wait<LeaseOutcome>>,
    step: Option<Receiver<(Work, Outcome, Notes)>>,
    store_watch: Option<(Seen, Wait<bool>)>,
    repository_watch: Option<Wait<()>>,
    confirmed: Option<Token>,
    discard: bool,
    stopping: bool,
}

/// What a driver is made of.
pub(crate) struct Made {
    pub(crate) node: Node,
    pub(crate) name: zonesync_core::id::NodeId,
    pub(crate) instance: zonesync_core::id::InstanceId,
    pub(crate) parts: crate::node::Parts,
    pub(crate) writer: Writer,
    pub(crate) board: Arc<Board>,
    pub(crate) requests: Receiver<Request>,
    pub(crate) incarnation: u128,
}

impl Driver {
    pub(crate) fn new(made: Made) -> Self {
        let Made { node, name, instance, parts, writer, board, requests, incarnation } = made;
        let options = parts.options;
        Self {
            node,
            asker: Asker { node: name, instance, ttl: options.ttl },
            tools: Tools {
                store: parts.store,
                repository: parts.repository,
                runtime: parts.runtime,
                filter: options.filter,
                incarnation,
            },
            board,
            requests,
            poll: options.poll,
            work: Some(Work::new(options.digest_key, writer)),
            lease: None,
            step: None,
            store_watch: None,
            repository_watch: None,
            confirmed: None,
            discard: false,
            stopping: false,
        }
    }

    /// Drives the node until it is stopped, or a step of it panicked.
    pub(crate) async fn run(mut self) {
        loop {
            self.turn();
            if self.stopping && self.lease.is_none() && self.node.role() != Role::Primary {
                break;
            }
            let signal = self.next().await;
            if !self.take(signal) {
                break;
            }
        }
        self.board.update(|facts| facts.stopped = true);
    }

    /// Lets time pass, begins what is due, tells what happened.
    fn turn(&mut self) {
        let now = self.tools.runtime.now();
        self.node.handle_timeout(now);
        self.tell();
        if self.lease.is_none()
            && let Some(command) = self.node.poll_lease()
        {
            self.lease = Some(self.begin_lease(command));
        }
        if let Some(mut work) = self.work.take() {
            if std::mem::take(&mut self.discard) {
                work.discard();
            }
            match self.node.poll_step(now) {
                Some(step) if !self.stopping => self.begin_step(step, work),
                _ => self.work = Some(work),
            }
        }
        self.watch();
        self.post();
    }

    fn begin_lease(&self, command: zonesync_core::election::Command) -> Wait<LeaseOutcome> {
        let (asker, report) = (self.asker.clone(), self.node.make_report());
        let acknowledged = self.node.acknowledged();
        let (store, runtime) = (self.tools.store.clone(), self.tools.runtime.clone());
        Box::pin(async move {
            lease::run(command, &asker, report, acknowledged, &*store, &*runtime).await
        })
    }

    fn begin_step(&mut self, step: Step, mut work: Work) {
        tracing::debug!(?step, "step");
        work.confirmed = self.confirmed.or(work.confirmed);
        let (held, tools) = (self.node.held().cloned(), self.tools.clone());
        let (done, ended) = async_channel::bounded(1);
        let task = async move {
            let (outcome, notes) = step::run(step, held, &mut work, &tools).await;
            // Nobody waits for it if the node was killed.
            let _ = done.send((work, outcome, notes)).await;
        };
        self.tools.runtime.spawn(Box::pin(task.in_current_span()));
        self.step = Some(ended);
    }

    /// Keeps the watches on store and repository as the node wants them.
    fn watch(&mut self) {
        // A node that is busy looks again by itself; the wait goes on until it names other things.
        match self.node.watching() {
            Some(seen) if self.store_watch.as_ref().is_none_or(|(old, _)| *old != seen) => {
                self.store_watch = Some((seen, self.watch_store(seen)));
            }
            None if self.node.role() == Role::Primary => self.store_watch = None,
            _ => {}
        }
        if !self.node.watches_repository() {
            self.repository_watch = None;
        } else if self.repository_watch.is_none() {
            self.repository_watch =
                self.tools.repository.clone().map(|repository| {
                    Box::pin(async move { repository.changed().await }) as Wait<()>
                });
        }
    }

    fn watch_store(&self, seen: Seen) -> Wait<bool> {
        let (store, runtime, poll) =
            (self.tools.store.clone(), self.tools.runtime.clone(), self.poll);
        Box::pin(async move {
            let begun = runtime.now();
            let answer = store.wait(seen, poll * 10).await;
            if answer.is_err() {
                runtime.sleep(poll).await;
            }
            answer.is_ok() && runtime.now().since(begun) < poll * 10
        })
    }

    /// Waits for whatever comes first.
    async fn next(&mut self) -> Signal {
        let now = self.tools.runtime.now();
        let due = self.node.poll_timeout();
        let pause = due.map_or(self.poll, |at| at.since(now));
        let mut timer = self.tools.runtime.sleep(pause);
        let mut request = Box::pin(self.requests.recv());
        let mut ended = self.step.clone().map(|step| Box::pin(async move { step.recv().await }));
        let (lease, store, repository) =
            (&mut self.lease, &mut self.store_watch, &mut self.repository_watch);
        std::future::poll_fn(|context| {
            if let Some(outcome) = poll_slot(lease, context) {
                return Poll::Ready(Signal::Lease(outcome));
            }
            if let Some(ended) = &mut ended
                && let Poll::Ready(done) = ended.poll(context)
            {
                return Poll::Ready(Signal::Step(done.ok().map(Box::new)));
            }
            if let Poll::Ready(request) = request.poll(context) {
                return Poll::Ready(Signal::Request(request.ok()));
            }
            if let Some((_, watch)) = store
                && let Poll::Ready(moved) = watch.poll(context)
            {
                *store = None;
                return Poll::Ready(if moved { Signal::StoreMoved } else { Signal::Time });
            }
            if poll_slot(repository, context).is_some() {
                return Poll::Ready(Signal::RepositoryChanged);
            }
            timer.poll(context).map(|()| Signal::Time)
        })
        .await
    }

    /// Hands a signal to the node. Gives false if the node cannot go on.
    fn take(&mut self, signal: Signal) -> bool {
        let now = self.tools.runtime.now();
        match signal {
            Signal::Lease(outcome) => self.take_lease(outcome),
            Signal::Step(Some(ended)) => {
                let (work, outcome, notes) = *ended;
                self.step = None;
                self.take_step(work, outcome, notes);
            }
            Signal::Step(None) => {
                tracing::error!("a background task has failed; the sync stops, lookups go on");
                let why = "a background task panicked".to_owned();
                self.board.update(|facts| facts.failed = Some(why));
                return false;
            }
            Signal::StoreMoved => self.node.handle_wake(now),
            Signal::RepositoryChanged => self.node.handle_repository_changed(),
            Signal::Request(Some(Request::StepDown(reply))) => {
                let held = self.node.step_down(now, self.asker.ttl * STEP_DOWN_TTLS);
                let _ = reply.try_send(held);
            }
            Signal::Request(Some(Request::Confirm(token))) => {
                self.confirmed = Some(token);
                self.node.want_full_read();
            }
            Signal::Request(Some(Request::Stop) | None) => {
                self.stopping = true;
                self.node.stop(now);
            }
            Signal::Time => {}
        }
        true
    }

    fn take_lease(&mut self, outcome: LeaseOutcome) {
        let now = self.tools.runtime.now();
        match outcome {
            LeaseOutcome::Looked { lease, newest, live } => {
                self.node.handle_look(now, lease.as_ref(), newest, &live);
            }
            LeaseOutcome::Acquired(answer) => self.node.handle_acquired(now, answer),
            LeaseOutcome::Renewed { answer, claims, live } => {
                self.node.handle_renewed(now, answer, &claims, &live);
            }
            LeaseOutcome::Released => self.node.handle_released(now),
            LeaseOutcome::Failed(error) => {
                tracing::debug!(%error, "no answer at the lease");
                let notes = Notes { store_error: Some(error.to_string()), ..Notes::default() };
                let wall = self.tools.runtime.wall_now();
                self.board.update(|facts| facts.note(notes, wall));
                self.node.handle_lease_failure(now);
            }
        }
    }

    fn take_step(&mut self, mut work: Work, outcome: Outcome, notes: Notes) {
        let now = self.tools.runtime.now();
        let wall = self.tools.runtime.wall_now();
        let mut counted = Counted::default();
        match outcome {
            Outcome::Log(log) => {
                let entries: Vec<_> = work.entries.iter().map(|entry| entry.meta).collect();
                let head = log.head.as_deref();
                let seen = LogSeen { term: log.term, head, entries: &entries, gap: log.gap };
                self.node.handle_log(now, seen);
            }
            Outcome::Applied(applied, held) => {
                counted.applied = applied;
                self.node.handle_applied(now, held.map(|held| *held));
            }
            Outcome::Loaded(loaded) => {
                let loaded = loaded.map(|loaded| *loaded);
                self.node
                    .handle_loaded(now, loaded.as_ref().map(|(head, held)| (head, held.clone())));
            }
            Outcome::Installed => self.node.handle_installed(now),
            Outcome::Raised(epoch) => self.node.handle_raised(now, epoch),
            Outcome::Written(write) => self.node.handle_written(now, write),
            Outcome::Repository(difference) => self.node.handle_repository(now, difference),
            Outcome::Published { write, bytes, remaining, digest } => {
                counted.published = u64::from(write == zonesync_core::node::Write::Done);
                self.node.handle_published(now, write, bytes, remaining, &digest);
            }
            Outcome::Snapshot { write, bytes, held } => {
                self.node.handle_snapshot(now, write, bytes, held.map(|held| *held));
            }
            Outcome::StoreFailed => self.node.handle_step_failure(now),
        }
        // A position can move although nothing changes: a term was opened, a store was restored.
        if let Some(held) = self.node.held()
            && held.position != work.writer.view().position()
        {
            work.writer.move_to(held.position);
        }
        self.board.update(|facts| {
            facts.note(notes, wall);
            facts.hold(&work.guard, work.short);
            facts.counters.applied += counted.applied;
            facts.counters.published += counted.published;
        });
        if self.confirmed.is_some() && work.guard.held().next().is_none() && work.short.is_none() {
            self.confirmed = None;
            work.confirmed = None;
        }
        self.work = Some(work);
    }

    /// Tells what happened, through tracing and counters.
    fn tell(&mut self) {
        while let Some(event) = self.node.poll_event() {
            match event {
                Event::Won(term) => {
                    tracing::info!(%term, "election: this node is primary");
                    self.board.update(|facts| facts.counters.reigns += 1);
                }
                Event::Lost(term, why) => {
                    self.discard = true;
                    match why {
                        Loss::Released => tracing::info!(%term, "election: lease given back"),
                        _ => {
                            tracing::warn!(%term, ?why, "election: this node is primary no longer")
                        }
                    }
                }
                Event::Opened(position) => tracing::info!(%position, "publish: reign begun"),
                Event::Ready(position) => tracing::info!(%position, "ready"),
                Event::Healing(position) => {
                    tracing::info!(%position, "heal: loading a snapshot");
                    self.board.update(|facts| facts.counters.heals += 1);
                }
                Event::Raised(position) => {
                    tracing::warn!(%position, "heal: the store lost this position; claimed it");
                }
                Event::Settled(claims) => tracing::info!(claims, "heal: claims settled"),
                Event::HeldShort => tracing::warn!("read: too few rows; a person must confirm"),
            }
        }
    }

    /// Posts how the node stands.
    fn post(&self) {
        let now = self.tools.runtime.now();
        let (role, standing) = (self.node.role(), self.node.standing(now));
        let epoch = self.node.seen();
        let term = self.node.held().map(|held| held.position.term).unwrap_or_default();
        let mut facts = self.board.facts();
        let news = facts.role != role
            || facts.standing.as_ref().is_none_or(|old| {
                (old.ready, old.in_sync, &old.primary)
                    != (standing.ready, standing.in_sync, &standing.primary)
            });
        facts.role = role;
        facts.term = zonesync_core::id::Term { epoch, ..term };
        facts.standing = Some(standing);
        facts.at = now;
        drop(facts);
        if news {
            self.board.update(|_| {});
        }
    }
}

/// What a step adds to the counters.
#[derive(Default)]
struct Counted {
    applied: u64,
    published: u64,
}

/// Polls what a slot holds, and empties it once that is done.
fn poll_slot<T>(slot: &mut Option<Wait<T>>, context: &mut Context<'_>) -> Option<T> {
    match slot.as_mut()?.poll(context) {
        Poll::Ready(done) => {
            *slot = None;
            Some(done)
        }
        Poll::Pending => None,
    }
}
