//! A zone in one thread: real nodes, real stores, and everything around them from a plan.

mod acts;
mod queries;
mod quiet;
mod succession;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use zonesync::image::Disk;
use zonesync::runtime::Runtime;
use zonesync::store::memory::ZoneCopy;
use zonesync::{Options, Parts, ZoneSync};
use zonesync_core::election::Role;
use zonesync_core::format::{Filter, FormatRange};
use zonesync_core::id::{EntityKeyBuf, Position};

use crate::disk::SimDisk;
use crate::executor::{Executor, HostId, Time};
use crate::host::Host;
use crate::net::Net;
use crate::plan::{Act, MS, Plan, SECOND, SlotPlan};
use crate::plane::Plane;
use crate::random::Random;
use crate::watch::{Broken, Promise, Watch, Watched};
use succession::Succession;

pub use quiet::AGREE;

/// The lease.
pub const TTL: Duration = Duration::from_secs(3);

/// How often nodes look by themselves.
pub const POLL: Duration = Duration::from_secs(1);

/// A log longer than this is packed.
const LOG_MIN: u64 = 6_000;

/// How often the store is copied, so that it can lose what came after.
const COPY_EVERY: Time = SECOND / 2;

/// How many copies are kept.
const COPIES: usize = 300;

/// A world.
pub struct World {
    executor: Executor,
    random: Random,
    full_read: Time,
    net: Net,
    plane: Plane,
    watch: Arc<Mutex<Watch>>,
    slots: Vec<Slot>,
    next_host: HostId,
    copies: VecDeque<(Time, ZoneCopy)>,
    copied: Time,
    /// What is to be mended, and when.
    later: BTreeMap<(Time, u64), Mend>,
    count: u64,
    /// How often each kind of fault happened.
    faults: BTreeMap<&'static str, u64>,
    succession: Succession,
    setup: Setup,
    /// The old master and the new one, once there were two.
    masters: Option<(usize, usize)>,
    /// Which slot each node was of.
    slot_of: BTreeMap<HostId, usize>,
}

/// What no plan draws: limits that a scenario sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// How many changes a node's feed remembers.
    pub feed_max: Option<usize>,
    /// How many bytes longer than needed payloads are.
    pub weight: usize,
}

/// What mends a fault.
type Mend = Box<dyn FnOnce(&mut World)>;

struct Slot {
    plan: SlotPlan,
    /// The node belongs to the zone: it is started again when all is mended.
    belongs: bool,
    node: Option<Node>,
    disk: SimDisk,
    /// What the last node of this slot had safe on its disk when it died.
    safe: Option<Position>,
    /// The disk fails now, so a node may start without its image.
    failing: bool,
}

struct Node {
    id: HostId,
    host: Arc<Host>,
    sync: ZoneSync,
    watched: Watched,
    stopping: bool,
}

/// How a world ended.
#[derive(Debug)]
pub struct Ending {
    /// The first broken promise.
    pub broken: Option<Broken>,
    /// What happened last.
    pub trace: Vec<(Time, String)>,
    /// How often each kind of fault happened.
    pub faults: BTreeMap<&'static str, u64>,
    /// How often each promise was checked.
    pub checks: BTreeMap<Promise, u64>,
    /// How long it took all nodes to agree once faults had stopped.
    pub agreed_after: Option<Time>,
    /// The same, to hold what the control plane holds.
    pub caught_up_after: Option<Time>,
    /// How much time passed in the world.
    pub passed: Time,
}

/// Runs a plan to its end, or to the first broken promise.
pub fn run(plan: &Plan) -> Ending {
    run_telling(plan, None)
}

/// Runs a plan as [`run`] does, and tells the story of an entity in the trace.
pub fn run_telling(plan: &Plan, focus: Option<EntityKeyBuf>) -> Ending {
    let mut world = World::new(plan, Setup::default());
    world.watch().focus = focus;
    world.play(plan);
    let (mut agreed_after, mut caught_up_after) = (None, None);
    if !world.is_broken() {
        (agreed_after, caught_up_after) = world.come_to_rest();
    }
    world.end(agreed_after, caught_up_after)
}

