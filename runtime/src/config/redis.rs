//! The zone's Redis, as `distributed-sync.redis.` and `zonesync.redis.` describe it.

use std::time::Duration;

use super::address::{self, Nodes};
use super::keys::{KEYS, without_indices};
use super::problem::{ConfigError, Origin, Problem};
use super::reader::{Explained, Reader, problem};
use super::resolve::Value;
use super::tls;
use crate::secret::Secret;
use crate::store::redis::{RedisOptions, Topology, Wait};
use crate::tls::{Finding, Part, Tls, TlsOptions};

/// Where the keys that a stock gateway reads begin.
pub(super) const BASE: &str = "distributed-sync.redis";
const USERNAME: &str = "distributed-sync.redis.username";
const PASSWORD: &str = "distributed-sync.redis.password";
const MASTER: &str = "distributed-sync.redis.sentinel.master";
const SENTINEL_PASSWORD: &str = "distributed-sync.redis.sentinel.password";
const CONNECT: &str = "distributed-sync.redis.tcp.connectTimeout";

/// The longest time-out that is taken, in milliseconds: beyond it, it is none.
const TIMEOUT_MAX: i64 = 3_600_000;

/// A Redis as it was configured. [`options`](Self::options) makes of it what a store connects with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisSettings {
    /// Where it is.
    pub topology: Topology,
    /// The ACL user.
    pub username: Option<String>,
    /// The password of Redis itself: the sentinels' password where it has none of its own.
    pub password: Option<Secret>,
    /// TLS, if it is on.
    pub tls: Option<TlsOptions>,
    /// The longest that a connect may take, with its handshakes.
    pub connect_timeout: Duration,
    /// How long a connection may be idle before it is closed. Zero: for ever.
    pub idle_timeout: Duration,
    /// The longest that an answer to a short command may take.
    pub command_timeout: Duration,
    /// The longest that an answer to a bulk command may take.
    pub bulk_timeout: Duration,
    /// The most bytes of log that are spared for slow readers.
    pub log_max: u64,
    /// How many replicas have to have a batch, if any.
    pub wait: Option<Wait>,
    /// What was set where, for messages about stores that cannot be opened.
    given: Vec<Explained>,
}

impl RedisSettings {
    /// Reads the stores that TLS needs, and gives what a connection is made with.
    ///
    /// The error lists everything that is wrong with them, with its keys.
    pub fn options(&self) -> Result<RedisOptions, ConfigError> {
        self.open().map(|(options, _)| options).map_err(|problems| ConfigError { problems })
    }

    /// Does the same, and tells what is doubtful about the stores.
    pub(super) fn open(&self) -> Result<(RedisOptions, Vec<Problem>), Vec<Problem>> {
        let of = |findings: Vec<Finding>| findings.into_iter().map(|f| self.problem(f)).collect();
        let (tls, doubts) = match &self.tls {
            None => (None, Vec::new()),
            Some(tls) => {
                let (tls, doubts) = Tls::build(tls).map_err(of)?;
                (Some(tls), of(doubts))
            }
        };
        let options = RedisOptions {
            username: self.username.clone(),
            password: self.password.clone(),
            tls,
            connect_timeout: self.connect_timeout,
            idle_timeout: self.idle_timeout,
            command_timeout: self.command_timeout,
            bulk_timeout: self.bulk_timeout,
            log_max: self.log_max,
            wait: self.wait,
            ..RedisOptions::new(self.topology.clone())
        };
        Ok((options, doubts))
    }

    /// Says which key a finding is about, and where that stands.
    fn problem(&self, finding: Finding) -> Problem {
        let name = match finding.part {
            Part::Whole => "ssl".to_owned(),
            Part::Protocols => "tlsProtocols".to_owned(),
            Part::Ciphers => "tlsCiphers".to_owned(),
            Part::Truststore => "truststore.path".to_owned(),
            Part::TruststorePassword => "truststore.password".to_owned(),
            Part::TruststoreAlias => "truststore.alias".to_owned(),
            Part::Keystore => "keystore.path".to_owned(),
            Part::KeystorePassword => "keystore.password".to_owned(),
            Part::KeyPassword => "keystore.keyPassword".to_owned(),
            Part::KeystoreAlias => "keystore.alias".to_owned(),
            Part::PairCert(i) => format!("keystore.certificates[{i}].cert"),
            Part::PairKey(i) => format!("keystore.certificates[{i}].key"),
        };
        let key = format!("{BASE}.{name}");
        let given = self.given.iter().find(|line| line.key == key);
        Problem {
            origin: given.map_or(Origin::Default, |line| line.origin.clone()),
            value: given.and_then(|line| line.value.clone()),
            message: finding.message,
            key,
        }
    }
}

