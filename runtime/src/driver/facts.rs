//! What the driver tells the outside: facts behind a status, and who waits for them.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant as StdInstant;

use zonesync_core::election::Role;
use zonesync_core::id::Term;
use zonesync_core::node::Standing;
use zonesync_core::removal::{GuardData, Token};
use zonesync_core::time::{Duration, Instant, WallTime};

use super::step::Notes;
use crate::status::{Counters, Held, Link, LinkState, QuarantinedItem, Status};

/// What the last turn of the driver left.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) role: Role,
    pub(crate) term: Term,
    pub(crate) standing: Option<Standing>,
    /// When `standing` was taken, so that a lag goes on growing.
    pub(crate) at: Instant,
    pub(crate) store: Link,
    pub(crate) repository: Link,
    pub(crate) held: Vec<Held>,
    pub(crate) quarantined: Vec<QuarantinedItem>,
    pub(crate) quarantined_total: u64,
    pub(crate) failed: Option<String>,
    pub(crate) stopped: bool,
    pub(crate) counters: Counters,
}

/// The facts, and a bell for those who wait.
#[derive(Debug)]
pub(crate) struct Board {
    facts: Mutex<Facts>,
    changed: Condvar,
}

impl Board {
    pub(crate) fn new() -> Self {
        let facts = Facts {
            role: Role::Secondary,
            term: Term::default(),
            standing: None,
            at: Instant::default(),
            store: Link::default(),
            repository: Link::default(),
            held: Vec::new(),
            quarantined: Vec::new(),
            quarantined_total: 0,
            failed: None,
            stopped: false,
            counters: Counters::default(),
        };
        Self { facts: Mutex::new(facts), changed: Condvar::new() }
    }

    pub(crate) fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the facts; wakes those who wait.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Facts)) {
        change(&mut self.facts());
        self.changed.notify_all();
    }

    /// Waits until `done` says so, or `timeout` has passed. Gives what it said last.
    pub(crate) fn wait(&self, timeout: Duration, done: impl Fn(&Facts) -> bool) -> bool {
        let until = StdInstant::now() + timeout;
        let mut facts = self.facts();
        loop {
            if done(&facts) {
                return true;
            }
            let left = until.saturating_duration_since(StdInstant::now());
            if left.is_zero() {
                return false;
            }
            let woken = self.changed.wait_timeout(facts, left);
            facts = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Facts {
    /// Takes in what a step had to say of the systems it asked.
    pub(super) fn note(&mut self, notes: Notes, now: WallTime) {
        link("store", &mut self.store, notes.store_answered, notes.store_error, now);
        let (answered, error) = (notes.repository_answered, notes.repository_error);
        link("repository", &mut self.repository, answered, error, now);
        if notes.repository_answered {
            self.counters.reads += 1;
        }
        if let Some(rows) = notes.quarantined {
            self.quarantined_total = rows.len() as u64;
            self.quarantined = rows
                .into_iter()
                .take(Status::QUARANTINE_MAX)
                .map(|row| QuarantinedItem { place: row.place, reason: row.reason })
                .collect();
        }
    }

    /// Takes in what waits for a person.
    pub(super) fn hold(&mut self, guard: &GuardData, short: Option<(Token, u64)>) {
        self.held = guard
            .held()
            .map(|(kind, held)| Held {
                kind: kind.to_string(),
                count: held.count,
                token: held.token.to_string(),
            })
            .collect();
        if let Some((token, rows)) = short {
            let kind = "ALL".to_owned();
            self.held.push(Held { kind, count: rows, token: token.to_string() });
        }
    }
}

/// Moves a link on, and logs it when it goes down, comes back, or has something new to say.
fn link(name: &str, link: &mut Link, answered: bool, error: Option<String>, now: WallTime) {
    if error.is_some() {
        if link.error != error {
            let error = error.as_deref().unwrap_or_default();
            tracing::warn!(error, "{name} does not answer");
        }
        link.state = LinkState::Down;
        link.error = error;
    } else if answered {
        if link.error.take().is_some() {
            tracing::info!("{name} answers again");
        }
        link.state = LinkState::Up;
        link.last_answer = Some(now);
    }
}
