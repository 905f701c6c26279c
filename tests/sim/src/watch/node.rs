//! What is watched at a node: each state that it shows, through its feed, its view and its lookups.

use std::collections::BTreeSet;
use std::sync::Arc;

use zonesync::ZoneSync;
use zonesync::state::{ChangeFeed, FeedError, Step};
use zonesync_core::id::{EntityKeyBuf, Position};
use zonesync_core::time::Duration;

use super::model::{self, Cell};
use super::{Promise, Watch};
use crate::executor::{HostId, Time};
use crate::host::wall;
use crate::rows;
use crate::truth::Content;

/// How many subscriptions are looked up whenever a node moves.
const LOOKED_UP: u64 = 2;

/// What one node showed since it started.
pub struct Watched {
    host: HostId,
    feed: ChangeFeed,
    position: Position,
    rejected: BTreeSet<EntityKeyBuf>,
    ready: bool,
    /// A head was seen, or made, where it stands.
    confirmed: bool,
    looked: Time,
    safe: Option<Position>,
    /// The feed is small: it may fall behind, and its reader starts over.
    feed_is_small: bool,
    /// How often it did.
    pub started_over: u64,
}

impl Watched {
    /// Watches a node from its start, before any of its tasks has run.
    ///
    /// `safe` is what its disk surely holds: what it shows first must not be older.
    pub fn new(host: HostId, node: &ZoneSync, safe: Option<Position>, feed_is_small: bool) -> Self {
        Self {
            host,
            feed: node.state().changes(None),
            position: node.state().position(),
            rejected: BTreeSet::new(),
            ready: false,
            confirmed: false,
            looked: 0,
            safe,
            feed_is_small,
            started_over: 0,
        }
    }

    /// Notes that the host took an entity out of lookups.
    pub fn reject(&mut self, key: EntityKeyBuf) {
        self.rejected.insert(key);
    }

    /// Looks at the node after it ran. Quick if nothing happened.
    pub fn see(&mut self, at: Time, node: &ZoneSync, watch: &mut Watch) {
        let moved = node.state().position() != self.position;
        if moved {
            self.read_feed(at, node, watch);
            self.look(at, node, watch);
        }
        self.confirmed |= !self.confirmed && watch.is_confirmed(self.host, self.position);
        if moved || at >= self.looked + 1_000_000_000 {
            self.looked = at;
            self.see_status(at, node, watch);
        }
    }

    fn read_feed(&mut self, at: Time, node: &ZoneSync, watch: &mut Watch) {
        loop {
            match self.feed.next(Duration::ZERO) {
                Ok(Some(step)) => self.take(at, &step, watch),
                Ok(None) | Err(FeedError::Stopped) => break,
                Err(FeedError::Behind) if self.feed_is_small => self.start_over(at, node, watch),
                Err(FeedError::Behind) => {
                    watch.check(at, Promise::InOrder, false, || "the feed fell behind".into());
                    break;
                }
            }
        }
    }

    /// Takes the newest state in the place of the changes that the feed forgot.
    fn start_over(&mut self, at: Time, node: &ZoneSync, watch: &mut Watch) {
        let view = node.state().view();
        self.feed = node.state().changes(Some(view.position()));
        self.started_over += 1;
        let shown = watch.shown.get(&self.host).cloned().unwrap_or_else(model::empty);
        let held = |row: usize| {
            let payload = view.get(rows::of_index(row).as_ref());
            payload.map_or(Content::Absent, |bytes| Content::Revision(rows::revision(bytes)))
        };
        let changed = (0..rows::ROWS).filter(|row| held(*row) != shown[*row].content);
        let changes = changed.map(|row| {
            let key = rows::of_index(row);
            let payload = view.get(key.as_ref()).map(Into::into);
            (key, payload)
        });
        let step = Step { position: view.position(), changes: changes.collect() };
        self.take(at, &step, watch);
    }

    fn take(&mut self, at: Time, step: &Step, watch: &mut Watch) {
        let (host, old, new) = (self.host, self.position, step.position);
        watch.check(at, Promise::OnePrimary, new.term.epoch >= old.term.epoch, || {
            format!("node {host} goes back from {old} to {new}")
        });
        watch.check(at, Promise::OnePrimary, !watch.follows_lower(host), || {
            format!("node {host} follows a store to {new} that is below what it was told of")
        });
        let on = new.term != old.term || new.sequence > old.sequence;
        watch.check(at, Promise::InOrder, on, || format!("node {host} goes from {old} to {new}"));
        if let Some(safe) = self.safe.take() {
            watch.check(at, Promise::StaysRevoked, new >= safe, || {
                format!("node {host} starts at {new}, though {safe} was safe on its disk")
            });
        }
        self.position = new;
        let announced = watch.models.at(new);
        let mut shown = watch.shown.remove(&host).unwrap_or_else(model::empty);
        for (key, payload) in &step.changes {
            self.rejected.remove(key);
            let content = payload
                .as_ref()
                .map_or(Content::Absent, |bytes| Content::Revision(rows::revision(bytes)));
            let row = rows::index(key.as_ref());
            let announced = announced.as_ref().map(|model| model[row]);
            let cell = &mut Arc::make_mut(&mut shown)[row];
            self.change(at, key, (cell, announced, content), watch);
        }
        watch.shown.insert(host, shown);
    }

