//! Runs [`zonesync_core::node`]: carries out its steps and hands it what came of them.
//!
//! One task owns the node and waits for whatever comes first: an answer at the lease, the end of a
//! step, a change of store or repository, a moment, a wish. Steps run in tasks of their own, so that
//! a long one never delays a renewal. One step at a time owns the `Work`, and hands it back.
//!
//! - `watch`: what is waited for. `running`: a step in its task. `tell`: events and facts.
//! - `step`: one step, with what it needs from `load`, `difference` and `publish`.
//! - `image`: the state on disk.
//! - `lease`: the steps at the lease, which wait for no other.

mod difference;
mod facts;
mod image;
mod lease;
mod load;
mod publish;
mod quarantine;
mod running;
mod step;
mod tell;
mod watch;
mod work;

pub(crate) use facts::{Board, Facts};

use std::sync::Arc;

use async_channel::Receiver;
use zonesync_core::election::Role;
use zonesync_core::id::Term;
use zonesync_core::node::{Difference, LogSeen, Node, Step};
use zonesync_core::removal::Token;
use zonesync_core::time::Duration;

use self::lease::{Asker, LeaseOutcome};
use self::running::{Ended, Running};
use self::step::{Notes, Outcome, Tools};
use self::watch::{Signal, Wait, Watches};
use self::work::Work;
use crate::image::{Identity, Keeper};
use crate::state::Writer;

/// How long a node leaves the lease to others after it was made to step down, in TTLs.
const STEP_DOWN_TTLS: u32 = 3;

/// How many confirmed tokens are remembered: of each kind one may be held, and one first load.
const CONFIRMED_MAX: usize = 64;

/// What a user asks of a running node.
#[derive(Debug)]
pub(crate) enum Request {
    Stop,
    StepDown(async_channel::Sender<bool>),
    Confirm(Token),
}

