//! Random histories of one zone, with the invariants checked after each step.
//!
//! The steps come from a few nodes that keep old terms and old knowledge, so many arrive late,
//! twice, or from a primary that was deposed.

use std::collections::BTreeSet;

use proptest::prelude::*;

use zonesync_core::digest::Fingerprint;
use zonesync_core::format::{BatchMeta, Snapshot};
use zonesync_core::id::{Epoch, InstanceId, Position, Sequence, Term, TermId};
use zonesync_core::time::{Duration, Instant};

use super::super::zone::{Zone, record_bytes};
use super::report;
use crate::store::{
    Acquire, Acquired, CommitSnapshot, Entry, HeadUpdate, Publish, Raise, Renew, Renewed,
    StoreError, Written,
};

const NODES: usize = 4;
/// The one that a zone begins with, so that no step changes who is live.
const TTL: Duration = Duration::from_secs(3);
const BYTES_MAX: usize = 20_000;
const SPARE_BYTES: usize = 2_000;

/// One step of a history. `late` reaches back among the terms that were given.
#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Look { node: usize, reading: bool },
    Acquire { node: usize, known: bool, still: bool },
    Renew { late: usize },
    Release { late: usize },
    Publish { late: usize, behind: usize, skip: u64, size: usize },
    PublishAgain,
    Snapshot { late: usize, chunks: u32, load: bool, holed: bool },
    WriteHead { late: usize },
    Trim { late: usize },
    Raise { seen: u64, sequence: u64, lost: bool },
    Clear,
    GoBack,
}

fn step() -> impl Strategy<Value = Step> {
    // Most steps come from the newest term, some from one before.
    let late = || prop_oneof![4 => Just(0_usize), 1 => 1..4_usize];
    let node = || 0..NODES;
    prop_oneof![
        3 => (1..4000_u64).prop_map(Step::Pass),
        2 => (node(), any::<bool>()).prop_map(|(node, reading)| Step::Look { node, reading }),
        6 => (node(), prop::bool::weighted(0.8), any::<bool>())
            .prop_map(|(node, known, still)| Step::Acquire { node, known, still }),
        3 => late().prop_map(|late| Step::Renew { late }),
        1 => late().prop_map(|late| Step::Release { late }),
        12 => (late(), prop_oneof![5 => Just(0_usize), 1 => 1..3_usize], 0..3_u64, 0..900_usize)
            .prop_map(|(late, behind, skip, size)| Step::Publish { late, behind, skip, size }),
        3 => Just(Step::PublishAgain),
        4 => (late(), 1..4_u32, any::<bool>(), prop::bool::weighted(0.1))
            .prop_map(|(late, chunks, load, holed)| Step::Snapshot { late, chunks, load, holed }),
        1 => late().prop_map(|late| Step::WriteHead { late }),
        2 => late().prop_map(|late| Step::Trim { late }),
        1 => (0..3_u64, 0..9_u64, any::<bool>())
            .prop_map(|(seen, sequence, lost)| Step::Raise { seen, sequence, lost }),
        1 => Just(Step::Clear),
        1 => Just(Step::GoBack),
    ]
}

/// A zone and what the nodes around it remember.
struct World {
    zone: Zone,
    copy: Zone,
    now: Instant,
    /// Terms that were granted, oldest first.
    given: Vec<Term>,
    /// Positions at which the head was seen, oldest first.
    places: Vec<Position>,
    last: Option<Publish>,
    drawn: u128,
    /// Since when the zone lost nothing: its epochs must grow from there on.
    floor: Term,
    /// Epochs that were given since then, to see that none is given twice.
    epochs: BTreeSet<Epoch>,
}

impl World {
    fn new() -> Self {
        let zone = Zone::new(BYTES_MAX, SPARE_BYTES);
        Self {
            copy: zone.clone(),
            zone,
            now: Instant::default(),
            given: vec![Term::default()],
            places: vec![Position::START],
            last: None,
            drawn: 0,
            floor: Term::default(),
            epochs: BTreeSet::new(),
        }
    }

    fn term(&self, late: usize) -> Term {
        self.given[self.given.len().saturating_sub(1 + late)]
    }

