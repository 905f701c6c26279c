//! Stores that fail over, split, or lose what they had.

use super::{Scenario, Script};
use crate::plan::{Change, Fault, MS, Row, SECOND, Side};
use crate::world::{POLL, TTL, World};

/// How long a change takes to every node: a poll, and a second for the way.
const HEARD: u64 = POLL.as_nanos() as u64 + SECOND;

/// How long a zone without a lease takes to find a primary.
const FOUND: u64 = TTL.as_nanos() as u64 + SECOND;

/// How long a zone takes to agree again after a loss.
const HEALED: u64 = crate::world::AGREE;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "one-epoch-twice",
        story: "Two masters of a split store each give the next epoch, under ids of their own. One \
                master goes while its primary begins a snapshot, which then comes to the other.",
        script: one_epoch_twice,
    },
    Scenario {
        name: "failover-amid-a-snapshot",
        story: "The store fails over to a replica that lacks the last seconds, just as the primary \
                writes a snapshot. Half a snapshot and a shorter log are left; the nodes know more \
                than the store.",
        script: failover,
    },
    Scenario {
        name: "split-ends-while-a-node-loads",
        story: "For a while there are two masters. A gateway that was away loads from one of them \
                when the other wins, which lacks a revocation: chunks of one and the log of the \
                other are no state, and what it holds must not go for that.",
        script: split_ends,
    },
    Scenario {
        name: "claim-raised-while-settling",
        story: "After a split, the primary reads the repository to settle what the other side had \
                published. The read is slow; meanwhile the last node of the other side comes over \
                with something newer than that read.",
        script: claim_while_settling,
    },
    Scenario {
        name: "higher-term-loses",
        story: "Two masters; on the one that loses, primaries came and went, so its terms are the \
                higher ones. The zone must neither follow them back nor lose what they revoked.",
        script: higher_term_loses,
    },
    Scenario {
        name: "a-loser-leads-after-the-split",
        story: "Of two masters one wins, and just then its primary dies. What takes over comes from \
                the side that lost and stood still: its memory lacks a revocation that the store \
                and an edge gateway know of, and must not be published over that.",
        script: loser_leads,
    },
    Scenario {
        name: "store-restarts-empty",
        story: "The store restarts without its data while gateways run. They keep serving and \
                publish it again from memory; a gateway that starts just then waits for that.",
        script: restarts_empty,
    },
    Scenario {
        name: "cold-node-first-at-an-emptied-store",
        story: "The store restarts without its data, and before any other a new gateway finds it, \
                while the repository shows half of its rows. The others come a moment later: what \
                they hold must be published, and not half of the rows.",
        script: cold_node_first,
    },
    Scenario {
        name: "cold-node-alone-at-an-emptied-store",
        story: "The same, but the others cannot reach the store for some seconds. The new gateway \
                cannot know better; the others do, and must not give up what they have for that.",
        script: cold_node_alone,
    },
    Scenario {
        name: "cold-node-founds-without-a-row",
        story: "The same, but all rows are there, and one of them cannot be read since it was \
                changed. The new gateway never had a good version of it; the others do, and must not \
                give it up before the row can be read.",
        script: cold_node_beside_poison,
    },
    Scenario {
        name: "a-person-gives-a-row-up",
        story: "The same, and the row stays as it is: the claims wait for a person, who says that the \
                last good version may go.",
        script: poison_given_up,
    },
    Scenario {
        name: "an-older-master-has-the-row",
        story: "The same after a split: the new gateway founds the zone on the one master, without \
                the row, and then the other wins, which has its last good version. It must not be \
                removed for a state that never had it.",
        script: older_master,
    },
    Scenario {
        name: "only-observers-know",
        story: "The one gateway that can read the repository restarts just when the store lost its \
                data, and the repository shows half of its rows. Edge gateways still hold the whole \
                state: their reports say how much there was, so a person is asked.",
        script: only_observers_know,
    },
    Scenario {
        name: "settlement-lost-again",
        story: "The store lost a revocation that an edge gateway had; the zone read the repository, \
                published it again, and told the gateway that it may let go of what it holds. While \
                it loads the zone's state, the store fails over once more and loses all that.",
        script: settlement_lost,
    },
];

