//! Looking, acquiring, renewing, releasing.

#![allow(missing_docs, reason = "a case is its own sentence")]

use futures_lite::future::block_on;
use zonesync::store::{Acquire, Acquired, Raise, Renew, Renewed};
use zonesync_core::history::RAISE_MAX;
use zonesync_core::id::{Epoch, Position, Term, TermId};

use super::{Harness, Writer, ask, report};

fn granted(epoch: u64, id: u128) -> Acquired {
    Acquired::Granted(Term { epoch: Epoch(epoch), id: TermId(id) })
}

pub fn a_new_store_shows_nothing(harness: &Harness) {
    let look = ask(harness.store.look(None));
    assert_eq!(look.lease, None);
    assert_eq!(look.term, Term::default());
    assert_eq!(look.head, None);
    assert_eq!(look.live, []);
}

pub fn a_free_lease_is_granted_one_above_the_higher_epoch(harness: &Harness) {
    let request = Writer::request(&*harness.store, harness.ttl, 7, 70);
    let known = Acquire { known: Epoch(4), ..request };
    assert_eq!(ask(harness.store.acquire(known)), granted(5, 70), "above the known");
    let look = ask(harness.store.look(None));
    assert_eq!(look.term, Term { epoch: Epoch(5), id: TermId(70) });
    let lease = look.lease.expect("the lease stands");
    assert_eq!((lease.node.as_str(), lease.instance.0), ("node-7", 7));
    assert_eq!(lease.term, look.term);
    assert!(lease.remaining <= harness.ttl);
    ask(harness.store.release(look.term));
    let request = Writer::request(&*harness.store, harness.ttl, 8, 80);
    assert_eq!(ask(harness.store.acquire(request)), granted(6, 80), "above the stored");
}

pub fn a_standing_lease_is_held(harness: &Harness) {
    let holder = Writer::elect(&harness.store, harness.ttl, 1);
    let request = Writer::request(&*harness.store, harness.ttl, 2, 2);
    assert_eq!(ask(harness.store.acquire(request)), Acquired::Held);
    assert_eq!(ask(harness.store.look(None)).term, holder.term);
}

pub fn a_lease_ends_after_its_ttl(harness: &Harness) {
    Writer::elect(&harness.store, harness.ttl, 1);
    (harness.pass)(harness.ttl / 2);
    assert!(ask(harness.store.look(None)).lease.is_some());
    (harness.pass)(harness.ttl);
    assert_eq!(ask(harness.store.look(None)).lease, None);
    assert_eq!(Writer::elect(&harness.store, harness.ttl, 2).term.epoch, Epoch(2));
}

pub fn a_lease_that_stood_still_may_be_taken(harness: &Harness) {
    let holder = Writer::elect(&harness.store, harness.ttl, 1);
    let old = ask(harness.store.look(None)).lease.expect("the lease stands").stamp;
    (harness.pass)(harness.ttl / 4);
    assert!(matches!(holder.renew(harness.ttl), Renewed::Done { .. }));
    let request = Writer::request(&*harness.store, harness.ttl, 2, 2);
    let late = Acquire { still: Some(old), ..request.clone() };
    assert_eq!(ask(harness.store.acquire(late)), Acquired::Held, "it moved since");
    let stamp = ask(harness.store.look(None)).lease.expect("the lease stands").stamp;
    let still = Acquire { still: Some(stamp), ..request };
    assert_eq!(ask(harness.store.acquire(still)), granted(2, 2));
    assert!(matches!(holder.renew(harness.ttl), Renewed::Fenced));
}

pub fn a_stamp_moves_with_each_renewal(harness: &Harness) {
    let holder = Writer::elect(&harness.store, harness.ttl, 1);
    let before = ask(harness.store.look(None)).lease.expect("the lease stands").stamp;
    (harness.pass)(harness.ttl / 4);
    holder.renew(harness.ttl);
    let after = ask(harness.store.look(None)).lease.expect("the lease stands").stamp;
    assert!(after > before);
}

pub fn the_same_instance_may_take_its_own_lease_again(harness: &Harness) {
    let first = Writer::elect(&harness.store, harness.ttl, 1);
    let request = Writer::request(&*harness.store, harness.ttl, 1, 11);
    assert_eq!(ask(harness.store.acquire(request)), granted(2, 11));
    assert!(matches!(first.renew(harness.ttl), Renewed::Fenced));
}

pub fn the_same_term_id_gets_the_same_answer_while_its_lease_stands(harness: &Harness) {
    let request = Writer::request(&*harness.store, harness.ttl, 1, 10);
    let first = ask(harness.store.acquire(request.clone()));
    assert_eq!(first, granted(1, 10));
    assert_eq!(ask(harness.store.acquire(request)), first);
    assert_eq!(ask(harness.store.look(None)).term.epoch, Epoch(1));
}

pub fn a_term_id_is_refused_once_its_lease_is_over(harness: &Harness) {
    let request = Writer::request(&*harness.store, harness.ttl, 1, 10);
    ask(harness.store.acquire(request.clone()));
    (harness.pass)(harness.ttl * 3 / 2);
    let stale = Acquired::Stale(Epoch(1));
    assert_eq!(ask(harness.store.acquire(request)), stale);
    assert_eq!(ask(harness.store.look(None)).lease, None);
}

