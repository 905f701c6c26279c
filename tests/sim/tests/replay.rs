//! A seed decides all of a world: run again, it is the same.

use zonesync_sim::plan::draw;
use zonesync_sim::world::run;

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
