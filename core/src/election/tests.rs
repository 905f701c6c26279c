//! One elector at a time: bring it into a state, call once, compare what it asks for. How several
//! get along stands in `tests/zone.rs`.

mod zone;

use std::vec::Vec;

use super::*;
use crate::id::{Sequence, TermId};
use crate::time::Instant;

const TTL: Duration = Duration::from_millis(3000);
const OWN: InstanceId = InstanceId(1);
const OTHER: InstanceId = InstanceId(2);

fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

fn term(epoch: u64, id: u128) -> Term {
    Term { epoch: Epoch(epoch), id: TermId(id) }
}

fn config(instance: InstanceId) -> Config {
    Config { instance, ttl: TTL, candidate: true, seed: instance.0 as u64 }
}

fn lease(instance: InstanceId, term: Term, stamp: u64) -> Lease {
    let node = "other".parse().unwrap();
    let remaining = Duration::from_millis(1000);
    Lease { node, instance, term, stamp: LeaseStamp(stamp), remaining }
}

fn report(instance: InstanceId, sequence: u64) -> Report {
    Report {
        node: "other".parse().unwrap(),
        instance,
        role: Role::Secondary,
        position: Position { term: term(1, 1), sequence: Sequence(sequence) },
        seen: Epoch(1),
        fingerprint: Fingerprint(0),
        count: 0,
        can_stand: true,
        format: 1,
        filter: Filter(0),
        reading: None,
    }
}

/// One that looks, at 0.
fn looking() -> Elector {
    let mut elector = Elector::new(config(OWN), at(0));
    elector.handle_timeout(at(0));
    assert_eq!(elector.poll_command(), Some(Command::Look));
    elector
}

fn see(elector: &mut Elector, millis: u64, lease: Option<&Lease>, live: &[Report]) {
    let newest = lease.map_or(term(4, 9), |lease| lease.term);
    elector.handle_look(at(millis), lease, newest, live, Position::START);
}

/// Lets time pass to its next moment, and takes the command that is due then.
fn next(elector: &mut Elector) -> (u64, Command) {
    for _ in 0..3 {
        let due = elector.poll_timeout().expect("something is due");
        elector.handle_timeout(due);
        if let Some(command) = elector.poll_command() {
            return (due.as_nanos() / 1_000_000, command);
        }
    }
    panic!("nothing came of three moments: {elector:?}");
}

/// One that has asked for the lease at the moment given, knowing epoch 4, under the id given.
fn asking() -> (Elector, u64, TermId) {
    let mut elector = looking();
    see(&mut elector, 0, None, &[]);
    let (sent, command) = next(&mut elector);
    let Command::Acquire { id, known, still } = command else { panic!("{command:?}") };
    assert_eq!((known, still), (Epoch(4), None));
    (elector, sent, id)
}

/// One that leads in epoch 5, on a lease asked for at the moment given.
fn leading() -> (Elector, u64, Term) {
    let (mut elector, sent, id) = asking();
    let term = Term { epoch: Epoch(5), id };
    elector.handle_acquired(at(sent), Answer::Granted(term));
    assert_eq!(elector.poll_event(), Some(Event::Won(term)));
    (elector, sent, term)
}

fn events(elector: &mut Elector) -> Vec<Event> {
    core::iter::from_fn(|| elector.poll_event()).collect()
}

#[test]
fn a_free_lease_is_asked_for_within_a_moment() {
    let (_, sent, _) = asking();
    assert!(sent <= 15, "{sent} ms");
}

#[test]
fn a_held_lease_is_looked_at_again_before_long_and_left_alone() {
    let mut elector = looking();
    see(&mut elector, 0, Some(&lease(OTHER, term(4, 9), 1)), &[]);
    assert_eq!(elector.watching(), Some(term(4, 9)));
    let (looked, command) = next(&mut elector);
    assert_eq!(command, Command::Look);
    assert!((1000..=1060).contains(&looked), "{looked} ms");
    assert_eq!(elector.watching(), None, "a newer answer is on its way");
}

#[test]
fn a_lease_that_stands_still_is_taken_after_four_thirds_of_its_time() {
    let held = lease(OTHER, term(4, 9), 1);
    let mut elector = looking();
    see(&mut elector, 0, Some(&held), &[]);
    let mut looks = 0;
    let asked = loop {
        match next(&mut elector) {
            (now, Command::Look) => {
                looks += 1;
                see(&mut elector, now, Some(&held), &[]);
            }
            (now, command) => break (now, command),
        }
    };
    let Command::Acquire { still, .. } = asked.1 else { panic!("{asked:?}") };
    assert_eq!(still, Some(LeaseStamp(1)));
    assert!((4000..5100).contains(&asked.0), "after {} ms and {looks} looks", asked.0);
}

