//! Chunks, commit, trim.

#![allow(missing_docs, reason = "a case is its own sentence")]

use futures_lite::future::block_on;
use zonesync::store::{Bytes, StoreError, Written};
use zonesync_core::format::Snapshot;
use zonesync_core::id::Position;

use super::{Harness, SMALL_BYTES, SPARE_BYTES, Writer, ask, noise, report};

const SIZE: usize = 10;

fn read_chunk(writer: &Writer, position: Position, number: u32) -> Option<Bytes> {
    ask(writer.store.chunk(position, number))
}

fn put(writer: &Writer, position: Position, number: u32, bytes: &[u8]) -> Written {
    ask(writer.store.put_chunk(writer.term, position, number, bytes.into()))
}

/// Says that `instance` is reading the snapshot at `reading`.
fn pin(harness: &Harness, instance: u128, reading: Position) {
    let mut report = report(instance, Position::START);
    report.reading = Some(reading);
    ask(harness.store.look(Some(report)));
}

pub fn a_snapshot_becomes_the_heads(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    let snapshot = writer.chunks(writer.at, &[b"one", b"two"]);
    assert_eq!(writer.head().snapshot, None, "not before the commit");
    writer.publish(SIZE);
    assert_eq!(writer.commit(snapshot, None), Written::Done);
    let head = writer.head();
    assert_eq!(head.snapshot, Some(snapshot));
    assert!(head.is_complete());
    assert_eq!(head.position(), writer.at, "the head stays");
    assert_eq!(read_chunk(&writer, snapshot.position, 0).as_deref(), Some(&b"one"[..]));
    assert_eq!(read_chunk(&writer, snapshot.position, 1).as_deref(), Some(&b"two"[..]));
    assert_eq!(read_chunk(&writer, snapshot.position, 2), None);
}

pub fn a_snapshot_committed_again_is_done(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    let snapshot = writer.snapshot(&[b"one"]);
    writer.publish(SIZE);
    assert_eq!(writer.commit(snapshot, None), Written::Done);
    assert_eq!(writer.head().snapshot, Some(snapshot));
}

pub fn a_snapshot_above_the_head_is_behind(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    let snapshot = writer.chunks(writer.next(1), &[b"one"]);
    assert_eq!(writer.commit(snapshot, None), Written::Behind);
    assert_eq!(writer.head().snapshot, None);
}

pub fn a_snapshot_that_lacks_a_chunk_is_behind(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    let snapshot = writer.chunks(writer.at, &[b"one"]);
    assert_eq!(writer.commit(Snapshot { chunks: 2, ..snapshot }, None), Written::Behind);
    assert_eq!(put(&writer, writer.at, 2, b"three"), Written::Done);
    let holed = Snapshot { chunks: 3, ..snapshot };
    assert_eq!(writer.commit(holed, None), Written::Behind);
    assert_eq!(writer.head().snapshot, None);
}

pub fn an_older_snapshot_never_comes_back(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    let old = writer.snapshot(&[b"old"]);
    writer.publish(SIZE);
    let new = writer.snapshot(&[b"new"]);
    assert_eq!(writer.commit(old, None), Written::Ahead);
    assert_eq!(writer.head().snapshot, Some(new));
}

pub fn a_first_load_moves_the_head(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    let from = writer.at;
    let snapshot = writer.chunks(writer.next(1), &[b"all"]);
    assert_eq!(writer.commit(snapshot, Some(from)), Written::Done);
    let head = writer.head();
    assert_eq!((head.position(), head.snapshot), (snapshot.position, Some(snapshot)));
    assert!(head.list.covers(from));
    assert_eq!(writer.commit(snapshot, Some(from)), Written::Done, "again");
    let log = ask(harness.store.read(Position::START, usize::MAX));
    assert_eq!(log.entries.len(), 1, "no entry");
    writer.at = snapshot.position;
    writer.publish(SIZE);
}

pub fn a_first_load_elsewhere_is_refused(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    let snapshot = writer.chunks(writer.next(5), &[b"all"]);
    assert_eq!(writer.commit(snapshot, Some(Position::START)), Written::Ahead);
    assert_eq!(writer.commit(snapshot, Some(writer.next(1))), Written::Behind);
    let head = writer.head();
    assert_eq!((head.position(), head.snapshot), (writer.at, None));
}

