//! What is watched at the servers: terms, fences, leases, and what is announced.

use std::collections::{BTreeMap, BTreeSet};

use zonesync_core::digest::Fingerprint;
use zonesync_core::entity::{Action, Kind, Rank};
use zonesync_core::format::{Batch, Head};
use zonesync_core::id::{EntityKey, EntityKeyBuf, Epoch, Position, Term, TermId};

use super::model::{self, Cell};
use super::{Call, Executed, Outcome, Promise, Watch};
use crate::executor::{HostId, Time};
use crate::rows;
use crate::truth::Content;

/// What a clock may be off by within a lease, of 1,000: no node's clock runs that wrong.
const DRIFT: u64 = 10;

/// How long after it stood still a node may send what it was about to send.
const GRACE: Time = 50_000_000;

/// Absent removals that a day may see of a kind: fewer than these, or at most this share.
const FEW: usize = 3;
const SHARE: u64 = 20;

/// What is known of the servers.
#[derive(Default)]
pub(super) struct AtStore {
    /// Who was given each term.
    holders: BTreeMap<TermId, (HostId, Epoch)>,
    /// The lease of each server, where it is known, and until when it surely stood.
    leases: BTreeMap<usize, (Term, Time)>,
    /// The leases that others followed, and until when they surely stood.
    ended: BTreeMap<Term, Time>,
    /// What each announced position holds, and whether it was complete.
    announced: BTreeMap<Position, (Fingerprint, bool)>,
    /// What went at a server although no row said so.
    absent: BTreeMap<(usize, Kind), BTreeSet<EntityKeyBuf>>,
    /// Of each kind how much a person confirmed last, and what has gone for that.
    confirmed: BTreeMap<Kind, (u64, BTreeSet<EntityKeyBuf>)>,
    /// How much there was of each kind at most.
    highest: BTreeMap<Kind, u64>,
}

impl Watch {
    /// A server came to hold something else: who has a lease where is not known any more.
    ///
    /// The guards of two branches agree on the greater number of an hour and not on the sum, so
    /// what went before does not count here.
    pub fn lost(&mut self) {
        self.store.leases.clear();
        self.store.ended.clear();
        self.store.absent.clear();
    }

    /// A node stood still: it may send what it was about to send.
    pub fn resumed(&mut self, at: Time, host: HostId) {
        self.resumed.insert(host, at);
    }

    /// A person confirmed what the guard held, by kind: so much may go, and what went before does not
    /// count any more.
    pub fn confirmed(&mut self, held: BTreeMap<Kind, u64>) {
        self.store.absent.clear();
        let held = held.into_iter().map(|(kind, count)| (kind, (count, BTreeSet::new())));
        self.store.confirmed.extend(held);
    }

    /// Says whether a removal is among what a person confirmed.
    fn is_confirmed_removal(&mut self, key: &EntityKeyBuf) -> bool {
        let Some((count, gone)) = self.store.confirmed.get_mut(&key.as_ref().kind) else {
            return false;
        };
        gone.contains(key) || ((gone.len() as u64) < *count && gone.insert(key.clone()))
    }

    /// Says what was announced at a position: its fingerprint, and whether it was complete.
    pub(super) fn announced(&self, position: Position) -> Option<(Fingerprint, bool)> {
        self.store.announced.get(&position).copied()
    }

    /// Takes in that a node sends a request.
    pub fn sent(&mut self, at: Time, host: HostId, call: &Call) {
        let resumed = self.resumed.get(&host).is_some_and(|resumed| at < resumed + GRACE);
        self.see_format(at, host, call, resumed);
        if resumed {
            return;
        }
        // What goes on within a step, or after a pause, is the fence's matter.
        if matches!(call, Call::Chunk { .. } | Call::Commit { .. }) {
            return;
        }
        // Who asks for more of a lease that is over takes itself for the primary still.
        let renews = if let Call::Renew { term, .. } = call { Some(*term) } else { None };
        let Some(term) = call.writes_as().or(renews) else { return };
        let leases = self.store.leases.values();
        let own = leases.filter(|(of, _)| *of == term).map(|(_, until)| *until).max();
        let own = own.or_else(|| self.store.ended.get(&term).copied());
        if let Some(until) = own {
            self.check(at, Promise::OnePrimary, at <= until, || {
                format!("node {host} still acts in {}, whose lease has run out", told(term))
            });
        }
    }

