//! The way from nodes to the zone store, and the servers at its end.
//!
//! A request leaves its node as a message of its own: it may reach a server although the node that
//! sent it is dead, late, twice or not at all, and so may its answer. A server is a real store
//! ([`MemoryStore`]) on a machine with a clock of its own.

mod link;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;

use zonesync::runtime::Runtime;
use zonesync::store::StoreError;
use zonesync::store::memory::{MemoryOptions, MemoryStore, ZoneCopy};

pub use link::Link;

use crate::executor::{Executor, HostId, Time};
use crate::host::Host;
use crate::random::Random;
use crate::watch::{Call, Executed, Reply, Watch};

/// What a log and its snapshots may take for slow readers. Little, so that trims cut under them.
const SPARE_BYTES: usize = 30_000;

/// The way to the store. Clones are handles to the same one.
#[derive(Clone)]
pub struct Net(Arc<Mutex<Inner>>);

struct Inner {
    executor: Executor,
    random: Random,
    watch: Arc<Mutex<Watch>>,
    servers: Vec<Server>,
    wires: BTreeMap<HostId, Wire>,
    /// Who waits at a server and must hear when its connection breaks.
    waiting: BTreeMap<HostId, Waker>,
    /// Counts what broke connections.
    breaks: u64,
}

/// One server.
pub struct Server {
    /// What it holds.
    pub store: MemoryStore,
    /// Its machine.
    pub host: Arc<Host>,
    /// How it behaves.
    pub manners: Manners,
}

/// How a server behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manners {
    /// It refuses connections.
    pub down: bool,
    /// It has no room for anything new.
    pub full: bool,
    /// It refuses writes.
    pub read_only: bool,
    /// Of 100 records read, so many come with a flipped bit.
    pub flips: u64,
}

/// A node's connection: which server it reaches, and how badly. Shares are of 100.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wire {
    /// The number of the server.
    pub server: usize,
    /// Nothing passes.
    pub cut: bool,
    /// Requests that get lost.
    pub lost_requests: u64,
    /// Answers that get lost.
    pub lost_replies: u64,
    /// Requests that arrive long after the sender gave up.
    pub late: u64,
    /// The same, of chunks alone.
    pub late_chunks: u64,
    /// Requests that arrive once more later on.
    pub doubled: u64,
    /// What a way takes at most, beyond the usual.
    pub slow: Time,
    /// Nothing arrives before this moment.
    pub held_until: Time,
}

impl Net {
    /// Makes a net with one server.
    pub fn new(executor: Executor, random: Random, watch: Arc<Mutex<Watch>>) -> Self {
        let net = Self(Arc::new(Mutex::new(Inner {
            executor,
            random,
            watch,
            servers: Vec::new(),
            wires: BTreeMap::new(),
            waiting: BTreeMap::new(),
            breaks: 0,
        })));
        net.add_server();
        net
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("one thread")
    }

    fn add_server(&self) -> usize {
        let mut inner = self.lock();
        let number = inner.servers.len();
        let random = inner.random.fork();
        let host = Arc::new(Host::new(inner.executor.clone(), 1_000 + number as HostId, 0, random));
        let seed = Some(inner.random.next());
        let options = MemoryOptions { spare_bytes: SPARE_BYTES, seed, ..MemoryOptions::default() };
        let name = "sim".parse().expect("a zone's name");
        let store = MemoryStore::new(name, Arc::clone(&host) as Arc<dyn Runtime>, options);
        inner.servers.push(Server { store, host, manners: Manners::default() });
        number
    }

    /// Gives the server that is the zone's, as long as there are not two.
    pub fn main(&self) -> usize {
        let inner = self.lock();
        inner.wires.values().next().map_or(0, |wire| wire.server)
    }

    /// Gives the store of a server.
    pub fn store(&self, server: usize) -> MemoryStore {
        self.lock().servers[server].store.clone()
    }

    /// Gives the machine of a server.
    pub fn server_host(&self, server: usize) -> Arc<Host> {
        self.lock().servers[server].host.clone()
    }

    /// Connects a node.
    pub fn connect(&self, host: HostId, server: usize) -> Link {
        self.lock().wires.insert(host, Wire { server, ..Wire::default() });
        Link::new(self.clone(), host)
    }

    /// Forgets a node.
    pub fn disconnect(&self, host: HostId) {
        self.lock().wires.remove(&host);
    }

    /// Changes a node's connection, and breaks it.
    pub fn rewire(&self, host: HostId, change: impl FnOnce(&mut Wire)) {
        let mut inner = self.lock();
        if let Some(wire) = inner.wires.get_mut(&host) {
            change(wire);
        }
        drop(inner);
        self.break_all();
    }

    /// Changes how a server behaves, and breaks all connections.
    pub fn behave(&self, server: usize, change: impl FnOnce(&mut Manners)) {
        change(&mut self.lock().servers[server].manners);
        self.break_all();
    }

    /// Puts an old copy in the place of what a server holds; none empties it.
    pub fn lose(&self, server: usize, copy: Option<&ZoneCopy>) {
        let store = self.store(server);
        match copy {
            Some(copy) => store.restore_zone(copy),
            None => store.clear(),
        }
        self.lock().watch.lock().expect("one thread").lost();
        self.break_all();
    }

    /// Makes a second master out of a server's copy, and leads these nodes to it.
    pub fn split(&self, server: usize, nodes: &[HostId]) -> usize {
        let copy = self.store(server).copy_zone();
        let other = self.add_server();
        self.lose(other, Some(&copy));
        for host in nodes {
            self.rewire(*host, |wire| wire.server = other);
        }
        other
    }

    /// Leads all nodes to one server.
    pub fn join(&self, server: usize) {
        self.lock().wires.values_mut().for_each(|wire| wire.server = server);
        self.break_all();
    }

    /// Takes all faults away.
    pub fn mend(&self) {
        let mut inner = self.lock();
        inner.servers.iter_mut().for_each(|server| server.manners = Manners::default());
        for wire in inner.wires.values_mut() {
            *wire = Wire { server: wire.server, ..Wire::default() };
        }
        drop(inner);
        self.break_all();
    }

    fn break_all(&self) {
        let mut inner = self.lock();
        inner.breaks += 1;
        let woken = std::mem::take(&mut inner.waiting);
        drop(inner);
        woken.into_values().for_each(Waker::wake);
    }

    /// Carries a request out at the server that `host` reaches now, and has it watched.
    fn execute<T: Reply>(
        &self,
        host: HostId,
        call: &Call,
        run: &impl Fn(&MemoryStore) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let (server, store, manners, watch, at) = {
            let inner = self.lock();
            let unknown = || StoreError::Unavailable("the node is gone".into());
            let server = inner.wires.get(&host).ok_or_else(unknown)?.server;
            let Server { store, manners, .. } = &inner.servers[server];
            (server, store.clone(), *manners, inner.watch.clone(), inner.executor.now())
        };
        if manners.down {
            return Err(StoreError::Unavailable("connection refused".into()));
        }
        if manners.read_only && call.is_write() {
            return Err(StoreError::Unavailable("read only".into()));
        }
        if manners.full && call.needs_room() {
            return Err(StoreError::Full);
        }
        let before = store.peek();
        let answer = run(&store);
        let after = store.peek();
        let outcome = answer.as_ref().map_or(crate::watch::Outcome::Failed, Reply::outcome);
        let executed = Executed { at, host, server, call, before, after, outcome };
        let mut watch = watch.lock().expect("one thread");
        watch.ledger.note(&executed);
        watch.executed(&executed);
        drop(watch);
        answer
    }
}
