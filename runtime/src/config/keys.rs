//! The table of keys: what each is called, what it takes, what it means.
//!
//! Nothing is read that does not stand here, and `docs/configuration.md` shows it row by row.

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Text, taken as it was typed.
    Text,
    /// A path in the file system.
    Path,
    /// `true`, `false` and their like.
    Bool,
    /// A whole number.
    Count,
    /// A time, such as `3s`; a bare number is milliseconds.
    Duration,
    /// A size, such as `64MiB`; a bare number is bytes.
    Size,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Items with commas between them.
    List,
}

/// One key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The full name.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// The default, as one would write it. It stands in brackets where it is worked out, and is
    /// empty where there is none.
    pub default: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

impl Key {
    /// Tells whether the key is zonesync's own; a stock gateway knows the others.
    pub fn is_own(&self) -> bool {
        self.name.starts_with("zonesync.") || self.name.starts_with("management.directory.")
    }
}

const fn key(name: &'static str, kind: Kind, default: &'static str, meaning: &'static str) -> Key {
    Key { name, kind, default, meaning }
}

/// All keys that are read, sorted by name.
pub const KEYS: &[Key] = &[
    key(
        "api.properties.encryption.secret",
        Kind::Text,
        "",
        "Opens encrypted API properties, if `zonesync.properties.decrypt` asks for that.",
    ),
    key(
        "distributed-sync.type",
        Kind::Choice(&["redis"]),
        "",
        "The zone's store, as a stock gateway names it.",
    ),
    key("environments", Kind::List, "", "Read these environments only."),
    key(
        "management.directory.path",
        Kind::Path,
        "",
        "The folder that is the management repository, for `management.type: directory`.",
    ),
    key("management.jdbc.password", Kind::Text, "", "The password of the account there."),
    key(
        "management.jdbc.pool.connectionTimeout",
        Kind::Count,
        "10000",
        "How many ms a connection to the database may take to come about: from 250.",
    ),
    key(
        "management.jdbc.pool.maxPoolSize",
        Kind::Count,
        "10",
        "The most connections to the database: a read of everything uses 4 of them.",
    ),
    key("management.jdbc.prefix", Kind::Text, "", "What stands before each table's name."),
    key("management.jdbc.schema", Kind::Text, "", "The schema that holds the tables."),
    key(
        "management.jdbc.url",
        Kind::Text,
        "",
        "The database that is the management repository: `jdbc:postgresql://`, `jdbc:mysql://` or `jdbc:mariadb://`.",
    ),
    key(
        "management.jdbc.username",
        Kind::Text,
        "",
        "The account there; it needs no more than to read.",
    ),
    key(
        "management.type",
        Kind::Choice(&["directory", "jdbc", "postgresql", "postgres", "mysql", "mariadb", "none"]),
        "none",
        "The management repository. A node without one follows and never stands for election.",
    ),
    key("organizations", Kind::List, "", "Read these organizations only."),
    key(
        "services.sync.delay",
        Kind::Count,
        "5000",
        "How often to look at a repository that tells no changes by itself.",
    ),
    key(
        "services.sync.distributed.enabled",
        Kind::Bool,
        "false",
        "Take part in a zone. `zonesync.store` does the same.",
    ),
    key("services.sync.enabled", Kind::Bool, "true", "Synchronise at all."),
    key(
        "services.sync.unit",
        Kind::Choice(&[
            "NANOSECONDS",
            "MICROSECONDS",
            "MILLISECONDS",
            "SECONDS",
            "MINUTES",
            "HOURS",
            "DAYS",
        ]),
        "MILLISECONDS",
        "The unit of `services.sync.delay`.",
    ),
    key("tags", Kind::List, "", "Read APIs with these sharding tags only; `!tag` leaves out."),
    key(
        "useLegacyEnvironmentHrids",
        Kind::Bool,
        "true",
        "Whether `organizations` and `environments` are human-readable ids.",
    ),
    key(
        "zonesync.admin.socket",
        Kind::Path,
        "[`zonesync-<uid>/<zone>-<node>.sock` in `XDG_RUNTIME_DIR`, else in the temporary folder]",
        "The Unix socket on which the command line asks this node.",
    ),
    key(
        "zonesync.cluster-id",
        Kind::Text,
        "",
        "The cluster id of the stock gateways, verbatim: for the gravitee layout and the mirror.",
    ),
    key(
        "zonesync.config.strict",
        Kind::Bool,
        "false",
        "Refuse what is otherwise read with a warning.",
    ),
    key(
        "zonesync.election.source",
        Kind::Choice(&["lease", "external", "none"]),
        "lease",
        "Who decides that this node may be primary: a lease in the store, the host, or nobody.",
    ),
    key("zonesync.election.ttl", Kind::Duration, "3s", "How long a lease lasts: 300ms to 60s."),
    key(
        "zonesync.feed.max",
        Kind::Count,
        "100000",
        "How many changes the change feed remembers: 1 to 100000000.",
    ),
    key(
        "zonesync.full-read",
        Kind::Duration,
        "1h",
        "How often a primary reads the whole repository: 1s to 7d.",
    ),
    key(
        "zonesync.image.max-age",
        Kind::Duration,
        "24h",
        "How old an image may be to make the node ready by itself: 1s to 365d.",
    ),
    key(
        "zonesync.image.path",
        Kind::Path,
        "",
        "A folder for this node alone, where it keeps an image of its state to start from.",
    ),
    key(
        "zonesync.image.ready",
        Kind::Bool,
        "true",
        "Whether the image, or a zone with open claims, makes a node ready, marked stale.",
    ),
    key(
        "zonesync.layout",
        Kind::Choice(&["native", "gravitee"]),
        "native",
        "How the zone's store is laid out.",
    ),
    key(
        "zonesync.memory.max",
        Kind::Size,
        "1GiB",
        "The most that the embedded store holds: from 1MiB.",
    ),
    key(
        "zonesync.mirror",
        Kind::Choice(&["none", "gravitee"]),
        "none",
        "A copy in the gravitee layout, for stock gateways of the same zone.",
    ),
    key("zonesync.node", Kind::Text, "[host name and process id]", "The node's name, for people."),
    key(
        "zonesync.poll",
        Kind::Duration,
        "1s",
        "How often a node looks for what no push told it: 10ms to 60s.",
    ),
    key("zonesync.properties.decrypt", Kind::Bool, "false", "Decrypt encrypted API properties."),
    key(
        "zonesync.repository.probe",
        Kind::Duration,
        "500ms",
        "How often to ask a database whether anything changed: 10ms to 60s.",
    ),
    key(
        "zonesync.repository.time-zone",
        Kind::Text,
        "UTC",
        "The zone of those who write the database: its dates are what a clock there shows.",
    ),
    key(
        "zonesync.repository.timeout",
        Kind::Duration,
        "30s",
        "How long a database may be silent in the middle of an answer: 100ms to 1h.",
    ),
    key(
        "zonesync.store",
        Kind::Choice(&["memory", "redis"]),
        "[`distributed-sync.type`]",
        "The zone's store: embedded in this process, or Redis.",
    ),
    key("zonesync.zone", Kind::Text, "default", "The zone's name: 1 to 64 of `A-Z a-z 0-9 . _ -`."),
];

