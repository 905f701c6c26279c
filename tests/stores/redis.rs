//! The native layout on a real server under the suite of all stores, and what only it promises.
//!
//! `ZONESYNC_TEST_REDIS` names the server to use.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use zonesync::runtime::Smol;
use zonesync::store::redis::{Address, RedisOptions, RedisStore, Topology, Wait};
use zonesync::store::{HeadUpdate, Raise, ZoneStore};
use zonesync_core::digest::Digest;
use zonesync_core::entity::Kind;
use zonesync_core::format::{Filter, Source};
use zonesync_core::id::Epoch;
use zonesync_core::removal::{GuardData, Token};
use zonesync_core::time::WallTime;
use zonesync_test_servers::redis::{Answer, RedisServer};
use zonesync_tests::store_suite::{
    Harness, OldCopy, SMALL_BYTES, SPARE_BYTES, Writer, ask, report,
};

zonesync_tests::store_suite!(harness);

/// Short, since it passes for real; long beside what a busy machine takes from a case.
const TTL: Duration = Duration::from_millis(900);

fn store(server: &RedisServer, zone: &str) -> RedisStore {
    open(zone, options(server))
}

fn options(server: &RedisServer) -> RedisOptions {
    let address = Address { host: "127.0.0.1".into(), port: server.port() };
    let mut options = RedisOptions::new(Topology::Standalone(address));
    options.log_max = SPARE_BYTES as u64;
    options
}

fn open(zone: &str, options: RedisOptions) -> RedisStore {
    let runtime = Arc::new(Smol::new(1).expect("threads can be started"));
    RedisStore::new(zone.parse().expect("a zone's name"), options, runtime)
}

fn harness() -> Option<Harness> {
    let server = Arc::new(RedisServer::start(&[])?);
    let (cleared, kept, restored) = (Arc::clone(&server), Arc::clone(&server), Arc::clone(&server));
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

#[test]
fn too_few_replicas_are_shown_and_stop_nothing() {
    let Some(master) = RedisServer::start(&["--repl-diskless-sync-delay", "0"]) else { return };
    let mut options = options(&master);
    options.wait = Some(Wait { replicas: 1, timeout: Duration::from_millis(100) });
    let store: Arc<dyn ZoneStore> = Arc::new(open("waiting", options));
    let mut writer = Writer::elect(&store, Duration::from_secs(3600), 1);
    assert!(!store.is_unreplicated());
    writer.publish(20);
    assert!(store.is_unreplicated());
    let master = ["--replicaof", "127.0.0.1", &master.port().to_string()];
    let replica = RedisServer::start(&master).expect("it was there before");
    let connected = |info: &str| info.contains("master_link_status:up");
    while !connected(&replica.ask(&["INFO", "replication"]).text()) {
        std::thread::yield_now();
    }
    // On a busy machine a replica may need longer than it is waited for.
    let confirmed = (0..100).any(|_| {
        writer.publish(20);
        !store.is_unreplicated()
    });
    assert!(confirmed, "the replica confirms what it has");
}

/// Fixes what is stored, key by key, but for what a clock or a random number says.
#[test]
fn a_zone_is_stored_as_documented() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let store: Arc<dyn ZoneStore> = Arc::new(store(&server, "golden"));
    let mut writer = Writer::elect(&store, Duration::from_secs(3600), 1);
    let mut guard = GuardData::new();
    guard.hold(Kind::API, 3, Token(7));
    let mut source = Source::default();
    source.advance(Kind::LICENSE, WallTime::from_millis(123));
    writer.publish_with(
        20,
        HeadUpdate {
            incarnation: 0xabc,
            digest: Some(Digest::EMPTY),
            source: Some(source),
            filter: Some(Filter(9)),
            guard: Some(guard),
            ..HeadUpdate::default()
        },
    );
    writer.snapshot(&[b"one", b"two"]);
    writer.publish(30);
    ask(store.raise(Raise { seen: Epoch(1), position: Some(Writer::elsewhere(1, 3)) }));
    ask(store.look(Some(report(2, writer.at))));
    ask(store.begin_snapshot(ask(store.look(None)).term, writer.at));
    let shown = show(&server);
    let golden = include_str!("redis.golden");
    assert!(shown == golden, "what is stored has changed; it is now:\n{shown}");
}

/// Writes every key with its value, one part a line.
fn show(server: &RedisServer) -> String {
    let Answer::List(keys) = server.ask(&["KEYS", "*"]) else { panic!("a list of keys") };
    let mut keys: Vec<_> = keys.iter().map(Answer::text).collect();
    keys.sort();
    let mut shown = String::new();
    for key in keys {
        let kind = server.ask(&["TYPE", &key]).text();
        shown.push_str(&format!("{key} {kind}\n"));
        let value = match kind.as_str() {
            "string" => server.ask(&["GET", &key]),
            "hash" => server.ask(&["HGETALL", &key]),
            _ => server.ask(&["XRANGE", &key, "-", "+"]),
        };
        let mut lines = Vec::new();
        match (kind.as_str(), value) {
            ("hash", Answer::List(parts)) => {
                lines.extend(parts.chunks(2).map(|pair| {
                    let field = escaped(&pair[0]);
                    let value = match (key.rsplit_once(':').map(|(_, name)| name), &*field) {
                        (Some("lease"), "stamp") => "(a time)".to_owned(),
                        (Some("nodes"), instance) if instance != "ttl" => {
                            let value = escaped(&pair[1]);
                            let (_, rest) = value.split_once(' ').expect("a time and a report");
                            format!("(a time) {rest}")
                        }
                        _ => escaped(&pair[1]),
                    };
                    format!("  {field}: {value}\n")
                }));
                lines.sort();
            }
            ("stream", Answer::List(entries)) if !key.ends_with(":wake") => {
                for entry in entries {
                    let Answer::List(entry) = entry else { panic!("an entry") };
                    let Answer::List(fields) = &entry[1] else { panic!("fields") };
                    lines.push(format!("  {}\n", escaped(&entry[0])));
                    lines.extend(
                        fields.chunks(2).map(|pair| {
                            format!("    {}: {}\n", escaped(&pair[0]), escaped(&pair[1]))
                        }),
                    );
                }
            }
            ("stream", _) => lines.push("  (a time) moved: 1\n".to_owned()),
            (_, value) if key.ends_with(":term") => {
                let value = escaped(&value);
                let (epoch, _) = value.split_once('-').expect("a term");
                lines.push(format!("  {epoch}-(drawn)\n"));
            }
            (_, value) => lines.push(format!("  {}\n", escaped(&value))),
        }
        shown.extend(lines);
    }
    // The raise drew a term id, which the set begun after it bears.
    let term = server.ask(&["GET", "zonesync:{golden}:term"]).text();
    shown.replace(&term, "2-(drawn)")
}

fn escaped(value: &Answer) -> String {
    match value {
        Answer::Bytes(bytes) => bytes.escape_ascii().to_string(),
        other => other.text(),
    }
}