fn failover(s: &mut Script) {
    s.nodes(3).weight(100_000).at(4 * SECOND).others_join();
    s.at(15 * SECOND).change(Change::Set((0..30).map(Row::Key).collect()));
    s.change(Change::Off(vec![Row::Key(2)]));
    s.within(5 * SECOND, "the primary writes a snapshot", |world| world.is_packing(0));
    s.strike(Fault::StoreLostTail(SECOND));
    s.throughout(20 * SECOND, "all stay ready, with all there is", |world| {
        world.all_ready() && world.nothing_is_missing()
    });
    s.within(HEALED, "all hold what was published, and agree", |world| {
        (3..30).all(|n| world.all_have_newest(Row::Key(n))) && world.agree()
    });
    s.expect("the revoked key is gone", |world| world.nobody_finds(2));
    s.at(40 * SECOND).expect("no claim is left open", |world| world.open_claims().is_empty());
    s.strike(Fault::Crash(2, SECOND)).after(SECOND + 1);
    s.within(2 * HEARD, "a cold node loads what is stored", |world| world.is_in_sync(2));
}

fn split_ends(s: &mut Script) {
    s.nodes(5).weight(100_000).at(4 * SECOND).others_join();
    s.at(15 * SECOND).strike(Fault::SplitOff(vec![2, 3]));
    s.within(FOUND + HEARD, "each side has a primary", |world| world.primaries() == 2);
    // The other side stands still, and does not hear of this.
    s.after(SECOND).strike(Fault::Pause(2, 40 * SECOND)).strike(Fault::Pause(3, 40 * SECOND));
    s.change(Change::Off(vec![Row::Key(1)])).change(Change::Set(vec![Row::Key(3)]));
    s.within(HEARD, "the others publish", |world| {
        !world.finds(4, 1) && world.has_newest(4, Row::Key(3))
    });
    s.strike(Fault::Cut(4, 3 * SECOND)).change(Change::Set((10..30).map(Row::Key).collect()));
    s.after(SECOND).change(Change::Set((0..30).map(Row::Subscription).collect()));
    s.after(2 * SECOND - 100 * MS).strike(Fault::Slow(200 * MS, 20 * SECOND));
    s.within(5 * SECOND, "the one that was away loads", |world| world.is_loading(4));
    s.strike(Fault::Lead(vec![0, 1, 4], Side::New));
    s.throughout(60 * SECOND, "it does not go back", |world| {
        !world.finds(4, 1) && world.missing(4) == 0 && world.is_ready(4)
    });
    s.after(5 * SECOND).strike(Fault::Wake(2)).strike(Fault::Wake(3));
    s.after(60 * SECOND).within(HEALED, "all agree", World::agree);
    s.expect("one leads, and no claim is open", |world| {
        world.primaries() == 1 && world.open_claims().is_empty() && world.nobody_finds(1)
    });
}

