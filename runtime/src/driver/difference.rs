//! From a reading of the repository to pending changes: compared, judged, ordered.

use std::collections::BTreeSet;

use zonesync_core::bugs::{self, Bug};
use zonesync_core::diff::{self, Difference as Diff};
use zonesync_core::digest::Digest;
use zonesync_core::entity::{Kind, Version};
use zonesync_core::id::{EntityKey, EntityKeyBuf};
use zonesync_core::node::{Base, Difference};
use zonesync_core::removal::{Evidence, HeldSet, Token, Verdict};
use zonesync_core::time::WallTime;

use super::load::Sorted;
use super::quarantine::set_aside;
use super::work::{Pending, Staged, Work};
use crate::repository::mapping::{same_but_date, same_but_dispatch};
use crate::repository::{Found, ManagementRepository, Reading};
use crate::state::View;

/// The share of a live node's entities that rows may fall short by, and the number, as in the guard.
const SHORT_PERCENT: u64 = 20;
const SHORT_FEW: u64 = 3;

/// How often a first load waits for a read that misses nothing. A row that can never be read must
/// not keep a zone from starting.
const PUT_OFF_MAX: u32 = 3;

/// What is wanted of a reading, see [`Step::ReadRepository`](zonesync_core::node::Step).
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) base: Option<Base>,
    pub(super) least: Option<u64>,
    pub(super) settles: bool,
}

/// Makes the difference between a reading and the wanted base pending.
pub(super) async fn from_reading(
    work: &mut Work,
    repository: &dyn ManagementRepository,
    mut reading: Reading,
    Wanted { base, least, settles }: Wanted,
    now: WallTime,
) -> Difference {
    set_aside(&mut reading);
    work.quarantine.see(&reading);
    if bugs::planted(Bug::PoisonBlocksAll) && !reading.quarantined.is_empty() {
        return Difference::Failed;
    }
    if bugs::planted(Bug::SweepOfQuarantined) {
        reading.off.extend(reading.quarantined.iter().filter_map(|row| row.key.clone()));
        reading.off.sort();
    }
    work.short = falls_short(work, &reading, least);
    if work.short.is_some() {
        return Difference::Short;
    }
    let Some(base) = base else {
        return first_load(work, reading);
    };
    if base == Base::Own {
        // Of no use any more: what it was loaded for is published.
        work.staged = None;
    }
    if let Some(staged) = work.staged.as_ref().filter(|_| base == Base::Staged) {
        work.source = staged.source;
    }
    let view = work.writer.view();
    let mut changes = upserts(work, &reading, base, &view);
    if base == Base::Staged {
        changes.extend(last_good(work, &reading, &view));
    }
    let held_before: Vec<_> = work.guard.held().collect();
    let mut complete = reading.full && !reading.incomplete;
    // Every state is seen here before the next one takes its place.
    let present = base_digest(base, &view, work.staged.as_ref());
    work.guard.observe(now, &present);
    if reading.full {
        let gone = gone(work, &reading, base, &view);
        let removals = Removals::sort(&reading, gone);
        let settles = settles && !bugs::planted(Bug::UnreadableSettles);
        let unread = if settles { unread(work, &reading, base, &view) } else { Vec::new() };
        let certain = Certain { present: &present, incomplete: reading.incomplete, unread };
        let judged = judge(work, repository, removals, certain, now, &mut complete).await;
        changes.extend(judged);
    } else {
        let gets =
            |key: &EntityKeyBuf| Work::payload(base, &view, work.staged.as_ref(), key.as_ref());
        let off = reading.off.iter().filter(|key| gets(key).is_some()).cloned().collect::<Vec<_>>();
        changes.extend(off.into_iter().map(|key| Pending { key, payload: None }));
    }
    let whole = complete || (!reading.full && !reading.incomplete);
    if whole || bugs::planted(Bug::IncompleteReadMovesSource) {
        reading.source.kinds().for_each(|(kind, date)| work.source.advance(kind, date));
    }
    let head = held_before != work.guard.held().collect::<Vec<_>>();
    work.enqueue(base, changes);
    Difference::Pending { changes: work.pending.len(), complete, head }
}

