//! How to reach a zone's Redis, and within what limits.

use std::fmt;

use zeroize::Zeroizing;
use zonesync_core::time::Duration;

use crate::secret::Secret;
use crate::tls::Tls;

/// How to reach a zone's Redis, and within what limits.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RedisOptions {
    /// Where it is.
    pub topology: Topology,
    /// The ACL user; `default` if there is only a password.
    pub username: Option<String>,
    /// The password of Redis itself.
    pub password: Option<Secret>,
    /// TLS, to Redis and to the sentinels alike.
    pub tls: Option<Tls>,
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
    /// The keys that what is stored is encrypted with, if it is.
    pub encryption: Option<Encryption>,
}

impl RedisOptions {
    /// Gives the defaults for a Redis at `topology`.
    pub fn new(topology: Topology) -> Self {
        Self {
            topology,
            username: None,
            password: None,
            tls: None,
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::ZERO,
            command_timeout: Duration::from_secs(2),
            bulk_timeout: Duration::from_secs(30),
            log_max: 256 << 20,
            wait: None,
            encryption: None,
        }
    }
}

/// Where Redis is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// One server.
    Standalone(Address),
    /// A master that the sentinels know.
    Sentinel {
        /// What the sentinels call it.
        master: String,
        /// The sentinels, asked in this order.
        nodes: Vec<Address>,
        /// The password of the sentinels.
        password: Option<Secret>,
    },
    /// A cluster; the zone lives in one slot of it.
    Cluster {
        /// Nodes to ask first.
        nodes: Vec<Address>,
    },
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// A name, or an address; IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The keys of an encrypted zone. All of them read, the first one writes.
#[derive(Clone, Debug)]
pub struct Encryption {
    keys: Vec<EncryptionKey>,
    /// Whether what is not encrypted is read, too: while a zone moves over.
    pub plaintext: bool,
}

impl Encryption {
    /// Writes with `first` and reads with `others`, too. Refuses what is not encrypted.
    pub fn new(first: EncryptionKey, others: impl IntoIterator<Item = EncryptionKey>) -> Self {
        let mut keys = vec![first];
        keys.extend(others);
        Self { keys, plaintext: false }
    }

    /// Gives the keys; there is a first one.
    pub fn keys(&self) -> &[EncryptionKey] {
        &self.keys
    }
}

/// A key and its name. Wiped when it goes, and shown by no message.
#[derive(Clone)]
pub struct EncryptionKey {
    id: String,
    key: Zeroizing<[u8; 32]>,
}

impl EncryptionKey {
    /// Names a key. None if `id` is empty or has more than 64 bytes.
    ///
    /// The id is stored in clear with each record.
    pub fn new(id: impl Into<String>, key: [u8; 32]) -> Option<Self> {
        let (id, key) = (id.into(), Zeroizing::new(key));
        (!id.is_empty() && id.len() <= 64).then_some(Self { id, key })
    }

    /// Gives its name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Gives the key.
    pub fn reveal(&self) -> &[u8; 32] {
        &self.key
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptionKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// How many replicas have to have a batch before it counts as replicated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Replicas.
    pub replicas: u32,
    /// The longest wait for them.
    pub timeout: Duration,
}
