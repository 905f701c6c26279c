//! Primaries that go, stall, stand still or have a wrong clock, and who comes after them.

use super::{Scenario, Script};
use crate::plan::{Change, Fault, MS, Row, SECOND, Side};
use crate::world::{POLL, TTL, World};

/// The lease, and how long after its end a successor leads at the latest.
const TAKEN_OVER: u64 = TTL.as_nanos() as u64 + SECOND;

/// How long the other nodes take to hear of something.
const HEARD: u64 = POLL.as_nanos() as u64 + SECOND;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "primary-killed",
        story: "The process of the primary is killed while changes flow. Nobody may notice but by \
                the pause: a successor leads within the lease and a second, and goes on from there.",
        script: primary_killed,
    },
    Scenario {
        name: "clean-stop-hands-over",
        story: "A gateway that leads is stopped for an upgrade. It gives the lease back, so nobody \
                waits for its end: revocations must not lie for seconds at each deployment.",
        script: clean_stop,
    },
    Scenario {
        name: "stalled-write",
        story: "The primary's connection hangs for a minute with a batch in it. Another takes over \
                meanwhile; then all that was stuck arrives at once. None of it may count.",
        script: stalled_write,
    },
    Scenario {
        name: "stale-primary-wakes-up",
        story: "The machine of the primary stands still in the middle of a snapshot, long past the \
                lease. When it wakes it goes on where it was, and would overwrite its successor's.",
        script: stale_primary,
    },
    Scenario {
        name: "stale-primary-wakes-up-at-once",
        story: "The same, but the machine goes on in the very moment in which another was given \
                the lease, and before that one has written anything: only the store can tell them \
                apart.",
        script: stale_primary_at_once,
    },
    Scenario {
        name: "clock-five-minutes-off",
        story: "Calendars and the store's clock jump by five minutes, as they do when a machine is \
                moved or its time service comes back. That may cost one election, and no more.",
        script: clock_off,
    },
    Scenario {
        name: "dead-primary-kept-by-a-clock",
        story: "The primary dies, and at the same moment the store's clock goes back five minutes. \
                Its lease seems to stand for five minutes more, and nobody would lead until then.",
        script: dead_primary_kept,
    },
    Scenario {
        name: "whole-fleet-restarts",
        story: "A new version is rolled out to all gateways at once, and all of them start \
                together. They must be ready at once from the store, and agree on one primary.",
        script: fleet_restarts,
    },
    Scenario {
        name: "one-knows-of-a-newer-term",
        story: "While there are two masters, one of them gives the next term to a node that dies at \
                once: nothing was written in it, but an edge gateway has heard of it. Led back to \
                the other master, it must end the reign that goes on there, and not follow it.",
        script: newer_term_known,
    },
];

/// A node leads that is not the first.
fn another_leads(world: &World) -> bool {
    world.primary().is_some_and(|slot| slot != 0)
}

fn primary_killed(s: &mut Script) {
    s.nodes(3).at(4 * SECOND).others_join();
    s.at(10 * SECOND).change(Change::Set(vec![Row::Key(1)])).after(SECOND);
    s.strike(Fault::CrashPrimary(30 * SECOND));
    s.change(Change::Off(vec![Row::Key(2)])).change(Change::Set(vec![Row::Key(3)]));
    s.throughout(20 * SECOND, "the others stay ready, with all there is", |world| {
        world.is_ready(1) && world.is_ready(2) && world.nothing_is_missing()
    });
    s.within(TAKEN_OVER, "another leads", another_leads);
    s.within(HEARD, "the key that was revoked meanwhile is gone", |world| world.nobody_finds(2));
    s.expect("what was saved meanwhile is there", |world| world.all_have_newest(Row::Key(3)));
    s.at(40 * SECOND)
        .expect("there was one election", |world| world.reigns_since(10 * SECOND).len() == 1);
    s.at(50 * SECOND).expect("the old primary follows", |world| {
        world.is_in_sync(0) && !world.leads(0) && world.primaries() == 1
    });
}

fn clean_stop(s: &mut Script) {
    s.nodes(3).at(4 * SECOND).others_join();
    s.at(10 * SECOND).change(Change::Set(vec![Row::Key(1)])).after(SECOND);
    s.strike(Fault::StopPrimary(20 * SECOND));
    s.change(Change::Off(vec![Row::Key(2)]));
    s.within(50 * MS, "another leads", another_leads);
    s.within(SECOND, "the others do not find the revoked key", |world| {
        !world.finds(1, 2) && !world.finds(2, 2)
    });
    s.at(40 * SECOND)
        .expect("there was one election", |world| world.reigns_since(10 * SECOND).len() == 1);
}