fn claim_while_settling(s: &mut Script) {
    s.nodes(4).at(4 * SECOND).others_join();
    // The third is away while the fourth becomes primary of the other side.
    s.at(10 * SECOND).strike(Fault::Cut(2, 8 * SECOND)).strike(Fault::SplitOff(vec![2, 3]));
    s.within(FOUND + SECOND, "the fourth leads the other side", |world| world.leads(3));
    for _ in 0..2 {
        // Where a term is above what was lost, a claim does not end it.
        s.strike(Fault::StopPrimary(SECOND)).after(3 * SECOND);
    }
    s.at(21 * SECOND).change(Change::Set(vec![Row::Key(5)]));
    s.within(HEARD, "the third follows the fourth", |world| {
        world.position(2) == world.position(3) && world.all_have_newest(Row::Key(5))
    });
    // Whoever reads before it ends waits for long; what begins then goes on after its end.
    s.at(25 * SECOND).strike(Fault::RepositorySlow(8 * SECOND, 12 * SECOND));
    s.at(34 * SECOND).strike(Fault::Lead(vec![2], Side::Old));
    s.within(2 * SECOND, "its position is claimed", |world| world.open_claims().len() == 1);
    s.at(37 * SECOND + 100 * MS).change(Change::Set(vec![Row::Key(6)]));
    s.change(Change::Off(vec![Row::Key(7)]));
    s.within(HEARD, "the fourth publishes that on its side", |world| {
        world.has_newest(3, Row::Key(6)) && !world.finds(3, 7)
    });
    s.expect("the claim is still open, for the read goes on", |world| {
        world.open_claims().len() == 1
    });
    // The next read is slow, too, so that it is seen what the first one settles.
    s.strike(Fault::RepositorySlow(5 * SECOND, 10 * SECOND));
    s.strike(Fault::Lead(vec![3], Side::Old));
    s.throughout(40 * SECOND, "it never goes back", |world| {
        world.has_newest(3, Row::Key(6)) && !world.finds(3, 7)
    });
    s.within(2 * SECOND, "its position is claimed, too", |world| {
        world.open_claims().iter().any(|claim| Some(*claim) == world.position(3))
    });
    s.at(44 * SECOND).expect("the first read did not settle that one", |world| {
        world.open_claims().iter().any(|claim| Some(*claim) == world.position(3))
    });
    s.within(20 * SECOND, "in the end both are settled", |world| world.open_claims().is_empty());
    s.within(HEALED, "all agree", |world| {
        world.agree() && world.all_have_newest(Row::Key(6)) && world.nobody_finds(7)
    });
}

fn higher_term_loses(s: &mut Script) {
    s.nodes(5).at(4 * SECOND).others_join();
    s.at(10 * SECOND).strike(Fault::SplitOff(vec![2, 3, 4]));
    s.within(FOUND + SECOND, "the other side has a primary", |world| world.primaries() == 2);
    for slot in [2, 3, 4] {
        // Whoever leads there is away for a while.
        s.strike(Fault::Pause(slot, 8 * SECOND)).after(9 * SECOND);
        s.within(FOUND, "each side has a primary", |world| world.primaries() == 2);
    }
    s.expect("the other side's term is the higher one", |world| {
        world.term_at(1).epoch > world.term_at(0).epoch
    });
    // The other side stands still, and does not hear of this.
    (2..5).for_each(|slot| {
        s.strike(Fault::Pause(slot, 30 * SECOND));
    });
    s.change(Change::Off(vec![Row::Key(1)])).change(Change::Set(vec![Row::Key(2)]));
    s.within(HEARD, "the side that wins publishes", |world| {
        !world.finds(0, 1) && !world.finds(1, 1) && world.has_newest(1, Row::Key(2))
    });
    s.strike(Fault::Lead(vec![2, 3, 4], Side::Old)).after(10 * SECOND);
    (2..5).for_each(|slot| {
        s.strike(Fault::Wake(slot));
    });
    s.throughout(40 * SECOND, "who knows of the revocation finds the key no more", |world| {
        !world.finds(0, 1) && !world.finds(1, 1)
    });
    s.throughout(40 * SECOND, "all stay ready, with all there is", |world| {
        world.all_ready() && world.nothing_is_missing()
    });
    s.within(2 * SECOND, "the winning side is fenced", |world| {
        world.term_at(0).epoch > world.term_at(1).epoch
    });
    // Its primary has not heard of that yet.
    s.change(Change::Set(vec![Row::Key(3)]));
    s.within(2 * HEALED, "all agree, and no claim is open", |world| {
        world.agree() && world.open_claims().is_empty()
    });
    s.expect("the key is revoked everywhere", |world| {
        world.nobody_finds(1) && world.all_have_newest(Row::Key(3))
    });
    s.expect("the zone's term is above both", |world| {
        let epoch = |server| world.head_at(server).map(|head| head.position().term.epoch);
        epoch(0) > epoch(1) && world.primaries() == 1
    });
    s.change(Change::Set(vec![Row::Key(4)]));
    s.within(HEARD, "the zone goes on", |world| world.all_have_newest(Row::Key(4)));
}