impl World {
    /// Begins a world: its rows are there, its first nodes start.
    pub fn new(plan: &Plan, setup: Setup) -> Self {
        let mut random = Random::new(plan.seed);
        let executor = Executor::new(random.next());
        let plane = Plane::new(executor.clone(), random.fork());
        let watch = Arc::new(Mutex::new(Watch::new(plane.clone(), random.fork())));
        watch.lock().expect("one thread").has_filters = plan.slots.iter().any(|s| s.filtered);
        let net = Net::new(executor.clone(), random.fork(), Arc::clone(&watch));
        let slots = plan.slots.iter().map(|plan| Slot {
            plan: *plan,
            belongs: false,
            node: None,
            disk: SimDisk::new(executor.clone(), random.fork()),
            safe: None,
            failing: false,
        });
        let slots: Vec<_> = slots.collect();
        let mut world = Self {
            executor,
            random,
            full_read: plan.full_read,
            net,
            plane,
            watch,
            slots,
            next_host: 1,
            copies: VecDeque::new(),
            copied: 0,
            later: BTreeMap::new(),
            count: 0,
            faults: BTreeMap::new(),
            succession: Succession::default(),
            setup,
            masters: None,
            slot_of: BTreeMap::new(),
        };
        world.plane.weigh(setup.weight);
        world.plane.set(&Self::first_rows());
        for slot in 0..plan.slots.len() {
            if plan.slots[slot].starts {
                world.start(slot);
            }
        }
        world
    }

    fn play(&mut self, plan: &Plan) {
        for (at, act) in &plan.acts {
            self.run_to(*at);
            if self.is_broken() {
                return;
            }
            self.act(act);
        }
        self.run_to(plan.end);
    }

    /// Carries an act out.
    pub fn act(&mut self, act: &Act) {
        match act {
            Act::Change(change) => self.change(change),
            Act::Fault(fault) => {
                *self.faults.entry(fault.kind()).or_default() += 1;
                self.note(|| format!("{act}"));
                self.expect_successor(fault);
                self.strike(fault);
            }
        }
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().expect("one thread")
    }

    /// Says whether a promise was broken.
    pub fn is_broken(&self) -> bool {
        self.watch().broken().is_some()
    }

    /// Notes something for the trace.
    pub fn note(&self, what: impl FnOnce() -> String) {
        let at = self.executor.now();
        self.watch().note(at, what);
    }

    /// Lets time pass, mends what is due, and copies the store now and then.
    pub fn run_to(&mut self, end: Time) {
        while !self.is_broken() {
            let due = self.later.first_key_value().map(|(key, _)| *key);
            let mend = due.map_or(Time::MAX, |(at, _)| at);
            let copy = self.copied + COPY_EVERY;
            let succession = self.succession.due().unwrap_or(Time::MAX);
            let next = end.min(mend).min(copy).min(succession);
            self.run_nodes(next);
            self.check_successor();
            if self.is_broken() {
                return;
            }
            if succession <= next {
                continue;
            }
            if let Some(key) = due.filter(|(at, _)| *at <= next)
                && let Some(mend) = self.later.remove(&key)
            {
                mend(self);
            } else if copy <= next {
                self.copied = copy;
                let store = self.net.store(self.net.main());
                self.copies.push_back((copy, store.copy_zone()));
                if self.copies.len() > COPIES {
                    self.copies.pop_front();
                }
            } else {
                return;
            }
        }
    }

    fn run_nodes(&mut self, end: Time) {
        let (executor, watch, slots) = (self.executor.clone(), &self.watch, &mut self.slots);
        let busy = executor.run_until(end, &mut |host| {
            let mut watch = watch.lock().expect("one thread");
            let mut nodes = slots.iter_mut().filter_map(|slot| slot.node.as_mut());
            if let Some(node) = nodes.find(|node| node.id == host) {
                node.watched.see(executor.now(), &node.sync, &mut watch);
            }
            watch.broken().is_none()
        });
        if let Some(host) = busy {
            let what = || format!("node {host} is busy without an end");
            self.watch().check(self.executor.now(), Promise::BadBytes, false, what);
        }
    }

