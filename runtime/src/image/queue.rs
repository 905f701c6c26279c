//! What waits to be written, between the driver and the task that writes: in order, and bounded.
//!
//! A queue that would grow past its bound is emptied: then a snapshot is wanted, which holds all that
//! was lost. Until it is there, what comes is left out.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_channel::{Receiver, Sender};
use zonesync_core::format::Head;
use zonesync_core::id::Position;
use zonesync_core::time::WallTime;

use crate::state::View;
use crate::store::Bytes;

/// The most bytes of records that wait: 64 MiB.
const BYTES_MAX: usize = 64 << 20;

/// A journal frame ends with the record that brings it past this.
const GROUP_BYTES: usize = 4 << 20;

/// What a record counts beside its bytes, so that empty ones are bounded, too.
const RECORD_WEIGHT: usize = 128;

/// One record for the journal.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The batch or head; none if the state is only known to be the newest still.
    pub(super) record: Option<Bytes>,
    /// Where the state stands after it.
    pub(super) position: Position,
    /// When that was last known to be the zone's newest.
    pub(super) at: WallTime,
}

impl Entry {
    fn weight(&self) -> usize {
        RECORD_WEIGHT + self.record.as_ref().map_or(0, |record| record.len())
    }
}

/// A snapshot to write.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) view: View,
    pub(super) head: Head,
    pub(super) at: WallTime,
    /// What is queued behind it also follows what the image holds that stands.
    pub(super) continues: bool,
}

#[derive(Debug)]
enum Item {
    Entry(Entry),
    Snapshot(Box<Job>),
}

/// What the writing task does next.
#[derive(Debug)]
pub(super) enum Next {
    Group(Vec<Entry>),
    Snapshot(Box<Job>),
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    NotYet,
    /// Once all is written.
    Flushed,
    Now,
}

#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    bell: (Sender<()>, Receiver<()>),
}

#[derive(Debug)]
struct Waiting {
    items: VecDeque<Item>,
    bytes: usize,
    /// Something was left out, so nothing may follow but a snapshot.
    lost: bool,
    /// A snapshot is due.
    wanted: bool,
    end: End,
}

impl Queue {
    pub(super) fn new() -> Self {
        let waiting = Waiting {
            items: VecDeque::new(),
            bytes: 0,
            lost: false,
            wanted: false,
            end: End::NotYet,
        };
        Self { waiting: Mutex::new(waiting), bell: async_channel::bounded(1) }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing in here panics half-way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        let _ = self.bell.0.try_send(());
    }

    /// Adds a record, unless something before it was lost.
    pub(super) fn push(&self, entry: Entry) {
        let mut waiting = self.lock();
        if waiting.lost {
            return;
        }
        waiting.bytes += entry.weight();
        waiting.items.push_back(Item::Entry(entry));
        if waiting.bytes > BYTES_MAX {
            tracing::warn!("image: the disk is slower than the zone; a snapshot is due");
            waiting.items.clear();
            waiting.bytes = 0;
            (waiting.lost, waiting.wanted) = (true, true);
        }
        drop(waiting);
        self.ring();
    }

    /// Adds a snapshot, in the place of one that nobody has begun.
    pub(super) fn push_snapshot(&self, mut job: Job) {
        let mut waiting = self.lock();
        let queued = waiting.items.iter().position(|item| matches!(item, Item::Snapshot(_)));
        if let Some(at) = queued
            && let Some(Item::Snapshot(old)) = waiting.items.remove(at)
            && !old.continues
        {
            // What came behind it follows nothing that will stand; the new snapshot holds it.
            let gone = waiting.items.drain(at..).collect::<Vec<_>>();
            waiting.bytes -= gone.iter().map(weight).sum::<usize>();
            job.continues = false;
        }
        waiting.items.push_back(Item::Snapshot(Box::new(job)));
        (waiting.lost, waiting.wanted) = (false, false);
        drop(waiting);
        self.ring();
    }

    /// Says whether a snapshot is wanted, and whether something was lost.
    pub(super) fn wants(&self) -> (bool, bool) {
        let waiting = self.lock();
        (waiting.wanted, waiting.lost)
    }

    /// Asks for a snapshot, if none is on its way.
    pub(super) fn want(&self) {
        let mut waiting = self.lock();
        let queued = waiting.items.iter().any(|item| matches!(item, Item::Snapshot(_)));
        waiting.wanted |= !queued;
    }

    /// Takes records that wait before the next snapshot: as many as make one frame.
    pub(super) fn take_group(&self) -> Option<Vec<Entry>> {
        let mut waiting = self.lock();
        let (mut group, mut bytes) = (Vec::new(), 0);
        while bytes < GROUP_BYTES
            && let Some(Item::Entry(_)) = waiting.items.front()
            && let Some(Item::Entry(entry)) = waiting.items.pop_front()
        {
            bytes += entry.weight();
            group.push(entry);
        }
        waiting.bytes -= bytes;
        (!group.is_empty()).then_some(group)
    }

