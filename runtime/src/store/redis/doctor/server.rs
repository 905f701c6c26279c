//! Judges what a server says of itself.

use std::collections::BTreeMap;
use std::net::IpAddr;

use redis::Value;
use zonesync_core::time::WallTime;

use super::{Finding, untold};
use crate::store::StoreError;
use crate::store::redis::connection::{Facts, OLDEST, text};
use crate::store::redis::options::{Address, RedisOptions, Topology};

/// How far apart two clocks may be without a word, in milliseconds.
const APART_MAX: i64 = 2000;

/// From this share of its memory on a server is nearly full.
const FULL_PERCENT: u64 = 90;

/// The answer to `INFO`.
#[derive(Debug)]
pub(super) struct Info<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Info<'a> {
    pub(super) fn read(text: &'a str) -> Self {
        Self(text.lines().filter_map(|line| line.trim_end().split_once(':')).collect())
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).copied()
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }
}

pub(super) fn tls(options: &RedisOptions, address: &Address) -> Finding {
    match &options.tls {
        Some(tls) if tls.trusts_all() => Finding::doubtful(
            "tls",
            "on, but any certificate is taken: whoever is on the way can read and change everything",
        )
        .advise(
            "set `distributed-sync.redis.trustAll: false` and name a \
             `distributed-sync.redis.truststore`",
        ),
        Some(_) => Finding::good("tls", "on, and the certificate is accepted"),
        None if is_here(&address.host) => Finding::good("tls", "off; Redis is on this machine"),
        None => Finding::note("tls", "off: passwords and API keys cross the network in clear")
            .advise("set `distributed-sync.redis.ssl: true`"),
    }
}

fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

pub(super) fn version(facts: &Facts) -> Finding {
    if facts.version < OLDEST {
        return Finding::bad("version", format!("{facts}, which is too old"))
            .advise(format!("use Redis {OLDEST} or newer, or Valkey"));
    }
    if facts.knows_script_flags() {
        return Finding::good("version", facts.to_string());
    }
    Finding::note("version", format!("{facts}: when it is full, no other node can take over"))
        .advise("from Redis 7 on one can")
}

pub(super) fn role(facts: &Facts, topology: &Topology) -> Finding {
    if !facts.replica {
        return Finding::good("role", format!("master, {}", facts.mode));
    }
    Finding::bad("role", "a replica, and the zone needs the master").advise(match topology {
        Topology::Standalone(_) => {
            "name the master under `distributed-sync.redis.host`, or the sentinels under \
             `distributed-sync.redis.sentinel.nodes`"
        }
        _ => "a fail-over may be under way: look again in a minute",
    })
}

pub(super) fn login(user: &Result<String, StoreError>, options: &RedisOptions) -> Finding {
    match (user, &options.password) {
        (Ok(user), Some(_)) => Finding::good("login", format!("as `{user}`, with a password")),
        (Ok(user), None) => {
            Finding::note("login", format!("as `{user}`, without a password: so can anybody"))
                .advise(
                    "give Redis users (`ACL SETUSER`), and set `distributed-sync.redis.username` \
                     and `.password`",
                )
        }
        (Err(error), _) => untold("login", "let in; as whom is not known: ", error),
    }
}

/// Compares the server's time with ours, which was read before and after it.
pub(super) fn clock(time: Result<Value, StoreError>, before: WallTime, after: WallTime) -> Finding {
    let time = match time {
        Ok(time) => read_time(time),
        Err(error) => return untold("clock", "Redis does not tell its time: ", &error),
    };
    let Some(theirs) = time else {
        return Finding::doubtful("clock", "Redis tells a time that makes no sense");
    };
    let (ahead, behind) = (theirs - after.as_millis(), before.as_millis() - theirs);
    if ahead.max(behind) <= APART_MAX {
        return Finding::good("clock", "as this machine's");
    }
    let (apart, word) = if ahead > 0 { (ahead, "ahead of") } else { (behind, "behind") };
    let seconds = apart as f64 / 1000.0;
    let told = format!("{seconds:.1} s {word} this machine's; it costs one election at most");
    Finding::note("clock", told).advise("have both keep time by NTP")
}

/// Reads seconds and microseconds as milliseconds.
fn read_time(answer: Value) -> Option<i64> {
    let Value::Array(parts) = answer else { return None };
    let mut parts = parts.into_iter().map(|part| text(part)?.parse::<i64>().ok());
    let (seconds, micros) = (parts.next()??, parts.next()??);
    seconds.checked_mul(1000)?.checked_add(micros / 1000)
}

pub(super) fn eviction(info: &Info<'_>) -> Finding {
    let what = "eviction";
    let Some(policy) = info.text("maxmemory_policy") else {
        return Finding::note(what, "Redis does not tell `maxmemory-policy`");
    };
    let set = "set `maxmemory-policy noeviction`, or give the zone a Redis of its own";
    match policy {
        "noeviction" => Finding::good(what, "none: when Redis is full, publishing waits"),
        policy if policy.starts_with("volatile-") => {
            let told = format!(
                "`{policy}`: of the zone's keys it can take the lease alone, which costs an election"
            );
            Finding::note(what, told)
        }
        policy if policy.starts_with("allkeys-") => {
            let when = match info.number("maxmemory") {
                Some(0) => "; `maxmemory` is not set yet",
                _ => "",
            };
            let told = format!("`{policy}` throws parts of the zone away once Redis is full{when}");
            Finding::bad(what, told).advise(set)
        }
        policy => Finding::doubtful(what, format!("`{policy}` is not known here")).advise(set),
    }
}

