//! A master, replicas, and sentinels that watch them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::redis::{Answer, RedisServer};

/// What the sentinels call the master.
pub const MASTER: &str = "zone-master";

/// How long a change of master may take. A sentinel whose timer comes late, as on a busy machine, does
/// nothing for 30 seconds, and again.
const CHANGE_MAX: Duration = Duration::from_secs(180);

/// A master and its replicas under the watch of sentinels.
#[derive(Debug)]
pub struct Watched {
    /// The servers; the first was the first master.
    pub servers: Vec<RedisServer>,
    /// The sentinels.
    pub sentinels: Vec<RedisServer>,
    password: Option<String>,
}

impl Watched {
    /// Starts a master with one replica, and `sentinels` sentinels of which most have to agree.
    /// `args` go to the servers. With a password, they want it; with another, so do the sentinels.
    pub fn start(
        sentinels: usize,
        args: &[&str],
        password: Option<&str>,
        of_sentinels: Option<&str>,
    ) -> Option<Self> {
        let mut own: Vec<&str> = args.to_vec();
        if let Some(password) = password {
            own.extend(["--requirepass", password, "--masterauth", password]);
        }
        // No pause before a full sync, and a replica that says at once where it stands.
        own.extend(["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"]);
        let servers = vec![RedisServer::start(&own)?, RedisServer::start(&own)?];
        let mut watched =
            Self { servers, sentinels: vec![], password: password.map(str::to_owned) };
        let port = watched.servers[0].port().to_string();
        watched.ask(1, &["REPLICAOF", "127.0.0.1", &port]);
        watched.wait_until("the replica follows", |w| {
            let info = w.ask(1, &["INFO", "replication"]).text();
            info.contains("master_link_status:up")
        });
        let quorum = (sentinels / 2 + 1).to_string();
        let mut lines = vec![
            format!("sentinel monitor {MASTER} 127.0.0.1 {port} {quorum}"),
            format!("sentinel down-after-milliseconds {MASTER} 600"),
            format!("sentinel failover-timeout {MASTER} 3000"),
        ];
        lines.extend(password.map(|password| format!("sentinel auth-pass {MASTER} {password}")));
        lines.extend(of_sentinels.map(|password| format!("requirepass {password}")));
        lines.extend(of_sentinels.map(|password| format!("sentinel sentinel-pass {password}")));
        for _ in 0..sentinels {
            watched.sentinels.push(start_sentinel(&lines)?);
        }
        let others = format!("slaves=1,sentinels={sentinels}");
        watched.wait_until("the sentinels know each other", |w| {
            w.sentinels.iter().all(|sentinel| {
                let info = ask(sentinel, of_sentinels, &["INFO", "sentinel"]).text();
                info.contains("status=ok") && info.contains(&others)
            })
        });
        Some(watched)
    }

    /// Asks one of the servers.
    pub fn ask(&self, server: usize, command: &[&str]) -> Answer {
        ask(&self.servers[server], self.password.as_deref(), command)
    }

    /// Gives the number of the server that says it is the master, if it lives and all agree.
    pub fn is_master(&self, server: usize) -> bool {
        self.ask(server, &["INFO", "replication"]).text().contains("role:master")
    }

    /// Waits until `holds`. Panics, naming `what`, if that takes too long.
    pub fn wait_until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        wait_until(what, || holds(self));
    }
}

/// Waits until `holds`, which it looks at every few milliseconds. Panics, naming `what`, after three minutes.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + CHANGE_MAX;
    while !holds() {
        assert!(Instant::now() < until, "not in {CHANGE_MAX:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn ask(server: &RedisServer, password: Option<&str>, command: &[&str]) -> Answer {
    let mut client = server.client();
    if let Some(password) = password {
        client.ask(&["AUTH", password]).expect("the server answers");
    }
    client.ask(command).expect("the server answers")
}

/// Starts one sentinel. `ZONESYNC_TEST_SENTINEL` names the program, else it is `redis-sentinel` of the
/// system; `redis-server` will do, too, under that name.
fn start_sentinel(lines: &[String]) -> Option<RedisServer> {
    let binary = std::env::var_os("ZONESYNC_TEST_SENTINEL")
        .map_or_else(|| PathBuf::from("redis-sentinel"), PathBuf::from);
    RedisServer::start_configured(Path::new(&binary), &lines.join("\n"))
}
