//! What is read and loaded: too much at once, too little, or not to be understood.

use super::{Scenario, Script};
use crate::plan::{Change, Fault, MS, Row, SECOND};
use crate::world::{POLL, TTL, World};

/// How long a change takes to every node: a poll, and a second for the way.
const HEARD: u64 = POLL.as_nanos() as u64 + SECOND;

/// How long a zone without a lease takes to find a primary.
const FOUND: u64 = TTL.as_nanos() as u64 + SECOND;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "bulk-publish-overflows",
        story: "All APIs and subscriptions are deployed anew at once: more than a batch holds, and \
                more than the feed of a host remembers. A gateway that was away for a moment and a \
                host that reads slowly must miss nothing.",
        script: bulk_publish,
    },
    Scenario {
        name: "poison-at-start-up",
        story: "At the zone's first start a few rows cannot be read. One bad entity must not keep \
                all others from being served; it is shown to whoever looks, and mended later.",
        script: poison_at_start,
    },
    Scenario {
        name: "cold-start-on-a-stored-state",
        story: "All gateways restart while the repository shows a fifth of its rows. The store has \
                the whole state, but what they read of it is garbled at first. A cold primary that \
                takes its own read for the truth would wipe the zone.",
        script: cold_start,
    },
    Scenario {
        name: "bad-network-at-start-up",
        story: "A gateway starts behind a network that loses a third of all messages, while the \
                primary publishes and packs through the same one. A part that did not come is \
                missing: nobody may take the rest for the whole.",
        script: bad_network,
    },
    Scenario {
        name: "ready-on-an-empty-store",
        story: "A zone starts for the first time with its repository away, and then with a store \
                that is full. Gateways without a state must not take traffic: they would refuse \
                every customer.",
        script: empty_store,
    },
    Scenario {
        name: "repository-reads-empty",
        story: "The repository answers without an error and without a row, after a botched \
                migration. The zone keeps serving what it has, and asks a person.",
        script: reads_empty,
    },
    Scenario {
        name: "repository-restored-to-yesterday",
        story: "The database is restored from yesterday's copy. The zone follows it, dates and \
                all, for the repository is the truth; what the copy says is off goes at once.",
        script: restored,
    },
    Scenario {
        name: "rows-missing-for-a-minute",
        story: "For most of a minute the repository says that it shows only some of its rows. Just \
                before that is mended the primary dies. What it never saw is older than the slack \
                of a read by then, and its successor must not believe that it was read.",
        script: rows_missing,
    },
    Scenario {
        name: "read-and-never-published",
        story: "A zone comes back after a minute without any gateway. The one that leads reads what \
                happened meanwhile, and the store takes no writes just then, so its reign ends. \
                When it leads again its source goes on from that read: it must know that it owes.",
        script: never_published,
    },
];

fn bulk_publish(s: &mut Script) {
    let all = || {
        let pairs = (0..30).flat_map(|n| [Row::Subscription(n), Row::Key(n)]);
        (0..12).map(Row::Api).chain(pairs)
    };
    s.nodes(4).weight(150_000).feed(20).at(4 * SECOND).others_join();
    s.at(15 * SECOND).strike(Fault::Cut(3, 3 * SECOND));
    s.change(Change::Set(all().collect()));
    s.throughout(20 * SECOND, "all stay ready, with all there is", |world| {
        world.all_ready() && world.nothing_is_missing()
    });
    s.within(5 * SECOND, "who is connected has everything new", move |world| {
        (0..3).all(|slot| all().all(|row| world.has_newest(slot, row)))
    });
    s.expect("it took several batches", |world| world.published_since(15 * SECOND) >= 3);
    s.expect("a feed overflowed", |world| world.started_over(1) > 0);
    s.at(18 * SECOND).within(2 * HEARD, "who was away has everything new", move |world| {
        all().all(|row| world.has_newest(3, row))
    });
    s.at(40 * SECOND)
        .expect("nothing is published again", |world| world.published_since(25 * SECOND) == 0);
}

