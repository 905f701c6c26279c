//! One node with what a driver does for it: it carries steps out at a store and a repository, one
//! message at a time, and hands in what came of them.

use std::collections::BTreeMap;
use std::vec::Vec;

use super::store::{Acquire, Changes, Entry, Log, State, Store, Update, apply, digest};
use crate::digest::Digest;
use crate::election::{self, Answer, Command, Lease, Report};
use crate::format::{BatchMeta, Filter, FormatRange, Head, Source};
use crate::id::{Epoch, InstanceId, Position, Term, TermId};
use crate::node::{Base, Config, Difference, Held, LogSeen, Node, Step, Write};
use crate::random::Random;
use crate::time::{Duration, Instant};

pub(super) const TTL: Duration = Duration::from_millis(900);
pub(super) const POLL: Duration = Duration::from_millis(300);
pub(super) const FULL_READ: Duration = Duration::from_millis(6000);

/// So many changes go into one batch.
const BATCH_MAX: usize = 3;

/// A message to the store or the repository.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "few at a time")]
pub(super) enum Ask {
    Look(Report),
    Acquire(Acquire),
    Renew(Term, Position, Report),
    Release(Term),
    Read(Position),
    Snapshot(Position),
    Publish(Term, Entry, Update),
    Commit(Term, Position, Option<Position>, State, Update),
    WriteHead(Term, Position, Update),
    Trim(Term),
    Raise(Epoch, Option<Position>, TermId),
    Rows,
    /// Nothing is asked: the work is one's own.
    Nothing,
}

#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "few at a time")]
pub(super) enum Told {
    Looked(Option<Lease>, Term, Vec<Report>),
    Acquired(Answer),
    Renewed(Answer, Vec<Position>, Vec<Report>),
    Log(Log),
    Snapshot(Option<State>),
    Wrote(Write),
    Raised(Option<Epoch>),
    /// All rows, and whether each was there.
    Rows(State, bool),
    Nothing,
    Failed,
}

impl Ask {
    /// Carries the message out.
    pub(super) fn carry_out(self, now: Instant, store: &mut Store, truth: &State) -> Told {
        match self {
            Self::Look(report) => {
                let (lease, term, live) = store.look(now, TTL, report);
                Told::Looked(lease, term, live)
            }
            Self::Acquire(ask) => Told::Acquired(store.acquire(now, TTL, ask)),
            Self::Renew(term, at, report) => {
                let (answer, claims, live) = store.renew(now, TTL, (term, at), report);
                Told::Renewed(answer, claims, live)
            }
            Self::Release(term) => {
                store.release(term);
                Told::Nothing
            }
            Self::Read(after) => Told::Log(store.read(after)),
            Self::Snapshot(at) => Told::Snapshot(store.snapshots.get(&at).cloned()),
            Self::Publish(term, entry, update) => Told::Wrote(store.publish(term, entry, update)),
            Self::Commit(term, at, from, state, update) => {
                Told::Wrote(store.commit(term, at, from, state, update))
            }
            Self::WriteHead(term, at, update) => Told::Wrote(store.write_head(term, at, update)),
            Self::Trim(term) => Told::Wrote(store.trim(term)),
            Self::Raise(seen, position, spare) => Told::Raised(store.raise(seen, position, spare)),
            Self::Rows => Told::Rows(truth.clone(), true),
            Self::Nothing => Told::Nothing,
        }
    }
}

/// A message on its way there, or its answer on its way back.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) going: Option<(Instant, Ask)>,
    pub(super) coming: Option<(Instant, Told)>,
}

impl Lane {
    pub(super) fn is_free(&self) -> bool {
        self.going.is_none() && self.coming.is_none()
    }

    pub(super) fn due(&self) -> Option<Instant> {
        let going = self.going.as_ref().map(|(due, _)| *due);
        going.or(self.coming.as_ref().map(|(due, _)| *due))
    }
}

/// A batch as it was sent, sent again as it is.
#[derive(Clone)]
struct InFlight {
    entry: Entry,
    update: Update,
    after: Digest,
}

pub(super) struct Host {
    /// How long the log is said to be.
    pub(super) log_bytes: u64,
    pub(super) node: Node,
    pub(super) config: Config,
    pub(super) lanes: [Lane; 2],
    pub(super) own: State,
    /// What it would find on its disk if it were started again.
    pub(super) image: Option<(Held, State)>,
    /// What its source last told it, so that it need not tell it again.
    pub(super) last_read: Option<State>,
    /// The newest version of each entity that it has had, and whether that is gone since.
    pub(super) newest: BTreeMap<u32, (u32, bool)>,
    pub(super) paused_until: Instant,
    pub(super) cut_until: Instant,
    pub(super) master: usize,
    pub(super) steps: u32,
    pub(super) was_ready: bool,
    pub(super) stood: Position,
    pub(super) step: Option<Step>,
    staged: Option<(Position, State)>,
    entries: Vec<Entry>,
    pending: Changes,
    first: State,
    in_flight: Option<InFlight>,
    discard: bool,
}