    fn draw(&mut self) -> TermId {
        self.drawn += 1;
        TermId(self.drawn)
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Pass(millis) => self.now = self.now + Duration::from_millis(millis),
            Step::Look { node, reading } => self.look(node, reading),
            Step::Acquire { node, known, still } => self.acquire(node, known, still),
            Step::Renew { late } => self.renew(self.term(late)),
            Step::Release { late } => {
                self.zone.release(self.now, self.term(late));
            }
            Step::Publish { late, behind, skip, size } => {
                self.publish(self.term(late), behind, skip, size);
            }
            Step::PublishAgain => self.publish_again(),
            Step::Snapshot { late, chunks, load, holed } => {
                self.snapshot(self.term(late), chunks, load, holed);
            }
            Step::WriteHead { late } => {
                let (term, at) = (self.term(late), self.zone.position());
                let update = HeadUpdate::default();
                let answer = self.write(term, |zone| zone.write_head(term, at, update));
                assert!(answer.is_ok());
            }
            Step::Trim { late } => {
                let (term, now) = (self.term(late), self.now);
                let answer = self.write(term, |zone| Ok(zone.trim(now, term)));
                assert!(answer.is_ok());
            }
            Step::Raise { seen, sequence, lost } => self.raise(seen, sequence, lost),
            Step::Clear => self.lose(Zone::clear),
            Step::GoBack => {
                let copy = self.copy.clone();
                self.copy = self.zone.clone();
                self.lose(|zone| *zone = copy);
            }
        }
        self.check();
    }

    /// Sends one write and sees that it changes nothing unless it is done, and that it is fenced
    /// exactly if its term is not the newest given.
    fn write(
        &mut self,
        term: Term,
        write: impl FnOnce(&mut Zone) -> Result<Written, StoreError>,
    ) -> Result<Written, StoreError> {
        let before = self.zone.clone();
        let answer = write(&mut self.zone);
        if answer != Ok(Written::Done) {
            assert_eq!(self.zone, before, "{answer:?} changed something");
        }
        let fenced = term != before.term || term.epoch == Epoch(0);
        assert_eq!(answer == Ok(Written::Fenced), fenced, "{answer:?} to {term}");
        answer
    }

    fn look(&mut self, node: usize, reading: bool) {
        let snapshot = self.zone.head.as_ref().and_then(|head| head.snapshot);
        let reading = snapshot.filter(|_| reading).map(|snapshot| snapshot.position);
        let look = self.zone.look(self.now, Some(report(node as u128, reading)));
        assert_eq!(look.term, self.zone.term);
        assert!(look.live.iter().any(|report| report.instance == InstanceId(node as u128)));
    }

    fn acquire(&mut self, node: usize, known: bool, still: bool) {
        let look = self.zone.look(self.now, None);
        let request = Acquire {
            node: "node".parse().expect("a node's name"),
            instance: InstanceId(node as u128),
            id: self.draw(),
            known: if known { look.term.epoch } else { Epoch(look.term.epoch.0.saturating_sub(1)) },
            still: look.lease.as_ref().map(|lease| lease.stamp).filter(|_| still),
            ttl: TTL,
        };
        let before = self.zone.clone();
        match self.zone.acquire(self.now, request.clone()).expect("within reach") {
            Acquired::Granted(term) => {
                assert!(before.term.epoch < term.epoch && before.term.epoch <= request.known);
                assert!(self.epochs.insert(term.epoch), "{term} was given twice");
                self.given.push(term);
                let again = self.zone.clone();
                let answer = self.zone.acquire(self.now, request);
                assert_eq!(answer, Ok(Acquired::Granted(term)));
                assert_eq!(self.zone, again);
            }
            _ => assert_eq!(self.zone, before),
        }
    }

    fn renew(&mut self, term: Term) {
        self.zone.look(self.now, None);
        let before = self.zone.clone();
        let holds = before.lease.as_ref().is_some_and(|(lease, _)| lease.term == term);
        let acknowledged = self.zone.position();
        let report = report(9, None);
        let renewal = Renew { term, acknowledged, ttl: TTL, report };
        match self.zone.renew(self.now, renewal) {
            Renewed::Done { .. } => assert!(holds && term == before.term),
            _ => assert_eq!(self.zone, before),
        }
    }

    fn publish(&mut self, term: Term, behind: usize, skip: u64, size: usize) {
        let previous = match behind {
            0 => self.zone.position(),
            _ => self.places[self.places.len().saturating_sub(1 + behind)],
        };
        let sequence = Sequence(previous.sequence.0 + 1 + skip);
        let after = Fingerprint(self.draw().0);
        let position = Position { term, sequence };
        let meta = BatchMeta { position, previous, before: Fingerprint(0), after };
        let entry = Entry { meta, bytes: vec![0; size].into() };
        let batch = Publish { term, entry, update: HeadUpdate::default() };
        let head = self.zone.position();
        let answer = self.write(term, |zone| zone.publish(batch.clone()));
        if answer == Ok(Written::Done) {
            assert_eq!(head, previous);
            assert_eq!(self.zone.position(), position);
            self.last = Some(batch);
        }
    }

    /// The reply to the last batch was lost.
    fn publish_again(&mut self) {
        let Some(batch) = self.last.clone() else { return };
        let (head, before) = (self.zone.position(), self.zone.clone());
        let answer = self.write(batch.term, |zone| zone.publish(batch.clone()));
        if answer == Ok(Written::Done) && head == batch.entry.meta.position {
            assert_eq!(self.zone, before, "it stood there already");
        }
    }

    fn snapshot(&mut self, term: Term, chunks: u32, load: bool, holed: bool) {
        let head = self.zone.position();
        let next = Position { term, sequence: Sequence(head.sequence.0 + 1) };
        let (position, from) = if load { (next, Some(head)) } else { (head, None) };
        let begun = self.write(term, |zone| zone.begin_snapshot(term, position));
        if begun != Ok(Written::Done) {
            return;
        }
        for number in u32::from(holed)..chunks {
            let chunk = vec![0; 300].into();
            let put = self.write(term, |zone| zone.put_chunk(term, position, number, chunk));
            if put != Ok(Written::Done) {
                return;
            }
        }
        let snapshot = Snapshot { position, chunks, bytes: 0, hash: self.draw().0 };
        let update = HeadUpdate::default();
        let commit = CommitSnapshot { term, snapshot, from, update };
        let answer = self.write(term, |zone| zone.commit_snapshot(commit.clone()));
        if answer == Ok(Written::Done) {
            assert!(self.zone.head.as_ref().is_some_and(|head| head.snapshot == Some(snapshot)));
            assert_eq!(self.zone.position(), if load { next } else { head });
            let before = self.zone.clone();
            assert_eq!(self.write(term, |zone| zone.commit_snapshot(commit)), answer);
            assert_eq!(self.zone, before, "done once");
        }
    }

    fn raise(&mut self, seen: u64, sequence: u64, lost: bool) {
        let before = self.zone.term;
        let seen = Epoch((before.epoch.0 + seen).saturating_sub(1));
        let term = Term { epoch: seen, id: TermId(u128::MAX) };
        let position = lost.then_some(Position { term, sequence: Sequence(sequence) });
        let spare = self.draw();
        self.zone.raise(Raise { seen, position }, spare);
        if self.zone.term != before {
            assert_eq!(self.zone.term.id, spare);
            assert!(self.zone.term.epoch > before.epoch.max(seen));
            assert!(self.epochs.insert(self.zone.term.epoch));
        }
        let again = self.zone.clone();
        let spare = self.draw();
        self.zone.raise(Raise { seen, position }, spare);
        assert_eq!(self.zone, again, "a raise is answered once");
    }

    fn lose(&mut self, lose: impl FnOnce(&mut Zone)) {
        lose(&mut self.zone);
        self.floor = self.zone.term;
        self.epochs.clear();
        self.places = vec![self.zone.position()];
    }

    fn check(&mut self) {
        let zone = &self.zone;
        assert!(zone.term == self.floor || zone.term.epoch > self.floor.epoch, "epochs only grow");
        self.floor = zone.term;
        let accepted = self.given.iter().filter(|term| !zone.is_fenced(**term)).count();
        assert!(accepted <= 1, "{accepted} terms may write");
        if let Some((lease, _)) = &zone.lease {
            assert!(lease.term.epoch <= zone.term.epoch);
        }
        self.check_log();
        self.check_bytes();
        let at = self.zone.position();
        if self.places.last() != Some(&at) {
            assert!(self.places.last() < Some(&at), "the head never goes back by itself");
            self.places.push(at);
        }
    }

    /// Entries build on each other, or on a snapshot that moved the head in between; the head
    /// stands at the last of them, or at such a snapshot.
    fn check_log(&self) {
        let zone = &self.zone;
        let metas: Vec<_> = zone.log.iter().map(|entry| entry.meta).collect();
        for pair in metas.windows(2) {
            let (first, second) = (pair[0], pair[1]);
            assert!(first.position < second.position);
            let moved = second.previous > first.position;
            assert!(second.previous == first.position || moved);
        }
        let head = zone.position();
        if zone.published.is_some() {
            let snapshot = zone.head.as_ref().and_then(|head| head.snapshot);
            let trimmed = snapshot.is_some_and(|snapshot| snapshot.position == head);
            let last = metas.last().map(|meta| meta.position);
            assert!(last == Some(head) || (trimmed && last.is_none()), "the head has its entry");
        } else if let Some(stored) = &zone.head {
            assert_eq!(stored.snapshot.map(|snapshot| snapshot.position), Some(head));
        }
    }

    fn check_bytes(&self) {
        let log: usize = self.zone.log.iter().map(|entry| record_bytes(&entry.bytes)).sum();
        let chunks: usize = self.zone.snapshots.values().map(|set| set.bytes()).sum();
        assert_eq!(self.zone.bytes, log + chunks);
        assert!(self.zone.bytes <= BYTES_MAX);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn a_zone_keeps_its_promises(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in steps {
            world.run(step);
        }
    }
}