fn poison_at_start(s: &mut Script) {
    let bad = [Row::Key(3), Row::Subscription(5), Row::Api(2)];
    s.nodes(3).change(Change::Poison(bad.to_vec()));
    s.within(FOUND, "the first is ready", |world| world.is_ready(0));
    s.at(4 * SECOND).others_join().within(HEARD, "all are ready", World::all_ready);
    s.expect("all others are served", |world| {
        (0..30).filter(|n| ![3, 5].contains(n)).all(|n| world.everyone_finds(n))
    });
    s.expect("the bad ones are not", move |world| {
        world.nobody_finds(3) && world.nobody_finds(5) && !world.someone_holds(bad[2])
    });
    s.expect("they are named", move |world| bad.iter().all(|row| world.shows_as_poison(0, *row)));
    s.at(20 * SECOND).change(Change::Poison(vec![Row::Key(7)])).after(SECOND);
    s.change(Change::Set(vec![Row::Key(8)])).change(Change::Off(vec![Row::Key(9)]));
    s.throughout(65 * SECOND, "a good version stays in the place of a bad row", |world| {
        world.everyone_finds(7)
    });
    s.within(HEARD, "changes go on", |world| {
        world.all_have_newest(Row::Key(8)) && world.nobody_finds(9)
    });
    s.at(90 * SECOND).change(Change::Set([&bad[..], &[Row::Key(7)]].concat()));
    s.within(HEARD, "all are served once they are mended", move |world| {
        world.everyone_finds(3) && world.everyone_finds(5) && world.all_have_newest(bad[2])
    });
    s.expect("and named no more", move |world| {
        !bad.iter().any(|row| world.shows_as_poison(0, *row))
    });
}

fn cold_start(s: &mut Script) {
    s.nodes(3).weight(100_000).at(4 * SECOND).others_join();
    s.at(10 * SECOND).strike(Fault::FleetRestart(5 * SECOND));
    s.strike(Fault::RepositoryPartial(20, 60 * SECOND)).after(5 * SECOND + 1);
    s.strike(Fault::StoreFlips(100, 5 * SECOND));
    s.throughout(80 * SECOND, "whoever is ready holds all there is", World::nothing_is_missing);
    s.within(FOUND, "one leads that holds nothing yet", |world| {
        world.primary().is_some_and(|slot| !world.is_ready(slot))
    });
    s.within(20 * SECOND, "all are ready", World::all_ready);
    s.change(Change::Set((0..30).map(Row::Key).collect()));
    s.at(65 * SECOND).expect("the store's state was not written anew", |world| {
        world.head().is_some_and(|head| head.digest.count() == World::first_rows().len() as u64)
    });
    s.expect("nobody is asked, for a look by id finds the others", |world| {
        world.held_removals() == 0
    });
}

fn bad_network(s: &mut Script) {
    s.nodes(4).weight(100_000).at(4 * SECOND).join(1..3);
    s.at(10 * SECOND).strike(Fault::Lossy(30, 30 * SECOND)).after(MS);
    s.change(Change::Set((0..30).map(Row::Key).collect())).after(2 * SECOND).join(3..4);
    s.strike(Fault::Lossy(30, 28 * SECOND));
    for number in 0..20 {
        s.change(Change::Set(vec![Row::Key(number)])).change(Change::Off(vec![Row::Key(29)]));
        s.after(SECOND);
    }
    s.throughout(20 * SECOND, "whoever is ready holds all there is", World::nothing_is_missing);
    s.at(41 * SECOND).within(HEARD + FOUND, "the new node is ready, too", |world| {
        world.all_ready() && world.nobody_finds(29)
    });
    s.within(crate::world::AGREE, "all have everything new", |world| {
        (0..30).all(|key| world.all_have_newest(Row::Key(key))) && world.agree()
    });
    s.strike(Fault::Crash(3, MS)).after(2 * MS);
    s.within(HEARD, "what is stored can be loaded", |world| world.is_in_sync(3));
}

fn empty_store(s: &mut Script) {
    let nobody = |world: &World| world.everyone(|status| !status.ready);
    s.nodes(3).strike(Fault::RepositoryDown(20 * SECOND)).others_join();
    s.throughout(29 * SECOND, "nobody is ready", nobody);
    s.at(10 * SECOND).expect("all say why", |world| {
        world.everyone(|status| !status.in_sync && !status.reason.is_empty())
    });
    s.strike(Fault::FleetRestart(SECOND));
    s.at(15 * SECOND).strike(Fault::StoreFull(15 * SECOND));
    s.at(30 * SECOND).within(2 * FOUND, "all are ready", World::all_ready);
    s.expect("with all there is", |world| {
        world.nothing_is_missing() && world.everyone_finds_all(0..30)
    });
    s.expect("the state was announced as complete", |world| {
        world.head().is_some_and(|head| head.is_complete())
    });
}

