//! What a node needs to know, with its types.

use std::path::PathBuf;
use std::time::Duration;

use zonesync_core::id::{NodeId, ZoneName};

use super::management::{self, Repository};
use super::place;
use super::reader::Reader;
use super::redis::{self, RedisSettings};
use crate::node::Options;
use crate::secret::Secret;

/// The settings of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// The zone's name.
    pub zone: ZoneName,
    /// The node's name.
    pub node: NodeId,
    /// The zone's store. Without one there is no zone: the node reads the repository alone.
    pub store: Option<Store>,
    /// Encryption of what the zone keeps there.
    pub encryption: Encryption,
    /// The management repository. A node without one follows and never stands.
    pub repository: Option<Repository>,
    /// Which part of the repository this node is about.
    pub filter: Filter,
    /// Whether to synchronise at all.
    pub enabled: bool,
    /// Who decides that this node may be primary.
    pub election: ElectionSource,
    /// How long a lease lasts.
    pub ttl: Duration,
    /// How often a node looks for what no push told it.
    pub poll: Duration,
    /// The pause between two reads of what changed in the repository.
    pub repository_pause: Duration,
    /// How often a primary reads the whole repository.
    pub full_read: Duration,
    /// How many changes the feed remembers.
    pub feed_max: usize,
    /// The folder of the local image, if one is kept.
    pub image: Option<PathBuf>,
    /// Whether a state that may not be the zone's makes the node ready, marked stale.
    pub image_ready: bool,
    /// How old an image may be that does so.
    pub image_age_max: Duration,
    /// The cluster id of the stock gateways, verbatim.
    pub cluster_id: Option<String>,
    /// The socket on which the command line asks this node.
    pub admin_socket: PathBuf,
    /// Whether encrypted API properties are decrypted.
    pub decrypt_properties: bool,
    /// What opens them.
    pub properties_secret: Option<Secret>,
}

impl Settings {
    /// Gives the times and limits of the node.
    ///
    /// With an external election the node is no candidate until the host says so.
    pub fn options(&self) -> Options {
        Options {
            ttl: self.ttl,
            poll: self.poll,
            full_read: self.full_read,
            candidate: self.election == ElectionSource::Lease && self.repository.is_some(),
            feed_max: self.feed_max,
            stale_ready: self.image_ready,
            image_age_max: self.image_age_max,
            ..Options::default()
        }
    }
}

/// The zone's store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Store {
    /// Embedded in this process.
    Memory {
        /// The most bytes it holds.
        max: u64,
    },
    /// In Redis or Valkey.
    Redis(Box<RedisSettings>),
}

/// Encryption of what a zone keeps in its store, in the native layout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encryption {
    /// The files with the keys: all read, the first writes. None: nothing is encrypted.
    pub keys: Vec<KeyFile>,
    /// Whether unencrypted data is read as well.
    pub plaintext: bool,
}

/// One key of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFile {
    /// What records call it.
    pub id: String,
    /// The file that holds it.
    pub path: PathBuf,
}

/// Which part of the repository a node is about. Empty lists take everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Sharding tags; `!tag` leaves out.
    pub tags: Vec<String>,
    /// Organizations.
    pub organizations: Vec<String>,
    /// Environments.
    pub environments: Vec<String>,
    /// Whether the two lists above hold human-readable ids.
    pub legacy_hrids: bool,
}

/// Who decides that a node may be primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElectionSource {
    /// The lease in the zone's store alone.
    Lease,
    /// The host; the lease is needed all the same.
    External,
    /// Nobody: the node only follows.
    None,
}

