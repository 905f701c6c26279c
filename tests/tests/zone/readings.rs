//! The management repository: down, slow, half, empty, incomplete, poisoned.

use std::time::Duration;

use zonesync::core::election::Role;
use zonesync::core::entity::Kind;
use zonesync::core::id::EntityKey;
use zonesync::status::{LinkState, Status};
use zonesync_tests::rows::{Rows, api, apis, subscriptions};
use zonesync_tests::zone::{TTL, Zone};

/// Three nodes whose primary reads everything often, so that absences are noticed.
fn zone_of_three(name: &str) -> Zone {
    Zone::of_three(name, 20, 20, |options| options.full_read = Duration::from_millis(150))
}

fn primary_status(zone: &Zone) -> Option<Status> {
    zone.statuses().into_iter().find(|status| status.role == Role::Primary)
}

#[test]
fn a_repository_that_is_down_is_told_and_read_when_it_is_back() {
    let mut zone = zone_of_three("down");
    let digest = zone.rows.digest();
    zone.rows.behave(|rows| rows.down = true);
    zone.until("it says so", || {
        primary_status(&zone).is_some_and(|s| s.repository.state == LinkState::Down)
    });
    zone.rows.set_all(subscriptions(20, 5));
    zone.start("late");
    zone.until("a node that joins meanwhile", || {
        zone.statuses().iter().all(|s| s.ready && s.digest == digest)
    });
    zone.holds_for(TTL * 2, "serving on", |s| s.ready && s.digest == digest);
    zone.rows.behave(|rows| rows.down = false);
    zone.await_quiet();
    let status = primary_status(&zone).unwrap();
    assert_eq!((status.repository.state, status.repository.error), (LinkState::Up, None));
}

#[test]
fn a_repository_that_hangs_costs_no_lease() {
    let zone = zone_of_three("slow");
    let primary = zone.await_primary();
    zone.rows.behave(|rows| rows.stuck = true);
    zone.rows.set_all(subscriptions(20, 5));
    zone.holds_for(TTL * 3, "the same primary", |s| {
        s.ready && s.primary.as_deref() == Some(primary.as_str())
    });
    zone.rows.behave(|rows| rows.stuck = false);
    zone.await_quiet();
    assert_eq!(zone.nodes[&primary].node.status().counters.reigns, 1);
}

fn guard_holds(zone: &Zone, spoil: impl FnOnce(&mut zonesync_tests::rows::Manners)) {
    let digest = zone.rows.digest();
    zone.rows.behave(spoil);
    zone.until("removals are held", || {
        primary_status(zone).is_some_and(|status| !status.held.is_empty())
    });
    zone.holds_for(TTL, "everything that was there", |s| s.digest == digest);
    zone.rows.behave(|rows| *rows = Default::default());
    zone.until("nothing is held any more, on any node", || {
        zone.statuses().iter().all(|status| status.held.is_empty())
    });
    zone.await_quiet();
}

#[test]
fn half_a_repository_wipes_nothing() {
    guard_holds(&zone_of_three("half"), |rows| rows.half = true);
}

#[test]
fn an_empty_repository_wipes_nothing() {
    guard_holds(&zone_of_three("empty"), |rows| rows.empty = true);
}

#[test]
fn a_read_that_says_it_is_incomplete_removes_nothing_absent() {
    let mut zone = zone_of_three("incomplete");
    zone.least = 0;
    zone.rows.behave(|rows| rows.incomplete = true);
    // One alone would pass the guard.
    zone.rows.remove(api("api-19"));
    let (before, reads) = (zone.statuses()[0].digest.clone(), zone.rows.reads().1);
    zone.until("two full reads", || zone.rows.reads().1 > reads + 2);
    zone.holds_for(TTL, "what was there", |s| s.digest == before);
    // A row that says so is another thing.
    zone.rows.off(api("api-18"));
    zone.until("the evidenced removal", || {
        zone.nodes.values().all(|m| m.node.state().view().get(api("api-18")).is_none())
    });
    assert!(zone.nodes["a"].node.state().view().get(api("api-19")).is_some());
    zone.rows.behave(|rows| rows.incomplete = false);
    zone.await_quiet();
}

#[test]
fn rows_that_a_read_missed_are_found_by_id() {
    let zone = zone_of_three("forgetful");
    let digest = zone.rows.digest();
    let reads = zone.rows.reads().1;
    zone.rows.behave(|rows| rows.forgetful = true);
    zone.until("two full reads", || zone.rows.reads().1 > reads + 2);
    zone.holds_for(TTL, "everything", |s| s.digest == digest && s.held.is_empty());
    zone.rows.behave(|rows| rows.forgetful = false);
    zone.await_quiet();
}

