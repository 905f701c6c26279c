//! One step of a node, carried out.

use std::sync::Arc;

use zonesync_core::bugs::{self, Bug};
use zonesync_core::digest::Digest;
use zonesync_core::format::{Filter, FormatRange, Head, Source};
use zonesync_core::id::Epoch;
use zonesync_core::node::{Difference, Held, Step, Write};
use zonesync_core::time::Instant;

use super::difference::{self, Wanted};
use super::load::{self, LoadError, READ_BYTES_MAX};
use super::publish::{self, Ending, Packing, Place};
use super::work::Work;
use crate::repository::{ManagementRepository, Read};
use crate::runtime::Runtime;
use crate::store::{HeadUpdate, Log, Raise, RaiseAnswer, StoreError, ZoneStore};

/// What came of a step, for the rules.
pub(super) enum Outcome {
    Log(Log),
    /// How many entries were applied, and the state after them; none if the first did not verify.
    Applied(u64, Option<Box<Held>>),
    Loaded(Option<Box<(Epoch, Head, Held)>>),
    Installed,
    Forgotten,
    Raised(Option<Epoch>),
    Written(Write),
    Repository(Difference),
    /// The reading was ended in its midst, since its reign is over.
    Abandoned,
    Published {
        write: Write,
        bytes: u64,
        remaining: usize,
        digest: Box<Digest>,
    },
    Snapshot {
        write: Write,
        bytes: u64,
        held: Option<Box<Held>>,
    },
    /// The head is of a format that no part of this version knows.
    Unreadable(u16),
    StoreFailed,
}

/// What else is worth telling of a step.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) store_error: Option<String>,
    pub(super) store_answered: bool,
    /// Whether too few replicas have what was published last.
    pub(super) unreplicated: Option<bool>,
    pub(super) repository_error: Option<String>,
    pub(super) repository_answered: bool,
    /// The read may have missed rows; the next one must not wait for a change.
    pub(super) read_again: bool,
}

/// What a step needs besides the work.
#[derive(Clone)]
pub(super) struct Tools {
    pub(super) store: Arc<dyn ZoneStore>,
    pub(super) repository: Option<Arc<dyn ManagementRepository>>,
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) filter: Filter,
    pub(super) formats: FormatRange,
    pub(super) incarnation: u128,
}

impl Tools {
    /// Reads the clock that the rules go by.
    pub(super) fn now(&self) -> Instant {
        if bugs::planted(Bug::WallClockInLease) {
            let millis = self.runtime.wall_now().as_millis();
            return Instant::from_nanos(millis.unsigned_abs() * 1_000_000);
        }
        self.runtime.now()
    }
}

/// Carries out `step`. `held` is what the node holds.
pub(super) async fn run(
    step: Step,
    held: Option<Box<Held>>,
    work: &mut Work,
    tools: &Tools,
) -> (Outcome, Notes) {
    let mut notes = Notes::default();
    let outcome = match step {
        Step::Read { after } => read(after, work, tools, &mut notes).await,
        Step::Apply { count } => match held {
            Some(held) => {
                let (applied, held, error) = load::apply(work, count, *held, tools.formats);
                if let Some(error) = error {
                    tracing::warn!(%error, "an entry of the log was not applied");
                }
                let held = (applied > 0).then_some(Box::new(held));
                Outcome::Applied(applied, held)
            }
            None => Outcome::Applied(0, None),
        },
        Step::Load { snapshot } => {
            match load::load(work, &*tools.store, &*tools.runtime, snapshot, tools.formats).await {
                Ok(loaded) => {
                    notes.store_answered = true;
                    Outcome::Loaded(Some(Box::new(loaded)))
                }
                Err(error) => {
                    tracing::warn!(%error, position = %snapshot.position, "snapshot not loaded");
                    if let LoadError::Store(error) = error {
                        notes.store_error = Some(error.to_string());
                    }
                    Outcome::Loaded(None)
                }
            }
        }
        Step::Install => match load::install(work) {
            Ok(()) => Outcome::Installed,
            Err(error) => {
                tracing::warn!(%error, "state not installed");
                Outcome::Loaded(None)
            }
        },
        Step::Forget => {
            load::forget(work);
            Outcome::Forgotten
        }
        Step::Raise { seen, position } => match tools.store.raise(Raise { seen, position }).await {
            Ok(answer) => {
                notes.store_answered = true;
                Outcome::Raised(match answer {
                    RaiseAnswer::Done(epoch) => Some(epoch),
                    RaiseAnswer::TooFar => None,
                })
            }
            Err(error) => failed(error, &mut notes),
        },
        Step::Open { term, meta, format } => {
            work.begin_reign(held.as_deref(), tools.runtime.wall_now());
            let update = HeadUpdate {
                incarnation: tools.incarnation,
                filter: Some(tools.filter),
                ..HeadUpdate::default()
            };
            let written = publish::open(work, &*tools.store, (term, meta, format), update);
            written_outcome(written.await, &mut notes)
        }
        Step::ReadRepository { since, base, least, settles } => {
            let of = Reading { since, wanted: Wanted { base, least, settles } };
            Outcome::Repository(read_repository(of, work, tools, &mut notes).await)
        }
        Step::Compare => Outcome::Repository(difference::from_own(work)),
        Step::Publish { term, position, previous, base, format, list, settled } => {
            let place = Place { term, position, previous, base, format };
            let ending = Ending { list, settled, filter: tools.filter };
            let (written, bytes, remaining, digest) =
                publish::next_batch(work, &*tools.store, &place, ending).await;
            let write = written_write(written, &mut notes);
            Outcome::Published { write, bytes, remaining, digest: Box::new(digest) }
        }
        Step::Snapshot { term, position, from, pending, format, list, settled } => {
            let packing = Packing { term, position, from, pending, format };
            let ending = Ending { list, settled, filter: tools.filter };
            match publish::snapshot(work, &*tools.store, &packing, ending).await {
                Ok((written, bytes, held)) => {
                    let write = written_write(Ok(written), &mut notes);
                    Outcome::Snapshot { write, bytes, held: held.map(Box::new) }
                }
                Err(error) => {
                    let write = written_write(Err(error), &mut notes);
                    Outcome::Snapshot { write, bytes: 0, held: None }
                }
            }
        }
        Step::WriteHead { term, at, list, settled } => {
            let ending = Ending { list, settled, filter: tools.filter };
            let written = publish::write_head(work, &*tools.store, term, at, ending).await;
            written_outcome(written, &mut notes)
        }
        Step::Trim { term } => written_outcome(tools.store.trim(term).await, &mut notes),
    };
    notes.unreplicated = Some(tools.store.is_unreplicated());
    (outcome, notes)
}

