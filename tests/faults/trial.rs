//! One zone under changes, from its start to its rest.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use zonesync::core::id::ZoneName;
use zonesync::runtime::Smol;
use zonesync::store::redis::{Address, RedisOptions, RedisStore, Topology};
use zonesync_tests::servers::proxy::Proxy;
use zonesync_tests::servers::redis::RedisServer;
use zonesync_tests::servers::sentinel::{MASTER, Watched};

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
    servers: Servers,
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

/// The servers that hold the zone.
#[derive(Debug)]
enum Servers {
    Alone(RedisServer),
    Proxied(RedisServer, Proxy),
    Watched(Watched),
}

/// How nodes come to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// To one server.
    Straight,
    /// To one server, through a proxy that misbehaves.
    Proxied,
    /// To the master that three sentinels name, of two servers.
    Watched,
}

impl Servers {
    fn start(way: Way, args: &[&str]) -> Option<Self> {
        Some(match way {
            Way::Straight => Self::Alone(RedisServer::start(args)?),
            Way::Proxied => {
                let server = RedisServer::start(args)?;
                let proxy = Proxy::start(server.port());
                Self::Proxied(server, proxy)
            }
            Way::Watched => Self::Watched(Watched::start(3, args, None, None)?),
        })
    }

    /// Gives the settings with which a node comes to the store.
    fn settings(&self) -> Vec<String> {
        const BASE: &str = "distributed-sync.redis";
        let alone = |port| vec![format!("{BASE}.host=127.0.0.1"), format!("{BASE}.port={port}")];
        let mut settings = match self {
            Self::Alone(server) => alone(server.port()),
            Self::Proxied(_, proxy) => alone(proxy.port()),
            Self::Watched(watched) => {
                let nodes = watched.sentinels.iter().enumerate().flat_map(|(i, sentinel)| {
                    let node = format!("{BASE}.sentinel.nodes[{i}]");
                    [format!("{node}.host=127.0.0.1"), format!("{node}.port={}", sentinel.port())]
                });
                nodes.chain([format!("{BASE}.sentinel.master={MASTER}")]).collect()
            }
        };
        settings.push("zonesync.store=redis".into());
        settings
    }

    /// Gives what the checker comes to the store with, past any proxy.
    fn topology(&self) -> Topology {
        let local = |port| Address { host: "127.0.0.1".into(), port };
        match self {
            Self::Alone(server) | Self::Proxied(server, _) => {
                Topology::Standalone(local(server.port()))
            }
            Self::Watched(watched) => Topology::Sentinel {
                master: MASTER.into(),
                nodes: watched.sentinels.iter().map(|sentinel| local(sentinel.port())).collect(),
                password: None,
            },
        }
    }
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
    /// How nodes come to the store.
    pub(crate) way: Way,
    /// Arguments of the server.
    pub(crate) redis: &'static [&'static str],
    /// Draws what changes.
    pub(crate) seed: u64,
}

impl Trial {
    /// Starts everything, and waits until all nodes are ready. None where there is no server.
    pub(crate) fn start(setup: &Setup) -> Result<Option<Self>, String> {
        let Some(servers) = Servers::start(setup.way, setup.redis) else { return Ok(None) };
        let rows = Arc::new(Rows::new(setup.pairs, setup.seed));
        let plan = Plan {
            binary: setup.binary.clone(),
            rows: rows.path().to_owned(),
            store: servers.settings(),
            ttl: setup.ttl,
        };
        let nodes = Nodes::start(plan, setup.nodes);
        let zone: ZoneName = "faults".parse().expect("a zone's name");
        let options = RedisOptions::new(servers.topology());
        let runtime = Arc::new(Smol::new(1).expect("a thread can be started"));
        let log = LogWatch::new(Arc::new(RedisStore::new(zone, options, runtime)));
        let watch = Arc::new(Watch::default());
        nodes.all().for_each(|(_, node)| watch.follow(node));
        let (flow, ttl) = (Flow::start(rows), setup.ttl);
        let trial = Self { servers, nodes, watch, log, ttl, flow, rests: Vec::new() };
        trial.nodes.await_ready()?;
        trial.flow.go_on();
        Ok(Some(trial))
    }

    /// Gives the server; of two, the one that was the master first.
    pub(crate) fn redis(&mut self) -> &mut RedisServer {
        match &mut self.servers {
            Servers::Alone(server) | Servers::Proxied(server, _) => server,
            Servers::Watched(watched) => &mut watched.servers[0],
        }
    }

    /// Gives the proxy that this trial was set up with.
    pub(crate) fn proxy(&self) -> &Proxy {
        match &self.servers {
            Servers::Proxied(_, proxy) => proxy,
            _ => panic!("this incident is set up without a proxy"),
        }
    }

    /// Gives the servers under sentinels that this trial was set up with.
    pub(crate) fn watched(&self) -> &Watched {
        match &self.servers {
            Servers::Watched(watched) => watched,
            _ => panic!("this incident is set up without sentinels"),
        }
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
