//! How a reign begins on a store that lost something, and with what number.

use super::alone::{Alone, lost};
use super::host::TTL;
use super::store::Store;
use crate::election::{Loss, Report, Role};
use crate::history::ClaimState;
use crate::id::{Epoch, InstanceId, Position, Sequence, Term, TermId};
use crate::node::{Event, Held, Step, Write};
use crate::time::Duration;

/// Lets a primary publish a change, and its store forget it. Gives where the node stands then.
fn with_a_lost_tail() -> (Alone, Position) {
    let mut alone = Alone::steady();
    let old: Store = alone.store.clone();
    alone.truth.insert(3, 3);
    alone.node().handle_repository_changed();
    alone.settle();
    let stood = alone.host.node.held().expect("it holds a state").position;
    assert_ne!(Some(stood), old.head.as_ref().map(|head| head.position()), "it published");
    // The lease and the newest term are kept: only the tail of the log and the head went back.
    (alone.store.head, alone.store.log) = (old.head, old.log);
    (alone, stood)
}

#[test]
fn a_lost_tail_is_restored_from_memory_and_nobody_has_to_settle_anything() {
    let (mut alone, stood) = with_a_lost_tail();
    let _ = alone.run_until(|step| matches!(step, Step::Compare));
    let (mut alone, again) = with_a_lost_tail();
    assert_eq!(stood, again, "the same seed, the same history");
    let before = alone.term;
    while alone.host.node.held().is_none_or(|held| held.position.term == before) {
        alone.settle();
    }
    let head = alone.store.head.as_ref().expect("a head");
    assert!(head.list.covers(stood), "whoever stood there may follow");
    assert_eq!(head.claims.claims(), []);
    let held = alone.host.node.held().expect("it holds a state");
    assert_eq!(head.digest.fingerprint(), held.digest.fingerprint());
}

#[test]
fn a_head_of_another_branch_that_comes_with_the_load_is_not_opened_on() {
    let (mut alone, _) = with_a_lost_tail();
    let _ = alone.run_until(|step| matches!(step, Step::Load { .. }));
    let mut head = alone.store.head.clone().expect("a head");
    // Another master answers: its history goes on from a term that this node never saw.
    let other = Term { epoch: Epoch(1), id: TermId(5) };
    head.list.advance(Position { term: other, sequence: Sequence(90) });
    let staged = Held {
        position: head.position(),
        list: head.list.clone(),
        digest: head.digest.clone(),
        source: head.source,
    };
    let (now, newest) = (alone.now, alone.host.node.seen());
    alone.node().handle_loaded(now, Some((newest, &head, staged)));
    let next = alone.next();
    assert!(
        !matches!(next, Some(Step::Open { .. })),
        "the plan was made for another head: {next:?}"
    );
}

#[test]
fn a_reign_begins_above_every_claimed_sequence() {
    let mut alone = Alone::steady();
    let head = alone.store.head.as_mut().expect("a head");
    assert!(head.claims.add(lost(500)));
    head.claims.settle(&[lost(500)]);
    assert_eq!(head.claims.claims()[0].state, ClaimState::Settled);
    let now = alone.now;
    assert!(alone.node().step_down(now, Duration::ZERO));
    let step = alone.run_until(|step| matches!(step, Step::Open { .. }));
    let Step::Open { meta, .. } = step else { unreachable!("it was picked") };
    assert_eq!(meta.position.sequence, Sequence(501));
}

/// A node without a state that holds the lease of a store without a head.
fn cold() -> Alone {
    let mut alone = Alone::begin();
    let step = alone.run_until(|step| matches!(step, Step::Open { .. }));
    let Step::Open { term, .. } = step else { unreachable!("it was asked for") };
    alone.term = term;
    let now = alone.now;
    alone.node().handle_written(now, Write::Done);
    alone.events();
    alone
}

#[test]
fn a_read_says_whether_it_settles_claims() {
    let reads = |claims: &[Position]| {
        let mut alone = Alone::steady();
        alone.renew(claims, &[]);
        alone.node().want_full_read();
        match alone.next() {
            Some(Step::ReadRepository { since: None, settles, .. }) => settles,
            other => panic!("no full read but {other:?}"),
        }
    };
    assert!(reads(&[lost(1)]));
    assert!(!reads(&[]));
}

fn report(alone: &mut Alone, position: Position) -> Report {
    let report = alone.node().make_report();
    Report { instance: InstanceId(8), role: Role::Secondary, position, count: 9, ..report }
}

#[test]
fn a_first_load_waits_for_what_live_nodes_report() {
    let mut alone = cold();
    assert_eq!(alone.next(), None, "the store may have lost their reports");
    let mut observer = report(&mut alone, lost(4));
    (observer.role, observer.can_stand) = (Role::Observer, false);
    let began = alone.now;
    alone.renew(&[], &[observer]);
    assert!(alone.now.since(began) <= TTL / 3, "it waits for no longer than to its first renewal");
    let Some(Step::ReadRepository { least, .. }) = alone.next() else { panic!("it reads") };
    assert_eq!(least, Some(9));
}

#[test]
fn a_first_load_is_left_once_to_a_candidate_that_holds_a_state() {
    let mut alone = cold();
    let other = report(&mut alone, lost(4));
    alone.renew(&[], core::slice::from_ref(&other));
    let term = alone.term;
    assert_eq!(alone.events(), [Event::Lost(term, Loss::Released)]);
    // The other does not take it.
    let step = alone.run_until(|step| matches!(step, Step::Open { .. }));
    let Step::Open { term, .. } = step else { unreachable!("it was asked for") };
    alone.term = term;
    let now = alone.now;
    alone.node().handle_written(now, Write::Done);
    alone.renew(&[], &[other]);
    assert!(matches!(alone.next(), Some(Step::ReadRepository { least: Some(9), .. })));
}

#[test]
fn a_first_load_is_not_left_to_one_that_holds_nothing() {
    let mut alone = cold();
    let other = report(&mut alone, Position::START);
    alone.renew(&[], &[other]);
    assert!(matches!(alone.next(), Some(Step::ReadRepository { .. })));
}
