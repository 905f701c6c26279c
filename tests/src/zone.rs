//! A zone in one process: nodes over one embedded store and rows in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use zonesync::image::{Disk, FileDisk};
use zonesync::runtime::{Runtime, Smol};
use zonesync::status::Status;
use zonesync::store::ZoneStore;
use zonesync::store::memory::{MemoryOptions, MemoryStore};
use zonesync::{Options, Parts, ZoneSync};
use zonesync_core::election::Role;
use zonesync_core::id::Position;

use crate::faults::{Faults, Faulty};
use crate::rows::{Rows, apis, subscriptions};

/// The lease of the tests: short, yet long beside what a busy machine takes from a thread.
pub const TTL: Duration = Duration::from_millis(500);

/// A lease for tests that must tell a hand-over from a lease that ran out.
pub const LONG_TTL: Duration = Duration::from_secs(6);

/// After this, what a test waits for is taken not to come.
const HANG: Duration = Duration::from_secs(30);

/// A zone and what is known of its nodes.
#[derive(Debug)]
pub struct Zone {
    /// Its name.
    pub name: String,
    /// What the control plane holds.
    pub rows: Rows,
    /// The store, without faults.
    pub store: MemoryStore,
    /// The nodes that were started and not taken away, by name.
    pub nodes: BTreeMap<String, Member>,
    /// What nodes are started with.
    pub options: Options,
    /// Where nodes keep their images, each in a folder of its own; none keeps any if not given.
    pub images: Option<PathBuf>,
    /// No node may be ready with fewer entities.
    pub least: u64,
    /// How a node comes to its store, see [`Zone::connect_by`].
    pub connect: Connect,
}

/// How a node comes to its store, if that is not the embedded one.
#[derive(Default)]
pub struct Connect(Option<Box<Connector>>);

type Connector = dyn Fn(Arc<dyn Runtime>) -> Arc<dyn ZoneStore>;

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connect").finish_non_exhaustive()
    }
}

/// One node and its own way to the store.
#[derive(Debug)]
pub struct Member {
    /// The node.
    pub node: ZoneSync,
    /// Its connection to the store.
    pub link: Faulty,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    ready: bool,
    position: Position,
}

impl Member {
    /// Looks at the node, and checks what must hold at any moment.
    pub fn look(&self, least: u64) -> Status {
        let status = self.node.status();
        let count: u64 = status.counts.iter().map(|kind| kind.count).sum();
        let mut seen = self.seen.lock().expect("no test panics in here");
        assert!(status.ready || !seen.ready, "ready was taken back: {status:#?}");
        assert!(!status.ready || count >= least, "ready with {count} of {least}: {status:#?}");
        // One that was never ready may forget its image.
        let forgot = !status.ready && status.position == Position::START;
        assert!(
            forgot || status.position.term.epoch >= seen.position.term.epoch,
            "the node went back from {}: {status:#?}",
            seen.position,
        );
        *seen = Seen { ready: status.ready, position: status.position };
        status
    }
}

impl Zone {
    /// Makes a zone without nodes, with `rows` to serve.
    pub fn new(name: &str, rows: Rows) -> Self {
        Self::with_room(name, rows, MemoryOptions::default())
    }

    /// Makes a zone whose store has these bounds.
    pub fn with_room(name: &str, rows: Rows, room: MemoryOptions) -> Self {
        let clock: Arc<dyn Runtime> = Arc::new(Smol::new(1).expect("threads can be started"));
        let store = MemoryStore::new(name.parse().expect("a zone's name"), clock, room);
        let poll = Duration::from_millis(100);
        let options = Options { ttl: TTL, poll, ..Options::default() };
        let least = rows.count() as u64;
        Self {
            name: name.into(),
            rows,
            store,
            nodes: BTreeMap::new(),
            options,
            images: None,
            least,
            connect: Connect::default(),
        }
    }

    /// Has each node that is started from now on come to its store by `connect`, on its own host.
    pub fn connect_by(
        &mut self,
        connect: impl Fn(Arc<dyn Runtime>) -> Arc<dyn ZoneStore> + 'static,
    ) {
        self.connect = Connect(Some(Box::new(connect)));
    }

    /// Starts a node as the others are.
    pub fn start(&mut self, name: &str) -> &Member {
        let options = self.options.clone();
        self.start_on(name, Arc::new(Smol::new(2).expect("threads can be started")), options)
    }

