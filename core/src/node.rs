//! One node of a zone: what to read, publish and apply next.
//!
//! Drive it like this. Carry out the elector's commands ([`Node::poll_lease`]) and the node's steps
//! ([`Node::poll_step`]) beside each other; of each at most one is under way. Hand in what came of
//! them, and time, through `handle_*`. When no step is due, watch the store for a head other than
//! the one in [`Node::watching`] and, as primary, the repository for changes.
//!
//! The node knows positions, lists and digests. The entities are the driver's: it holds the node's
//! own state, a *staged* state loaded beside it, and the *pending* difference that is being
//! published. Every step says which of them it means.
//!
//! - [`follow`](self) of a secondary: read, apply, load, raise.
//! - `image`: what a node held before it was started again.
//! - `formats`: nodes of several versions in one zone.
//! - reign of a primary: take over, open, read the repository, publish, snapshot, settle.

mod follow;
mod formats;
mod image;
mod reign;
mod report;
mod takeover;
mod writes;

pub use report::{Event, Reason, Standing};

use heapless::Deque;

use crate::bugs::{self, Bug};
use crate::digest::Digest;
use crate::election::{self, Answer, Elector, Lease, Report, Role, Seen};
use crate::format::{BatchMeta, Filter, FormatRange, Head, Snapshot, Source};
use crate::history::{CLAIMS_MAX, TermList};
use crate::id::{Epoch, NodeId, Position, Term};
use crate::time::{Duration, Instant};

use reign::Reign;

/// Claims that a full read settles.
pub type Settled = heapless::Vec<Position, CLAIMS_MAX>;

/// What does not change while a node runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node's name.
    pub node: NodeId,
    /// How it stands for election.
    pub election: election::Config,
    /// How often it looks for what no push told it.
    pub poll: Duration,
    /// How often a primary reads the whole repository.
    pub full_read: Duration,
    /// What it reads the repository with.
    pub filter: Filter,
    /// The formats that it reads and writes.
    pub formats: FormatRange,
    /// A log of fewer bytes than this needs no new snapshot.
    pub log_min: u64,
    /// Whether a state that may not be the zone's makes the node ready, marked stale: an image, or a
    /// head with open claims.
    pub stale_ready: bool,
}

/// A state that a node holds, as far as the rules need to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Where it stands.
    pub position: Position,
    /// The reigns behind it.
    pub list: TermList,
    /// Its counts and sums.
    pub digest: Digest,
    /// How far it had come with the repository.
    pub source: Source,
}

/// Which of the driver's states a step means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// The node's own, which answers lookups.
    Own,
    /// The one loaded beside it.
    Staged,
}

/// A step that the driver must take. One is under way at a time.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read head and log after this position. Answer: [`Node::handle_log`].
    Read {
        /// The place to read on from.
        after: Position,
    },
    /// Verify the first `count` entries just read and apply them to the own state. Answer:
    /// [`Node::handle_applied`].
    Apply {
        /// How many.
        count: usize,
    },
    /// Load this snapshot, and the log after it up to the head, into the staged state. Answer:
    /// [`Node::handle_loaded`].
    Load {
        /// The snapshot to begin with.
        snapshot: Snapshot,
    },
    /// Empty the own state: it came from an image that must not be published. Answer:
    /// [`Node::handle_forgotten`].
    Forget,
    /// Turn the own state into the staged one, removals included. Answer:
    /// [`Node::handle_installed`].
    Install,
    /// Tell the store what was seen and where somebody stands. Answer: [`Node::handle_raised`].
    Raise {
        /// The highest epoch seen.
        seen: Epoch,
        /// The position to claim.
        position: Option<Position>,
    },
    /// Publish an entry without changes that begins a term. Answer: [`Node::handle_written`].
    Open {
        /// The term.
        term: Term,
        /// The entry.
        meta: BatchMeta,
        /// The format to write it in.
        format: u16,
    },
    /// Read the repository; make the difference to `base` pending, guarded. Answer:
    /// [`Node::handle_repository`].
    ReadRepository {
        /// Everything, or what changed since.
        since: Option<Source>,
        /// What the difference is taken to. None for a first load: then all of it is pending.
        base: Option<Base>,
        /// How many entities another live node holds, where far fewer rows must not pass.
        least: Option<u64>,
        /// Claims are settled by it: others give up versions for what it finds. So a row that cannot
        /// be read, and that `base` has no version of, must not pass.
        settles: bool,
    },
    /// Make the difference from the staged to the own state pending. Answer:
    /// [`Node::handle_repository`].
    Compare,
    /// Publish the next batch of what is pending and, once acknowledged, apply it to `base`.
    /// Answer: [`Node::handle_published`].
    Publish {
        /// The term.
        term: Term,
        /// The position it makes.
        position: Position,
        /// The position it builds on.
        previous: Position,
        /// Which state it builds on.
        base: Base,
        /// The format to write it in.
        format: u16,
        /// With the last batch: the list to put into the head.
        list: Option<TermList>,
        /// With the last batch: the claims that are settled.
        settled: Settled,
    },
    /// Write a snapshot. Answer: [`Node::handle_snapshot`].
    Snapshot {
        /// The term.
        term: Term,
        /// The position it holds.
        position: Position,
        /// For a first load or restore: where the head stands, to be moved to `position`.
        from: Option<Position>,
        /// For a first load, write what is pending and make it the own state once that stands.
        pending: bool,
        /// The format to write it in, which is the head's from then on.
        format: u16,
        /// The list to put into the head.
        list: Option<TermList>,
        /// The claims that are settled.
        settled: Settled,
    },
    /// Change the head without a batch. Answer: [`Node::handle_written`].
    WriteHead {
        /// The term.
        term: Term,
        /// Where the head stands.
        at: Position,
        /// The list to put into the head.
        list: Option<TermList>,
        /// The claims that are settled.
        settled: Settled,
    },
    /// Drop what the newest snapshot covers. Answer: [`Node::handle_written`].
    Trim {
        /// The term.
        term: Term,
    },
}

