//! Figure `takeover-kill`: the primary is gone at once, and the lease of 3 s runs out -> the first
//! publish of its successor, 50 times at rest and 50 times while 1,000 changes/s flow, the longest.
//!
//! Three nodes of one process on the embedded store, or with `STORE=redis` on a Redis. A kill drops the tasks of a node: nothing is
//! released. Left out: what a process and its connections need to die.

fn main() {
    zonesync_tests::bench::measure_take_overs("takeover-kill", true, 4_000.0);
}
