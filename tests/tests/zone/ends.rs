//! How nodes end: stopped twice, beside running calls, over a store that hangs, by a panic.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use zonesync::core::election::Role;
use zonesync::runtime::{Runtime, Smol};
use zonesync::state::FeedError;
use zonesync_tests::rows::{Rows, apis, subscriptions};
use zonesync_tests::runtimes::{Bare, Tokio};
use zonesync_tests::zone::{LONG_TTL, Member, TTL, Zone};

fn zone_of(name: &str, nodes: &[&str]) -> Zone {
    let rows = Rows::default();
    rows.set_all(apis(7));
    rows.set_all(subscriptions(0, 50));
    let mut zone = Zone::new(name, rows);
    zone.start_all(nodes);
    zone.await_quiet();
    zone
}

fn within(limit: Duration, what: &str, act: impl FnOnce()) {
    let begun = Instant::now();
    act();
    let took = begun.elapsed();
    assert!(took < limit, "{what} took {took:?}");
}

/// Lookups go on from the last state, and feeds end.
fn has_ended(member: &Member) {
    assert!(member.node.state().view().digest().count() > 0);
    let mut feed = member.node.state().changes(None);
    let begun = Instant::now();
    while !matches!(feed.next(Duration::from_millis(20)), Err(FeedError::Stopped)) {
        assert!(begun.elapsed() < Duration::from_secs(10), "the feed goes on");
    }
    assert!(!member.node.step_down(), "nobody is there to step down");
    assert!(!member.node.confirm_removal("0123456789abcdef0123456789abcdef"));
    assert!(!member.node.status().in_sync);
}

#[test]
fn a_stop_beside_running_calls_and_again_is_one_stop() {
    let zone = zone_of("stopped-twice", &["a"]);
    let member = &zone.nodes["a"];
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let _ = member.node.status();
                    let _ = member.node.step_down();
                    let _ = member.node.wait_ready(Duration::from_millis(1));
                    std::thread::yield_now();
                }
            });
        }
        let stops: Vec<_> = (0..2).map(|_| scope.spawn(|| member.node.stop())).collect();
        for stop in stops {
            stop.join().unwrap();
        }
        over.store(true, Ordering::Relaxed);
    });
    within(Duration::from_millis(50), "a stop again", || member.node.stop());
    has_ended(member);
}

#[test]
fn a_stop_over_a_store_that_hangs_ends_in_time() {
    let zone = zone_of("hanging", &["a", "b"]);
    let (primary, other) = (zone.await_primary(), zone.secondary());
    for member in zone.nodes.values() {
        member.link.tell(|faults| faults.stuck = true);
    }
    zone.rows.set_all(subscriptions(50, 5));
    for name in [&primary, &other] {
        let member = &zone.nodes[name];
        within(TTL * 3, "the stop", || member.node.stop());
        has_ended(member);
    }
}

#[test]
fn a_stop_while_the_repository_hangs_hands_over() {
    let mut zone = zone_of("stuck-rows", &["a", "b"]);
    let primary = zone.take(&zone.await_primary());
    zone.rows.behave(|rows| rows.stuck = true);
    within(TTL, "the stop", || primary.node.stop());
    has_ended(&primary);
    zone.until("a successor", || zone.primary().is_some());
}

#[test]
fn a_stop_right_after_the_start_leaves_no_lease_behind() {
    let rows = Rows::default();
    rows.set_all(apis(3));
    let mut zone = Zone::new("started-stopped", rows);
    for round in 0..40 {
        let name = format!("n{round}");
        let runtime: Arc<dyn Runtime> = Arc::new(Smol::new(1).unwrap());
        zone.start_on(&name, runtime, zone.options.clone());
        // From at once to when it asks for the lease and holds it.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_micros(150 * round) {
            std::hint::spin_loop();
        }
        let member = zone.take(&name);
        within(TTL * 2, "the stop", || member.node.stop());
        let look = futures_lite::future::block_on(async {
            zonesync::store::ZoneStore::look(&zone.store, None).await.unwrap()
        });
        assert!(look.lease.is_none(), "round {round}: {:?}", look.lease);
    }
}

#[test]
fn a_killed_node_writes_no_more() {
    let mut zone = zone_of("killed", &["a"]);
    let link = zone.nodes["a"].link.clone();
    link.tell(|faults| faults.stuck_batches = true);
    zone.rows.set_all(subscriptions(50, 5));
    zone.until("a batch on its way", || link.waits());
    let killed = zone.take("a");
    let written = link.written().len();
    killed.node.kill();
    has_ended(&killed);
    link.tell(|faults| faults.stuck_batches = false);
    zone.start("b");
    zone.await_quiet();
    assert_eq!(link.written().len(), written);
}

fn a_panic_stops_the_sync_and_nothing_else(name: &str, host: Arc<dyn Runtime>) {
    let rows = Rows::default();
    rows.set_all(subscriptions(0, 50));
    let mut zone = Zone::new(name, rows);
    zone.options.ttl = LONG_TTL;
    zone.start_on("a", host.clone(), zone.options.clone());
    zone.start_on("b", host, zone.options.clone());
    zone.await_quiet();
    let primary = zone.await_primary();
    zone.rows.behave(|rows| rows.panics = true);
    let member = zone.take(&primary);
    let begun = Instant::now();
    zone.until("a successor", || zone.primary().is_some());
    let took = begun.elapsed();
    assert!(took < LONG_TTL / 2, "the lease was not given back: {took:?}");
    let status = member.node.status();
    assert_eq!(status.failed.as_deref(), Some("a background task panicked"));
    assert_eq!((status.reason.as_str(), status.ready), ("stopped", true));
    assert_ne!(status.role, Role::Primary);
    has_ended(&member);
    zone.rows.set_all(subscriptions(50, 5));
    zone.await_quiet();
}

#[test]
fn a_panic_on_our_own_threads_stops_one_node() {
    a_panic_stops_the_sync_and_nothing_else("panic-smol", Arc::new(Smol::new(1).unwrap()));
}

#[test]
fn a_panic_on_tokio_stops_one_node() {
    a_panic_stops_the_sync_and_nothing_else("panic-tokio", Arc::new(Tokio::new()));
}

#[test]
fn a_panic_on_a_bare_thread_stops_one_node() {
    a_panic_stops_the_sync_and_nothing_else("panic-bare", Arc::new(Bare::new()));
}

#[test]
fn a_task_that_panics_leaves_its_thread_to_the_others() {
    let host = Smol::new(1).unwrap();
    host.spawn(Box::pin(async { panic!("this task was told to panic") }));
    let (sender, receiver) = std::sync::mpsc::channel();
    host.spawn(Box::pin(async move { sender.send(()).unwrap() }));
    receiver.recv_timeout(Duration::from_secs(10)).expect("the second task ran");
}