    fn take_next(&self) -> Option<Next> {
        if self.is_over() {
            return Some(Next::End);
        }
        if let Some(group) = self.take_group() {
            return Some(Next::Group(group));
        }
        let mut waiting = self.lock();
        match waiting.items.front() {
            // One that came this very moment is for the next turn.
            Some(Item::Entry(_)) => self.ring(),
            Some(Item::Snapshot(_)) => {
                if let Some(Item::Snapshot(job)) = waiting.items.pop_front() {
                    return Some(Next::Snapshot(job));
                }
            }
            None if waiting.end != End::NotYet => return Some(Next::End),
            None => {}
        }
        None
    }

    /// Waits for something to do.
    pub(super) async fn next(&self) -> Next {
        loop {
            if let Some(next) = self.take_next() {
                return next;
            }
            // The bell is rung before the channel closes, if it ever does.
            let _ = self.bell.1.recv().await;
        }
    }

    /// Waits until it is to end, whatever is written by then.
    pub(super) async fn ended(&self) {
        while self.lock().end == End::NotYet {
            let _ = self.bell.1.recv().await;
        }
    }

    /// Says whether nothing more may be written.
    pub(super) fn is_over(&self) -> bool {
        self.lock().end == End::Now
    }

    /// Ends once all that waits is written.
    pub(super) fn close(&self) {
        let mut waiting = self.lock();
        if waiting.end == End::NotYet {
            waiting.end = End::Flushed;
        }
        drop(waiting);
        self.ring();
    }

    /// Ends before the next call of the disk.
    pub(super) fn cut(&self) {
        self.lock().end = End::Now;
        self.ring();
    }
}

fn weight(item: &Item) -> usize {
    match item {
        Item::Entry(entry) => entry.weight(),
        Item::Snapshot(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::State;
    use zonesync_core::digest::DigestKey;

    fn entry(bytes: usize) -> Entry {
        let record = Some(vec![0; bytes].into());
        Entry { record, position: Position::START, at: WallTime::default() }
    }

    fn job() -> Job {
        let (state, _writer) = State::new(DigestKey::default());
        let head = super::super::tests::head();
        Job { view: state.view(), head, at: WallTime::default(), continues: true }
    }

    #[test]
    fn a_full_queue_becomes_a_wish_for_a_snapshot() {
        let queue = Queue::new();
        for _ in 0..16 {
            queue.push(entry(4 << 20));
        }
        assert_eq!(queue.wants(), (true, true));
        queue.push(entry(1));
        assert!(queue.take_group().is_none(), "nothing follows what was lost");
        queue.push_snapshot(job());
        assert_eq!(queue.wants(), (false, false));
        queue.push(entry(1));
        let next = futures_lite::future::block_on(queue.next());
        assert!(matches!(next, Next::Snapshot(_)), "{next:?}");
        assert_eq!(queue.take_group().map(|group| group.len()), Some(1));
    }

    #[test]
    fn records_come_in_order_and_never_past_a_snapshot() {
        let queue = Queue::new();
        queue.push(entry(1));
        queue.push(entry(2));
        queue.push_snapshot(job());
        queue.push(entry(3));
        let lengths = |queue: &Queue| {
            let group = queue.take_group()?;
            Some(group.iter().map(|e| e.record.as_ref().unwrap().len()).collect::<Vec<_>>())
        };
        assert_eq!(lengths(&queue), Some(vec![1, 2]));
        assert_eq!(lengths(&queue), None);
        queue.want();
        assert_eq!(queue.wants(), (false, false), "one is on its way");
        let _ = futures_lite::future::block_on(queue.next());
        assert_eq!(lengths(&queue), Some(vec![3]));
    }

    #[test]
    fn a_snapshot_in_anothers_place_takes_what_followed_that_one_alone() {
        for continues in [true, false] {
            let queue = Queue::new();
            queue.push(entry(1));
            queue.push_snapshot(Job { continues, ..job() });
            queue.push(entry(2));
            queue.push_snapshot(job());
            let left = queue.take_group().map(|group| group.len());
            assert_eq!(left, Some(if continues { 2 } else { 1 }));
            let Next::Snapshot(job) = futures_lite::future::block_on(queue.next()) else {
                panic!()
            };
            assert_eq!(job.continues, continues);
        }
    }

    #[test]
    fn an_end_lets_what_waits_be_written_unless_it_is_at_once() {
        let queue = Queue::new();
        queue.push(entry(1));
        queue.close();
        let next = || futures_lite::future::block_on(queue.next());
        assert!(matches!(next(), Next::Group(_)));
        assert!(matches!(next(), Next::End));
        queue.push(entry(1));
        queue.cut();
        assert!(matches!(next(), Next::End));
    }
}
