//! The native layout on a real server under the suite of all stores, and what only it promises.
//!
//! `ZONESYNC_TEST_REDIS` names the server to use.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use zonesync::runtime::Smol;
use zonesync::store::ZoneStore;
use zonesync::store::redis::{Address, RedisOptions, RedisStore, Topology};
use zonesync_test_servers::redis::{Answer, RedisServer};
use zonesync_tests::store_suite::{Harness, OldCopy, SMALL_BYTES, SPARE_BYTES, ask};

zonesync_tests::store_suite!(harness);

/// Short, since it passes for real; long beside what a busy machine takes from a case.
const TTL: Duration = Duration::from_millis(900);

fn store(server: &RedisServer, zone: &str) -> RedisStore {
    let address = Address { host: "127.0.0.1".into(), port: server.port() };
    let mut options = RedisOptions::new(Topology::Standalone(address));
    options.log_max = SPARE_BYTES as u64;
    let runtime = Arc::new(Smol::new(1).expect("threads can be started"));
    RedisStore::new(zone.parse().expect("a zone's name"), options, runtime)
}

fn harness() -> Option<Harness> {
    let server = Arc::new(RedisServer::start(&[])?);
    let (cleared, kept, restored) =
        (Arc::clone(&server), Arc::clone(&server), Arc::clone(&server));
    let copy = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&copy);
    Some(Harness {
        store: Arc::new(store(&server, "one")),
        neighbour: Arc::new(store(&server, "two")),
        small: small(),
        ttl: TTL,
        clear: Some(Box::new(move || drop(cleared.ask(&["FLUSHALL"])))),
        old_copy: Some(OldCopy {
            keep: Box::new(move || *keep.lock().expect("no test panics here") = dump(&kept)),
            restore: Box::new(move || {
                restore(&restored, &copy.lock().expect("no test panics here"));
            }),
        }),
        pass: Box::new(std::thread::sleep),
    })
}

/// Makes a zone on a server of its own that is full once it holds about [`SMALL_BYTES`].
fn small() -> Option<Box<dyn Fn() -> Arc<dyn ZoneStore> + Send + Sync>> {
    let running = Mutex::new(Vec::new());
    Some(Box::new(move || {
        let server = RedisServer::start(&[]).expect("it was there before");
        let store = store(&server, "small");
        // So that its connections and scripts are counted before the limit is set.
        ask(store.look(None));
        ask(store.chunk(Default::default(), 0));
        let info = server.ask(&["INFO", "memory"]).text();
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        let used: usize = used.and_then(|used| used.parse().ok()).expect("it counts its memory");
        let limit = (used + SMALL_BYTES).to_string();
        server.ask(&["CONFIG", "SET", "maxmemory", &limit]);
        running.lock().expect("no test panics here").push(server);
        Arc::new(store)
    }))
}

/// A key with its remaining milliseconds and its value.
type Dumped = (String, String, Vec<u8>);

fn dump(server: &RedisServer) -> Vec<Dumped> {
    let Answer::List(keys) = server.ask(&["KEYS", "*"]) else { panic!("a list of keys") };
    let dump = |key: Answer| {
        let key = key.text();
        let ttl = server.ask(&["PTTL", &key]).text();
        let Answer::Bytes(value) = server.ask(&["DUMP", &key]) else { panic!("{key} is there") };
        (key, ttl, value)
    };
    keys.into_iter().map(dump).collect()
}

fn restore(server: &RedisServer, copy: &[Dumped]) {
    server.ask(&["FLUSHALL"]);
    let mut client = server.client();
    for (key, ttl, value) in copy {
        let ttl = if ttl == "-1" { "0" } else { ttl };
        let answer = client.ask(&[b"RESTORE", key.as_bytes(), ttl.as_bytes(), value]);
        assert_eq!(answer.expect("it answers").text(), "OK");
    }
}