/// What a read of head and log showed.
#[derive(Clone, Copy, Debug)]
pub struct LogSeen<'a> {
    /// The newest term given.
    pub term: Term,
    /// The head, if there is one.
    pub head: Option<&'a Head>,
    /// The entries after the place asked for.
    pub entries: &'a [BatchMeta],
    /// The log does not hold that place.
    pub gap: bool,
    /// The bytes of the whole log.
    pub log_bytes: u64,
}

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// It stands.
    Done,
    /// The term is not the newest given.
    Fenced,
    /// The head is not where we left it: the store lost something, or answers as another master.
    Lost,
    /// No answer; the same write may be sent again.
    Failed,
    /// No room for it; nothing was changed, and the same write may be sent again.
    Full,
}

/// What came of reading the repository or of comparing two states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// So many changes are pending; the head itself may need a change too.
    Pending {
        /// Changes to publish.
        changes: usize,
        /// Everything was read, and nothing was held back or missed.
        complete: bool,
        /// The guard's data or `source` moved without a change.
        head: bool,
    },
    /// The rows fall too far short of what live nodes hold: a person must look.
    Short,
    /// The repository gave no answer.
    Failed,
}

/// One node of a zone.
#[derive(Clone, Debug)]
pub struct Node {
    config: Config,
    elector: Elector,
    held: Option<Held>,
    /// What is held came from an image, and no head has confirmed it.
    image: Option<image::Image>,
    staged: Option<Held>,
    head: Option<Head>,
    reign: Option<Reign>,
    step: Option<Step>,
    busy: bool,
    rest_until: Option<Instant>,
    failures: u32,
    loads: u32,
    report: report::Health,
    formats: formats::Formats,
    live: Option<Report>,
    raise_for: Option<Position>,
    /// A first load was left to another node before.
    left_first_load: bool,
    /// The position raised for last, until something else was done: a store that has no room for
    /// it must not be asked again at once.
    raised: Option<Position>,
    /// The repository was read and not all of the difference is known to stand. A source that goes
    /// on from its last read would never tell of it again, so the next read is a full one.
    unpublished: bool,
    /// Something woke us, and the next read says whether it was the head.
    woken: bool,
    /// The bytes of the log as last read, which a new reign takes over.
    log_bytes: u64,
    /// The last read showed an older term than we know.
    doubt: bool,
    repository_changed: bool,
    full_wanted: bool,
    events: Deque<Event, 32>,
}

impl Node {
    /// Makes a node that holds nothing and looks around at once.
    pub fn new(config: Config, now: Instant) -> Self {
        let elector = Elector::new(config.election, now);
        let formats = formats::Formats::new(config.formats, config.election.ttl);
        let mut node = Self {
            config,
            elector,
            held: None,
            image: None,
            staged: None,
            head: None,
            reign: None,
            step: None,
            busy: false,
            rest_until: None,
            failures: 0,
            loads: 0,
            report: report::Health::new(now),
            formats,
            live: None,
            raise_for: None,
            left_first_load: false,
            raised: None,
            unpublished: false,
            woken: false,
            log_bytes: 0,
            doubt: false,
            repository_changed: false,
            full_wanted: false,
            events: Deque::new(),
        };
        node.elector.handle_timeout(now);
        node.read_again();
        node
    }

    // --- what the driver asks ---

    /// Gives the state that the node holds.
    pub fn held(&self) -> Option<&Held> {
        self.held.as_ref()
    }

