//! Figure `diff`: the difference of two states of 1,000,000 entities with 1 % changed.
//!
//! An item is a key of text parts in a block of its own state, and a version. Half the entities are
//! subscriptions, half API keys; ids are as random as UUIDs. Of the changed ones a third each is
//! added, changed and removed. Left out: making, sorting and reading the states.

use std::hint::black_box;
use std::time::Instant;

use zonesync_core::diff::{self, Difference};
use zonesync_core::entity::{Kind, Version};
use zonesync_core::id::EntityKey;
use zonesync_tests::alloc::CountingAllocator;
use zonesync_tests::data::Random;
use zonesync_tests::figure::{self, Goal};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

const GOAL: f64 = 10_000_000.0;
const ROUNDS: usize = 9;
const ID_LEN: usize = 36;

/// An entity as a state may keep it: where its text stands, and its version.
struct Compact {
    text: u32,
    kind: Kind,
    version: Version,
}

struct State {
    text: String,
    items: Vec<Compact>,
}

struct Entry<'a>(&'a Compact, &'a str);

impl<'a> diff::Item for Entry<'a> {
    type Key = EntityKey<'a>;

    fn key(&self) -> EntityKey<'a> {
        let part = |n: usize| {
            let start = self.0.text as usize + n * ID_LEN;
            &self.1[start..start + ID_LEN]
        };
        let subscription = if self.0.kind == Kind::API_KEY { part(2) } else { "" };
        EntityKey { kind: self.0.kind, scope: part(0), id: part(1), subscription }
    }

    fn version(&self) -> Version {
        self.0.version
    }
}

impl State {
    fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.items.iter().map(|item| Entry(item, &self.text))
    }
}

type Plain = (Kind, [String; 3], Version);

fn state(mut entities: Vec<Plain>) -> State {
    entities.sort();
    let mut state = State { text: String::new(), items: Vec::new() };
    for (kind, parts, version) in &entities {
        let text = u32::try_from(state.text.len()).expect("the text is below 4 GiB");
        state.items.push(Compact { text, kind: *kind, version: *version });
        parts.iter().for_each(|part| state.text.push_str(part));
    }
    state
}

fn main() {
    let size = figure::size(1_000_000, 10_000);
    let mut random = Random(7);
    let apis: Vec<_> = (0..size / 100).map(|_| random.uuid()).collect();
    let entity = |random: &mut Random| {
        let scope = apis[random.draw() as usize % apis.len()].clone();
        let keyed = random.draw().is_multiple_of(2);
        let (kind, subscription) = if keyed {
            (Kind::API_KEY, random.uuid())
        } else {
            (Kind::SUBSCRIPTION, String::new())
        };
        (kind, [scope, random.uuid(), subscription], Version(u128::from(random.draw()) + 1))
    };
    let old: Vec<Plain> = (0..size).map(|_| entity(&mut random)).collect();
    let mut new = old.clone();
    for n in 0..size / 100 {
        let place = n * 100;
        match n % 3 {
            0 => new[place].2.0 += 1,
            1 => new.push(entity(&mut random)),
            _ => new[place].1[0].clear(),
        }
    }
    new.retain(|(_, parts, _)| !parts[0].is_empty());
    let (old, new) = (state(old), state(new));

    let mut rates = Vec::with_capacity(ROUNDS);
    let before = ALLOCATOR.count();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let mut found = [0; 3];
        for difference in diff::merge(old.entries(), new.entries()) {
            match black_box(difference).expect("both states are sorted") {
                Difference::Added(_) => found[0] += 1,
                Difference::Changed(..) => found[1] += 1,
                Difference::Removed(_) => found[2] += 1,
            }
        }
        rates.push(size as f64 / start.elapsed().as_secs_f64());
        assert_eq!(found.iter().sum::<usize>(), size / 100, "all differences were found");
    }
    let allocations = ALLOCATOR.count() - before;
    rates.sort_by(f64::total_cmp);
    let rate = rates[ROUNDS / 2];
    println!("raw diff size {size} rounds {ROUNDS} allocations {allocations}");
    println!("raw diff entities/s lowest {:.0} highest {:.0}", rates[0], rates[ROUNDS - 1]);
    figure::print("diff", rate, "entities/s", Goal::AtLeast, GOAL);
    assert_eq!(allocations, 0, "the difference needs no memory");
}
