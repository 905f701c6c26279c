//! What benches of a whole zone share: nodes over one store and one [`Stream`].
//!
//! The store is embedded, or with `STORE=redis` a Redis server that is started for it.
//!
//! Each node has a runtime of its own, as a process would have, with the two threads that a node
//! starts by default.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use zonesync::core::election::Role;
use zonesync::core::id::{Epoch, Position};
use zonesync::runtime::{Runtime, Smol};
use zonesync::state::State;
use zonesync::store::ZoneStore;
use zonesync::store::memory::{MemoryOptions, MemoryStore};
use zonesync::{Options, Parts, ZoneSync};

use crate::figure::{self, Goal, Times};
use crate::fixed;
use crate::flow::Flow;
use crate::servers::redis::RedisServer;
use crate::stream::Stream;

const NO_PANIC: &str = "no hook panics";

/// A zone of several nodes in this process.
#[derive(Debug)]
pub struct Zone {
    store: Place,
    /// What the primary reads.
    pub stream: Stream,
    options: Options,
    nodes: Vec<Arc<ZoneSync>>,
    /// The states that the hooks of the nodes look at; emptied when a node is replaced, since a hook
    /// lives as long as its state.
    hooked: Vec<Arc<Mutex<Option<State>>>>,
    begun: Arc<Mutex<BTreeMap<Epoch, Begun>>>,
}

/// Where a zone's store is.
#[derive(Debug)]
enum Place {
    Memory(MemoryStore),
    Redis(RedisServer),
}

impl Place {
    /// Takes what `STORE` asks for. None if that is not to be had, with a word on it.
    fn new() -> Option<Self> {
        match std::env::var("STORE").as_deref() {
            Ok("redis") => RedisServer::start(&[]).map(Self::Redis),
            Ok("memory") | Err(_) => {
                let clock: Arc<dyn Runtime> =
                    Arc::new(Smol::new(1).expect("a thread can be started"));
                let name = fixed::ZONE.parse().expect("a good name");
                Some(Self::Memory(MemoryStore::new(name, clock, MemoryOptions::default())))
            }
            Ok(other) => {
                eprintln!("STORE is memory or redis, and not {other}");
                None
            }
        }
    }

    /// Opens the store for one node.
    fn open(&self) -> (Arc<dyn Runtime>, Arc<dyn ZoneStore>) {
        match self {
            Self::Memory(store) => {
                let runtime = Arc::new(Smol::new(2).expect("threads can be started"));
                (runtime, Arc::new(store.clone()))
            }
            Self::Redis(server) => {
                let (runtime, store) = fixed::store(server.port());
                (runtime, Arc::new(store))
            }
        }
    }
}

/// The first position of an epoch that was seen in the state of some node, and when.
#[derive(Clone, Copy, Debug)]
struct Begun {
    at: Instant,
    position: Position,
}

/// What a take-over showed.
#[derive(Clone, Copy, Debug)]
pub struct TakeOver {
    /// The node that was ended.
    pub ended: usize,
    /// How long it took from there until some node held a position of the successor.
    pub time: Duration,
    /// Where the state of the ended node stood at last.
    pub last: Position,
    /// Where the successor began.
    pub first: Position,
}

impl Zone {
    /// Starts `count` nodes and waits until all are in sync. None where the store cannot be had.
    pub fn start(count: usize, stream: Stream, options: Options) -> Option<Self> {
        let store = Place::new()?;
        let hooked = (0..count).map(|_| Arc::default()).collect();
        let begun = Arc::default();
        let mut zone = Self { store, stream, options, nodes: Vec::new(), hooked, begun };
        zone.nodes = (0..count).map(|number| zone.node(number)).collect();
        zone.wait_in_sync();
        Some(zone)
    }

    /// Opens the zone's store beside the nodes.
    pub fn open_store(&self) -> Arc<dyn ZoneStore> {
        self.store.open().1
    }

