//! The election of one node, as a state machine.
//!
//! Hand in what the store answered and let time pass; carry out what [`Elector::poll_command`]
//! gives, one at a time; tell others what [`Elector::poll_event`] says. At most one command is under
//! way; its outcome comes back through one `handle_*`, a failed one through
//! [`Elector::handle_failure`]. A command that has become pointless meanwhile is replaced, never
//! joined, by the next; so an outcome that comes while a command waits is an old one, and moves
//! nothing.
//!
//! The holder counts its TTL from when it *sent* the request that the store granted, and acts for
//! nine tenths of it. A lease is taken from a holder only when the store says that it is over, or
//! when its stamp stood still for 4/3 TTL by one's own clock: then the store's clock has jumped.

use heapless::Deque;

use super::{Lease, LeaseStamp, Report};
use crate::bugs::{self, Bug};
use crate::id::{Epoch, InstanceId, Position, Term, TermId};
use crate::random::Random;
use crate::time::{Duration, Instant};

/// What does not change while a node runs.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Which start of the node.
    pub instance: InstanceId,
    /// How long a lease lasts.
    pub ttl: Duration,
    /// Whether the node may ever stand.
    pub candidate: bool,
    /// Makes this node's random numbers differ from others'.
    pub seed: u64,
}

/// A step at the store that the caller must take for us.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Leave a report and show the lease.
    Look,
    /// Ask for the lease and a new term.
    Acquire {
        /// The id of the new term.
        id: TermId,
        /// The highest epoch seen.
        known: Epoch,
        /// The lease that may be taken although it stands.
        still: Option<LeaseStamp>,
    },
    /// Prolong the lease of this term, with a report.
    Renew(Term),
    /// Give the lease of this term back.
    Release(Term),
}

/// What the caller must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// This node is primary.
    Won(Term),
    /// This node is primary no longer, and acts no longer.
    Lost(Term, Loss),
}

/// Why a reign ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The store has given a newer term.
    Fenced,
    /// The store lost something that it had acknowledged.
    Behind,
    /// The lease could not be prolonged in time.
    Expired,
    /// It was given back.
    Released,
}

/// What came of a request for the lease or of a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The lease is ours, for one TTL from when the request was sent.
    Granted(Term),
    /// It is another's.
    Refused,
    /// The store has given this epoch, which we did not know.
    Stale(Epoch),
    /// The store lost something.
    Behind,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Looks again at `look_at`.
    Following { look_at: Instant },
    /// Waits for the answer to a look.
    Looking,
    /// Will ask for the lease at `at`.
    Standing { at: Instant, still: Option<LeaseStamp> },
    /// Has asked; the first try was sent at `sent`. `again` is when to send the same once more.
    Asking { ask: Ask, sent: Instant, again: Option<Instant> },
    /// Holds the lease and acts until `until`. `sent` is when a renewal under way left.
    Leading { term: Term, until: Instant, renew_at: Instant, sent: Option<Instant> },
    /// Gives the lease back.
    Releasing,
}

/// A request for the lease. Each try repeats it as it was: with a newer `known`, a late try could
/// be given what the first one must not have any more.
#[derive(Clone, Copy, Debug)]
struct Ask {
    id: TermId,
    known: Epoch,
    still: Option<LeaseStamp>,
}

/// The election of one node.
#[derive(Clone, Debug)]
pub struct Elector {
    config: Config,
    random: Random,
    state: State,
    /// The highest epoch seen anywhere.
    known: Epoch,
    /// The host agrees, the format is readable, and whatever else is needed to be primary.
    willing: bool,
    /// Leaves the lease to others until then.
    stand_from: Instant,
    /// The lease as last seen, and since when it has looked just so.
    seen: Option<(InstanceId, Term, LeaseStamp, Instant)>,
    /// The term of the lease that stood at the last look; zero if none did.
    standing: Term,
    /// Since when the lease is free.
    free_since: Option<Instant>,
    command: Option<Command>,
    events: Deque<Event, 4>,
}

