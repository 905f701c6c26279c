//! A plan drawn from a seed: ten minutes of changes and faults.

use super::{Act, Change, Fault, MS, Plan, Row, SECOND, SlotPlan, VERSIONS, formats};
use crate::executor::Time;
use crate::random::Random;
use crate::rows::SUBSCRIPTIONS;

/// How long faults and changes last.
const LENGTH: Time = 600 * SECOND;

/// How many changes there are.
const CHANGES: u64 = 620;

/// How many faults there are: between these.
const FAULTS: (u64, u64) = (20, 34);

/// Of 100 nodes, so many keep an image.
const KEEPS: u64 = 60;

/// Of 100 faults, so many come soon after another.
const CLOSE: u64 = 40;

/// How many kinds of fault a seed knows.
const KINDS: usize = 12;

/// Draws a plan.
pub fn draw(seed: u64) -> Plan {
    let mut random = Random::new(seed ^ 0x51_7e);
    let count = random.within(2, 9) as usize;
    let has_filters = random.percent(20);
    // Where everything is read only once, what a read of changes missed stays missed.
    let full_read = if random.percent(50) { 60 * SECOND } else { 3_600 * SECOND };
    let slots: Vec<SlotPlan> = (0..count)
        .map(|number| SlotPlan {
            starts: number < 2 || random.percent(60),
            // The first two can always lead, and see all.
            observes: number >= 2 && random.percent(20),
            filtered: has_filters && number >= 1 && random.percent(50),
            keeps: random.percent(KEEPS),
            ppm: random.within(0, 4_000) as i64 - 2_000,
            newest: VERSIONS.0,
        })
        .collect();
    let mut acts = Vec::new();
    for _ in 0..CHANGES {
        acts.push((random.below(LENGTH), Act::Change(change(&mut random))));
    }
    acts.push((random.below(LENGTH / 3), Act::Change(Change::Keep)));
    let mut kinds: Vec<usize> = (0..FAULT_KINDS).collect();
    for at in 0..KINDS {
        let other = at + random.below((FAULT_KINDS - at) as u64) as usize;
        kinds.swap(at, other);
    }
    let mut at = 0;
    let mut left = random.within(FAULTS.0, FAULTS.1);
    while left > 0 {
        let kind = *random.pick(&kinds[..KINDS]);
        // What comes soon after another fault finds more than what comes alone.
        at = match random.percent(CLOSE) && at > 0 {
            true => (at + random.below(4 * SECOND)).min(LENGTH),
            false => 2 * SECOND + random.below(LENGTH - 2 * SECOND),
        };
        let fault = fault(kind, count, &mut random);
        if full_read < LENGTH || !fault.needs_full_read() {
            acts.push((at, Act::Fault(fault)));
            left -= 1;
        }
    }
    acts.sort_by_key(|(at, _)| *at);
    let mut plan = Plan { seed, slots, acts, end: LENGTH, full_read };
    formats::mix(&mut plan);
    plan
}

fn change(random: &mut Random) -> Change {
    let row = |random: &mut Random| match random.below(10) {
        0 => Row::Api(random.below(crate::rows::APIS)),
        1 => Row::Dictionary(random.below(crate::rows::DICTIONARIES)),
        2..6 => Row::Subscription(random.below(SUBSCRIPTIONS)),
        _ => Row::Key(random.below(SUBSCRIPTIONS)),
    };
    match random.below(100) {
        0..62 => Change::Set(vec![row(random)]),
        62..87 => Change::Off(vec![row(random)]),
        87..89 => Change::Delete(row(random)),
        89..94 => Change::Set((0..random.within(5, 40)).map(|_| row(random)).collect()),
        _ => {
            let number = random.below(SUBSCRIPTIONS);
            Change::Set(vec![Row::Subscription(number), Row::Key(number)])
        }
    }
}

const FAULT_KINDS: usize = 45;

fn fault(kind: usize, slots: usize, random: &mut Random) -> Fault {
    let slot = random.below(slots as u64) as usize;
    let mut time = |low: u64, high: u64| random.within(low, high) * MS;
    let (short, long) = (time(50, 3_000), time(500, 20_000));
    let share = random.within(5, 60);
    let shown = if random.percent(50) { random.within(0, 95) } else { random.within(96, 99) };
    match kind {
        0 => Fault::Crash(slot, long),
        1 => Fault::CrashPrimary(long),
        2 => Fault::Stop(slot, long),
        3 => Fault::StopPrimary(long),
        4 => Fault::FleetRestart(short),
        5 => Fault::Join(slot),
        6 => Fault::Leave(slot),
        7 => Fault::Pause(slot, long),
        8 | 36 => Fault::PausePrimary(long),
        9 => Fault::Cut(slot, long),
        10 => Fault::CutPrimary(long),
        11 => Fault::Lossy(share, long),
        12 => Fault::Late(share / 2, long),
        13 | 37 => Fault::Doubled(share, long),
        14 => Fault::LateChunks(long),
        15 => Fault::Slow(short / 3, long),
        16 => Fault::StoreDown(long),
        17 => Fault::StoreEmptied,
        18 => Fault::StoreOld(random.within(2, 120) * SECOND),
        19 => Fault::StoreLostTail(short),
        20 | 38 => Fault::Split(long),
        21 => Fault::StoreClock(random.within(0, 20_000) as i64 - 10_000),
        22 => Fault::StoreFull(long),
        23 => Fault::StoreReadOnly(long),
        24 => Fault::StoreFlips(share / 2, long),
        25 => Fault::WallClock(slot, random.within(0, 7_200_000) as i64 - 3_600_000),
        26 => Fault::Drift(slot, random.within(0, 20_000) as i64 - 10_000),
        27 => Fault::RepositoryDown(long),
        28 => Fault::RepositorySlow(short * 3, long),
        29 => Fault::RepositoryPartial(shown, long),
        30 => Fault::RepositoryIncomplete(shown, long),
        31 => Fault::RepositoryLies(shown, long),
        32 => Fault::RepositoryLies(0, long),
        33 => Fault::RepositoryRestored,
        34 => {
            let rows = (0..random.within(1, 6)).map(|_| Row::Key(random.below(SUBSCRIPTIONS)));
            Fault::Poison(rows.collect(), long)
        }
        35 => match random.below(3) {
            0 => Fault::RevokedInTheDark(random.within(20, 60), short),
            1 => Fault::Reject(Row::Key(random.below(SUBSCRIPTIONS))),
            _ => Fault::Confirm,
        },
        39 => Fault::WallClockOfPrimary(random.within(0, 1_200_000) as i64 - 900_000),
        40 => Fault::CrashAndStoreClock(long, random.within(0, 20_000) as i64 - 15_000),
        41 | 42 => Fault::FreshStart(long / 8),
        43 => Fault::DiskLost(slot, short),
        44 => Fault::DiskFails(slot, long),
        _ => unreachable!("there are {FAULT_KINDS} kinds"),
    }
}

impl Fault {
    /// Only a full read mends what it leaves behind.
    fn needs_full_read(&self) -> bool {
        matches!(
            self,
            Self::RepositoryPartial(..) | Self::RepositoryLies(..) | Self::RepositoryRestored
        )
    }
}
