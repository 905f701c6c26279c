//! `zonesync doctor` for real: a Redis, a node, and what is printed with which exit code.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use zonesync_test_servers::redis::RedisServer;
use zonesync_test_servers::sentinel::wait_until;

/// Ended when it goes.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a command came to.
struct Done {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Done {
    fn findings(&self) -> Vec<Value> {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    fn level(&self, what: &str) -> String {
        let findings = self.findings();
        let found = findings.iter().find(|finding| finding["what"] == what);
        found.map_or_else(String::new, |found| found["level"].as_str().unwrap().to_owned())
    }
}

fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo")
}

/// A command about the zone `harbour` in the Redis at `port`.
fn command(name: &str, port: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zonesync"));
    command.arg(name).args(["--zone", "harbour", "--directory"]).arg(demo());
    command.args(["-D", "zonesync.store=redis", "-D", "distributed-sync.redis.host=127.0.0.1"]);
    command.args(["-D", &format!("distributed-sync.redis.port={port}")]);
    command
}

fn doctor(port: u16, more: &[&str]) -> Done {
    let output = command("doctor", port).args(more).output().expect("it runs");
    Done {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

#[test]
fn a_zone_with_a_node_is_well_until_its_redis_evicts() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let empty = doctor(redis.port(), &["--json"]);
    assert_eq!((empty.code, &*empty.level("zone")), (Some(0), "note"), "{}", empty.out);

    let folder = redis.folder().join("node.sock");
    let mut run = command("run", redis.port());
    run.args(["--node", "edge-1", "--socket"]).arg(folder);
    run.args(["-D", &format!("zonesync.image.path={}", redis.folder().join("image").display())]);
    let _node = Node(run.stderr(Stdio::null()).spawn().expect("it starts"));
    wait_until("the zone is complete, and its node agrees", || {
        let seen = doctor(redis.port(), &["--json"]);
        let good = ["zone", "leader", "nodes"].iter().all(|what| seen.level(what) == "good");
        good && seen.out.contains("1 of 1 live nodes are at the head and agree")
    });
    let well = doctor(redis.port(), &[]);
    assert_eq!((well.code, &*well.err), (Some(0), ""), "{}", well.out);
    assert!(well.out.contains("\ngood      leader        edge-1 with e1\n"), "{}", well.out);
    assert!(well.out.contains("-> set `appendonly yes`"), "{}", well.out);

    redis.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let ill = doctor(redis.port(), &[]);
    assert_eq!(ill.code, Some(1), "{}", ill.out);
    assert!(ill.err.contains("one finding is bad"), "{}", ill.err);
    assert!(ill.out.contains("\nbad       eviction      `allkeys-lru`"), "{}", ill.out);
    let ill = doctor(redis.port(), &["--json"]);
    let found = ill.findings().into_iter().find(|finding| finding["level"] == "bad").unwrap();
    assert_eq!(found["what"], "eviction");
    assert!(found["told"].is_string() && found["advice"].is_string(), "{found}");
}

#[test]
fn what_is_wrong_before_redis_is_reached_has_its_own_codes() {
    let port = zonesync_test_servers::free_port();
    let gone = doctor(port, &["--json", "-D", "distributed-sync.redis.password=hush-hush"]);
    assert_eq!((gone.code, &*gone.level("address")), (Some(3), "bad"), "{}", gone.out);
    assert!(gone.err.contains("Redis is not reached"), "{}", gone.err);
    assert!(!format!("{}{}", gone.out, gone.err).contains("hush-hush"));
    let wrong = doctor(port, &["-D", "zonesync.redis.timeout.command=never"]);
    assert_eq!((wrong.code, &*wrong.out), (Some(2), ""));
    assert!(wrong.err.contains("zonesync.redis.timeout.command"), "{}", wrong.err);
    let memory = doctor(port, &["-D", "zonesync.store=memory"]);
    assert_eq!((memory.code, &*memory.out), (Some(2), ""));
    assert!(memory.err.contains("names no Redis"), "{}", memory.err);
}
