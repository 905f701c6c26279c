//! Keys, subscriptions and products: who may still pass, whatever happened meanwhile.

use super::{Scenario, Script};
use crate::plan::{Change, Fault, MS, Row, SECOND};
use crate::rows::{SUBSCRIPTIONS, apis_of};
use crate::world::{POLL, TTL, World};

/// How long a change takes to every node: a poll, and a second for the way.
const HEARD: u64 = POLL.as_nanos() as u64 + SECOND;

/// How long a zone without a lease takes to find a primary.
const FOUND: u64 = TTL.as_nanos() as u64 + SECOND;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "revoked-while-the-zone-was-down",
        story: "While no gateway of the zone runs, an API is withdrawn and a leaked key revoked. \
                The store still has both, and the first thing each gateway does is to load it.",
        script: revoked_while_down,
    },
    Scenario {
        name: "many-keys-revoked-in-the-dark",
        story: "After a leak, 30 % of all keys are revoked while no primary runs. So many removals \
                at once look like a broken read, but the rows say so: none may wait for a person.",
        script: revoked_in_the_dark,
    },
    Scenario {
        name: "many-keys-revoked-and-not-published",
        story: "30 % of all keys are revoked just as the store takes no writes: the primary reads \
                it, cannot publish it, and loses its lease. When it leads again it must know that \
                it owes something, and not take so many removals for a broken read.",
        script: revoked_unpublished,
    },
    Scenario {
        name: "key-rotated-while-away",
        story: "A customer rotates keys, back and forth, while one gateway is cut off for a few \
                seconds. It gets all that in one go, and must take it in order: a key that it took \
                away last must not open anything in between, or after.",
        script: rotated_while_away,
    },
    Scenario {
        name: "revoked-while-paused",
        story: "A subscription is paused, its key is revoked meanwhile, and the subscription is \
                resumed. A gateway that was cut off all the time comes back after the log was cut. \
                The key must stay revoked on all of them.",
        script: revoked_while_paused,
    },
    Scenario {
        name: "product-in-any-order",
        story: "A customer subscribes to an API product. API, product, subscription and key reach \
                the gateways in any order; whatever came last, the key must open the product's \
                APIs then, and not sooner.",
        script: product_in_any_order,
    },
];

fn revoked_while_down(s: &mut Script) {
    s.nodes(3).at(4 * SECOND).others_join();
    s.at(10 * SECOND)
        .expect("both are there", |world| world.everyone_finds(7) && world.holds(2, Row::Api(4)));
    s.strike(Fault::FleetRestart(60 * SECOND));
    s.at(40 * SECOND).change(Change::Off(vec![Row::Api(4), Row::Key(7)]));
    s.at(70 * SECOND).after(1);
    s.within(HEARD, "all are ready", World::all_ready);
    s.within(FOUND + HEARD, "neither is found", |world| {
        world.nobody_finds(7) && !world.someone_holds(Row::Api(4))
    });
    s.throughout(80 * SECOND, "neither comes back", |world| {
        world.nobody_finds(7) && !world.someone_holds(Row::Api(4))
    });
    s.throughout(80 * SECOND, "all else is there", World::nothing_is_missing);
    s.at(100 * SECOND).strike(Fault::FleetRestart(SECOND));
}

fn revoked_in_the_dark(s: &mut Script) {
    s.nodes(3).at(4 * SECOND).others_join();
    s.at(20 * SECOND).strike(Fault::RevokedInTheDark(30, 30 * SECOND)).after(MS);
    s.change(Change::Off((0..9).map(Row::Key).collect()));
    s.at(50 * SECOND).after(2 * MS);
    s.within(FOUND + HEARD, "none of them is found", |world| {
        world.all_ready() && (0..9).all(|key| world.nobody_finds(key))
    });
    s.within(HEARD, "nor any other that was revoked", |world| {
        (0..30).all(|key| world.all_have_newest(Row::Key(key)))
    });
    s.throughout(70 * SECOND, "nothing waits for a person", |world| world.held_removals() == 0);
}

fn revoked_unpublished(s: &mut Script) {
    s.nodes(3).observers(1..3).at(4 * SECOND).others_join();
    s.at(20 * SECOND).strike(Fault::StoreReadOnly(10 * SECOND));
    s.change(Change::Off((0..9).map(Row::Key).collect()));
    s.throughout(70 * SECOND, "nothing waits for a person", |world| world.held_removals() == 0);
    s.at(30 * SECOND).within(FOUND + HEARD, "none of them is found", |world| {
        (0..9).all(|key| world.nobody_finds(key))
    });
    s.expect("the other keys are", |world| world.everyone_finds_all(9..30));
}

