//! How acts of a plan are carried out, and mended.

use std::collections::BTreeMap;

use zonesync_core::entity::{KINDS_MAX, Kind};
use zonesync_core::id::EntityKeyBuf;

use super::World;
use crate::executor::{HostId, Time};
use crate::net::{Manners, Wire};
use crate::plan::{Change, Fault, Row, Side};
use crate::plane::Partial;
use crate::rows;

/// How long a node has for a clean stop before it is killed.
const STOP_TIME: Time = 6_000_000_000;

impl Row {
    /// Gives its entity.
    pub fn key(self) -> EntityKeyBuf {
        match self {
            Self::Api(number) => rows::api(number),
            Self::Dictionary(number) => rows::dictionary(number),
            Self::Subscription(number) => rows::subscription(number),
            Self::Key(number) => rows::key(number),
            Self::Product(number) => rows::product(number),
        }
    }
}

impl World {
    pub(super) fn change(&mut self, change: &Change) {
        let keys = |rows: &[Row]| rows.iter().map(|row| row.key()).collect::<Vec<_>>();
        let at = self.executor.now();
        if let Change::Delete(row) = change {
            self.watch().note_of(at, row.key().as_ref(), || "its row is deleted".into());
        }
        if let Change::Set(rows) | Change::Off(rows) = change {
            for row in rows {
                self.watch().note_of(at, row.key().as_ref(), || match change {
                    Change::Set(_) => "its row is saved".into(),
                    _ => "its row says off".into(),
                });
            }
        }
        match change {
            Change::Set(rows) => self.plane.set(&keys(rows)),
            Change::Off(rows) => self.plane.off(&keys(rows)),
            Change::Delete(row) => self.plane.delete(&row.key()),
            Change::Poison(rows) => keys(rows).iter().for_each(|key| self.plane.poison(key)),
            Change::Keep => self.plane.keep(),
        }
    }

    pub(super) fn strike(&mut self, fault: &Fault) {
        match *fault {
            Fault::Crash(slot, time) => self.crash(slot, time),
            Fault::CrashPrimary(time) => self.with_primary(|world, slot| world.crash(slot, time)),
            Fault::Stop(slot, time) => self.stop(slot, Some(time)),
            Fault::StopPrimary(time) => {
                self.with_primary(|world, slot| world.stop(slot, Some(time)));
            }
            Fault::Version(slot, newest, time) => {
                self.slots[slot].plan.newest = newest;
                self.stop(slot, Some(time));
            }
            Fault::FleetRestart(time) => {
                for slot in self.running() {
                    self.kill(slot);
                    self.after(time, move |world| world.start(slot));
                }
            }
            Fault::Join(slot) => self.start(slot),
            Fault::Leave(slot) => {
                // The first two stay, so that somebody can lead.
                if slot >= 2 {
                    self.slots[slot].belongs = false;
                    self.stop(slot, None);
                }
            }
            Fault::Pause(slot, time) => self.pause(slot, time),
            Fault::PausePrimary(time) => self.with_primary(|world, slot| world.pause(slot, time)),
            Fault::Wake(slot) => self.wake(slot),
            Fault::Cut(slot, time) => self.cut(slot, time),
            Fault::CutPrimary(time) => self.with_primary(|world, slot| world.cut(slot, time)),
            Fault::Lossy(share, time) => self.rewire_all(time, move |wire, on| {
                wire.lost_requests = if on { share / 2 } else { 0 };
                wire.lost_replies = wire.lost_requests;
            }),
            Fault::Late(share, time) => {
                self.rewire_all(time, move |wire, on| wire.late = if on { share } else { 0 });
            }
            Fault::Doubled(share, time) => {
                self.rewire_all(time, move |wire, on| wire.doubled = if on { share } else { 0 });
            }
            Fault::LateChunks(time) => {
                self.rewire_all(time, |wire, on| wire.late_chunks = if on { 70 } else { 0 });
                self.after(time / 2, |world| {
                    world.with_primary(|world, slot| world.crash(slot, 2_000_000_000));
                });
            }
            Fault::Slow(most, time) => {
                self.rewire_all(time, move |wire, on| wire.slow = if on { most } else { 0 });
            }
            Fault::StoreDown(time) => self.server(time, |manners, on| manners.down = on),
            Fault::StoreFull(time) => self.server(time, |manners, on| manners.full = on),
            Fault::StoreReadOnly(time) => self.server(time, |manners, on| manners.read_only = on),
            Fault::StoreFlips(share, time) => {
                self.server(time, move |manners, on| manners.flips = if on { share } else { 0 });
            }
            Fault::StoreEmptied => self.net.lose(self.net.main(), None),
            Fault::StoreOld(ago) | Fault::StoreLostTail(ago) => self.lose(ago),
            Fault::Split(time) => self.split(time),
            Fault::SplitOff(ref slots) => self.split_off(slots),
            Fault::Lead(ref slots, side) => self.lead(slots, side),
            Fault::StallPrimary(time) => self.with_primary(|world, slot| world.stall(slot, time)),
            Fault::StoreClock(millis) => {
                self.net.server_host(self.net.main()).jump(millis);
                self.watch().lost();
            }
            Fault::WallClock(slot, millis) => {
                if let Some(node) = &self.slots[slot].node {
                    node.host.jump_wall(millis);
                }
            }
            Fault::Drift(slot, ppm) => {
                if let Some(node) = &self.slots[slot].node {
                    node.host.drift(ppm);
                }
            }
            Fault::WallClockOfPrimary(millis) => self.with_primary(|world, slot| {
                if let Some(node) = &world.slots[slot].node {
                    node.host.jump_wall(millis);
                }
            }),
            Fault::CrashAndStoreClock(time, millis) => {
                self.with_primary(|world, slot| world.crash(slot, time));
                self.net.server_host(self.net.main()).jump(millis);
                self.watch().lost();
            }
            Fault::FreshStart(time) => {
                for (number, slot) in (1..).zip(self.running()) {
                    self.kill(slot);
                    self.after(time * number, move |world| world.start(slot));
                }
                self.net.lose(self.net.main(), None);
            }
            Fault::DiskLost(slot, time) => {
                self.crash(slot, time);
                self.slots[slot].disk.lose();
                self.slots[slot].safe = None;
            }
            Fault::DiskFails(slot, time) => {
                self.slots[slot].disk.fail(true);
                self.slots[slot].failing = true;
                self.after(time, move |world| {
                    world.slots[slot].disk.fail(false);
                    world.slots[slot].failing = false;
                });
            }
            Fault::RepositoryDown(time) => {
                self.plane.behave(|manners| manners.down = true);
                self.after(time, |world| world.plane.behave(|manners| manners.down = false));
            }
            Fault::RepositorySlow(slow, time) => {
                self.plane.behave(|manners| manners.slow = slow);
                self.after(time, |world| world.plane.behave(|manners| manners.slow = 0));
            }
            Fault::RepositoryPartial(shown, time) => self.partial(shown, true, false, time),
            Fault::RepositoryIncomplete(shown, time) => self.partial(shown, true, true, time),
            Fault::RepositoryLies(shown, time) => self.partial(shown, false, false, time),
            Fault::RepositoryRestored => self.plane.restore(),
            Fault::Poison(ref rows, time) => {
                let keys: Vec<_> = rows.iter().map(|row| row.key()).collect();
                keys.iter().for_each(|key| self.plane.poison(key));
                // Some stay so to the end.
                if self.random.percent(50) {
                    return;
                }
                self.after(time, move |world| {
                    let still = |key: &EntityKeyBuf| world.plane.is_poison(key);
                    let keys: Vec<_> = keys.into_iter().filter(still).collect();
                    world.plane.set(&keys);
                });
            }
            Fault::RevokedInTheDark(share, time) => self.revoke_in_the_dark(share, time),
            Fault::Reject(row) => self.reject(&row.key()),
            Fault::Confirm => self.confirm(),
        }
    }

