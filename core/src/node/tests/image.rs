//! A node that starts from an image: what it serves, what it follows, what it never publishes.

use std::vec::Vec;

use super::alone::{Alone, lost};
use super::host::{Host, POLL, TTL};
use super::store::{State, Store, digest};
use crate::election::{Answer, Command};
use crate::format::Source;
use crate::history::{Claim, ClaimState, Claims, TermList};
use crate::id::{Epoch, Position, Sequence, Term, TermId};
use crate::node::{Event, Held, LogSeen, Node, Reason, Step, Write};
use crate::time::{Duration, Instant};

const FRESH: Duration = Duration::from_secs(60);

fn at(sequence: u64) -> Position {
    Position { term: Term { epoch: Epoch(3), id: TermId(7) }, sequence: Sequence(sequence) }
}

fn held(position: Position) -> Held {
    let mut list = TermList::new();
    list.advance(position);
    let digest = digest(&State::from([(1, 1)]));
    Held { position, list, digest, source: Source::default() }
}

fn start(candidate: bool, stale_ready: bool, fresh_for: Duration) -> (Node, Instant) {
    let now = Instant::from_nanos(1_000_000_000);
    let mut config = Host::new(1, candidate, 1, now).config;
    config.stale_ready = stale_ready;
    let mut node = Node::new(config, now);
    node.handle_image(now, held(at(5)), fresh_for);
    (node, now)
}

fn observer(fresh_for: Duration) -> (Node, Instant) {
    start(false, true, fresh_for)
}

/// A head that stands at `position`, with the state of the image.
fn head(position: Position) -> crate::format::Head {
    let mut alone = Alone::steady();
    let mut head = alone.store.head.take().expect("a steady node has a head");
    head.list = held(position).list;
    head.digest = held(position).digest;
    head
}

fn show(node: &mut Node, now: Instant, head: Option<&crate::format::Head>) {
    let Some(Step::Read { after }) = node.poll_step(now) else { panic!("no read") };
    assert_eq!(after, at(5), "it reads on from its image");
    let term = head.map_or(at(5).term, |head| head.position().term);
    let (entries, gap, log_bytes) = (&[][..], true, 0);
    node.handle_log(now, LogSeen { term, head, entries, gap, log_bytes });
}

fn events(node: &mut Node) -> Vec<Event> {
    core::iter::from_fn(|| node.poll_event()).collect()
}

#[test]
fn an_image_by_itself_makes_nobody_ready() {
    let (mut node, now) = observer(FRESH);
    node.handle_timeout(now);
    let standing = node.standing(now);
    assert!(!standing.ready && !standing.stale && !standing.in_sync);
    assert!(node.holds_image());
    assert_eq!(node.make_report().position, at(5), "it stands where the image does");
    assert_eq!(node.seen(), Epoch(3), "it has seen what the image has");
}

#[test]
fn a_head_that_matches_makes_it_the_zones_state() {
    let (mut node, now) = observer(Duration::ZERO);
    show(&mut node, now, Some(&head(at(5))));
    let standing = node.standing(now);
    assert!(standing.ready && standing.in_sync && !standing.stale, "{standing:?}");
    assert!(!node.holds_image());
    assert_eq!(events(&mut node), [Event::Ready(at(5))]);
}

#[test]
fn a_head_at_its_position_with_another_state_heals_it() {
    let (mut node, now) = observer(FRESH);
    let mut head = head(at(5));
    head.digest = digest(&State::from([(9, 9)]));
    show(&mut node, now, Some(&head));
    assert!(!node.standing(now).ready, "it is neither the zone's nor served alone");
    assert!(matches!(node.poll_step(now), Some(Step::Load { .. })));
}

#[test]
fn a_store_that_does_not_answer_lets_it_be_served_alone() {
    let (mut node, now) = observer(FRESH);
    let Some(Step::Read { .. }) = node.poll_step(now) else { panic!("no read") };
    node.handle_step_failure(now);
    let standing = node.standing(now);
    assert!(standing.ready && standing.stale && !standing.in_sync, "{standing:?}");
    assert_eq!(standing.reason, Reason::StoreDown);
    assert_eq!(events(&mut node), [Event::ReadyByImage(at(5))]);
    let later = now + FRESH * 2;
    show(&mut node, later, Some(&head(at(5))));
    let standing = node.standing(later);
    assert!(standing.ready && standing.in_sync && !standing.stale, "{standing:?}");
}

#[test]
fn silence_at_the_lease_counts_as_no_answer() {
    let (mut node, now) = observer(FRESH);
    node.handle_timeout(now);
    assert_eq!(node.poll_lease(), Some(Command::Look));
    node.handle_lease_failure(now);
    assert!(node.standing(now).ready && node.standing(now).stale);
}

#[test]
fn an_empty_store_lets_it_be_served_alone() {
    let (mut node, now) = observer(FRESH);
    show(&mut node, now, None);
    let standing = node.standing(now);
    assert!(standing.ready && standing.stale && !standing.in_sync, "{standing:?}");
}

#[test]
fn a_store_that_lost_its_position_is_told_and_lets_it_be_served_alone() {
    let (mut node, now) = observer(FRESH);
    let mut claimed = head(at(4));
    show(&mut node, now, Some(&claimed));
    let standing = node.standing(now);
    assert!(standing.ready && standing.stale && !standing.in_sync, "{standing:?}");
    let raise = Step::Raise { seen: Epoch(3), position: Some(at(5)) };
    assert_eq!(node.poll_step(now), Some(raise), "it raises as a warm node");
    node.handle_raised(now, Some(Epoch(3)));
    claimed.claims = Claims::from_claims(&[Claim { position: at(5), state: ClaimState::Open }]);
    let later = now + POLL * 10;
    show(&mut node, later, Some(&claimed));
    assert!(node.standing(later).stale, "it keeps what it has");
    claimed.claims = Claims::from_claims(&[Claim { position: at(5), state: ClaimState::Settled }]);
    let later = later + POLL * 10;
    show(&mut node, later, Some(&claimed));
    assert!(matches!(node.poll_step(later), Some(Step::Load { .. })), "it leaves it once settled");
}