pub fn a_late_duplicate_of_an_older_term_id_is_refused(harness: &Harness) {
    let old = Writer::request(&*harness.store, harness.ttl, 1, 10);
    ask(harness.store.acquire(old.clone()));
    let new = Writer::request(&*harness.store, harness.ttl, 1, 11);
    assert_eq!(ask(harness.store.acquire(new)), granted(2, 11));
    assert_eq!(ask(harness.store.acquire(old)), Acquired::Stale(Epoch(2)));
    assert_eq!(ask(harness.store.look(None)).term.id, TermId(11));
}

pub fn a_candidate_whose_knowledge_is_old_is_refused(harness: &Harness) {
    let first = Writer::elect(&harness.store, harness.ttl, 1);
    ask(harness.store.release(first.term));
    let request = Writer::request(&*harness.store, harness.ttl, 2, 2);
    let old = Acquire { known: Epoch(0), ..request };
    assert_eq!(ask(harness.store.acquire(old)), Acquired::Stale(Epoch(1)));
    assert_eq!(ask(harness.store.look(None)).lease, None);
}

pub fn an_epoch_out_of_reach_is_refused(harness: &Harness) {
    let request = Writer::request(&*harness.store, harness.ttl, 1, 1);
    let far = Acquire { known: Epoch(RAISE_MAX + 1), ..request };
    let answer = block_on(harness.store.acquire(far));
    assert!(answer.is_err_and(|error| !error.is_transient()));
    assert_eq!(ask(harness.store.look(None)).term, Term::default());
}

pub fn a_renewal_prolongs_and_shows_the_zone(harness: &Harness) {
    let holder = Writer::elect(&harness.store, harness.ttl, 1);
    for _ in 0..3 {
        (harness.pass)(harness.ttl / 2);
        ask(harness.store.look(Some(report(2, Position::START))));
        let Renewed::Done { claims, live } = holder.renew(harness.ttl) else {
            panic!("the lease stands")
        };
        assert_eq!(claims, []);
        let instances: Vec<_> = live.iter().map(|report| report.instance.0).collect();
        assert_eq!(instances, [1, 2]);
    }
    assert!(ask(harness.store.look(None)).lease.is_some());
}

pub fn a_renewal_of_another_term_is_fenced(harness: &Harness) {
    let first = Writer::elect(&harness.store, harness.ttl, 1);
    let second = first.succeed(harness.ttl, 2);
    let before = ask(harness.store.look(None)).lease.expect("the lease stands").stamp;
    assert!(matches!(first.renew(harness.ttl * 9), Renewed::Fenced));
    let look = ask(harness.store.look(None));
    let lease = look.lease.expect("the lease stands");
    assert_eq!((lease.term, lease.stamp), (second.term, before));
    assert_eq!(look.live, [], "a deposed primary's renewal leaves nothing");
}

pub fn a_renewal_after_the_end_is_fenced(harness: &Harness) {
    let holder = Writer::elect(&harness.store, harness.ttl, 1);
    (harness.pass)(harness.ttl * 3 / 2);
    assert!(matches!(holder.renew(harness.ttl), Renewed::Fenced));
    assert_eq!(ask(harness.store.look(None)).lease, None);
}

pub fn a_renewal_under_a_raised_term_is_fenced(harness: &Harness) {
    let holder = Writer::elect(&harness.store, harness.ttl, 1);
    ask(harness.store.raise(Raise { seen: Epoch(5), position: None }));
    assert!(matches!(holder.renew(harness.ttl), Renewed::Fenced));
}

pub fn a_renewal_with_an_own_batch_under_way_is_done(harness: &Harness) {
    let mut holder = Writer::elect(&harness.store, harness.ttl, 1);
    let acknowledged = holder.at;
    holder.publish(10);
    let report = report(1, acknowledged);
    let renewal = Renew { term: holder.term, acknowledged, ttl: harness.ttl, report };
    assert!(matches!(ask(harness.store.renew(renewal)), Renewed::Done { .. }));
}

pub fn a_renewal_below_the_acknowledged_is_behind(harness: &Harness) {
    let mut holder = Writer::elect(&harness.store, harness.ttl, 1);
    holder.publish(10);
    let before = ask(harness.store.look(None)).lease.expect("the lease stands").stamp;
    holder.at = holder.next(1);
    assert!(matches!(holder.renew(harness.ttl * 9), Renewed::Behind));
    let after = ask(harness.store.look(None)).lease.expect("the lease stands").stamp;
    assert_eq!(after, before, "and not prolonged");
}

pub fn only_its_own_term_ends_a_lease(harness: &Harness) {
    let first = Writer::elect(&harness.store, harness.ttl, 1);
    let second = first.succeed(harness.ttl, 2);
    ask(harness.store.release(first.term));
    let lease = ask(harness.store.look(None)).lease.expect("the lease stands");
    assert_eq!(lease.term, second.term);
    ask(harness.store.release(second.term));
    ask(harness.store.release(second.term));
    let look = ask(harness.store.look(None));
    assert_eq!((look.lease, look.term), (None, second.term), "the term stays");
}

pub fn a_report_lives_for_twice_the_ttl(harness: &Harness) {
    Writer::elect(&harness.store, harness.ttl, 1);
    ask(harness.store.look(Some(report(2, Position::START))));
    (harness.pass)(harness.ttl * 3 / 2);
    assert_eq!(ask(harness.store.look(None)).live.len(), 1);
    (harness.pass)(harness.ttl);
    assert_eq!(ask(harness.store.look(None)).live, []);
}

pub fn a_report_replaces_the_one_before(harness: &Harness) {
    ask(harness.store.look(Some(report(2, Position::START))));
    let newer = report(2, Writer::elsewhere(3, 4));
    let look = ask(harness.store.look(Some(newer.clone())));
    assert_eq!(look.live, [newer]);
}
