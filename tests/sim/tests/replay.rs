//! A seed decides all of a world: run again, it is the same.

use zonesync_sim::plan::draw;
use zonesync_sim::shrink::shrink;
use zonesync_sim::world::run;

use zonesync_core::bugs::{Bug, plant};

#[test]
fn a_seed_gives_the_same_world_again() {
    for seed in [3, 17, 101] {
        let (first, second) = (run(&draw(seed)), run(&draw(seed)));
        assert_eq!(first.checks, second.checks, "seed {seed}");
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert_eq!(first.passed, second.passed, "seed {seed}");
    }
}

#[test]
fn a_failure_is_cut_down_to_what_it_needs() {
    plant(Some(Bug::SkipGap));
    let plan = draw(1);
    let broken = run(&plan).broken.expect("the bug shows in this seed");
    let (short, again) = shrink(&plan, &broken);
    assert_eq!(again.promise, broken.promise);
    assert!(short.acts.len() <= 10, "{} acts are left", short.acts.len());
    assert_eq!(run(&short).broken.map(|broken| broken.promise), Some(broken.promise));
    plant(None);
}

#[test]
fn a_seed_is_as_eventful_as_promised() {
    for seed in 1..50 {
        let plan = draw(seed);
        let faults: Vec<_> = plan.acts.iter().filter_map(|(_, act)| act.fault()).collect();
        let mut kinds: Vec<_> = faults.iter().map(|fault| fault.kind()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let changes = plan.acts.len() - faults.len();
        let told = (faults.len(), kinds.len(), changes);
        assert!(told.0 >= 20 && told.1 >= 5 && told.2 >= 600, "seed {seed}: {told:?}");
        assert!((2..=9).contains(&plan.slots.len()));
    }
}
