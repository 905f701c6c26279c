//! Several electors at one store: random delays, lost and late messages, pauses, clocks that run at
//! different speeds, and a store whose clock jumps.

use std::collections::BTreeSet;
use std::vec::Vec;

use super::*;
use crate::random::Random;

const ELECTORS: usize = 4;

/// A store with nothing but a lease, by the contract of a zone store. Times are in milliseconds.
#[derive(Default)]
struct Store {
    /// What its clock is ahead of the world's.
    ahead: u64,
    newest: Term,
    lease: Option<(InstanceId, Term, u64)>,
}

impl Store {
    fn expire(&mut self, now: u64) -> u64 {
        let now = now + self.ahead;
        self.lease.take_if(|(.., end)| *end <= now);
        now
    }

    fn look(&mut self, now: u64) -> (Option<Lease>, Term) {
        let now = self.expire(now);
        let shown = self.lease.map(|(instance, term, end)| Lease {
            remaining: Duration::from_millis(end - now),
            ..lease(instance, term, end)
        });
        (shown, self.newest)
    }

    fn acquire(&mut self, now: u64, by: InstanceId, command: Command) -> Answer {
        let Command::Acquire { id, known, still } = command else { unreachable!() };
        let now = self.expire(now);
        if let Some((instance, term, end)) = self.lease {
            if instance == by && term.id == id {
                return Answer::Granted(term);
            }
            if instance != by && still != Some(LeaseStamp(end)) {
                return Answer::Refused;
            }
        }
        if self.newest.epoch > known {
            return Answer::Stale(self.newest.epoch);
        }
        let epoch = self.newest.epoch.max(known).next().unwrap();
        self.newest = Term { epoch, id };
        self.lease = Some((by, self.newest, now + TTL.as_millis() as u64));
        Answer::Granted(self.newest)
    }

    fn renew(&mut self, now: u64, term: Term) -> Answer {
        let now = self.expire(now);
        match &mut self.lease {
            Some((_, held, end)) if *held == term && term == self.newest => {
                *end = now + TTL.as_millis() as u64;
                Answer::Granted(term)
            }
            _ => Answer::Refused,
        }
    }
}

#[derive(Clone)]
enum Reply {
    Looked(Option<Lease>, Term),
    Acquired(Answer),
    Renewed(Answer),
    Released,
    Failed,
}

struct One {
    elector: Elector,
    instance: InstanceId,
    /// Its clock runs at this many thousandths of the world's.
    speed: u64,
    paused_until: u64,
    /// A command on its way to the store, and when it gets there.
    going: Option<(u64, Command)>,
    /// An answer on its way back.
    coming: Option<(u64, Reply)>,
    wins: Vec<Term>,
}

impl One {
    fn clock(&self, now: u64) -> Instant {
        Instant::from_nanos(now * self.speed * 1_000)
    }
}

