//! What the driver tells the outside: facts behind a status, and who waits for them.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant as StdInstant;

use zonesync_core::election::{Report, Role};
use zonesync_core::id::Term;
use zonesync_core::node::Standing;
use zonesync_core::removal::{GuardData, Token};
use zonesync_core::time::{Duration, Instant, WallTime};

use super::step::Notes;
use crate::status::{Counters, Held, Image, Link, LinkState, QuarantinedItem};

/// What the last turn of the driver left.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) role: Role,
    pub(crate) term: Term,
    pub(crate) standing: Option<Standing>,
    /// When `standing` was taken, so that a lag goes on growing.
    pub(crate) at: Instant,
    pub(crate) store: Link,
    pub(crate) unreplicated: bool,
    pub(crate) repository: Link,
    pub(crate) held: Vec<Held>,
    pub(crate) quarantined: Vec<QuarantinedItem>,
    pub(crate) quarantined_total: u64,
    pub(crate) image: Option<Image>,
    pub(crate) failed: Option<String>,
    pub(crate) stopped: bool,
    pub(crate) counters: Counters,
    /// What live nodes reported, when the store was last asked.
    pub(crate) live: Arc<[Report]>,
    /// What went wrong last at the lease, and in a step. One does not make up for the other: a full
    /// store still renews.
    lease_error: Option<String>,
    step_error: Option<String>,
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
            unreplicated: false,
            repository: Link::default(),
            held: Vec::new(),
            quarantined: Vec::new(),
            quarantined_total: 0,
            image: None,
            failed: None,
            stopped: false,
            counters: Counters::default(),
            live: Arc::default(),
            lease_error: None,
            step_error: None,
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
        self.unreplicated = notes.unreplicated.unwrap_or(self.unreplicated);
        if notes.store_error.is_some() || notes.store_answered {
            self.step_error = notes.store_error;
            self.link_store(notes.store_answered, now);
        }
        if notes.repository_answered {
            self.counters.reads += 1;
        }
        if let Some(error) = notes.repository_error {
            if self.repository.error.as_ref() != Some(&error) {
                tracing::warn!(error, "the management repository does not answer");
            }
            self.repository.state = LinkState::Down;
            self.repository.error = Some(error);
        } else if notes.repository_answered {
            if self.repository.state == LinkState::Down {
                tracing::info!("the management repository answers again");
            }
            let last_answer = Some(now);
            self.repository = Link { state: LinkState::Up, error: None, last_answer };
        }
    }

    /// Takes in how a step at the lease ended.
    pub(super) fn note_lease(&mut self, error: Option<String>, now: WallTime) {
        let answered = error.is_none();
        self.lease_error = error;
        self.link_store(answered, now);
    }

    fn link_store(&mut self, answered: bool, now: WallTime) {
        if answered {
            self.store.last_answer = Some(now);
        }
        let error = self.step_error.clone().or_else(|| self.lease_error.clone());
        match &error {
            Some(error) if self.store.error.is_none() => {
                tracing::warn!(error, "the zone store does not answer");
            }
            None if self.store.error.is_some() => tracing::info!("the zone store answers again"),
            _ => {}
        }
        self.store.error = error;
        let down = self.store.error.is_some();
        self.store.state = if down { LinkState::Down } else { LinkState::Up };
    }

    /// Forgets the repository: this node does not ask it any more.
    pub(super) fn leave_repository(&mut self) {
        self.repository.state = LinkState::Idle;
        self.repository.error = None;
        self.quarantined.clear();
        self.quarantined_total = 0;
    }

    /// Takes in what waits for a person, and what cannot be used.
    pub(super) fn hold(
        &mut self,
        guard: &GuardData,
        short: Option<(Token, u64)>,
        quarantined: (Vec<QuarantinedItem>, u64),
    ) {
        for item in quarantined.0.iter().filter(|item| !self.quarantined.contains(item)) {
            let QuarantinedItem { place, reason } = item;
            tracing::warn!(place, reason, "read: this cannot be used; the rest goes on");
        }
        (self.quarantined, self.quarantined_total) = quarantined;
        self.held = guard
            .held()
            .map(|(kind, held)| Held {
                kind: kind.to_string(),
                count: held.count,
                token: held.token.to_string(),
            })
            .collect();
        if let Some((token, missing)) = short {
            let kind = "ALL".to_owned();
            self.held.push(Held { kind, count: missing, token: token.to_string() });
        }
    }
}
