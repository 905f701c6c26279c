//! What a scenario may ask of a world. Slots are asked for the node that runs in them now.

use std::sync::Arc;

use zonesync::status::Status;
use zonesync_core::election::Role;
use zonesync_core::format::Head;
use zonesync_core::history::ClaimState;
use zonesync_core::id::{EntityKeyBuf, Position, Term};

use super::{Node, World};
use crate::executor::Time;
use crate::host::wall;
use crate::plan::{Row, SECOND};
use crate::rows;
use crate::truth::Content;
use crate::watch::{Deed, Deeds};

/// One reign, as the stores gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reign {
    /// Since when.
    pub at: Time,
    /// Which slot's node.
    pub slot: usize,
    /// Its term.
    pub term: Term,
}

impl World {
    /// Gives the time.
    pub fn now(&self) -> Time {
        self.executor.now()
    }

    fn node(&self, slot: usize) -> Option<&Node> {
        self.slots[slot].node.as_ref()
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.slots.iter().filter_map(|slot| slot.node.as_ref())
    }

    // --- how nodes stand ---

    /// Gives what a node says of itself.
    pub fn status(&self, slot: usize) -> Option<Status> {
        self.node(slot).map(|node| node.sync.status())
    }

    /// Says whether each running node's status is so.
    pub fn everyone(&self, is: impl Fn(&Status) -> bool) -> bool {
        self.nodes().all(|node| is(&node.sync.status()))
    }

    /// Says whether a node takes itself for the primary.
    pub fn leads(&self, slot: usize) -> bool {
        self.status(slot).is_some_and(|status| status.role == Role::Primary)
    }

    /// Counts the nodes that take themselves for the primary.
    pub fn primaries(&self) -> usize {
        self.nodes().filter(|node| node.sync.status().role == Role::Primary).count()
    }

    /// Says whether a node is ready.
    pub fn is_ready(&self, slot: usize) -> bool {
        self.status(slot).is_some_and(|status| status.ready)
    }

    /// Says whether a node holds the newest state, as it says.
    pub fn is_in_sync(&self, slot: usize) -> bool {
        self.status(slot).is_some_and(|status| status.in_sync)
    }

    /// Says whether all running nodes hold the newest state, as they say.
    pub fn all_in_sync(&self) -> bool {
        self.everyone(|status| status.in_sync)
    }

    /// Says whether a node says that it cannot read the zone's format.
    pub fn cannot_read(&self, slot: usize) -> bool {
        self.status(slot).is_some_and(|status| {
            !status.in_sync && status.reason.contains("which this version cannot read")
        })
    }

    /// Says whether all slots' nodes run and are ready.
    pub fn all_ready(&self) -> bool {
        (0..self.slots.len()).all(|slot| self.is_ready(slot))
    }

    /// Gives where a node's state stands.
    pub fn position(&self, slot: usize) -> Option<Position> {
        self.node(slot).map(|node| node.sync.state().position())
    }

    /// Counts how often a reader of a node's feed had to start over.
    pub fn started_over(&self, slot: usize) -> u64 {
        self.node(slot).map_or(0, |node| node.watched.started_over)
    }

    /// Says whether a node names a row that it cannot use.
    pub fn shows_as_poison(&self, slot: usize, row: Row) -> bool {
        let key = row.key().to_string();
        let named =
            |status: Status| status.quarantined.iter().any(|item| item.place.contains(&key));
        self.status(slot).is_some_and(named)
    }

    /// Counts the removals that wait for a person, by what the primary says.
    pub fn held_removals(&self) -> u64 {
        let status = self.primary().and_then(|slot| self.status(slot));
        status.map_or(0, |status| status.held.iter().map(|held| held.count).sum())
    }

    // --- what nodes hold and find ---

    /// Gives the revision of a row that a node holds.
    pub fn revision(&self, slot: usize, row: Row) -> Option<u64> {
        let view = self.node(slot)?.sync.state().view();
        view.get(row.key().as_ref()).map(rows::revision)
    }

    /// Says whether a node holds a row.
    pub fn holds(&self, slot: usize, row: Row) -> bool {
        self.revision(slot, row).is_some()
    }

    /// Says whether a running node holds a row.
    pub fn someone_holds(&self, row: Row) -> bool {
        (0..self.slots.len()).any(|slot| self.holds(slot, row))
    }

    /// Says whether a node holds of a row what the control plane says now.
    pub fn has_newest(&self, slot: usize, row: Row) -> bool {
        let index = rows::index(row.key().as_ref());
        let wanted = match self.plane.with_truth(|truth| truth.now(index)) {
            Content::Absent => None,
            Content::Revision(revision) => Some(revision),
        };
        self.node(slot).is_some() && self.revision(slot, row) == wanted
    }

    /// Says whether each running node holds of a row what the control plane says now.
    pub fn all_have_newest(&self, row: Row) -> bool {
        self.running().into_iter().all(|slot| self.has_newest(slot, row))
    }

    /// Counts the rows that are on and that a node does not hold.
    pub fn missing(&self, slot: usize) -> usize {
        let Some(node) = self.node(slot) else { return 0 };
        let view = node.sync.state().view();
        self.plane.on().iter().filter(|key| view.get(key.as_ref()).is_none()).count()
    }

    /// Says whether each ready node holds every row that is on.
    pub fn nothing_is_missing(&self) -> bool {
        let mut ready = self.running().into_iter().filter(|slot| self.is_ready(*slot));
        ready.all(|slot| self.missing(slot) == 0)
    }

