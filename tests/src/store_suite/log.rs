//! Publishing, the head, reading.

#![allow(missing_docs, reason = "a case is its own sentence")]

use futures_lite::future::block_on;
use zonesync::store::{HeadUpdate, Publish, Written};
use zonesync_core::digest::{Digest, KindDigest};
use zonesync_core::entity::Kind;
use zonesync_core::format::{Filter, Head, Source};
use zonesync_core::history::{Reign, TermList};
use zonesync_core::id::{Epoch, Position, Sequence, Term, TermId};
use zonesync_core::time::WallTime;

use super::{Harness, Writer, ask, entry};

/// The size of a batch where it does not matter.
const SIZE: usize = 10;

/// Everything that a refused write must leave alone.
fn stored(writer: &Writer) -> (Option<Head>, usize) {
    let log = ask(writer.store.read(Position::START, usize::MAX));
    (log.head.map(|head| (*head).clone()), log.entries.len())
}

fn digest(count: u64) -> Digest {
    let mut digest = Digest::EMPTY;
    digest.set_kind(Kind::LICENSE, KindDigest { count, sum: 5 });
    digest
}

pub fn a_first_batch_makes_the_head(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish_with(SIZE, HeadUpdate { incarnation: 77, ..HeadUpdate::default() });
    writer.publish_with(SIZE, HeadUpdate { incarnation: 78, ..HeadUpdate::default() });
    let head = writer.head();
    assert_eq!(head.incarnation, 77, "drawn once");
    assert_eq!(head.position(), writer.at);
    assert!(!head.is_complete());
    assert_eq!(ask(harness.store.look(None)).head, Some(writer.at));
}

pub fn a_batch_without_its_head_is_behind(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.at = Position { term: writer.term, sequence: Sequence(4) };
    let batch = writer.batch(SIZE, HeadUpdate::default());
    assert_eq!(writer.try_publish(&batch), Ok(Written::Behind));
    assert_eq!(ask(harness.store.look(None)).head, None);
}

pub fn a_batch_again_is_done_once(harness: &Harness) {
    let writer = Writer::elect(&harness.store, harness.ttl, 1);
    let batch = writer.batch(SIZE, HeadUpdate::default());
    for _ in 0..3 {
        assert_eq!(writer.try_publish(&batch), Ok(Written::Done));
    }
    let log = ask(harness.store.read(Position::START, usize::MAX));
    assert_eq!(log.entries, [batch.entry]);
}

pub fn a_batch_on_an_older_state_is_ahead(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    let first = writer.batch(SIZE, HeadUpdate::default());
    writer.publish(SIZE);
    writer.publish(SIZE);
    let before = stored(&writer);
    assert_eq!(writer.try_publish(&first), Ok(Written::Ahead));
    assert_eq!(stored(&writer), before);
}

pub fn another_batch_at_the_same_position_is_ahead(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    let mut other = writer.batch(SIZE, HeadUpdate::default());
    writer.publish(SIZE);
    other.entry.meta.after.0 += 1;
    let before = stored(&writer);
    assert_eq!(writer.try_publish(&other), Ok(Written::Ahead));
    assert_eq!(stored(&writer), before);
}

pub fn a_batch_on_a_lost_state_is_behind(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    let before = stored(&writer);
    writer.at = writer.next(3);
    let batch = writer.batch(SIZE, HeadUpdate::default());
    assert_eq!(writer.try_publish(&batch), Ok(Written::Behind));
    assert_eq!(stored(&writer), before);
}

pub fn a_batch_beside_the_head_is_behind(harness: &Harness) {
    let mut first = Writer::elect(&harness.store, harness.ttl, 1);
    first.publish(SIZE);
    let mut second = first.succeed(harness.ttl, 2);
    // The lowest and the highest id at the head's epoch and sequence: neither decides.
    for id in [0, u128::MAX] {
        let term = Term { epoch: first.at.term.epoch, id: TermId(id) };
        second.at = Position { term, ..first.at };
        let batch = second.batch(SIZE, HeadUpdate::default());
        assert_eq!(second.try_publish(&batch), Ok(Written::Behind));
    }
}

pub fn a_batch_of_another_term_changes_nothing(harness: &Harness) {
    let mut first = Writer::elect(&harness.store, harness.ttl, 1);
    first.publish(SIZE);
    let mut second = first.succeed(harness.ttl, 2);
    let before = stored(&first);
    let late = first.batch(SIZE, HeadUpdate::default());
    assert_eq!(first.try_publish(&late), Ok(Written::Fenced));
    let update = HeadUpdate { filter: Some(Filter(9)), ..HeadUpdate::default() };
    assert_eq!(ask(harness.store.write_head(first.term, first.at, update)), Written::Fenced);
    assert_eq!(ask(harness.store.trim(first.term)), Written::Fenced);
    let forged = Term { epoch: second.term.epoch, id: TermId(99) };
    assert_eq!(first.try_publish(&Publish { term: forged, ..late }), Ok(Written::Fenced));
    assert_eq!(stored(&first), before);
    second.publish(SIZE);
}

pub fn a_store_without_a_term_takes_no_batch(harness: &Harness) {
    let position = Position { term: Term::default(), sequence: Sequence(1) };
    let entry = entry(Position::START, position, 1, SIZE);
    let batch = Publish { term: Term::default(), entry, update: HeadUpdate::default() };
    assert_eq!(ask(harness.store.publish(batch)), Written::Fenced);
}

