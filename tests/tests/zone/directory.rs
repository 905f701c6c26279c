//! A zone of three nodes on the embedded store over a directory: the main path, for real.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use zonesync::core::election::Role;
use zonesync::core::id::NodeId;
use zonesync::repository::directory::{Directory, DirectoryOptions};
use zonesync::repository::mapping::MappingOptions;
use zonesync::runtime::{Runtime, Smol};
use zonesync::store::memory::{MemoryOptions, MemoryStore};
use zonesync::{Options, Parts, ZoneSync};
use zonesync_tests::Folder;

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
        image: None,
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

/// Copies the files of `from`, and gives every one the date `at`.
fn copy(from: &Path, to: &Path, at: SystemTime) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target, at);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
            File::options().write(true).open(&target).unwrap().set_modified(at).unwrap();
        }
    }
}

#[test]
fn a_new_primary_that_maps_for_the_first_time_publishes_nothing() {
    let folder = Folder::new("cold");
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo");
    let then = SystemTime::now() - Duration::from_secs(86_400);
    copy(&demo, folder.path(), then);
    // A definition without a date takes the date of its file.
    let plain = r#"{"id":"plain","name":"p","gravitee":"2.0.0","proxy":{"context_path":"/p"}}"#;
    folder.write("apis/plain.json", plain);
    let subscriptions = std::fs::read_to_string(demo.join("subscriptions.json")).unwrap();
    let mut rows: Vec<serde_json::Value> = serde_json::from_str(&subscriptions).unwrap();
    let all = serde_json::to_string(&rows).unwrap();
    rows.remove(0);
    folder.write("subscriptions.json", serde_json::to_string(&rows).unwrap());

    let clock: Arc<dyn Runtime> = Arc::new(Smol::new(1).unwrap());
    let store = MemoryStore::new("orders".parse().unwrap(), clock, MemoryOptions::default());
    let first = node("a", &store, folder.path());
    assert!(first.wait_ready(Duration::from_secs(20)));
    let count = first.state().view().digest().count();
    // It comes alone, and so asks for no forced dispatch; the file of the API gets another date.
    folder.write("subscriptions.json", all);
    until("one more subscription", || first.state().view().digest().count() > count);
    let plain = folder.path().join("apis/plain.json");
    File::options().write(true).open(&plain).unwrap().set_modified(then).unwrap();
    let reads = first.status().counters.reads;
    until("another read", || first.status().counters.reads > reads);
    assert_eq!(first.status().counters.published, 1, "the date alone is no change");

    let second = node("b", &store, folder.path());
    until("in sync", || second.status().in_sync);
    first.kill();
    let held = second.state().view();
    until("a read by the successor", || {
        let status = second.status();
        status.role == Role::Primary && status.in_sync && status.counters.reads > 0
    });
    let now = second.state().view();
    assert_eq!(second.status().counters.published, 0);
    assert!(held.sorted().eq(now.sorted()), "every byte is the same");
    let written = |view: &zonesync::state::View, end: &str| {
        let ends = |payload: &[u8]| payload.ends_with(end.as_bytes());
        view.sorted().filter(|(_, payload)| ends(payload)).count()
    };
    assert!(written(&now, "\"forceDispatch\":false}") > 0, "the test has something to show");
}