    /// Does something later.
    fn after(&mut self, time: Time, mend: impl FnOnce(&mut World) + 'static) {
        self.count += 1;
        let at = self.executor.now() + time;
        self.later.insert((at, self.count), Box::new(mend));
    }

    /// Starts the node of a slot, if it does not run.
    fn start(&mut self, slot: usize) {
        if self.slots[slot].node.is_some() {
            return;
        }
        let id = self.next_host;
        self.next_host += 1;
        let plan = self.slots[slot].plan;
        let host = Arc::new(Host::new(self.executor.clone(), id, plan.ppm, self.random.fork()));
        if plan.observes {
            self.watch().observers.insert(id);
        }
        let formats = FormatRange::up_to(plan.newest);
        self.watch().formats.start(id, formats);
        let link = self.net.connect(id, self.net.main());
        let options = Options {
            ttl: TTL,
            poll: POLL,
            full_read: Duration::from_nanos(self.full_read),
            candidate: !plan.observes,
            formats,
            filter: Filter(if plan.filtered { 2 } else { 1 }),
            log_min: LOG_MIN,
            feed_max: self.setup.feed_max.unwrap_or(Options::default().feed_max),
            ..Options::default()
        };
        self.slot_of.insert(id, slot);
        let sync = ZoneSync::start_with(Parts {
            zone: "sim".parse().expect("a zone's name"),
            node: format!("n{slot}").parse().expect("a node's name"),
            runtime: Arc::clone(&host) as Arc<dyn Runtime>,
            store: Arc::new(link),
            repository: Some(Arc::new(self.plane.source(plan.filtered))),
            image: plan.keeps.then(|| Arc::new(self.slots[slot].disk.clone()) as Arc<dyn Disk>),
            options,
        });
        self.note(|| format!("node {id} starts as n{slot}, format {}", plan.newest));
        let safe = self.slots[slot].safe.take().filter(|_| !self.slots[slot].failing);
        let watched = Watched::new(id, &sync, safe, self.setup.feed_max.is_some());
        let node = Node { id, host, sync, watched, stopping: false };
        self.slots[slot].node = Some(node);
        self.slots[slot].belongs = true;
    }

    /// Kills the node of a slot.
    fn kill(&mut self, slot: usize) {
        let Some(node) = self.slots[slot].node.take() else { return };
        self.note(|| format!("node {} dies", node.id));
        let safe = node.sync.status().image.and_then(|image| image.position);
        self.executor.kill(node.id);
        self.slots[slot].disk.crash();
        self.slots[slot].safe = safe;
        // A dead node's requests are still on their way; so its wire stays for a while.
        let id = node.id;
        self.after(20 * SECOND, move |world| world.net.disconnect(id));
    }

    /// Gives the slot of a node that takes itself for the primary.
    pub fn primary(&self) -> Option<usize> {
        let leads = |slot: &Slot| {
            slot.node.as_ref().is_some_and(|node| node.sync.status().role == Role::Primary)
        };
        self.slots.iter().position(leads)
    }

    fn running(&self) -> Vec<usize> {
        (0..self.slots.len()).filter(|slot| self.slots[*slot].node.is_some()).collect()
    }

    /// Ends the world.
    pub fn end(mut self, agreed_after: Option<Time>, caught_up_after: Option<Time>) -> Ending {
        for slot in 0..self.slots.len() {
            self.kill(slot);
        }
        self.executor.clear();
        let watch = self.watch();
        Ending {
            broken: watch.broken().cloned(),
            trace: watch.trace().cloned().collect(),
            faults: self.faults.clone(),
            checks: watch.checks().clone(),
            agreed_after,
            caught_up_after,
            passed: self.executor.now(),
        }
    }
}

/// Tells a moment of the world.
pub fn clock(at: Time) -> String {
    format!("{:>4}.{:03} s", at / SECOND, at % SECOND / MS)
}