pub(super) fn memory(info: &Info<'_>) -> Finding {
    let what = "memory";
    let (Some(used), Some(max)) = (info.number("used_memory"), info.number("maxmemory")) else {
        return Finding::note(what, "Redis does not tell how much it uses");
    };
    if max == 0 {
        let told = format!("{} used, without a limit: the machine's is the only one", mib(used));
        return Finding::note(what, told)
            .advise("set `maxmemory`, so that a full Redis says so and is not killed");
    }
    let percent = used.saturating_mul(100) / max;
    let told = format!("{} of {} used, {percent} %", mib(used), mib(max));
    let advice = "raise `maxmemory`, or give the zone a Redis of its own";
    match percent {
        100.. => Finding::bad(what, told + ": nothing can be published").advise(advice),
        FULL_PERCENT.. => {
            Finding::doubtful(what, told + ": soon nothing can be published").advise(advice)
        }
        _ => Finding::good(what, told),
    }
}

/// Says what a restart loses. `save` and `fsync` are settings, where they are known.
pub(super) fn persistence(
    info: &Info<'_>,
    save: Option<&str>,
    fsync: Option<&str>,
) -> Vec<Finding> {
    let what = "persistence";
    let mut findings = Vec::new();
    let failed = |name| info.text(name).is_some_and(|status| status == "err");
    let look = "see the log of Redis: the disk may be full, or not be writable";
    if failed("aof_last_write_status") {
        let told = "the last write to the append-only file failed: Redis refuses writes";
        findings.push(Finding::bad(what, told).advise(look));
    }
    if failed("rdb_last_bgsave_status") {
        let told = "the last snapshot to disk failed: unless \
                    `stop-writes-on-bgsave-error` is off, Redis refuses writes";
        let finding = match save {
            Some(save) if !save.is_empty() => Finding::bad(what, told),
            _ => Finding::doubtful(what, told),
        };
        findings.push(finding.advise(look));
    }
    let heals = "the primary publishes it again from memory, and nodes serve on meanwhile";
    findings.push(match (info.number("aof_enabled"), save) {
        (Some(1), _) => match fsync {
            Some("no") => Finding::note(
                what,
                format!("append-only file; a crash of the machine may lose the last half minute; {heals}"),
            ),
            Some("always") => Finding::good(what, "append-only file: a restart loses nothing"),
            _ => Finding::good(
                what,
                format!("append-only file: a crash loses about a second; {heals}"),
            ),
        },
        (_, Some("")) => Finding::note(
            what,
            format!("none: a restart loses the whole zone; {heals}, if any node is left"),
        )
        .advise("set `appendonly yes`, so that the zone outlives a restart of everything"),
        (_, Some(_)) => Finding::note(
            what,
            format!("snapshots to disk: a restart loses what came since the last; {heals}"),
        )
        .advise("set `appendonly yes` to lose a second at most"),
        (Some(_), None) => {
            let told = "no append-only file: a restart loses what came since the last snapshot to \
                        disk, or the whole zone";
            Finding::note(what, format!("{told}; {heals}"))
        }
        (None, None) => Finding::note(what, "Redis does not tell whether it keeps anything"),
    });
    findings
}

/// Judges what a fail-over finds. `min` is `min-replicas-to-write`, where it is known.
pub(super) fn replicas(info: &Info<'_>, min: Option<u64>, options: &RedisOptions) -> Vec<Finding> {
    let what = "replicas";
    let Some(connected) = info.number("connected_slaves") else {
        return vec![Finding::note(what, "Redis does not tell its replicas")];
    };
    let is_online = |n: &u64| {
        let line = info.text(&format!("slave{n}")).unwrap_or_default();
        line.split(',').any(|part| part == "state=online")
    };
    // A number beyond what a server can have is no reason to count for long.
    let online = (0..connected.min(10_000)).filter(is_online).count() as u64;
    let mut findings = Vec::new();
    if connected == 0 {
        let told = "none: while this server is down, nodes serve on and nothing is published";
        findings.push(match options.topology {
            Topology::Standalone(_) => Finding::note(what, told),
            _ => Finding::doubtful(what, told)
                .advise("add one: without it there is nothing to fail over to"),
        });
    } else if online < connected {
        let told = format!("{online} of {connected} are in step");
        findings
            .push(Finding::doubtful(what, told).advise("look again when they have synchronised"));
    } else {
        findings.push(Finding::good(what, format!("{connected} in step")));
    }
    // Only told where the setting is on; counts those that are in time, too.
    let in_time = info.number("min_slaves_good_slaves");
    let what = "min-replicas";
    match min {
        Some(min) if min > 0 && in_time.unwrap_or(online) < min => findings.push(
            Finding::bad(
                what,
                format!("`min-replicas-to-write {min}` is not met: Redis refuses every write"),
            )
            .advise("bring replicas back, or lower it"),
        ),
        Some(min) if min > 0 => findings.push(Finding::good(
            what,
            format!("{min} to write: a master that is cut off stops writing"),
        )),
        Some(_) if connected > 0 => findings.push(
            Finding::note(
                what,
                "0 to write: a master that is cut off goes on, and what it then \
                                 takes is lost and published again",
            )
            .advise("set `min-replicas-to-write 1`"),
        ),
        _ => {}
    }
    if let Some(wait) = options.wait
        && online < u64::from(wait.replicas)
    {
        let told = format!(
            "`zonesync.redis.wait.replicas: {}` is not met: each batch waits {:?} in vain",
            wait.replicas, wait.timeout
        );
        findings.push(Finding::doubtful("wait", told).advise("add replicas, or lower it"));
    }
    findings
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests;