impl Elector {
    /// Starts as a follower that looks at once.
    pub fn new(config: Config, now: Instant) -> Self {
        Self {
            config,
            random: Random::new(config.seed),
            state: State::Following { look_at: now },
            known: Epoch(0),
            willing: true,
            stand_from: now,
            seen: None,
            standing: Term::default(),
            free_since: None,
            command: None,
            events: Deque::new(),
        }
    }

    /// Gives the term in which this node may act as primary at `now`.
    pub fn acting(&self, now: Instant) -> Option<Term> {
        match self.state {
            State::Leading { term, until, .. } if now < until || renews_late() => Some(term),
            _ => None,
        }
    }

    /// Gives the highest epoch seen.
    pub fn known(&self) -> Epoch {
        self.known
    }

    /// Says whether the node would stand if the lease were free.
    pub fn can_stand(&self) -> bool {
        (self.config.candidate || bugs::planted(Bug::ObserverStands)) && self.willing
    }

    /// Gives the instance that held the lease when it was last seen.
    pub fn holder(&self) -> Option<InstanceId> {
        self.seen.map(|(instance, ..)| instance)
    }

    /// Gives the term of the lease that stood at the last look, zero if none did; none while a
    /// newer answer is on its way.
    pub fn watching(&self) -> Option<Term> {
        matches!(self.state, State::Following { .. }).then_some(self.standing)
    }

    /// Takes in an epoch seen elsewhere, in a head or in an entry.
    pub fn handle_epoch(&mut self, epoch: Epoch) {
        self.known = self.known.max(epoch);
    }

    /// Takes in what a look showed. `own` is where this node's state stands.
    pub fn handle_look(
        &mut self,
        now: Instant,
        lease: Option<&Lease>,
        newest: Term,
        live: &[Report],
        own: Position,
    ) {
        self.handle_epoch(newest.epoch);
        if !matches!(self.state, State::Looking) || self.command.is_some() {
            return;
        }
        self.standing = lease.map_or(Term::default(), |lease| lease.term);
        self.state = match lease {
            Some(lease) => self.see_held(now, lease),
            None => self.see_free(now, live, own),
        };
    }

    fn see_held(&mut self, now: Instant, lease: &Lease) -> State {
        self.free_since = None;
        if lease.instance == self.config.instance {
            return self.see_own(now, lease);
        }
        let just_so = (lease.instance, lease.term, lease.stamp);
        let since = match self.seen {
            Some((instance, term, stamp, since)) if (instance, term, stamp) == just_so => since,
            _ => now,
        };
        self.seen = Some((lease.instance, lease.term, lease.stamp, since));
        let hasty = bugs::planted(Bug::ImpatientCandidate);
        let patience = if hasty { self.config.ttl / 10 } else { self.config.ttl * 4 / 3 };
        let still = now.since(since) >= patience && !bugs::planted(Bug::StillLeaseRespected);
        if still && self.may_stand(now) {
            return State::Standing { at: now, still: Some(lease.stamp) };
        }
        let soon = self.config.ttl / 50;
        let pause = lease.remaining.min(self.config.ttl / 3) + self.random.jitter(soon);
        State::Following { look_at: now + pause }
    }

    /// This very instance was given a lease and does not lead: the answer came too late, or not at
    /// all. It need not wait for the end of its own lease, and must not keep others waiting.
    fn see_own(&mut self, now: Instant, lease: &Lease) -> State {
        if self.may_stand(now) {
            return State::Standing { at: now, still: None };
        }
        self.command = Some(Command::Release(lease.term));
        State::Releasing
    }

    fn see_free(&mut self, now: Instant, live: &[Report], own: Position) -> State {
        let since = *self.free_since.get_or_insert(now);
        let former = self.holder();
        let better = |report: &Report| {
            report.can_stand
                && report.instance != self.config.instance
                && Some(report.instance) != former
                && report.position > own
        };
        let defer = now.since(since) < self.config.ttl && live.iter().any(better);
        if self.may_stand(now) && !defer {
            State::Standing { at: now + self.random.jitter(self.config.ttl / 200), still: None }
        } else {
            let pause = self.config.ttl / 12;
            State::Following { look_at: now + pause + self.random.jitter(pause) }
        }
    }