#[test]
fn a_person_lets_held_removals_pass_by_their_token() {
    let zone = zone_of_three("token");
    for number in 0..12 {
        zone.rows.remove(api(&format!("api-{number}")));
    }
    let held = |zone: &Zone| {
        let held = primary_status(zone)?.held.into_iter().find(|held| held.count == 12)?;
        Some(held.token)
    };
    zone.until("they are held", || held(&zone).is_some());
    zone.until("every node shows it", || {
        zone.statuses().iter().all(|status| status.held.iter().any(|held| held.count == 12))
    });
    let token = held(&zone).unwrap();
    let (primary, other) = (zone.await_primary(), zone.secondary());
    assert!(!zone.nodes[&primary].node.confirm_removal("0123456789abcdef"), "no such set");
    assert!(!zone.nodes[&other].node.confirm_removal(&token), "a secondary removes nothing");
    zone.holds_for(TTL, "held all the same", |s| {
        s.counts.iter().any(|kind| kind.kind == "API" && kind.count == 20)
    });
    // There will be fewer from now on.
    let zone = Zone { least: 40, ..zone };
    assert!(zone.nodes[&primary].node.confirm_removal(&token));
    zone.await_quiet();
    zone.until("nothing is held any more, on any node", || {
        zone.statuses().iter().all(|status| status.held.is_empty())
    });
}

#[test]
fn two_confirmations_at_once_are_both_heeded() {
    let zone = zone_of_three("two-tokens");
    for number in 0..12 {
        zone.rows.remove(api(&format!("api-{number}")));
        let (scope, sub) = (format!("api-{}", number % 7), format!("sub-{number}"));
        zone.rows.remove(EntityKey::api_key(&scope, &format!("key-{number}"), &sub));
    }
    let held = |zone: &Zone| primary_status(zone).map(|status| status.held).unwrap_or_default();
    zone.until("both kinds are held", || held(&zone).len() == 2);
    let primary = zone.await_primary();
    let zone = Zone { least: 20, ..zone };
    for held in held(&zone) {
        assert!(zone.nodes[&primary].node.confirm_removal(&held.token));
    }
    zone.await_quiet();
}

#[test]
fn evidenced_removals_are_never_held() {
    let mut zone = zone_of_three("evidenced");
    zone.least = 0;
    for number in 0..20 {
        zone.rows
            .off(EntityKey::subscription(&format!("api-{}", number % 7), &format!("sub-{number}")));
        let (scope, key) = (format!("api-{}", number % 7), format!("key-{number}"));
        zone.rows.off(EntityKey::api_key(&scope, &key, &format!("sub-{number}")));
    }
    zone.await_quiet();
    for status in zone.statuses() {
        assert!(status.held.is_empty());
        let count = |kind: Kind| status.counts.iter().find(|c| c.kind == kind.to_string()).cloned();
        assert!(count(Kind::API_KEY).is_none_or(|c| c.count == 0), "{status:#?}");
    }
}

#[test]
fn poison_rows_are_counted_and_hold_up_nothing() {
    let zone = zone_of_three("poison");
    zone.rows.poison(api("api-3"));
    zone.rows.poison(api("never-good"));
    zone.rows.set_all(subscriptions(20, 5));
    zone.await_quiet();
    zone.until("both are named", || {
        primary_status(&zone).is_some_and(|s| s.quarantined_total == 2 && s.quarantined.len() == 2)
    });
    assert!(zone.nodes["a"].node.state().view().get(api("api-3")).is_some(), "the last good one");
    zone.rows.set(api("api-3"), r#"{"id":"api-3"}"#);
    zone.rows.off(api("never-good"));
    zone.await_quiet();
    zone.until("none is left", || {
        primary_status(&zone).is_some_and(|s| s.quarantined_total == 0 && s.quarantined.is_empty())
    });
    // A node that reads no rows speaks of none.
    let primary = zone.await_primary();
    zone.rows.poison(api("api-4"));
    zone.until("named", || zone.nodes[&primary].node.status().quarantined_total == 1);
    zone.nodes[&primary].node.step_down();
    let idle = |s: &Status| s.repository.state == LinkState::Idle && s.quarantined_total == 0;
    zone.until("another primary names it", || {
        zone.statuses().iter().all(|s| match s.role {
            Role::Primary => s.node != primary && s.quarantined_total == 1,
            _ => idle(s),
        })
    });
}

#[test]
fn an_entity_that_no_record_holds_is_set_aside() {
    let rows = Rows::default();
    rows.set_all(apis(5));
    let mut zone = Zone::new("too-large", rows.clone());
    rows.set(api("huge"), &"x".repeat(17 << 20));
    zone.options.full_read = Duration::from_millis(150);
    zone.start_all(&["a", "b"]);
    let ready = || zone.statuses().iter().all(|s| s.ready && s.in_sync && s.counts[0].count == 5);
    zone.until("the others of the first load", ready);
    let primary = primary_status(&zone).unwrap();
    assert_eq!(primary.quarantined_total, 1, "{primary:#?}");
    let (reads, published) = (rows.reads().1, primary.counters.published);
    zone.until("two more reads", || rows.reads().1 > reads + 2);
    assert_eq!(primary_status(&zone).unwrap().counters.published, published);
    let empty: u64 = zone.nodes.values().map(|member| member.link.empty_batches()).sum();
    assert_eq!(empty, 0, "and no batch is made for it");
}

#[test]
fn a_first_load_waits_for_all_rows() {
    let rows = Rows::default();
    rows.set_all(apis(20));
    rows.behave(|rows| {
        rows.incomplete = true;
        rows.half = true;
    });
    let mut zone = Zone::new("first-load", rows.clone());
    zone.options.poll = Duration::from_secs(1);
    zone.start_all(&["a", "b"]);
    zone.until("a first read", || rows.reads().0 > 0);
    rows.behave(|rows| *rows = Default::default());
    zone.await_quiet();
}
