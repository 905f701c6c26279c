//! Against real servers.

use zonesync_core::time::Duration;
use zonesync_test_servers::redis::RedisServer;
use zonesync_test_servers::sentinel::{MASTER, Watched, wait_until};

use super::*;
use crate::runtime::Smol;
use crate::secret::Secret;

const PASSWORD: &str = "hush-hush";

fn address(port: u16) -> Address {
    Address { host: "127.0.0.1".to_owned(), port }
}

fn options(port: u16) -> RedisOptions {
    let mut options = RedisOptions::new(Topology::Standalone(address(port)));
    options.connect_timeout = Duration::from_secs(10);
    options.command_timeout = Duration::from_secs(10);
    options
}

fn of_user(name: &str, port: u16) -> RedisOptions {
    RedisOptions {
        username: Some(name.to_owned()),
        password: Some(Secret::new(PASSWORD)),
        ..options(port)
    }
}

fn examined(options: &RedisOptions, candidate: bool) -> Examined {
    let runtime = Arc::new(Smol::new(1).expect("threads can be had"));
    let zone = "harbour".parse().expect("a name");
    let examined = futures_lite::future::block_on(examine(&zone, options, candidate, runtime));
    let shown = serde_json::to_string(&examined.findings).expect("JSON");
    assert!(!shown.contains(PASSWORD), "{shown}");
    examined
}

/// Gives the findings about `what`, of which there is at least one.
fn about<'a>(examined: &'a Examined, what: &str) -> Vec<(Level, &'a str)> {
    let of = examined.findings.iter().filter(|finding| finding.what == what);
    let of: Vec<_> = of.map(|finding| (finding.level, &*finding.told)).collect();
    assert!(!of.is_empty(), "{what}: {examined:#?}");
    of
}

fn level(examined: &Examined, what: &str) -> Level {
    about(examined, what)[0].0
}

#[test]
fn a_fresh_server_has_nothing_bad_and_stays_untouched() {
    let Some(redis) = RedisServer::start(&["--maxmemory", "100mb", "--appendonly", "yes"]) else {
        return;
    };
    let examined = examined(&options(redis.port()), true);
    assert!(examined.reached && examined.bad() == 0, "{examined:#?}");
    for what in ["address", "tls", "role", "clock", "eviction", "memory", "persistence"] {
        assert_eq!(level(&examined, what), Level::Good, "{what}: {examined:#?}");
    }
    for what in ["login", "replicas", "zone", "leader", "nodes"] {
        assert_eq!(level(&examined, what), Level::Note, "{what}: {examined:#?}");
    }
    let old = about(&examined, "version")[0].1.contains("redis 6.2");
    assert_eq!(level(&examined, "rights") == Level::Good, !old, "{examined:#?}");
    assert_eq!(redis.ask(&["DBSIZE"]).text(), "0");
}

#[test]
fn a_server_that_evicts_or_is_full_is_bad() {
    let args = ["--maxmemory-policy", "allkeys-lru", "--maxmemory", "1kb"];
    let Some(redis) = RedisServer::start(&args) else { return };
    let examined = examined(&options(redis.port()), true);
    assert_eq!(level(&examined, "eviction"), Level::Bad);
    assert_eq!(level(&examined, "memory"), Level::Bad);
    assert!(examined.bad() >= 2, "{examined:#?}");
}

