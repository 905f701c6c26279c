//! A zone store as a plain value: lease, log, head and snapshots by the contract of a zone store,
//! with entities as numbers.

use std::collections::BTreeMap;
use std::vec::Vec;

use crate::digest::{Digest, DigestKey, Fingerprint};
use crate::election::{Answer, Lease, LeaseStamp, Report, Seen};
use crate::entity::Kind;
use crate::format::{BatchMeta, Filter, Head, Snapshot, Source};
use crate::history::{self, Claims, TermList};
use crate::id::{EntityKey, Epoch, InstanceId, NodeId, Position, Term, TermId};
use crate::node::{Settled, Write};
use crate::time::{Duration, Instant};

/// Entities by number; the number they hold grows with each change of the truth.
pub(super) type State = BTreeMap<u32, u32>;

pub(super) fn digest(state: &State) -> Digest {
    let mut digest = Digest::EMPTY;
    for (id, value) in state {
        let mut text = [b'a'; 4];
        text.iter_mut().zip(id.to_le_bytes()).for_each(|(c, byte)| *c += byte % 16);
        let key = EntityKey::new(Kind::API, core::str::from_utf8(&text).unwrap());
        digest.add(Kind::API, DigestKey::default().version(key, &value.to_le_bytes()));
    }
    digest
}

pub(super) type Changes = Vec<(u32, Option<u32>)>;

pub(super) fn apply(state: &mut State, changes: &[(u32, Option<u32>)]) {
    for (id, value) in changes {
        match value {
            Some(value) => state.insert(*id, *value),
            None => state.remove(id),
        };
    }
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) meta: BatchMeta,
    pub(super) format: u16,
    pub(super) list: Option<TermList>,
    pub(super) changes: Changes,
}

/// What moves in the head with a write.
#[derive(Clone, Debug, Default)]
pub(super) struct Update {
    pub(super) digest: Option<Digest>,
    pub(super) list: Option<TermList>,
    pub(super) settled: Settled,
    /// With a snapshot, and with the batch that makes the head: the head's format.
    pub(super) format: Option<u16>,
}

#[derive(Clone, Debug)]
pub(super) struct Acquire {
    pub(super) node: NodeId,
    pub(super) instance: InstanceId,
    pub(super) id: TermId,
    pub(super) known: Epoch,
    pub(super) still: Option<LeaseStamp>,
}

/// Head and log, read in one step.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) term: Term,
    pub(super) head: Option<Head>,
    pub(super) entries: Vec<Entry>,
    pub(super) gap: bool,
}

/// So few entries come with one read.
const READ_MAX: usize = 3;

#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    pub(super) head: Option<Head>,
    pub(super) log: Vec<Entry>,
    pub(super) snapshots: BTreeMap<Position, State>,
    lease: Option<(Lease, Instant)>,
    released: Term,
    term: Term,
    published: Option<Fingerprint>,
    waiting: Claims,
    reports: Vec<(Instant, Report)>,
}

impl Store {
    pub(super) fn position(&self) -> Position {
        self.head.as_ref().map_or(Position::START, Head::position)
    }

    pub(super) fn has_moved(&self, seen: Seen) -> bool {
        let lease = match &self.lease {
            Some((lease, _)) => lease.term != seen.lease,
            None => seen.lease != Term::default() && seen.lease == self.released,
        };
        lease || self.position() != seen.head
    }

    fn expire(&mut self, now: Instant, ttl: Duration) {
        self.lease.take_if(|(_, end)| *end <= now);
        self.reports.retain(|(at, _)| now.since(*at) < ttl * 2);
    }

    fn report(&mut self, now: Instant, report: Report) -> Vec<Report> {
        self.reports.retain(|(_, old)| old.instance != report.instance);
        self.reports.push((now, report));
        self.reports.iter().map(|(_, report)| report.clone()).collect()
    }

    pub(super) fn look(
        &mut self,
        now: Instant,
        ttl: Duration,
        report: Report,
    ) -> (Option<Lease>, Term, Vec<Report>) {
        self.expire(now, ttl);
        let lease = self.lease.as_ref();
        let lease = lease.map(|(lease, end)| Lease { remaining: end.since(now), ..lease.clone() });
        (lease, self.term, self.report(now, report))
    }

    pub(super) fn acquire(&mut self, now: Instant, ttl: Duration, ask: Acquire) -> Answer {
        self.expire(now, ttl);
        if let Some((lease, _)) = &self.lease {
            let own = lease.instance == ask.instance;
            if own && lease.term.id == ask.id {
                return Answer::Granted(lease.term);
            }
            if !own && ask.still != Some(lease.stamp) {
                return Answer::Refused;
            }
        }
        if self.term.epoch > ask.known {
            return Answer::Stale(self.term.epoch);
        }
        self.term = Term { epoch: self.term.epoch.max(ask.known).next().unwrap(), id: ask.id };
        let end = now + ttl;
        let (stamp, term) = (LeaseStamp(end.as_nanos()), self.term);
        let lease = Lease {
            node: ask.node,
            instance: ask.instance,
            term,
            stamp,
            remaining: Duration::ZERO,
        };
        self.lease = Some((lease, end));
        Answer::Granted(self.term)
    }

    pub(super) fn renew(
        &mut self,
        now: Instant,
        ttl: Duration,
        (term, acknowledged): (Term, Position),
        report: Report,
    ) -> (Answer, Vec<Position>, Vec<Report>) {
        self.expire(now, ttl);
        let lacks = self.lacks(acknowledged);
        match &mut self.lease {
            Some((lease, end)) if lease.term == term && term == self.term => {
                if lacks {
                    return (Answer::Behind, Vec::new(), Vec::new());
                }
                *end = now + ttl;
                lease.stamp = LeaseStamp(end.as_nanos());
                let claims = self.head.as_ref().map_or(&self.waiting, |head| &head.claims);
                let open = claims.open().collect();
                (Answer::Granted(term), open, self.report(now, report))
            }
            _ => (Answer::Refused, Vec::new(), Vec::new()),
        }
    }

