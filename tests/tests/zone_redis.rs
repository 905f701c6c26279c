//! A zone of three nodes in one process, each with its own way to a real Redis.

use std::sync::Arc;
use std::time::{Duration, Instant};

use zonesync::runtime::Runtime;
use zonesync::store::ZoneStore;
use zonesync::store::redis::{
    Address, Encryption, EncryptionKey, RedisOptions, RedisStore, Topology,
};
use zonesync_core::election::Role;
use zonesync_test_servers::redis::{Answer, RedisServer};
use zonesync_tests::rows::{Rows, apis, subscriptions};
use zonesync_tests::zone::Zone;

fn options(server: &RedisServer) -> RedisOptions {
    let address = Address { host: "127.0.0.1".into(), port: server.port() };
    RedisOptions::new(Topology::Standalone(address))
}

/// Makes a zone in `server`, without nodes, over so many rows.
fn zone(name: &str, options: RedisOptions, subscription_count: usize) -> Zone {
    let rows = Rows::default();
    rows.set_all(apis(7));
    rows.set_all(subscriptions(0, subscription_count));
    let mut zone = Zone::new(name, rows);
    let name: zonesync_core::id::ZoneName = name.parse().expect("a zone's name");
    zone.connect_by(move |runtime: Arc<dyn Runtime>| {
        Arc::new(RedisStore::new(name.clone(), options.clone(), runtime)) as Arc<dyn ZoneStore>
    });
    // Over a network, on a machine that does other things, too.
    zone.options.ttl = Duration::from_secs(1);
    zone
}

#[test]
fn three_nodes_agree_over_redis() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let mut zone = zone("main", options(&server), 300);
    zone.start_all(&["a", "b", "c"]);
    zone.await_quiet();
    zone.rows.set_all(subscriptions(300, 50));
    zone.await_quiet();

    let primary = zone.take(&zone.await_primary());
    primary.node.kill();
    zone.rows.set_all(subscriptions(350, 50));
    zone.await_quiet();

    let primary = zone.take(&zone.await_primary());
    primary.node.stop();
    zone.start("d");
    zone.start("e");
    zone.rows.set_all(subscriptions(400, 50));
    zone.await_quiet();
}

#[test]
fn a_zone_outlives_an_emptied_redis_and_a_restarted_one() {
    let Some(mut server) = RedisServer::start(&[]) else { return };
    let mut zone = zone("emptied", options(&server), 300);
    zone.start_all(&["a", "b", "c"]);
    zone.await_quiet();
    let epoch = zone.statuses()[0].position.term.epoch;
    server.ask(&["FLUSHALL"]);
    zone.rows.set_all(subscriptions(300, 50));
    zone.until("another reign", || zone.statuses()[0].position.term.epoch > epoch);
    zone.await_quiet();
    let epoch = zone.statuses()[0].position.term.epoch;
    server.restart();
    zone.rows.set_all(subscriptions(350, 50));
    zone.until("another reign", || zone.statuses()[0].position.term.epoch > epoch);
    zone.await_quiet();
}

#[test]
fn a_quiet_zone_leaves_its_redis_alone() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let mut zone = zone("quiet", options(&server), 50);
    zone.options.ttl = Duration::from_secs(3);
    zone.options.poll = Duration::from_secs(1);
    zone.start_all(&["a", "b", "c"]);
    zone.await_quiet();
    std::thread::sleep(Duration::from_secs(3));
    let calls = || {
        let stats = server.ask(&["INFO", "commandstats"]).text();
        // What scripts call is counted, too, so only what clients alone send is looked at.
        let sent = ["evalsha", "eval", "xread", "ping", "hello", "wait"];
        let calls = |name: &&str| -> u64 {
            let line = stats.lines().find(|line| line.starts_with(&format!("cmdstat_{name}:")));
            let calls = line.and_then(|line| line.split_once("calls=")?.1.split(',').next());
            calls.and_then(|calls| calls.parse().ok()).unwrap_or(0)
        };
        sent.iter().map(calls).sum::<u64>()
    };
    let (before, begun) = (calls(), Instant::now());
    std::thread::sleep(Duration::from_secs(10));
    let rate = (calls() - before) as f64 / begun.elapsed().as_secs_f64();
    println!("{rate:.2} commands a second for three nodes");
    // A report of each node a second, and for the two secondaries a look at the head each poll with a
    // sign of life before it. What waits adds next to nothing.
    assert!(rate < 8.0, "{rate:.2} commands a second");
}

#[test]
fn an_encrypted_zone_moves_to_another_key() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let key = |id: &str, byte| EncryptionKey::new(id, [byte; 32]).expect("a key's name");
    let with = |first, others: Vec<EncryptionKey>| {
        let mut options = options(&server);
        options.encryption = Some(Encryption::new(first, others));
        options
    };
    let mut old = zone("secret", with(key("old", 1), vec![]), 100);
    old.start_all(&["a", "b"]);
    old.await_quiet();
    assert!(chunks(&server).iter().all(|chunk| chunk.starts_with(b"\x02\x03old")));
    for (_, member) in std::mem::take(&mut old.nodes) {
        member.node.stop();
    }
    let mut new = zone("secret", with(key("new", 2), vec![key("old", 1)]), 100);
    new.start("c");
    new.await_quiet();
    new.rows.set_all(subscriptions(100, 10));
    new.await_quiet();
    new.until("a snapshot under the new key", || {
        server.ask(&["HGET", "zonesync:{secret}:head", "key"]).text() == "new"
    });
    let member = new.take("c");
    member.node.stop();
    let mut only = zone("secret", with(key("new", 2), vec![]), 110);
    only.start("d");
    only.await_quiet();

    let mut stranger = zone("secret", options(&server), 0);
    stranger.start("stranger");
    stranger.until("a reason", || {
        let status = &stranger.statuses()[0];
        status.store.error.as_deref().is_some_and(|error| error.contains("encrypted"))
    });
    assert!(stranger.statuses().iter().all(|s| !s.ready && s.role != Role::Primary));
}

/// Gives the chunks of all snapshots.
fn chunks(server: &RedisServer) -> Vec<Vec<u8>> {
    let Answer::List(keys) = server.ask(&["KEYS", "*:snap:*"]) else { panic!("a list of keys") };
    assert!(!keys.is_empty(), "there is a snapshot");
    let get = |key: &Answer| match server.ask(&["GET", &key.text()]) {
        Answer::Bytes(chunk) => chunk,
        other => panic!("a chunk, not {other:?}"),
    };
    keys.iter().map(get).collect()
}
