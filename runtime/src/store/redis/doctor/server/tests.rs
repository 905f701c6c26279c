//! What is made of a server's words.

use zonesync_core::time::Duration;

use super::*;
use crate::store::redis::Wait;
use crate::store::redis::doctor::Level::{self, *};
use crate::tls::{Tls, TlsOptions};

fn address(host: &str) -> Address {
    Address { host: host.to_owned(), port: 6379 }
}

fn options() -> RedisOptions {
    RedisOptions::new(Topology::Standalone(address("localhost")))
}

fn sentinels() -> RedisOptions {
    let nodes = vec![address("s")];
    let master = "m".to_owned();
    RedisOptions::new(Topology::Sentinel { master, nodes, password: None })
}

fn facts(version: &str, role: &str) -> Facts {
    let pairs = [("server", "redis"), ("version", version), ("mode", "standalone"), ("role", role)];
    let text = |text: &str| Value::BulkString(text.into());
    Facts::read(Value::Map(pairs.map(|(name, value)| (text(name), text(value))).into()))
        .expect("an answer to HELLO")
}

fn levels(findings: &[Finding]) -> Vec<(&'static str, Level)> {
    findings.iter().map(|finding| (finding.what, finding.level)).collect()
}

#[test]
fn what_cannot_be_read_of_an_answer_is_passed_over() {
    let info = Info::read("# Memory\r\nused_memory:12\r\nstrange\r\nmaxmemory:-1\r\nmode:a:b\r\n");
    assert_eq!(info.number("used_memory"), Some(12));
    assert_eq!(info.number("maxmemory"), None);
    assert_eq!(info.text("mode"), Some("a:b"));
    let nothing = Info::read("");
    assert_eq!(eviction(&nothing).level, Note);
    assert_eq!(memory(&nothing).level, Note);
    assert_eq!(levels(&persistence(&nothing, None, None)), [("persistence", Note)]);
    assert_eq!(levels(&replicas(&nothing, None, &options())), [("replicas", Note)]);
}

#[test]
fn old_servers_and_replicas_are_bad() {
    let level = |text: &str| version(&facts(text, "master")).level;
    assert_eq!(["6.0.16", "6.2.0", "7.0.0", "8.1"].map(level), [Bad, Note, Good, Good]);
    assert_eq!(role(&facts("7.0.0", "master"), &options().topology).level, Good);
    let replica = facts("7.0.0", "replica");
    assert_eq!(role(&replica, &options().topology).level, Bad);
    let advice = role(&replica, &sentinels().topology).advice.unwrap();
    assert!(advice.contains("fail-over"), "{advice}");
}

#[test]
fn without_tls_it_matters_where_redis_is() {
    let level = |options: &RedisOptions, host| tls(options, &address(host)).level;
    assert_eq!(["localhost", "127.0.0.1", "::1"].map(|host| level(&options(), host)), [Good; 3]);
    assert_eq!(["redis.example", "10.0.0.1"].map(|host| level(&options(), host)), [Note; 2]);
    let with = |trust_all| {
        let asked = TlsOptions { trust_all, ..TlsOptions::default() };
        let (tls, _) = Tls::build(&asked).expect("nothing has to be read");
        RedisOptions { tls: Some(tls), ..options() }
    };
    assert_eq!(level(&with(true), "localhost"), Doubtful);
    let config = with(true).tls.expect("TLS").config().clone();
    let trusted = RedisOptions { tls: Some(Tls::from_config(config)), ..options() };
    assert_eq!(level(&trusted, "localhost"), Good);
}

#[test]
fn clocks_may_be_two_seconds_apart() {
    let at = WallTime::from_millis;
    let time = |seconds: &str, micros: &str| {
        Ok(Value::Array([seconds, micros].map(|part| Value::BulkString(part.into())).into()))
    };
    let told = |time, before, after| {
        let finding = clock(time, at(before), at(after));
        (finding.level, finding.told)
    };
    assert_eq!(told(time("100", "999999"), 100_000, 101_000).0, Good);
    assert_eq!(told(time("103", "0"), 100_000, 101_000).0, Good);
    let (level, text) = told(time("103", "500000"), 100_000, 101_000);
    assert_eq!((level, text.split(';').next()), (Note, Some("2.5 s ahead of this machine's")));
    let (level, text) = told(time("90", "0"), 100_000, 101_000);
    assert_eq!((level, text.split(';').next()), (Note, Some("10.0 s behind this machine's")));
    assert_eq!(told(time("x", "0"), 0, 0).0, Doubtful);
    assert_eq!(told(time("9223372036854775807", "0"), 0, 0).0, Doubtful);
    assert_eq!(told(time("9223372036854775", "0"), -1, i64::MAX).0, Good);
    assert_eq!(told(Ok(Value::Nil), 0, 0).0, Doubtful);
    assert_eq!(told(Err(StoreError::Denied("no".into())), 0, 0).0, Note);
    assert_eq!(told(Err(StoreError::Unavailable("no".into())), 0, 0).0, Doubtful);
}

