//! A zone whose nodes are of two versions for a while: upgrades, and the way back.

use super::{Scenario, Script};
use crate::plan::{Change, Fault, Row, SECOND, VERSIONS};
use crate::world::{POLL, TTL, World};

/// How long the others take to hear of a change, a hand-over in between included.
const HEARD: u64 = TTL.as_nanos() as u64 + POLL.as_nanos() as u64 + SECOND;

/// After so long without a node of the version before, the zone is in the newer format.
const MOVED_UP: u64 = 5 * TTL.as_nanos() as u64 + SECOND;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "rolling-upgrade-and-roll-back",
        story: "Gateways are upgraded one by one while changes flow, the primary last; then the \
                new version turns out bad, and they are rolled back one by one. At no time may a \
                gateway be handed what its version cannot read.",
        script: rolling,
    },
    Scenario {
        name: "all-rolled-back-at-once",
        story: "All gateways are rolled back at the same moment, and the zone is in the format of \
                the newer version. They serve what their disks hold and say what is wrong, nobody \
                leads, and one gateway of the newer version is enough to mend it.",
        script: all_at_once,
    },
];

fn become_version(s: &mut Script, slot: usize, newest: u16) {
    s.strike(Fault::Version(slot, newest, 2 * SECOND)).after(6 * SECOND);
}

fn heard(s: &mut Script, number: u64) {
    s.change(Change::Set(vec![Row::Key(number)]));
    s.within(HEARD, "a change is heard by all", move |world| {
        world.all_have_newest(Row::Key(number)) && world.all_in_sync()
    });
}

fn written_in(format: u16) -> impl Fn(&World) -> bool {
    move |world| world.head().is_some_and(|head| head.format == format)
}

fn rolling(s: &mut Script) {
    let (old, new) = VERSIONS;
    s.nodes(3).at(4 * SECOND).others_join();
    s.at(10 * SECOND);
    heard(s, 1);
    for slot in [1, 2] {
        become_version(s, slot, new);
        heard(s, 1 + slot as u64);
        s.expect("the zone stays in the older format", written_in(old));
    }
    become_version(s, 0, new);
    heard(s, 4);
    s.within(MOVED_UP, "the zone moves up", written_in(new));
    heard(s, 5);
    s.after(5 * SECOND);
    // The first one handed the lease over as it was upgraded, and only follows.
    s.expect("another leads", |world| !world.leads(0));
    s.strike(Fault::Version(0, old, 2 * SECOND)).after(3 * SECOND);
    s.within(HEARD, "the zone moves down for it", written_in(old));
    heard(s, 6);
    for slot in [1, 2] {
        become_version(s, slot, old);
        heard(s, 6 + slot as u64);
        s.expect("the zone stays in the older format", written_in(old));
    }
    s.finally("the zone is in the older format", written_in(old));
}

fn all_at_once(s: &mut Script) {
    let (old, new) = VERSIONS;
    s.nodes(3).keeps().version(new).at(4 * SECOND).others_join();
    s.at(15 * SECOND).expect("the zone is in the newer format", written_in(new));
    heard(s, 1);
    s.after(2 * SECOND);
    for slot in 0..3 {
        s.strike(Fault::Version(slot, old, SECOND));
    }
    s.after(4 * SECOND);
    s.within(HEARD, "they serve what they hold, and say what is wrong", |world| {
        (0..3).all(|slot| world.is_ready(slot) && world.cannot_read(slot))
    });
    s.throughout(15 * SECOND, "nobody leads", |world| world.primaries() == 0);
    s.after(16 * SECOND);
    s.strike(Fault::Version(1, new, SECOND)).after(2 * SECOND);
    s.within(2 * HEARD, "one of the newer version leads, and the zone moves down", move |world| {
        world.leads(1) && written_in(old)(world)
    });
    heard(s, 2);
}