#[test]
fn a_lease_that_moves_is_never_taken() {
    let mut elector = looking();
    see(&mut elector, 0, Some(&lease(OTHER, term(4, 9), 0)), &[]);
    for stamp in 1..100 {
        let (now, command) = next(&mut elector);
        assert_eq!(command, Command::Look);
        see(&mut elector, now, Some(&lease(OTHER, term(4, 9), stamp)), &[]);
    }
}

#[test]
fn one_who_is_behind_leaves_the_lease_to_a_better_one_for_one_ttl() {
    let mut elector = looking();
    see(&mut elector, 0, None, &[report(OTHER, 7)]);
    let asked = loop {
        match next(&mut elector) {
            (now, Command::Look) => see(&mut elector, now, None, &[report(OTHER, 7)]),
            (now, _) => break now,
        }
    };
    assert!((3000..3600).contains(&asked), "{asked} ms");
}

#[test]
fn nobody_waits_for_the_holder_whose_lease_ended() {
    let mut elector = looking();
    see(&mut elector, 0, Some(&lease(OTHER, term(4, 9), 1)), &[report(OTHER, 7)]);
    let (now, _) = next(&mut elector);
    see(&mut elector, now, None, &[report(OTHER, 7)]);
    assert!(matches!(next(&mut elector), (_, Command::Acquire { .. })));
}

#[test]
fn one_waits_anew_at_each_end_of_a_lease() {
    let (mut elector, sent, term) = leading();
    let late = sent + 60_000;
    elector.handle_timeout(at(late));
    assert_eq!(events(&mut elector), [Event::Lost(term, Loss::Expired)]);
    let (now, command) = next(&mut elector);
    assert_eq!(command, Command::Look);
    see(&mut elector, now, None, &[report(OTHER, 7)]);
    assert_eq!(next(&mut elector).1, Command::Look, "the better one gets its time");
}

#[test]
fn an_unanswered_request_is_repeated_as_it_was() {
    let (mut elector, sent, id) = asking();
    elector.handle_epoch(Epoch(8));
    elector.handle_failure(at(sent + 100));
    let (_, command) = next(&mut elector);
    assert_eq!(command, Command::Acquire { id, known: Epoch(4), still: None });
}

#[test]
fn an_unanswered_request_is_given_up_after_half_a_ttl() {
    let (mut elector, sent, _) = asking();
    elector.handle_failure(at(sent + 1500));
    assert_eq!(next(&mut elector).1, Command::Look);
}

#[test]
fn a_stale_candidate_learns_and_looks_again() {
    let (mut elector, sent, _) = asking();
    elector.handle_acquired(at(sent), Answer::Stale(Epoch(9)));
    assert_eq!(elector.known(), Epoch(9));
    assert_eq!(next(&mut elector), (sent, Command::Look));
    assert_eq!(events(&mut elector), []);
}

#[test]
fn a_lease_counts_from_when_it_was_asked_for() {
    let (mut elector, sent, id) = asking();
    elector.handle_acquired(at(sent + 2000), Answer::Granted(Term { epoch: Epoch(5), id }));
    assert!(elector.acting(at(sent + 2699)).is_some());
    assert!(elector.acting(at(sent + 2701)).is_none());

    let (mut elector, sent, id) = asking();
    elector.handle_acquired(at(sent + 2701), Answer::Granted(Term { epoch: Epoch(5), id }));
    assert_eq!(events(&mut elector), [], "too late to begin");
}

#[test]
fn the_answer_to_another_request_gives_nothing() {
    let (mut elector, sent, _) = asking();
    elector.handle_acquired(at(sent), Answer::Granted(term(5, 77)));
    assert_eq!(elector.acting(at(sent)), None);
}

#[test]
fn a_renewal_leaves_after_a_third_and_again_when_it_failed() {
    let (mut elector, sent, term) = leading();
    assert_eq!(next(&mut elector), (sent + 1000, Command::Renew(term)));
    elector.handle_failure(at(sent + 1400));
    let (again, command) = next(&mut elector);
    assert_eq!(command, Command::Renew(term));
    elector.handle_renewed(at(again + 10), Answer::Granted(term));
    assert!(elector.acting(at(again + 2699)).is_some());
    assert!(elector.acting(at(again + 2701)).is_none(), "from when it was sent");
}

#[test]
fn a_renewal_that_comes_too_late_does_not_count() {
    let (mut elector, sent, term) = leading();
    assert_eq!(next(&mut elector).1, Command::Renew(term));
    elector.handle_renewed(at(sent + 2701), Answer::Granted(term));
    assert_eq!(events(&mut elector), [Event::Lost(term, Loss::Expired)]);
}