    /// Gives what the node is.
    pub fn role(&self) -> Role {
        match &self.reign {
            Some(_) => Role::Primary,
            None if self.config.election.candidate => Role::Secondary,
            None => Role::Observer,
        }
    }

    /// Gives the highest epoch seen.
    pub fn seen(&self) -> Epoch {
        self.elector.known()
    }

    /// Gives the report that goes with the next look or renewal.
    pub fn make_report(&self) -> Report {
        let held = self.held.as_ref();
        Report {
            node: self.config.node.clone(),
            instance: self.config.election.instance,
            role: self.role(),
            position: held.map_or(Position::START, |h| h.position),
            seen: self.elector.known(),
            fingerprint: held.map(|h| h.digest.fingerprint()).unwrap_or_default(),
            count: held.map_or(0, |h| h.digest.count()),
            can_stand: self.elector.can_stand(),
            format: self.config.formats.newest,
            filter: self.config.filter,
            reading: match (&self.step, self.busy) {
                (Some(Step::Load { snapshot }), true) => Some(snapshot.position),
                _ => None,
            },
        }
    }

    /// Gives what to wait beside: the store is worth reading when its head is another, and worth a
    /// look when another lease stands. None while an answer is under way, or the node is primary.
    pub fn watching(&self) -> Option<Seen> {
        // A head that cannot be read does not even say where it stands.
        let unreadable = self.formats.unreadable.is_some();
        if self.busy || self.step.is_some() || self.reign.is_some() || unreadable {
            return None;
        }
        let head = self.head.as_ref().map_or(Position::START, Head::position);
        Some(Seen { head, lease: self.elector.watching()? })
    }

    /// Says whether the repository is worth watching for changes: not while one is known of that
    /// waits to be read.
    pub fn watches_repository(&self) -> bool {
        self.is_steady() && !self.busy && self.step.is_none() && !self.repository_changed
    }

    /// Gives how the node stands with its zone.
    pub fn standing(&self, now: Instant) -> Standing {
        self.report.standing(now)
    }

    // --- what goes out ---

    /// Gives the next step at the store's lease.
    pub fn poll_lease(&mut self) -> Option<election::Command> {
        self.elector.poll_command()
    }

    /// Gives the next step to take, if one is due and none is under way.
    pub fn poll_step(&mut self, now: Instant) -> Option<Step> {
        if self.busy {
            return None;
        }
        if self.step.is_none() {
            self.decide(now);
        }
        let step = self.step.clone()?;
        self.busy = true;
        Some(step)
    }