    /// Says how long a lease asked for at `sent` may be acted on.
    fn acts_until(&self, sent: Instant) -> Instant {
        let tenths = if bugs::planted(Bug::ActsPastLease) { 30 } else { 9 };
        sent + self.config.ttl * tenths / 10
    }

    fn may_stand(&self, now: Instant) -> bool {
        self.can_stand() && now >= self.stand_from
    }

    /// Takes in the answer to [`Command::Acquire`].
    pub fn handle_acquired(&mut self, now: Instant, answer: Answer) {
        let State::Asking { ask, sent, .. } = self.state else { return };
        if self.command.is_some() {
            return;
        }
        match answer {
            Answer::Granted(term) if term.id == ask.id => {
                self.handle_epoch(term.epoch);
                self.free_since = None;
                if !self.may_stand(now) {
                    // The mind was changed while the answer was on its way.
                    self.state = State::Releasing;
                    self.command = Some(Command::Release(term));
                    return;
                }
                let until = self.acts_until(sent);
                if now >= until {
                    // Too late to act on; the store ends the lease by itself.
                    self.look_at(now);
                    return;
                }
                let renew_at = sent + self.config.ttl / 3;
                self.state = State::Leading { term, until, renew_at, sent: None };
                self.push_event(Event::Won(term));
            }
            Answer::Stale(epoch) => {
                self.handle_epoch(epoch);
                self.look_at(now);
            }
            _ => {
                self.free_since = None;
                self.look_at(now + self.config.ttl / 12);
            }
        }
    }

    /// Takes in the answer to [`Command::Renew`].
    pub fn handle_renewed(&mut self, now: Instant, answer: Answer) {
        let State::Leading { term, until, sent: Some(sent), .. } = self.state else { return };
        if self.command.is_some() {
            return;
        }
        if now >= until && !renews_late() {
            // The answer came too late: others may have begun to act.
            self.lose(now, Loss::Expired);
            return;
        }
        match answer {
            Answer::Granted(_) => {
                let until = self.acts_until(sent);
                let renew_at = sent + self.config.ttl / 3;
                self.state = State::Leading { term, until, renew_at, sent: None };
                self.handle_timeout(now);
            }
            Answer::Behind => self.lose(now, Loss::Behind),
            Answer::Stale(epoch) => {
                self.handle_epoch(epoch);
                self.lose(now, Loss::Fenced);
            }
            Answer::Refused => self.lose(now, Loss::Fenced),
        }
    }

    /// Takes in that [`Command::Release`] was carried out or failed for good.
    pub fn handle_released(&mut self, now: Instant) {
        if matches!(self.state, State::Releasing) && self.command.is_none() {
            self.look_at(now + self.config.ttl / 3);
        }
    }

    /// Takes in that the command under way got no answer. It may have been carried out.
    pub fn handle_failure(&mut self, now: Instant) {
        if self.command.is_some() {
            return;
        }
        let again = now + self.config.ttl / 12 + self.random.jitter(self.config.ttl / 24);
        match &mut self.state {
            State::Looking => self.state = State::Following { look_at: again },
            State::Asking { again: at, .. } => *at = Some(again),
            State::Leading { renew_at, sent, .. } => {
                *sent = None;
                *renew_at = again;
            }
            State::Releasing => self.state = State::Following { look_at: again },
            State::Following { .. } | State::Standing { .. } => {}
        }
    }

    /// Looks as soon as possible: the lease was released, or something else happened to it.
    pub fn handle_wake(&mut self, now: Instant) {
        if let State::Following { look_at } = &mut self.state {
            *look_at = now;
            self.handle_timeout(now);
        }
    }

    /// Takes in that a write of `term` was refused.
    pub fn handle_refused(&mut self, now: Instant, term: Term, loss: Loss) {
        if matches!(self.state, State::Leading { term: own, .. } if own == term) {
            self.lose(now, loss);
        }
    }

