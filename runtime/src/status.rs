//! What a node says of itself, for people, health checks and the CLI.

use serde::Serialize;
use zonesync_core::election::{Report, Role};
use zonesync_core::id::{InstanceId, Position, Term};
use zonesync_core::time::WallTime;

/// A node's present truth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// The zone.
    pub zone: String,
    /// The node's name.
    pub node: String,
    /// Which start of the node, 32 hex digits.
    #[serde(serialize_with = "text::instance")]
    pub instance: InstanceId,
    /// What it is now.
    #[serde(serialize_with = "text::role")]
    pub role: Role,
    /// Where its state stands.
    #[serde(serialize_with = "text::position")]
    pub position: Position,
    /// Who holds the lease, as far as this node knows.
    pub primary: Option<String>,
    /// The newest term seen.
    #[serde(serialize_with = "text::term")]
    pub term: Term,
    /// Held a complete announced state since it started. Never taken back.
    pub ready: bool,
    /// Serves a state that is not, or not yet, the zone's: see `reason`.
    pub stale: bool,
    /// Holds the newest state, now.
    pub in_sync: bool,
    /// Why it is not ready or not in sync, in plain words; empty if it is both.
    pub reason: String,
    /// How long it has not been in sync, in milliseconds; zero if it is.
    pub lag_ms: u64,
    /// How many entities of each kind it holds, in the order of a cycle.
    pub counts: Vec<KindCount>,
    /// The fingerprint of its state, 32 hex digits.
    pub digest: String,
    /// How the zone store is.
    pub store: Link,
    /// The last batch went to fewer replicas of the store than it is to wait for.
    pub unreplicated: bool,
    /// How the management repository is; idle on a secondary.
    pub repository: Link,
    /// Removals that wait for a person.
    pub held: Vec<Held>,
    /// Rows and records that cannot be used, at most [`Status::QUARANTINE_MAX`] of them.
    pub quarantined: Vec<QuarantinedItem>,
    /// How many there are in all.
    pub quarantined_total: u64,
    /// The local image, if the node keeps one.
    pub image: Option<Image>,
    /// A part of the node has failed for good; lookups go on from the last state.
    pub failed: Option<String>,
    /// Counters since the start.
    pub counters: Counters,
    /// The live nodes of the zone as they last reported to the store, this one among them, sorted by
    /// name. They report every third of the TTL.
    pub zone_nodes: Vec<Peer>,
}

impl Status {
    /// The most quarantined items that a status lists.
    pub const QUARANTINE_MAX: usize = 100;
}

/// A live node of the zone, as it last reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Peer {
    /// Its name.
    pub node: String,
    /// Which start of it, 32 hex digits.
    #[serde(serialize_with = "text::instance")]
    pub instance: InstanceId,
    /// What it is.
    #[serde(serialize_with = "text::role")]
    pub role: Role,
    /// Where its state stands.
    #[serde(serialize_with = "text::position")]
    pub position: Position,
    /// How many batches it is behind the foremost of them.
    pub behind: u64,
    /// The fingerprint of its state, 32 hex digits.
    pub digest: String,
    /// Whether all nodes at its position have this digest.
    pub agrees: bool,
    /// How many entities it holds.
    pub count: u64,
    /// Whether it may become primary.
    pub can_stand: bool,
}

impl Peer {
    /// Compares what live nodes reported.
    pub(crate) fn compare(live: &[Report]) -> Vec<Self> {
        let foremost = live.iter().map(|report| report.position.sequence).max();
        let agrees = |report: &Report| {
            let mut others = live.iter().filter(|other| other.position == report.position);
            others.all(|other| other.fingerprint == report.fingerprint)
        };
        let peer = |report: &Report| Self {
            node: report.node.to_string(),
            instance: report.instance,
            role: report.role,
            position: report.position,
            behind: foremost.map_or(0, |foremost| foremost.0 - report.position.sequence.0),
            digest: report.fingerprint.to_string(),
            agrees: agrees(report),
            count: report.count,
            can_stand: report.can_stand,
        };
        let mut peers: Vec<_> = live.iter().map(peer).collect();
        peers.sort_by(|a, b| (&a.node, a.instance).cmp(&(&b.node, b.instance)));
        peers
    }
}

/// How many entities of one kind there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KindCount {
    /// The kind's name.
    pub kind: String,
    /// How many.
    pub count: u64,
}

