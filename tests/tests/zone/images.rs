//! Nodes that start from their image: with the store down, behind it, past its limit, or damaged.

use std::fs;
use std::path::PathBuf;

use futures_lite::future::block_on;
use zonesync::core::id::{EntityKey, Position};
use zonesync::core::time::Duration;
use zonesync::runtime::wall_now;
use zonesync::store::ZoneStore;
use zonesync_tests::Folder;
use zonesync_tests::rows::{SECRET, subscriptions};
use zonesync_tests::zone::{Member, Zone};

/// Three nodes that keep images, at rest, and all of it on their disks.
fn zone(name: &str) -> (Zone, Folder) {
    let folder = Folder::new(name);
    let mut zone = Zone::of_three(name, 7, 50, |_| {});
    zone.images = Some(folder.path().to_owned());
    for name in ["a", "b", "c"] {
        zone.take(name).node.stop();
        zone.start(name);
        zone.await_quiet();
    }
    kept(&zone);
    (zone, folder)
}

/// Waits until each node's image stands where the node does.
fn kept(zone: &Zone) {
    zone.until("all of it on the disks", || {
        zone.statuses().iter().all(|status| {
            status.image.as_ref().is_some_and(|image| image.position == Some(status.position))
        })
    });
}

/// Starts a node whose store does not answer.
fn start_cut_off<'a>(zone: &'a mut Zone, name: &str) -> &'a Member {
    zone.start_spoiled(name, |faults| faults.down = true)
}

fn opens(member: &Member, number: usize) -> bool {
    let (api, key) = (format!("api-{}", number % 7), format!("{SECRET}-{number}"));
    member.node.state().view().by_key(&api, &key, None, wall_now()).is_some()
}

fn file(folder: &Folder, node: &str) -> PathBuf {
    folder.path().join(node).join("image")
}

#[test]
fn a_node_whose_store_is_down_serves_its_image() {
    let (mut zone, _folder) = zone("image-alone");
    let name = zone.secondary();
    let before = zone.nodes[&name].node.status();
    zone.take(&name).node.kill();
    let member = start_cut_off(&mut zone, &name);
    assert!(member.node.wait_ready(Duration::from_secs(20)));
    let status = member.node.status();
    assert!(status.stale && !status.in_sync, "{status:#?}");
    assert_eq!((status.position, &status.digest), (before.position, &before.digest));
    assert!(opens(member, 3), "lookups answer");
    let image = status.image.expect("it keeps one");
    assert_eq!((image.position, image.error), (Some(before.position), None));

    // It follows the log once the store answers again: a snapshot is not loaded.
    zone.rows.set_all(subscriptions(50, 3));
    zone.nodes[&name].link.tell(|faults| faults.down = false);
    zone.await_quiet();
    let status = zone.nodes[&name].node.status();
    assert!(!status.stale && status.counters.heals == 0 && status.counters.applied > 0);
    kept(&zone);
}

#[test]
fn a_key_revoked_before_the_kill_opens_nothing_after_it() {
    let (mut zone, folder) = zone("image-revoked");
    let name = zone.secondary();
    assert!(opens(&zone.nodes[&name], 3) && opens(&zone.nodes[&name], 4));
    let snapshot = zone.nodes[&name].node.status().image.unwrap().snapshot_bytes;
    zone.rows.off(EntityKey::api_key("api-3", "key-3", "sub-3"));
    zone.least -= 1;
    zone.await_quiet();
    kept(&zone);
    let image = zone.nodes[&name].node.status().image.unwrap();
    assert_eq!(image.snapshot_bytes, snapshot, "the revocation stands in the journal alone");
    assert!(image.journal_bytes > 0);
    zone.take(&name).node.kill();
    // A write that the crash tore.
    let mut bytes = fs::read(file(&folder, &name)).unwrap();
    bytes.extend_from_slice(b"J\x40");
    fs::write(file(&folder, &name), bytes).unwrap();
    let member = start_cut_off(&mut zone, &name);
    assert!(member.node.wait_ready(Duration::from_secs(20)));
    assert!(!opens(member, 3), "it was revoked");
    assert!(opens(member, 4));
    member.link.tell(|faults| faults.down = false);
    zone.await_quiet();
    kept(&zone);
}

#[test]
fn a_crash_in_the_midst_of_a_snapshot_leaves_the_image_before() {
    let (mut zone, folder) = zone("image-torn");
    let name = zone.secondary();
    zone.take(&name).node.kill();
    let half = fs::read(file(&folder, &name)).unwrap();
    fs::write(folder.path().join(&name).join("image.new"), &half[..half.len() / 2]).unwrap();
    let member = start_cut_off(&mut zone, &name);
    assert!(member.node.wait_ready(Duration::from_secs(20)));
    assert!(opens(member, 3));
}

#[test]
fn a_zone_comes_back_from_images_alone() {
    let (mut zone, _folder) = zone("image-zone");
    let digest = zone.rows.digest();
    for name in ["a", "b", "c"] {
        zone.take(name).node.kill();
    }
    zone.store.clear();
    zone.rows.behave(|rows| rows.down = true);
    zone.start_all(&["a", "b", "c"]);
    zone.until("the zone's state again", || zone.agrees_on(&digest));
    zone.rows.behave(|rows| rows.down = false);
    zone.rows.set_all(subscriptions(50, 3));
    zone.await_quiet();
}

#[test]
fn an_image_past_its_limit_makes_nobody_ready_and_fills_no_store() {
    let (mut zone, _folder) = zone("image-old");
    for name in ["a", "b", "c"] {
        zone.take(name).node.kill();
    }
    zone.store.clear();
    zone.rows.behave(|rows| rows.down = true);
    zone.options.image_age_max = Duration::ZERO;
    zone.start_all(&["a", "b", "c"]);
    let rest = Duration::from_secs(3);
    zone.holds_for(rest, "nothing to be ready with", |status| !status.ready);
    let head = block_on(zone.store.read(Position::START, 1 << 20)).unwrap().head;
    assert!(head.is_none_or(|head| !head.is_complete()), "what may not be served is not published");
    zone.rows.behave(|rows| rows.down = false);
    // What the image had and the repository has no more must not come back.
    zone.rows.off(EntityKey::api_key("api-3", "key-3", "sub-3"));
    zone.least -= 1;
    zone.await_quiet();
}

#[test]
fn an_image_that_is_damaged_is_set_aside() {
    let (mut zone, folder) = zone("image-bad");
    let name = zone.secondary();
    zone.take(&name).node.kill();
    let mut bytes = fs::read(file(&folder, &name)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file(&folder, &name), &bytes).unwrap();
    let member = start_cut_off(&mut zone, &name);
    let begun = std::time::Instant::now();
    let error = loop {
        if let Some(error) = member.node.status().image.and_then(|image| image.error) {
            break error;
        }
        assert!(begun.elapsed() < Duration::from_secs(20));
    };
    assert!(error.contains("damaged at byte"), "{error}");
    assert!(!member.node.wait_ready(Duration::from_secs(1)));
    assert_eq!(member.node.status().position, Position::START);
    let aside = folder.path().join(&name).join("image.bad");
    assert_eq!(fs::read(aside).unwrap(), bytes, "it can be looked at");
    member.link.tell(|faults| faults.down = false);
    zone.await_quiet();
    kept(&zone);
}
