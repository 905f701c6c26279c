//! Nodes of two versions: which one each node is of, and when it becomes another.

use super::{Act, Fault, MS, Plan, SECOND};
use crate::random::Random;

/// The newest format of the version before, and of this one.
pub const VERSIONS: (u16, u16) = (1, 2);

/// One seed of so many has nodes of two versions; in all others they are of the version before.
const MIXED: u64 = 4;

/// How many nodes change their version: between these.
const CHANGES: (u64, u64) = (6, 14);

/// Mixes versions into a plan, if its seed is one for that. Draws from dice of its own.
pub(super) fn mix(plan: &mut Plan) {
    if plan.seed % MIXED != MIXED - 1 {
        return;
    }
    let mut random = Random::new(plan.seed ^ 0xf0_4a);
    let version = |random: &mut Random| if random.percent(50) { VERSIONS.0 } else { VERSIONS.1 };
    for slot in &mut plan.slots {
        slot.newest = version(&mut random);
    }
    let slots = plan.slots.len() as u64;
    for _ in 0..random.within(CHANGES.0, CHANGES.1) {
        let (at, newest) = (2 * SECOND + random.below(plan.end - 2 * SECOND), version(&mut random));
        let mut change = |at: u64, slot: u64| {
            let time = random.within(200, 5_000) * MS;
            let fault = Fault::Version(slot as usize, newest, time);
            plan.acts.push((at, Act::Fault(fault)));
        };
        match at % 3 {
            // A whole fleet, one after the other, or nearly at once.
            0 => (0..slots).for_each(|slot| change(at + slot * (at % 4_000) * MS, slot)),
            _ => change(at, at / 7 % slots),
        }
    }
    plan.acts.retain(|(at, _)| *at < plan.end);
    plan.acts.sort_by_key(|(at, _)| *at);
}
