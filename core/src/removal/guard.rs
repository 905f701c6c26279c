//! What the guard remembers, and how it judges.
//!
//! Time is cut into hours, so that a day fits a fixed room: "the last 24 hours" are the running
//! hour and the 24 before it. So nothing is forgotten before 24 hours, and everything after 25.
//!
//! The hours count from the newest one seen. A clock that jumps back moves nothing: whatever
//! happens then belongs to the newest hour. Once such a clock has run for 25 hours of its own, what
//! was recorded before the jump is forgotten, and what came after it stays for another day. So a
//! clock that comes back has erased nothing, and one that was years ahead does not block for years.

use core::fmt;

use super::{HeldSet, Token};
use crate::bugs::{self, Bug};
use crate::digest::Digest;
use crate::entity::{KINDS_MAX, Kind};
use crate::time::WallTime;

/// Absent removals are held when they pass this share of the kind's highest count.
pub const HELD_SHARE_PERCENT: u64 = 20;

/// Fewer absent removals than this pass; and so does the end of a kind that never had as many.
const FEW: u64 = 3;

/// The running hour and the 24 before it.
pub(crate) const HOURS: usize = 25;

/// What the guard says to absent removals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// They are few: apply them.
    Pass,
    /// They are too many: keep the entities until a person confirms.
    Hold,
}

/// Removals that wait for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    /// How many.
    pub count: u64,
    /// What a person confirms them with.
    pub token: Token,
}

/// What one kind went through in one hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hour {
    pub(crate) highest: u32,
    pub(crate) absent: u32,
}

/// What the guard remembers of one kind; the running hour first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KindGuard {
    pub(crate) hours: [Hour; HOURS],
    pub(crate) held: Option<Held>,
}

impl KindGuard {
    const EMPTY: Self = Self { hours: [Hour { highest: 0, absent: 0 }; HOURS], held: None };
}

/// What the guard must not forget: of each kind the highest counts and the absent removals of the
/// last 24 hours, and what is held. Bounded, without a heap.
#[derive(Clone, PartialEq, Eq)]
pub struct GuardData {
    /// The newest hour seen, counted from 1970.
    pub(crate) newest: i64,
    /// While the clock stands before the newest hour: the lowest hour it showed since.
    pub(crate) rewound: Option<i64>,
    pub(crate) kinds: [KindGuard; KINDS_MAX],
}

impl GuardData {
    /// Starts without a memory.
    pub const fn new() -> Self {
        Self { newest: 0, rewound: None, kinds: [KindGuard::EMPTY; KINDS_MAX] }
    }

    /// Remembers how much there is of each kind, if it is the most so far.
    pub fn observe(&mut self, now: WallTime, digest: &Digest) {
        self.roll(now);
        for (kind, sums) in digest.kinds() {
            let hour = &mut self.kinds[index(kind)].hours[0];
            hour.highest = hour.highest.max(clamp(sums.count));
        }
    }

    /// Judges `absent` removals of `kind`, of which `present` entities are held, these among them.
    ///
    /// Held are those that, with the absent removals of the last 24 hours, are three or more and
    /// pass a fifth of the kind's highest count in that time; and those that leave nothing of a
    /// kind which had three or more in that time.
    pub fn judge(&self, now: WallTime, kind: Kind, present: u64, absent: u64) -> Verdict {
        if absent == 0 || bugs::planted(Bug::GuardAsleep) {
            return Verdict::Pass;
        }
        let highest = self.highest(now, kind).max(present);
        let all = absent.saturating_add(self.absent(now, kind));
        let share = u128::from(all) * 100 > u128::from(highest) * u128::from(HELD_SHARE_PERCENT);
        let wipes = absent >= present && highest >= FEW;
        if (all >= FEW && share) || wipes { Verdict::Hold } else { Verdict::Pass }
    }

    /// Judges a set of absent removals, letting through exactly the one that a person `confirmed`.
    pub fn judge_set(
        &self,
        now: WallTime,
        kind: Kind,
        present: u64,
        set: &HeldSet,
        confirmed: Option<Token>,
    ) -> Verdict {
        let again = self.kinds[index(kind)].held.is_some_and(|held| held.token == set.token());
        let passes = again && bugs::planted(Bug::GuardPassedByRepetition);
        if confirmed == Some(set.token()) || passes {
            return Verdict::Pass;
        }
        self.judge(now, kind, present, set.count())
    }

    /// Records `count` absent removals of `kind` that passed, whether as few or as confirmed.
    pub fn pass(&mut self, now: WallTime, kind: Kind, count: u64) {
        self.roll(now);
        let hour = &mut self.kinds[index(kind)].hours[0];
        hour.absent = hour.absent.saturating_add(clamp(count));
    }

    /// Remembers that removals of `kind` wait for a person, in the place of those before.
    pub fn hold(&mut self, kind: Kind, count: u64, token: Token) {
        if !bugs::planted(Bug::HeldForgotten) {
            self.kinds[index(kind)].held = Some(Held { count, token });
        }
    }

