//! A script: what happens when, and what is expected. Read from top to bottom, as time goes on.

use std::fmt;

use super::{Failed, Outcome};
use crate::executor::Time;
use crate::plan::{Act, Change, Fault, MS, Plan, SECOND, SlotPlan, VERSIONS};
use crate::world::{AGREE, Setup, World};

/// How often what must hold throughout is asked.
const STEP: Time = 20 * MS;

/// How often what is waited for is asked.
const CLOSE: Time = MS;

type Holds = Box<dyn Fn(&World) -> bool>;

/// Writes, and plays, a scenario.
pub struct Script {
    plan: Plan,
    setup: Setup,
    steps: Vec<Step>,
    agrees_within: Time,
    finally: Vec<(String, Holds)>,
}

enum Step {
    At(Time),
    After(Time),
    Act(Act),
    Expect(String, Holds),
    Within(Time, String, Holds),
    Throughout(Time, String, Holds),
}

impl Script {
    pub(super) fn new(seed: u64) -> Self {
        let (slots, acts) = (Vec::new(), Vec::new());
        let plan = Plan { seed, slots, acts, end: 0, full_read: 60 * SECOND };
        let (setup, agrees_within) = (Setup::default(), AGREE);
        Self { plan, setup, steps: Vec::new(), agrees_within, finally: Vec::new() }
    }

    // --- the zone ---

    /// The zone has so many nodes. The first starts alone, and so it leads.
    pub fn nodes(&mut self, count: usize) -> &mut Self {
        let (starts, observes, filtered, keeps) = (false, false, false, false);
        let slot = SlotPlan { starts, observes, filtered, keeps, ppm: 0, newest: VERSIONS.0 };
        self.plan.slots = vec![slot; count];
        self.plan.slots[0].starts = true;
        self
    }

    /// These nodes never stand for election.
    pub fn observers(&mut self, slots: std::ops::Range<usize>) -> &mut Self {
        slots.for_each(|slot| self.plan.slots[slot].observes = true);
        self
    }

    /// All nodes keep a local image.
    pub fn keeps(&mut self) -> &mut Self {
        self.plan.slots.iter_mut().for_each(|slot| slot.keeps = true);
        self
    }

    /// All nodes begin as a version that knows formats up to this one.
    pub fn version(&mut self, newest: u16) -> &mut Self {
        self.plan.slots.iter_mut().for_each(|slot| slot.newest = newest);
        self
    }

    /// All nodes but the first start now.
    pub fn others_join(&mut self) -> &mut Self {
        self.join(1..self.plan.slots.len())
    }

    /// These nodes start now.
    pub fn join(&mut self, slots: std::ops::Range<usize>) -> &mut Self {
        for slot in slots {
            self.strike(Fault::Join(slot));
        }
        self
    }

    /// Payloads are longer by so many bytes, so that batches and snapshots come in several parts.
    pub fn weight(&mut self, bytes: usize) -> &mut Self {
        self.setup.weight = bytes;
        self
    }

    /// A node's feed remembers so many changes.
    pub fn feed(&mut self, changes: usize) -> &mut Self {
        self.setup.feed_max = Some(changes);
        self
    }

    /// The primary reads everything so often.
    pub fn full_read(&mut self, time: Time) -> &mut Self {
        self.plan.full_read = time;
        self
    }

    // --- what happens ---

    /// Goes on at a moment.
    pub fn at(&mut self, time: Time) -> &mut Self {
        self.push(Step::At(time))
    }

    /// Goes on after a time.
    pub fn after(&mut self, time: Time) -> &mut Self {
        self.push(Step::After(time))
    }

    /// Something breaks.
    pub fn strike(&mut self, fault: Fault) -> &mut Self {
        self.push(Step::Act(Act::Fault(fault)))
    }

    /// Rows change.
    pub fn change(&mut self, change: Change) -> &mut Self {
        self.push(Step::Act(Act::Change(change)))
    }

    // --- what must hold ---

    /// Something holds now.
    pub fn expect(&mut self, what: &str, holds: impl Fn(&World) -> bool + 'static) -> &mut Self {
        self.push(Step::Expect(what.to_owned(), Box::new(holds)))
    }

    /// Something comes to hold within a time; the script goes on once it does.
    pub fn within(
        &mut self,
        time: Time,
        what: &str,
        holds: impl Fn(&World) -> bool + 'static,
    ) -> &mut Self {
        self.push(Step::Within(time, what.to_owned(), Box::new(holds)))
    }

