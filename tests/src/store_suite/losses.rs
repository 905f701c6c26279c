//! Raises and claims, full and emptied stores, and neighbours.

#![allow(missing_docs, reason = "a case is its own sentence")]

use futures_lite::future::block_on;
use zonesync::store::{HeadUpdate, Raise, RaiseAnswer, Renewed, StoreError, Written};
use zonesync_core::history::{RAISE_MAX, TermList};
use zonesync_core::id::{Epoch, Position, Term, TermId};

use super::{Harness, SMALL_BYTES, Writer, ask, noise, report};

const SIZE: usize = 10;

/// The size of the batches that fill a store.
const LARGE: usize = SMALL_BYTES / 256;

fn raise(harness: &Harness, seen: u64, position: Option<Position>) -> RaiseAnswer {
    ask(harness.store.raise(Raise { seen: Epoch(seen), position }))
}

fn done(epoch: u64) -> RaiseAnswer {
    RaiseAnswer::Done(Epoch(epoch))
}

fn term(harness: &Harness) -> Term {
    ask(harness.store.look(None)).term
}

fn open_claims(writer: &Writer) -> Vec<Position> {
    writer.head().claims.open().collect()
}

pub fn a_raise_of_a_covered_position_changes_nothing(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    assert_eq!(raise(harness, 1, Some(writer.at)), done(1));
    assert_eq!(raise(harness, 1, None), done(1));
    assert_eq!(raise(harness, 0, Some(Position::START)), done(1));
    assert_eq!(term(harness), writer.term);
    assert_eq!(open_claims(&writer), []);
}

pub fn a_raise_above_the_term_moves_it(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    assert_eq!(raise(harness, 5, Some(writer.at)), done(6));
    assert_eq!(term(harness).epoch, Epoch(6));
    assert_eq!(open_claims(&writer), []);
    let batch = writer.batch(SIZE, HeadUpdate::default());
    assert_eq!(writer.try_publish(&batch), Ok(Written::Fenced));
}

pub fn a_raise_of_a_lost_position_claims_and_fences(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    let lost = Writer::elsewhere(1, 3);
    assert_eq!(raise(harness, 1, Some(lost)), done(2), "same epoch, another reign");
    assert_eq!(open_claims(&writer), [lost]);
    let batch = writer.batch(SIZE, HeadUpdate::default());
    assert_eq!(writer.try_publish(&batch), Ok(Written::Fenced));
    assert!(matches!(writer.renew(harness.ttl), Renewed::Fenced));
    let next = writer.succeed(harness.ttl, 2);
    let Renewed::Done { claims, .. } = next.renew(harness.ttl) else { panic!("the lease stands") };
    assert_eq!(claims, [lost], "a renewal shows it");
}

pub fn a_raise_again_changes_nothing(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    raise(harness, 1, Some(Writer::elsewhere(1, 3)));
    let raised = term(harness);
    assert_eq!(raise(harness, 1, Some(Writer::elsewhere(1, 3))), done(2));
    assert_eq!(raise(harness, 2, Some(Writer::elsewhere(1, 2))), done(2), "within the claim");
    assert_eq!(term(harness), raised);
    assert_eq!(open_claims(&writer).len(), 1);
}

pub fn a_raise_below_the_term_only_claims(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    let writer = writer.succeed(harness.ttl, 2);
    assert_eq!(raise(harness, 1, Some(Writer::elsewhere(1, 3))), done(2));
    assert_eq!(term(harness), writer.term);
    assert_eq!(open_claims(&writer), [Writer::elsewhere(1, 3)]);
}

pub fn a_raise_too_far_changes_nothing(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    assert_eq!(raise(harness, 2 + RAISE_MAX, None), RaiseAnswer::TooFar);
    let far = Writer::elsewhere(2 + RAISE_MAX, 1);
    assert_eq!(raise(harness, 1, Some(far)), RaiseAnswer::TooFar);
    assert_eq!(term(harness), writer.term);
    assert_eq!(open_claims(&writer), []);
}

pub fn a_raised_term_belongs_to_nobody(harness: &Harness) {
    assert_eq!(raise(harness, 3, None), done(4));
    let first = term(harness);
    assert_eq!(raise(harness, 5, None), done(6));
    let second = term(harness);
    assert_ne!(first.id, second.id);
    assert!(![first.id, second.id].contains(&TermId(0)));
    assert_eq!(ask(harness.store.look(None)).lease, None);
    assert_eq!(Writer::elect(&harness.store, harness.ttl, 1).term.epoch, Epoch(7));
}