    /// Forgets that removals of `kind` wait: they passed, or their entities are back.
    pub fn release(&mut self, kind: Kind) {
        self.kinds[index(kind)].held = None;
    }

    /// Goes through the kinds of which removals wait.
    pub fn held(&self) -> HeldKinds<'_> {
        HeldKinds { guard: self, next: 1 }
    }

    /// Gives the highest count of `kind` in the last 24 hours, as far as it was observed.
    pub fn highest(&self, now: WallTime, kind: Kind) -> u64 {
        self.day(now, kind).map(|hour| u64::from(hour.highest)).max().unwrap_or(0)
    }

    /// Counts the absent removals of `kind` that passed in the last 24 hours.
    pub fn absent(&self, now: WallTime, kind: Kind) -> u64 {
        self.day(now, kind).map(|hour| u64::from(hour.absent)).sum()
    }

    /// Takes in what another node remembers: the highest counts, all absences, what is held.
    ///
    /// Two memories that share a past count it once. So of absences that two branches recorded in
    /// one and the same hour only the greater number counts.
    pub fn merge(&mut self, now: WallTime, other: &Self) {
        let mut other = other.clone();
        self.roll(now);
        other.roll(now);
        // Unequal only if a clock was ahead. Nothing falls off the end for that.
        let newest = self.newest.max(other.newest);
        self.shift(newest, true);
        other.shift(newest, true);
        self.rewound = self.rewound.max(other.rewound);
        if newest > hour_of(now) {
            self.rewound.get_or_insert(hour_of(now));
        }
        for (own, other) in self.kinds.iter_mut().zip(&other.kinds) {
            for (own, other) in own.hours.iter_mut().zip(&other.hours) {
                own.highest = own.highest.max(other.highest);
                own.absent = own.absent.max(other.absent);
            }
            own.held = own.held.max(other.held);
        }
    }

    /// The hours that count at `now`.
    fn day(&self, now: WallTime, kind: Kind) -> impl Iterator<Item = &Hour> {
        let now = hour_of(now);
        let ran_back = now < self.newest && self.rewound.is_some_and(|low| ended(low, now));
        let count = if ran_back {
            1
        } else {
            let past = usize::try_from(now.saturating_sub(self.newest)).unwrap_or(0);
            HOURS.saturating_sub(past)
        };
        self.kinds[index(kind)].hours[..count].iter()
    }

    /// Brings the hours up to `now`.
    fn roll(&mut self, now: WallTime) {
        let now = hour_of(now);
        if now >= self.newest {
            self.rewound = None;
            self.shift(now, false);
            return;
        }
        match self.rewound {
            Some(low) if ended(low, now) => {
                for kind in &mut self.kinds {
                    kind.hours[1..].fill(Hour::default());
                }
                self.newest = now;
                self.rewound = None;
            }
            low => self.rewound = Some(low.map_or(now, |low| low.min(now))),
        }
    }

    /// Makes `newest` the newest hour. What is older than a day falls off; or the oldest hour takes
    /// it in, to `keep` it.
    fn shift(&mut self, newest: i64, keep: bool) {
        let by = usize::try_from(newest.saturating_sub(self.newest)).unwrap_or(0).min(HOURS);
        self.newest = self.newest.max(newest);
        if by == 0 {
            return;
        }
        for kind in &mut self.kinds {
            let off = kind.hours[HOURS - by..].iter().fold(Hour::default(), |sum, hour| Hour {
                highest: sum.highest.max(hour.highest),
                absent: sum.absent.saturating_add(hour.absent),
            });
            kind.hours.copy_within(..HOURS - by, by);
            kind.hours[..by].fill(Hour::default());
            if keep {
                let oldest = &mut kind.hours[HOURS - 1];
                oldest.highest = oldest.highest.max(off.highest);
                oldest.absent = oldest.absent.saturating_add(off.absent);
            }
        }
    }
}

impl Default for GuardData {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for GuardData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardData")
            .field("newest", &self.newest)
            .field("rewound", &self.rewound)
            .field("held", &self.held())
            .finish_non_exhaustive()
    }
}

/// The kinds of which removals wait, in the order of a cycle.
#[derive(Clone)]
pub struct HeldKinds<'a> {
    guard: &'a GuardData,
    next: u8,
}

impl Iterator for HeldKinds<'_> {
    type Item = (Kind, Held);

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(kind) = Kind::from_code(self.next) {
            self.next += 1;
            if let Some(held) = self.guard.kinds[index(kind)].held {
                return Some((kind, held));
            }
        }
        None
    }
}

impl fmt::Debug for HeldKinds<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.clone()).finish()
    }
}

/// Says whether a clock that was set back to the hour `low` has run for a day since.
fn ended(low: i64, now: i64) -> bool {
    now.saturating_sub(low) >= HOURS as i64
}

fn hour_of(now: WallTime) -> i64 {
    now.as_millis().div_euclid(60 * 60 * 1000)
}

fn index(kind: Kind) -> usize {
    usize::from(kind.code())
}

/// Counts in four bytes: past them the greatest stands for all, which only ever holds more.
fn clamp(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