    /// Takes in what a server made of a request.
    pub fn executed(&mut self, done: &Executed<'_>) {
        self.tell(done);
        self.note_head(done);
        self.see_head_format(done);
        let Executed { at, host, server, call, before, after, outcome } = done;
        match (call, outcome) {
            (Call::Acquire { ttl, .. }, Outcome::Granted(term)) => {
                // Asked again with the same id, the store says the same again.
                let again = self.store.holders.contains_key(&term.id);
                let newer = term.epoch > before.0.epoch || again;
                self.check(*at, Promise::OnePrimary, newer, || {
                    format!("{} was given after {}", told(*term), told(before.0))
                });
                let (holder, epoch) =
                    *self.store.holders.entry(term.id).or_insert((*host, term.epoch));
                self.check(
                    *at,
                    Promise::OnePrimary,
                    (holder, epoch) == (*host, term.epoch),
                    || format!("{} is also of node {holder}, in {epoch}", told(*term)),
                );
                let stands = !self.observers.contains(host);
                self.check(*at, Promise::OnePrimary, stands, || {
                    format!("{} was given to node {host}, which only observes", told(*term))
                });
                let ttl = u64::try_from(ttl.as_nanos()).unwrap_or(0);
                let other = self.store.leases.get(server).copied();
                let other = other.filter(|(other, _)| self.holder(*other) != Some(*host));
                let free =
                    again || other.is_none_or(|(_, until)| *at + ttl * DRIFT / 1_000 >= until);
                self.check(*at, Promise::OnePrimary, free, || {
                    let other = other.map(|(other, _)| told(other)).unwrap_or_default();
                    format!("{} was given to node {host} while {other} stood", told(*term))
                });
                let until = at + ttl;
                if !again
                    && let Some((old, until)) = self.store.leases.insert(*server, (*term, until))
                {
                    self.store.ended.insert(old, until);
                }
            }
            (Call::Renew { term, ttl }, Outcome::Done) => {
                let ttl = u64::try_from(ttl.as_nanos()).unwrap_or(0);
                let known = self.store.leases.insert(*server, (*term, at + ttl));
                if let Some((_, until)) = known.filter(|(of, _)| of == term) {
                    let stands = *at <= until + ttl * DRIFT / 1_000;
                    self.check(*at, Promise::OnePrimary, stands, || {
                        format!("the lease of {} was renewed after it had run out", told(*term))
                    });
                }
            }
            (Call::Release(term), Outcome::Done)
                if self.store.leases.get(server).is_some_and(|(of, _)| of == term) =>
            {
                self.store.leases.remove(server);
            }
            _ => {}
        }
        let Some(term) = call.writes_as() else { return };
        let heads = |head: &Option<std::sync::Arc<Head>>| {
            head.as_ref().map(|h| (h.position(), h.digest.fingerprint(), h.snapshot))
        };
        if *outcome != Outcome::Done {
            self.check(*at, Promise::Fenced, heads(&before.1) == heads(&after.1), || {
                format!("a refused write of {} changed the head", told(term))
            });
            return;
        }
        self.check(*at, Promise::Fenced, before.0 == term, || {
            let (term, given) = (told(term), told(before.0));
            format!("a write of {term} by node {host} passed although {given} was given")
        });
        let holder = self.holder(term);
        self.check(*at, Promise::OnePrimary, holder == Some(*host), || {
            format!("node {host} writes in {}, which it was not given", told(term))
        });
        if let Some(head) = &after.1 {
            self.announce(*at, head);
        }
        if let Call::Chunk { term, position, bytes } = call {
            self.models.chunk(*term, *position, bytes);
        }
        if let (Call::Commit { term, moves: true }, Some(head)) = (call, &after.1)
            && before.1.as_ref().is_none_or(|before| before.position() != head.position())
        {
            let shown = self.shown.get(host).cloned().unwrap_or_else(model::empty);
            self.models.fill(&self.plane, *term, head.position(), &shown);
        }
        if let Call::Publish { meta, bytes, .. } = call {
            self.published = (*at, *host);
            let was_there = before.1.as_ref().is_some_and(|head| head.position() == meta.position);
            if !was_there {
                self.see_batch(*at, (*server, *host), bytes, after.1.as_deref());
            }
        }
    }

    fn holder(&self, term: Term) -> Option<HostId> {
        self.store.holders.get(&term.id).map(|(host, _)| *host)
    }

    fn announce(&mut self, at: Time, head: &Head) {
        let (position, print) = (head.position(), head.digest.fingerprint());
        let complete = head.is_complete();
        let known = self.store.announced.entry(position).or_insert((print, complete));
        known.1 |= complete;
        let same = known.0 == print;
        self.check(at, Promise::InOrder, same, || format!("{position} names two states"));
        for (kind, sums) in head.digest.kinds() {
            let highest = self.store.highest.entry(kind).or_default();
            *highest = (*highest).max(sums.count);
        }
    }