fn stalled_write(s: &mut Script) {
    s.nodes(3).at(4 * SECOND).others_join();
    s.at(10 * SECOND).strike(Fault::StallPrimary(60 * SECOND));
    s.change(Change::Set(vec![Row::Key(1)]));
    s.within(TAKEN_OVER, "another was given the lease", |world| {
        world.reigns_since(10 * SECOND).iter().any(|reign| reign.slot != 0)
    });
    s.expect("the old primary has stopped by then", |world| !world.leads(0));
    s.within(HEARD, "the successor published the same change", |world| {
        world.has_newest(1, Row::Key(1)) && world.has_newest(2, Row::Key(1))
    });
    s.at(30 * SECOND).change(Change::Off(vec![Row::Key(2)]));
    s.change(Change::Set(vec![Row::Key(1), Row::Api(3)]));
    s.within(HEARD, "the successor goes on", |world| {
        !world.finds(1, 2) && !world.finds(2, 2) && world.has_newest(1, Row::Key(1))
    });
    s.expect("the old primary does not lead, and serves", |world| {
        !world.leads(0) && world.is_ready(0) && world.finds(0, 4)
    });
    s.at(70 * SECOND).after(100 * MS);
    s.expect("what was stuck is refused", |world| world.refused_since(0, 69 * SECOND) > 0);
    s.within(HEARD, "the old primary follows", |world| {
        world.is_in_sync(0) && !world.finds(0, 2) && world.has_newest(0, Row::Key(1))
    });
    s.at(90 * SECOND).expect("what arrived late cost no election", |world| {
        world.reigns_since(20 * SECOND).is_empty() && world.primaries() == 1
    });
}

fn stale_primary(s: &mut Script) {
    s.nodes(3).weight(100_000).at(4 * SECOND).others_join();
    s.at(15 * SECOND).change(Change::Set((0..30).map(Row::Key).collect()));
    s.within(5 * SECOND, "the primary writes a snapshot", |world| world.is_packing(0));
    s.strike(Fault::PausePrimary(20 * SECOND));
    s.change(Change::Off(vec![Row::Key(2)])).change(Change::Set(vec![Row::Key(3)]));
    s.within(TAKEN_OVER, "another was given the lease", |world| {
        world.reigns_since(15 * SECOND).iter().any(|reign| reign.slot != 0)
    });
    s.within(HEARD, "the successor goes on", |world| {
        !world.finds(1, 2) && !world.finds(2, 2) && world.has_newest(1, Row::Key(3))
    });
    s.at(34 * SECOND);
    s.within(3 * SECOND, "the late chunk is refused", |world| {
        world.refused_since(0, 34 * SECOND) > 0
    });
    s.within(HEARD, "it follows", |world| {
        !world.leads(0) && world.is_in_sync(0) && world.all_have_newest(Row::Key(3))
    });
    s.expect("it forgot the revoked key", |world| !world.finds(0, 2));
    s.at(50 * SECOND)
        .expect("there was one election", |world| world.reigns_since(15 * SECOND).len() == 1);
}

fn stale_primary_at_once(s: &mut Script) {
    s.nodes(3).weight(100_000).at(4 * SECOND).others_join();
    s.at(15 * SECOND).change(Change::Set((0..30).map(Row::Key).collect()));
    s.within(5 * SECOND, "the primary writes a snapshot", |world| world.is_packing(0));
    s.strike(Fault::PausePrimary(60 * SECOND)).change(Change::Off(vec![Row::Key(2)]));
    s.within(TAKEN_OVER, "another was given the lease", |world| {
        world.reigns_since(15 * SECOND).iter().any(|reign| reign.slot != 0)
    });
    s.strike(Fault::Wake(0));
    s.within(3 * SECOND, "the late chunk is refused", |world| {
        world.refused_since(0, 15 * SECOND) > 0
    });
    s.within(HEARD, "it follows, and the revoked key is gone everywhere", |world| {
        !world.leads(0) && world.is_in_sync(0) && world.nobody_finds(2)
    });
    s.at(30 * SECOND)
        .expect("there was one election", |world| world.reigns_since(15 * SECOND).len() == 1);
}