impl Host {
    pub(super) fn new(instance: u128, candidate: bool, seed: u64, now: Instant) -> Self {
        let instance = InstanceId(instance);
        let config = Config {
            node: "node".parse().unwrap(),
            election: election::Config { instance, ttl: TTL, candidate, seed },
            poll: POLL,
            full_read: FULL_READ,
            log_min: 1 << 20,
            filter: Filter(7),
            formats: FormatRange::KNOWN,
            stale_ready: true,
        };
        Self {
            log_bytes: 0,
            node: Node::new(config.clone(), now),
            config,
            lanes: Default::default(),
            own: State::new(),
            image: None,
            last_read: None,
            newest: BTreeMap::new(),
            paused_until: now,
            cut_until: now,
            master: 0,
            steps: 0,
            was_ready: false,
            stood: Position::START,
            step: None,
            staged: None,
            entries: Vec::new(),
            pending: Vec::new(),
            first: State::new(),
            in_flight: None,
            discard: false,
        }
    }

    /// Makes it one of a version that reads these formats. Comes before all else.
    pub(super) fn reading(mut self, now: Instant, formats: FormatRange) -> Self {
        self.config.formats = formats;
        self.node = Node::new(self.config.clone(), now);
        self
    }

    /// Starts from what another left on its disk.
    pub(super) fn with_image(
        mut self,
        now: Instant,
        image: Option<(Held, State)>,
        fresh_for: Duration,
    ) -> Self {
        if let Some((held, state)) = &image {
            self.own = state.clone();
            self.node.handle_image(now, held.clone(), fresh_for);
        }
        self.image = image;
        self
    }

    /// A reign is over: what was pending goes once no step works on it.
    pub(super) fn discard(&mut self) {
        self.discard = true;
    }

    /// Begins what is due. Gives the messages to send, by lane.
    pub(super) fn begin(&mut self, now: Instant, random: &mut Random) -> [Option<Ask>; 2] {
        let lease = if self.lanes[0].is_free() { self.node.poll_lease() } else { None };
        let lease = lease.map(|command| self.ask_lease(command));
        if !self.lanes[1].is_free() {
            return [lease, None];
        }
        if core::mem::take(&mut self.discard) {
            self.pending.clear();
            self.in_flight = None;
            self.staged = None;
        }
        let Some(step) = self.node.poll_step(now) else { return [lease, None] };
        self.steps += 1;
        self.step = Some(step.clone());
        [lease, Some(self.ask(step, random))]
    }

    fn ask_lease(&self, command: Command) -> Ask {
        let report = self.node.make_report();
        match command {
            Command::Look => Ask::Look(report),
            Command::Acquire { id, known, still } => {
                let (node, instance) = (report.node, report.instance);
                Ask::Acquire(Acquire { node, instance, id, known, still })
            }
            Command::Renew(term) => Ask::Renew(term, self.node.acknowledged(), report),
            Command::Release(term) => Ask::Release(term),
        }
    }

    fn ask(&mut self, step: Step, random: &mut Random) -> Ask {
        match step {
            Step::Read { after } => Ask::Read(after),
            Step::Load { snapshot } => Ask::Snapshot(snapshot.position),
            Step::Apply { .. } | Step::Install | Step::Forget | Step::Compare => Ask::Nothing,
            Step::Raise { seen, position } => {
                Ask::Raise(seen, position, TermId(random.next_u128()))
            }
            Step::Open { term, meta, format } => {
                let entry = Entry { meta, format, list: None, changes: Vec::new() };
                Ask::Publish(term, entry, Update { format: Some(format), ..Update::default() })
            }
            Step::ReadRepository { .. } => Ask::Rows,
            Step::Publish { term, position, previous, base, format, list, settled } => {
                let same = |sent: &InFlight| sent.entry.meta.position == position;
                if !self.in_flight.as_ref().is_some_and(same) {
                    self.in_flight =
                        Some(self.build((position, previous), base, format, (list, settled)));
                }
                let sent = self.in_flight.clone().unwrap();
                Ask::Publish(term, sent.entry, sent.update)
            }
            Step::Snapshot { term, position, from, pending, format, list, settled } => {
                let state = if pending { self.first.clone() } else { self.own.clone() };
                let digest = from.map(|_| digest(&state));
                let format = Some(format);
                let update = Update { digest, list, settled, format };
                Ask::Commit(term, position, from, state, update)
            }
            Step::WriteHead { term, at, list, settled } => {
                Ask::WriteHead(term, at, Update { list, settled, ..Update::default() })
            }
            Step::Trim { term } => Ask::Trim(term),
        }
    }

