//! Whether another primary follows in time, where nothing else is wrong.

use super::{TTL, World};
use crate::executor::{HostId, Time};
use crate::plan::{Fault, MS, SECOND};
use crate::watch::Promise;

/// A successor publishes within this after a clean stop: it need not wait for the lease to run out.
const AFTER_STOP: Time = 500 * MS;

/// The same, after a kill.
const AFTER_KILL: Time = TTL.as_nanos() as Time + SECOND;

/// The same, where the store's clock says that the lease of the dead stands: candidates wait until
/// it has looked just so for 4/3 of a TTL, and look every third.
const AFTER_CLOCK: Time = TTL.as_nanos() as Time * 5 / 3 + 2 * SECOND;

/// How long after the end of a fault things are as usual.
const SETTLED: Time = 15 * SECOND;

/// What is expected of the next primary.
#[derive(Default)]
pub(super) struct Succession {
    /// Since when, until when, and after whom somebody else must have published.
    expected: Option<(Time, Time, HostId)>,
    /// Until then, something is wrong.
    disturbed: Time,
}

impl Succession {
    /// Says when the next check is due.
    pub(super) fn due(&self) -> Option<Time> {
        self.expected.map(|(_, until, _)| until)
    }
}

impl World {
    /// Takes in what is about to break.
    pub(super) fn expect_successor(&mut self, fault: &Fault) {
        let now = self.executor.now();
        let calm = now > self.succession.disturbed;
        let ends = now + fault.lasts() + SETTLED;
        self.succession.disturbed = self.succession.disturbed.max(ends);
        self.succession.expected = None;
        let Some(primary) = self.primary().filter(|_| calm) else { return };
        let limit = match fault {
            Fault::Crash(slot, _) if *slot == primary => AFTER_KILL,
            Fault::CrashPrimary(_) => AFTER_KILL,
            Fault::Stop(slot, _) if *slot == primary => AFTER_STOP,
            Fault::StopPrimary(_) => AFTER_STOP,
            Fault::CrashAndStoreClock(..) => AFTER_CLOCK,
            _ => return,
        };
        // A restart of its own must not be what helps.
        if fault.lasts() < limit + SECOND || !self.has_heir(primary) {
            return;
        }
        if let Some(node) = &self.slots[primary].node {
            self.succession.expected = Some((now, now + limit, node.id));
        }
    }

    /// Checks what is due.
    pub(super) fn check_successor(&mut self) {
        let now = self.executor.now();
        let Some((since, until, former)) = self.succession.expected else { return };
        if now < until {
            return;
        }
        self.succession.expected = None;
        let mut watch = self.watch();
        let (at, host) = watch.published;
        watch.check(now, Promise::InTime, at > since && host != former, || {
            format!("nobody has published in place of node {former} by now")
        });
    }

    /// Another node can lead, and sees what the primary sees.
    fn has_heir(&self, primary: usize) -> bool {
        let plan = self.slots[primary].plan;
        self.slots.iter().enumerate().any(|(number, slot)| {
            number != primary
                && !slot.plan.observes
                && slot.plan.filtered == plan.filtered
                && slot.node.as_ref().is_some_and(|node| {
                    let status = node.sync.status();
                    !node.stopping && status.ready && status.in_sync
                })
        })
    }
}