/// The rows, those that are off included, fall far short of what a live node holds. A person lets
/// them pass by the token. Gives it, and how many are missing.
fn falls_short(work: &Work, reading: &Reading, least: Option<u64>) -> Option<(Token, u64)> {
    let least = least?;
    let missing = least.saturating_sub(reading.rows.max(reading.entities.len() as u64));
    if !reading.full || missing < SHORT_FEW || missing * 100 <= least * SHORT_PERCENT {
        return None;
    }
    let mut set = HeldSet::new();
    for entity in &reading.entities {
        let _ = set.add(entity.key.as_ref(), Evidence::Absent);
    }
    let token = set.token();
    (!work.confirmed.contains(&token)).then_some((token, missing))
}

fn first_load(work: &mut Work, reading: Reading) -> Difference {
    let changes = reading.entities.len();
    let complete = reading.full && !reading.incomplete;
    if !complete && work.put_off < PUT_OFF_MAX {
        work.put_off += 1;
        tracing::warn!("read: rows may be missing; the first load is put off");
        return Difference::Failed;
    }
    work.put_off = 0;
    if complete || bugs::planted(Bug::IncompleteReadMovesSource) {
        reading.source.kinds().for_each(|(kind, date)| work.source.advance(kind, date));
    }
    work.first = reading.entities;
    Difference::Pending { changes, complete, head: false }
}

fn base_digest(base: Base, view: &View, staged: Option<&Staged>) -> Digest {
    match (base, staged) {
        (Base::Staged, Some(staged)) => staged.view().digest().clone(),
        _ => view.digest().clone(),
    }
}

/// The entities that are new or have another content.
fn upserts(work: &Work, reading: &Reading, base: Base, view: &View) -> Vec<Pending> {
    let mut changes = Vec::new();
    for entity in &reading.entities {
        let key = entity.key.as_ref();
        let held = Work::payload(base, view, work.staged.as_ref(), key);
        let same = held.is_some_and(|held| {
            *held == *entity.payload
                || match key.kind {
                    Kind::SUBSCRIPTION => same_but_dispatch(held, &entity.payload),
                    Kind::API | Kind::API_PRODUCT => same_but_date(held, &entity.payload),
                    _ => false,
                }
        });
        if !same {
            changes
                .push(Pending { key: entity.key.clone(), payload: Some(entity.payload.clone()) });
        }
    }
    changes
}

/// Of two branches, the versions of quarantined rows that the own state has, where it had come
/// further with the repository than the staged one: those are the last good ones.
fn last_good(work: &Work, reading: &Reading, view: &View) -> Vec<Pending> {
    let Some(staged) = &work.staged else { return Vec::new() };
    let newer = |kind| work.own_source.newest(kind) > staged.source.newest(kind);
    let keys = reading.quarantined.iter().filter_map(|quarantined| quarantined.key.as_ref());
    let keys = keys.filter(|key| newer(key.as_ref().kind));
    let keys = keys.filter(|key| !says_off(reading, key));
    let held = keys.filter_map(|key| Some((key, view.get(key.as_ref())?)));
    held.map(|(key, payload)| Pending { key: key.clone(), payload: Some(payload.into()) }).collect()
}

/// The quarantined rows of which the zone would have no last good version, though another branch
/// may: none is in the base, or the own state, which had come further, has none.
///
/// A state that was founded when the row was unreadable already never had a version. One that saw
/// the entity go has none either; nobody can tell these apart.
fn unread(work: &Work, reading: &Reading, base: Base, view: &View) -> Vec<EntityKeyBuf> {
    let own = |key: EntityKey<'_>| view.get(key).is_some();
    let known = |key: EntityKey<'_>| match work.staged.as_ref().filter(|_| base == Base::Staged) {
        Some(staged) if work.own_source.newest(key.kind) > staged.source.newest(key.kind) => {
            own(key)
        }
        Some(staged) => staged.view().get(key).is_some(),
        None => own(key),
    };
    let keys = reading.quarantined.iter().filter_map(|quarantined| quarantined.key.as_ref());
    let keys = keys.filter(|key| !known(key.as_ref()) && !says_off(reading, key));
    keys.cloned().collect::<BTreeSet<_>>().into_iter().collect()
}

