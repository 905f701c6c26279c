//! Waiting, and many at once.

#![allow(missing_docs, reason = "a case is its own sentence")]

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use futures_lite::future::{block_on, poll_once};
use zonesync::store::{Acquired, HeadUpdate, Publish, Renewed, Seen, Written, ZoneStore};
use zonesync_core::id::{Position, Sequence, Term};

use super::{Harness, Writer, ask, entry};

const SIZE: usize = 10;

/// A time-out that no case reaches.
const LONG: Duration = Duration::from_secs(3600);

/// After this a wait is taken to hang.
const HANG: Duration = Duration::from_secs(20);

/// How long a case watches a wait that must go on, and lets one over a network arrive.
const SETTLE: Duration = Duration::from_millis(50);

/// Begins to wait on a thread of its own. The receiver hears when the wait has ended.
///
/// Returns once the wait has been polled, so that what the case does next cannot come too early.
fn begin(harness: &Harness, seen: Seen, timeout: Duration) -> Receiver<()> {
    let (began, begun) = mpsc::channel();
    let (ended, receiver) = mpsc::channel();
    let store = Arc::clone(&harness.store);
    thread::spawn(move || {
        let mut wait = store.wait(seen, timeout);
        let first = block_on(poll_once(&mut wait));
        // Who asked may have failed in the meantime and listen no more.
        let _ = began.send(());
        first.unwrap_or_else(|| block_on(wait)).expect("the store answers");
        let _ = ended.send(());
    });
    assert_eq!(begun.recv_timeout(HANG), Ok(()), "the wait does not begin");
    receiver
}

/// What a look shows.
fn seen(harness: &Harness) -> Seen {
    let look = ask(harness.store.look(None));
    let lease = look.lease.map(|lease| lease.term).unwrap_or_default();
    Seen { head: look.head.unwrap_or(Position::START), lease }
}

/// Starts to wait beside what a look shows, acts, and sees the wait end by that alone.
fn ends_with(harness: &Harness, act: impl FnOnce()) {
    let ended = begin(harness, seen(harness), LONG);
    goes_on(&ended);
    act();
    assert_eq!(ended.recv_timeout(HANG), Ok(()), "the wait hangs");
}

/// Waits beside `seen`, which is no more what there is.
fn ends_at_once(harness: &Harness, seen: Seen) {
    let ended = begin(harness, seen, LONG);
    assert_eq!(ended.recv_timeout(HANG), Ok(()), "the wait hangs");
}

fn goes_on(ended: &Receiver<()>) {
    assert_eq!(ended.recv_timeout(SETTLE), Err(RecvTimeoutError::Timeout), "nothing happened yet");
}

pub fn a_wait_elsewhere_ends_at_once(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    let before = seen(harness);
    ends_at_once(harness, Seen { head: Writer::elsewhere(1, 1), ..before });
    writer.publish(SIZE);
    ends_at_once(harness, before);
}

pub fn a_wait_beside_another_lease_ends_at_once(harness: &Harness) {
    let writer = Writer::elect(&harness.store, harness.ttl, 1);
    ends_at_once(harness, Seen::default());
    let before = seen(harness);
    ask(harness.store.release(writer.term));
    ends_at_once(harness, before);
    Writer::elect(&harness.store, harness.ttl, 2);
    ends_at_once(harness, before);
}

pub fn a_wait_ends_with_a_batch(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    ends_with(harness, || drop(writer.clone().publish(SIZE)));
}

pub fn a_wait_ends_with_a_moved_head(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    writer.publish(SIZE);
    let snapshot = writer.chunks(writer.next(1), &[b"all"]);
    ends_with(harness, || {
        assert_eq!(writer.commit(snapshot, Some(writer.at)), Written::Done);
    });
}

pub fn a_wait_ends_with_a_release(harness: &Harness) {
    let writer = Writer::elect(&harness.store, harness.ttl, 1);
    ends_with(harness, || ask(harness.store.release(writer.term)));
}

pub fn a_wait_ends_with_a_new_lease(harness: &Harness) {
    ends_with(harness, || drop(Writer::elect(&harness.store, harness.ttl, 1)));
}