    fn base(&self, base: Base) -> &State {
        match base {
            Base::Own => &self.own,
            Base::Staged => &self.staged.as_ref().expect("a staged state to build on").1,
        }
    }

    fn build(
        &self,
        (position, previous): (Position, Position),
        base: Base,
        format: u16,
        (list, settled): (Option<crate::history::TermList>, crate::node::Settled),
    ) -> InFlight {
        let mut state = self.base(base).clone();
        let before = digest(&state).fingerprint();
        let changes = self.pending[..self.pending.len().min(BATCH_MAX)].to_vec();
        apply(&mut state, &changes);
        let after = digest(&state);
        let last = changes.len() == self.pending.len();
        let (list, settled) = if last { (list, settled) } else { Default::default() };
        let meta = BatchMeta { position, previous, before, after: after.fingerprint() };
        let digest = Some(after.clone());
        let update = Update { digest, list: list.clone(), settled, format: None };
        InFlight { entry: Entry { meta, format, list, changes }, update, after }
    }

    /// Takes in an answer. Gives the next message of the same step, if there is one.
    pub(super) fn take(&mut self, now: Instant, lane: usize, told: Told) -> Option<Ask> {
        if lane == 0 {
            self.take_lease(now, told);
            return None;
        }
        let step = self.step.take().expect("a step is under way");
        match (&step, told) {
            (Step::Read { .. }, Told::Log(log)) => {
                let metas: Vec<_> = log.entries.iter().map(|entry| entry.meta).collect();
                let (term, head, gap) = (log.term, log.head.as_ref(), log.gap);
                let log_bytes = self.log_bytes;
                self.node.handle_log(now, LogSeen { term, head, entries: &metas, gap, log_bytes });
                self.entries = log.entries;
            }
            (Step::Apply { count }, _) => self.apply(now, *count),
            (Step::Load { snapshot }, Told::Snapshot(Some(state))) => {
                self.staged = Some((snapshot.position, state));
                self.step = Some(step.clone());
                return Some(Ask::Read(snapshot.position));
            }
            (Step::Load { .. }, Told::Log(log)) => {
                let next = self.load_on(now, log);
                self.step = next.is_some().then_some(step);
                return next;
            }
            (Step::Load { .. }, _) => self.node.handle_loaded(now, None),
            (Step::Install, _) => match self.staged.take() {
                Some((_, state)) => {
                    self.own = state;
                    self.node.handle_installed(now);
                }
                None => self.node.handle_loaded(now, None),
            },
            (Step::Forget, _) => {
                self.own = State::new();
                self.newest.clear();
                self.stood = Position::START;
                self.node.handle_forgotten(now);
            }
            (Step::Raise { .. }, Told::Raised(epoch)) => self.node.handle_raised(now, epoch),
            (Step::Open { meta, .. }, Told::Wrote(write)) => {
                if let (Write::Done, Some((at, _))) = (write, &mut self.staged) {
                    *at = meta.position;
                }
                self.node.handle_written(now, write);
            }
            (Step::WriteHead { .. } | Step::Trim { .. }, Told::Wrote(write)) => {
                self.node.handle_written(now, write);
            }
            (Step::ReadRepository { since, base, .. }, Told::Rows(rows, whole)) => {
                let difference = self.compare(rows, whole, since.as_ref(), *base);
                self.node.handle_repository(now, difference);
            }
            (Step::ReadRepository { .. }, _) => {
                self.node.handle_repository(now, Difference::Failed);
            }
            (Step::Compare, _) => {
                self.pending = match &self.staged {
                    Some((_, staged)) => changes(staged, &self.own),
                    None => Vec::new(),
                };
                let changes = self.pending.len();
                let difference = Difference::Pending { changes, complete: true, head: false };
                self.node.handle_repository(now, difference);
            }
            (Step::Publish { base, position, .. }, told) => {
                self.published(now, *base, *position, told)
            }
            (Step::Snapshot { from, pending, .. }, told) => {
                let Told::Wrote(write) = told else {
                    self.node.handle_snapshot(now, Write::Failed, 0, None);
                    return None;
                };
                if write == Write::Done && *pending {
                    self.own = core::mem::take(&mut self.first);
                }
                let held = from.filter(|_| write == Write::Done).map(|from| Held {
                    position: from,
                    list: Default::default(),
                    digest: digest(&self.own),
                    source: Source::default(),
                });
                self.node.handle_snapshot(now, write, 1, held);
            }
            (Step::Open { .. } | Step::WriteHead { .. } | Step::Trim { .. }, _) => {
                self.node.handle_written(now, Write::Failed);
            }
            (Step::Read { .. } | Step::Raise { .. }, _) => self.node.handle_step_failure(now),
        }
        None
    }

