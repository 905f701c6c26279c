//! The way to the store: lossy, cut, half open, and a store without room.

use std::time::Duration;

use zonesync::core::election::Role;
use zonesync::status::LinkState;
use zonesync::store::memory::MemoryOptions;
use zonesync_tests::rows::{Rows, api, apis, subscriptions};
use zonesync_tests::zone::{TTL, Zone};

#[test]
fn lost_requests_and_replies_lose_no_change() {
    let zone = Zone::of_three("lossy", 7, 50, |_| {});
    for member in zone.nodes.values() {
        member.link.tell(|faults| {
            faults.lost_requests = 10;
            faults.lost_replies = 10;
        });
    }
    let mut feed = zone.nodes["a"].node.state().changes(None);
    for round in 0..60 {
        zone.rows.set_all(subscriptions(50 + round, 1));
        zone.rows.set(api("api-0"), &format!(r#"{{"id":"api-0","n":{round}}}"#));
        let digest = zone.rows.digest();
        if round % 6 == 5 {
            zone.until("the change", || zone.statuses().iter().all(|s| s.digest == digest));
        }
    }
    for member in zone.nodes.values() {
        member.link.tell(|faults| *faults = Default::default());
    }
    zone.await_quiet();
    // Applied once and in order: the feed never shows an older version after a newer one.
    let mut last = 0;
    while let Ok(Some(step)) = feed.next(Duration::ZERO) {
        for (key, payload) in step.changes {
            if key.as_ref() == api("api-0") {
                let text = String::from_utf8(payload.unwrap().to_vec()).unwrap();
                let number = text.split(':').next_back().unwrap().trim_end_matches('}');
                let number: u32 = number.parse().unwrap();
                assert!(number >= last, "{number} came after {last}");
                last = number;
            }
        }
    }
    assert_eq!(last, 59);
    let empty: u64 = zone.nodes.values().map(|member| member.link.empty_batches()).sum();
    assert_eq!(empty, 0);
}

#[test]
fn a_store_away_for_longer_than_the_lease_comes_back() {
    let zone = Zone::of_three("away", 7, 50, |_| {});
    let digest = zone.rows.digest();
    for member in zone.nodes.values() {
        member.link.tell(|faults| faults.down = true);
    }
    zone.until("all say so", || {
        zone.statuses().iter().all(|s| {
            !s.in_sync
                && s.store.state == LinkState::Down
                && s.store.error.is_some()
                && s.role == Role::Secondary
        })
    });
    zone.rows.set_all(subscriptions(50, 5));
    let lag = zone.statuses()[0].lag_ms;
    let calls = || zone.nodes.values().map(|member| member.link.calls()).sum::<u64>();
    let before = calls();
    zone.holds_for(TTL * 2, "serving on", |s| s.digest == digest && s.ready);
    let asked = calls() - before;
    assert!(asked < 300, "a busy loop: {asked} calls in two TTLs");
    assert!(zone.statuses()[0].lag_ms > lag, "the lag grows");
    for member in zone.nodes.values() {
        member.link.tell(|faults| faults.down = false);
    }
    zone.await_quiet();
    zone.until("all links are up", || {
        zone.statuses().iter().all(|s| s.store.state == LinkState::Up && s.store.error.is_none())
    });
}

#[test]
fn a_primary_cut_off_is_succeeded_and_follows_when_it_is_back() {
    let zone = Zone::of_three("cut-off", 7, 50, |_| {});
    let primary = zone.await_primary();
    zone.nodes[&primary].link.tell(|faults| faults.stuck = true);
    zone.until("a successor", || zone.primary().is_some_and(|name| name != primary));
    zone.rows.set_all(subscriptions(50, 5));
    let digest = zone.rows.digest();
    zone.until("the others' state", || {
        zone.statuses().iter().filter(|s| s.digest == digest && s.in_sync).count() == 2
    });
    assert_ne!(zone.nodes[&primary].node.status().role, Role::Primary);
    zone.nodes[&primary].link.tell(|faults| faults.stuck = false);
    zone.await_quiet();
}

#[test]
fn a_log_that_cannot_be_read_makes_no_busy_loop() {
    let zone = Zone::of_three("unreadable", 7, 50, |_| {});
    let name = zone.secondary();
    let (node, link) = (&zone.nodes[&name].node, &zone.nodes[&name].link);
    link.tell(|faults| faults.unreadable = true);
    zone.rows.set_all(subscriptions(50, 5));
    zone.until("it says so", || node.status().store.state == LinkState::Down);
    let before = link.reads();
    zone.holds_for(TTL, "serving on", |status| status.ready);
    let reads = link.reads() - before;
    assert!(reads < 60, "{reads} reads in one TTL");
    link.tell(|faults| faults.unreadable = false);
    zone.await_quiet();
}

#[test]
fn an_idle_primary_is_up_again_after_a_lost_renewal() {
    let zone = Zone::of_three("renewal", 7, 50, |_| {});
    let primary = zone.await_primary();
    let (node, link) = (&zone.nodes[&primary].node, &zone.nodes[&primary].link);
    link.tell(|faults| faults.down = true);
    zone.until("a lost renewal", || node.status().store.state == LinkState::Down);
    link.tell(|faults| faults.down = false);
    zone.until("up again", || node.status().store.state == LinkState::Up);
    zone.await_quiet();
}

#[test]
fn a_store_without_room_keeps_its_primary_and_says_so() {
    let rows = Rows::default();
    rows.set_all(apis(1));
    let room = MemoryOptions { max_bytes: 200_000, ..MemoryOptions::default() };
    let mut zone = Zone::with_room("full", rows, room);
    zone.start_all(&["a", "b", "c"]);
    zone.await_quiet();
    let primary = zone.await_primary();
    let good = zone.rows.digest();
    zone.rows.set(api("large"), &format!(r#"{{"id":"large","text":"{}"}}"#, noise(400_000)));
    full_and_still(&zone, &primary, &good);
}

#[test]
fn a_full_store_takes_what_waits_when_there_is_room() {
    let zone = Zone::of_three("full-for-now", 7, 50, |_| {});
    let primary = zone.await_primary();
    let good = zone.rows.digest();
    zone.nodes[&primary].link.tell(|faults| faults.full = true);
    zone.rows.set_all(subscriptions(50, 5));
    full_and_still(&zone, &primary, &good);
    zone.rows.set_all(subscriptions(55, 5));
    zone.nodes[&primary].link.tell(|faults| faults.full = false);
    zone.await_quiet();
    assert_eq!(zone.nodes[&primary].node.status().counters.reigns, 1);
    assert_eq!(zone.nodes[&primary].node.status().store.error, None);
}

/// The primary says that the store is full, keeps its lease, and everybody serves on.
fn full_and_still(zone: &Zone, primary: &str, good: &str) {
    let known = |s: &zonesync::status::Status| s.primary.as_deref() == Some(primary);
    let full = |s: &zonesync::status::Status| {
        s.store.error.as_deref() == Some("zone store full") && s.reason.contains("store is full")
    };
    zone.until("it says so", || {
        zone.statuses().iter().all(|s| known(s) && (s.node != primary || full(s)))
    });
    zone.holds_for(TTL * 3, "the old state, the same primary, the reason", |s| {
        s.digest == good && s.ready && known(s) && (s.node != primary || full(s))
    });
    assert_eq!(zone.nodes[primary].node.status().role, Role::Primary);
}

/// Text that no packing makes much smaller.
fn noise(bytes: usize) -> String {
    let mut seed = 7_u64;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + (seed >> 33) as u8 % 26)
    };
    (0..bytes).map(|_| next()).collect()
}