    /// Lets time pass. Call it when [`Elector::poll_timeout`] is reached.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::Following { look_at } if now >= look_at => {
                self.look();
            }
            State::Standing { .. } if !self.may_stand(now) => self.look(),
            State::Standing { at, still } if now >= at => {
                let id = TermId(self.random.next_u128());
                self.ask(Ask { id, known: self.known, still }, now);
            }
            State::Asking { ask, sent, again: Some(again) } if now >= again => {
                if now.since(sent) > self.config.ttl / 2 || !self.may_stand(now) {
                    self.look();
                } else {
                    self.ask(ask, sent);
                }
            }
            State::Leading { until, .. } if now >= until && !renews_late() => {
                self.lose(now, Loss::Expired);
            }
            State::Leading { term, until, renew_at, sent: None } if now >= renew_at => {
                self.state = State::Leading { term, until, renew_at, sent: Some(now) };
                self.command = Some(Command::Renew(term));
            }
            _ => {}
        }
    }

    /// Says whether the node is willing to stand, now. One that is not gives its lease back.
    pub fn set_willing(&mut self, now: Instant, willing: bool) {
        self.willing = willing;
        if !willing {
            self.release(now);
        }
    }

    /// Gives the lease back and leaves it to others for `pause`. Returns whether it was held.
    pub fn step_down(&mut self, now: Instant, pause: Duration) -> bool {
        self.stand_from = now + pause;
        self.release(now)
    }

    fn release(&mut self, now: Instant) -> bool {
        let State::Leading { term, .. } = self.state else {
            // One that is about to ask thinks again.
            self.handle_timeout(now);
            return false;
        };
        self.lose(now, Loss::Released);
        if bugs::planted(Bug::HandoverWithoutRelease) {
            return true;
        }
        self.state = State::Releasing;
        self.command = Some(Command::Release(term));
        true
    }

    /// Gives the next step to take, if any.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.command.take()
    }

    /// Gives the next event, if any.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Says when [`Elector::handle_timeout`] is next worth calling.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Following { look_at } => Some(look_at),
            State::Standing { at, .. } => Some(at),
            State::Asking { again, .. } => again,
            State::Leading { renew_at, sent, .. } if renews_late() => {
                sent.is_none().then_some(renew_at)
            }
            State::Leading { until, sent: Some(_), .. } => Some(until),
            State::Leading { until, renew_at, sent: None, .. } => Some(until.min(renew_at)),
            State::Looking | State::Releasing => None,
        }
    }

    fn lose(&mut self, now: Instant, loss: Loss) {
        let State::Leading { term, .. } = self.state else { return };
        self.command = None;
        self.push_event(Event::Lost(term, loss));
        self.seen = None;
        self.standing = Term::default();
        self.free_since = None;
        // After a loss at the store this instance may hold the lease still, and asks for a new
        // term at once; after all others somebody else may have it.
        self.state = if loss == Loss::Behind && self.may_stand(now) {
            State::Standing { at: now, still: None }
        } else {
            State::Following { look_at: now + self.config.ttl / 12 }
        };
    }

    fn look_at(&mut self, at: Instant) {
        self.state = State::Following { look_at: at };
    }

    fn look(&mut self) {
        self.state = State::Looking;
        self.command = Some(Command::Look);
    }

    fn ask(&mut self, ask: Ask, sent: Instant) {
        self.state = State::Asking { ask, sent, again: None };
        let Ask { id, known, still } = ask;
        self.command = Some(Command::Acquire { id, known, still });
    }

    fn push_event(&mut self, event: Event) {
        if self.events.is_full() {
            // A caller that never polls keeps the newest.
            let _ = self.events.pop_front();
        }
        let _ = self.events.push_back(event);
    }
}

/// A bug, in whose place a lease that is over by one's own clock is given up.
fn renews_late() -> bool {
    bugs::planted(Bug::RenewsAfterExpiry)
}
