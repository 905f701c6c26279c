//! The keys of a zone. They share a hash tag, so a zone lives in one slot of a cluster.

use zonesync_core::id::{Position, ZoneName};

use super::text;

/// Gives what all keys of a zone begin with.
pub(in super::super) fn prefix(zone: &ZoneName) -> String {
    format!("zonesync:{{{zone}}}:")
}

/// The names of a zone's keys.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
    pub(super) lease: String,
    pub(super) term: String,
    pub(super) head: String,
    pub(super) log: String,
    pub(super) snapshots: String,
    pub(super) nodes: String,
    pub(super) wake: String,
}

impl Keys {
    pub(super) fn new(zone: &ZoneName) -> Self {
        let prefix = prefix(zone);
        let key = |name: &str| format!("{prefix}{name}");
        Self {
            lease: key("lease"),
            term: key("term"),
            head: key("head"),
            log: key("log"),
            snapshots: key("snapshots"),
            nodes: key("nodes"),
            wake: key("wake"),
            prefix,
        }
    }

    /// Names chunk `number` of the snapshot at `position`.
    pub(super) fn chunk(&self, position: Position, number: u32) -> String {
        let (epoch, sequence) = (position.term.epoch.0, position.sequence.0);
        let id = text::id(position.term.id.0);
        format!("{}snap:{epoch}:{id}:{sequence}:{number}", self.prefix)
    }
}