/// How a system that this node depends on is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Link {
    /// `idle`, `up` or `down`.
    pub state: LinkState,
    /// What it last complained of.
    pub error: Option<String>,
    /// When it last answered, in milliseconds since 1970.
    #[serde(serialize_with = "text::wall_time")]
    pub last_answer: Option<WallTime>,
}

/// How the local image is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Image {
    /// Where it is.
    pub place: String,
    /// What is safe on the disk: the state at this position. None if no image stands.
    #[serde(serialize_with = "text::maybe_position")]
    pub position: Option<Position>,
    /// When that was last known to be the zone's newest, in milliseconds since 1970.
    #[serde(serialize_with = "text::wall_time")]
    pub at: Option<WallTime>,
    /// How long ago that was, in milliseconds.
    pub age_ms: Option<u64>,
    /// The bytes of its snapshot.
    pub snapshot_bytes: u64,
    /// The bytes of its journal.
    pub journal_bytes: u64,
    /// Why it could not be read or written last; none since the last write that went well.
    pub error: Option<String>,
}

/// Whether a system answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// It was not asked.
    #[default]
    Idle,
    /// It answered last time.
    Up,
    /// It failed last time.
    Down,
}

/// Removals of one kind that the guard holds back until a person confirms them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The kind's name.
    pub kind: String,
    /// How many entities would go.
    pub count: u64,
    /// What to give to `confirm-removal`: a hash of the held set.
    pub token: String,
}

/// One row or record that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QuarantinedItem {
    /// Where it stands.
    pub place: String,
    /// What is wrong with it and what would be right.
    pub reason: String,
}

/// What happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Reads of the management repository that ended well.
    pub reads: u64,
    /// Batches that this node published.
    pub published: u64,
    /// Batches that this node applied.
    pub applied: u64,
    /// Times that it loaded a snapshot although it held a state.
    pub heals: u64,
    /// Times that it became primary.
    pub reigns: u64,
}

mod text {
    use serde::Serializer;
    use zonesync_core::election::Role;
    use zonesync_core::id::{InstanceId, Position, Term};
    use zonesync_core::time::WallTime;

    pub(super) fn instance<S: Serializer>(v: &InstanceId, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&format_args!("{:032x}", v.0))
    }

    pub(super) fn role<S: Serializer>(v: &Role, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(v)
    }

    pub(super) fn position<S: Serializer>(v: &Position, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(v)
    }

    pub(super) fn maybe_position<S: Serializer>(
        v: &Option<Position>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        match v {
            Some(position) => s.collect_str(position),
            None => s.serialize_none(),
        }
    }

    pub(super) fn term<S: Serializer>(v: &Term, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(v)
    }

    pub(super) fn wall_time<S: Serializer>(v: &Option<WallTime>, s: S) -> Result<S::Ok, S::Error> {
        match v {
            Some(at) => s.serialize_some(&at.as_millis()),
            None => s.serialize_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use zonesync_core::digest::Fingerprint;
    use zonesync_core::format::{FORMAT, Filter};
    use zonesync_core::id::{Epoch, Sequence, TermId};

    use super::*;

    fn report(node: &str, sequence: u64, fingerprint: u128) -> Report {
        let term = Term { epoch: Epoch(3), id: TermId(9) };
        Report {
            node: node.parse().expect("a good name"),
            instance: InstanceId(1),
            role: Role::Secondary,
            position: Position { term, sequence: Sequence(sequence) },
            seen: Epoch(3),
            fingerprint: Fingerprint(fingerprint),
            count: 1,
            can_stand: true,
            format: FORMAT,
            filter: Filter::default(),
            reading: None,
        }
    }

    #[test]
    fn nodes_at_one_position_with_two_digests_do_not_agree() {
        let peers = Peer::compare(&[report("c", 8, 5), report("a", 8, 5), report("b", 6, 4)]);
        let told: Vec<_> = peers.iter().map(|p| (p.node.as_str(), p.behind, p.agrees)).collect();
        assert_eq!(told, [("a", 0, true), ("b", 2, true), ("c", 0, true)]);
        let peers = Peer::compare(&[report("a", 8, 5), report("b", 8, 6)]);
        assert!(peers.iter().all(|peer| !peer.agrees));
    }
}