    /// Something holds from now on for a time, while the script goes on.
    pub fn throughout(
        &mut self,
        time: Time,
        what: &str,
        holds: impl Fn(&World) -> bool + 'static,
    ) -> &mut Self {
        self.push(Step::Throughout(time, what.to_owned(), Box::new(holds)))
    }

    /// Something holds once faults have stopped and all is quiet.
    pub fn finally(&mut self, what: &str, holds: impl Fn(&World) -> bool + 'static) -> &mut Self {
        self.finally.push((what.to_owned(), Box::new(holds)));
        self
    }

    /// Once faults have stopped, all nodes agree within this time in the place of 3 TTL and 2 polls.
    pub fn agrees_within(&mut self, time: Time) -> &mut Self {
        self.agrees_within = time;
        self
    }

    fn push(&mut self, step: Step) -> &mut Self {
        self.steps.push(step);
        self
    }

    pub(super) fn play(self) -> Outcome {
        let world = World::new(&self.plan, self.setup);
        let mut player = Player { world, always: Vec::new(), failed: None, took: Vec::new() };
        for step in self.steps {
            if !player.is_over() {
                player.step(step);
            }
        }
        let last = player.always.iter().map(|(until, ..)| *until).max();
        player.run_to(last.unwrap_or(0));
        player.end(self.agrees_within, self.finally)
    }
}

/// Plays a script in its world.
struct Player {
    world: World,
    always: Vec<(Time, String, Holds)>,
    failed: Option<Failed>,
    took: Vec<(String, Time)>,
}

impl Player {
    fn is_over(&self) -> bool {
        self.failed.is_some() || self.world.is_broken()
    }

    fn fail(&mut self, expected: &str) {
        let (at, seen) = (self.world.now(), self.world.standings());
        self.failed.get_or_insert(Failed { at, expected: expected.to_owned(), seen });
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::At(time) => {
                assert!(time >= self.world.now(), "a script goes forward");
                self.run_to(time);
            }
            Step::After(time) => self.run_to(self.world.now() + time),
            Step::Act(act) => self.world.act(&act),
            Step::Expect(what, holds) => {
                if !holds(&self.world) {
                    self.fail(&what);
                }
            }
            Step::Within(time, what, holds) => {
                let begun = self.world.now();
                while !self.is_over() && !holds(&self.world) {
                    if self.world.now() >= begun + time {
                        self.fail(&format!("within {} ms: {what}", time / MS));
                    }
                    self.slice(CLOSE);
                }
                let time = self.world.now() - begun;
                self.world.note(|| format!("after {} ms: {what}", time / MS));
                self.took.push((what, time));
            }
            Step::Throughout(time, what, holds) => {
                self.always.push((self.world.now() + time, what, holds));
            }
        }
    }

    fn run_to(&mut self, end: Time) {
        while !self.is_over() && self.world.now() < end {
            self.slice(STEP.min(end - self.world.now()));
        }
    }

    fn slice(&mut self, time: Time) {
        let now = self.world.now() + time;
        self.world.run_to(now);
        self.always.retain(|(until, ..)| *until >= now);
        let world = &self.world;
        let broken = self.always.iter().find(|(_, _, holds)| !holds(world));
        if let Some(what) = broken.map(|(_, what, _)| format!("throughout: {what}")) {
            self.fail(&what);
        }
    }

    fn end(mut self, agrees_within: Time, finally: Vec<(String, Holds)>) -> Outcome {
        let (mut agreed, mut caught_up) = (None, None);
        if !self.is_over() {
            (agreed, caught_up) = self.world.come_to_rest();
            if agreed.is_none_or(|time| time > agrees_within) {
                self.fail(&format!("all agree within {} ms of the end", agrees_within / MS));
            }
            for (what, holds) in finally {
                if !holds(&self.world) {
                    self.fail(&format!("in the end: {what}"));
                }
            }
        }
        let mut failed = self.failed;
        let ending = self.world.end(agreed, caught_up);
        if let Some(broken) = &ending.broken {
            let expected = broken.promise.to_string();
            failed = Some(Failed { at: broken.at, expected, seen: broken.what.clone() });
        }
        Outcome { failed, took: self.took, ending }
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("steps", &self.steps.len()).finish_non_exhaustive()
    }
}