/// Reads every key of the table. What is wrong gets a stand-in, so that the rest is read too; the
/// caller drops the settings if there is any problem.
pub(super) fn read(reader: &mut Reader<'_>) -> Settings {
    let zone = read_zone(reader);
    let node = read_node(reader);
    let enabled = reader.bool("services.sync.enabled");
    if !enabled {
        let value = reader.properties.get("services.sync.enabled").ok().flatten();
        reader.warning("services.sync.enabled", value.as_ref(), "synchronisation is off");
    }
    let store = read_store(reader);
    let encryption = read_encryption(reader);
    let repository = management::read(reader);
    if store.is_none() && repository.is_none() && reader.problems.is_empty() {
        let message = "there is neither a zone nor a repository to read from: \
                       set management.type: directory, or zonesync.store: memory";
        reader.problem("management.type", None, message);
    }
    reject_foreign_layouts(reader);
    let election = read_election(reader);
    let decrypt_properties = reader.bool("zonesync.properties.decrypt");
    let properties_secret = reader.text("api.properties.encryption.secret");
    if decrypt_properties && properties_secret.is_none() {
        let message = "api.properties.encryption.secret is needed for this";
        reader.problem("zonesync.properties.decrypt", None, message);
    }
    let filter = Filter {
        tags: reader.list("tags"),
        organizations: reader.list("organizations"),
        environments: reader.list("environments"),
        legacy_hrids: reader.bool("useLegacyEnvironmentHrids"),
    };
    Settings {
        store,
        encryption,
        repository,
        filter,
        enabled,
        election,
        ttl: reader.duration("zonesync.election.ttl", 300, 60_000),
        poll: reader.duration("zonesync.poll", 10, 60_000),
        repository_pause: read_pause(reader),
        full_read: reader.duration("zonesync.full-read", 1_000, 7 * 86_400_000),
        feed_max: reader.count("zonesync.feed.max", 1, 100_000_000) as usize,
        image: reader.text("zonesync.image.path").map(|value| PathBuf::from(value.text)),
        image_ready: reader.bool("zonesync.image.ready"),
        image_age_max: reader.duration("zonesync.image.max-age", 1_000, 365 * 86_400_000),
        cluster_id: reader.text("zonesync.cluster-id").map(|value| value.text),
        admin_socket: read_socket(reader, &zone, &node),
        decrypt_properties,
        properties_secret: properties_secret.map(|value| Secret::new(value.text)),
        zone,
        node,
    }
}

fn read_zone(reader: &mut Reader<'_>) -> ZoneName {
    let found = reader.text("zonesync.zone");
    let stand_in = || "default".parse().expect("the default is a zone's name");
    let Some(value) = found else { return stand_in() };
    value.text.parse().unwrap_or_else(|error| {
        reader.problem("zonesync.zone", Some(&value), format!("{error}"));
        stand_in()
    })
}

fn read_node(reader: &mut Reader<'_>) -> NodeId {
    let Some(value) = reader.text("zonesync.node") else {
        let node = place::node();
        reader.worked_out("zonesync.node", node.as_str());
        return node;
    };
    value.text.parse().unwrap_or_else(|error| {
        reader.problem("zonesync.node", Some(&value), format!("{error}"));
        place::node()
    })
}

/// A zone starts when the distributed mode is on or a store of our own is named.
fn read_store(reader: &mut Reader<'_>) -> Option<Store> {
    let max = reader.size("zonesync.memory.max", 1 << 20);
    let distributed = reader.bool("services.sync.distributed.enabled");
    let word = store_word(reader, distributed);
    let redis = redis::read(reader, word == Some("redis"));
    match word? {
        "memory" => Some(Store::Memory { max }),
        _ => redis.map(|redis| Store::Redis(Box::new(redis))),
    }
}

