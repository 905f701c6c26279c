//! What the store announced: the digest of each position.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_lite::future::block_on;
use zonesync::core::digest::Fingerprint;
use zonesync::core::id::Position;
use zonesync::store::{Log, ZoneStore};

/// How many of the newest positions are remembered.
const KEPT_MAX: usize = 100_000;

/// Reads the log beside the nodes.
#[derive(Debug)]
pub(super) struct Announced {
    store: Arc<dyn ZoneStore>,
    digests: BTreeMap<Position, Fingerprint>,
    read: Position,
    /// Below it, the log was trimmed before some of it was read here.
    trimmed: Position,
}

impl Announced {
    pub(super) fn new(store: Arc<dyn ZoneStore>) -> Self {
        let (read, trimmed) = (Position::START, Position::START);
        Self { store, digests: BTreeMap::new(), read, trimmed }
    }

    /// Says whether the store announced this digest with this position, or none if that cannot be
    /// known any more.
    pub(super) fn has(&mut self, position: Position, digest: Fingerprint) -> Option<bool> {
        if !self.digests.contains_key(&position) {
            self.read_on();
        }
        match self.digests.get(&position) {
            Some(announced) => Some(*announced == digest),
            None if position < self.trimmed => None,
            None => Some(false),
        }
    }

    fn read_on(&mut self) {
        let mut log = self.log(self.read);
        let snapshot = log.head.as_ref().and_then(|head| head.snapshot);
        if let Some(snapshot) = snapshot.filter(|_| log.gap) {
            self.trimmed = snapshot.position;
            log = self.log(snapshot.position);
        }
        for entry in &log.entries {
            self.digests.insert(entry.meta.previous, entry.meta.before);
            self.digests.insert(entry.meta.position, entry.meta.after);
        }
        if let Some(head) = &log.head {
            // A first load moves the head without an entry.
            self.digests.insert(head.position(), head.digest.fingerprint());
            self.read = head.position();
        }
        while self.digests.len() > KEPT_MAX {
            self.digests.pop_first();
        }
    }

    fn log(&self, after: Position) -> Log {
        block_on(self.store.read(after, usize::MAX)).expect("the store answers")
    }
}