pub fn claims_made_without_a_head_reach_the_first(harness: &Harness) {
    let lost = Writer::elsewhere(3, 9);
    assert_eq!(raise(harness, 3, Some(lost)), done(4));
    assert_eq!(raise(harness, 3, Some(lost)), done(4), "it is known");
    assert_eq!(ask(harness.store.look(None)).head, None, "a claim makes no head");
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    let Renewed::Done { claims, .. } = writer.renew(harness.ttl) else {
        panic!("the lease stands")
    };
    assert_eq!(claims, [lost]);
    writer.publish(SIZE);
    assert_eq!(open_claims(&writer), [lost]);
}

pub fn claims_are_settled_with_a_batch(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    let (known, unknown) = (Writer::elsewhere(1, 3), Writer::elsewhere(0, 4));
    raise(harness, 1, Some(known));
    raise(harness, 1, Some(unknown));
    let mut writer = writer.succeed(harness.ttl, 2);
    writer.publish_with(SIZE, HeadUpdate { settled: vec![known], ..HeadUpdate::default() });
    assert_eq!(open_claims(&writer), [unknown]);
    assert!(writer.head().claims.settles(known));
    let epoch = term(harness).epoch.0;
    assert_eq!(raise(harness, 1, Some(known)), done(epoch), "it may leave now");
    assert_eq!(open_claims(&writer), [unknown]);
}

pub fn claims_are_settled_with_a_head_write(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    let known = Writer::elsewhere(1, 3);
    raise(harness, 1, Some(known));
    let writer = writer.succeed(harness.ttl, 2);
    let update = HeadUpdate { settled: vec![known], ..HeadUpdate::default() };
    let answer = ask(harness.store.write_head(writer.term, writer.at, update));
    assert_eq!(answer, Written::Done);
    assert_eq!(open_claims(&writer), []);
    assert!(writer.head().claims.settles(known));
}

pub fn claims_that_the_list_covers_fall_away(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    let lost = Writer::elsewhere(1, 3);
    let other = Position { term: Term { id: TermId(5), ..lost.term }, ..lost };
    raise(harness, 1, Some(lost));
    raise(harness, 1, Some(other));
    let mut writer = writer.succeed(harness.ttl, 2);
    let mut list = TermList::new();
    list.advance(lost);
    list.advance(writer.next(1));
    writer.publish_with(SIZE, HeadUpdate { list: Some(list), ..HeadUpdate::default() });
    let head = writer.head();
    assert!(!head.claims.contains(lost));
    assert!(head.claims.contains(other));
}

/// Elects a writer in the small zone and publishes until there is no room.
fn fill(harness: &Harness) -> Option<Writer> {
    let Some(small) = harness.small() else {
        eprintln!("skipped: this store cannot be made full");
        return None;
    };
    let mut writer = Writer::elect(&small, harness.ttl, 1);
    publish_until_full(&mut writer);
    Some(writer)
}

fn publish_until_full(writer: &mut Writer) {
    for _ in 0..2 * SMALL_BYTES / LARGE {
        let batch = writer.batch(LARGE, HeadUpdate::default());
        match writer.try_publish(&batch) {
            Ok(answer) => assert_eq!(answer, Written::Done),
            Err(error) => return assert_eq!(error, StoreError::Full),
        }
        writer.at = batch.entry.meta.position;
    }
    panic!("the small zone holds more than twice {SMALL_BYTES} bytes");
}

pub fn a_full_store_refuses_batches_and_chunks(harness: &Harness) {
    let Some(writer) = fill(harness) else { return };
    let before = ask(writer.store.read(Position::START, usize::MAX));
    assert_eq!(before.entries.last().map(|entry| entry.meta.position), Some(writer.at));
    let batch = writer.batch(SMALL_BYTES / 4, HeadUpdate::default());
    assert_eq!(writer.try_publish(&batch), Err(StoreError::Full));
    assert_eq!(ask(writer.store.begin_snapshot(writer.term, writer.at)), Written::Done);
    let chunk = noise(1, SMALL_BYTES / 4).into();
    let answer = block_on(writer.store.put_chunk(writer.term, writer.at, 0, chunk));
    assert_eq!(answer, Err(StoreError::Full));
    assert_eq!(ask(writer.store.chunk(writer.at, 0)), None);
    let after = ask(writer.store.read(Position::START, usize::MAX));
    assert_eq!(after.entries, before.entries);
    assert_eq!(after.head, before.head);
}

