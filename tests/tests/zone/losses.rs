//! The store loses something: all, its tail, or what an old copy lacks.

use zonesync::core::id::EntityKey;
use zonesync::core::time::Duration;
use zonesync_tests::rows::{api, subscriptions};
use zonesync_tests::zone::Zone;

#[test]
fn an_emptied_store_is_filled_from_memory() {
    let zone = Zone::of_three("emptied", 7, 50, |_| {});
    let (reads, before) = (zone.rows.reads().0, zone.statuses()[0].clone());
    zone.rows.behave(|rows| rows.down = true);
    zone.store.clear();
    zone.until("a state in the store again", || {
        let all = zone.statuses();
        let place = all[0].position;
        all.iter().all(|s| s.digest == before.digest && s.position == place)
            && all.iter().all(|s| s.position.term.epoch > before.position.term.epoch)
    });
    assert_eq!(zone.rows.reads().0, reads, "the repository was not needed");
    zone.rows.behave(|rows| rows.down = false);
    zone.rows.set_all(subscriptions(50, 5));
    zone.await_quiet();
}

#[test]
fn a_store_emptied_again_and_again_is_filled_each_time() {
    let zone = Zone::of_three("emptied-often", 7, 50, |_| {});
    for round in 0..5 {
        zone.store.clear();
        zone.rows.set_all(subscriptions(50 + round, 1));
        zone.await_quiet();
    }
}

#[test]
fn an_old_copy_in_the_stores_place_is_noticed_and_mended() {
    let zone = Zone::of_three("old-copy", 7, 50, |_| {});
    let copy = zone.store.copy_zone();
    zone.rows.set_all(subscriptions(50, 20));
    zone.rows.off(EntityKey::api_key("api-3", "key-3", "sub-3"));
    zone.await_quiet();
    let revoked = EntityKey::api_key("api-3", "key-3", "sub-3");
    zone.store.restore_zone(&copy);
    // The revoked key must not come back, not even for a moment.
    let begun = std::time::Instant::now();
    while !(zone.agrees_on(&zone.rows.digest()) && begun.elapsed() > zone.options.ttl * 2) {
        for (name, member) in &zone.nodes {
            assert_eq!(member.node.state().view().get(revoked), None, "{name}");
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{:#?}", zone.statuses());
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_lost_tail_is_published_again() {
    let zone = Zone::of_three("lost-tail", 7, 50, |_| {});
    for round in 0..4 {
        let copy = zone.store.copy_zone();
        zone.rows.set_all(subscriptions(50 + 3 * round, 3));
        zone.await_quiet();
        // The loss is noticed by the next batch, whose rows must then be read again.
        zone.store.restore_zone(&copy);
        zone.rows.set_all(subscriptions(500 + round, 1));
        zone.await_quiet();
    }
}

#[test]
fn an_old_copy_and_a_dead_primary_at_once_are_mended() {
    let mut zone = Zone::of_three("old-and-dead", 7, 50, |_| {});
    let copy = zone.store.copy_zone();
    zone.rows.set_all(subscriptions(50, 20));
    zone.await_quiet();
    let primary = zone.take(&zone.await_primary());
    primary.node.kill();
    zone.store.restore_zone(&copy);
    zone.rows.set_all(subscriptions(70, 5));
    zone.await_quiet();
    zone.start("d");
    zone.await_quiet();
}

#[test]
fn a_node_that_starts_during_a_loss_waits_for_a_whole_state() {
    let mut zone = Zone::of_three("joins-a-loss", 7, 50, |_| {});
    zone.store.clear();
    zone.start("late");
    zone.await_quiet();
}

#[test]
fn a_feed_across_a_heal_gives_the_difference() {
    let mut zone = Zone::of_three("feed-heal", 7, 50, |_| {});
    let late = zone.secondary();
    let link = zone.nodes[&late].link.clone();
    let state = zone.nodes[&late].node.state().clone();
    let at = state.position();
    let mut held: std::collections::BTreeMap<_, Vec<u8>> =
        state.view().sorted().map(|(key, payload)| (key.into(), payload.into())).collect();
    let mut feed = state.changes(Some(at));
    // The node is cut off while the log moves on, past what a trim leaves of it.
    link.tell(|faults| faults.down = true);
    zone.least = 0;
    zone.rows.off(api("api-6"));
    for round in 1..4 {
        zone.rows.set_all(subscriptions(round * 6_000, 6_000));
        let digest = zone.rows.digest();
        zone.until("the others' state", || {
            zone.statuses().iter().filter(|s| s.digest == digest).count() == 2
        });
    }
    link.tell(|faults| faults.down = false);
    zone.await_quiet();
    let heals = zone.nodes[&late].node.status().counters.heals;
    while let Some(step) = feed.next(Duration::ZERO).unwrap() {
        for (key, payload) in step.changes {
            match payload {
                Some(payload) => drop(held.insert(key, payload.to_vec())),
                None => drop(held.remove(&key)),
            }
        }
    }
    assert!(heals > 0, "the log still held everything, so nothing was healed");
    let view = zone.nodes[&late].node.state().view();
    assert_eq!(held.len() as u64, view.digest().count());
    assert!(
        view.sorted().all(|(key, payload)| held.get(&key.into()).is_some_and(|h| h == payload))
    );
}