fn says_off(reading: &Reading, key: &EntityKeyBuf) -> bool {
    reading.off.binary_search(key).is_ok()
}

/// The entities of the base that a full reading does not show, but for those whose row could not be
/// mapped: such a row counts as present, unless it says off all the same.
fn gone(work: &Work, reading: &Reading, base: Base, view: &View) -> Vec<EntityKeyBuf> {
    match (base, &work.staged) {
        (Base::Staged, Some(staged)) => missing(staged.view().sorted(), reading),
        _ => missing(view.sorted(), reading),
    }
}

fn missing<'a>(
    base: impl Iterator<Item = (EntityKey<'a>, &'a [u8])>,
    reading: &'a Reading,
) -> Vec<EntityKeyBuf> {
    // Only keys count here: as if all content were the same.
    const SAME: Version = Version(1);
    let kept: BTreeSet<_> = reading.quarantined.iter().filter_map(|q| q.key.as_ref()).collect();
    let old = base.map(|(key, _)| (key, SAME));
    let new = reading.entities.iter().map(|entity| (entity.key.as_ref(), SAME));
    let removed = diff::merge(old, new).filter_map(|difference| match difference {
        Ok(Diff::Removed((key, _))) => Some(EntityKeyBuf::from(key)),
        _ => None,
    });
    removed.filter(|key| !kept.contains(key) || says_off(reading, key)).collect()
}

/// What is gone, by how well that is known.
struct Removals {
    evidenced: BTreeSet<EntityKeyBuf>,
    unclear: Vec<EntityKeyBuf>,
}

impl Removals {
    fn sort(reading: &Reading, gone: Vec<EntityKeyBuf>) -> Self {
        let off = |key: &EntityKeyBuf| says_off(reading, key);
        let (evidenced, unclear): (Vec<_>, Vec<_>) = gone.into_iter().partition(off);
        Self { evidenced: evidenced.into_iter().collect(), unclear }
    }

    /// A parent's removal is evidenced: the API or product of the scope, or the subscription.
    fn parent_is_off(&self, key: EntityKey<'_>) -> bool {
        let off = |parent: EntityKey<'_>| self.evidenced.contains(&EntityKeyBuf::from(parent));
        !key.scope.is_empty()
            && (off(EntityKey::new(Kind::API, key.scope))
                || off(EntityKey::new(Kind::API_PRODUCT, key.scope))
                || (!key.subscription.is_empty()
                    && off(EntityKey::subscription(key.scope, key.subscription))))
    }
}

/// What a full read says for certain.
struct Certain<'a> {
    /// What is held.
    present: &'a Digest,
    incomplete: bool,
    /// The rows that must not pass since they cannot be read, and others may hold them.
    unread: Vec<EntityKeyBuf>,
}