pub fn a_read_does_not_cross_a_moved_head(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    let first = writer.publish(SIZE);
    let snapshot = writer.chunks(writer.next(1), &[b"all"]);
    assert_eq!(writer.commit(snapshot, Some(writer.at)), Written::Done);
    writer.at = snapshot.position;
    let second = writer.publish(SIZE);
    let log = ask(harness.store.read(Position::START, usize::MAX));
    assert_eq!(log.entries, std::slice::from_ref(&first), "what follows builds on the snapshot");
    assert!(ask(harness.store.read(first.meta.position, usize::MAX)).gap);
    let log = ask(harness.store.read(snapshot.position, usize::MAX));
    assert_eq!(log.entries, [second]);
}

pub fn a_chunk_that_was_not_begun_is_behind(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    assert_eq!(put(&writer, writer.at, 0, b"one"), Written::Behind);
    assert_eq!(read_chunk(&writer, writer.at, 0), None);
}

pub fn a_committed_chunk_never_changes(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    let snapshot = writer.snapshot(&[b"one"]);
    assert_eq!(ask(harness.store.begin_snapshot(writer.term, writer.at)), Written::Done);
    assert_eq!(put(&writer, writer.at, 0, b"one"), Written::Done, "a retry");
    assert_eq!(put(&writer, writer.at, 0, b"two"), Written::Ahead);
    assert_eq!(put(&writer, writer.at, 1, b"two"), Written::Ahead);
    assert_eq!(read_chunk(&writer, snapshot.position, 0).as_deref(), Some(&b"one"[..]));
    assert_eq!(read_chunk(&writer, snapshot.position, 1), None);
}

pub fn chunks_of_a_deposed_primary_are_refused(harness: &Harness) {
    let mut first = Writer::elect(&harness.store, harness.ttl, 1);
    first.publish(SIZE);
    let snapshot = first.chunks(first.at, &[b"one"]);
    let second = first.succeed(harness.ttl, 2);
    assert_eq!(put(&first, first.at, 0, b"two"), Written::Fenced);
    assert_eq!(ask(harness.store.begin_snapshot(first.term, first.at)), Written::Fenced);
    assert_eq!(first.commit(snapshot, None), Written::Fenced);
    assert_eq!(second.commit(snapshot, None), Written::Behind, "begun in another term");
    assert_eq!(second.head().snapshot, None);
}

pub fn begun_again_keeps_its_chunks(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    let snapshot = writer.chunks(writer.at, &[b"one"]);
    assert_eq!(ask(harness.store.begin_snapshot(writer.term, writer.at)), Written::Done);
    assert_eq!(writer.commit(snapshot, None), Written::Done);
}

pub fn a_leftover_must_be_begun_again(harness: &Harness) {
    let mut first = Writer::elect(&harness.store, harness.ttl, 1);
    first.publish(SIZE);
    first.chunks(first.at, &[b"one", b"two"]);
    let second = first.succeed(harness.ttl, 2);
    assert_eq!(put(&second, first.at, 0, b"one"), Written::Behind);
    let snapshot = second.chunks(first.at, &[b"one"]);
    let more = Snapshot { chunks: 2, ..snapshot };
    assert_eq!(second.commit(more, None), Written::Behind, "the other chunk is of an earlier term");
    assert_eq!(second.commit(snapshot, None), Written::Done);
}

pub fn a_snapshot_given_up_makes_room_for_the_next(harness: &Harness) {
    let Some(small) = harness.small() else {
        return eprintln!("skipped: this store cannot be made full");
    };
    let mut writer = Writer::elect(&small, harness.ttl, 1);
    let large = noise(7, SMALL_BYTES / 256);
    writer.publish(SIZE);
    let given_up = writer.at;
    writer.chunks(given_up, &[&large]);
    writer.publish(SIZE);
    let put = |number| small.put_chunk(writer.term, given_up, number, large.clone().into());
    let refused = (1..512).map(|number| block_on(put(number))).find(|answer| answer.is_err());
    assert_eq!(refused, Some(Err(StoreError::Full)));
    writer.snapshot(&vec![&large[..]; 64]);
}

pub fn leftovers_of_an_earlier_term_are_swept(harness: &Harness) {
    let mut first = Writer::elect(&harness.store, harness.ttl, 1);
    first.publish(SIZE);
    first.chunks(first.at, &[b"one"]);
    let mut second = first.succeed(harness.ttl, 2);
    second.publish(SIZE);
    second.snapshot(&[b"two"]);
    assert_eq!(ask(harness.store.trim(second.term)), Written::Done);
    assert_eq!(read_chunk(&second, first.at, 0), None);
    assert!(read_chunk(&second, second.at, 0).is_some());
}

