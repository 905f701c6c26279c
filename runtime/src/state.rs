//! The state that a node holds in memory, and the lookups a gateway needs on each request.
//!
//! A [`State`] is read by any number of threads without a lock; its one [`Writer`] applies batches
//! beside them. A [`View`] pins one position: all its answers come from the state at that position.
//!
//! All that is large is kept in arrays and indexes whose copies share what did not change
//! (`tree`, `index`, `access`). The writer changes a copy of the newest state and swaps it in; readers load
//! one pointer. An old state lives as long as somebody looks at it, and is freed by the writer.
//!
//! What an entity is called and where it belongs is said by its key; where its payload says
//! otherwise, the key counts. An entity that cannot be used, or that the host rejected, is kept and
//! named ([`View::unusable`]), and out of lookups until it changes.

mod access;
mod bulk;
mod certificate;
mod edit;
mod facts;
mod feed;
mod hash;
mod index;
mod json;
mod lookup;
#[cfg(test)]
mod model;
mod names;
mod payload;
mod record;
mod root;
mod scan;
mod slots;
mod sort;
mod tag;
#[cfg(test)]
mod tests;
mod tree;
mod view;
mod walk;

pub use bulk::{Bulk, BulkPart, BulkReader, Twice};
pub use feed::{ChangeFeed, FeedError, Step};
pub use view::{Subscription, Unusable, View};

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::ArcSwap;
use zonesync_core::digest::DigestKey;
use zonesync_core::entity::Change;
use zonesync_core::id::{EntityKey, Position};
use zonesync_core::time::WallTime;

use edit::Editor;
use feed::FeedLog;
use root::Root;

/// How many changes feeds remember, unless a state is made with another number.
const FEED_CHANGES: usize = 100_000;

/// The state of one node, for reading. Cloning gives another handle to the same state.
#[derive(Clone)]
pub struct State {
    shared: Arc<Shared>,
}

/// The one that changes a [`State`]. Dropping it ends all feeds; lookups go on.
pub struct Writer {
    shared: Arc<Shared>,
}

struct Shared {
    root: ArcSwap<Root>,
    /// Taken by whoever changes the state, never by a lookup.
    writing: Mutex<Writing>,
    feed: Arc<FeedLog>,
    hooks: Mutex<Vec<Arc<dyn Fn() + Send + Sync>>>,
}

struct Writing {
    editor: Editor,
    /// Replaced states that somebody may still look at. Kept until nobody does, so that it is the
    /// writer that frees them and never a lookup.
    retired: Vec<Arc<Root>>,
}

impl State {
    /// Makes an empty state and its writer. Its feeds remember the newest 100,000 changes.
    pub fn new(digest_key: DigestKey) -> (Self, Writer) {
        Self::with_feed(digest_key, FEED_CHANGES)
    }

    /// Makes an empty state whose feeds remember at most about `changes_max` changes.
    pub fn with_feed(digest_key: DigestKey, changes_max: usize) -> (Self, Writer) {
        Self::made(Root::new(), Editor::new(digest_key), changes_max)
    }

    /// Makes a state that holds something. Its feeds remember nothing.
    fn of(root: Root, editor: Editor) -> (Self, Writer) {
        Self::made(root, editor, 0)
    }

    fn made(root: Root, editor: Editor, changes_max: usize) -> (Self, Writer) {
        let shared = Arc::new(Shared {
            root: ArcSwap::from_pointee(root),
            writing: Mutex::new(Writing { editor, retired: Vec::new() }),
            feed: FeedLog::new(changes_max),
            hooks: Mutex::new(Vec::new()),
        });
        (Self { shared: shared.clone() }, Writer { shared })
    }

    /// Pins the newest position.
    pub fn view(&self) -> View {
        View::new(self.shared.root.load_full())
    }

    /// Gives the newest position.
    pub fn position(&self) -> Position {
        self.shared.root.load().position
    }

