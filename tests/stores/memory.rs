//! The store in memory under the suite of all stores, and what only it promises.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use zonesync::store::ZoneStore;
use zonesync::store::memory::{MemoryOptions, MemoryStore};
use zonesync_core::id::ZoneName;
use zonesync_tests::clock::HandClock;
use zonesync_tests::store_suite::{Harness, OldCopy, SMALL_BYTES, SPARE_BYTES, Writer, ask};

zonesync_tests::store_suite!(harness);

const TTL: Duration = Duration::from_secs(3);

fn name(text: &str) -> ZoneName {
    text.parse().expect("a zone's name")
}

fn harness() -> Option<Harness> {
    let clock = HandClock::default();
    let make = {
        let clock = clock.clone();
        move |zone, max_bytes| {
            let options = MemoryOptions { max_bytes, spare_bytes: SPARE_BYTES, seed: Some(1) };
            MemoryStore::new(name(zone), Arc::new(clock.clone()), options)
        }
    };
    let store = make("one", 64 << 20);
    let (cleared, kept, restored) = (store.clone(), store.clone(), store.clone());
    let copy = Arc::new(Mutex::new(store.copy_zone()));
    let keep = Arc::clone(&copy);
    Some(Harness {
        store: Arc::new(store),
        neighbour: Arc::new(make("two", 64 << 20)),
        small: Some(Box::new(move || Arc::new(make("small", SMALL_BYTES)))),
        ttl: TTL,
        clear: Some(Box::new(move || cleared.clear())),
        old_copy: Some(OldCopy {
            keep: Box::new(move || *keep.lock().expect("no test panics here") = kept.copy_zone()),
            restore: Box::new(move || {
                restored.restore_zone(&copy.lock().expect("no test panics here"));
            }),
        }),
        pass: Box::new(move |time| clock.pass(time)),
    })
}

#[test]
fn a_shared_zone_is_found_by_name_and_goes_with_its_last_handle() {
    let open = |zone: &str| {
        let clock = Arc::new(HandClock::default());
        MemoryStore::shared(&name(zone), clock, MemoryOptions::default())
    };
    let (one, same, other) = (open("shared-a"), open("shared-a"), open("shared-b"));
    let writer = Writer::elect(&(Arc::new(one.clone()) as Arc<dyn ZoneStore>), TTL, 1);
    assert_eq!(ask(same.look(None)).term, writer.term);
    assert_eq!(ask(other.look(None)).term.epoch.0, 0);
    drop((one, writer));
    assert_ne!(ask(open("shared-a").look(None)).term.epoch.0, 0, "one handle is left");
    drop(same);
    assert_eq!(ask(open("shared-a").look(None)).term.epoch.0, 0);
}

#[test]
fn a_raise_draws_the_same_ids_from_the_same_seed() {
    let raised = |seed| {
        let options = MemoryOptions { seed, ..MemoryOptions::default() };
        let store = MemoryStore::new(name("one"), Arc::new(HandClock::default()), options);
        let seen = zonesync_core::id::Epoch(3);
        ask(store.raise(zonesync::store::Raise { seen, position: None }));
        ask(store.look(None)).term
    };
    assert_eq!(raised(Some(7)), raised(Some(7)));
    assert_ne!(raised(Some(7)), raised(Some(8)));
    assert_ne!(raised(None), raised(None));
}