#[test]
fn after_a_loss_at_the_store_a_new_term_is_asked_for_at_once() {
    let (mut elector, sent, term) = leading();
    assert_eq!(next(&mut elector).1, Command::Renew(term));
    elector.handle_renewed(at(sent + 1000), Answer::Behind);
    assert_eq!(events(&mut elector), [Event::Lost(term, Loss::Behind)]);
    let (now, command) = next(&mut elector);
    let Command::Acquire { id, known, .. } = command else { panic!("{command:?}") };
    assert_eq!((now, known), (sent + 1000, Epoch(5)));
    assert_ne!(id, term.id);
}

#[test]
fn a_fenced_one_looks_before_it_stands() {
    let (mut elector, sent, term) = leading();
    elector.handle_refused(at(sent + 10), term, Loss::Fenced);
    assert_eq!(events(&mut elector), [Event::Lost(term, Loss::Fenced)]);
    assert_eq!(next(&mut elector).1, Command::Look);
}

#[test]
fn a_refusal_of_an_old_term_moves_nothing() {
    let (mut elector, sent, _) = leading();
    elector.handle_refused(at(sent), term(4, 4), Loss::Fenced);
    assert!(elector.acting(at(sent)).is_some());
}

#[test]
fn an_outcome_that_comes_while_a_command_waits_is_an_old_one() {
    let (mut elector, sent, term) = leading();
    assert_eq!(next(&mut elector).1, Command::Renew(term));
    // A write is refused while the renewal is under way; the next request waits behind it.
    elector.handle_refused(at(sent + 1000), term, Loss::Behind);
    elector.handle_timeout(at(sent + 1000));
    elector.handle_failure(at(sent + 1500));
    assert!(matches!(elector.poll_command(), Some(Command::Acquire { .. })));
    assert_eq!(elector.poll_command(), None);
    assert_eq!(elector.poll_timeout(), None, "it waits for its own answer");
}

#[test]
fn a_step_down_gives_the_lease_back_and_leaves_it_alone() {
    let (mut elector, sent, term) = leading();
    assert!(elector.step_down(at(sent), TTL * 3));
    assert_eq!(elector.poll_command(), Some(Command::Release(term)));
    assert_eq!(elector.acting(at(sent)), None);
    elector.handle_released(at(sent));
    let asked = loop {
        match next(&mut elector) {
            (now, Command::Look) => see(&mut elector, now, None, &[]),
            (now, _) => break now,
        }
    };
    assert!(asked >= sent + 9000, "{asked} ms");
}

#[test]
fn one_that_is_no_longer_willing_does_not_take_what_it_asked_for() {
    let mut elector = looking();
    see(&mut elector, 0, None, &[]);
    elector.set_willing(at(0), false);
    assert_eq!(elector.poll_command(), Some(Command::Look), "it has not asked yet");

    let (mut elector, sent, id) = asking();
    elector.set_willing(at(sent), false);
    let term = Term { epoch: Epoch(5), id };
    elector.handle_acquired(at(sent), Answer::Granted(term));
    assert_eq!(elector.poll_command(), Some(Command::Release(term)));
    assert_eq!(events(&mut elector), []);
}

#[test]
fn a_lease_of_its_own_that_it_does_not_use_is_replaced_or_given_back() {
    let own = lease(OWN, term(5, 5), 1);
    let mut elector = looking();
    see(&mut elector, 0, Some(&own), &[]);
    assert!(matches!(next(&mut elector), (0, Command::Acquire { known: Epoch(5), .. })));

    let mut elector = looking();
    elector.set_willing(at(0), false);
    see(&mut elector, 0, Some(&own), &[]);
    assert_eq!(elector.poll_command(), Some(Command::Release(own.term)));
}

#[test]
fn an_observer_never_stands() {
    let mut elector = Elector::new(Config { candidate: false, ..config(OWN) }, at(0));
    for _ in 0..100 {
        let (now, command) = next(&mut elector);
        assert_eq!(command, Command::Look);
        see(&mut elector, now, None, &[]);
    }
}

#[test]
fn a_wake_brings_the_next_look_forward() {
    let mut elector = looking();
    see(&mut elector, 0, Some(&lease(OTHER, term(4, 9), 1)), &[]);
    elector.handle_wake(at(5));
    assert_eq!(elector.poll_command(), Some(Command::Look));
    elector.handle_wake(at(6));
    assert_eq!(elector.poll_command(), None, "one is under way");
}
