//! What the suite of all stores cannot see from outside: random histories of the plain zone, and
//! what waits leave behind.

mod histories;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use zonesync_core::digest::Fingerprint;
use zonesync_core::election::{Report, Role};
use zonesync_core::format::Filter;
use zonesync_core::id::{Epoch, InstanceId, Position};
use zonesync_core::time::{Duration, Instant};

use super::reports::{REPORTS_MAX, Reports};
use super::{MemoryOptions, MemoryStore, Raise, Seen, ZoneStore};
use crate::runtime::{Runtime, Task};

/// A runtime that runs nothing; its clock is the machine's.
#[derive(Debug)]
struct Idle;

impl Runtime for Idle {
    fn spawn(&self, _: Task) {}
}

fn report(instance: u128, reading: Option<Position>) -> Report {
    Report {
        node: "node".parse().expect("a node's name"),
        instance: InstanceId(instance),
        role: Role::Secondary,
        position: Position::START,
        seen: Epoch(0),
        fingerprint: Fingerprint(0),
        count: 0,
        can_stand: true,
        format: 1,
        filter: Filter(0),
        reading,
    }
}

#[test]
fn a_dropped_wait_leaves_nothing_behind() {
    let name = "one".parse().expect("a zone's name");
    let store = MemoryStore::new(name, Arc::new(Idle), MemoryOptions::default());
    let count = || store.shared.lock().waiters.count();
    let mut context = Context::from_waker(Waker::noop());
    let hour = Duration::from_secs(3600);
    {
        let mut first = store.wait(Seen::default(), hour);
        let mut second = store.wait(Seen::default(), hour);
        assert!(first.as_mut().poll(&mut context).is_pending());
        assert!(first.as_mut().poll(&mut context).is_pending());
        assert!(second.as_mut().poll(&mut context).is_pending());
        assert_eq!(count(), 2);
        drop(first);
        assert_eq!(count(), 1);
    }
    assert_eq!(count(), 0);
}

#[test]
fn a_notice_between_the_call_and_the_first_poll_is_not_lost() {
    let name = "one".parse().expect("a zone's name");
    let store = MemoryStore::new(name, Arc::new(Idle), MemoryOptions::default());
    let mut context = Context::from_waker(Waker::noop());
    let mut wait = store.wait(Seen::default(), Duration::from_secs(3600));
    let raise = pin!(store.raise(Raise { seen: Epoch(3), position: None }));
    assert!(raise.poll(&mut context).is_ready());
    assert!(wait.as_mut().poll(&mut context).is_ready());
}

#[test]
fn reports_are_bounded_and_the_silent_go_first() {
    let mut reports = Reports::default();
    for instance in 0..=REPORTS_MAX {
        reports.add(Instant::from_nanos(instance as u64), report(instance as u128, None));
    }
    assert_eq!(reports.len(), REPORTS_MAX);
    let list = reports.list();
    assert_eq!(list[0].instance, InstanceId(1));
    assert_eq!(list[list.len() - 1].instance, InstanceId(REPORTS_MAX as u128));
}