/// Looks the unclear ones up by id and lets the guard judge what is absent. Gives the removals that
/// pass.
async fn judge(
    work: &mut Work,
    repository: &dyn ManagementRepository,
    mut removals: Removals,
    certain: Certain<'_>,
    now: WallTime,
    complete: &mut bool,
) -> Vec<Pending> {
    let mut absent = Vec::new();
    let unclear = std::mem::take(&mut removals.unclear);
    let found = match unclear.is_empty() {
        true => Ok(Vec::new()),
        false => repository.find(unclear.clone()).await,
    };
    // What is absent is known only if all was read, and each missing one looked up.
    let known =
        found.as_ref().is_ok_and(|found| found.len() == unclear.len()) && !certain.incomplete;
    match found {
        Ok(found) => {
            for (key, found) in unclear.into_iter().zip(found) {
                match found {
                    Found::Off => drop(removals.evidenced.insert(key)),
                    Found::Filtered if bugs::planted(Bug::OtherFilterEmpties) => {
                        removals.evidenced.insert(key);
                    }
                    Found::Present if !bugs::planted(Bug::PresentRowRemoved) => *complete = false,
                    Found::Missing if removals.parent_is_off(key.as_ref()) => {
                        removals.evidenced.insert(key);
                    }
                    Found::Present | Found::Missing | Found::Filtered => absent.push(key),
                }
            }
        }
        Err(error) => {
            tracing::warn!(%error, "read: missing rows could not be looked up");
        }
    }
    if !known {
        *complete = false;
        absent.clear();
    }
    if bugs::planted(Bug::GuardStopsEvidenced) {
        absent.extend(std::mem::take(&mut removals.evidenced));
    }
    let mut passed: Vec<_> = removals.evidenced.into_iter().collect();
    for kind in (1..zonesync_core::entity::KINDS_MAX as u8).filter_map(Kind::from_code) {
        let of = |key: &&EntityKeyBuf| key.as_ref().kind == kind;
        let of_kind = || absent.iter().filter(of);
        let unread = || certain.unread.iter().filter(of).filter(|_| known);
        let (set, unknown) = (set_of(of_kind()), set_of(unread()));
        let all = set_of(of_kind().chain(unread()));
        let says = |set: &HeldSet| work.confirmed.contains(&set.token());
        // What is left of it once all that is certain has gone.
        let gone = passed.iter().filter(|key| key.as_ref().kind == kind).count() as u64;
        let count = certain.present.kind(kind).count.saturating_sub(gone);
        let confirmed = Some(set.token()).filter(|_| says(&set) || says(&all));
        let waits = unknown.count() > 0 && !says(&unknown) && !says(&all);
        let verdict = work.guard.judge_set(now, kind, count, &set, confirmed);
        if verdict == Verdict::Pass && set.count() > 0 {
            work.guard.pass(now, kind, set.count());
            passed.extend(of_kind().cloned());
        }
        let held = match (verdict, waits) {
            (Verdict::Pass, false) => {
                passed.extend(unread().cloned());
                if known {
                    work.guard.release(kind);
                }
                continue;
            }
            (Verdict::Pass, true) => unknown,
            (Verdict::Hold, false) => set,
            (Verdict::Hold, true) => all,
        };
        work.guard.hold(kind, held.count(), held.token());
        *complete = false;
    }
    passed.into_iter().map(|key| Pending { key, payload: None }).collect()
}

fn set_of<'a>(keys: impl Iterator<Item = &'a EntityKeyBuf>) -> HeldSet {
    let mut set = HeldSet::new();
    keys.for_each(|key| {
        let _ = set.add(key.as_ref(), Evidence::Absent);
    });
    set
}

/// Makes the difference from the staged to the own state pending.
pub(super) fn from_own(work: &mut Work) -> Difference {
    let view = work.writer.view();
    let hash = work.key;
    let mut changes = Vec::new();
    if let Some(staged) = &work.staged {
        let old = staged.view().sorted();
        let old = old.map(|(key, payload)| Sorted { key, payload, hash: &hash });
        let new = view.sorted().map(|(key, payload)| Sorted { key, payload, hash: &hash });
        for difference in diff::merge(old, new) {
            match difference {
                Ok(Diff::Added(new) | Diff::Changed(_, new)) => {
                    changes.push(Pending { key: new.key.into(), payload: Some(new.payload.into()) })
                }
                Ok(Diff::Removed(old)) => {
                    changes.push(Pending { key: old.key.into(), payload: None });
                }
                // Both sides keep their keys sorted themselves.
                Err(_) => return Difference::Failed,
            }
        }
    }
    work.enqueue(Base::Staged, changes);
    Difference::Pending { changes: work.pending.len(), complete: true, head: false }
}
