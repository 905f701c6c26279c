//! `simulation`: simulated time per second of a processor, of a zone of five nodes under the load of
//! a test seed: its changes, and its faults.

use zonesync_sim::cpu::Work;
use zonesync_sim::plan::{SlotPlan, VERSIONS, draw};
use zonesync_sim::world::run;
use zonesync_tests::figure::{self, Goal, median};

fn main() {
    let seeds = figure::size(60, 6);
    let mut rates = Vec::new();
    for seed in 1..=seeds {
        let mut plan = draw(seed);
        let slot = |number| SlotPlan {
            starts: true,
            observes: number == 4,
            filtered: false,
            keeps: true,
            ppm: 100 * number as i64,
            newest: VERSIONS.0,
        };
        plan.slots = (0..plan.slots.len().max(5)).map(slot).collect();
        plan.slots.iter_mut().skip(5).for_each(|slot| slot.starts = false);
        let work = Work::begin();
        let ending = run(&plan);
        let hours = ending.passed as f64 / 3.6e12;
        assert!(ending.broken.is_none(), "seed {seed}: {:?}", ending.broken);
        rates.push(hours / work.done().as_secs_f64());
    }
    let (low, high) = rates
        .iter()
        .fold((f64::MAX, 0.0_f64), |(low, high), rate| (low.min(*rate), high.max(*rate)));
    println!("raw simulation {seeds} seeds, from {low:.2} to {high:.2} hours per second");
    figure::print("simulation", median(&rates), "h/s", Goal::AtLeast, 1.0);
}