pub fn a_wait_goes_on_over_a_renewal(harness: &Harness) {
    let writer = Writer::elect(&harness.store, harness.ttl, 1);
    let ended = begin(harness, seen(harness), LONG);
    assert!(matches!(writer.renew(harness.ttl), Renewed::Done { .. }));
    goes_on(&ended);
    ask(harness.store.release(writer.term));
    assert_eq!(ended.recv_timeout(HANG), Ok(()), "the wait hangs");
}

pub fn a_wait_ends_at_its_time_out(harness: &Harness) {
    let ended = begin(harness, seen(harness), harness.ttl);
    goes_on(&ended);
    (harness.pass)(harness.ttl);
    assert_eq!(ended.recv_timeout(HANG), Ok(()), "the wait hangs");
}

pub fn a_wait_may_be_dropped(harness: &Harness) {
    let mut writer = Writer::elect(&harness.store, harness.ttl, 1);
    for _ in 0..10 {
        let mut wait = harness.store.wait(seen(harness), LONG);
        assert!(block_on(poll_once(&mut wait)).is_none());
        drop(wait);
        writer.publish(SIZE);
    }
}

/// Threads that write at once under one term, each sending each batch twice as if a reply was lost.
/// Only one batch can follow a head, so those who come second begin again from the new one.
pub fn many_writers_make_one_log(harness: &Harness) {
    const WRITERS: u128 = 8;
    const BATCHES: u128 = 20;
    // Longer than the case runs on a store whose clock is a real one.
    let writer = Writer::elect(&harness.store, harness.ttl * 100, 1);
    let store = &harness.store;
    thread::scope(|scope| {
        for number in 0..WRITERS {
            scope.spawn(move || {
                for batch in 0..BATCHES {
                    write_until_done(&**store, writer.term, (number << 64) | (batch + 1));
                }
            });
            // One that stays behind, as a follower does.
            scope.spawn(move || follow(&**store, (WRITERS * BATCHES) as u64));
        }
    });
    let log = ask(store.read(Position::START, usize::MAX));
    assert_eq!(log.entries.len() as u128, WRITERS * BATCHES);
    let mut marks: Vec<_> = log.entries.iter().map(|entry| entry.meta.after).collect();
    marks.sort_by_key(|mark| mark.0);
    marks.dedup();
    assert_eq!(marks.len() as u128, WRITERS * BATCHES, "each batch is there once");
}

fn write_until_done(store: &dyn ZoneStore, term: Term, mark: u128) {
    loop {
        let at = ask(store.look(None)).head.unwrap_or(Position::START);
        let position = Position { term, sequence: Sequence(at.sequence.0 + 1) };
        let entry = entry(at, position, mark, SIZE);
        let batch = Publish { term, entry, update: HeadUpdate::default() };
        let (lost, answer) = (ask(store.publish(batch.clone())), ask(store.publish(batch)));
        // Others may have gone on between the two: then the first answer decides.
        assert!(lost == answer || answer == Written::Ahead, "{lost:?}, then {answer:?}");
        match lost {
            Written::Done => return,
            Written::Ahead => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Reads the log as it grows up to `last`, and sees that each entry builds on the one before.
fn follow(store: &dyn ZoneStore, last: u64) {
    let mut at = Position::START;
    while at.sequence.0 < last {
        let lease = ask(store.look(None)).lease.map(|lease| lease.term).unwrap_or_default();
        ask(store.wait(Seen { head: at, lease }, LONG));
        let log = ask(store.read(at, 100));
        assert!(!log.gap);
        for entry in log.entries {
            assert_eq!(entry.meta.previous, at);
            at = entry.meta.position;
        }
        assert!(log.head.is_none_or(|head| head.position() >= at), "log and head agree");
    }
}

pub fn one_of_many_candidates_is_elected(harness: &Harness) {
    let store = Arc::clone(&harness.store);
    let requests = (1..=16).map(|n| Writer::request(&*store, harness.ttl * 100, n, n));
    let threads: Vec<_> = requests
        .map(|request| {
            let store = Arc::clone(&store);
            thread::spawn(move || ask(store.acquire(request)))
        })
        .collect();
    let answers = threads.into_iter().map(|thread| thread.join().expect("it ends"));
    let granted: Vec<_> = answers.filter(|answer| matches!(answer, Acquired::Granted(_))).collect();
    assert_eq!(granted, [Acquired::Granted(ask(store.look(None)).term)]);
}
