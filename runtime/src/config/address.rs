//! Where Redis is: one server, sentinels, or nodes of a cluster.

use std::net::Ipv6Addr;

use super::problem::Origin;
use super::reader::{Reader, problem};
use crate::store::redis::Address;

const HOST: &str = "distributed-sync.redis.host";
const PORT: &str = "distributed-sync.redis.port";
const SENTINELS: &str = "distributed-sync.redis.sentinel.nodes";
const CLUSTER: &str = "distributed-sync.redis.cluster.nodes";

/// The most nodes of a list.
const NODES_MAX: usize = 1_000;
/// The longest name of a host.
const HOST_MAX: usize = 253;

/// What kind of Redis was described.
pub(super) enum Nodes {
    Standalone(Address),
    Sentinel(Vec<Address>),
    Cluster(Vec<Address>),
}

/// Reads hosts and ports. Sentinels or cluster nodes win over a single host.
pub(super) fn nodes(reader: &mut Reader<'_>) -> Nodes {
    let before = reader.problems.len();
    let sentinels = list(reader, SENTINELS);
    let told = reader.problems.len() > before;
    let cluster = list(reader, CLUSTER);
    if !sentinels.is_empty() && !cluster.is_empty() {
        let message = "sentinels are set as well: Redis is behind one or the other";
        let value = reader.properties.raw(&format!("{CLUSTER}[0].host"));
        reader.problem(&format!("{CLUSTER}[0].host"), value.as_ref(), message);
    }
    if sentinels.is_empty() && cluster.is_empty() {
        return Nodes::Standalone(standalone(reader, told));
    }
    reader.skip(HOST);
    reader.skip(PORT);
    if sentinels.is_empty() { Nodes::Cluster(cluster) } else { Nodes::Sentinel(sentinels) }
}

fn standalone(reader: &mut Reader<'_>, told: bool) -> Address {
    let found = reader.text_or_blank(HOST);
    let port = reader.count(PORT, 1, i64::from(u16::MAX)) as u16;
    let master = "distributed-sync.redis.sentinel.master";
    if !told && reader.is_set(master) && !switched_off(reader, SENTINELS) {
        let value = reader.properties.raw(master);
        let message = "no sentinel is named: distributed-sync.redis.sentinel.nodes is a list of \
                       host and port";
        reader.problem(master, value.as_ref(), message);
    }
    let host = match found {
        Some(value) if value.text.trim().is_empty() => {
            let message = "no host: localhost is taken, where a stock gateway does not start";
            reader.warning(HOST, Some(&value), message);
            "localhost".to_owned()
        }
        Some(value) => host(&value.text).unwrap_or_else(|message| {
            reader.problem(HOST, Some(&value), message);
            String::new()
        }),
        None => "localhost".to_owned(),
    };
    Address { host, port }
}

/// Reads a list of nodes. As on a stock gateway it ends at the first without a host, and a blank
/// host from outside the files ends it on purpose.
fn list(reader: &mut Reader<'_>, base: &str) -> Vec<Address> {
    let mut nodes = Vec::new();
    for i in 0..NODES_MAX {
        let (host_key, port_key) = (format!("{base}[{i}].host"), format!("{base}[{i}].port"));
        let Some(value) = reader.text(&host_key) else {
            reader.explain.pop();
            break;
        };
        let port = match reader.is_set(&port_key) {
            true => reader.count(&port_key, 1, i64::from(u16::MAX)) as u16,
            false => {
                let at = reader.properties.raw(&port_key).unwrap_or_else(|| value.clone());
                let message = "each node of the list needs its port";
                reader.problem(&port_key, Some(&at), message);
                0
            }
        };
        let host = host(&value.text).unwrap_or_else(|message| {
            reader.problem(&host_key, Some(&value), message);
            String::new()
        });
        nodes.push(Address { host, port });
    }
    after(reader, base, nodes.len());
    nodes
}

/// Tells whether something outside the files ends a list before it begins.
fn switched_off(reader: &Reader<'_>, base: &str) -> bool {
    let first = reader.properties.raw(&format!("{base}[0].host"));
    first.is_some_and(|value| {
        value.text.trim().is_empty() && !matches!(value.origin, Origin::File { .. })
    })
}

/// Finds what stands behind the end of a list, or in the place of one, and has no effect.
fn after(reader: &mut Reader<'_>, base: &str, len: usize) {
    if len == 0 && switched_off(reader, base) {
        let message = "this ends the list before it begins: Redis is one server";
        let key = format!("{base}[0].host");
        let value = reader.properties.raw(&key);
        reader.warning(&key, value.as_ref(), message);
        return;
    }
    if let Some(value) = reader.properties.raw(base).filter(|v| !v.text.trim().is_empty()) {
        let message = "must be a list of entries with host and port";
        reader.problem(base, Some(&value), message);
        return;
    }
    let stray = reader.properties.in_files().map(|(name, _)| name).find(|name| {
        let short = name.strip_prefix("repositories.").unwrap_or(name);
        let index = short.strip_prefix(base).and_then(|rest| rest.strip_prefix('['));
        let index = index.and_then(|rest| rest.split_once(']')).map(|(index, _)| index.parse());
        index.is_some_and(|index: Result<usize, _>| index.is_ok_and(|index| index >= len))
    });
    let Some(name) = stray.map(str::to_owned) else { return };
    let value = reader.properties.raw(&name);
    if len == 0 {
        let message = "the first entry of this list has no host, so there is no list";
        reader.problem(&name, value.as_ref(), message);
    } else {
        let message = format!("the list ends at entry {len}, which has no host");
        let doubt = problem(&name, value.as_ref(), message);
        reader.doubt(doubt);
    }
}

/// Checks a host, and takes the brackets off an IPv6 address.
fn host(text: &str) -> Result<String, &'static str> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if bare.parse::<Ipv6Addr>().is_ok() {
        return Ok(bare.to_owned());
    }
    if text.contains("://") {
        return Err("must be a host alone, without a scheme");
    }
    if text.contains(':') {
        return Err("must be a host alone: the port has a key of its own");
    }
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')) {
        return Err("must be a host: letters, digits, `.`, `-`, `_`, or an IPv6 address");
    }
    let trimmed = text.strip_suffix('.').unwrap_or(text);
    let part = |part: &str| !part.is_empty() && !part.starts_with('-') && !part.ends_with('-');
    if text.len() > HOST_MAX || !trimmed.split('.').all(part) {
        return Err("is no name of a host");
    }
    let last = trimmed.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|b| b.is_ascii_digit()) && text.parse::<std::net::Ipv4Addr>().is_err() {
        return Err("is no complete IPv4 address");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses() {
        for good in ["h", "my_redis", "Redis.Example.COM", "127.0.0.1", "::1", "a.b.", "1a", "x-1"]
        {
            assert_eq!(host(good).as_deref(), Ok(good));
        }
        assert_eq!(host("[::1]").as_deref(), Ok("::1"));
        let bad =
            ["h ", " h", "-x", "127.1", "h:1", "rédis", "a..b", "[h]", "redis://h", "1", "a\n"];
        for bad in bad {
            assert!(host(bad).is_err(), "{bad:?}");
        }
        assert!(host(&"a".repeat(254)).is_err());
    }
}
