//! Which removals may pass, and which wait for a person.
//!
//! A management repository that answers in part looks just like one in which much was deleted. So a
//! removal needs [`Evidence`], or it is measured: absent ones may pass as long as they are few.
//! What passes that measure is held until a person confirms it with the [`Token`] of exactly that
//! set.
//!
//! Only absent removals are ever counted or held: a [`HeldSet`] turns evidenced ones away, and the
//! guard sees nothing but such sets and their counts.
//!
//! Start with [`GuardData::judge`]. A primary calls [`GuardData::observe`] before and after each
//! change of its state, judges the absent removals of each full read kind by kind, and then either
//! applies them and calls [`GuardData::pass`], or keeps the entities and calls [`GuardData::hold`].

mod guard;
mod held;

pub use guard::{GuardData, HELD_SHARE_PERCENT, Held, HeldKinds, Verdict};
pub use held::{HeldSet, InvalidToken, Token};

pub(crate) use guard::{HOURS, Hour};

/// Why an entity is to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The row says off, closed, revoked, deleted or expired; or a look-up by id finds nothing, and
    /// the removal of its parent is evidenced. Never held back.
    Evidenced,
    /// It was not in a full read, and a look-up by id found nothing. A row that only our own filter
    /// leaves out counts as absent, too.
    Absent,
}
