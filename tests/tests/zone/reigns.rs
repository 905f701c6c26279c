//! Reigns that end: killed, paused, stopped, told to.

use std::sync::Arc;
use std::time::Instant;

use zonesync::core::election::Role;
use zonesync::runtime::Runtime;
use zonesync::store::Written;
use zonesync_tests::rows::{Rows, subscriptions};
use zonesync_tests::runtimes::Freezer;
use zonesync_tests::zone::{LONG_TTL, TTL, Zone};

#[test]
fn a_primary_killed_in_the_midst_of_publishing_loses_nothing() {
    let mut zone = Zone::of_three("killed-publishing", 7, 10, |_| {});
    let primary = zone.await_primary();
    // Many batches: 10,000 changes are the most that one takes.
    zone.rows.set_all(subscriptions(10, 40_000));
    let (link, begun) = (zone.nodes[&primary].link.clone(), zone.nodes[&primary].link.written());
    zone.until("a few batches", || link.written().len() >= begun.len() + 2);
    let killed = zone.take(&primary);
    killed.node.kill();
    let acknowledged = killed.node.status();
    assert!(link.written().len() < begun.len() + 8, "it was killed in the midst");
    let known = killed.node.state().view();
    zone.await_quiet();
    for (name, member) in &zone.nodes {
        let view = member.node.state().view();
        let lost = known.sorted().filter(|(key, payload)| view.get(*key) != Some(payload)).count();
        assert_eq!(lost, 0, "{name} lost what {} was told of", acknowledged.node);
    }
    assert_eq!(link.empty_batches(), 0);
}

#[test]
fn what_was_acknowledged_outlives_its_primary_and_the_repository() {
    let mut zone = Zone::of_three("acknowledged", 7, 10, |_| {});
    let primary = zone.await_primary();
    let (before, link) = (zone.rows.digest(), zone.nodes[&primary].link.clone());
    zone.rows.set_all(subscriptions(10, 30_000));
    let begun = link.written().len();
    zone.until("a batch", || link.written().len() > begun);
    zone.rows.behave(|rows| rows.down = true);
    let killed = zone.take(&primary);
    killed.node.kill();
    let known = killed.node.state().view();
    zone.until("a successor and its follower", || {
        let all = zone.statuses();
        all.iter().any(|s| s.role == Role::Primary)
            && all.iter().all(|s| s.digest == all[0].digest && s.position == all[0].position)
            && all[0].position.term.epoch > killed.node.status().position.term.epoch
    });
    for member in zone.nodes.values() {
        let view = member.node.state().view();
        assert!(known.sorted().all(|(key, payload)| view.get(key) == Some(payload)));
        assert_ne!(view.digest().fingerprint().to_string(), before);
    }
    zone.rows.behave(|rows| rows.down = false);
    zone.await_quiet();
}

#[test]
fn a_primary_paused_past_its_lease_is_refused_and_follows() {
    let rows = Rows::default();
    rows.set_all(subscriptions(0, 50));
    let mut zone = Zone::new("paused", rows);
    let freezer = Arc::new(Freezer::new());
    zone.start_on("a", freezer.clone() as Arc<dyn Runtime>, zone.options.clone());
    zone.await_quiet();
    zone.start_all(&["b", "c"]);
    zone.await_quiet();
    assert_eq!(zone.primary().as_deref(), Some("a"));

    // Its next batch is on the way while the machine stands still.
    let link = zone.nodes["a"].link.clone();
    link.tell(|faults| faults.stuck_batches = true);
    zone.rows.set_all(subscriptions(50, 5));
    zone.until("a batch on its way", || link.waits());
    freezer.freeze();
    zone.until("a successor", || {
        zone.statuses().iter().any(|s| s.node != "a" && s.role == Role::Primary)
    });
    zone.rows.set_all(subscriptions(100, 5));
    let rows = zone.rows.digest();
    zone.until("the successor's state", || {
        zone.statuses().iter().all(|s| s.node == "a" || s.digest == rows)
    });
    assert!(zone.nodes["a"].node.state().view().digest().count() > 0, "lookups go on");

    let written = link.written().len();
    link.tell(|faults| faults.stuck_batches = false);
    freezer.thaw();
    zone.await_quiet();
    assert_eq!(link.written()[written..], [Written::Fenced], "the late batch changed nothing");
    let status = zone.nodes["a"].node.status();
    assert!(status.ready && status.role == Role::Secondary, "{status:#?}");
}