    fn node(&self, number: usize) -> Arc<ZoneSync> {
        let (runtime, store) = self.store.open();
        let node = ZoneSync::start_with(Parts {
            zone: fixed::ZONE.parse().expect("a good name"),
            node: format!("node-{number}").parse().expect("a good name"),
            runtime,
            store,
            repository: Some(Arc::new(self.stream.reader())),
            image: None,
            options: self.options.clone(),
        });
        let (hooked, begun) = (Arc::clone(&self.hooked[number]), Arc::clone(&self.begun));
        *hooked.lock().expect(NO_PANIC) = Some(node.state().clone());
        node.state().on_change(Box::new(move || {
            let at = Instant::now();
            let position = hooked.lock().expect(NO_PANIC).as_ref().map(State::position);
            if let Some(position) = position {
                let mut begun = begun.lock().expect(NO_PANIC);
                begun.entry(position.term.epoch).or_insert(Begun { at, position });
            }
        }));
        Arc::new(node)
    }

    /// Gives the nodes.
    pub fn nodes(&self) -> &[Arc<ZoneSync>] {
        &self.nodes
    }

    /// Starts a node again that was killed or stopped.
    pub fn restart(&mut self, number: usize) {
        self.nodes[number] = self.node(number);
    }

    /// Finds the primary.
    pub fn primary(&self) -> Option<usize> {
        self.nodes.iter().position(|node| node.status().role == Role::Primary)
    }

    /// Waits until there is a primary and all nodes hold the newest state.
    pub fn wait_in_sync(&self) {
        let all = || self.nodes.iter().all(|node| node.status().in_sync);
        until("in sync", || self.primary().is_some() && all());
    }

    /// Ends the primary, without releasing anything or as it should be, and waits for another.
    pub fn take_over(&self, kill: bool) -> TakeOver {
        let ended = self.primary().expect("somebody leads");
        let node = Arc::clone(&self.nodes[ended]);
        let epoch = node.state().position().term.epoch;
        let next = epoch.next().expect("few epochs");
        let at = Instant::now();
        // On a thread of its own, since a stop may return later than the successor publishes.
        let ending = thread::spawn(move || {
            if kill {
                node.kill()
            } else {
                node.stop()
            }
            node.state().position()
        });
        let mut successor = None;
        until("taken over", || {
            let begun = self.begun.lock().expect(NO_PANIC);
            successor = begun.range(next..).next().map(|(_, begun)| *begun);
            successor.is_some()
        });
        let last = ending.join().expect("a stop does not panic");
        let Begun { at: end, position: first } = successor.expect("it was just found");
        *self.hooked[ended].lock().expect(NO_PANIC) = None;
        TakeOver { ended, time: end - at, last, first }
    }
}

/// Waits for something that must happen within two minutes.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(120), "{what}: not within two minutes");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Measures a figure of take-overs: 50 of them at rest and 50 while 1,000 changes/s flow, or 3 and 3
/// if it is to be small.
///
/// A zone of three nodes with 1,000 subscriptions and their keys. The node that was ended is started
/// again, and all are in sync, before the next round; rounds begin at random moments between two
/// renewals of the lease.
pub fn measure_take_overs(name: &str, kill: bool, bound_ms: f64) {
    let options = Options { ttl: Duration::from_secs(3), ..Options::default() };
    let stream = Stream::new(1_000, 1);
    let Some(mut zone) = Zone::start(3, stream.clone(), options.clone()) else {
        figure::skip(name, "the store cannot be had");
        return;
    };
    let flow = Flow::new(stream, 1_000);
    let mut rounds = |count| {
        let round = |round| {
            // Steps of the golden ratio cover a span evenly.
            let part = (f64::from(round) * 0.618_034).fract();
            thread::sleep((options.ttl / 3).mul_f64(part));
            let TakeOver { ended, time, .. } = zone.take_over(kill);
            zone.restart(ended);
            zone.wait_in_sync();
            time
        };
        Times::new((0..count).map(round))
    };
    let count = figure::size(50, 3);
    let at_rest = rounds(count);
    let busy = thread::scope(|scope| {
        scope.spawn(|| flow.run());
        let busy = rounds(count);
        flow.end();
        busy
    });
    at_rest.print_raw(&format!("{name}-at-rest"));
    busy.print_raw(&format!("{name}-busy"));
    figure::print(name, at_rest.longest().max(busy.longest()), "ms", Goal::AtMost, bound_ms);
}
