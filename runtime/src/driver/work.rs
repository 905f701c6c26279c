//! What the steps of one node work on: its state, the one staged beside it, and what is pending.

use std::collections::VecDeque;
use std::sync::Arc;

use zonesync_core::bugs::{self, Bug};
use zonesync_core::digest::{Digest, DigestKey};
use zonesync_core::entity::{Action, Change, Rank, Version};
use zonesync_core::format::{Filter, Head, Source};
use zonesync_core::id::{EntityKey, EntityKeyBuf, Position};
use zonesync_core::node::{Base, Held};
use zonesync_core::removal::{GuardData, Token};
use zonesync_core::time::WallTime;

use super::quarantine::Quarantine;
use crate::entity::Entity;
use crate::image::Kept;
use crate::state::{View, Writer};
use crate::store::{Bytes, Entry, Publish};

/// Everything that a step may touch. One step at a time owns it.
pub(super) struct Work {
    pub(super) key: DigestKey,
    pub(super) writer: Writer,
    pub(super) staged: Option<Staged>,
    /// The entries that the last read gave.
    pub(super) entries: Vec<Entry>,
    /// Changes on their way to the log, in order.
    pub(super) pending: VecDeque<Pending>,
    /// For a first load: the whole state that is pending.
    pub(super) first: Vec<Entity>,
    /// A batch that was sent and not answered. It is sent again as it is.
    pub(super) in_flight: Option<InFlight>,
    /// What the guard must not forget.
    pub(super) guard: GuardData,
    /// The tokens that persons have confirmed.
    pub(super) confirmed: Vec<Token>,
    /// How far the pending changes will have come with the repository.
    pub(super) source: Source,
    /// How far the own state had come when the reign began.
    pub(super) own_source: Source,
    /// What is held back since the rows fall short: token, and how many are missing.
    pub(super) short: Option<(Token, u64)>,
    /// The head that was read last, for its guard, until it is known what becomes of it.
    pub(super) seen: Option<Arc<Head>>,
    /// How many first loads in a row were put off since the rows were not all there.
    pub(super) put_off: u32,
    pub(super) quarantine: Quarantine,
    /// What became of the own state, until the image is told.
    pub(super) kept: Vec<Kept>,
    /// Incarnation and filter of the head that was read last.
    pub(super) zone: Option<(u128, Filter)>,
}

/// One pending change of one entity: its new payload, or none if it goes.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) key: EntityKeyBuf,
    pub(super) payload: Option<Bytes>,
}

impl Pending {
    fn rank(&self) -> Rank {
        Rank::of(self.key.as_ref().kind, self.payload.is_none())
    }
}

/// A batch as it was sent.
pub(super) struct InFlight {
    pub(super) request: Publish,
    pub(super) changes: usize,
    pub(super) after: Digest,
}

impl Work {
    pub(super) fn new(key: DigestKey, writer: Writer) -> Self {
        Self {
            key,
            writer,
            staged: None,
            entries: Vec::new(),
            pending: VecDeque::new(),
            first: Vec::new(),
            in_flight: None,
            guard: GuardData::default(),
            confirmed: Vec::new(),
            source: Source::default(),
            own_source: Source::default(),
            short: None,
            seen: None,
            put_off: 0,
            quarantine: Quarantine::default(),
            kept: Vec::new(),
            zone: None,
        }
    }

    /// Takes the guard's data of a head at `position`, whose state is now held.
    pub(super) fn arrive(&mut self, position: Position) {
        let head = self.seen.take_if(|head| head.position() == position);
        if let Some(head) = head.filter(|head| head.guard != self.guard) {
            self.guard = head.guard.clone();
        }
    }

    /// Begins a reign with the state that is held. What the head's guard remembers is kept, too,
    /// where the reign does not simply go on from the head.
    pub(super) fn begin_reign(&mut self, held: Option<&Held>, now: WallTime) {
        self.source = held.map(|held| held.source).unwrap_or_default();
        self.own_source = self.source;
        if bugs::planted(Bug::GuardForgottenAtTakeover) {
            self.guard = GuardData::default();
        } else if let Some(head) = self.seen.take() {
            self.guard.merge(now, &head.guard);
        }
    }

    /// Forgets what a reign that is over left behind.
    pub(super) fn discard(&mut self) {
        if !bugs::planted(Bug::RemovalUndoneByStale) {
            self.pending.clear();
        }
        self.first = Vec::new();
        self.in_flight = None;
        self.staged = None;
        self.short = None;
    }

    /// Makes changes pending, in the order in which they may be applied.
    ///
    /// Of several changes of one entity one stays, a removal before all; what `base` holds already
    /// is no change. So what is pending never makes an empty batch.
    pub(super) fn enqueue(&mut self, base: Base, mut changes: Vec<Pending>) {
        if bugs::planted(Bug::RemovalUndoneByStale) {
            changes.extend(self.pending.drain(..));
        }
        let view = self.writer.view();
        changes.sort_by(|a, b| (&a.key, a.payload.is_some()).cmp(&(&b.key, b.payload.is_some())));
        changes.dedup_by(|again, first| again.key == first.key);
        changes.retain(|change| {
            let held = Self::payload(base, &view, self.staged.as_ref(), change.key.as_ref());
            held != change.payload.as_deref()
        });
        changes.sort_by(|a, b| (a.rank(), &a.key).cmp(&(b.rank(), &b.key)));
        if bugs::planted(Bug::RevocationAfterDeploy) {
            changes.reverse();
        }
        self.pending = changes.into();
    }

    /// Gives the payload that `base` has for `key`.
    pub(super) fn payload<'a>(
        base: Base,
        view: &'a View,
        staged: Option<&'a Staged>,
        key: EntityKey<'_>,
    ) -> Option<&'a [u8]> {
        match base {
            Base::Own => view.get(key),
            Base::Staged => staged?.view.get(key),
        }
    }
}

/// A state loaded beside the one that answers lookups.
pub(super) struct Staged {
    writer: Writer,
    view: View,
    /// How far it had come with the repository.
    pub(super) source: Source,
}

impl Staged {
    pub(super) fn new(writer: Writer, source: Source) -> Self {
        Self { view: writer.view(), writer, source }
    }

    pub(super) fn view(&self) -> &View {
        &self.view
    }

    pub(super) fn apply<'a>(
        &mut self,
        position: Position,
        mut changes: impl Iterator<Item = Change<'a>>,
    ) {
        self.writer.apply(position, &mut changes);
        self.view = self.writer.view();
    }

    pub(super) fn move_to(&mut self, position: Position) {
        self.apply(position, std::iter::empty());
    }

    /// Gives the state, to take the place of another.
    pub(super) fn into_writer(self) -> Writer {
        self.writer
    }
}

/// Makes the change that turns what `old` holds into what is wanted, or none if it is there.
pub(super) fn change<'a>(
    hash: &DigestKey,
    key: EntityKey<'a>,
    old: Option<&[u8]>,
    payload: Option<&'a [u8]>,
) -> Option<Change<'a>> {
    if old == payload {
        return None;
    }
    let version = |payload: &[u8]| -> Version { hash.version(key, payload) };
    Some(Change {
        key,
        action: payload.map_or(Action::Undeploy, |payload| Action::Deploy { payload }),
        replaces: old.map(version),
        version: payload.map(version),
    })
}