fn loser_leads(s: &mut Script) {
    s.nodes(4).observers(1..2).at(4 * SECOND).others_join();
    s.at(10 * SECOND).strike(Fault::SplitOff(vec![2, 3]));
    s.within(FOUND + SECOND, "each side has a primary", |world| world.primaries() == 2);
    s.after(SECOND).strike(Fault::Pause(2, 30 * SECOND)).strike(Fault::Pause(3, 30 * SECOND));
    s.change(Change::Off(vec![Row::Key(1)])).change(Change::Set(vec![Row::Key(2)]));
    s.within(HEARD, "the side that wins publishes", |world| {
        !world.finds(1, 1) && world.has_newest(1, Row::Key(2))
    });
    s.after(10 * SECOND).strike(Fault::Crash(0, 20 * SECOND));
    s.strike(Fault::Lead(vec![2, 3], Side::Old)).strike(Fault::Wake(2)).strike(Fault::Wake(3));
    s.throughout(60 * SECOND, "who knows of the revocation finds the key no more", |world| {
        !world.finds(1, 1) && world.has_newest(1, Row::Key(2))
    });
    s.within(2 * FOUND, "one from the other side leads", |world| {
        world.reigns_since(24 * SECOND).iter().any(|reign| reign.slot > 1)
    });
    s.within(HEALED, "all agree, and no claim is open", |world| {
        world.agree() && world.open_claims().is_empty() && world.nobody_finds(1)
    });
}

fn restarts_empty(s: &mut Script) {
    s.nodes(4).at(4 * SECOND).join(1..3);
    s.at(10 * SECOND).change(Change::Off(vec![Row::Key(1)])).after(2 * SECOND);
    s.strike(Fault::RepositoryPartial(50, 25 * SECOND)).strike(Fault::StoreEmptied);
    s.throughout(30 * SECOND, "whoever is ready holds all there is", |world| {
        world.nothing_is_missing() && world.nobody_finds(1)
    });
    s.throughout(30 * SECOND, "who was ready stays so", |world| {
        (0..3).all(|slot| world.is_ready(slot))
    });
    s.within(HEALED, "the store is filled from memory", |world| {
        world.head().is_some_and(|head| head.is_complete()) && world.agree()
    });
    s.strike(Fault::Join(3)).within(HEARD, "a new node is ready", |world| world.is_ready(3));
}

/// A node without a state finds an emptied store beside rows that are not all there, and the others
/// come so long after it.
fn cold_node(s: &mut Script, rows: Fault, before: u64) {
    s.nodes(4).full_read(20 * SECOND).at(4 * SECOND).join(1..3);
    s.at(10 * SECOND).change(Change::Off(vec![Row::Key(1)])).after(2 * SECOND);
    s.strike(rows).strike(Fault::Cut(0, before));
    s.strike(Fault::Cut(1, before)).strike(Fault::Cut(2, before));
    s.strike(Fault::StoreEmptied).strike(Fault::Join(3));
}

fn cold_node_first(s: &mut Script) {
    cold_node(s, Fault::RepositoryPartial(50, 30 * SECOND), SECOND / 4);
    s.throughout(40 * SECOND, "whoever is ready holds all there is", |world| {
        (0..3).all(|slot| world.is_ready(slot)) && world.nothing_is_missing()
    });
    s.within(SECOND / 4, "the new node has the lease", |world| world.leads(3));
    s.within(FOUND, "it leaves it to one that holds a state", |world| {
        !world.leads(3) && world.reigns_since(12 * SECOND).iter().any(|reign| reign.slot != 3)
    });
    s.within(HEARD, "which publishes that, and the new node is ready", |world| {
        world.is_ready(3) && world.agree() && world.open_claims().is_empty()
    });
    s.expect("with all there is, and nothing that was revoked", |world| {
        world.nothing_is_missing() && world.nobody_finds(1)
    });
}