    fn take_lease(&mut self, now: Instant, told: Told) {
        match told {
            Told::Looked(lease, newest, live) => {
                self.node.handle_look(now, lease.as_ref(), newest, &live);
            }
            Told::Acquired(answer) => self.node.handle_acquired(now, answer),
            Told::Renewed(answer, claims, live) => {
                self.node.handle_renewed(now, answer, &claims, &live);
            }
            Told::Nothing => self.node.handle_released(now),
            _ => self.node.handle_lease_failure(now),
        }
    }

    fn apply(&mut self, now: Instant, count: usize) {
        let mut held = self.node.held().cloned().expect("a state to apply to");
        let formats = self.config.formats;
        let readable = self.entries.drain(..).take(count).take_while(|e| formats.reads(e.format));
        let readable: Vec<_> = readable.collect();
        if readable.is_empty() {
            return self.node.handle_applied(now, None);
        }
        for entry in readable {
            apply(&mut self.own, &entry.changes);
            held.position = entry.meta.position;
            match entry.list {
                Some(list) => held.list = list,
                None => held.list.advance(held.position),
            }
        }
        held.digest = digest(&self.own);
        self.node.handle_applied(now, Some(held));
    }

    /// Follows the log after a snapshot to the head that was read with the last of it.
    fn load_on(&mut self, now: Instant, log: Log) -> Option<Ask> {
        let (at, state) = self.staged.as_mut().expect("a snapshot was read");
        let newest = log.term.epoch;
        for entry in &log.entries {
            if (entry.meta.previous, entry.meta.before) != (*at, digest(state).fingerprint()) {
                self.node.handle_loaded(now, None);
                return None;
            }
            apply(state, &entry.changes);
            *at = entry.meta.position;
        }
        let head: Head = match log.head {
            Some(head) if !log.gap => head,
            _ => {
                self.node.handle_loaded(now, None);
                return None;
            }
        };
        if head.position() != *at {
            return Some(Ask::Read(*at));
        }
        let (position, list, digest) = (*at, head.list.clone(), digest(state));
        let held = Held { position, list, digest, source: head.source };
        self.node.handle_loaded(now, Some((newest, &head, held)));
        None
    }

    /// Makes the difference between rows and base pending. Rows that are not `whole` miss some,
    /// which therefore stay.
    fn compare(
        &mut self,
        rows: State,
        whole: bool,
        since: Option<&Source>,
        base: Option<Base>,
    ) -> Difference {
        let Some(base) = base else {
            self.first = rows.clone();
            self.last_read = Some(rows);
            let changes = self.first.len();
            return Difference::Pending { changes, complete: whole, head: false };
        };
        let mut pending = changes(self.base(base), &rows);
        if !whole {
            pending.retain(|(_, value)| value.is_some());
        }
        if let (Some(_), Some(last)) = (since, &self.last_read) {
            let told = changes(last, &rows);
            pending.retain(|(id, _)| told.iter().any(|(other, _)| other == id));
        }
        self.last_read = Some(rows);
        self.pending = pending;
        let (changes, complete) = (self.pending.len(), whole && since.is_none());
        Difference::Pending { changes, complete, head: false }
    }

    fn published(&mut self, now: Instant, base: Base, position: Position, told: Told) {
        let Told::Wrote(write) = told else {
            let (digest, left) = (Digest::EMPTY, self.pending.len());
            self.node.handle_published(now, Write::Failed, 0, left, &digest);
            return;
        };
        let sent = self.in_flight.clone().expect("a batch was sent");
        if write == Write::Done {
            self.in_flight = None;
            match (base, &mut self.staged) {
                (Base::Staged, Some((at, state))) => {
                    apply(state, &sent.entry.changes);
                    *at = position;
                }
                _ => apply(&mut self.own, &sent.entry.changes),
            }
            self.pending.drain(..sent.entry.changes.len());
        }
        let left = self.pending.len();
        // Large, so that snapshots come often.
        self.node.handle_published(now, write, 700_000, left, &sent.after);
    }
}

pub(super) fn changes(old: &State, new: &State) -> Changes {
    let gone = old.keys().filter(|id| !new.contains_key(id)).map(|id| (*id, None));
    let other = new.iter().filter(|(id, value)| old.get(id) != Some(value));
    gone.chain(other.map(|(id, value)| (*id, Some(*value)))).collect()
}
