//! Asking a cluster who owns a slot.

use redis::Value;
use tracing::debug;

use super::Common;
use super::dial::unavailable;
use super::hello::text;
use super::refusal::Refusal;
use super::route::{ask, share};
use crate::store::StoreError;
use crate::store::redis::options::Address;

/// How many slots a cluster has.
const SLOTS: u16 = 16384;

/// Gives the slot of a key: of what stands between its first braces, if anything does.
pub(super) fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let length = rest.iter().position(|byte| *byte == b'}')?;
        (length > 0).then(|| &rest[..length])
    });
    // CRC-16/XMODEM.
    let crc = tag.unwrap_or(key).iter().fold(0u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    });
    crc % SLOTS
}

/// Asks nodes, one after another, for the owner of `slot`.
pub(super) async fn find(
    common: &Common,
    nodes: Vec<Address>,
    slot: u16,
) -> Result<Address, StoreError> {
    let limit = share(common, nodes.len());
    let mut failed = None;
    for node in &nodes {
        match ask(common, node, &[common.login()], limit, &["CLUSTER", "SLOTS"], |_| Ok(())).await {
            Ok((answer, _)) => {
                let (owner, others) = read(answer, slot, node);
                common.route.learn(others);
                match owner {
                    Some(owner) => {
                        debug!(%node, slot, %owner, "node named the owner of the zone's slot");
                        common.route.was_right(node);
                        return Ok(owner);
                    }
                    None => {
                        failed = Some(unavailable(format!(
                            "no node of the cluster has the zone's slot {slot}, says {node}"
                        )));
                    }
                }
            }
            // Whoever may not ask goes anywhere, and is sent on from there.
            Err(Refusal::Tell { error: StoreError::Denied(_), leave: false }) => {
                return Ok(node.clone());
            }
            Err(refusal) => {
                let error = refusal.into_error();
                debug!(%node, %error, "node gave no answer");
                if !matches!(failed, Some(StoreError::Denied(_))) {
                    failed = Some(error);
                }
            }
        }
    }
    Err(failed.unwrap_or_else(|| StoreError::Denied("no node of the cluster is named".to_owned())))
}

/// Reads the answer to `CLUSTER SLOTS`: the owner of `slot`, and all nodes.
fn read(answer: Value, slot: u16, from: &Address) -> (Option<Address>, Vec<Address>) {
    let (mut owner, mut all) = (None, Vec::new());
    let Value::Array(ranges) = answer else { return (owner, all) };
    for range in ranges {
        let Value::Array(parts) = range else { continue };
        let [Value::Int(begin), Value::Int(end), nodes @ ..] = &parts[..] else { continue };
        let mut nodes = nodes.iter().map(|node| place(node, from));
        let master = nodes.next().flatten();
        if (*begin..=*end).contains(&i64::from(slot)) {
            owner = owner.or_else(|| master.clone());
        }
        for node in master.into_iter().chain(nodes.flatten()) {
            if !all.contains(&node) {
                all.push(node);
            }
        }
    }
    (owner, all)
}

/// Reads a host and a port. A node may not know its own host: then it is where we asked.
fn place(node: &Value, from: &Address) -> Option<Address> {
    let Value::Array(parts) = node else { return None };
    let [host, Value::Int(port), ..] = &parts[..] else { return None };
    let host = text(host.clone()).filter(|host| !host.is_empty() && host != "?");
    let host = host.unwrap_or_else(|| from.host.clone());
    Some(Address { host, port: u16::try_from(*port).ok().filter(|port| *port > 0)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis() {
        // What `CLUSTER KEYSLOT` says.
        for (key, expected) in [
            ("foo", 12182),
            ("", 0),
            ("123456789", 12739),
            ("zonesync:{foo}:head", 12182),
            ("{}foo", 9500),
            ("foo{bar", 15278),
            ("foo{{bar}}zap", 4015),
            ("foo{bar}{zap}", 5061),
        ] {
            assert_eq!(slot(key.as_bytes()), expected, "{key}");
        }
    }

    #[test]
    fn a_map_of_a_cluster_is_read() {
        let host = |host: &str| Value::BulkString(host.into());
        let node = |name: &str, port| Value::Array(vec![host(name), Value::Int(port), host("id")]);
        let range = |begin, end, nodes: Vec<Value>| {
            Value::Array([vec![Value::Int(begin), Value::Int(end)], nodes].concat())
        };
        let from = Address { host: "seed".to_owned(), port: 1 };
        let answer = Value::Array(vec![
            range(0, 99, vec![node("a", 7000), node("b", 7001)]),
            range(100, 100, vec![node("", 7002)]),
            range(101, 102, vec![Value::Array(vec![Value::Nil, Value::Int(7003)])]),
            range(103, 103, vec![node("c", 0)]),
            Value::Nil,
        ]);
        let at = |host: &str, port| Address { host: host.to_owned(), port };
        let owner = |slot| read(answer.clone(), slot, &from).0;
        assert_eq!(owner(99), Some(at("a", 7000)));
        assert_eq!(owner(100), Some(at("seed", 7002)));
        assert_eq!(owner(101), Some(at("seed", 7003)));
        assert_eq!(owner(103), None, "a port of zero leads nowhere");
        assert_eq!(owner(104), None);
        let all = read(answer.clone(), 0, &from).1;
        assert_eq!(all, [at("a", 7000), at("b", 7001), at("seed", 7002), at("seed", 7003)]);
        assert_eq!(read(Value::Int(1), 0, &from), (None, vec![]));
    }
}