/// One node, being driven.
pub(crate) struct Driver {
    pub(crate) node: Node,
    asker: Asker,
    tools: Tools,
    board: Arc<Board>,
    requests: Receiver<Request>,
    poll: Duration,
    /// Boxed, since it goes from task to task.
    work: Option<Box<Work>>,
    lease: Option<Wait<LeaseOutcome>>,
    step: Option<Running>,
    watches: Watches,
    /// The newest term seen, with its id where that is known.
    newest: Term,
    /// What persons have confirmed, the newest last.
    confirmed: Vec<Token>,
    keeper: Option<Keeper>,
    image_age_max: Duration,
    /// The reign ended while a step had the work: it is discarded when it comes back.
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
        let keeper = parts.image.map(|disk| {
            let (digest_key, filter) = (options.digest_key, options.filter);
            let formats = options.formats;
            let own = Identity { zone: parts.zone, digest_key, filter, formats };
            Keeper::new(disk, own, parts.runtime.clone(), board.clone())
        });
        Self {
            node,
            asker: Asker { node: name, instance, ttl: options.ttl },
            tools: Tools {
                store: parts.store,
                repository: parts.repository,
                runtime: parts.runtime,
                filter: options.filter,
                formats: options.formats,
                incarnation,
            },
            board,
            requests,
            poll: options.poll,
            work: Some(Box::new(Work::new(options.digest_key, writer))),
            lease: None,
            step: None,
            watches: Watches::default(),
            newest: Term::default(),
            confirmed: Vec::new(),
            keeper,
            image_age_max: options.image_age_max,
            discard: false,
            stopping: false,
        }
    }

    /// Drives the node until it is stopped. A panic in a step stops it, too.
    pub(crate) async fn run(mut self) {
        self.begin_with_image().await;
        loop {
            self.turn();
            if self.stopping && self.lease.is_none() && self.node.role() != Role::Primary {
                break;
            }
            let signal = self.next().await;
            self.take(signal);
        }
        self.close_image().await;
        self.board.update(|facts| facts.stopped = true);
    }

    /// Lets time pass, begins what is due, tells what happened.
    fn turn(&mut self) {
        let now = self.tools.now();
        self.node.handle_timeout(now);
        if self.stopping {
            // Again, for the answer to a request that was under way may have won the lease.
            self.node.stop(now);
        }
        self.tell();
        self.keep_image();
        if self.lease.is_none()
            && let Some(command) = self.node.poll_lease()
        {
            self.lease = Some(self.begin_lease(command));
        }
        if !self.stopping
            && let Some(work) = self.work.take()
        {
            match self.node.poll_step(now) {
                Some(step) => self.begin_step(step, work),
                None => self.work = Some(work),
            }
        }
        self.watch(now);
        self.post(now);
    }

    fn begin_lease(&self, command: zonesync_core::election::Command) -> Wait<LeaseOutcome> {
        let (asker, report) = (self.asker.clone(), self.node.make_report());
        let acknowledged = self.node.acknowledged();
        let (store, runtime) = (self.tools.store.clone(), self.tools.runtime.clone());
        Box::pin(async move {
            lease::run(command, &asker, report, acknowledged, &*store, &*runtime).await
        })
    }

    fn begin_step(&mut self, step: Step, mut work: Box<Work>) {
        tracing::debug!(?step, "step");
        work.confirmed.clone_from(&self.confirmed);
        self.step = Some(Running::begin(step, self.node.held(), work, &self.tools));
    }

    /// Hands a signal to the node.
    fn take(&mut self, signal: Signal) {
        let now = self.tools.now();
        match signal {
            Signal::Lease(outcome) => self.take_lease(outcome),
            Signal::Step(ended) => {
                self.step = None;
                match ended {
                    Ended::Done(done) => {
                        let (work, outcome, notes) = *done;
                        self.take_step(work, outcome, notes);
                    }
                    Ended::Panicked => self.fail("a background task panicked"),
                    Ended::Dropped => self.fail("a background task was dropped by its host"),
                }
            }
            Signal::StoreMoved => self.node.handle_wake(now),
            Signal::RepositoryChanged => self.node.handle_repository_changed(),
            Signal::Request(Some(Request::StepDown(reply))) => {
                let held = self.node.step_down(now, self.asker.ttl * STEP_DOWN_TTLS);
                let _ = reply.try_send(held);
            }
            Signal::Request(Some(Request::Confirm(token))) => {
                if self.confirmed.len() == CONFIRMED_MAX {
                    self.confirmed.remove(0);
                }
                self.confirmed.push(token);
                self.node.want_full_read();
            }
            Signal::Request(Some(Request::Stop) | None) => {
                self.stopping = true;
                self.node.stop(now);
            }
            Signal::Time => {}
        }
    }

    /// Ends the sync for good: the lease is given back, lookups go on.
    fn fail(&mut self, why: &str) {
        tracing::error!(why, "the sync stops, lookups go on");
        self.board.update(|facts| facts.failed = Some(why.to_owned()));
        self.stopping = true;
    }

    fn take_lease(&mut self, outcome: LeaseOutcome) {
        let (now, wall) = (self.tools.now(), self.tools.runtime.wall_now());
        let error = match &outcome {
            LeaseOutcome::Failed(error) => Some(error.to_string()),
            _ => None,
        };
        self.board.update(|facts| facts.note_lease(error, wall));
        match outcome {
            LeaseOutcome::Looked { lease, newest, live } => {
                self.see_term(newest);
                self.board.facts().live = live.as_slice().into();
                self.node.handle_look(now, lease.as_ref(), newest, &live);
            }
            LeaseOutcome::Acquired(answer) => self.node.handle_acquired(now, answer),
            LeaseOutcome::Renewed { answer, claims, live } => {
                if !live.is_empty() {
                    self.board.facts().live = live.as_slice().into();
                }
                self.node.handle_renewed(now, answer, &claims, &live);
            }
            LeaseOutcome::Released => self.node.handle_released(now),
            LeaseOutcome::Failed(error) => {
                tracing::debug!(%error, "no answer at the lease");
                self.node.handle_lease_failure(now);
            }
        }
    }

    fn take_step(&mut self, mut work: Box<Work>, outcome: Outcome, notes: Notes) {
        let now = self.tools.now();
        let wall = self.tools.runtime.wall_now();
        if std::mem::take(&mut self.discard) {
            // A state that was loaded meanwhile belongs to no reign.
            let staged = work.staged.take().filter(|_| matches!(outcome, Outcome::Loaded(Some(_))));
            work.discard();
            work.staged = staged;
        }
        let mut counted = Counted::default();
        match outcome {
            Outcome::Log(log) => {
                self.see_term(log.term);
                let entries: Vec<_> = work.entries.iter().map(|entry| entry.meta).collect();
                let head = log.head.as_deref();
                let seen = LogSeen {
                    term: log.term,
                    head,
                    entries: &entries,
                    gap: log.gap,
                    log_bytes: log.bytes,
                };
                self.node.handle_log(now, seen);
            }
            Outcome::Applied(applied, held) => {
                counted.applied = applied;
                self.node.handle_applied(now, held.map(|held| *held));
            }
            Outcome::Loaded(loaded) => {
                let loaded = loaded.as_deref();
                let loaded = loaded.map(|(epoch, head, held)| (*epoch, head, held.clone()));
                self.node.handle_loaded(now, loaded);
            }
            Outcome::Installed => self.node.handle_installed(now),
            Outcome::Forgotten => self.node.handle_forgotten(now),
            Outcome::Raised(epoch) => self.node.handle_raised(now, epoch),
            Outcome::Written(write) => self.node.handle_written(now, write),
            Outcome::Repository(difference) => self.node.handle_repository(now, difference),
            Outcome::Abandoned => {
                self.node.handle_repository(now, Difference::Failed);
                // The source may take for read what nobody looked at.
                self.node.want_full_read();
            }
            Outcome::Published { write, bytes, remaining, digest } => {
                counted.published = u64::from(write == zonesync_core::node::Write::Done);
                self.node.handle_published(now, write, bytes, remaining, &digest);
            }
            Outcome::Snapshot { write, bytes, held } => {
                self.node.handle_snapshot(now, write, bytes, held.map(|held| *held));
            }
            Outcome::Unreadable(format) => self.node.handle_unreadable(now, format),
            Outcome::StoreFailed => {
                self.watches.rest(now + self.poll / 4);
                self.node.handle_step_failure(now);
            }
        }
        self.watches.again = notes.read_again;
        if let Some(held) = self.node.held() {
            work.arrive(held.position);
        }
        // A position can move although nothing changes: a term was opened, a store was restored.
        if let Some(held) = self.node.held()
            && held.position != work.writer.view().position()
        {
            work.writer.move_to(held.position);
        }
        self.board.update(|facts| {
            facts.note(notes, wall);
            facts.hold(&work.guard, work.short, work.quarantine.listed());
            facts.counters.applied += counted.applied;
            facts.counters.published += counted.published;
        });
        if work.guard.held().next().is_none() && work.short.is_none() {
            self.confirmed.clear();
        }
        self.work = Some(work);
    }

    fn see_term(&mut self, term: Term) {
        if term.epoch >= self.newest.epoch {
            self.newest = term;
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Whoever waits for an answer must hear that none will come.
        self.requests.close();
        while self.requests.try_recv().is_ok() {}
    }
}

/// What a step adds to the counters.
#[derive(Default)]
struct Counted {
    applied: u64,
    published: u64,
}