    /// Finds the subscription that `key` opens on `api`, as [`View::by_key`], at the newest
    /// position, and hands it to `found`. Takes no lock and allocates nothing.
    ///
    /// `found` should be short: a batch applied meanwhile is freed only later.
    #[inline]
    pub fn by_key<R>(
        &self,
        api: &str,
        key: &str,
        plan: Option<&str>,
        at: WallTime,
        found: impl FnOnce(Subscription<'_>) -> R,
    ) -> Option<R> {
        let root = self.shared.root.load();
        let number = root.by_key(api, key, plan, at)?;
        Some(found(Subscription::new(&root, number)))
    }

    /// Starts a feed of the changes after `since`, or after now if none is given.
    ///
    /// If the changes after `since` are not known any more, the feed says
    /// [`FeedError::Behind`] at once: take a [`View`] and start from its position.
    pub fn changes(&self, since: Option<Position>) -> ChangeFeed {
        self.shared.feed.feed(since)
    }

    /// Takes an entity out of lookups until it changes, since the host cannot use it.
    ///
    /// Gives false if there is no such entity. `reason` is for people and shown by
    /// [`View::unusable`].
    pub fn reject(&self, key: EntityKey<'_>, reason: &str) -> bool {
        let mut writing = self.shared.writing();
        let mut root = Root::clone(&self.shared.root.load());
        let rejected = writing.editor.reject(&mut root, key, reason);
        if rejected {
            writing.editor.finish(&mut root);
            self.shared.publish(&mut writing, root);
        }
        rejected
    }

    /// Has `hook` called after each applied batch, on the thread that applied it. It must be quick;
    /// it may look things up, but not change the state. It must not own a handle to this state, which
    /// would then never go; a [`std::sync::Weak`] of whatever it serves will do.
    pub fn on_change(&self, hook: Box<dyn Fn() + Send + Sync>) {
        self.shared.hooks.lock().unwrap_or_else(|e| e.into_inner()).push(hook.into());
    }
}

impl Writer {
    /// Applies changes as one step: readers see all of them or none, at `position`.
    ///
    /// A change that changes nothing is passed over. Where several changes are of one entity, the
    /// last counts. Versions are worked out from what is stored, whatever the changes say.
    pub fn apply<'a>(&mut self, position: Position, changes: &mut dyn Iterator<Item = Change<'a>>) {
        let mut writing = self.shared.writing();
        let mut root = Root::clone(&self.shared.root.load());
        let mut applied = feed::Changes::new();
        for change in changes {
            if let Some(after) = writing.editor.apply(&mut root, &change) {
                applied.push((change.key.into(), after));
            }
        }
        writing.editor.finish(&mut root);
        self.step(writing, root, position, Some(applied));
    }

    /// Takes the state of `other` in the place of its own, as one step, at the position of that one.
    ///
    /// An entity that the host rejected stays rejected if it is the same there. Feeds are told the
    /// difference, if they could remember it.
    pub fn replace(&mut self, other: Self) {
        let mut writing = self.shared.writing();
        let old = self.shared.root.load_full();
        let mut root = Root::clone(&other.shared.root.load());
        let mut editor = other.shared.writing().editor.take();
        for (key, reason) in writing.editor.unusable() {
            let key = key.as_ref();
            if old.usable_again(&root, key) {
                editor.reject(&mut root, key, reason);
            }
        }
        editor.finish(&mut root);
        writing.editor = editor;
        let changes = old.changes_to(&root, self.shared.feed.changes_max());
        let position = root.position;
        drop((old, other));
        self.step(writing, root, position, changes);
    }

    /// Names the present state by another position: nothing else changes.
    pub fn move_to(&mut self, position: Position) {
        let writing = self.shared.writing();
        let root = Root::clone(&self.shared.root.load());
        self.step(writing, root, position, Some(feed::Changes::new()));
    }

    /// Pins the newest position.
    pub fn view(&self) -> View {
        View::new(self.shared.root.load_full())
    }

    /// Ends all feeds once they have handed out what is there. The state goes on.
    pub fn close(&self) {
        self.shared.feed.close();
    }

    fn step(
        &self,
        mut writing: MutexGuard<'_, Writing>,
        mut root: Root,
        position: Position,
        changes: Option<feed::Changes>,
    ) {
        root.position = position;
        self.shared.feed.push(position, changes, || self.shared.publish(&mut writing, root));
        drop(writing);
        let hooks = self.shared.hooks.lock().unwrap_or_else(|e| e.into_inner()).clone();
        hooks.iter().for_each(|hook| hook());
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn writing(&self) -> MutexGuard<'_, Writing> {
        // After a panic in the middle of a change, what the editor keeps may not fit the state.
        self.writing.lock().expect("an earlier change of this state ended in a panic")
    }

    fn publish(&self, writing: &mut Writing, root: Root) {
        let old = self.root.swap(Arc::new(root));
        writing.retired.push(old);
        writing.retired.retain(|root| Arc::strong_count(root) > 1);
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("position", &self.position()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let position = self.shared.root.load().position;
        f.debug_struct("Writer").field("position", &position).finish_non_exhaustive()
    }
}
