//! One node at a time: bring it into a state, hand something in, see what it does next.

use super::alone::{Alone, lost};
use super::host::{POLL, TTL};
use crate::digest::Digest;
use crate::election::{Answer, Command, Loss, Role};
use crate::id::{Epoch, InstanceId, Position, Sequence, Term, TermId};
use crate::node::{Difference, Event, LogSeen, Node, Settled, Step, Write};
use crate::time::Duration;

#[test]
fn a_full_read_settles_exactly_the_claims_known_before_it_began() {
    let mut alone = Alone::steady();
    alone.renew(&[lost(1)], &[]);
    assert!(alone.is_full_read());
    alone.renew(&[lost(1), lost(2)], &[]);
    alone.read_gives(1, true);
    let Some(Step::Publish { settled, .. }) = alone.next() else { panic!("nothing published") };
    assert_eq!(settled, Settled::from_slice(&[lost(1)]).unwrap());
    let now = alone.now;
    alone.node().handle_published(now, Write::Done, 1, 0, &Digest::EMPTY);
    assert!(alone.is_full_read(), "the other one is still open");
    alone.read_gives(0, true);
    let Some(Step::WriteHead { settled, .. }) = alone.next() else { panic!("nothing settled") };
    assert_eq!(settled, Settled::from_slice(&[lost(2)]).unwrap());
}

#[test]
fn a_log_that_earlier_reigns_made_long_is_replaced_by_a_snapshot() {
    let mut alone = Alone::steady();
    alone.host.log_bytes = 1 << 30;
    let now = alone.now;
    assert!(alone.node().step_down(now, Duration::ZERO));
    let mut packed = false;
    for _ in 0..5_000 {
        alone.step();
        packed |= alone
            .store
            .head
            .as_ref()
            .and_then(|head| head.snapshot)
            .is_some_and(|s| s.position.term != alone.term);
    }
    assert!(packed, "the new reign wrote a snapshot of its own");
}

#[test]
fn a_long_difference_makes_room_by_a_snapshot_between_two_batches() {
    let mut alone = Alone::steady();
    alone.node().handle_repository_changed();
    assert!(!alone.is_full_read());
    alone.read_gives(2, true);
    let Some(Step::Publish { position, .. }) = alone.next() else { panic!("nothing published") };
    let now = alone.now;
    alone.node().handle_published(now, Write::Done, 1 << 30, 1, &Digest::EMPTY);
    let Some(Step::Snapshot { position: packed, .. }) = alone.next() else { panic!("no snapshot") };
    assert_eq!(packed, position);
    alone.node().handle_snapshot(now, Write::Done, 1, None);
    let Some(Step::Trim { .. }) = alone.next() else { panic!("no trim") };
    alone.node().handle_written(now, Write::Done);
    let Some(Step::Publish { previous, .. }) = alone.next() else { panic!("the rest is lost") };
    assert_eq!(previous, position);
}

#[test]
fn an_incomplete_read_settles_nothing_and_is_not_repeated_at_once() {
    let mut alone = Alone::steady();
    alone.renew(&[lost(1)], &[]);
    assert!(alone.is_full_read());
    alone.read_gives(1, false);
    let Some(Step::Publish { settled, .. }) = alone.next() else { panic!("nothing published") };
    assert_eq!(settled, Settled::new());
    let now = alone.now;
    alone.node().handle_published(now, Write::Done, 1, 0, &Digest::EMPTY);
    while alone.now.since(now) < POLL * 5 {
        assert_eq!(alone.next(), None);
        alone.renew(&[lost(1)], &[]);
    }
    assert!(alone.is_full_read());
}

#[test]
fn a_change_that_could_not_be_read_is_read_again() {
    let mut alone = Alone::steady();
    alone.node().handle_repository_changed();
    assert!(!alone.is_full_read());
    let now = alone.now;
    alone.node().handle_repository(now, Difference::Failed);
    assert_eq!(alone.next(), None, "not at once");
    alone.now = now + POLL;
    assert!(!alone.is_full_read());
    alone.node().handle_repository_changed();
    alone.read_gives(0, true);
    assert!(!alone.is_full_read(), "what came during the read comes next");
}

#[test]
fn a_repository_is_not_watched_while_a_known_change_waits_for_the_next_try() {
    let mut alone = Alone::steady();
    alone.node().handle_repository_changed();
    let Some(Step::ReadRepository { .. }) = alone.next() else { panic!("no read") };
    let now = alone.now;
    alone.node().handle_repository(now, Difference::Failed);
    assert!(alone.next().is_none(), "it waits before it tries again");
    // A source that says at once that something changed would be asked again without an end.
    assert!(!alone.node().watches_repository());
}