/// Says which store there is to be. A wrong word has been noted as a problem.
fn store_word(reader: &mut Reader<'_>, distributed: bool) -> Option<&'static str> {
    const KEY: &str = "zonesync.store";
    let stock = reader.choice("distributed-sync.type");
    let own = reader.choice(KEY);
    match (own, stock) {
        (Some((word, _)), _) => Some(word),
        (None, _) if reader.is_set(KEY) => None,
        (None, _) if !distributed => {
            let message = "no zone: this node reads the repository alone; \
                           services.sync.distributed.enabled or zonesync.store would start one";
            reader.warning("services.sync.distributed.enabled", None, message);
            None
        }
        (None, Some((word, _))) => {
            reader.worked_out(KEY, word);
            Some(word)
        }
        (None, None) if reader.is_set("distributed-sync.type") => None,
        (None, None) => {
            let message = "services.sync.distributed.enabled is true, so a store is needed: \
                           set zonesync.store, or distributed-sync.type";
            reader.problem(KEY, None, message);
            None
        }
    }
}

/// The longest id of a key.
const KEY_ID_MAX: usize = 64;

fn read_encryption(reader: &mut Reader<'_>) -> Encryption {
    const KEYS: &str = "zonesync.encryption.keys";
    let items = reader.list(KEYS);
    let plaintext = reader.bool("zonesync.encryption.plaintext");
    let mut keys: Vec<KeyFile> = Vec::new();
    for item in &items {
        let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let id = item.split_once(':').filter(|(id, path)| {
            (1..=KEY_ID_MAX).contains(&id.len()) && id.chars().all(named) && !path.is_empty()
        });
        let message = match id {
            // What was written may be the key itself, so it is not shown.
            None => {
                "must be items id:path, with an id of 1 to 64 of `A-Z a-z 0-9 . _ -`".to_owned()
            }
            Some((id, _)) if keys.iter().any(|key| key.id == id) => {
                format!("the id {id} stands here twice")
            }
            Some((id, path)) => {
                keys.push(KeyFile { id: id.to_owned(), path: PathBuf::from(path.trim()) });
                continue;
            }
        };
        let at =
            reader.properties.raw(KEYS).or_else(|| reader.properties.raw(&format!("{KEYS}[0]")));
        let value = at.map(|value| super::resolve::Value { secret: true, ..value });
        reader.problem(KEYS, value.as_ref(), message);
        break;
    }
    if plaintext && items.is_empty() {
        let message = "has no effect: without zonesync.encryption.keys nothing is encrypted";
        reader.warning("zonesync.encryption.plaintext", None, message);
    }
    Encryption { keys, plaintext }
}

/// The other layout and the mirror of it are known by name, so that the message is plain.
fn reject_foreign_layouts(reader: &mut Reader<'_>) {
    for (key, only) in [("zonesync.layout", "native"), ("zonesync.mirror", "none")] {
        if let Some(("gravitee", value)) = reader.choice(key) {
            let message = format!("the gravitee layout is not supported yet: must be {only}");
            reader.problem(key, Some(&value), message);
        }
    }
}

fn read_election(reader: &mut Reader<'_>) -> ElectionSource {
    match reader.choice("zonesync.election.source") {
        Some(("external", value)) => {
            let message = "no host can decide yet: must be lease or none";
            reader.problem("zonesync.election.source", Some(&value), message);
            ElectionSource::External
        }
        Some(("none", _)) => ElectionSource::None,
        _ => ElectionSource::Lease,
    }
}

fn read_pause(reader: &mut Reader<'_>) -> Duration {
    let delay = reader.count("services.sync.delay", 0, i64::from(i32::MAX)) as u64;
    let (unit, _) = reader.choice("services.sync.unit").unzip();
    match unit.unwrap_or("MILLISECONDS") {
        "NANOSECONDS" => Duration::from_nanos(delay),
        "MICROSECONDS" => Duration::from_micros(delay),
        "SECONDS" => Duration::from_secs(delay),
        "MINUTES" => Duration::from_secs(delay * 60),
        "HOURS" => Duration::from_secs(delay * 3_600),
        "DAYS" => Duration::from_secs(delay * 86_400),
        _ => Duration::from_millis(delay),
    }
}

fn read_socket(reader: &mut Reader<'_>, zone: &ZoneName, node: &NodeId) -> PathBuf {
    const KEY: &str = "zonesync.admin.socket";
    let Some(value) = reader.text(KEY) else {
        let path = place::socket(reader.properties.variables.exact("XDG_RUNTIME_DIR"), zone, node);
        reader.worked_out(KEY, &path.to_string_lossy());
        return path;
    };
    if value.text.len() > place::SOCKET_PATH_MAX || value.text.contains('\0') {
        let message =
            format!("a socket's path has at most {} bytes and no NUL", place::SOCKET_PATH_MAX);
        reader.problem(KEY, Some(&value), message);
    }
    PathBuf::from(value.text)
}
