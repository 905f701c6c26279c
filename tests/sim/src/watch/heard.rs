//! What each node was told, by the answers that reached it: which epochs there were, and which heads.

use std::collections::{BTreeMap, BTreeSet};

use zonesync_core::id::{Epoch, Position};

use super::{Call, Executed, Watch};
use crate::executor::HostId;

/// What the nodes know from their store.
#[derive(Default)]
pub(super) struct Heard {
    /// The highest epoch that each node was told of.
    epochs: BTreeMap<HostId, Epoch>,
    /// The nodes whose last read was of a store below that.
    below: BTreeSet<HostId>,
    /// The heads that each node was shown, or made, as long as somebody asks.
    heads: BTreeMap<HostId, BTreeSet<Position>>,
    /// Nodes of which nobody asks any more.
    known: BTreeSet<HostId>,
}

impl Watch {
    /// Takes in an answer that has reached its node, with the newest epoch that it tells of.
    pub fn answered(&mut self, host: HostId, reads: bool, epoch: Option<Epoch>) {
        let Some(epoch) = epoch else { return };
        let highest = self.heard.epochs.entry(host).or_default();
        let below = epoch < *highest;
        *highest = epoch.max(*highest);
        match (reads, below) {
            (true, true) => drop(self.heard.below.insert(host)),
            (true, false) => drop(self.heard.below.remove(&host)),
            _ => {}
        }
    }

    /// Says whether what a node read last is of a store below what it was told of.
    pub(super) fn follows_lower(&self, host: HostId) -> bool {
        self.heard.below.contains(&host)
    }

    pub(super) fn note_head(&mut self, done: &Executed<'_>) {
        let tells = matches!(done.call, Call::Read) || done.call.writes_as().is_some();
        if let Some(head) = done.after.1.as_ref().filter(|_| tells)
            && !self.heard.known.contains(&done.host)
        {
            self.heard.heads.entry(done.host).or_default().insert(head.position());
        }
    }

    /// Says whether a node that stands at `position` was shown, or made, a head there. Once it was,
    /// this is not asked again.
    pub(super) fn is_confirmed(&mut self, host: HostId, position: Position) -> bool {
        if !self.heard.heads.get(&host).is_some_and(|heads| heads.contains(&position)) {
            return false;
        }
        self.heard.heads.remove(&host);
        self.heard.known.insert(host)
    }
}