#[test]
fn a_user_is_held_to_what_he_needs() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let user = |name: &str, rules: &[&str]| {
        let rules = [&["ACL", "SETUSER", name, "on", ">hush-hush"], rules].concat();
        redis.ask(&rules);
        of_user(name, redis.port())
    };
    let zone = "~zonesync:{harbour}:*";
    // A stranger to the zone, and one who may ask nothing about himself.
    let stranger = examined(&user("stranger", &["~other*", "+@all", "-config"]), true);
    assert_eq!(about(&stranger, "login"), [(Level::Good, "as `stranger`, with a password")]);
    assert_eq!(level(&stranger, "zone"), Level::Bad);
    assert_eq!(level(&stranger, "config"), Level::Note);
    assert_eq!(level(&stranger, "eviction"), Level::Good);
    let silent = examined(&user("silent", &[zone, "+@all", "-acl", "-info", "-time"]), true);
    for what in ["login", "rights", "clock", "info"] {
        assert_eq!(level(&silent, what), Level::Note, "{silent:#?}");
    }
    assert!(!silent.findings.iter().any(|found| found.what == "eviction"));
    if about(&stranger, "version")[0].1.contains("redis 6.2") {
        assert_eq!(level(&stranger, "rights"), Level::Note);
        return;
    }
    assert_eq!(level(&stranger, "rights"), Level::Bad);
    // A follower's rights are not a candidate's.
    let read = [zone, "+@read", "+eval", "+evalsha", "+time", "+acl|whoami", "+acl|dryrun"];
    let reader = user("reader", &read);
    assert_eq!(level(&examined(&reader, false), "rights"), Level::Good);
    let candidate = examined(&reader, true);
    let told = about(&candidate, "rights")[0];
    let words = "`reader` may not do what a candidate does: HSET lease, DEL lease";
    assert!(told.0 == Level::Bad && told.1.starts_with(words), "{told:?}");
    // What is advised is enough.
    let advice = candidate.findings.iter().find(|found| found.what == "rights").unwrap();
    let rule = advice.advice.as_deref().unwrap().strip_prefix("to allow it: ").unwrap();
    redis.ask(&rule.split(' ').collect::<Vec<_>>());
    assert_eq!(level(&examined(&reader, true), "rights"), Level::Good);
}

#[test]
fn a_replica_is_told_from_its_master() {
    let Some(master) = RedisServer::start(&["--repl-diskless-sync-delay", "0"]) else { return };
    let Some(replica) = RedisServer::start(&[]) else { return };
    replica.ask(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
    wait_until("the replica follows", || {
        master.ask(&["INFO", "replication"]).text().contains("state=online")
    });
    let seen = examined(&options(replica.port()), true);
    assert!(seen.reached);
    assert_eq!(level(&seen, "role"), Level::Bad);
    assert!(!seen.findings.iter().any(|found| found.what == "zone"), "{seen:#?}");
    let seen = examined(&options(master.port()), true);
    assert_eq!(about(&seen, "replicas"), [(Level::Good, "1 in step")]);
    assert_eq!(level(&seen, "min-replicas"), Level::Note);
    master.ask(&["CONFIG", "SET", "min-replicas-to-write", "2"]);
    assert_eq!(level(&examined(&options(master.port()), true), "min-replicas"), Level::Bad);
}

#[test]
fn sentinels_are_named() {
    let Some(watched) = Watched::start(1, &[], Some(PASSWORD), None) else { return };
    let nodes = vec![address(watched.sentinels[0].port())];
    let topology = Topology::Sentinel { master: MASTER.to_owned(), nodes, password: None };
    let password = Some(Secret::new(PASSWORD));
    let options = RedisOptions { password, topology, ..options(0) };
    let seen = examined(&options, true);
    let (server, sentinel) = (watched.servers[0].port(), watched.sentinels[0].port());
    let told = format!("127.0.0.1:{server}, `{MASTER}` of the sentinels 127.0.0.1:{sentinel}");
    assert_eq!(about(&seen, "address"), [(Level::Good, &*told)]);
    assert_eq!(about(&seen, "login"), [(Level::Good, "as `default`, with a password")]);
    assert_eq!(seen.bad(), 0, "{seen:#?}");
}

#[test]
fn whoever_is_not_let_in_hears_why() {
    let gone = examined(&options(zonesync_test_servers::free_port()), true);
    assert!(!gone.reached && gone.bad() == 1, "{gone:#?}");
    let [finding] = &gone.findings[..] else { panic!("{gone:#?}") };
    assert!(finding.told.contains("cannot be reached"), "{finding:?}");
    assert!(finding.advice.as_ref().is_some_and(|advice| advice.contains("firewall")));
    let Some(redis) = RedisServer::start(&["--requirepass", "another"]) else { return };
    let wrong = examined(&of_user("default", redis.port()), true);
    assert!(!wrong.reached);
    assert!(wrong.findings[0].told.contains("does not accept the user or the password"));
    let none = examined(&options(redis.port()), true);
    assert!(!none.reached);
    assert!(none.findings[0].told.contains("wants a password"));
}

#[test]
fn a_zone_that_cannot_be_read_is_bad() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    redis.ask(&["SET", "zonesync:{harbour}:term", "garbage"]);
    let seen = examined(&options(redis.port()), true);
    assert_eq!(level(&seen, "zone"), Level::Bad, "{seen:#?}");
    assert_eq!(seen.bad(), 1, "{seen:#?}");
}