struct World {
    random: Random,
    now: u64,
    store: Store,
    ones: Vec<One>,
    /// Messages that arrive a second time, long after.
    late: Vec<(u64, InstanceId, Command)>,
    faults: bool,
    elections: BTreeSet<Term>,
    clock_jumped: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let ones = (1..=ELECTORS as u128).map(|number| {
            let instance = InstanceId(number);
            let own = Config { seed: random.next(), ..config(instance) };
            let speed = 970 + random.next() % 61;
            let elector = Elector::new(own, at(0));
            let (going, coming) = (None, None);
            One { elector, instance, speed, paused_until: 0, going, coming, wins: Vec::new() }
        });
        let ones = ones.collect();
        let store = Store::default();
        let (late, elections) = (Vec::new(), BTreeSet::new());
        Self { random, now: 0, store, ones, late, faults: true, elections, clock_jumped: false }
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.random.next().is_multiple_of(one_in)
    }

    /// Lets a few milliseconds pass.
    fn step(&mut self) {
        self.now += 1 + self.random.next() % 40;
        for number in 0..ELECTORS {
            self.deliver(number);
            if self.faults && self.chance(3000) {
                self.ones[number].paused_until = self.now + self.random.next() % 9000;
            }
            if self.now >= self.ones[number].paused_until {
                self.turn(number);
            }
        }
        for (due, by, command) in std::mem::take(&mut self.late) {
            if due > self.now {
                self.late.push((due, by, command));
                continue;
            }
            let leads = self
                .ones
                .iter()
                .any(|one| one.instance == by && one.elector.acting(one.clock(self.now)).is_some());
            let before = self.store.newest;
            self.execute(by, command);
            assert!(!leads || self.store.newest == before, "fenced by its own late message");
        }
        self.check();
    }

    fn execute(&mut self, by: InstanceId, command: Command) -> Reply {
        let now = self.now;
        match command {
            Command::Look => {
                let (lease, newest) = self.store.look(now);
                Reply::Looked(lease, newest)
            }
            Command::Acquire { .. } => Reply::Acquired(self.store.acquire(now, by, command)),
            Command::Renew(term) => Reply::Renewed(self.store.renew(now, term)),
            Command::Release(term) => {
                self.store.lease.take_if(|(_, held, _)| *held == term);
                Reply::Released
            }
        }
    }

    /// Brings a command to the store, where that is due.
    fn deliver(&mut self, number: usize) {
        let Some((_, command)) = self.ones[number].going.take_if(|(due, _)| *due <= self.now)
        else {
            return;
        };
        let instance = self.ones[number].instance;
        let lost = self.faults && self.chance(8);
        let reply = if lost && self.chance(2) {
            Reply::Failed
        } else {
            let reply = self.execute(instance, command);
            if lost { Reply::Failed } else { reply }
        };
        let delay = match reply {
            Reply::Failed => 1500,
            _ if self.faults && self.chance(10) => self.random.next() % 1500,
            _ => self.random.next() % 20,
        };
        self.ones[number].coming = Some((self.now + delay, reply));
        if self.faults && self.chance(10) {
            let due = self.now + self.random.next() % 20_000;
            self.late.push((due, instance, command));
        }
    }

    /// Hands in an answer that has come, lets time pass, takes a command.
    fn turn(&mut self, number: usize) {
        let one = &mut self.ones[number];
        let now = one.clock(self.now);
        if let Some((_, reply)) = one.coming.take_if(|(due, _)| *due <= self.now) {
            match reply {
                Reply::Looked(lease, newest) => {
                    one.elector.handle_look(now, lease.as_ref(), newest, &[], Position::START);
                }
                Reply::Acquired(answer) => one.elector.handle_acquired(now, answer),
                Reply::Renewed(answer) => one.elector.handle_renewed(now, answer),
                Reply::Released => one.elector.handle_released(now),
                Reply::Failed => one.elector.handle_failure(now),
            }
        }
        one.elector.handle_timeout(now);
        let due = one.elector.poll_timeout();
        if one.going.is_none() && one.coming.is_none() {
            if let Some(command) = one.elector.poll_command() {
                one.going = Some((self.now + self.random.next() % 20, command));
            } else {
                assert!(due.is_some_and(|due| due > now), "it would sleep forever, or not at all");
            }
        }
        while let Some(event) = one.elector.poll_event() {
            if let Event::Won(term) = event {
                one.wins.push(term);
                assert!(self.elections.insert(term), "a term has one primary");
            }
        }
        if self.faults && self.chance(2000) {
            let pause = Duration::from_millis(self.random.next() % 9000);
            self.ones[number].elector.step_down(now, pause);
        }
    }

    fn acting(&self) -> Vec<(&One, Term)> {
        let act = |one: &'_ One| one.elector.acting(one.clock(self.now));
        self.ones.iter().filter_map(|one| Some((one, act(one)?))).collect()
    }

    fn check(&mut self) {
        let now = self.now + self.store.ahead;
        let standing = self.store.lease.filter(|(.., end)| *end > now);
        let acting = self.acting();
        if self.clock_jumped {
            return;
        }
        assert!(acting.len() <= 1, "{} act at once", acting.len());
        for (one, term) in acting {
            let own = standing.is_some_and(|(by, held, _)| by == one.instance && held == term);
            assert!(own, "{} acts in {term:?} without a lease", one.instance);
        }
    }
}

fn run(seed: u64, story: impl FnOnce(&mut World)) {
    std::println!("replay with seed {seed}");
    story(&mut World::new(seed));
}

#[test]
fn never_do_two_act_at_once_and_nobody_without_a_lease() {
    for seed in 0..1500 {
        run(seed, |world| {
            while world.now < 60_000 {
                world.step();
            }
            world.faults = false;
            world.late.clear();
            world.ones.iter_mut().for_each(|one| one.paused_until = 0);
            let quiet = world.now;
            while world.now < quiet + 20_000 {
                world.step();
            }
            assert_eq!(world.acting().len(), 1, "nobody is elected");
            let elected = world.elections.len();
            while world.now < quiet + 60_000 {
                world.step();
            }
            assert_eq!(world.elections.len(), elected, "elections go on without a fault");
        });
    }
}

#[test]
fn a_jump_of_the_stores_clock_costs_at_most_one_election() {
    for seed in 0..300 {
        run(seed, |world| {
            world.faults = false;
            while world.now < 10_000 {
                world.step();
            }
            assert_eq!(world.elections.len(), 1);
            world.clock_jumped = true;
            if world.chance(2) {
                // A lease that stood for an hour, and nobody renews it any more.
                world.store.lease.as_mut().unwrap().2 += 3_600_000;
                let holder = world.store.lease.unwrap().0;
                let one = world.ones.iter_mut().find(|one| one.instance == holder).unwrap();
                one.paused_until = world.now + 300_000;
            } else {
                world.store.ahead += 100_000;
            }
            let jumped = world.now;
            while world.now < jumped + 60_000 {
                world.step();
            }
            assert!(world.elections.len() <= 2, "{} elections", world.elections.len());
            assert_eq!(world.acting().len(), 1);
        });
    }
}
