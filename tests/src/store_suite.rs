//! One suite that every zone store must pass.
//!
//! Each case checks a sentence of the contract in `zonesync::store`. A store's own test builds a
//! [`Harness`] and names every case through [`store_suite!`](macro@crate::store_suite); see
//! `tests/stores/memory.rs`. Where a store cannot be made full, or cannot be made to lose data, the
//! cases about that end early and say so.
//!
//! - [`leases`]: looking, acquiring, renewing, releasing.
//! - [`log`]: publishing, the head, reading.
//! - [`snapshots`]: chunks, commit, trim.
//! - [`losses`]: raises and claims, full and emptied stores.
//! - [`waits`]: waiting, and many writers at once.

pub mod leases;
pub mod log;
pub mod losses;
pub mod snapshots;
pub mod waits;

mod writer;

pub use writer::{Writer, ask, entry, noise, report};

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use zonesync::store::ZoneStore;

/// About the room that [`Harness::small`] has for log, chunks and head: half of it always fits, and
/// twice as much never does.
///
/// Much beside what a server takes for a connection and a command, since some count that, too.
pub const SMALL_BYTES: usize = 4 << 20;

/// How much a trim of the store under test may spare for readers.
pub const SPARE_BYTES: usize = 64 << 10;

/// A fresh zone in the store under test, and what a test may do to it.
pub struct Harness {
    /// The zone.
    pub store: Arc<dyn ZoneStore>,
    /// Another zone in the same place.
    pub neighbour: Arc<dyn ZoneStore>,
    /// Makes a third zone, with room for [`SMALL_BYTES`] only, where such a thing can be had.
    pub small: Option<Box<dyn Fn() -> Arc<dyn ZoneStore> + Send + Sync>>,
    /// The TTL to use: short where time passes for real.
    pub ttl: Duration,
    /// Lets time pass on the store's clock.
    pub pass: Box<dyn Fn(Duration) + Send + Sync>,
    /// Empties the zone, where that can be done.
    pub clear: Option<Box<dyn Fn() + Send + Sync>>,
    /// How to bring the zone back to an old copy, where that can be done.
    pub old_copy: Option<OldCopy>,
}

impl Harness {
    fn small(&self) -> Option<Arc<dyn ZoneStore>> {
        self.small.as_ref().map(|make| make())
    }
}

/// The two halves of a restored backup.
pub struct OldCopy {
    /// Keeps a copy of the zone.
    pub keep: Box<dyn Fn() + Send + Sync>,
    /// Puts the copy in the zone's place.
    pub restore: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for OldCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OldCopy").finish_non_exhaustive()
    }
}

impl fmt::Debug for Harness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Harness").field("store", &self.store).finish_non_exhaustive()
    }
}

/// Makes one `#[test]` of each case of the suite, run on a fresh [`Harness`] from `$make`.
///
/// Where `$make` has none to give, it says so and the case ends early.
#[macro_export]
macro_rules! store_suite {
    ($make:expr) => {
        $crate::store_suite! { $make;
            leases {
                a_new_store_shows_nothing
                a_free_lease_is_granted_one_above_the_higher_epoch
                a_standing_lease_is_held
                a_lease_ends_after_its_ttl
                a_lease_that_stood_still_may_be_taken
                a_stamp_moves_with_each_renewal
                the_same_instance_may_take_its_own_lease_again
                the_same_term_id_gets_the_same_answer_while_its_lease_stands
                a_term_id_is_refused_once_its_lease_is_over
                a_late_duplicate_of_an_older_term_id_is_refused
                a_candidate_whose_knowledge_is_old_is_refused
                an_epoch_out_of_reach_is_refused
                a_renewal_prolongs_and_shows_the_zone
                a_renewal_of_another_term_is_fenced
                a_renewal_after_the_end_is_fenced
                a_renewal_under_a_raised_term_is_fenced
                a_renewal_with_an_own_batch_under_way_is_done
                a_renewal_below_the_acknowledged_is_behind
                only_its_own_term_ends_a_lease
                a_report_lives_for_twice_the_ttl
                a_report_replaces_the_one_before
            }
            log {
                a_first_batch_makes_the_head
                a_batch_without_its_head_is_behind
                a_batch_again_is_done_once
                a_batch_on_an_older_state_is_ahead
                another_batch_at_the_same_position_is_ahead
                a_batch_on_a_lost_state_is_behind
                a_batch_beside_the_head_is_behind
                a_batch_of_another_term_changes_nothing
                a_store_without_a_term_takes_no_batch
                the_list_follows_the_batches
                the_list_may_be_replaced
                a_list_that_ends_elsewhere_is_refused
                parts_of_the_head_move_with_the_batch
                the_head_may_be_written_alone
                the_head_is_written_only_where_it_stands
                a_read_from_the_start_gives_everything
                a_read_from_the_middle_gives_what_follows
                a_read_at_the_head_gives_nothing
                a_read_from_a_place_unknown_is_a_gap
                a_read_is_bounded_but_gives_one
            }
            snapshots {
                a_snapshot_becomes_the_heads
                a_snapshot_committed_again_is_done
                a_snapshot_above_the_head_is_behind
                a_snapshot_that_lacks_a_chunk_is_behind
                an_older_snapshot_never_comes_back
                a_first_load_moves_the_head
                a_first_load_elsewhere_is_refused
                a_read_does_not_cross_a_moved_head
                a_chunk_that_was_not_begun_is_behind
                a_committed_chunk_never_changes
                chunks_of_a_deposed_primary_are_refused
                begun_again_keeps_its_chunks
                a_leftover_must_be_begun_again
                a_snapshot_given_up_makes_room_for_the_next
                leftovers_of_an_earlier_term_are_swept
                a_chunk_of_an_unknown_snapshot_is_none
                a_trim_drops_what_the_snapshot_replaces
                a_trim_spares_a_snapshot_under_way
                a_trim_spares_what_live_readers_read
                a_trim_gives_up_dead_readers
                a_trim_gives_up_the_slowest_past_its_bound
                a_trim_without_a_snapshot_keeps_everything
            }
            losses {
                a_raise_of_a_covered_position_changes_nothing
                a_raise_above_the_term_moves_it
                a_raise_of_a_lost_position_claims_and_fences
                a_raise_again_changes_nothing
                a_raise_below_the_term_only_claims
                a_raise_too_far_changes_nothing
                a_raised_term_belongs_to_nobody
                claims_made_without_a_head_reach_the_first
                claims_are_settled_with_a_batch
                claims_are_settled_with_a_head_write
                claims_that_the_list_covers_fall_away
                a_full_store_refuses_batches_and_chunks
                a_full_store_still_elects
                a_full_store_takes_batches_after_a_trim
                an_emptied_store_fences_its_primary
                an_old_copy_is_behind
                two_zones_never_see_each_other
            }
            waits {
                a_wait_elsewhere_ends_at_once
                a_wait_beside_another_lease_ends_at_once
                a_wait_ends_with_a_batch
                a_wait_ends_with_a_moved_head
                a_wait_ends_with_a_release
                a_wait_ends_with_a_new_lease
                a_wait_goes_on_over_a_renewal
                a_wait_ends_at_its_time_out
                a_wait_may_be_dropped
                many_writers_make_one_log
                one_of_many_candidates_is_elected
            }
        }
    };
    ($make:expr; $($module:ident { $($case:ident)* })*) => {
        $(mod $module {
            #[allow(unused_imports)]
            use super::*;

            $(#[test]
            fn $case() {
                if let Some(harness) = $make() {
                    $crate::store_suite::$module::$case(&harness);
                }
            })*
        })*
    };
}
