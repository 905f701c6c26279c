//! One node and one store, for tests of single rules.

use std::vec::Vec;

use super::host::{Ask, Host};
use super::store::{State, Store};
use crate::election::{Answer, Command, Report};
use crate::id::{Epoch, Position, Sequence, Term, TermId};
use crate::node::{Difference, Event, Node, Step};
use crate::random::Random;
use crate::time::{Duration, Instant};

/// A position that no store of these tests knows.
pub(super) fn lost(sequence: u64) -> Position {
    let term = Term { epoch: Epoch(1), id: TermId(99) };
    Position { term, sequence: Sequence(sequence) }
}

/// A node that is driven by hand, or by itself until something that a test waits for.
pub(super) struct Alone {
    pub(super) host: Host,
    pub(super) store: Store,
    pub(super) now: Instant,
    pub(super) term: Term,
    /// What the repository holds.
    pub(super) truth: State,
}

impl Alone {
    /// Lets a node begin, on a store of its own, until it is a primary that waits for changes.
    pub(super) fn steady() -> Self {
        let mut alone = Self::begin();
        while !alone.host.node.watches_repository() || !alone.host.lanes[0].is_free() {
            alone.step();
        }
        // The first snapshot is followed by a trim.
        (0..3).for_each(|_| alone.step());
        alone.term = alone.host.node.held().expect("it holds a state").position.term;
        alone.events();
        alone
    }

    /// A node that has just begun, on a store of its own.
    pub(super) fn begin() -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        Self {
            host: Host::new(1, true, 1, now),
            store: Store::default(),
            now,
            term: Term::default(),
            truth: State::from([(1, 1), (2, 2)]),
        }
    }

    pub(super) fn step(&mut self) {
        self.step_until(|_| false);
    }

    /// Carries out what is due, but for a step that `stop` picks: that is left under way.
    fn step_until(&mut self, stop: impl Fn(&Step) -> bool) -> bool {
        self.host.node.handle_timeout(self.now);
        let asks = self.host.begin(self.now, &mut Random::new(1));
        let begun = asks[1].is_some();
        let stopped = begun && self.host.step.as_ref().is_some_and(stop);
        for (lane, ask) in asks.into_iter().enumerate() {
            let mut next: Option<Ask> = ask.filter(|_| lane == 0 || !stopped);
            while let Some(ask) = next {
                let told = ask.carry_out(self.now, &mut self.store, &self.truth);
                next = self.host.take(self.now, lane, told);
            }
        }
        self.now = self.now + Duration::from_millis(1);
        stopped
    }

    /// Drives the node until it begins a step that `stop` picks. Whoever calls answers it.
    pub(super) fn run_until(&mut self, stop: impl Fn(&Step) -> bool) -> Step {
        for _ in 0..20_000 {
            if self.step_until(&stop) {
                return self.host.step.take().expect("a step is under way");
            }
        }
        panic!("no such step comes");
    }

    /// Drives the node until it waits for changes again, as primary.
    pub(super) fn settle(&mut self) {
        for _ in 0..20_000 {
            self.step();
            let steady = self.host.node.watches_repository() && self.host.lanes[0].is_free();
            if steady && self.host.lanes[1].is_free() {
                return;
            }
        }
        panic!("it never settles");
    }

    pub(super) fn node(&mut self) -> &mut Node {
        &mut self.host.node
    }

    pub(super) fn next(&mut self) -> Option<Step> {
        let now = self.now;
        self.host.node.poll_step(now)
    }

    pub(super) fn events(&mut self) -> Vec<Event> {
        core::iter::from_fn(|| self.host.node.poll_event()).collect()
    }

    /// Sends a renewal and answers it with these claims and reports.
    pub(super) fn renew(&mut self, claims: &[Position], live: &[Report]) {
        let mut due = self.host.node.poll_lease();
        while due.is_none() {
            // Something else may be due all the while.
            let soon = self.now + Duration::from_millis(1);
            self.now = self.host.node.poll_timeout().expect("a renewal is due").max(soon);
            self.host.node.handle_timeout(self.now);
            due = self.host.node.poll_lease();
        }
        assert_eq!(due, Some(Command::Renew(self.term)));
        let (now, term) = (self.now, self.term);
        self.host.node.handle_renewed(now, Answer::Granted(term), claims, live);
    }

    /// Answers a read with one change, or with none.
    pub(super) fn read_gives(&mut self, changes: usize, complete: bool) {
        let now = self.now;
        let difference = Difference::Pending { changes, complete, head: false };
        self.node().handle_repository(now, difference);
    }

    pub(super) fn is_full_read(&mut self) -> bool {
        match self.next() {
            Some(Step::ReadRepository { since, .. }) => since.is_none(),
            other => panic!("no read: {other:?}"),
        }
    }
}
