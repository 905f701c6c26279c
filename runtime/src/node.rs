//! A running node: start it, ask it, stop it.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_lite::FutureExt;
use tracing::Instrument;
use zonesync_core::digest::DigestKey;
use zonesync_core::election::{self, Role};
use zonesync_core::format::{Filter, FormatRange};
use zonesync_core::id::{InstanceId, NodeId, ZoneName};
use zonesync_core::node::{self as rules, Reason};
use zonesync_core::removal::Token;
use zonesync_core::time::{Duration, WallTime};

use crate::driver::{Board, Driver, Made, Request};
use crate::image::{self, Disk, Verified};
use crate::repository::ManagementRepository;
use crate::runtime::Runtime;
use crate::state::State;
use crate::status::{Image, KindCount, Peer, QuarantinedItem, Status};
use crate::store::ZoneStore;

/// One node of a zone, running.
///
/// Safe to use from any thread. Dropping it stops the node.
pub struct ZoneSync {
    zone: ZoneName,
    node: NodeId,
    instance: InstanceId,
    runtime: Arc<dyn Runtime>,
    state: State,
    board: Arc<Board>,
    ttl: Duration,
    digest_key: DigestKey,
    requests: async_channel::Sender<Request>,
    alive: async_channel::Sender<()>,
}

/// What a node is made of, for hosts that bring their own parts.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The zone.
    pub zone: ZoneName,
    /// The node's name.
    pub node: NodeId,
    /// Where tasks run and what time it is.
    pub runtime: Arc<dyn Runtime>,
    /// The zone's store.
    pub store: Arc<dyn ZoneStore>,
    /// Where a primary reads; a node without one never stands.
    pub repository: Option<Arc<dyn ManagementRepository>>,
    /// Where it keeps its local image, if it keeps one. No other node may use it.
    pub image: Option<Arc<dyn Disk>>,
    /// Times and limits.
    pub options: Options,
}

/// Times and limits of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long a lease lasts.
    pub ttl: Duration,
    /// How often a node looks for what no push told it.
    pub poll: Duration,
    /// How often a primary reads the whole repository.
    pub full_read: Duration,
    /// Whether the node may become primary.
    pub candidate: bool,
    /// How many changes the feed remembers.
    pub feed_max: usize,
    /// What the repository is read with.
    pub filter: Filter,
    /// The key of the zone's digests.
    pub digest_key: DigestKey,
    /// The formats that the node reads and writes: all that this version knows, unless it is to
    /// stand in for another one.
    pub formats: FormatRange,
    /// A log of fewer bytes than this needs no new snapshot.
    pub log_min: u64,
    /// Whether a state that may not be the zone's makes the node ready, marked stale: its image, or
    /// a head with open claims.
    pub stale_ready: bool,
    /// How old an image may be that does so.
    pub image_age_max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(3),
            poll: Duration::from_secs(1),
            full_read: Duration::from_secs(3600),
            candidate: true,
            feed_max: 100_000,
            filter: Filter::default(),
            digest_key: DigestKey::default(),
            formats: FormatRange::KNOWN,
            log_min: 1 << 20,
            stale_ready: true,
            image_age_max: Duration::from_secs(24 * 3600),
        }
    }
}

impl ZoneSync {
    /// Starts a node from its parts.
    pub fn start_with(parts: Parts) -> Self {
        let Parts { zone, node, runtime, options, .. } = parts.clone();
        let instance = InstanceId(runtime.random());
        let candidate = options.candidate && parts.repository.is_some();
        let (state, writer) = State::with_feed(options.digest_key, options.feed_max);
        let seed = runtime.random() as u64;
        let config = rules::Config {
            node: node.clone(),
            election: election::Config { instance, ttl: options.ttl, candidate, seed },
            poll: options.poll,
            full_read: options.full_read,
            filter: options.filter,
            formats: options.formats,
            log_min: options.log_min,
            stale_ready: options.stale_ready,
        };
        let (requests, received) = async_channel::bounded(64);
        let (alive, killed) = async_channel::bounded::<()>(1);
        let board = Arc::new(Board::new());
        let driver = Driver::new(Made {
            node: rules::Node::new(config, runtime.now()),
            name: node.clone(),
            instance,
            parts,
            writer,
            board: board.clone(),
            requests: received,
            incarnation: runtime.random(),
        });
        let span = tracing::info_span!("zonesync", %zone, %node);
        let (end, board_of_task) = (EndOfDriver(board.clone()), board.clone());
        let task = async move {
            let _end = end;
            let run = driver.run();
            let kill = async {
                // Ends when the channel is closed.
                let _ = killed.recv().await;
            };
            let run = AssertUnwindSafe(run.or(kill)).catch_unwind();
            if run.await.is_err() {
                board_of_task.update(|facts| facts.failed = Some(PANICKED.to_owned()));
            }
        };
        runtime.spawn(Box::pin(task.instrument(span)));
        let (ttl, digest_key) = (options.ttl, options.digest_key);
        Self { zone, node, instance, runtime, state, board, ttl, digest_key, requests, alive }
    }