    fn with_primary(&mut self, act: impl FnOnce(&mut Self, usize)) {
        if let Some(slot) = self.primary() {
            act(self, slot);
        }
    }

    fn crash(&mut self, slot: usize, time: Time) {
        if self.slots[slot].node.is_some() {
            self.kill(slot);
            self.after(time, move |world| world.start(slot));
        }
    }

    /// Stops a node cleanly; it is started again after a time, if one is given.
    fn stop(&mut self, slot: usize, again: Option<Time>) {
        let Some(node) = &mut self.slots[slot].node else { return };
        if node.stopping {
            return;
        }
        node.stopping = true;
        node.sync.begin_stop();
        let id = node.id;
        self.note(|| format!("node {id} is stopped"));
        let gone = move |world: &mut World| {
            if world.slots[slot].node.as_ref().is_some_and(|node| node.id == id) {
                world.kill(slot);
            }
        };
        match again {
            Some(time) => self.after(STOP_TIME.min(time + 200_000_000), move |world| {
                gone(world);
                world.start(slot);
            }),
            None => self.after(STOP_TIME, gone),
        }
    }

    fn pause(&mut self, slot: usize, time: Time) {
        let Some(node) = &self.slots[slot].node else { return };
        let id = node.id;
        self.executor.pause(id);
        self.note(|| format!("node {id} stands still"));
        self.after(time, move |world| world.go_on(id));
    }

    fn wake(&mut self, slot: usize) {
        if let Some(node) = &self.slots[slot].node {
            self.go_on(node.id);
        }
    }

    fn go_on(&self, id: HostId) {
        self.note(|| format!("node {id} goes on"));
        self.watch().resumed(self.executor.now(), id);
        self.executor.resume(id);
    }

    fn cut(&mut self, slot: usize, time: Time) {
        let Some(node) = &self.slots[slot].node else { return };
        let id = node.id;
        self.note(|| format!("node {id} is cut off"));
        self.net.rewire(id, |wire| wire.cut = true);
        self.after(time, move |world| world.net.rewire(id, |wire| wire.cut = false));
    }

