//! Who may write: looking, the lease, and the raise that fences it.

use std::sync::Arc;

use zonesync_core::bugs::{self, Bug};
use zonesync_core::election::{Lease, LeaseStamp, Report};
use zonesync_core::history::{self, RAISE_MAX, TermList};
use zonesync_core::id::{Epoch, Position, Term, TermId};
use zonesync_core::time::{Duration, Instant};

use super::zone::Zone;
use crate::store::{Acquire, Acquired, Look, Raise, RaiseAnswer, Renew, Renewed, StoreError};

impl Zone {
    /// Shows lease, term, head and live reports, and takes in one's own.
    pub(super) fn look(&mut self, now: Instant, report: Option<Report>) -> Look {
        self.expire(now);
        if let (Some((lease, _)), Some(report)) = (&mut self.lease, &report)
            && lease.node == report.node
            && bugs::planted(Bug::LeaseInherited)
        {
            lease.instance = report.instance;
        }
        if let Some(report) = report {
            self.reports.add(now, report);
        }
        Look {
            lease: self.lease.as_ref().map(|(lease, end)| {
                let remaining = end.since(now);
                Lease { remaining, ..lease.clone() }
            }),
            term: self.term,
            head: self.head.as_ref().map(|head| head.position()),
            live: self.reports.list(),
        }
    }

    /// Gives the lease with a new term, see [`crate::store::ZoneStore::acquire`].
    pub(super) fn acquire(
        &mut self,
        now: Instant,
        request: Acquire,
    ) -> Result<Acquired, StoreError> {
        self.expire(now);
        if let Some((lease, _)) = &self.lease {
            let own = lease.instance == request.instance;
            if own && lease.term.id == request.id {
                return Ok(Acquired::Granted(lease.term));
            }
            if !own && request.still != Some(lease.stamp) {
                return Ok(Acquired::Held);
            }
        }
        if self.term.epoch > request.known && !bugs::planted(Bug::LateAcquireFences) {
            return Ok(Acquired::Stale(self.term.epoch));
        }
        let epoch = next_epoch(self.term.epoch, request.known)?;
        self.term = Term { epoch, id: request.id };
        self.ttl = request.ttl;
        let lease = Lease {
            node: request.node,
            instance: request.instance,
            term: self.term,
            stamp: LeaseStamp::default(),
            remaining: Duration::ZERO,
        };
        self.lease = Some(prolonged(lease, now, request.ttl));
        Ok(Acquired::Granted(self.term))
    }

    /// Prolongs the lease, see [`crate::store::ZoneStore::renew`].
    pub(super) fn renew(&mut self, now: Instant, request: Renew) -> Renewed {
        self.expire(now);
        let holds = self.lease.as_ref().is_some_and(|(lease, _)| lease.term == request.term);
        if !holds || self.is_fenced(request.term) {
            return Renewed::Fenced;
        }
        if self.lacks(request.acknowledged) && !bugs::planted(Bug::SameTermAfterBehind) {
            return Renewed::Behind;
        }
        self.ttl = request.ttl;
        self.lease = self.lease.take().map(|(lease, _)| prolonged(lease, now, request.ttl));
        self.reports.add(now, request.report);
        let claims = self.head.as_ref().map_or(&self.waiting, |head| &head.claims);
        Renewed::Done { claims: claims.open().collect(), live: self.reports.list() }
    }

    /// Ends the lease of `term`. Says whether it stood.
    pub(super) fn release(&mut self, now: Instant, term: Term) -> bool {
        self.expire(now);
        let held = self.lease.take_if(|(lease, _)| lease.term == term);
        if held.is_some() {
            self.released = term;
        }
        held.is_some()
    }

    /// Takes in what a node has seen; `spare` is a term id that nobody holds. Says what became of
    /// it, and whether that changed anything.
    pub(super) fn raise(&mut self, request: Raise, spare: TermId) -> (RaiseAnswer, bool) {
        let Raise { seen, position } = request;
        let (none, waiting) = (TermList::new(), &self.waiting);
        let (list, claims) =
            self.head.as_ref().map_or((&none, waiting), |head| (&head.list, &head.claims));
        let Ok(raised) = history::raise(self.term.epoch, seen, position, list, claims) else {
            return (RaiseAnswer::TooFar, false);
        };
        if let Some(epoch) = raised.epoch {
            self.term = Term { epoch, id: spare };
        }
        let lost = position.filter(|_| raised.claim && !bugs::planted(Bug::ClaimNotKept));
        let claimed = lost.is_some_and(|position| self.claim(position));
        (RaiseAnswer::Done(self.term.epoch), claimed || raised.epoch.is_some())
    }

    /// Adds an open claim. While all places are taken by open ones, the node must come again.
    fn claim(&mut self, position: Position) -> bool {
        match &mut self.head {
            Some(head) => Arc::make_mut(head).claims.add(position),
            None => self.waiting.add(position),
        }
    }

    /// Ends what has run out by the store's clock.
    fn expire(&mut self, now: Instant) {
        self.lease.take_if(|(_, end)| *end <= now);
        self.reports.sweep(now, self.ttl);
    }
}

/// Makes `lease` end one TTL from now.
fn prolonged(lease: Lease, now: Instant, ttl: Duration) -> (Lease, Instant) {
    let end = now + ttl;
    (Lease { stamp: LeaseStamp(end.as_nanos()), remaining: ttl, ..lease }, end)
}

/// Gives the epoch above both. Refuses a jump that no zone can have come to, as a raise does: one
/// forged number must not use up the epochs of a zone.
fn next_epoch(stored: Epoch, known: Epoch) -> Result<Epoch, StoreError> {
    let epoch = stored.max(known).next().filter(|_| known.0 <= stored.0.saturating_add(RAISE_MAX));
    epoch.ok_or_else(|| StoreError::Denied(format!("{known} is too far above the stored {stored}")))
}
