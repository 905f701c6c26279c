//! What one node told so far through its feed: the revision of each row.

use std::collections::VecDeque;

use zonesync::ZoneSync;
use zonesync::core::entity::Kind;
use zonesync::core::id::{EntityKey, Position};
use zonesync::state::{ChangeFeed, Step};

use super::{Promise, Promises};
use crate::stream::{Pair, number, revision};

/// How many revoked keys are looked up again and again.
const REVOKED_MAX: usize = 5_000;

/// How many of them at a time.
const LOOKED_UP: usize = 20;

/// The rows as one node has them. Revision zero is none.
#[derive(Debug)]
pub struct Seen {
    position: Position,
    pairs: Vec<Pair>,
    /// Keys that no longer open anything: number and revision.
    revoked: VecDeque<(u32, u32)>,
}

impl Seen {
    /// Starts with nothing seen of so many pairs.
    pub fn new(count: usize) -> Self {
        let pairs = vec![Pair { subscription: 0, key: 0, key_on: false }; count];
        Self { position: Position::START, pairs, revoked: VecDeque::with_capacity(REVOKED_MAX) }
    }

    /// Gives the position that the feed has come to.
    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// Counts the pairs that are not as these.
    pub(super) fn differing(&self, pairs: &[Pair]) -> usize {
        // A revoked key need not have been seen in its last revision.
        let same = |a: &Pair, b: &Pair| {
            (a.subscription, a.key_on) == (b.subscription, b.key_on)
                && (a.key == b.key || !a.key_on)
        };
        self.pairs.iter().zip(pairs).filter(|(a, b)| !same(a, b)).count()
    }

    /// Takes in all that the node holds, and starts a feed from there.
    pub(super) fn start(&mut self, promises: &Promises, node: &ZoneSync) -> ChangeFeed {
        let view = node.state().view();
        self.move_to(promises, node, view.position());
        for kind in [Kind::SUBSCRIPTION, Kind::API_KEY] {
            for (key, payload) in view.entities(kind) {
                self.deploy(promises, node, key, payload, false);
            }
        }
        node.state().changes(Some(view.position()))
    }

    /// Takes in a step of the feed.
    pub(super) fn take(&mut self, promises: &Promises, node: &ZoneSync, step: &Step) {
        // A first load or a heal comes from nowhere; all others follow.
        let follows = self.position.sequence.next() == Some(step.position.sequence)
            || self.position == Position::START
            || node.status().counters.heals > 0;
        promises.check(Promise::PositionsGrow, follows, || {
            format!("{node:?} jumps from {} to {}", self.position, step.position)
        });
        self.move_to(promises, node, step.position);
        for (key, payload) in &step.changes {
            match payload {
                Some(payload) => self.deploy(promises, node, key.as_ref(), payload, true),
                None => self.undeploy(promises, node, key.as_ref()),
            }
        }
    }

    fn move_to(&mut self, promises: &Promises, node: &ZoneSync, position: Position) {
        let grows = position >= self.position;
        promises.check(Promise::PositionsGrow, grows, || {
            format!("{node:?} goes back from {} to {position}", self.position)
        });
        self.position = position;
    }

    fn deploy(
        &mut self,
        promises: &Promises,
        node: &ZoneSync,
        key: EntityKey<'_>,
        payload: &[u8],
        is_change: bool,
    ) {
        let number = number(key.id).expect("ids hold a number");
        let new = revision(payload).expect("payloads hold a revision");
        let pair = &mut self.pairs[number as usize];
        let (old, was_on) = match key.kind {
            Kind::API_KEY => (&mut pair.key, std::mem::replace(&mut pair.key_on, true)),
            _ => (&mut pair.subscription, false),
        };
        let old = std::mem::replace(old, new);
        let kept = if is_change { new > old } else { new >= old };
        promises.check(Promise::NothingLost, kept, || {
            format!("{node:?} goes from revision {old} of {key} to {new}")
        });
        if was_on && new > old {
            self.revoke(promises, node, number, old);
        }
    }

    fn undeploy(&mut self, promises: &Promises, node: &ZoneSync, key: EntityKey<'_>) {
        let number = number(key.id).expect("ids hold a number");
        promises.check(Promise::NothingLost, key.kind == Kind::API_KEY, || {
            format!("{node:?} undeploys {key}")
        });
        let pair = &mut self.pairs[number as usize];
        pair.key_on = false;
        let old = pair.key;
        self.revoke(promises, node, number, old);
    }

    fn revoke(&mut self, promises: &Promises, node: &ZoneSync, number: u32, revision: u32) {
        promises.check_revoked(node, number, revision);
        if self.revoked.len() == REVOKED_MAX {
            self.revoked.pop_front();
        }
        self.revoked.push_back((number, revision));
    }

    /// Looks some of the revoked keys up again.
    pub(super) fn look_up_revoked(&mut self, promises: &Promises, node: &ZoneSync) {
        let some = self.revoked.len().min(LOOKED_UP);
        for (number, revision) in self.revoked.iter().take(some) {
            promises.check_revoked(node, *number, *revision);
        }
        self.revoked.rotate_left(some);
    }
}