/// Reads the settings of a zone's Redis, or only notes them where the zone has another store.
pub(super) fn read(reader: &mut Reader<'_>, used: bool) -> Option<RedisSettings> {
    let log_max = reader.size("zonesync.redis.log.max", 1 << 20);
    let command_timeout = reader.duration("zonesync.redis.timeout.command", 10, 60_000);
    let bulk_timeout = reader.duration("zonesync.redis.timeout.bulk", 100, 3_600_000);
    let wait = read_wait(reader);
    let strict = reader.bool("zonesync.tls.strict");
    if !used {
        skip(reader, BASE);
        return None;
    }
    reader.skip("distributed-sync.redis.operation.timeout");
    let begun = reader.explain.len();
    let username = reader.text(USERNAME);
    let password = reader.text(PASSWORD);
    let of_sentinels = reader.text(SENTINEL_PASSWORD);
    let secret = |value: &Value| Secret::new(value.text.clone());
    if let (Some(name), None) = (&username, &password) {
        let message = "without distributed-sync.redis.password nothing is authenticated";
        reader.warning(USERNAME, Some(name), message);
    }
    let topology = match address::nodes(reader) {
        Nodes::Standalone(address) => {
            reader.skip(MASTER);
            Topology::Standalone(address)
        }
        Nodes::Cluster(nodes) => {
            reader.skip(MASTER);
            Topology::Cluster { nodes }
        }
        Nodes::Sentinel(nodes) => {
            let master = reader.text(MASTER);
            if master.is_none() {
                let first = reader.properties.raw(&format!("{BASE}.sentinel.nodes[0].host"));
                let message = "sentinels need the name of their master";
                let problem = problem(MASTER, None, message.to_owned());
                let origin = first.map_or(Origin::Default, |value| value.origin);
                reader.problems.push(Problem { origin, ..problem });
            }
            if let (Some(name), Some(_)) = (&username, &password) {
                let message = "sent to the master; a stock gateway sends no user there";
                reader.note(USERNAME, Some(name), message);
            }
            let password = of_sentinels.as_ref().or(password.as_ref()).map(secret);
            let master = master.map(|value| value.text).unwrap_or_default();
            Topology::Sentinel { master, nodes, password }
        }
    };
    let fallback = matches!(topology, Topology::Sentinel { .. });
    let own = password.as_ref().or(of_sentinels.as_ref().filter(|_| fallback));
    let connect_timeout = read_connect(reader);
    let idle = reader.count("distributed-sync.redis.tcp.idleTimeout", 0, i64::from(i32::MAX));
    let tls = tls::read(reader, strict);
    Some(RedisSettings {
        topology,
        username: username.map(|value| value.text),
        password: own.map(secret),
        tls,
        connect_timeout,
        idle_timeout: Duration::from_millis(idle as u64),
        command_timeout,
        bulk_timeout,
        log_max,
        wait,
        given: reader.explain[begun..].to_vec(),
    })
}

/// Notes the keys below `base` without reading them.
pub(super) fn skip(reader: &mut Reader<'_>, base: &str) {
    let below = |name: &str| name.strip_prefix(base).is_some_and(|rest| rest.starts_with('.'));
    let read = |reader: &Reader<'_>, name: &str| reader.explain.iter().any(|line| line.key == name);
    for key in KEYS.iter().filter(|key| below(key.name) && !key.name.contains("[]")) {
        if !read(reader, key.name) {
            reader.skip(key.name);
        }
    }
    let listed = |name: &&str| {
        let template = without_indices(name);
        template.contains("[]") && KEYS.iter().any(|key| key.name == template)
    };
    let names: Vec<String> = reader
        .properties
        .in_files()
        .map(|(name, _)| name.strip_prefix("repositories.").unwrap_or(name))
        .filter(|name| below(name) && listed(name))
        .map(str::to_owned)
        .collect();
    for name in names {
        if !read(reader, &name) {
            reader.skip(&name);
        }
    }
}

/// A stock gateway takes zero for no limit. We always have one.
fn read_connect(reader: &mut Reader<'_>) -> Duration {
    let millis = reader.count(CONNECT, 0, i64::from(i32::MAX));
    if (1..=TIMEOUT_MAX).contains(&millis) {
        return Duration::from_millis(millis as u64);
    }
    let value = reader.properties.get(CONNECT).ok().flatten();
    let message = "a connect always has a limit here, of at most an hour: an hour is taken";
    reader.warning(CONNECT, value.as_ref(), message);
    Duration::from_millis(TIMEOUT_MAX as u64)
}

fn read_wait(reader: &mut Reader<'_>) -> Option<Wait> {
    let replicas = reader.count("zonesync.redis.wait.replicas", 0, 100) as u32;
    let timeout = reader.duration("zonesync.redis.wait.timeout", 10, 60_000);
    (replicas > 0).then_some(Wait { replicas, timeout })
}