#[test]
fn only_a_policy_that_spares_the_zone_will_do() {
    let level = |policy| {
        eviction(&Info::read(&format!("maxmemory:1\r\nmaxmemory_policy:{policy}\r\n"))).level
    };
    assert_eq!(level("noeviction"), Good);
    assert_eq!(["volatile-lru", "volatile-ttl"].map(level), [Note; 2]);
    assert_eq!(["allkeys-lru", "allkeys-lfu", "allkeys-random"].map(level), [Bad; 3]);
    assert_eq!(level("whatever"), Doubtful);
}

#[test]
fn a_server_that_is_nearly_full_is_doubtful() {
    let level = |used: u64, max: u64| {
        memory(&Info::read(&format!("used_memory:{used}\r\nmaxmemory:{max}\r\n"))).level
    };
    assert_eq!([level(89, 100), level(90, 100), level(100, 100)], [Good, Doubtful, Bad]);
    assert_eq!([level(1, 0), level(u64::MAX, u64::MAX), level(u64::MAX, 1)], [Note, Good, Bad]);
}

#[test]
fn what_a_restart_loses_is_told() {
    let level = |info: &str, save, fsync| {
        levels(&persistence(&Info::read(info), save, fsync))
            .into_iter()
            .map(|(_, level)| level)
            .max()
    };
    assert_eq!(level("aof_enabled:1", Some(""), Some("everysec")), Some(Good));
    assert_eq!(level("aof_enabled:1", None, Some("always")), Some(Good));
    assert_eq!(level("aof_enabled:1", Some(""), Some("no")), Some(Note));
    for save in [None, Some(""), Some("3600 1")] {
        assert_eq!(level("aof_enabled:0", save, None), Some(Note));
    }
    let failed = "aof_enabled:0\r\nrdb_last_bgsave_status:err";
    assert_eq!(level(failed, Some("3600 1"), None), Some(Bad));
    assert_eq!(level(failed, Some(""), None), Some(Doubtful));
    assert_eq!(level("aof_enabled:1\r\naof_last_write_status:err", None, None), Some(Bad));
}

#[test]
fn replicas_are_counted_and_wanted() {
    let two = "connected_slaves:2\r\nslave0:ip=a,port=1,state=online,offset=1,lag=0\r\n\
               slave1:ip=b,port=1,state=wait_bgsave,offset=0,lag=0\r\n";
    let both = two.replace("wait_bgsave", "online");
    let judged = |info: &str, min, options| levels(&replicas(&Info::read(info), min, &options));
    assert_eq!(judged("connected_slaves:0", Some(0), options()), [("replicas", Note)]);
    assert_eq!(judged("connected_slaves:0", None, sentinels()), [("replicas", Doubtful)]);
    assert_eq!(judged(two, None, options()), [("replicas", Doubtful)]);
    assert_eq!(judged(&both, Some(0), options()), [("replicas", Good), ("min-replicas", Note)]);
    assert_eq!(judged(&both, Some(2), options()), [("replicas", Good), ("min-replicas", Good)]);
    assert_eq!(judged(&both, Some(3), options()), [("replicas", Good), ("min-replicas", Bad)]);
    let late = both.clone() + "min_slaves_good_slaves:1\r\n";
    assert_eq!(judged(&late, Some(2), options())[1], ("min-replicas", Bad));
    let wait = |replicas| RedisOptions {
        wait: Some(Wait { replicas, timeout: Duration::from_millis(100) }),
        ..options()
    };
    assert_eq!(judged(&both, None, wait(2)), [("replicas", Good)]);
    assert_eq!(judged(&both, None, wait(3)), [("replicas", Good), ("wait", Doubtful)]);
    assert_eq!(judged("connected_slaves:18446744073709551615", None, options()).len(), 1);
}