async fn read(
    after: zonesync_core::id::Position,
    work: &mut Work,
    tools: &Tools,
    notes: &mut Notes,
) -> Outcome {
    match tools.store.read(after, READ_BYTES_MAX).await {
        Ok(mut log) => {
            notes.store_answered = true;
            work.entries = std::mem::take(&mut log.entries);
            if bugs::planted(Bug::SkipGap) {
                work.entries.drain(..work.entries.len().saturating_sub(1));
            }
            work.seen.clone_from(&log.head);
            if let Some(head) = &log.head {
                work.zone = Some((head.incarnation, head.filter));
            }
            Outcome::Log(log)
        }
        Err(StoreError::Format(format)) => {
            notes.store_answered = true;
            Outcome::Unreadable(format)
        }
        Err(error) => failed(error, notes),
    }
}

/// Which reading is wanted, see [`Step::ReadRepository`].
struct Reading {
    since: Option<Source>,
    wanted: Wanted,
}

async fn read_repository(
    Reading { since, wanted }: Reading,
    work: &mut Work,
    tools: &Tools,
    notes: &mut Notes,
) -> Difference {
    let Some(repository) = &tools.repository else { return Difference::Failed };
    let read = since.map_or(Read::Full, |source| Read::Since(Box::new(source)));
    let begun = tools.runtime.now();
    let reading = match repository.read(read).await {
        Ok(reading) => reading,
        Err(error) => {
            tracing::warn!(%error, "read: no answer from the repository");
            notes.repository_error = Some(error.to_string());
            return Difference::Failed;
        }
    };
    notes.repository_answered = true;
    notes.read_again = reading.incomplete;
    let (rows, full, incomplete) = (reading.rows, reading.full, reading.incomplete);
    let wall = tools.runtime.wall_now();
    let difference = difference::from_reading(work, &**repository, reading, wanted, wall).await;
    let took = tools.runtime.now().since(begun);
    let changes = match difference {
        Difference::Pending { changes, .. } => changes,
        _ => 0,
    };
    tracing::debug!(rows, changes, full, incomplete, ?took, "read: repository");
    difference
}

fn failed(error: StoreError, notes: &mut Notes) -> Outcome {
    notes.store_error = Some(error.to_string());
    Outcome::StoreFailed
}

fn written_write(written: Result<crate::store::Written, StoreError>, notes: &mut Notes) -> Write {
    let (write, error) = publish::outcome(written);
    match error {
        Some(error) => notes.store_error = Some(error.to_string()),
        None => notes.store_answered = true,
    }
    write
}

fn written_outcome(
    written: Result<crate::store::Written, StoreError>,
    notes: &mut Notes,
) -> Outcome {
    Outcome::Written(written_write(written, notes))
}