    /// Holds up what a node sends.
    fn stall(&mut self, slot: usize, time: Time) {
        let Some(node) = &self.slots[slot].node else { return };
        let (id, until) = (node.id, self.executor.now() + time);
        self.note(|| format!("what node {id} sends is held up"));
        self.net.rewire(id, |wire| wire.held_until = until);
    }

    fn ids_of(&self, slots: &[usize]) -> Vec<HostId> {
        let nodes = slots.iter().filter_map(|slot| self.slots[*slot].node.as_ref());
        nodes.map(|node| node.id).collect()
    }

    fn split_off(&mut self, slots: &[usize]) {
        let (server, ids) = (self.net.main(), self.ids_of(slots));
        let other = self.net.split(server, &ids);
        self.masters = Some((server, other));
        self.note(|| format!("nodes {ids:?} reach server {other}, the others server {server}"));
    }

    fn lead(&mut self, slots: &[usize], side: Side) {
        let Some((old, new)) = self.masters else { return };
        let server = if side == Side::Old { old } else { new };
        let ids = self.ids_of(slots);
        self.note(|| format!("nodes {ids:?} are led to server {server}"));
        ids.iter().for_each(|id| self.net.rewire(*id, |wire| wire.server = server));
    }

    fn ids(&self) -> Vec<HostId> {
        self.slots.iter().filter_map(|slot| slot.node.as_ref()).map(|node| node.id).collect()
    }

    fn rewire_all(&mut self, time: Time, change: impl Fn(&mut Wire, bool) + Clone + 'static) {
        let ids = self.ids();
        ids.iter().for_each(|id| self.net.rewire(*id, |wire| change(wire, true)));
        self.after(time, move |world| {
            ids.iter().for_each(|id| world.net.rewire(*id, |wire| change(wire, false)));
        });
    }

    fn server(&mut self, time: Time, change: impl Fn(&mut Manners, bool) + 'static) {
        let server = self.net.main();
        self.net.behave(server, |manners| change(manners, true));
        self.after(time, move |world| world.net.behave(server, |manners| change(manners, false)));
    }

    /// Puts the newest copy that is so old in the place of the store.
    fn lose(&mut self, ago: Time) {
        let then = self.executor.now().saturating_sub(ago);
        let server = self.net.main();
        let copy = self.copies.iter().rev().find(|(at, _)| *at <= then).map(|(_, copy)| copy);
        if let Some(copy) = copy.cloned() {
            self.net.lose(server, Some(&copy));
        }
    }

    fn split(&mut self, time: Time) {
        let server = self.net.main();
        let ids = self.ids();
        let mut gone: Vec<_> = ids.iter().copied().filter(|_| self.random.percent(50)).collect();
        if gone.len() == ids.len() {
            gone.pop();
        }
        let other = self.net.split(server, &gone);
        self.note(|| format!("nodes {gone:?} reach server {other}, the others server {server}"));
        let winner = if self.random.percent(50) { other } else { server };
        self.after(time, move |world| {
            world.note(|| format!("server {winner} wins"));
            world.net.join(winner);
        });
    }

    fn partial(&mut self, shown: u64, finds: bool, says_so: bool, time: Time) {
        let seed = self.random.next();
        let partial = Partial { shown, seed, finds, says_so };
        self.plane.behave(|manners| manners.partial = Some(partial));
        self.after(time, |world| world.plane.behave(|manners| manners.partial = None));
    }

    fn revoke_in_the_dark(&mut self, share: u64, time: Time) {
        for slot in self.running() {
            self.kill(slot);
            self.after(time, move |world| world.start(slot));
        }
        let is_key = |key: &EntityKeyBuf| key.as_ref().kind == Kind::API_KEY;
        let keys: Vec<_> = self.plane.on().into_iter().filter(is_key).collect();
        let gone: Vec<_> = keys.into_iter().filter(|_| self.random.percent(share)).collect();
        self.plane.off(&gone);
    }

    fn reject(&mut self, key: &EntityKeyBuf) {
        for node in self.slots.iter_mut().filter_map(|slot| slot.node.as_mut()) {
            if node.sync.state().reject(key.as_ref(), "the host cannot use it") {
                node.watched.reject(key.clone());
            }
        }
    }

    pub(super) fn confirm(&mut self) {
        let mut confirmed = BTreeMap::new();
        for node in self.slots.iter().filter_map(|slot| slot.node.as_ref()) {
            for held in node.sync.status().held {
                if node.sync.confirm_removal(&held.token) {
                    confirmed.insert(held.token, (held.kind, held.count));
                }
            }
        }
        if !confirmed.is_empty() {
            self.note(|| "a person confirms what is held".to_owned());
            let kinds = || (1..KINDS_MAX as u8).filter_map(Kind::from_code);
            let mut held = BTreeMap::<_, u64>::new();
            for (name, count) in confirmed.into_values() {
                // What is short is of no kind: it lets a read pass, and the guard judges that.
                if let Some(kind) = kinds().find(|kind| kind.to_string() == name) {
                    *held.entry(kind).or_default() += count;
                }
            }
            self.watch().confirmed(held);
        }
    }
}
