//! The end of a world: faults stop, and all must come to hold the same, and what the control plane
//! holds.

use super::{POLL, TTL, World};
use crate::executor::Time;
use crate::plan::SECOND;
use crate::watch::Promise;

/// How often the nodes are compared.
const STEP: Time = SECOND / 4;

/// Within this, all nodes hold what the control plane holds: a full read or two.
const REST: Time = 240 * SECOND;

/// Within this, they agree, if nothing needs a full read.
pub const AGREE: Time = (3 * TTL.as_nanos() + 2 * POLL.as_nanos()) as Time;

impl World {
    /// Ends all faults and waits. Gives when all agreed, and when all was as in the control plane.
    pub fn come_to_rest(&mut self) -> (Option<Time>, Option<Time>) {
        self.mend_all();
        let begun = self.executor.now();
        let (mut agreed, mut rested) = (None, None);
        let mut asked = begun + REST / 2;
        while !self.is_broken() && self.executor.now() - begun < REST {
            let now = self.executor.now();
            self.run_to(now + STEP);
            if now > asked {
                // What the guard holds waits for a person, and claims wait with it.
                asked = now + REST / 10;
                self.confirm();
            }
            if !self.agree() {
                agreed = None;
                continue;
            }
            agreed = agreed.or(Some(self.executor.now() - begun));
            if self.difference().is_empty() {
                rested = Some(self.executor.now() - begun);
                break;
            }
        }
        if rested.is_none() && !self.is_broken() {
            let what = match agreed {
                Some(_) => format!("all agree, but {}", self.difference().join(", ")),
                None => format!("the nodes do not agree: {}", self.standings()),
            };
            let at = self.executor.now();
            self.watch().check(at, Promise::Converges, false, || what);
        }
        (agreed, rested)
    }

    fn mend_all(&mut self) {
        self.note(|| "faults stop".to_owned());
        while let Some((_, mend)) = self.later.pop_first() {
            mend(self);
        }
        self.net.mend();
        self.net.join(self.net.main());
        self.plane.behave(|manners| *manners = crate::plane::Manners::default());
        for slot in 0..self.slots.len() {
            if self.slots[slot].belongs {
                self.start(slot);
            }
        }
    }

    /// Says whether all nodes are in sync at one position with one digest.
    pub fn agree(&self) -> bool {
        let nodes = self.slots.iter().filter_map(|slot| slot.node.as_ref());
        let mut all = nodes.map(|node| node.sync.status());
        let Some(first) = all.next() else { return true };
        let same = |other: &zonesync::status::Status| {
            other.position == first.position && other.digest == first.digest && other.in_sync
        };
        same(&first) && all.all(|other| same(&other))
    }

    /// Lists what a node holds otherwise than the control plane.
    fn difference(&self) -> Vec<String> {
        let watch = self.watch();
        let first = self.slots.iter().find_map(|slot| slot.node.as_ref());
        first.map_or_else(Vec::new, |node| node.watched.differences(&watch))
    }

    /// Tells how each node stands.
    pub fn standings(&self) -> String {
        let nodes = self.slots.iter().filter_map(|slot| slot.node.as_ref());
        let told = nodes.map(|node| {
            let status = node.sync.status();
            format!(
                "node {} ({}) at {} with {}{} {}",
                node.id,
                crate::watch::role(status.role),
                status.position,
                &status.digest[..8.min(status.digest.len())],
                if status.in_sync { "" } else { ":" },
                status.reason,
            )
        });
        told.collect::<Vec<_>>().join("; ")
    }
}
