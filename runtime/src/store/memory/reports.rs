//! What the nodes last said of themselves.

use std::collections::BTreeMap;

use zonesync_core::election::Report;
use zonesync_core::id::{InstanceId, Position};
use zonesync_core::time::{Duration, Instant};

/// The most instances whose report is kept. Past it, the one silent for longest is forgotten.
pub(super) const REPORTS_MAX: usize = 10_000;

/// The newest report of each instance, with the moment it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reports {
    reports: BTreeMap<InstanceId, (Instant, Report)>,
}

impl Reports {
    /// Takes in a report as its instance's newest.
    pub(super) fn add(&mut self, now: Instant, report: Report) {
        let known = self.reports.contains_key(&report.instance);
        if !known && self.reports.len() >= REPORTS_MAX {
            let oldest = self.reports.iter().min_by_key(|(_, (heard, _))| *heard);
            if let Some(instance) = oldest.map(|(instance, _)| *instance) {
                self.reports.remove(&instance);
            }
        }
        self.reports.insert(report.instance, (now, report));
    }

    /// Forgets who has been silent for twice the TTL.
    pub(super) fn sweep(&mut self, now: Instant, ttl: Duration) {
        let limit = ttl.saturating_mul(2);
        self.reports.retain(|_, (heard, _)| now.since(*heard) < limit);
    }

    /// Gives the reports, in the order of their instances.
    pub(super) fn list(&self) -> Vec<Report> {
        self.reports.values().map(|(_, report)| report.clone()).collect()
    }

    /// Goes through the snapshots that somebody is reading.
    pub(super) fn reading(&self) -> impl Iterator<Item = Position> + '_ {
        self.reports.values().filter_map(|(_, report)| report.reading)
    }

    /// Counts the reports.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.reports.len()
    }
}