    /// Gives the next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Says when [`Node::handle_timeout`] is next worth calling.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let follows = match &self.reign {
            Some(reign) => reign.is_looking(),
            None => !self.report.stopped,
        };
        let rest = if self.busy || !follows { None } else { self.rest_until };
        let reign = if self.busy { None } else { self.reign.as_ref().and_then(Reign::next_due) };
        [self.elector.poll_timeout(), rest, reign].into_iter().flatten().min()
    }

    // --- what comes in ---

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.elector.handle_timeout(now);
        self.take_election_events(now);
    }

    /// Takes in that head or lease may be others than those in [`Node::watching`].
    pub fn handle_wake(&mut self, now: Instant) {
        // One of the two it is. If the log tells nothing new, it was the lease.
        self.woken = true;
        self.rest_until = Some(now);
    }

    /// Takes in that the repository may have changed.
    pub fn handle_repository_changed(&mut self) {
        self.repository_changed = true;
    }

    /// Takes in what a look showed.
    pub fn handle_look(
        &mut self,
        now: Instant,
        lease: Option<&Lease>,
        newest: Term,
        live: &[Report],
    ) {
        let willing = self.may_lead(live);
        self.elector.set_willing(now, willing && !self.report.stopped);
        self.see_live(now, live);
        let own = self.held.as_ref().map_or(Position::START, |h| h.position);
        self.elector.handle_look(now, lease, newest, live, own);
        self.report.primary = lease.map(|l| l.node.clone());
        self.elector.handle_timeout(now);
        self.take_election_events(now);
    }

    /// Takes in the answer to a request for the lease.
    pub fn handle_acquired(&mut self, now: Instant, answer: Answer) {
        self.elector.handle_acquired(now, answer);
        self.take_election_events(now);
    }

    /// Takes in the answer to a renewal, with open claims and live reports.
    pub fn handle_renewed(
        &mut self,
        now: Instant,
        answer: Answer,
        claims: &[Position],
        live: &[Report],
    ) {
        self.elector.handle_renewed(now, answer);
        self.take_election_events(now);
        if let (Some(reign), Answer::Granted(term)) = (&mut self.reign, answer)
            && reign.is_of(term)
        {
            if !bugs::planted(Bug::ClaimsIgnored) {
                reign.see_claims(claims);
            }
            self.see_live(now, live);
            self.see_lost(live);
            self.hear_live(now, live);
        }
    }

    /// Takes in that the lease was given back.
    pub fn handle_released(&mut self, now: Instant) {
        self.elector.handle_released(now);
        self.elector.handle_timeout(now);
    }

    /// Takes in that a step at the lease got no answer.
    pub fn handle_lease_failure(&mut self, now: Instant) {
        self.elector.handle_failure(now);
        self.serve_image(now);
        self.take_election_events(now);
    }

    // --- what the user wishes ---

    /// Gives the lease back, if held, and leaves it to others for `pause`.
    pub fn step_down(&mut self, now: Instant, pause: Duration) -> bool {
        let held = self.elector.step_down(now, pause);
        self.take_election_events(now);
        held
    }

    /// Gives the lease back, if held, and never stands again.
    pub fn stop(&mut self, now: Instant) {
        self.report.stopped = true;
        self.elector.set_willing(now, false);
        self.take_election_events(now);
    }

    /// Reads the whole repository at the next occasion: a person confirmed a removal.
    pub fn want_full_read(&mut self) {
        self.full_wanted = true;
        if let Some(reign) = &mut self.reign {
            reign.hurry();
        }
    }

    // --- within ---

    /// A node that cannot read the head does not stand, nor does one with another filter than the
    /// head's while a live one with the same can.
    fn may_lead(&self, live: &[Report]) -> bool {
        if !self.reads_head() {
            return false;
        }
        let Some(head) = &self.head else { return true };
        head.filter == self.config.filter
            || head.filter == Filter::default()
            || !live.iter().any(|r| r.can_stand && r.filter == head.filter)
    }

    /// Keeps the live report of another node that holds most of what the same filter lets through,
    /// and which format all can read.
    fn see_live(&mut self, now: Instant, live: &[Report]) {
        self.formats.see(now, live);
        let (own, filter) = (self.config.election.instance, self.config.filter);
        let others = live.iter().filter(|r| r.instance != own && r.filter == filter);
        self.live = others.max_by_key(|r| r.count).cloned();
    }

    /// Keeps a position to raise for: that of an observer, which never raises before it stands.
    fn see_lost(&mut self, live: &[Report]) {
        let Some(reign) = self.reign.as_ref().filter(|reign| reign.is_steady()) else { return };
        // While a primary has nothing under way its own list is the head's.
        let Some(held) = &self.held else { return };
        let claims = self.head.as_ref().map(|head| &head.claims);
        let lost = |r: &&Report| {
            r.role == Role::Observer
                && !held.list.covers(r.position)
                && !claims.is_some_and(|claims| claims.contains(r.position))
                && !reign.raised.contains(r.position)
        };
        self.raise_for = live.iter().find(lost).map(|r| r.position);
    }

    fn is_steady(&self) -> bool {
        self.reign.as_ref().is_some_and(Reign::is_steady)
    }

    fn take_election_events(&mut self, now: Instant) {
        while let Some(event) = self.elector.poll_event() {
            match event {
                election::Event::Won(term) => self.begin_reign(now, term),
                election::Event::Lost(term, why) => self.end_reign(now, term, why),
            }
        }
    }

    /// Ends the step under way.
    fn finish(&mut self) -> Option<Step> {
        self.busy = false;
        self.step.take()
    }

    fn read_again(&mut self) {
        self.rest_until = Some(Instant::default());
    }

    /// Waits before the next step: after a failure, longer each time, up to ten polls.
    fn back_off(&mut self, now: Instant) {
        self.failures = (self.failures + 1).min(5);
        let pause = self.config.poll / 10 * (1 << self.failures);
        self.rest_until = Some(now + pause.min(self.config.poll * 10));
    }

    fn rest(&mut self, now: Instant) {
        self.failures = 0;
        self.rest_until = Some(now + self.config.poll);
    }

    fn decide(&mut self, now: Instant) {
        if self.report.stopped && self.reign.is_none() {
            return;
        }
        if self.rest_until.is_some_and(|at| now < at) && !self.has_urgent(now) {
            return;
        }
        self.step = match self.reign {
            Some(_) => self.reign_step(now),
            None => Some(self.read_step()),
        };
    }

    fn read_step(&self) -> Step {
        Step::Read { after: self.held.as_ref().map_or(Position::START, |h| h.position) }
    }

    fn push_event(&mut self, event: Event) {
        if self.events.is_full() {
            let _ = self.events.pop_front();
        }
        let _ = self.events.push_back(event);
    }
}

#[cfg(test)]
mod tests;