pub fn the_list_follows_the_batches(harness: &Harness) {
    let mut first = Writer::elect(&harness.store, harness.ttl, 1);
    first.publish(SIZE);
    first.publish(SIZE);
    let mut second = first.succeed(harness.ttl, 2);
    second.publish(SIZE);
    let reigns = [(first.term, 2), (second.term, 3)];
    let reigns = reigns.map(|(term, last)| Reign { term, last: Sequence(last) });
    assert_eq!(second.head().list.reigns(), reigns);
}

pub fn the_list_may_be_replaced(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    let mut list = TermList::new();
    list.advance(Writer::elsewhere(1, 40));
    list.advance(writer.next(1));
    let update = HeadUpdate { list: Some(list.clone()), ..HeadUpdate::default() };
    writer.publish_with(SIZE, update);
    assert_eq!(writer.head().list, list);
}

pub fn a_list_that_ends_elsewhere_is_refused(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    let before = stored(&writer);
    let mut list = TermList::new();
    list.advance(writer.next(2));
    let update = HeadUpdate { list: Some(list), ..HeadUpdate::default() };
    let batch = writer.batch(SIZE, update.clone());
    assert!(writer.try_publish(&batch).is_err_and(|error| !error.is_transient()));
    assert!(block_on(harness.store.write_head(writer.term, writer.at, update)).is_err());
    assert_eq!(stored(&writer), before);
}

pub fn parts_of_the_head_move_with_the_batch(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    let mut source = Source::default();
    source.advance(Kind::LICENSE, WallTime::from_millis(123));
    let update = HeadUpdate {
        digest: Some(digest(3)),
        source: Some(source),
        filter: Some(Filter(9)),
        guard: Some(Default::default()),
        ..HeadUpdate::default()
    };
    writer.publish_with(SIZE, update);
    let expect = |count| {
        let head = writer.head();
        assert_eq!(
            (head.digest.clone(), head.source, head.filter),
            (digest(count), source, Filter(9))
        );
    };
    expect(3);
    let mut next = writer.clone();
    next.publish(SIZE);
    expect(3);
    next.publish_with(SIZE, HeadUpdate { digest: Some(digest(4)), ..HeadUpdate::default() });
    expect(4);
}

pub fn the_head_may_be_written_alone(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    let update = HeadUpdate { filter: Some(Filter(9)), ..HeadUpdate::default() };
    for _ in 0..2 {
        let answer = ask(harness.store.write_head(writer.term, writer.at, update.clone()));
        assert_eq!(answer, Written::Done);
    }
    let head = writer.head();
    assert_eq!((head.filter, head.position()), (Filter(9), writer.at));
}

pub fn the_head_is_written_only_where_it_stands(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    let write = |at| {
        let update = HeadUpdate { filter: Some(Filter(9)), ..HeadUpdate::default() };
        ask(harness.store.write_head(writer.term, at, update))
    };
    assert_eq!(write(Position::START), Written::Behind, "there is no head");
    let entry = writer.clone().publish(SIZE);
    assert_eq!(write(Position::START), Written::Ahead);
    writer.at = entry.meta.position;
    assert_eq!(write(writer.next(1)), Written::Behind);
    assert_eq!(writer.head().filter, Filter(0));
}

pub fn a_read_from_the_start_gives_everything(harness: &Harness) {
    let empty = ask(harness.store.read(Position::START, usize::MAX));
    assert!(empty.head.is_none() && empty.entries.is_empty() && !empty.gap);
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    let entries: Vec<_> = (0..5).map(|_| writer.publish(SIZE)).collect();
    let log = ask(harness.store.read(Position::START, usize::MAX));
    assert_eq!(log.entries, entries);
    assert_eq!(log.term, writer.term);
    assert_eq!(log.head.map(|head| head.position()), Some(writer.at));
    assert!(!log.gap);
}

pub fn a_read_from_the_middle_gives_what_follows(harness: &Harness) {
    let mut first = Writer::elect(&harness.store, harness.ttl, 1);
    let mut entries = vec![first.publish(SIZE), first.publish(SIZE)];
    let mut second = first.succeed(harness.ttl, 2);
    entries.push(second.publish(SIZE));
    let log = ask(harness.store.read(entries[0].meta.position, usize::MAX));
    assert_eq!(log.entries, entries[1..]);
    assert!(!log.gap);
}

pub fn a_read_at_the_head_gives_nothing(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    let log = ask(harness.store.read(writer.at, usize::MAX));
    assert!(log.entries.is_empty() && !log.gap);
    assert!(log.head.is_some());
}

pub fn a_read_from_a_place_unknown_is_a_gap(harness: &Harness) {
    let lost = Writer::elsewhere(1, 1);
    assert!(ask(harness.store.read(lost, usize::MAX)).gap, "no head, no log");
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    writer.publish(SIZE);
    for place in [lost, Writer::elsewhere(9, 9), writer.next(1)] {
        let log = ask(harness.store.read(place, usize::MAX));
        assert!(log.gap && log.entries.is_empty(), "{place}");
        assert!(log.head.is_some());
    }
    assert_ne!(writer.at.term.epoch, Epoch(0));
}

pub fn a_read_is_bounded_but_gives_one(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    let entries: Vec<_> = (0..6).map(|_| writer.publish(1000)).collect();
    let one = ask(harness.store.read(Position::START, 1));
    assert_eq!(one.entries, entries[..1]);
    let some = ask(harness.store.read(Position::START, 3500)).entries;
    assert!((1..6).contains(&some.len()), "{} entries", some.len());
    let place = some[some.len() - 1].meta.position;
    let rest = ask(harness.store.read(place, usize::MAX)).entries;
    assert_eq!([some, rest].concat(), entries);
}
