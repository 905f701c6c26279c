//! Figure `takeover-clean`: the primary is told to stop -> the first publish of its successor, 50
//! times at rest and 50 times while 1,000 changes/s flow, the longest.
//!
//! Three nodes of one process on the embedded store, or with `STORE=redis` on a Redis. Left out: the
//! network.

fn main() {
    zonesync_tests::bench::measure_take_overs("takeover-clean", false, 50.0);
}