#[test]
fn a_person_who_asks_for_a_full_read_gets_it_although_one_failed() {
    let mut alone = Alone::steady();
    alone.node().want_full_read();
    assert!(alone.is_full_read());
    let now = alone.now;
    alone.node().handle_repository(now, Difference::Failed);
    alone.node().handle_repository_changed();
    alone.now = now + POLL;
    assert!(alone.is_full_read());
}

#[test]
fn after_a_loss_at_the_store_a_reign_does_not_go_on() {
    let mut alone = Alone::steady();
    alone.node().handle_repository_changed();
    assert!(!alone.is_full_read());
    alone.read_gives(1, true);
    assert!(matches!(alone.next(), Some(Step::Publish { .. })));
    let (now, term) = (alone.now, alone.term);
    alone.node().handle_published(now, Write::Lost, 1, 1, &Digest::EMPTY);
    assert_eq!(alone.events(), [Event::Lost(term, Loss::Behind)]);
    assert_ne!(alone.node().role(), Role::Primary);
    alone.node().handle_timeout(now);
    let command = alone.node().poll_lease();
    let Some(Command::Acquire { id, known, .. }) = command else { panic!("{command:?}") };
    assert!(id != term.id && known == term.epoch);
}

#[test]
fn an_answer_of_an_old_reign_moves_no_new_one_and_loses_nothing() {
    let mut alone = Alone::steady();
    alone.node().handle_repository_changed();
    assert!(!alone.is_full_read());
    let now = alone.now;
    alone.node().step_down(now, Duration::ZERO);
    assert!(matches!(alone.node().poll_lease(), Some(Command::Release(_))));
    alone.node().handle_released(now);
    while alone.node().role() != Role::Primary {
        alone.now = alone.now.max(alone.host.node.poll_timeout().unwrap_or(alone.now));
        alone.step();
    }
    assert_eq!(alone.next(), None, "the old read is under way");
    alone.read_gives(1, true);
    let after = alone.host.node.held().unwrap().position;
    assert_eq!(alone.next(), Some(Step::Read { after }), "the new reign looks first");
    let log = alone.store.read(after);
    let (now, seen) = (
        alone.now,
        LogSeen { term: log.term, head: log.head.as_ref(), entries: &[], gap: false, log_bytes: 0 },
    );
    alone.node().handle_log(now, seen);
    assert!(matches!(alone.next(), Some(Step::Open { .. })));
    alone.node().handle_written(now, Write::Done);
    assert!(
        alone.is_full_read(),
        "the source will not tell a second time what it told the old one"
    );
}

#[test]
fn what_was_read_before_the_lease_was_won_is_not_judged() {
    let alone = Alone::steady();
    let (now, log) = (alone.now, alone.store.read(Position::START));
    let mut node = Node::new(alone.host.config.clone(), now);
    assert!(matches!(node.poll_step(now), Some(Step::Read { .. })));
    assert_eq!(node.poll_lease(), Some(Command::Look));
    node.handle_look(now, None, log.term, &[]);
    let now = now + TTL / 100;
    node.handle_timeout(now);
    let Some(Command::Acquire { id, known, .. }) = node.poll_lease() else { panic!("it asks") };
    node.handle_acquired(now, Answer::Granted(Term { epoch: known.next().unwrap(), id }));
    // The store as it was when it was empty still.
    node.handle_log(
        now,
        LogSeen { term: known_term(known), head: None, entries: &[], gap: false, log_bytes: 0 },
    );
    assert!(matches!(node.poll_step(now), Some(Step::Read { .. })));
}

fn known_term(epoch: Epoch) -> Term {
    Term { epoch, id: TermId(5) }
}

#[test]
fn a_store_that_went_back_is_raised_once_that_is_sure() {
    let alone = Alone::steady();
    let (now, config) = (alone.now, alone.host.config.clone());
    let mut node = Node::new(config, now);
    let _ = node.poll_step(now);
    let seen = |epoch| LogSeen {
        term: known_term(Epoch(epoch)),
        head: None,
        entries: &[],
        gap: false,
        log_bytes: 0,
    };
    node.handle_log(now, seen(9));
    let now = now + POLL;
    assert!(matches!(node.poll_step(now), Some(Step::Read { .. })));
    node.handle_log(now, seen(8));
    assert!(
        matches!(node.poll_step(now), Some(Step::Read { .. })),
        "it may have been an old answer"
    );
    node.handle_log(now, seen(8));
    assert_eq!(node.poll_step(now), Some(Step::Raise { seen: Epoch(9), position: None }));
}

