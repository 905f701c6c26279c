//! Nodes of two versions: what is written, and what a node does that cannot read it.

use super::alone::Alone;
use super::host::{Host, TTL};
use crate::digest::Digest;
use crate::election::{Command, Report, Role};
use crate::format::FormatRange;
use crate::id::InstanceId;
use crate::node::{Event, LogSeen, Reason, Step, Write};
use crate::time::Duration;

/// The report of a node of the version before.
fn older(alone: &Alone) -> Report {
    let instance = InstanceId(1000);
    Report { instance, format: 1, role: Role::Secondary, ..alone.host.node.make_report() }
}

fn head_format(alone: &Alone) -> u16 {
    alone.store.head.as_ref().expect("a head").format
}

/// Lets the store know a node of the version before, for as long as its report lives.
fn join(alone: &mut Alone) {
    let report = older(alone);
    let _ = alone.store.look(alone.now, TTL, report);
}

#[test]
fn a_zone_moves_down_for_a_node_that_joins_and_up_when_it_has_been_gone() {
    let mut alone = Alone::steady();
    assert_eq!(head_format(&alone), 2, "nobody else is there");
    let stood = alone.store.position();
    join(&mut alone);
    let renewed = alone.now + TTL / 2;
    while alone.now < renewed {
        alone.step();
    }
    assert_eq!(head_format(&alone), 1);
    assert!(alone.events().contains(&Event::Format(1)));
    let snapshot = alone.store.head.as_ref().unwrap().snapshot.unwrap().position;
    assert!(snapshot > stood, "no second state takes the place of one that is named");
    assert!(alone.store.log.iter().all(|entry| entry.meta.position > snapshot));
    // The report lives for two TTLs, and is reckoned with for two more.
    let gone = alone.now + TTL * 3;
    while alone.now < gone {
        alone.step();
        assert_eq!(head_format(&alone), 1);
    }
    let late = alone.now + TTL * 3;
    while alone.now < late {
        alone.step();
    }
    assert_eq!(head_format(&alone), 2);
    assert_eq!(alone.node().role(), Role::Primary, "all in one reign");
}

#[test]
fn a_batch_is_in_the_lower_format_at_once_and_the_snapshot_comes_before_the_next() {
    let mut alone = Alone::steady();
    alone.node().handle_repository_changed();
    assert!(!alone.is_full_read());
    let report = older(&alone);
    alone.renew(&[], &[report]);
    alone.read_gives(2, true);
    let Some(Step::Publish { format, .. }) = alone.next() else { panic!("nothing published") };
    assert_eq!(format, 1);
    let now = alone.now;
    alone.node().handle_published(now, Write::Done, 1, 1, &Digest::EMPTY);
    let Some(Step::Snapshot { format, .. }) = alone.next() else { panic!("no snapshot") };
    assert_eq!(format, 1);
}

/// It is sent again as it is, in the format that it was written in; behind a snapshot that says less
/// it could not be read.
#[test]
fn a_batch_without_an_answer_holds_the_snapshot_of_a_lower_format_up() {
    let mut alone = Alone::steady();
    alone.node().handle_repository_changed();
    assert!(!alone.is_full_read());
    alone.read_gives(1, true);
    let Some(Step::Publish { position, format: 2, .. }) = alone.next() else { panic!("no batch") };
    let now = alone.now;
    alone.node().handle_published(now, Write::Failed, 1, 1, &Digest::EMPTY);
    let report = older(&alone);
    alone.renew(&[], &[report]);
    let Some(Step::Publish { position: again, .. }) = alone.next() else { panic!("no batch") };
    assert_eq!(again, position);
    let now = alone.now;
    alone.node().handle_published(now, Write::Done, 1, 0, &Digest::EMPTY);
    assert!(matches!(alone.next(), Some(Step::Snapshot { format: 1, .. })));
}

#[test]
fn a_snapshot_is_sent_again_in_the_format_that_it_began_in() {
    let mut alone = Alone::steady();
    let report = older(&alone);
    alone.renew(&[], &[report]);
    assert!(matches!(alone.next(), Some(Step::Publish { .. })));
    let now = alone.now;
    alone.node().handle_published(now, Write::Done, 1, 0, &Digest::EMPTY);
    let Some(Step::Snapshot { position, format: 1, .. }) = alone.next() else { panic!("no") };
    // It may stand; meanwhile the node is gone for good.
    alone.node().handle_snapshot(now, Write::Failed, 0, None);
    let late = alone.now + TTL * 3;
    while alone.now < late {
        alone.renew(&[], &[]);
    }
    let again = alone.next();
    let Some(Step::Snapshot { position: same, format: 1, .. }) = again else { panic!("{again:?}") };
    assert_eq!(same, position);
}

