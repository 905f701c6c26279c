//! A zone of real nodes, a store and a repository that are plain values, and everything that may go
//! wrong between them, from one seed.
//!
//! The promises are checked after each event. To replay a seed, set `ZONESYNC_SEED`.

mod alone;
mod formats;
mod host;
mod image;
mod rules;
mod store;
mod takeovers;

use std::collections::{BTreeMap, BTreeSet};
use std::vec::Vec;

use host::{Ask, FULL_READ, Host, POLL, TTL, Told};
use store::{State, Store, digest};

use super::{Event, Reason};
use crate::digest::Fingerprint;
use crate::election::Role;
use crate::format::FormatRange;
use crate::id::{InstanceId, Position, Term};
use crate::random::Random;
use crate::time::{Duration, Instant};

const HOSTS: usize = 4;
const IDS: u64 = 10;

struct World {
    random: Random,
    now: Instant,
    hosts: Vec<Host>,
    /// One, or two while a master that was replaced still answers.
    stores: Vec<Store>,
    old: Option<Store>,
    truth: State,
    versions: u32,
    /// Messages that arrive once more, or after their sender is gone.
    late: Vec<(Instant, usize, Ask)>,
    faults: bool,
    instances: u128,
    won: BTreeMap<Term, InstanceId>,
    named: BTreeMap<Position, Fingerprint>,
    announced: BTreeSet<Position>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            random: Random::new(seed),
            now: Instant::from_nanos(1_000_000_000),
            hosts: Vec::new(),
            stores: [Store::default()].into(),
            old: None,
            truth: State::new(),
            versions: 0,
            late: Vec::new(),
            faults: true,
            instances: 0,
            won: BTreeMap::new(),
            named: BTreeMap::new(),
            announced: BTreeSet::new(),
        };
        (0..6).for_each(|_| world.change_truth());
        for number in 0..HOSTS {
            let host = world.start(number);
            world.hosts.push(host);
        }
        world
    }

    /// Starts a host; the last one is an observer. The first is always of the newest version, each
    /// other now of this and now of the one before.
    fn start(&mut self, number: usize) -> Host {
        self.instances += 1;
        let candidate = number + 1 < HOSTS;
        let mut host = Host::new(self.instances, candidate, self.random.next(), self.now);
        if number > 0 && self.instances.is_multiple_of(2) {
            host = host.reading(self.now, FormatRange::up_to(1));
        }
        host.master = self.pick(2) as usize;
        host
    }

    fn pick(&mut self, of: u64) -> u64 {
        self.random.next() % of
    }

    fn millis(&mut self, most: u64) -> Duration {
        Duration::from_millis(self.pick(most))
    }

    fn change_truth(&mut self) {
        let id = self.pick(IDS) as u32;
        self.versions += 1;
        if self.pick(3) == 0 {
            self.truth.remove(&id);
        } else {
            self.truth.insert(id, self.versions);
        }
    }

    /// Goes to the next moment at which something is due, and does it.
    fn step(&mut self) {
        let lanes = self.hosts.iter().flat_map(|host| host.lanes.iter().map(|lane| lane.due()));
        let nodes = self
            .hosts
            .iter()
            .map(|host| host.node.poll_timeout().map(|due| due.max(host.paused_until)));
        let late = self.late.iter().map(|(due, ..)| Some(*due));
        let next = lanes.chain(nodes).chain(late).flatten().min().expect("something is due");
        let next = next.max(self.now + Duration::from_millis(1));
        // Faults come in between.
        self.now = next.min(self.now + Duration::from_millis(20));
        if self.faults && self.pick(12) == 0 {
            self.fault();
        }
        for number in 0..HOSTS {
            (0..2).for_each(|lane| self.deliver(number, lane));
            if self.now >= self.hosts[number].paused_until {
                self.turn(number);
            }
        }
        let (due, rest) = self.late.drain(..).partition(|(due, ..)| *due <= self.now);
        self.late = rest;
        let due: Vec<(Instant, usize, Ask)> = due;
        for (_, master, ask) in due {
            self.carry_out(master, ask);
        }
    }

    fn fault(&mut self) {
        let number = self.pick(HOSTS as u64) as usize;
        match self.pick(40) {
            0..=13 => self.change_truth(),
            14..=16 => {
                for lane in core::mem::take(&mut self.hosts[number].lanes) {
                    if let Some((due, ask)) = lane.going {
                        self.late.push((due, self.hosts[number].master, ask));
                    }
                }
                // Every other one finds its image, which may be too old to be served.
                let image = self.hosts[number].image.take().filter(|_| self.pick(2) == 0);
                let fresh_for = self.millis(2).max(self.millis(2)) * 10_000;
                self.hosts[number] = self.start(number).with_image(self.now, image, fresh_for);
            }
            17..=20 => self.hosts[number].paused_until = self.now + self.millis(3000),
            21..=24 => self.hosts[number].cut_until = self.now + self.millis(3000),
            25..=26 => self.old = Some(self.stores[0].clone()),
            27 => self.stores[0] = Store::default(),
            28..=29 => {
                if let Some(old) = self.old.take() {
                    self.stores[0] = old;
                }
            }
            30..=31 if self.stores.len() == 1 => {
                let copy = self.old.clone().filter(|_| self.pick(2) == 0);
                self.stores.push(copy.unwrap_or_else(|| self.stores[0].clone()));
            }
            30..=33 => {
                // Either of the two may be the one that stays.
                let gone = self.pick(self.stores.len() as u64) as usize;
                if self.stores.len() > 1 {
                    self.stores.remove(gone);
                }
            }
            34..=35 => self.hosts[number].master = self.pick(2) as usize,
            36 => {
                let pause = self.millis(2000);
                self.hosts[number].node.step_down(self.now, pause);
            }
            37 => self.hosts[number].node.want_full_read(),
            _ => {}
        }
    }

    fn carry_out(&mut self, master: usize, ask: Ask) -> Told {
        let master = master % self.stores.len();
        let store = &mut self.stores[master];
        let told = ask.carry_out(self.now, store, &self.truth);
        if let Some(entry) = store.log.last() {
            name(&mut self.named, entry.meta.position, entry.meta.after);
        }
        if let Some(head) = &store.head {
            name(&mut self.named, head.position(), head.digest.fingerprint());
            if head.is_complete() {
                self.announced.insert(head.position());
            }
        }
        told
    }

    /// Brings a message to where it goes, where that is due.
    fn deliver(&mut self, number: usize, lane: usize) {
        let host = &mut self.hosts[number];
        let Some((_, ask)) = host.lanes[lane].going.take_if(|(due, _)| *due <= self.now) else {
            return;
        };
        let (cut, master) = (host.cut_until > self.now, host.master);
        let local = matches!(ask, Ask::Nothing);
        let fate = if self.faults && !local { self.pick(30) } else { 30 };
        if fate == 29 {
            let due = self.now + self.millis(4000);
            self.late.push((due, master, ask.clone()));
        }
        let told = match &ask {
            Ask::Rows if fate < 4 => Told::Failed,
            Ask::Rows if fate < 8 => {
                let id = self.pick(IDS) as u32;
                Told::Rows(
                    self.truth.iter().filter(|row| *row.0 != id).map(|(k, v)| (*k, *v)).collect(),
                    false,
                )
            }
            Ask::Rows | Ask::Nothing => self.carry_out(master, ask),
            _ if cut || fate == 0 => Told::Failed,
            _ if fate == 1 => {
                self.carry_out(master, ask);
                Told::Failed
            }
            _ => self.carry_out(master, ask),
        };
        let delay = match told {
            Told::Failed => TTL / 2,
            _ if fate == 2 => self.millis(500),
            _ => self.millis(5),
        };
        self.hosts[number].lanes[lane].coming = Some((self.now + delay, told));
    }

    /// Hands in what has come, lets time pass, begins what is due.
    fn turn(&mut self, number: usize) {
        let now = self.now;
        let mut due = false;
        for lane in 0..2 {
            let host = &mut self.hosts[number];
            if let Some((_, told)) = host.lanes[lane].coming.take_if(|(due, _)| *due <= now) {
                due = true;
                let next = host.take(now, lane, told);
                if let Some(ask) = next {
                    let delay = self.millis(5);
                    self.hosts[number].lanes[lane].going = Some((now + delay, ask));
                }
            }
        }
        let host = &mut self.hosts[number];
        let store = &self.stores[host.master % self.stores.len()];
        let moved = host.node.watching().is_some_and(|seen| store.has_moved(seen));
        if moved && host.cut_until <= now {
            due = true;
            host.node.handle_wake(now);
        }
        if host.node.watches_repository() && host.last_read.as_ref() != Some(&self.truth) {
            due = true;
            host.node.handle_repository_changed();
        }
        if !due && host.node.poll_timeout().is_some_and(|due| due > now) {
            return;
        }
        host.node.handle_timeout(now);
        let asks = host.begin(now, &mut self.random);
        let idle = asks.iter().all(|ask| ask.is_none());
        let due = host.node.poll_timeout();
        assert!(!idle || due.is_none_or(|due| due > now), "{number} spins at {due:?}");
        for (lane, ask) in asks.into_iter().enumerate() {
            if let Some(ask) = ask {
                let delay = self.millis(5);
                self.hosts[number].lanes[lane].going = Some((now + delay, ask));
            }
        }
        self.check(number);
    }

    fn check(&mut self, number: usize) {
        let host = &mut self.hosts[number];
        let instance = host.config.election.instance;
        while let Some(event) = host.node.poll_event() {
            match event {
                Event::Won(term) => {
                    let other = self.won.insert(term, instance);
                    assert_eq!(other, None, "a term has one primary");
                }
                Event::Lost(..) => host.discard(),
                _ => {}
            }
        }
        let standing = host.node.standing(self.now);
        assert!(standing.ready || !host.was_ready, "ready is never taken back");
        let Some(held) = host.node.held().cloned() else {
            assert!(!standing.ready, "ready with nothing");
            return;
        };
        assert_eq!(held.digest, digest(&host.own), "what the node takes its state for");
        assert_eq!(held.position, held.list.position(), "its list ends where it stands");
        name(&mut self.named, held.position, held.digest.fingerprint());
        if standing.ready && !host.was_ready {
            host.was_ready = true;
            assert!(self.announced.contains(&held.position), "ready at {}", held.position);
        }
        assert!(held.position >= host.stood, "it went back to {}", held.position);
        host.stood = held.position;
        // Now and then it reaches the disk.
        if self.random.next().is_multiple_of(4) {
            host.image = Some((held.clone(), host.own.clone()));
        }
        for (id, (value, gone)) in &mut host.newest {
            match host.own.get(id) {
                Some(now) => assert!(now > value || (now == value && !*gone), "{id} is back"),
                None => *gone = true,
            }
        }
        host.newest.extend(host.own.iter().map(|(id, value)| (*id, (*value, false))));
    }

    /// Ends the faults, and sees all come to the truth within the time that is promised.
    fn settle(&mut self) {
        self.faults = false;
        self.late.clear();
        self.stores.truncate(1);
        for host in &mut self.hosts {
            host.paused_until = self.now;
            host.cut_until = self.now;
        }
        let quiet = self.now;
        while !self.is_settled() {
            let passed = self.now.since(quiet);
            assert!(
                passed < TTL * 3 + POLL * 2 + FULL_READ * 2,
                "not settled: {:#?}",
                self.report()
            );
            self.step();
        }
        // A last loss may only be noticed now.
        self.rest();
        let steps = self.hosts.iter().map(|host| host.steps).sum::<u32>();
        self.rest();
        assert!(self.is_settled(), "it does not stay settled: {:#?}", self.report());
        let steps = self.hosts.iter().map(|host| host.steps).sum::<u32>() - steps;
        assert!(steps < 15 * HOSTS as u32, "{steps} steps while nothing happens");
    }

    /// Lets ten polls pass.
    fn rest(&mut self) {
        let began = self.now;
        while self.now.since(began) < POLL * 10 {
            self.step();
        }
    }

    fn is_settled(&self) -> bool {
        let truth = digest(&self.truth);
        let primaries = self.hosts.iter().filter(|host| host.node.role() == Role::Primary).count();
        let same = |host: &Host| {
            let standing = host.node.standing(self.now);
            standing.ready
                && standing.in_sync
                && !standing.stale
                && standing.reason == Reason::None
                && host.node.held().is_some_and(|held| held.digest == truth)
        };
        primaries == 1 && self.hosts.iter().all(same)
    }

    fn report(&self) -> impl core::fmt::Debug {
        let head = self.stores[0].head.as_ref();
        let head = head.map(|head| (head.position(), head.claims.clone(), head.is_complete()));
        let nodes = self.hosts.iter().map(|host| {
            let held = host.node.held();
            let missing = host::changes(&host.own, &self.truth).len();
            (
                host.node.role(),
                held.map(|held| held.position),
                host.node.standing(self.now),
                missing,
            )
        });
        (head, nodes.collect::<Vec<_>>())
    }
}

fn name(named: &mut BTreeMap<Position, Fingerprint>, position: Position, state: Fingerprint) {
    let known = *named.entry(position).or_insert(state);
    assert_eq!(known, state, "{position} names two states");
}

fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("ZONESYNC_SEED") {
        Ok(seed) => [seed.parse().expect("a seed is a number")].into(),
        Err(_) => (0..count).collect(),
    }
}

#[test]
fn whatever_goes_wrong_the_promises_are_kept() {
    for seed in seeds(1000) {
        std::println!("replay: ZONESYNC_SEED={seed}");
        let mut world = World::new(seed);
        let length = world.millis(12_000);
        let begun = world.now;
        while world.now.since(begun) < length {
            world.step();
        }
        world.settle();
    }
}