fn cold_node_alone(s: &mut Script) {
    cold_node(s, Fault::RepositoryLies(50, 30 * SECOND), 5 * SECOND);
    s.within(2 * SECOND, "the new node founds the zone anew", |world| world.is_ready(3));
    s.throughout(60 * SECOND, "the others keep all they have", |world| {
        (0..3).all(|slot| world.is_ready(slot) && world.missing(slot) == 0) && world.nobody_finds(1)
    });
    s.at(30 * SECOND).expect("their claims wait, for the rows fall short", |world| {
        !world.open_claims().is_empty()
    });
    s.at(42 * SECOND)
        .within(25 * SECOND, "a whole read settles them", |world| world.open_claims().is_empty());
    s.within(HEALED, "all agree, with all there is", |world| {
        world.agree() && world.nothing_is_missing()
    });
}

/// A row turns unreadable, and a cold node founds the zone in an emptied store, without that row.
/// Then the others come, who have its last good version.
fn poison_and_cold_node(s: &mut Script) {
    let poison = Change::Poison(vec![Row::Key(5)]);
    s.nodes(4).full_read(20 * SECOND).at(4 * SECOND).join(1..3).at(10 * SECOND).change(poison);
    s.after(2 * SECOND).strike(Fault::StoreEmptied);
    for slot in 0..3 {
        s.strike(Fault::Cut(slot, 5 * SECOND));
    }
    s.strike(Fault::Join(3));
    s.within(2 * SECOND, "the new node founds the zone anew", |world| world.is_ready(3));
    s.at(25 * SECOND).expect("what it has not and others have waits for a person", |world| {
        !world.open_claims().is_empty() && world.held_removals() == 1
    });
}

fn cold_node_beside_poison(s: &mut Script) {
    poison_and_cold_node(s);
    s.throughout(60 * SECOND, "who has a good version keeps it", |world| {
        (0..3).all(|slot| world.is_ready(slot) && world.finds(slot, 5))
    });
    s.at(60 * SECOND).change(Change::Set(vec![Row::Key(5)]));
    s.within(25 * SECOND, "once it can be read, the claims are settled", |world| {
        world.open_claims().is_empty() && world.held_removals() == 0
    });
    s.within(HEALED, "all agree, and have it", |world| {
        world.agree() && world.all_have_newest(Row::Key(5))
    });
}

fn poison_given_up(s: &mut Script) {
    poison_and_cold_node(s);
    s.at(60 * SECOND)
        .expect("who has a good version keeps it", |world| (0..3).all(|slot| world.finds(slot, 5)));
    s.strike(Fault::Confirm);
    s.within(HEALED, "all agree, and no claim is open", |world| {
        world.agree() && world.open_claims().is_empty() && world.held_removals() == 0
    });
    s.expect("it is gone, and nothing else", |world| {
        world.nobody_finds(5) && world.everyone_finds_all(0..5) && world.everyone_finds_all(6..30)
    });
}

fn older_master(s: &mut Script) {
    let poison = Change::Poison(vec![Row::Key(5)]);
    s.nodes(2).full_read(20 * SECOND).at(4 * SECOND).others_join().at(10 * SECOND).change(poison);
    s.after(2 * SECOND).strike(Fault::SplitOff(vec![])).strike(Fault::StoreEmptied);
    s.strike(Fault::Crash(0, SECOND)).strike(Fault::Crash(1, 3600 * SECOND));
    s.within(5 * SECOND, "a zone is founded without the row", |world| {
        world.is_ready(0) && !world.finds(0, 5)
    });
    s.after(5 * SECOND).change(Change::Set(vec![Row::Key(6)]));
    s.within(HEARD, "and goes on", |world| world.has_newest(0, Row::Key(6)));
    s.strike(Fault::Lead(vec![0], Side::New));
    s.after(20 * SECOND).expect("the other has the row, and a person is asked", |world| {
        !world.open_claims().is_empty() && world.held_removals() == 1
    });
    s.at(60 * SECOND).change(Change::Set(vec![Row::Key(5)]));
    s.within(25 * SECOND, "once it can be read, the claims are settled", |world| {
        world.open_claims().is_empty() && world.held_removals() == 0
    });
    s.within(HEALED, "all have it", |world| world.all_have_newest(Row::Key(5)));
}