#[test]
fn an_image_past_its_limit_or_not_allowed_is_not_served() {
    for (allowed, fresh_for) in [(true, Duration::ZERO), (false, FRESH)] {
        let (mut node, now) = start(false, allowed, fresh_for);
        let Some(Step::Read { .. }) = node.poll_step(now) else { panic!("no read") };
        node.handle_step_failure(now);
        let later = now + POLL * 10;
        show(&mut node, later, None);
        show(&mut node, later + POLL * 10, Some(&head(at(4))));
        let standing = node.standing(later);
        assert!(!standing.ready && !standing.stale, "{standing:?}");
        assert_eq!(events(&mut node), []);
    }
}

#[test]
fn an_image_grows_too_old_while_the_node_runs() {
    let (mut node, now) = observer(FRESH);
    let later = now + FRESH;
    let Some(Step::Read { .. }) = node.poll_step(later) else { panic!("no read") };
    node.handle_step_failure(later);
    assert!(!node.standing(later).ready);
}

#[test]
fn a_cold_node_takes_a_head_with_open_claims_by_the_same_setting() {
    for allowed in [true, false] {
        let now = Instant::from_nanos(1_000_000_000);
        let mut config = Host::new(1, false, 1, now).config;
        config.stale_ready = allowed;
        let mut node = Node::new(config, now);
        let mut head = head(at(5));
        head.claims = Claims::from_claims(&[Claim { position: lost(1), state: ClaimState::Open }]);
        let Some(Step::Read { .. }) = node.poll_step(now) else { panic!("no read") };
        let seen =
            LogSeen { term: at(5).term, head: Some(&head), entries: &[], gap: false, log_bytes: 0 };
        node.handle_log(now, seen);
        let Some(Step::Load { .. }) = node.poll_step(now) else { panic!("no load") };
        node.handle_loaded(now, Some((head.position().term.epoch, &head, held(at(5)))));
        assert_eq!(node.poll_step(now), Some(Step::Install));
        node.handle_installed(now);
        let standing = node.standing(now);
        assert_eq!((standing.ready, standing.stale), (allowed, true), "{standing:?}");
    }
}

/// Lets a candidate with an image win the lease of an empty store.
fn wins(stale_ready: bool, fresh_for: Duration) -> (Node, Instant) {
    let (mut node, mut now) = start(true, stale_ready, fresh_for);
    for _ in 0..100 {
        node.handle_timeout(now);
        match node.poll_lease() {
            Some(Command::Look) => node.handle_look(now, None, Term::default(), &[]),
            Some(Command::Acquire { id, known, .. }) => {
                assert_eq!(known, Epoch(3));
                let term = Term { epoch: Epoch(4), id };
                node.handle_acquired(now, Answer::Granted(term));
                return (node, now);
            }
            _ => now = now + TTL / 10,
        }
    }
    panic!("it never stands");
}

fn looks(node: &mut Node, now: Instant, after: Position) {
    assert_eq!(node.poll_step(now), Some(Step::Read { after }));
    let term = Term { epoch: Epoch(4), id: TermId(1) };
    let seen = LogSeen { term, head: None, entries: &[], gap: false, log_bytes: 0 };
    node.handle_log(now, seen);
}

#[test]
fn a_primary_fills_an_empty_store_from_a_fresh_image() {
    let (mut node, now) = wins(true, FRESH);
    looks(&mut node, now, at(5));
    assert!(node.standing(now).ready && node.standing(now).stale);
    assert!(matches!(node.poll_step(now), Some(Step::Open { .. })));
    node.handle_written(now, Write::Done);
    let Some(Step::Snapshot { pending: false, from: Some(_), position, .. }) = node.poll_step(now)
    else {
        panic!("it does not publish what it holds")
    };
    node.handle_snapshot(now, Write::Done, 1, None);
    assert!(!node.holds_image(), "the zone announced it now");
    assert_eq!(node.held().map(|held| held.position), Some(position));
}

#[test]
fn what_may_not_be_served_is_not_published_either() {
    for (allowed, fresh_for) in [(true, Duration::ZERO), (false, FRESH)] {
        let (mut node, now) = wins(allowed, fresh_for);
        looks(&mut node, now, at(5));
        assert_eq!(node.poll_step(now), Some(Step::Forget));
        node.handle_forgotten(now);
        assert!(!node.holds_image() && node.held().is_none());
        looks(&mut node, now, Position::START);
        let Some(Step::Open { meta, .. }) = node.poll_step(now) else { panic!("no term begins") };
        assert_eq!(meta.after, digest(&State::new()).fingerprint(), "it begins with nothing");
        assert!(!node.standing(now).ready);
    }
}

#[test]
fn a_stale_image_becomes_no_part_of_a_first_load() {
    let now = Instant::from_nanos(1_000_000_000);
    let state = State::from([(77, 1)]);
    let mut image = held(at(5));
    image.digest = digest(&state);
    let mut alone = Alone::steady();
    alone.host = Host::new(2, true, 1, now).with_image(now, Some((image, state)), Duration::ZERO);
    (alone.store, alone.now) = (Store::default(), now);
    alone.settle();
    assert_eq!(alone.host.own, alone.truth);
    let head = alone.store.head.as_ref().expect("a head");
    assert_eq!(head.digest, digest(&alone.truth));
    assert!(alone.host.node.standing(alone.now).in_sync);
}
