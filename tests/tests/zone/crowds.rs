//! Many nodes, many entities, and two zones in one process.

use std::sync::Arc;

use zonesync::Options;
use zonesync::core::election::Role;
use zonesync::runtime::{Runtime, Smol};
use zonesync::store::memory::{MemoryOptions, MemoryStore};
use zonesync_tests::rows::{Rows, apis, subscriptions};
use zonesync_tests::zone::Zone;

#[test]
fn twenty_nodes_that_start_at_once_become_one_zone() {
    let rows = Rows::default();
    rows.set_all(subscriptions(0, 500));
    let mut zone = Zone::new("twenty", rows);
    let host: Arc<dyn Runtime> = Arc::new(Smol::new(4).unwrap());
    let names: Vec<_> = (0..20).map(|number| format!("n{number:02}")).collect();
    for name in &names {
        zone.start_on(name, host.clone(), zone.options.clone());
    }
    zone.await_quiet();
    zone.rows.set_all(subscriptions(500, 10));
    zone.await_quiet();
    let reigns: u64 = zone.statuses().iter().map(|status| status.counters.reigns).sum();
    assert_eq!(reigns, 1, "one primary, from the first on");
    assert_eq!(zone.rows.reads().1, 1, "and only it has read the rows");
}

#[test]
fn a_hundred_thousand_entities_reach_all_and_a_late_joiner() {
    let rows = Rows::default();
    rows.set_all(subscriptions(0, 50_000));
    let mut zone = Zone::new("large", rows);
    zone.options.ttl = std::time::Duration::from_secs(1);
    zone.start_all(&["a", "b"]);
    zone.await_quiet();
    zone.rows.set_all(subscriptions(50_000, 1_000));
    zone.start("late");
    zone.await_quiet();
    for member in zone.nodes.values() {
        assert_eq!(member.node.state().view().digest().count(), 102_000);
    }
}

#[test]
fn two_zones_never_see_each_other() {
    let (left, right) = (Rows::default(), Rows::default());
    left.set_all(apis(5));
    right.set_all(subscriptions(0, 50));
    let mut zones = [Zone::new("left", left), Zone::new("right", right)];
    for zone in &mut zones {
        // Found by name, as nodes of one process find it.
        let clock: Arc<dyn Runtime> = Arc::new(Smol::new(1).unwrap());
        let name = zone.name.parse().unwrap();
        zone.store = MemoryStore::shared(&name, clock, MemoryOptions::default());
        zone.start_all(&["a", "b"]);
    }
    for zone in &zones {
        zone.await_quiet();
    }
    zones[0].store.clear();
    zones[1].rows.set_all(subscriptions(50, 5));
    for zone in &zones {
        zone.await_quiet();
    }
    let reigns: u64 = zones[1].statuses().iter().map(|status| status.counters.reigns).sum();
    assert_eq!(reigns, 1, "what befell the one was nothing to the other");
}

#[test]
fn nodes_of_one_name_are_told_apart() {
    let rows = Rows::default();
    rows.set_all(subscriptions(0, 50));
    let mut zone = Zone::new("namesakes", rows.clone());
    let first = zone.start("a");
    assert!(first.node.wait_ready(zonesync_tests::zone::TTL * 20));
    let first = zone.take("a");
    let options = Options { ..zone.options.clone() };
    zone.start_on("a", Arc::new(Smol::new(2).unwrap()), options);
    zone.until("the second is ready beside the first", || zone.statuses()[0].ready);
    assert_eq!(first.node.status().role, Role::Primary);
    assert_eq!(zone.statuses()[0].role, Role::Secondary);
    first.node.kill();
    zone.await_quiet();
    assert_eq!(zone.statuses()[0].role, Role::Primary);
}