    /// Starts three nodes over so many APIs and subscriptions, and waits until all is quiet.
    pub fn of_three(
        name: &str,
        api_count: usize,
        subscription_count: usize,
        change: impl FnOnce(&mut Options),
    ) -> Self {
        let rows = Rows::default();
        rows.set_all(apis(api_count));
        rows.set_all(subscriptions(0, subscription_count));
        let mut zone = Self::new(name, rows);
        change(&mut zone.options);
        zone.start_all(&["a", "b", "c"]);
        zone.await_quiet();
        zone
    }

    /// Starts nodes as the others are.
    pub fn start_all(&mut self, names: &[&str]) {
        for name in names {
            self.start(name);
        }
    }

    /// Starts a node on a host of its own, with options of its own.
    pub fn start_on(&mut self, name: &str, runtime: Arc<dyn Runtime>, options: Options) -> &Member {
        self.start_over(name, runtime, options, |_| {})
    }

    /// Starts a node whose connection to the store is spoiled from the start.
    pub fn start_spoiled(&mut self, name: &str, spoil: impl FnOnce(&mut Faults)) -> &Member {
        let options = self.options.clone();
        let runtime = Arc::new(Smol::new(2).expect("threads can be started"));
        self.start_over(name, runtime, options, spoil)
    }

    fn start_over(
        &mut self,
        name: &str,
        runtime: Arc<dyn Runtime>,
        options: Options,
        spoil: impl FnOnce(&mut Faults),
    ) -> &Member {
        let seed = name.bytes().fold(1, |seed, byte| seed * 31 + u64::from(byte));
        let store = match &self.connect.0 {
            Some(connect) => connect(Arc::clone(&runtime)),
            None => Arc::new(self.store.clone()),
        };
        let link = Faulty::new(store, seed);
        link.tell(spoil);
        let image = self.images.as_ref().map(|images| images.join(name));
        let node = ZoneSync::start_with(Parts {
            zone: self.name.parse().expect("a zone's name"),
            node: name.parse().expect("a node's name"),
            runtime,
            store: Arc::new(link.clone()) as Arc<dyn ZoneStore>,
            repository: Some(Arc::new(self.rows.source())),
            image: image.map(|folder| Arc::new(FileDisk::new(folder)) as Arc<dyn Disk>),
            options,
        });
        let member = Member { node, link, seen: Mutex::default() };
        self.nodes.insert(name.into(), member);
        &self.nodes[name]
    }

    /// Looks at every node.
    pub fn statuses(&self) -> Vec<Status> {
        self.nodes.values().map(|member| member.look(self.least)).collect()
    }

    /// Gives the primary's name, if there is one.
    pub fn primary(&self) -> Option<String> {
        let mut all = self.nodes.iter();
        all.find(|(_, m)| m.look(self.least).role == Role::Primary).map(|(name, _)| name.clone())
    }

    /// Waits for a primary and gives its name.
    pub fn await_primary(&self) -> String {
        self.until("a primary", || self.primary().is_some());
        self.primary().unwrap_or_else(|| self.await_primary())
    }

    /// Gives the name of some node that is not primary.
    pub fn secondary(&self) -> String {
        let primary = self.await_primary();
        let other = self.nodes.keys().find(|name| **name != primary);
        other.expect("a zone of two or more").clone()
    }

    /// Takes a node away, to be stopped or killed.
    pub fn take(&mut self, name: &str) -> Member {
        self.nodes.remove(name).expect("a node of that name")
    }

    /// Waits until `done`, looking at all nodes again and again.
    pub fn until(&self, what: &str, done: impl Fn() -> bool) {
        let begun = Instant::now();
        loop {
            let statuses = self.statuses();
            if done() {
                return;
            }
            assert!(begun.elapsed() < HANG, "{what} did not come in {HANG:?}: {statuses:#?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until all nodes are in sync at one position with the digest of the rows.
    pub fn await_quiet(&self) {
        let rows = self.rows.digest();
        self.until("the state of the rows on every node", || self.agrees_on(&rows));
    }

    /// Says whether all nodes are in sync with this digest and know the one primary.
    pub fn agrees_on(&self, digest: &str) -> bool {
        let all = self.statuses();
        let mut primaries = all.iter().filter(|status| status.role == Role::Primary);
        let (Some(primary), None) = (primaries.next(), primaries.next()) else { return false };
        all.iter().all(|status| {
            status.ready
                && status.in_sync
                && status.digest == digest
                && status.position == primary.position
                && status.primary.as_ref() == Some(&primary.node)
        })
    }

    /// Watches for `time` that `holds` does at every look.
    pub fn holds_for(&self, time: Duration, what: &str, holds: impl Fn(&Status) -> bool) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            for status in self.statuses() {
                assert!(holds(&status), "{what} did not hold: {status:#?}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