/// Shows a node of the version before the head of a zone, as it stands.
fn show(alone: &Alone, host: &mut Host) {
    let (now, log) = (alone.now, alone.store.read(host.node.held().unwrap().position));
    assert!(matches!(host.node.poll_step(now), Some(Step::Read { .. })));
    let entries: std::vec::Vec<_> = log.entries.iter().map(|entry| entry.meta).collect();
    let (term, head, gap) = (log.term, log.head.as_ref(), log.gap);
    host.node.handle_log(now, LogSeen { term, head, entries: &entries, gap, log_bytes: 0 });
}

/// A node of the version before, with what the zone holds as its image.
fn reader_of_the_first(alone: &Alone) -> Host {
    let held = alone.host.node.held().expect("it holds a state").clone();
    let host = Host::new(2, true, 2, alone.now).reading(alone.now, FormatRange::up_to(1));
    host.with_image(alone.now, Some((held, alone.truth.clone())), Duration::from_secs(60))
}

#[test]
fn a_node_that_cannot_read_the_head_serves_says_so_and_does_not_stand() {
    let mut alone = Alone::steady();
    let mut host = reader_of_the_first(&alone);
    let stood = host.node.held().unwrap().position;
    show(&alone, &mut host);
    let standing = host.node.standing(alone.now);
    assert_eq!(standing.reason, Reason::Format(2));
    assert!(standing.ready && standing.stale && !standing.in_sync, "by its image");
    assert_eq!(host.node.held().unwrap().position, stood);
    assert_eq!(host.node.poll_step(alone.now), None, "it rests");
    // The lease is free, and it leaves it so.
    assert_eq!(host.node.poll_lease(), Some(Command::Look));
    for _ in 0..20 {
        host.node.handle_look(alone.now, None, alone.term, &[]);
        assert!(!host.node.make_report().can_stand);
        alone.now = host.node.poll_timeout().expect("it looks again").max(alone.now);
        host.node.handle_timeout(alone.now);
        let command = host.node.poll_lease();
        assert!(matches!(command, None | Some(Command::Look)), "{command:?}");
        if host.node.poll_step(alone.now).is_some() {
            host.node.handle_unreadable(alone.now, 3);
        }
    }
    assert_eq!(host.node.standing(alone.now).reason, Reason::Format(3));
    // The primary has seen it.
    alone.store.head.as_mut().unwrap().format = 1;
    alone.now = alone.now + Duration::from_secs(10);
    show(&alone, &mut host);
    assert!(host.node.standing(alone.now).in_sync);
    host.node.handle_look(alone.now, None, alone.term, &[]);
    assert!(host.node.make_report().can_stand);
}

#[test]
fn a_primary_that_finds_a_head_which_it_cannot_read_gives_the_lease_back() {
    let alone = Alone::steady();
    let mut host = reader_of_the_first(&alone);
    let now = alone.now;
    assert_eq!(host.node.poll_lease(), Some(Command::Look));
    host.node.handle_look(now, None, alone.term, &[]);
    let now = host.node.poll_timeout().expect("it will ask").max(now) + TTL / 100;
    host.node.handle_timeout(now);
    let Some(Command::Acquire { id, known, .. }) = host.node.poll_lease() else { panic!("no") };
    let term = crate::id::Term { epoch: known.next().unwrap(), id };
    host.node.handle_acquired(now, crate::election::Answer::Granted(term));
    assert_eq!(host.node.role(), Role::Primary);
    assert!(matches!(host.node.poll_step(now), Some(Step::Read { .. })));
    let head = alone.store.head.as_ref();
    host.node.handle_log(now, LogSeen { term, head, entries: &[], gap: false, log_bytes: 0 });
    assert_eq!(host.node.poll_lease(), Some(Command::Release(term)));
    assert_eq!(host.node.role(), Role::Secondary);
    assert_eq!(host.node.standing(now).reason, Reason::Format(2));
}
