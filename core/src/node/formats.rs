//! Nodes of several versions in one zone: which format is written, and who cannot read it.
//!
//! The head says which format its reader must know. A primary writes the newest format that it and
//! all live nodes know. Two rules keep what stands in the store readable as a whole:
//!
//! - The head's format changes with a snapshot and nothing else, up or down: what the snapshot
//!   replaces is then no longer needed, whatever it was written in.
//! - A batch is never of a newer format than the head. Once a node is seen that reads less, batches
//!   are in its format at once; it can follow when the snapshot stands.
//!
//! So a zone moves down for any node that joins, though that costs a snapshot: the alternative is a
//! node that serves an old state until somebody upgrades it. It moves up only after nobody who reads
//! less was seen for two TTLs, since a store that lost its reports shows them again by then.
//!
//! A node that cannot read the head takes nothing from it. It keeps its state, does not stand, and
//! reads on: the primary sees its report and moves down. Where no such primary is left, the zone
//! waits for a node of the newer version.

use super::{Event, Node, Reason};
use crate::bugs::{self, Bug};
use crate::election::Report;
use crate::format::FormatRange;
use crate::time::{Duration, Instant};

/// What a node knows of the formats in its zone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Formats {
    pub(super) own: FormatRange,
    /// For how long somebody who was seen is reckoned with.
    patience: Duration,
    /// The least that a live node reads, if that is less than our own newest, and when it was seen.
    least: Option<(u16, Instant)>,
    /// The head is of this format, which we cannot read.
    pub(super) unreadable: Option<u16>,
}

impl Formats {
    pub(super) fn new(own: FormatRange, ttl: Duration) -> Self {
        Self { own, patience: ttl * 2, least: None, unreadable: None }
    }

    /// Takes in the newest report of each live node.
    pub(super) fn see(&mut self, now: Instant, live: &[Report]) {
        let least = live.iter().map(|report| report.format).min();
        let Some(seen) = least.filter(|format| *format < self.own.newest) else { return };
        if self.known(now).is_none_or(|known| seen <= known) {
            self.least = Some((seen, now));
        }
    }

    fn known(&self, now: Instant) -> Option<u16> {
        self.least.filter(|(_, at)| now.since(*at) < self.patience).map(|(format, _)| format)
    }

    /// Gives the format that a snapshot is written in now.
    ///
    /// A node that no longer knows what another reads writes the oldest format that it does know.
    pub(super) fn wanted(&self, now: Instant) -> u16 {
        let known = self.known(now).filter(|_| !bugs::planted(Bug::WritesOwnNewest));
        self.own.nearest(known.unwrap_or(self.own.newest))
    }
}

impl Node {
    /// Gives the format that a batch is written in now.
    pub(super) fn batch_format(&self, now: Instant) -> u16 {
        let wanted = self.formats.wanted(now);
        self.reign.as_ref().map_or(wanted, |reign| wanted.min(reign.format))
    }

    /// Says whether a snapshot in another format is due. Not while a batch is unanswered: it is sent
    /// again as it was written, and must not come behind a snapshot of a lower format.
    pub(super) fn format_is_due(&self, now: Instant) -> bool {
        let wanted = self.formats.wanted(now);
        self.reign.as_ref().is_some_and(|reign| {
            let falls = wanted < reign.format && !bugs::planted(Bug::FormatNeverFalls);
            !reign.unanswered && (falls || wanted > reign.format)
        })
    }

    /// Gives the format of a snapshot that begins now.
    pub(super) fn snapshot_format(&self, now: Instant) -> u16 {
        match &self.reign {
            Some(reign) if !self.format_is_due(now) => reign.format,
            _ => self.formats.wanted(now),
        }
    }

    /// Takes in that the head is of a format that only newer versions know, so that nothing else is
    /// known of it. Answers a read.
    pub fn handle_unreadable(&mut self, now: Instant, format: u16) {
        self.finish();
        self.refuse(now, format);
    }

    /// Takes nothing from a head of this format.
    pub(super) fn refuse(&mut self, now: Instant, format: u16) {
        if self.formats.unreadable != Some(format) {
            self.push_event(Event::Unreadable(format));
        }
        self.formats.unreadable = Some(format);
        self.head = None;
        self.failures = 0;
        // Whoever can read it must not wait for our lease to run out.
        self.elector.set_willing(now, false);
        self.take_election_events(now);
        self.report.out_of_sync(now, Reason::Format(format));
        self.serve_image(now);
        self.rest(now);
    }

    /// Says whether a head of this format is refused.
    pub(super) fn refuses(&self, format: u16) -> bool {
        let stands = self.reign.is_some() && bugs::planted(Bug::StandsUnreadable);
        !self.formats.own.reads(format) && !stands
    }

    /// Says whether the head is one that this node may write behind.
    pub(super) fn reads_head(&self) -> bool {
        self.formats.unreadable.is_none() || bugs::planted(Bug::StandsUnreadable)
    }
}
