//! Batches and the head that moves with them.

use std::mem;
use std::sync::Arc;

use zonesync_core::bugs::{self, Bug};
use zonesync_core::digest::Digest;
use zonesync_core::format::{Filter, FormatRange, Head, Source};
use zonesync_core::history::{Claims, TermList};
use zonesync_core::id::{Position, Term};

use super::zone::{Zone, record_bytes};
use crate::store::{HeadUpdate, Log, Publish, StoreError, Written};

impl Zone {
    /// Appends one batch and moves the head to it, see [`crate::store::ZoneStore::publish`].
    pub(super) fn publish(&mut self, request: Publish) -> Result<Written, StoreError> {
        let Publish { term, entry, update } = request;
        let meta = entry.meta;
        if self.is_fenced(term) {
            return Ok(Written::Fenced);
        }
        if self.position() == meta.position && self.published == Some(meta.after) {
            return Ok(Written::Done);
        }
        if let Some(misplaced) = self.misplaced(meta.previous)
            && !bugs::planted(Bug::PublishAnywhere)
        {
            return Ok(misplaced);
        }
        if meta.position.term != term || meta.position.sequence <= meta.previous.sequence {
            return Err(StoreError::Denied(format!("a batch of {term} at {}", meta.position)));
        }
        check_list(&update, meta.position)?;
        let bytes = record_bytes(&entry.bytes);
        self.check_room(bytes, 0)?;
        self.move_head(meta.position, update);
        self.published = Some(meta.after);
        self.bytes += bytes;
        self.log_bytes += bytes;
        self.log.push_back(entry);
        Ok(Written::Done)
    }

    /// Changes the head where it stands, see [`crate::store::ZoneStore::write_head`].
    pub(super) fn write_head(
        &mut self,
        term: Term,
        at: Position,
        update: HeadUpdate,
    ) -> Result<Written, StoreError> {
        if self.is_fenced(term) {
            return Ok(Written::Fenced);
        }
        if self.head.is_none() {
            return Ok(Written::Behind);
        }
        if let Some(misplaced) = self.misplaced(at) {
            return Ok(misplaced);
        }
        check_list(&update, at)?;
        self.move_head(at, update);
        Ok(Written::Done)
    }

    /// Reads head and log, see [`crate::store::ZoneStore::read`].
    pub(super) fn read(&self, after: Position, max_bytes: usize) -> Log {
        let head = self.head.clone();
        let bytes = self.log_bytes as u64;
        let mut log = Log { term: self.term, head, bytes, ..Log::default() };
        if after == self.position() {
            return log;
        }
        let first = self.log.iter().rposition(|entry| entry.meta.previous == after);
        let (mut place, mut room) = (after, max_bytes);
        for entry in first.into_iter().flat_map(|first| self.log.range(first..)) {
            let fits = log.entries.is_empty() || entry.bytes.len() <= room;
            if !fits || entry.meta.previous != place {
                break;
            }
            room = room.saturating_sub(entry.bytes.len());
            place = entry.meta.position;
            log.entries.push(entry.clone());
        }
        log.gap = log.entries.is_empty();
        log
    }

    /// Moves the head to `position`, which may be where it stands, and all that goes with it. Makes
    /// the head if there is none.
    pub(super) fn move_head(&mut self, position: Position, update: HeadUpdate) {
        let waiting = mem::take(&mut self.waiting);
        let head = self.head.get_or_insert_with(|| Arc::new(first_head(&update, waiting)));
        let head = Arc::make_mut(head);
        match update.list {
            Some(list) => head.list = list,
            None => head.list.advance(position),
        }
        head.claims.settle(&update.settled);
        head.claims.drop_covered(&head.list);
        if let Some(digest) = update.digest {
            head.digest = digest;
        }
        if let Some(source) = update.source {
            head.source = source;
        }
        if let Some(filter) = update.filter {
            head.filter = filter;
        }
        if let Some(guard) = update.guard {
            head.guard = guard;
        }
        if let Some(format) = update.format {
            head.format = format;
        }
    }
}

/// Refuses a list that does not end where the head will stand.
pub(super) fn check_list(update: &HeadUpdate, position: Position) -> Result<(), StoreError> {
    match &update.list {
        Some(list) if list.position() != position => Err(StoreError::Denied(format!(
            "a list that ends at {} for a head at {position}",
            list.position()
        ))),
        _ => Ok(()),
    }
}

fn first_head(update: &HeadUpdate, claims: Claims) -> Head {
    Head {
        incarnation: update.incarnation,
        format: update.format.unwrap_or(FormatRange::KNOWN.oldest),
        list: TermList::new(),
        claims,
        snapshot: None,
        digest: Digest::EMPTY,
        source: Source::default(),
        filter: Filter::default(),
        guard: Default::default(),
    }
}