pub fn a_full_store_still_elects(harness: &Harness) {
    let Some(first) = fill(harness) else { return };
    assert!(matches!(first.renew(harness.ttl), Renewed::Done { .. }));
    let lost = Writer::elsewhere(1, 3);
    let answer = ask(first.store.raise(Raise { seen: Epoch(1), position: Some(lost) }));
    assert_eq!(answer, RaiseAnswer::Done(Epoch(2)));
    assert_eq!(open_claims(&first), [lost]);
    let second = first.succeed(harness.ttl, 2);
    assert_eq!(second.term.epoch, Epoch(3));
    assert!(matches!(second.renew(harness.ttl), Renewed::Done { .. }));
    let settled = HeadUpdate { settled: vec![lost], ..HeadUpdate::default() };
    assert_eq!(ask(second.store.write_head(second.term, second.at, settled)), Written::Done);
}

pub fn a_full_store_takes_batches_after_a_trim(harness: &Harness) {
    let Some(small) = harness.small() else { return };
    let mut writer = Writer::elect(&small, harness.ttl, 1);
    for _ in 0..SMALL_BYTES / LARGE / 2 {
        writer.publish(LARGE);
    }
    let snapshot = writer.chunks(writer.at, &[b"all"]);
    publish_until_full(&mut writer);
    assert_eq!(writer.commit(snapshot, None), Written::Done);
    assert_eq!(ask(small.trim(writer.term)), Written::Done);
    for _ in 0..SMALL_BYTES / LARGE / 4 {
        writer.publish(LARGE);
    }
}

pub fn an_emptied_store_fences_its_primary(harness: &Harness) {
    let Some(clear) = &harness.clear else {
        return eprintln!("skipped: this store cannot be emptied");
    };
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    clear();
    assert_eq!(term(harness), Term::default());
    assert!(matches!(writer.renew(harness.ttl), Renewed::Fenced));
    let batch = writer.batch(SIZE, HeadUpdate::default());
    assert_eq!(writer.try_publish(&batch), Ok(Written::Fenced));
    assert_eq!(raise(harness, 1, Some(writer.at)), done(2));
    assert_eq!(Writer::elect(&harness.store, harness.ttl, 1).term.epoch, Epoch(3));
}

pub fn an_old_copy_is_behind(harness: &Harness) {
    let Some(copy) = &harness.old_copy else {
        return eprintln!("skipped: this store cannot go back to a copy");
    };
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    (copy.keep)();
    writer.publish(SIZE);
    let snapshot = writer.chunks(writer.at, &[b"one"]);
    (copy.restore)();
    assert!(matches!(writer.renew(harness.ttl), Renewed::Behind));
    let batch = writer.batch(SIZE, HeadUpdate::default());
    assert_eq!(writer.try_publish(&batch), Ok(Written::Behind));
    let put = harness.store.put_chunk(writer.term, writer.at, 1, vec![1].into());
    assert_eq!(ask(put), Written::Behind);
    assert_eq!(writer.commit(snapshot, None), Written::Behind);
    let update = HeadUpdate::default();
    assert_eq!(ask(harness.store.write_head(writer.term, writer.at, update)), Written::Behind);
}

pub fn two_zones_never_see_each_other(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    let snapshot = writer.snapshot(&[b"one"]);
    ask(harness.store.look(Some(report(2, writer.at))));
    let look = ask(harness.neighbour.look(None));
    assert_eq!((look.lease, look.term, look.head), (None, Term::default(), None));
    assert_eq!(look.live, []);
    assert_eq!(ask(harness.neighbour.chunk(snapshot.position, 0)), None);
    let mut neighbour = Writer::elect(&harness.neighbour, harness.ttl, 3);
    neighbour.publish(SIZE);
    neighbour.publish(SIZE);
    assert_eq!(
        ask(harness.neighbour.publish(writer.batch(SIZE, HeadUpdate::default()))),
        Written::Fenced
    );
    assert_eq!(ask(harness.store.look(None)).head, Some(writer.at));
    ask(harness.neighbour.release(neighbour.term));
    assert!(matches!(writer.renew(harness.ttl), Renewed::Done { .. }));
}