    /// Stops the node: releases the lease if it holds it, ends all tasks. May be called again, and
    /// beside running calls; lookups go on from the last state.
    ///
    /// Waits at most two TTLs for a store that does not answer.
    pub fn stop(&self) {
        self.begin_stop();
        if !self.board.wait(self.ttl * 2, |facts| facts.stopped) {
            self.kill();
        }
    }

    /// Begins to stop, and returns at once.
    pub fn begin_stop(&self) {
        let _ = self.requests.try_send(Request::Stop);
    }

    /// Ends all tasks at once without releasing anything, as a crash would.
    pub fn kill(&self) {
        self.alive.close();
        self.board.wait(self.ttl, |facts| facts.stopped);
    }

    /// Gives the state, for lookups.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Tells how the node is.
    pub fn status(&self) -> Status {
        // Facts first: the state they speak of is there before they are.
        let facts = self.board.facts();
        let view = self.state.view();
        let digest = view.digest();
        let counts = digest
            .kinds()
            .map(|(kind, sums)| KindCount { kind: kind.to_string(), count: sums.count })
            .collect();
        let standing = facts.standing.as_ref();
        let reason = match standing {
            _ if facts.stopped => Reason::Stopped,
            Some(standing) => standing.reason,
            None => Reason::Starting,
        };
        let unusable = view.unusable();
        let records = unusable.listed.iter().map(|(key, reason)| QuarantinedItem {
            place: key.to_string(),
            reason: reason.to_string(),
        });
        let rows = facts.quarantined.iter().cloned();
        let quarantined = rows.chain(records).take(Status::QUARANTINE_MAX);
        let since = self.runtime.now().since(facts.at);
        let in_sync = standing.is_some_and(|s| s.in_sync) && !facts.stopped;
        let lag = standing.filter(|_| !in_sync).map_or(Duration::ZERO, |s| s.lag + since);
        Status {
            zone: self.zone.to_string(),
            node: self.node.to_string(),
            instance: self.instance,
            role: facts.role,
            position: view.position(),
            primary: standing.and_then(|s| s.primary.as_ref()).map(NodeId::to_string),
            term: facts.term,
            ready: standing.is_some_and(|s| s.ready),
            stale: standing.is_some_and(|s| s.stale),
            in_sync,
            reason: reason.to_string(),
            lag_ms: u64::try_from(lag.as_millis()).unwrap_or(u64::MAX),
            counts,
            digest: digest.fingerprint().to_string(),
            store: facts.store.clone(),
            unreplicated: facts.unreplicated,
            repository: facts.repository.clone(),
            held: facts.held.clone(),
            quarantined: quarantined.collect(),
            quarantined_total: facts.quarantined_total + unusable.total as u64,
            image: facts.image.clone().map(|image| {
                let age = |at: WallTime| self.runtime.wall_now().as_millis() - at.as_millis();
                let age_ms = image.at.map(|at| u64::try_from(age(at)).unwrap_or(0));
                Image { age_ms, ..image }
            }),
            failed: facts.failed.clone(),
            counters: facts.counters,
            zone_nodes: Peer::compare(&facts.live),
        }
    }

    /// Waits until the node is ready. Returns false if it is not after `timeout`, or was stopped.
    pub fn wait_ready(&self, timeout: Duration) -> bool {
        let is_ready = |facts: &crate::driver::Facts| {
            facts.standing.as_ref().is_some_and(|standing| standing.ready)
        };
        self.board.wait(timeout, |facts| facts.stopped || is_ready(facts))
            && is_ready(&self.board.facts())
    }

    /// Works out what the payloads of the state sum up to, beside the digest that it carries: the one
    /// that was announced, kept up to date change by change. Takes a while for a large state.
    pub fn verify(&self) -> Verified {
        image::verify_state(&self.state.view(), &self.digest_key)
    }

    /// Lets the held removals with this token pass. Returns false if no held set has it, or if
    /// this node is not the primary: only that one removes anything.
    pub fn confirm_removal(&self, token: &str) -> bool {
        let Ok(token) = token.parse::<Token>() else { return false };
        let text = token.to_string();
        let facts = self.board.facts();
        let known = facts.held.iter().any(|held| held.token == text);
        let known = known && facts.role == Role::Primary && !facts.stopped;
        drop(facts);
        known && self.requests.try_send(Request::Confirm(token)).is_ok()
    }

    /// Gives up the lease for now, if held, and leaves it to others for a few TTLs. Returns whether
    /// it was held.
    ///
    /// Waits at most two TTLs for a node that does not answer.
    pub fn step_down(&self) -> bool {
        let (reply, answer) = async_channel::bounded(1);
        let sent = self.requests.try_send(Request::StepDown(reply)).is_ok();
        let held = async { answer.recv().await.unwrap_or(false) };
        let late = async {
            async_io::Timer::after(self.ttl * 2).await;
            false
        };
        sent && async_io::block_on(held.or(late))
    }
}

/// What the status says after a panic. The panic's own words may hold what no log may.
const PANICKED: &str = "a background task panicked";

impl Drop for ZoneSync {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for ZoneSync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZoneSync")
            .field("zone", &self.zone)
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

/// Posts the end of a driver, however it came.
struct EndOfDriver(Arc<Board>);

impl Drop for EndOfDriver {
    fn drop(&mut self) {
        self.0.update(|facts| facts.stopped = true);
    }
}