#[test]
fn a_deposed_primary_does_not_wait_for_its_repository() {
    let rows = Rows::default();
    rows.set_all(subscriptions(0, 50));
    let mut zone = Zone::new("deposed-reading", rows);
    zone.start("a");
    zone.await_quiet();
    zone.start_all(&["b", "c"]);
    zone.await_quiet();
    let (reads, asked) = (zone.rows.reads().0, zone.rows.asked());
    zone.rows.behave(|rows| rows.stuck = true);
    zone.until("a read under way", || zone.rows.asked() > asked);
    let stepped_down = zone.nodes["a"].node.step_down();
    assert!(stepped_down);
    zone.until("another primary, and the old one beside it", || {
        let all = zone.statuses();
        let lead = all.iter().find(|s| s.role == Role::Primary && s.node != "a");
        lead.is_some_and(|lead| all.iter().all(|s| s.position == lead.position))
    });
    assert_eq!(zone.rows.reads().0, reads, "nobody has read anything meanwhile");
    zone.rows.behave(|rows| rows.stuck = false);
    zone.rows.set_all(subscriptions(50, 5));
    zone.await_quiet();
}

#[test]
fn what_was_read_and_not_published_is_read_again() {
    let rows = Rows::default();
    rows.set_all(subscriptions(0, 50));
    let mut zone = Zone::new("read-again", rows);
    zone.start("a");
    zone.await_quiet();
    let link = zone.nodes["a"].link.clone();
    link.tell(|faults| faults.stuck_batches = true);
    zone.rows.set_all(subscriptions(50, 5));
    zone.until("a batch on its way", || link.waits());
    // The reign ends with the batch unsent, and the same node reigns again.
    link.tell(|faults| {
        faults.stuck_batches = false;
        faults.down = true;
    });
    zone.until("the end of the reign", || zone.primary().is_none());
    link.tell(|faults| faults.down = false);
    zone.await_quiet();
}

#[test]
fn a_clean_stop_hands_over_at_once() {
    let rows = Rows::default();
    rows.set_all(subscriptions(0, 50));
    let mut zone = Zone::new("clean-stop", rows);
    zone.options.ttl = LONG_TTL;
    zone.start_all(&["a", "b", "c"]);
    zone.await_quiet();
    let primary = zone.take(&zone.await_primary());
    let begun = Instant::now();
    primary.node.stop();
    zone.until("a successor", || zone.primary().is_some());
    let took = begun.elapsed();
    assert!(took < LONG_TTL / 2, "it waited for the lease: {took:?}");
    let status = primary.node.status();
    assert!(status.reason == "stopped" && !status.in_sync && status.ready, "{status:#?}");
    zone.await_quiet();
}

#[test]
fn a_primary_told_to_step_down_leaves_the_lease_to_others() {
    let zone = Zone::of_three("step-down", 7, 50, |_| {});
    let primary = zone.await_primary();
    let other = zone.secondary();
    assert!(!zone.nodes[&other].node.step_down(), "a secondary holds nothing");
    assert!(zone.nodes[&primary].node.step_down());
    zone.until("another primary", || zone.primary().is_some_and(|name| name != primary));
    zone.rows.set_all(subscriptions(50, 5));
    zone.await_quiet();
    let reigns = |name: &String| zone.nodes[name].node.status().counters.reigns;
    assert_eq!(reigns(&primary), 1, "it did not take the lease back");
}

#[test]
fn a_zone_stopped_whole_starts_again() {
    let mut zone = Zone::of_three("restart", 7, 50, |_| {});
    let epoch = zone.statuses()[0].position.term.epoch;
    for (_, member) in std::mem::take(&mut zone.nodes) {
        member.node.stop();
        member.node.stop();
    }
    zone.rows.set_all(subscriptions(50, 5));
    zone.start_all(&["a", "b", "c"]);
    zone.await_quiet();
    assert!(zone.statuses()[0].position.term.epoch > epoch);
}

#[test]
fn an_observer_follows_and_never_stands() {
    let mut zone = Zone::of_three("observer", 7, 50, |_| {});
    let mut options = zone.options.clone();
    options.candidate = false;
    let runtime = Arc::new(zonesync::runtime::Smol::new(2).unwrap());
    zone.start_on("watcher", runtime, options);
    zone.await_quiet();
    for name in ["a", "b", "c"] {
        zone.take(name).node.kill();
    }
    zone.holds_for(TTL * 3, "an observer", |status| status.role == Role::Observer);
    zone.rows.set_all(subscriptions(50, 5));
    zone.start("d");
    zone.await_quiet();
}

#[test]
fn a_new_primary_over_the_same_rows_publishes_nothing() {
    let mut zone = Zone::of_three("unchanged", 7, 50, |_| {});
    let view = zone.nodes["a"].node.state().view();
    let primary = zone.take(&zone.await_primary());
    primary.node.kill();
    let next = zone.await_primary();
    zone.await_quiet();
    let own = zone.nodes[&next].node.status();
    assert_eq!(own.counters.published, 0, "nothing but the opening of its term");
    let now = zone.nodes[&next].node.state().view();
    assert!(view.sorted().eq(now.sorted()), "every byte is the same");
}