    /// Says whether a node finds the key of a subscription on its API, or its product's first.
    pub fn finds(&self, slot: usize, number: u64) -> bool {
        let (api, secret) = rows::secret(number);
        self.looks_up(slot, &api, &secret)
    }

    /// Says whether a node finds the key of a subscription on an API.
    pub fn finds_on(&self, slot: usize, api: u64, number: u64) -> bool {
        self.looks_up(slot, &format!("api-{api}"), &rows::secret(number).1)
    }

    fn looks_up(&self, slot: usize, api: &str, secret: &str) -> bool {
        let at = wall(self.now());
        self.node(slot)
            .is_some_and(|node| node.sync.state().by_key(api, secret, None, at, |_| ()).is_some())
    }

    /// Says whether each ready node finds the key of a subscription.
    pub fn everyone_finds(&self, number: u64) -> bool {
        self.everyone_finds_all(number..number + 1)
    }

    /// Says whether each ready node finds the keys of all these subscriptions.
    pub fn everyone_finds_all(&self, mut numbers: std::ops::Range<u64>) -> bool {
        let ready = self.running().into_iter().filter(|slot| self.is_ready(*slot));
        let ready: Vec<_> = ready.collect();
        numbers.all(|number| ready.iter().all(|slot| self.finds(*slot, number)))
    }

    /// Says whether no running node finds the key of a subscription.
    pub fn nobody_finds(&self, number: u64) -> bool {
        !self.running().into_iter().any(|slot| self.finds(slot, number))
    }

    // --- what the stores saw ---

    /// Gives the head of a server: of the first one, or of one that a split made.
    pub fn head_at(&self, server: usize) -> Option<Arc<Head>> {
        self.net.store(server).peek().1
    }

    /// Gives the newest term that a server gave, or fenced with.
    pub fn term_at(&self, server: usize) -> Term {
        self.net.store(server).peek().0
    }

    /// Gives the head of the zone.
    pub fn head(&self) -> Option<Arc<Head>> {
        self.head_at(self.net.main())
    }

    /// Gives the claims of the zone's head in a state.
    fn claims(&self, state: ClaimState) -> Vec<Position> {
        let head = self.head();
        let all = head.iter().flat_map(|head| head.claims.claims());
        all.filter(|claim| claim.state == state).map(|claim| claim.position).collect()
    }

    /// Gives the open claims.
    pub fn open_claims(&self) -> Vec<Position> {
        self.claims(ClaimState::Open)
    }

    /// Gives the settled claims.
    pub fn settled_claims(&self) -> Vec<Position> {
        self.claims(ClaimState::Settled)
    }

    /// Lists the reigns that were given since a moment, oldest first.
    pub fn reigns_since(&self, since: Time) -> Vec<Reign> {
        let mut all: Vec<Reign> = Vec::new();
        for deed in self.deeds(since) {
            if let Deeds::Reign(term) = deed.what
                && all.iter().all(|reign| reign.term != term)
            {
                let slot = self.slot_of.get(&deed.host).copied().unwrap_or(usize::MAX);
                all.push(Reign { at: deed.at, slot, term });
            }
        }
        all
    }

    /// Counts the batches that the stores took since a moment.
    pub fn published_since(&self, since: Time) -> usize {
        let publish = |deed: &Deed| matches!(deed.what, Deeds::Publish(_)) && deed.done;
        self.deeds(since).iter().filter(|deed| publish(deed)).count()
    }

    /// Counts the writes of a slot's nodes that the stores refused since a moment.
    pub fn refused_since(&self, slot: usize, since: Time) -> usize {
        let deeds = self.deeds(since);
        let refused = |deed: &&Deed| !deed.done && self.slot_of.get(&deed.host) == Some(&slot);
        deeds.iter().filter(refused).count()
    }

    /// Says whether a node writes a snapshot right now: its last write was a chunk.
    pub fn is_packing(&self, slot: usize) -> bool {
        self.last_deed(slot).is_some_and(|deed| deed.what == Deeds::Chunk)
    }

    /// Says whether a node loads a snapshot right now: it read a chunk in this last second.
    pub fn is_loading(&self, slot: usize) -> bool {
        let now = self.now();
        let read = |deed: Deed| {
            deed.what == Deeds::ReadChunk && now < deed.at + SECOND && !self.is_in_sync(slot)
        };
        self.last_deed(slot).is_some_and(read)
    }

    fn last_deed(&self, slot: usize) -> Option<Deed> {
        let id = self.node(slot)?.id;
        self.watch().ledger.newest().find(|deed| deed.host == id).copied()
    }

    fn deeds(&self, since: Time) -> Vec<Deed> {
        let watch = self.watch();
        let mut deeds: Vec<_> =
            watch.ledger.newest().take_while(|deed| deed.at >= since).copied().collect();
        deeds.reverse();
        deeds
    }

    /// Lists the rows that there are at a world's beginning.
    pub fn first_rows() -> Vec<EntityKeyBuf> {
        let mut all: Vec<_> = (0..rows::APIS).map(rows::api).collect();
        all.extend((0..rows::DICTIONARIES).map(rows::dictionary));
        let subscribed = 0..rows::SUBSCRIPTIONS * 3 / 4;
        all.extend(subscribed.flat_map(|n| [rows::subscription(n), rows::key(n)]));
        all
    }
}
