//! The main path, on three hosts: ours, tokio, and one bare thread.

use std::sync::Arc;

use zonesync::core::id::EntityKey;
use zonesync::core::time::WallTime;
use zonesync::runtime::{Runtime, Smol};
use zonesync_tests::rows::{Rows, SECRET, apis, subscriptions};
use zonesync_tests::runtimes::{Bare, Tokio};
use zonesync_tests::zone::Zone;

/// Starts three nodes, changes rows, revokes a key, kills the primary, changes rows again.
fn main_path(name: &str, host: impl Fn() -> Arc<dyn Runtime>) {
    let rows = Rows::default();
    rows.set_all(apis(7));
    rows.set_all(subscriptions(0, 200));
    let mut zone = Zone::new(name, rows.clone());
    for node in ["a", "b", "c"] {
        zone.start_on(node, host(), zone.options.clone());
    }
    zone.await_quiet();

    rows.set_all(subscriptions(200, 50));
    zone.await_quiet();
    let opens = |zone: &Zone, number: usize| {
        let (api, key) = (format!("api-{}", number % 7), format!("{SECRET}-{number}"));
        let at = WallTime::from_millis(1_800_000_000_000);
        let found = |member: &zonesync_tests::zone::Member| {
            member.node.state().by_key(&api, &key, None, at, |_| ()).is_some()
        };
        zone.nodes.values().filter(|member| found(member)).count()
    };
    assert_eq!(opens(&zone, 203), 3, "a key that came later opens its API everywhere");
    rows.off(EntityKey::api_key("api-0", "key-203", "sub-203"));
    zone.await_quiet();
    assert_eq!(opens(&zone, 203), 0, "a revoked key opens nothing");

    let primary = zone.take(&zone.await_primary());
    let before = primary.node.status();
    primary.node.kill();
    rows.set_all(subscriptions(250, 10));
    zone.await_quiet();
    let after = zone.statuses();
    assert!(after.iter().all(|s| s.position.term.epoch > before.position.term.epoch));
    assert_eq!(opens(&zone, 203), 0, "and stays revoked under the successor");
    assert_eq!(opens(&zone, 255), 2);
}

#[test]
fn the_main_path_on_our_own_threads() {
    main_path("smol", || Arc::new(Smol::new(2).unwrap()));
}

#[test]
fn the_main_path_on_tokio() {
    main_path("tokio", || Arc::new(Tokio::new()));
}

#[test]
fn the_main_path_on_one_bare_thread() {
    let bare: Arc<dyn Runtime> = Arc::new(Bare::new());
    main_path("bare", || bare.clone());
}