/// What a stock gateway reads under `distributed-sync.`, with `[]` for any index.
///
/// `operation.timeout` is rendered by charts and read by nobody.
pub(super) const DISTRIBUTED: &[&str] = &[
    "distributed-sync.type",
    "distributed-sync.redis.host",
    "distributed-sync.redis.port",
    "distributed-sync.redis.username",
    "distributed-sync.redis.password",
    "distributed-sync.redis.ssl",
    "distributed-sync.redis.sentinel.nodes[].host",
    "distributed-sync.redis.sentinel.nodes[].port",
    "distributed-sync.redis.sentinel.master",
    "distributed-sync.redis.sentinel.password",
    "distributed-sync.redis.cluster.nodes[].host",
    "distributed-sync.redis.cluster.nodes[].port",
    "distributed-sync.redis.tcp.connectTimeout",
    "distributed-sync.redis.tcp.idleTimeout",
    "distributed-sync.redis.operation.timeout",
    "distributed-sync.redis.trustAll",
    "distributed-sync.redis.hostnameVerificationAlgorithm",
    "distributed-sync.redis.tlsProtocols",
    "distributed-sync.redis.tlsCiphers",
    "distributed-sync.redis.alpn",
    "distributed-sync.redis.openssl",
    "distributed-sync.redis.keystore.type",
    "distributed-sync.redis.keystore.path",
    "distributed-sync.redis.keystore.password",
    "distributed-sync.redis.keystore.keyPassword",
    "distributed-sync.redis.keystore.alias",
    "distributed-sync.redis.keystore.certificates[].cert",
    "distributed-sync.redis.keystore.certificates[].key",
    "distributed-sync.redis.truststore.type",
    "distributed-sync.redis.truststore.path",
    "distributed-sync.redis.truststore.password",
    "distributed-sync.redis.truststore.alias",
];

/// Finds a key in the table. Panics if it is not there: the table is the contract.
pub(super) fn named(name: &str) -> &'static Key {
    let found = KEYS.iter().find(|key| key.name == name);
    found.unwrap_or_else(|| panic!("{name} is read but does not stand in the table of keys"))
}

/// Finds the known name nearest to a wrong one, if any is near.
pub(super) fn nearest<'a>(
    wrong: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let scored = known.into_iter().map(|name| (distance(wrong, name), name));
    let (distance, name) = scored.min()?;
    (distance <= name.len() / 3).then_some(name)
}

/// Counts the edits from one name to another. Names past 200 bytes are cut: none of ours is.
fn distance(a: &str, b: &str) -> usize {
    let bytes = |s: &str| s.bytes().take(200).collect::<Vec<u8>>();
    let (a, b) = (bytes(a), bytes(b));
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(!x.eq_ignore_ascii_case(y));
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
