//! Watches a zone from outside and tells which promises it broke.
//!
//! Each node has a follower ([`Promises::follow`]) that reads its change feed and its status, looks
//! keys up in it, and compares: with what it told before, with what the other nodes told, and with
//! what the store announced. [`Promises::check_quiet`] compares all of it with the rows, when these
//! rest.

mod announced;
mod seen;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use zonesync::ZoneSync;
use zonesync::core::digest::{Digest, DigestKey};
use zonesync::core::election::Role;
use zonesync::core::id::{Epoch, InstanceId};
use zonesync::runtime::wall_now;
use zonesync::state::FeedError;
use zonesync::store::ZoneStore;

use self::announced::Announced;
pub use self::seen::Seen;
use crate::stream::{Pair, Row, Stream};

/// How often a follower looks at the status, at most.
const LOOK: Duration = Duration::from_millis(20);

/// How many pairs are looked up in each node at a quiet check.
const LOOKED_UP: usize = 2_000;

/// What a zone promises, as far as it is watched here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// A term has one primary.
    OnePrimary,
    /// Positions of a node only grow, without a gap, and so do their epochs.
    PositionsGrow,
    /// An acknowledged change is never lost, and no entity goes back to an older revision.
    NothingLost,
    /// A key that was revoked is never found again.
    RevokedStaysRevoked,
    /// Once changes rest, all nodes hold just the newest rows.
    AllEqual,
    /// A node that is ready holds a state that the store announced.
    OnlyAnnounced,
}

impl Promise {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::OnePrimary,
        Self::PositionsGrow,
        Self::NothingLost,
        Self::RevokedStaysRevoked,
        Self::AllEqual,
        Self::OnlyAnnounced,
    ];
}

/// How often a promise was checked, and how often it was broken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Checks.
    pub checked: u64,
    /// Of these, broken.
    pub broken: u64,
}

/// Watches one zone.
#[derive(Debug)]
pub struct Promises {
    stream: Stream,
    announced: Mutex<Announced>,
    primaries: Mutex<BTreeMap<Epoch, InstanceId>>,
    tallies: Mutex<BTreeMap<Promise, Tally>>,
}

impl Promises {
    /// Watches the zone in `store`, whose rows are those of `stream`.
    pub fn new(store: Arc<dyn ZoneStore>, stream: Stream) -> Self {
        let announced = Mutex::new(Announced::new(store));
        Self { stream, announced, primaries: Mutex::default(), tallies: Mutex::default() }
    }

    /// Gives the rows.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Notes a check, and says so if it failed.
    pub fn check(&self, promise: Promise, kept: bool, what: impl FnOnce() -> String) {
        let mut tallies = locked(&self.tallies);
        let tally = tallies.entry(promise).or_default();
        tally.checked += 1;
        tally.broken += u64::from(!kept);
        if !kept && tally.broken <= 20 {
            println!("broken {promise:?}: {}", what());
        }
    }

    /// Gives how often a promise was checked and broken.
    pub fn tally(&self, promise: Promise) -> Tally {
        locked(&self.tallies).get(&promise).copied().unwrap_or_default()
    }

    /// Follows a node until it ends. `seen` is what it told so far.
    pub fn follow(&self, node: &ZoneSync, seen: &Mutex<Seen>) {
        let mut looked = Instant::now();
        let mut feed = locked(seen).start(self, node);
        loop {
            match feed.next(LOOK) {
                Ok(Some(step)) => locked(seen).take(self, node, &step),
                Ok(None) => {}
                Err(FeedError::Behind) => feed = locked(seen).start(self, node),
                Err(FeedError::Stopped) => return,
            }
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                self.look(node);
                locked(seen).look_up_revoked(self, node);
            }
        }
    }

    fn look(&self, node: &ZoneSync) {
        let status = node.status();
        if status.role == Role::Primary {
            let mut primaries = locked(&self.primaries);
            let first = *primaries.entry(status.term.epoch).or_insert(status.instance);
            self.check(Promise::OnePrimary, first == status.instance, || {
                format!("{} and {first} both lead {}", status.instance, status.term.epoch)
            });
        }
        if status.ready {
            let view = node.state().view();
            let (position, digest) = (view.position(), view.digest().fingerprint());
            if let Some(announced) = locked(&self.announced).has(position, digest) {
                self.check(Promise::OnlyAnnounced, announced, || {
                    format!("{} holds {digest} at {position}", status.node)
                });
            }
        }
    }

    /// Checks that all nodes come to hold just these rows, within a time. Nothing may change
    /// meanwhile.
    pub fn check_quiet(&self, nodes: &[(Arc<ZoneSync>, Arc<Mutex<Seen>>)], within: Duration) {
        let begun = Instant::now();
        let pairs = self.stream.pairs();
        let wanted = self.digest(&pairs).fingerprint().to_string();
        let there = || {
            nodes.iter().all(|(node, seen)| {
                let status = node.status();
                status.in_sync
                    && status.digest == wanted
                    && locked(seen).position() == node.state().position()
            })
        };
        while !there() && begun.elapsed() < within {
            std::thread::sleep(Duration::from_millis(5));
        }
        for (node, seen) in nodes {
            let status = node.status();
            self.check(Promise::AllEqual, status.digest == wanted && status.in_sync, || {
                format!("{} is at {}: {}", status.node, status.position, status.reason)
            });
            let differing = locked(seen).differing(&pairs);
            self.check(Promise::NothingLost, differing == 0, || {
                format!("the feed of {} misses {differing} changes", status.node)
            });
            self.look_up(node, &pairs);
        }
    }

    /// Looks up keys spread over all pairs: the newest is found, the one before is not.
    fn look_up(&self, node: &ZoneSync, pairs: &[Pair]) {
        let step = (pairs.len() / LOOKED_UP).max(1);
        for (number, pair) in pairs.iter().enumerate().step_by(step) {
            let found = self.finds(node, number as u32, pair.key);
            self.check(Promise::NothingLost, found == pair.key_on, || {
                format!("key {number} of revision {} found: {found}", pair.key)
            });
            self.check_revoked(node, number as u32, pair.key - 1);
        }
    }

    fn check_revoked(&self, node: &ZoneSync, number: u32, revision: u32) {
        let found = self.finds(node, number, revision);
        self.check(Promise::RevokedStaysRevoked, !found, || {
            format!("key {number} of revision {revision} is found again")
        });
    }

    fn finds(&self, node: &ZoneSync, number: u32, revision: u32) -> bool {
        let (api, key) = self.stream.key(number, revision);
        node.state().by_key(api, &key, None, wall_now(), |_| ()).is_some()
    }

    fn digest(&self, pairs: &[Pair]) -> Digest {
        let key = DigestKey::default();
        let mut digest = Digest::EMPTY;
        for (number, pair) in (0..).zip(pairs) {
            for row in [Row::Subscription(number), Row::Key(number)] {
                if let Ok(entity) = self.stream.entity(row, *pair) {
                    let name = entity.key.as_ref();
                    digest.add(name.kind, key.version(name, &entity.payload));
                }
            }
        }
        digest
    }
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().expect("no check ends in a panic")
}