    /// Checks that an entity goes forward: what the zone announces is not older than what was
    /// shown, or stood again since.
    fn change(
        &self,
        at: Time,
        key: &EntityKeyBuf,
        (cell, announced, new): (&mut Cell, Option<Cell>, Content),
        watch: &mut Watch,
    ) {
        let (host, old, row) = (self.host, *cell, rows::index(key.as_ref()));
        watch.note_of(at, key.as_ref(), || {
            format!("node {host} has it go from {:?} to {new:?}", old.content)
        });
        watch.check_of(at, Promise::InOrder, Some(key), new != old.content, || {
            format!("node {host} is told again of {key}: {new:?}")
        });
        let announced = announced.filter(|cell| cell.content == new);
        let since = match announced.filter(|cell| cell.since >= old.since) {
            Some(cell) => Some(cell.since),
            None => watch.plane.with_truth(|truth| truth.reach(row, old.since, new)),
        };
        // A branch that was founded on a read which missed a row lacks it until the next full read.
        let spoken_for = watch.plane.has_missed() || (watch.has_filters && rows::is_tagged(key));
        let promise = match (old.content, new) {
            (_, Content::Absent) => Promise::NeverWiped,
            (Content::Absent, _) => Promise::StaysRevoked,
            _ => Promise::InOrder,
        };
        // Of a row that nobody can read, two branches may have kept different versions, and the
        // zone cannot know which is newer.
        let unknown = watch.plane.is_poison(key);
        let kept = since.is_some() || unknown || (new == Content::Absent && spoken_for);
        watch.check_of(at, promise, Some(key), kept, || {
            format!("node {host} has {key} go from {old:?} to {new:?}, announced as {announced:?}")
        });
        *cell = Cell { content: new, since: since.unwrap_or(old.since) };
    }

    /// Compares with what was announced, and looks some keys up.
    fn look(&mut self, at: Time, node: &ZoneSync, watch: &mut Watch) {
        let host = self.host;
        let view = node.state().view();
        let (position, print) = (view.position(), view.digest().fingerprint());
        if position != Position::START {
            let announced = watch.announced(position).map(|(print, _)| print);
            watch.check(at, Promise::InOrder, announced == Some(print), || {
                let what =
                    if announced.is_none() { "was not announced" } else { "holds other data" };
                format!("node {host} is at {position}, which {what}")
            });
        }
        let shown = watch.shown.get(&host).cloned().unwrap_or_else(model::empty);
        let has = |key: &EntityKeyBuf| {
            let held = shown[rows::index(key.as_ref())].content != Content::Absent;
            held && !self.rejected.contains(key)
        };
        for _ in 0..LOOKED_UP {
            let number = watch.random.below(rows::SUBSCRIPTIONS);
            let wanted = has(&rows::subscription(number)) && has(&rows::key(number));
            let (api, secret) = rows::secret(number);
            let found = node.state().by_key(&api, &secret, None, wall(at), |_| ()).is_some();
            let promise = if found { Promise::StaysRevoked } else { Promise::InOrder };
            let key = rows::key(number);
            watch.check_of(at, promise, Some(&key), found == wanted, || {
                format!("node {host} finds key {number}: {found}, and should: {wanted}")
            });
        }
    }

    fn see_status(&mut self, at: Time, node: &ZoneSync, watch: &mut Watch) {
        let host = self.host;
        let status = node.status();
        watch.check(at, Promise::BadBytes, status.failed.is_none(), || {
            format!("node {host} failed: {}", status.failed.clone().unwrap_or_default())
        });
        if status.ready && !self.ready {
            self.ready = true;
            let announced = watch.announced(status.position);
            let complete = announced.is_some_and(|(_, complete)| complete);
            watch.check(at, Promise::OnlyAnnounced, complete, || {
                format!("node {host} is ready at {}, which was not complete", status.position)
            });
            let held: u64 = status.counts.iter().map(|kind| kind.count).sum();
            watch.note(at, || {
                let stale = if status.stale { ", stale" } else { "" };
                format!("node {host} is ready at {} with {held}{stale}", status.position)
            });
        }
        let old = self.confirmed || status.stale || !status.ready;
        watch.check(at, Promise::OnlyAnnounced, old, || {
            format!(
                "node {host} shows {} as the zone's, and has seen no head there",
                status.position
            )
        });
        watch.check(at, Promise::OnlyAnnounced, status.ready == self.ready, || {
            format!("node {host} is not ready any more")
        });
    }

    /// Lists how the node differs from the control plane: for the end, when all is quiet. Apart from
    /// that, lists what it holds that has no row any more.
    pub fn differences(&self, watch: &Watch) -> (Vec<String>, Vec<EntityKeyBuf>) {
        let shown = watch.shown.get(&self.host).cloned().unwrap_or_else(model::empty);
        let (mut all, mut stays) = (Vec::new(), Vec::new());
        for (row, cell) in shown.iter().enumerate() {
            let wanted = watch.plane.with_truth(|truth| truth.now(row));
            let key = rows::of_index(row);
            let gone = wanted == Content::Absent && !watch.plane.has_row(&key);
            let filtered = watch.has_filters && rows::is_tagged(&key);
            if cell.content == wanted || filtered || watch.plane.is_poison(&key) {
                continue;
            }
            if gone {
                stays.push(key);
            } else {
                all.push(format!("{key} is {:?} instead of {wanted:?}", cell.content));
            }
        }
        (all, stays)
    }
}
