//! What the store announced: the digest of each position.

use std::collections::BTreeMap;

use futures_lite::future::block_on;
use zonesync::core::digest::Fingerprint;
use zonesync::core::id::Position;
use zonesync::store::ZoneStore;
use zonesync::store::memory::MemoryStore;

/// How many of the newest positions are remembered.
const KEPT_MAX: usize = 100_000;

/// Reads the log beside the nodes.
#[derive(Debug)]
pub(super) struct Announced {
    store: MemoryStore,
    digests: BTreeMap<Position, Fingerprint>,
    read: Position,
}

impl Announced {
    pub(super) fn new(store: MemoryStore) -> Self {
        Self { store, digests: BTreeMap::new(), read: Position::START }
    }

    /// Gives the digest that the store announced with a position.
    pub(super) fn digest_at(&mut self, position: Position) -> Option<Fingerprint> {
        if !self.digests.contains_key(&position) {
            self.read_on();
        }
        self.digests.get(&position).copied()
    }

    fn read_on(&mut self) {
        let log = block_on(self.store.read(self.read, usize::MAX)).expect("it is in this process");
        for entry in &log.entries {
            self.digests.insert(entry.meta.position, entry.meta.after);
            self.read = entry.meta.position;
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
}
