//! The end of a world: faults stop, and all must come to hold the same, and what the control plane
//! holds.

use super::{POLL, Slot, TTL, World};
use zonesync_core::entity::Kind;

use crate::executor::Time;
use crate::plan::SECOND;
use crate::watch::Promise;

/// How often the nodes are compared.
const STEP: Time = SECOND / 4;

/// Within this, all nodes hold what the control plane holds: a full read or two.
const REST: Time = 240 * SECOND;

/// Within this, they agree, unless a claim must be settled or a person must confirm.
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
                // What a full read brings is published later, and takes its time to arrive.
                let published = self.watch().published.0;
                let late = now.saturating_sub(begun.max(published)) > AGREE && !self.waits();
                let at = self.executor.now();
                let what = || format!("the nodes do not agree in time: {}", self.standings());
                self.watch.lock().expect("one thread").check(at, Promise::Converges, !late, what);
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
        self.let_one_read();
        for slot in 0..self.slots.len() {
            if self.slots[slot].belongs {
                self.start(slot);
            }
        }
    }

    /// Where all were rolled back and the zone was not, somebody upgrades one again: the rules
    /// promise no more, for nobody else can know what the head says.
    fn let_one_read(&mut self) {
        let format = self.head().map_or(0, |head| head.format);
        let can_lead = |slot: &Slot| slot.belongs && !slot.plan.observes;
        if self.slots.iter().any(|slot| can_lead(slot) && slot.plan.newest >= format) {
            return;
        }
        if let Some(slot) = self.slots.iter().position(can_lead) {
            self.note(|| format!("n{slot} is upgraded, so that somebody reads format {format}"));
            self.kill(slot);
            self.slots[slot].plan.newest = format;
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

    /// Says whether something needs more than faults to stop: open claims, or a person.
    fn waits(&self) -> bool {
        let (_, head) = self.net.store(self.net.main()).peek();
        let claims = head.is_some_and(|head| head.claims.open().next().is_some());
        let mut nodes = self.slots.iter().filter_map(|slot| slot.node.as_ref());
        claims || nodes.any(|node| !node.sync.status().held.is_empty())
    }

    /// Says whether the primary shows that something of a kind waits for a person.
    fn is_asked(&self, kind: Kind) -> bool {
        let mut nodes = self.slots.iter().filter_map(|slot| slot.node.as_ref());
        nodes.any(|node| node.sync.status().held.iter().any(|held| held.kind == kind.to_string()))
    }

    /// Lists what a node holds otherwise than the control plane.
    fn difference(&self) -> Vec<String> {
        let Some(node) = self.slots.iter().find_map(|slot| slot.node.as_ref()) else {
            return Vec::new();
        };
        let (mut all, stays) = node.watched.differences(&self.watch());
        // Where everything is read now and then, what has no row goes, or a person is asked.
        if self.full_read < 600 * SECOND {
            let unasked = stays.into_iter().filter(|key| !self.is_asked(key.as_ref().kind));
            all.extend(unasked.map(|key| format!("{key} stays, has no row, and nobody is asked")));
        }
        all
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