fn rotated_while_away(s: &mut Script) {
    s.nodes(3).at(4 * SECOND).others_join();
    s.at(10 * SECOND).change(Change::Off(vec![Row::Key(5)])).after(SECOND);
    s.strike(Fault::Cut(2, 5 * SECOND));
    for change in [
        Change::Set(vec![Row::Key(5)]),
        Change::Off(vec![Row::Key(6)]),
        Change::Set(vec![Row::Key(6)]),
        Change::Off(vec![Row::Key(5)]),
        Change::Set(vec![Row::Key(7), Row::Api(2)]),
    ] {
        s.change(change).after(SECOND / 2);
    }
    s.throughout(30 * SECOND, "the rotated key is not found there again", |world| {
        !world.finds(2, 5)
    });
    s.at(16 * SECOND).within(HEARD, "all that it missed is there", |world| {
        (5..8).all(|key| world.all_have_newest(Row::Key(key))) && world.is_in_sync(2)
    });
    s.expect("it did not have to load everything", |world| {
        world.status(2).is_some_and(|status| status.counters.heals == 0)
    });
}

fn revoked_while_paused(s: &mut Script) {
    s.nodes(4).at(4 * SECOND).others_join();
    s.at(10 * SECOND).strike(Fault::Cut(3, 60 * SECOND));
    s.after(SECOND).change(Change::Off(vec![Row::Subscription(5)]));
    s.within(HEARD, "the others do not find the key", |world| {
        (0..3).all(|slot| !world.finds(slot, 5))
    });
    s.change(Change::Off(vec![Row::Key(5)])).after(SECOND);
    for _ in 0..6 {
        // The log grows until it is packed and cut.
        s.change(Change::Set((10..30).map(Row::Key).collect())).after(SECOND);
    }
    s.change(Change::Set(vec![Row::Subscription(5)]));
    s.within(HEARD, "the subscription is back", |world| {
        (0..3).all(|slot| world.holds(slot, Row::Subscription(5)))
    });
    s.throughout(70 * SECOND, "its key stays revoked", |world| {
        (0..3).all(|slot| !world.finds(slot, 5))
    });
    s.at(40 * SECOND).strike(Fault::CrashPrimary(5 * SECOND));
    s.at(70 * SECOND).within(2 * HEARD, "the one that was away is back", |world| {
        world.is_in_sync(3) && world.has_newest(3, Row::Key(20))
    });
    s.expect("it does not find the key either", |world| !world.finds(3, 5));
    s.finally("the key stays revoked", |world| world.nobody_finds(5));
}

fn product_in_any_order(s: &mut Script) {
    let number = SUBSCRIPTIONS;
    let apis = apis_of(0);
    let rows = [Row::Api(apis[0]), Row::Product(0), Row::Subscription(number), Row::Key(number)];
    s.nodes(3).at(4 * SECOND).others_join().at(10 * SECOND);
    for order in orders() {
        s.change(Change::Off(rows.to_vec()));
        s.within(HEARD, "nobody finds the key", move |world| world.nobody_finds(number));
        for (count, at) in order.into_iter().enumerate() {
            s.change(Change::Set(vec![rows[at]]));
            s.within(HEARD, "the row is there", move |world| world.all_have_newest(rows[at]));
            // An API that only its product knows of yet is served as soon as it is there.
            let rest: Vec<_> = order[count + 1..].to_vec();
            if rest.iter().any(|left| *left != 0) {
                s.expect("not yet", move |world| world.nobody_finds(number));
            }
        }
        s.expect("the key opens the product's APIs", move |world| {
            (0..3).all(|slot| apis.iter().all(|api| world.finds_on(slot, *api, number)))
        });
        s.expect("and no other", move |world| !world.finds_on(1, 5, number));
    }
    // A cold node gets all of it at once.
    s.strike(Fault::FleetRestart(SECOND)).after(SECOND + 1);
    s.within(2 * HEARD, "all are ready", World::all_ready);
    s.expect("the key is found again", move |world| world.everyone_finds(number));
    s.change(Change::Off(vec![Row::Product(0)]));
    s.within(FOUND + HEARD, "without its product it opens nothing", move |world| {
        world.nobody_finds(number) && (0..3).all(|slot| !world.finds_on(slot, apis[1], number))
    });
}

/// Lists the orders of four things.
fn orders() -> Vec<[usize; 4]> {
    let mut all = Vec::new();
    for number in 0..256 {
        let order = [number & 3, number >> 2 & 3, number >> 4 & 3, number >> 6];
        if (0..4).all(|thing| order.contains(&thing)) {
            all.push(order);
        }
    }
    all
}
