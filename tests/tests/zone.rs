//! A zone of three nodes on the embedded store over a directory: the main path, for real.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use zonesync::core::election::Role;
use zonesync::core::id::NodeId;
use zonesync::repository::directory::{Directory, DirectoryOptions};
use zonesync::repository::mapping::MappingOptions;
use zonesync::runtime::{Runtime, Smol};
use zonesync::store::memory::{MemoryOptions, MemoryStore};
use zonesync::{Options, Parts, ZoneSync};

fn node(name: &str, store: &MemoryStore, path: &Path) -> ZoneSync {
    let runtime: Arc<dyn Runtime> = Arc::new(Smol::new(2).unwrap());
    let mapping = MappingOptions::default();
    let filter = mapping.filter();
    let directory = Directory::open(DirectoryOptions::new(path, mapping), runtime.clone()).unwrap();
    let ttl = Duration::from_millis(600);
    let poll = Duration::from_millis(200);
    ZoneSync::start_with(Parts {
        zone: "orders".parse().unwrap(),
        node: name.parse::<NodeId>().unwrap(),
        runtime,
        store: Arc::new(store.clone()),
        repository: Some(Arc::new(directory)),
        options: Options { ttl, poll, filter, ..Options::default() },
    })
}

fn until(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what} did not happen");
        std::thread::sleep(Duration::from_millis(2));
    }
    eprintln!("{what}: {:?}", begun.elapsed());
}

#[test]
fn a_zone_elects_syncs_and_survives_its_primary() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo");
    let clock: Arc<dyn Runtime> = Arc::new(Smol::new(1).unwrap());
    let zone = "orders".parse().unwrap();
    let store = MemoryStore::new(zone, clock, MemoryOptions::default());
    let nodes: Vec<_> = ["a", "b", "c"].iter().map(|n| node(n, &store, &folder)).collect();
    let statuses = || nodes.iter().map(ZoneSync::status).collect::<Vec<_>>();
    for node in &nodes {
        if !node.wait_ready(Duration::from_secs(10)) {
            panic!("not ready: {:#?}", statuses());
        }
    }
    until("all equal", || {
        let all = statuses();
        all.iter().all(|s| s.in_sync && s.digest == all[0].digest)
    });
    let primary = statuses().iter().position(|s| s.role == Role::Primary).unwrap();
    let before = statuses()[primary].clone();
    assert!(!before.counts.is_empty());
    nodes[primary].kill();
    let others: Vec<_> = (0..3).filter(|n| *n != primary).collect();
    until("another primary", || others.iter().any(|n| nodes[*n].status().role == Role::Primary));
    until("the others are in sync", || {
        others.iter().all(|n| {
            let status = nodes[*n].status();
            status.in_sync && status.digest == before.digest && status.position > before.position
        })
    });
}