    fn see_batch(
        &mut self,
        at: Time,
        (server, host): (usize, HostId),
        bytes: &[u8],
        head: Option<&Head>,
    ) {
        let shown = self.shown.get(&host).cloned().unwrap_or_else(model::empty);
        let Ok(batch) = Batch::decode(bytes) else {
            self.check(at, Promise::BadBytes, false, || "a batch cannot be read".into());
            return;
        };
        let mut last: Option<Rank> = None;
        for change in batch.changes() {
            let rank = Rank::of(change.key.kind, matches!(change.action, Action::Undeploy));
            let ordered = last.is_none_or(|last| last <= rank);
            self.check(at, Promise::StaysRevoked, ordered, || {
                format!("{} comes too late in its batch", change.key)
            });
            last = Some(rank);
            self.note_of(at, change.key, || match change.action {
                Action::Deploy { payload } => format!("published, {}", rows::revision(payload)),
                Action::Undeploy => "its removal is published".into(),
            });
        }
        let changes = self.models.publish(&self.plane, &batch);
        for (row, old, new) in changes {
            match new {
                // Published again from memory: it went long ago.
                _ if shown[row].content == Content::Absent && new.is_ok_and(is_absent) => {}
                Err(Content::Absent) | Ok(Cell { content: Content::Absent, .. }) => {
                    self.see_removal((at, server), row, new.is_ok(), head);
                }
                Err(content) => {
                    let key = rows::of_index(row);
                    let kept = self.plane.is_poison(&key);
                    self.check_of(at, Promise::InOrder, Some(&key), kept, || {
                        format!("{key} is published as {content:?} after {old:?}")
                    });
                }
                Ok(_) => {}
            }
        }
    }

    /// A removal that no row speaks for must be one of few.
    fn see_removal(
        &mut self,
        (at, server): (Time, usize),
        row: usize,
        is_known: bool,
        head: Option<&Head>,
    ) {
        let key = rows::of_index(row);
        if is_known && (self.plane.has_row(&key) || self.parent_is_off(&key)) {
            return;
        }
        let can_be_found = !is_known && !self.plane.is_poison(&key) && !self.plane.has_lied();
        if !can_be_found && self.is_confirmed_removal(&key) {
            return;
        }
        let spoken_for = self.plane.has_lied() || (self.has_filters && rows::is_tagged(&key));
        self.check_of(at, Promise::NeverWiped, Some(&key), is_known || spoken_for, || {
            format!("{key} is removed although its row is there and can be found")
        });
        let kind = key.as_ref().kind;
        let absent = self.store.absent.entry((server, kind)).or_default();
        absent.insert(key.clone());
        let count = absent.len();
        let all: Vec<_> = absent.iter().map(EntityKeyBuf::to_string).collect();
        let highest = self.store.highest.get(&kind).copied().unwrap_or(0);
        let few = count < FEW || count as u64 * 100 <= highest * SHARE;
        self.check_of(at, Promise::NeverWiped, Some(&key), few, || {
            let all = all.join(", ");
            format!("{count} of {highest} {kind} went although no row says so: {all}")
        });
        let left = head.map_or(1, |head| head.digest.kind(kind).count);
        self.check(at, Promise::NeverWiped, left > 0 || highest < FEW as u64, || {
            format!("the last {kind} went although no row says so")
        });
    }

    /// The row of the API or of the subscription that an entity belongs to says off.
    fn parent_is_off(&self, key: &EntityKeyBuf) -> bool {
        let key = key.as_ref();
        let off = |parent: EntityKey<'_>| self.plane.is_off(&parent.into());
        (!key.scope.is_empty() && off(EntityKey::new(Kind::API, key.scope)))
            || (!key.subscription.is_empty()
                && off(EntityKey::subscription(key.scope, key.subscription)))
    }

    fn tell(&mut self, done: &Executed<'_>) {
        let Executed { at, host, server, call, after, outcome, .. } = done;
        let head = || after.1.as_ref().map_or("none".into(), |head| head.position().to_string());
        match (call, outcome) {
            (Call::Acquire { .. }, Outcome::Granted(term)) => {
                self.note(*at, || format!("server {server} gives {} to node {host}", told(*term)));
            }
            (Call::Publish { meta, .. }, _) => self.note(*at, || {
                format!("node {host} publishes {} at server {server}: {outcome:?}", meta.position)
            }),
            (Call::Commit { moves, .. }, _) => self.note(*at, || {
                let what = if *moves { "fills the store" } else { "packs the log" };
                format!("node {host} {what} at server {server}: {outcome:?}, head {}", head())
            }),
            (Call::WriteHead(_), _) => self.note(*at, || {
                format!("node {host} writes the head at server {server}: {outcome:?}")
            }),
            (Call::Raise, _) => self.note(*at, || {
                format!("node {host} raises at server {server}: now {}", told(after.0))
            }),
            (Call::Release(term), _) => {
                self.note(*at, || format!("node {host} releases {}", told(*term)));
            }
            _ => {}
        }
    }
}

fn is_absent(cell: Cell) -> bool {
    cell.content == Content::Absent
}

/// Tells a term: its epoch and the first digits of its id.
fn told(term: Term) -> String {
    format!("{} ({:04x})", term.epoch, term.id.0 >> 112)
}