fn reads_empty(s: &mut Script) {
    s.nodes(3).full_read(20 * SECOND).at(4 * SECOND).others_join();
    s.at(10 * SECOND).strike(Fault::RepositoryLies(0, 100 * SECOND));
    s.throughout(95 * SECOND, "the zone keeps serving", |world| {
        world.nothing_is_missing() && world.everyone_finds_all(0..30)
    });
    s.within(25 * SECOND, "a person is asked", |world| world.held_removals() >= 60);
    s.at(50 * SECOND).strike(Fault::CrashPrimary(5 * SECOND));
    s.within(FOUND, "another leads", |world| world.primary().is_some_and(|slot| slot != 0));
    s.within(25 * SECOND, "the successor asks, too", |world| world.held_removals() >= 60);
    s.at(110 * SECOND).within(45 * SECOND, "nobody is asked once rows are back", |world| {
        world.held_removals() == 0
    });
    s.expect("nothing went", |world| world.nothing_is_missing());
}

fn restored(s: &mut Script) {
    s.nodes(3).full_read(20 * SECOND).at(4 * SECOND).others_join();
    s.at(10 * SECOND).change(Change::Off(vec![Row::Key(6)])).after(2 * SECOND);
    s.change(Change::Keep).after(SECOND);
    s.change(Change::Set((0..6).map(Row::Key).collect())).after(SECOND);
    // Revoked and opened again after the copy was made.
    s.change(Change::Set(vec![Row::Key(6)])).change(Change::Off(vec![Row::Key(8)]));
    s.within(HEARD, "today's rows are there", |world| {
        world.everyone_finds(6) && world.nobody_finds(8)
    });
    s.at(30 * SECOND).strike(Fault::RepositoryRestored);
    s.throughout(40 * SECOND, "the zone keeps serving", |world| {
        world.all_ready() && world.everyone_finds_all(10..30)
    });
    s.within(25 * SECOND, "a full read brings back yesterday", |world| {
        (0..6).all(|n| world.all_have_newest(Row::Key(n)))
    });
    s.expect("the key that was revoked yesterday is gone, the other is back", |world| {
        world.nobody_finds(6) && world.everyone_finds(8)
    });
    s.expect("nobody is asked", |world| world.held_removals() == 0);
}

fn rows_missing(s: &mut Script) {
    s.nodes(3).full_read(3_600 * SECOND).at(4 * SECOND).others_join();
    s.at(10 * SECOND).strike(Fault::RepositoryIncomplete(50, 50 * SECOND));
    s.change(Change::Set((0..30).map(Row::Key).collect())).after(HEARD);
    s.expect("some were seen, and some were not", |world| {
        let seen = (0..30).filter(|key| world.all_have_newest(Row::Key(*key))).count();
        (1..30).contains(&seen)
    });
    for _ in 0..8 {
        // What is seen goes on.
        s.change(Change::Set((15..30).map(Row::Key).collect())).after(5 * SECOND);
    }
    s.at(58 * SECOND).strike(Fault::CrashPrimary(60 * SECOND));
    s.at(60 * SECOND).within(FOUND + HEARD, "the successor has all of them", |world| {
        world.primaries() == 1 && (0..30).all(|key| world.all_have_newest(Row::Key(key)))
    });
}

fn never_published(s: &mut Script) {
    s.nodes(3).observers(1..3).full_read(3_600 * SECOND).at(4 * SECOND).others_join();
    s.at(10 * SECOND).strike(Fault::FleetRestart(60 * SECOND));
    s.at(15 * SECOND).change(Change::Off((0..3).map(Row::Key).collect()));
    s.at(68 * SECOND).change(Change::Set(vec![Row::Key(20)]));
    s.strike(Fault::RepositorySlow(SECOND, 4 * SECOND)).after(2 * SECOND + MS);
    s.within(FOUND, "one leads, and reads", |world| world.published_since(70 * SECOND) == 1);
    s.strike(Fault::StoreReadOnly(8 * SECOND));
    s.within(FOUND, "its reign ends", |world| world.primaries() == 0);
    s.expect("before it published anything", |world| world.published_since(70 * SECOND) == 1);
    s.at(82 * SECOND).within(FOUND + HEARD, "what it read is published", |world| {
        (0..3).all(|key| world.nobody_finds(key)) && world.all_have_newest(Row::Key(20))
    });
}