#[test]
fn a_loaded_state_whose_head_lost_ones_own_position_is_not_installed() {
    let mut alone = Alone::steady();
    let now = alone.now;
    let own = alone.host.node.held().unwrap().clone();
    alone.node().stop(now);
    let mut head = alone.store.head.clone().unwrap();
    // Far ahead in the same history: too far for the log.
    let term = Term { epoch: Epoch(own.position.term.epoch.0 + 1), id: TermId(5) };
    let there = Position { term, sequence: Sequence(50) };
    head.list.advance(there);
    let mut node = alone.host.node.clone();
    node.report.stopped = false;
    let now = now + POLL * 10;
    assert!(matches!(node.poll_step(now), Some(Step::Read { .. })));
    node.handle_log(
        now,
        LogSeen { term, head: Some(&head), entries: &[], gap: true, log_bytes: 0 },
    );
    assert!(matches!(node.poll_step(now), Some(Step::Load { .. })));
    // Another master answers, with another history.
    let mut other = head.clone();
    other.list = Default::default();
    other.list.advance(there);
    let held = super::super::Held { position: there, list: other.list.clone(), ..own.clone() };
    node.handle_loaded(now, Some((there.term.epoch, &other, held)));
    assert!(!matches!(node.poll_step(now), Some(Step::Install)));
    assert_eq!(node.held(), Some(&own));
}

#[test]
fn a_state_loaded_from_a_store_that_went_back_is_not_installed() {
    let loads = |heard_of: Option<Epoch>| {
        let alone = Alone::steady();
        let (now, head) = (alone.now, alone.store.head.clone().unwrap());
        let held = alone.host.node.held().unwrap().clone();
        let term = head.position().term;
        let mut node = Node::new(alone.host.node.config.clone(), now);
        assert!(matches!(node.poll_step(now), Some(Step::Read { .. })));
        node.handle_log(
            now,
            LogSeen { term, head: Some(&head), entries: &[], gap: true, log_bytes: 0 },
        );
        assert!(matches!(node.poll_step(now), Some(Step::Load { .. })));
        // Another reign was given meanwhile, and then the store lost that.
        if let Some(epoch) = heard_of {
            node.handle_look(now, None, Term { epoch, id: TermId(5) }, &[]);
        }
        node.handle_loaded(now, Some((term.epoch, &head, held)));
        node.poll_step(now)
    };
    assert_eq!(loads(None), Some(Step::Install));
    assert_ne!(loads(Some(Epoch(9))), Some(Step::Install));
}

#[test]
fn a_stopped_node_rests() {
    let mut alone = Alone::steady();
    let now = alone.now;
    alone.node().stop(now);
    assert!(matches!(alone.node().poll_lease(), Some(Command::Release(_))));
    assert_eq!(alone.next(), None);
    assert!(alone.node().poll_timeout().is_none_or(|due| due > now));
}

#[test]
fn a_primary_raises_for_an_observer_once_and_only_if_its_position_is_lost() {
    let mut alone = Alone::steady();
    let mut report = alone.node().make_report();
    report.role = Role::Observer;
    report.instance = InstanceId(8);
    alone.renew(&[], &[report.clone()]);
    assert_eq!(alone.next(), None, "it stands where the primary does");
    report.position = lost(4);
    alone.renew(&[], &[report.clone()]);
    let Some(Step::Raise { position, .. }) = alone.next() else { panic!("it raises") };
    assert_eq!(position, Some(lost(4)));
    let (now, epoch) = (alone.now, alone.term.epoch);
    alone.node().handle_raised(now, Some(epoch));
    assert!(alone.node().standing(now).in_sync);
    alone.renew(&[], &[report]);
    assert_eq!(alone.next(), None, "once");
}

#[test]
fn an_observer_that_knows_a_higher_epoch_ends_the_reign_that_raises_for_it() {
    let mut alone = Alone::steady();
    let mut report = alone.node().make_report();
    (report.role, report.instance, report.position) = (Role::Observer, InstanceId(8), lost(4));
    alone.renew(&[], &[report]);
    assert!(matches!(alone.next(), Some(Step::Raise { .. })));
    let (now, term) = (alone.now, alone.term);
    alone.node().handle_raised(now, term.epoch.next());
    assert!(alone.events().contains(&Event::Lost(term, Loss::Fenced)));
}