fn clock_off(s: &mut Script) {
    const FIVE_MINUTES: i64 = 300_000;
    let heard = |s: &mut Script, number: u64| {
        s.change(Change::Set(vec![Row::Key(number)]));
        s.within(TAKEN_OVER + HEARD, "changes go on", move |world| {
            world.all_have_newest(Row::Key(number))
        });
    };
    s.nodes(3).at(4 * SECOND).others_join();
    s.at(10 * SECOND).strike(Fault::WallClockOfPrimary(FIVE_MINUTES));
    heard(s, 1);
    s.at(20 * SECOND).strike(Fault::WallClockOfPrimary(-2 * FIVE_MINUTES));
    heard(s, 2);
    s.at(30 * SECOND).strike(Fault::WallClock(1, -FIVE_MINUTES)).after(10 * SECOND);
    s.expect("calendars cost no election", |world| world.reigns_since(10 * SECOND).is_empty());
    s.strike(Fault::StoreClock(FIVE_MINUTES));
    s.within(HEARD, "the lease is over by the store's clock, and another has it", |world| {
        !world.reigns_since(40 * SECOND).is_empty()
    });
    // Before it hears of that, the old primary publishes what nobody will ever see.
    heard(s, 3);
    s.at(60 * SECOND).expect("the store's clock cost one election at most", |world| {
        world.reigns_since(40 * SECOND).len() <= 1
    });
    s.strike(Fault::StoreClock(-FIVE_MINUTES));
    heard(s, 4);
    s.at(80 * SECOND)
        .expect("and back, one at most", |world| world.reigns_since(60 * SECOND).len() <= 1);
    s.finally("all are ready, with one primary", |world| {
        world.all_ready() && world.primaries() == 1
    });
}

fn dead_primary_kept(s: &mut Script) {
    s.nodes(3).at(4 * SECOND).others_join();
    s.at(10 * SECOND).strike(Fault::CrashAndStoreClock(40 * SECOND, -300_000));
    s.change(Change::Off(vec![Row::Key(2)]));
    // Four thirds of the lease without a move, and a look at it now and then.
    s.within(2 * TAKEN_OVER, "another leads", another_leads);
    s.within(HEARD, "the revoked key is gone", |world| world.nobody_finds(2));
    s.at(60 * SECOND)
        .expect("there was one election", |world| world.reigns_since(10 * SECOND).len() == 1);
}

fn fleet_restarts(s: &mut Script) {
    s.nodes(8).at(4 * SECOND).others_join();
    s.at(10 * SECOND).change(Change::Set((0..20).map(Row::Key).collect()));
    s.after(2 * SECOND).strike(Fault::FleetRestart(SECOND));
    s.change(Change::Off(vec![Row::Key(2)])).after(SECOND + MS);
    s.throughout(20 * SECOND, "whoever is ready holds all there is", World::nothing_is_missing);
    s.within(2 * HEARD, "all are ready, and do not wait for a primary", World::all_ready);
    // The lease of before is nobody's, and runs out.
    s.within(TAKEN_OVER, "one leads", |world| world.primaries() == 1);
    s.within(HEARD, "what was revoked meanwhile is gone", |world| world.nobody_finds(2));
    s.at(40 * SECOND)
        .expect("there was one election", |world| world.reigns_since(12 * SECOND).len() == 1);
}

fn newer_term_known(s: &mut Script) {
    s.nodes(4).observers(3..4).at(4 * SECOND).others_join();
    s.at(10 * SECOND).strike(Fault::SplitOff(vec![2, 3]));
    s.within(TAKEN_OVER, "the other master gives a newer term", |world| {
        world.reigns_since(10 * SECOND).iter().any(|reign| reign.slot == 2)
    });
    s.strike(Fault::Crash(2, 60 * SECOND)).after(TTL.as_nanos() as u64 / 2);
    s.expect("nothing was written in it", |world| {
        world.published_since(10 * SECOND) == 0 && world.term_at(1).epoch > world.term_at(0).epoch
    });
    s.strike(Fault::Lead(vec![3], Side::Old));
    s.within(HEARD, "the first master hears of it", |world| {
        world.term_at(0).epoch > world.term_at(1).epoch
    });
    s.change(Change::Set(vec![Row::Key(4)]));
    s.within(TAKEN_OVER + HEARD, "the zone goes on", |world| world.all_have_newest(Row::Key(4)));
}