    pub(super) fn release(&mut self, term: Term) {
        if self.lease.take_if(|(lease, _)| lease.term == term).is_some() {
            self.released = term;
        }
    }

    /// None if the head stands at `wanted`.
    fn misplaced(&self, wanted: Position) -> Option<Write> {
        (self.position() != wanted).then_some(Write::Lost)
    }

    fn lacks(&self, position: Position) -> bool {
        let head = self.position();
        let key = |at: Position| (at.term.epoch, at.sequence);
        head != position && key(head) <= key(position)
    }

    fn is_fenced(&self, term: Term) -> bool {
        term != self.term
    }

    pub(super) fn publish(&mut self, term: Term, entry: Entry, update: Update) -> Write {
        let meta = entry.meta;
        if self.is_fenced(term) {
            return Write::Fenced;
        }
        if self.position() == meta.position && self.published == Some(meta.after) {
            return Write::Done;
        }
        if let Some(misplaced) = self.misplaced(meta.previous) {
            return misplaced;
        }
        assert!(meta.position.term == term && meta.position.sequence > meta.previous.sequence);
        let format = self.head.as_ref().map(|head| head.format).or(update.format);
        assert!(Some(entry.format) <= format, "no entry is newer than the head says");
        self.move_head(meta.position, Update { format, ..update });
        self.published = Some(meta.after);
        self.log.push(entry);
        Write::Done
    }

    pub(super) fn write_head(&mut self, term: Term, at: Position, update: Update) -> Write {
        if self.is_fenced(term) {
            return Write::Fenced;
        }
        if let Some(misplaced) = self.misplaced(at) {
            return misplaced;
        }
        self.move_head(at, update);
        Write::Done
    }

    pub(super) fn commit(
        &mut self,
        term: Term,
        position: Position,
        from: Option<Position>,
        state: State,
        update: Update,
    ) -> Write {
        if self.is_fenced(term) {
            return Write::Fenced;
        }
        let hash = digest(&state).fingerprint().0;
        let snapshot = Snapshot { position, chunks: 1, bytes: 1, hash };
        let named = self.head.as_ref().and_then(|head| head.snapshot);
        if named == Some(snapshot) {
            return Write::Done;
        }
        let moved = from.is_some_and(|from| self.position() != from);
        let newer = named.is_some_and(|named| named.position >= position);
        if moved || newer || self.lacks(from.unwrap_or(position)) {
            return Write::Lost;
        }
        let target = from.map_or(self.position(), |_| position);
        self.snapshots.insert(position, state);
        self.move_head(target, update);
        self.head.as_mut().unwrap().snapshot = Some(snapshot);
        if from.is_some() {
            self.published = None;
        }
        Write::Done
    }

    pub(super) fn trim(&mut self, term: Term) -> Write {
        if self.is_fenced(term) {
            return Write::Fenced;
        }
        if let Some(newest) = self.head.as_ref().and_then(|head| head.snapshot) {
            self.log.retain(|entry| entry.meta.position > newest.position);
            self.snapshots.retain(|at, _| *at == newest.position);
        }
        Write::Done
    }

    fn move_head(&mut self, position: Position, update: Update) {
        let waiting = core::mem::take(&mut self.waiting);
        let head = self.head.get_or_insert_with(|| Head {
            incarnation: 1,
            format: 0,
            list: TermList::new(),
            claims: waiting,
            snapshot: None,
            digest: Digest::EMPTY,
            source: Source::default(),
            filter: Filter::default(),
            guard: Default::default(),
        });
        match update.list {
            Some(list) => head.list = list,
            None => head.list.advance(position),
        }
        head.format = update.format.unwrap_or(head.format);
        assert_eq!(head.position(), position, "a list ends where the head stands");
        head.claims.settle(&update.settled);
        head.claims.drop_covered(&head.list);
        if let Some(digest) = update.digest {
            head.digest = digest;
        }
    }

    /// `spare` is a term id that nobody holds.
    pub(super) fn raise(
        &mut self,
        seen: Epoch,
        position: Option<Position>,
        spare: TermId,
    ) -> Option<Epoch> {
        let none = TermList::new();
        let (list, claims) = match &self.head {
            Some(head) => (&head.list, &head.claims),
            None => (&none, &self.waiting),
        };
        let raised = history::raise(self.term.epoch, seen, position, list, claims).ok()?;
        if let Some(epoch) = raised.epoch {
            self.term = Term { epoch, id: spare };
        }
        if let Some(position) = position.filter(|_| raised.claim) {
            match &mut self.head {
                Some(head) => head.claims.add(position),
                None => self.waiting.add(position),
            };
        }
        Some(self.term.epoch)
    }

    pub(super) fn read(&self, after: Position) -> Log {
        let mut log =
            Log { term: self.term, head: self.head.clone(), entries: Vec::new(), gap: false };
        if after == self.position() {
            return log;
        }
        let mut place = after;
        let first = self.log.iter().position(|entry| entry.meta.previous == after);
        for entry in self.log.iter().skip(first.unwrap_or(usize::MAX)).take(READ_MAX) {
            if entry.meta.previous != place {
                break;
            }
            place = entry.meta.position;
            log.entries.push(entry.clone());
        }
        log.gap = log.entries.is_empty();
        log
    }
}