pub fn a_chunk_of_an_unknown_snapshot_is_none(harness: &Harness) {
    assert_eq!(ask(harness.store.chunk(Writer::elsewhere(1, 1), 0)), None);
}

pub fn a_trim_drops_what_the_snapshot_replaces(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    let old = writer.snapshot(&[b"old"]);
    writer.publish(SIZE);
    let new = writer.snapshot(&[b"new"]);
    let after = writer.publish(SIZE);
    let log_bytes = || ask(harness.store.read(new.position, usize::MAX)).bytes;
    let before = log_bytes();
    assert!(before >= 3 * SIZE as u64, "the log says how long it is");
    assert_eq!(ask(harness.store.trim(writer.term)), Written::Done);
    assert!(log_bytes() <= before - 2 * SIZE as u64, "it is shorter now");
    assert_eq!(read_chunk(&writer, old.position, 0), None);
    assert_eq!(read_chunk(&writer, new.position, 0).as_deref(), Some(&b"new"[..]));
    assert!(ask(harness.store.read(Position::START, usize::MAX)).gap);
    assert!(ask(harness.store.read(old.position, usize::MAX)).gap);
    assert_eq!(ask(harness.store.read(new.position, usize::MAX)).entries, [after]);
    let head = writer.head();
    assert_eq!((head.position(), head.snapshot), (writer.at, Some(new)));
    assert_eq!(ask(harness.store.trim(writer.term)), Written::Done, "again");
    writer.publish(SIZE);
}

pub fn a_trim_spares_a_snapshot_under_way(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    writer.snapshot(&[b"old"]);
    writer.publish(SIZE);
    let new = writer.chunks(writer.at, &[b"new"]);
    assert_eq!(ask(harness.store.trim(writer.term)), Written::Done);
    assert_eq!(writer.commit(new, None), Written::Done);
}

pub fn a_trim_spares_what_live_readers_read(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    let old = writer.snapshot(&[b"old"]);
    pin(harness, 2, old.position);
    let between = writer.publish(SIZE);
    writer.snapshot(&[b"new"]);
    assert_eq!(ask(harness.store.trim(writer.term)), Written::Done);
    assert!(read_chunk(&writer, old.position, 0).is_some());
    assert_eq!(ask(harness.store.read(old.position, usize::MAX)).entries, [between]);
    assert!(ask(harness.store.read(Position::START, usize::MAX)).gap, "nobody reads that");
    ask(harness.store.look(Some(report(2, writer.at))));
    assert_eq!(ask(harness.store.trim(writer.term)), Written::Done);
    assert_eq!(read_chunk(&writer, old.position, 0), None, "read to its end");
    assert!(ask(harness.store.read(old.position, usize::MAX)).gap);
}

pub fn a_trim_gives_up_dead_readers(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    let old = writer.snapshot(&[b"old"]);
    pin(harness, 2, old.position);
    writer.publish(SIZE);
    writer.snapshot(&[b"new"]);
    (harness.pass)(harness.ttl * 5 / 2);
    assert_eq!(ask(harness.store.trim(writer.term)), Written::Done, "a term outlives its lease");
    assert_eq!(read_chunk(&writer, old.position, 0), None);
}

pub fn a_trim_gives_up_the_slowest_past_its_bound(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    let half = noise(7, SPARE_BYTES * 2 / 3);
    let mut snapshots = Vec::new();
    for instance in 2..4 {
        writer.publish(SIZE);
        let snapshot = writer.snapshot(&[&half]);
        pin(harness, instance, snapshot.position);
        snapshots.push(snapshot.position);
    }
    writer.publish(SIZE);
    writer.snapshot(&[b"new"]);
    assert_eq!(ask(harness.store.trim(writer.term)), Written::Done);
    assert_eq!(read_chunk(&writer, snapshots[0], 0), None, "the slowest");
    assert!(read_chunk(&writer, snapshots[1], 0).is_some());
    writer.publish(SPARE_BYTES / 2);
    writer.snapshot(&[b"newer"]);
    assert_eq!(ask(harness.store.trim(writer.term)), Written::Done);
    assert_eq!(read_chunk(&writer, snapshots[1], 0), None, "the log after it counts");
}

pub fn a_trim_without_a_snapshot_keeps_everything(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    assert_eq!(ask(harness.store.trim(writer.term)), Written::Done);
    writer.publish(SIZE);
    assert_eq!(ask(harness.store.trim(writer.term)), Written::Done);
    assert_eq!(ask(harness.store.read(Position::START, usize::MAX)).entries.len(), 1);
}
