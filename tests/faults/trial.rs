//! One zone under changes, from its start to its rest.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use zonesync::core::id::ZoneName;
use zonesync::runtime::Smol;
use zonesync::store::redis::{Address, RedisOptions, RedisStore, Topology};
use zonesync_tests::servers::redis::RedisServer;

use crate::log::LogWatch;
use crate::nodes::{Node, Nodes, PATIENCE, Plan, until_within};
use crate::rows::Rows;
use crate::watch::Watch;

/// How many rows change at once, and how often: 200 a second.
const BURST: usize = 5;
const PACE: Duration = Duration::from_millis(25);

/// A zone, its store, its rows, and who watches.
#[derive(Debug)]
pub(crate) struct Trial {
    /// The store.
    pub(crate) redis: RedisServer,
    /// The processes.
    pub(crate) nodes: Nodes,
    /// What is seen of them.
    pub(crate) watch: Arc<Watch>,
    /// What is seen of the store.
    pub(crate) log: LogWatch,
    /// The lease.
    pub(crate) ttl: Duration,
    flow: Flow,
    /// How long the zone took to rest, each time.
    pub(crate) rests: Vec<Duration>,
}

/// What a trial is made of.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// The command line under test.
    pub(crate) binary: PathBuf,
    /// How many nodes.
    pub(crate) nodes: usize,
    /// How many pairs of rows.
    pub(crate) pairs: usize,
    /// The lease.
    pub(crate) ttl: Duration,
    /// Arguments of the server.
    pub(crate) redis: &'static [&'static str],
    /// Draws what changes.
    pub(crate) seed: u64,
}

impl Trial {
    /// Starts everything, and waits until all nodes are ready. None where there is no server.
    pub(crate) fn start(setup: &Setup) -> Result<Option<Self>, String> {
        let Some(redis) = RedisServer::start(setup.redis) else { return Ok(None) };
        let rows = Arc::new(Rows::new(setup.pairs, setup.seed));
        let port = redis.port();
        let plan = Plan {
            binary: setup.binary.clone(),
            rows: rows.path().to_owned(),
            store: vec![
                "zonesync.store=redis".into(),
                "distributed-sync.redis.host=127.0.0.1".into(),
                format!("distributed-sync.redis.port={port}"),
            ],
            ttl: setup.ttl,
        };
        let nodes = Nodes::start(plan, setup.nodes);
        let zone: ZoneName = "faults".parse().expect("a zone's name");
        let address = Address { host: "127.0.0.1".into(), port };
        let options = RedisOptions::new(Topology::Standalone(address));
        let runtime = Arc::new(Smol::new(1).expect("a thread can be started"));
        let log = LogWatch::new(Arc::new(RedisStore::new(zone, options, runtime)));
        let watch = Arc::new(Watch::default());
        nodes.all().for_each(|(_, node)| watch.follow(node));
        let (flow, ttl) = (Flow::start(rows), setup.ttl);
        let trial = Self { redis, nodes, watch, log, ttl, flow, rests: Vec::new() };
        trial.nodes.await_ready()?;
        trial.flow.go_on();
        Ok(Some(trial))
    }

    /// Starts the node of an empty place.
    pub(crate) fn start_node(&mut self, place: usize) {
        self.nodes.start_one(place);
        self.watch.follow(self.nodes.get(place));
    }

    /// Waits until rows changed so many times more: then the zone had to work.
    pub(crate) fn work(&self, changes: u64) -> Result<(), String> {
        let goal = self.flow.rows.changes() + changes;
        until_within(PATIENCE, "rows change", || (self.flow.rows.changes() >= goal).then_some(()))
    }

    /// Counts the changes of rows so far.
    pub(crate) fn changes(&self) -> u64 {
        self.flow.rows.changes()
    }

    /// Stops the changes, and waits until every node holds just the rows; then goes on.
    pub(crate) fn rest(&mut self, within: Duration) -> Result<(), String> {
        let _pause = self.flow.pause();
        let pairs = self.flow.rows.pairs();
        let begun = Instant::now();
        let in_sync = |node: &Node| node.status().is_some_and(|s| s["in_sync"] == true);
        let mut why = String::new();
        let mut calm = || {
            for (_, node) in self.nodes.all() {
                if !in_sync(node) {
                    let reason = node.status().map(|status| status["reason"].to_string());
                    why = format!("{} is not in sync: {}", node.name, reason.unwrap_or_default());
                    return None;
                }
                if let Err(differs) = self.watch.compare(node, &pairs) {
                    why = differs;
                    return None;
                }
            }
            Some(())
        };
        let calmed = until_within(within, "all nodes hold the rows", &mut calm);
        calmed.map_err(|error| format!("{error}: {why}"))?;
        self.rests.push(begun.elapsed());
        for (_, node) in self.nodes.all() {
            self.watch.look(node);
            self.watch.check_lost(node, &pairs);
            self.watch.look_up(node, &pairs);
        }
        Ok(())
    }

    /// Says how long the zone may take to come to rest: 3 TTL and 2 polls, a full read where claims are
    /// open, and what a busy machine adds.
    pub(crate) fn patience(&self) -> Duration {
        self.ttl * 3 + Duration::from_secs(10)
    }
}

/// Changes rows until it is dropped.
#[derive(Debug)]
struct Flow {
    rows: Arc<Rows>,
    gate: Arc<Gate>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Gate {
    open: AtomicBool,
    end: AtomicBool,
    /// Held for a burst.
    lock: Mutex<()>,
}

impl Flow {
    fn start(rows: Arc<Rows>) -> Self {
        let gate = Arc::new(Gate::default());
        let (own, own_rows) = (Arc::clone(&gate), Arc::clone(&rows));
        let run = move || {
            while !own.end.load(Ordering::Relaxed) {
                let locked = own.lock.lock().expect("no change panics");
                if own.open.load(Ordering::Relaxed) {
                    own_rows.change(BURST);
                }
                drop(locked);
                thread::sleep(PACE);
            }
        };
        Self { rows, gate, thread: Some(thread::spawn(run)) }
    }

    fn go_on(&self) {
        self.gate.open.store(true, Ordering::Relaxed);
    }

    /// Lets nothing change until the guard is dropped.
    fn pause(&self) -> MutexGuard<'_, ()> {
        self.gate.lock.lock().expect("no change panics")
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.gate.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