fn only_observers_know(s: &mut Script) {
    s.nodes(3).observers(1..3).at(4 * SECOND).others_join();
    s.at(10 * SECOND).strike(Fault::Crash(0, 6 * SECOND)).strike(Fault::StoreEmptied);
    s.strike(Fault::RepositoryPartial(50, 40 * SECOND)).after(6 * SECOND + 1);
    s.throughout(60 * SECOND, "whoever is ready holds all there is", World::nothing_is_missing);
    s.throughout(60 * SECOND, "the observers serve", |world| {
        world.is_ready(1) && world.is_ready(2) && world.everyone_finds_all(0..30)
    });
    s.within(FOUND + HEARD, "the cold one leads, and is not ready", |world| {
        world.leads(0) && !world.is_ready(0)
    });
    s.at(49 * SECOND).expect("it says that rows are missing", |world| {
        world.status(0).is_some_and(|status| status.reason.contains("fewer rows"))
    });
    s.at(50 * SECOND)
        .within(20 * SECOND, "it is ready once the rows are back", |world| world.is_ready(0));
}

fn one_epoch_twice(s: &mut Script) {
    s.nodes(4).weight(100_000).at(4 * SECOND).others_join();
    s.at(15 * SECOND).strike(Fault::SplitOff(vec![2, 3])).strike(Fault::Crash(0, 60 * SECOND));
    let loser_leads = |world: &World| world.leads(2) || world.leads(3);
    s.within(8 * SECOND, "each side has a primary", move |world| {
        world.leads(1) && loser_leads(world)
    });
    s.change(Change::Set((0..30).map(Row::Key).collect()));
    s.within(5 * SECOND, "the loser has published, and begins a snapshot", |world| {
        (2..4).any(|slot| world.leads(slot) && world.has_newest(slot, Row::Key(29)))
    });
    s.strike(Fault::Lead(vec![2, 3], Side::Old));
    s.after(15 * SECOND);
    s.expect("the loser leads no more", move |world| !loser_leads(world));
}

fn settlement_lost(s: &mut Script) {
    s.nodes(3).observers(2..3).weight(100_000).at(4 * SECOND).others_join();
    // The next primary is away while the revocation is published, and lost.
    s.at(15 * SECOND).strike(Fault::Cut(1, 3 * SECOND)).change(Change::Off(vec![Row::Key(1)]));
    s.within(HEARD, "the observer has it", |world| !world.finds(2, 1));
    s.strike(Fault::Crash(0, 120 * SECOND)).strike(Fault::StoreLostTail(SECOND));
    s.strike(Fault::RepositoryDown(20 * SECOND)).strike(Fault::Cut(2, 22 * SECOND));
    s.throughout(60 * SECOND, "the observer never finds the key again", |world| {
        world.is_ready(2) && !world.finds(2, 1)
    });
    s.at(36 * SECOND).strike(Fault::Slow(30 * MS, 20 * SECOND));
    s.within(10 * SECOND, "its claim is settled, and it loads", |world| {
        !world.settled_claims().is_empty() && world.is_loading(2)
    });
    s.strike(Fault::PausePrimary(2 * SECOND)).strike(Fault::StoreOld(8 * SECOND));
    s.expect("nothing of that is left", |world| world.settled_claims().is_empty());
    s.after(2 * SECOND).within(FOUND + HEALED, "all agree, and no claim is open", |world| {
        world.agree() && world.open_claims().is_empty() && world.nobody_finds(1)
    });
}
