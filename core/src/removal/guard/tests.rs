use proptest::prelude::*;
use std::vec::Vec;

use super::*;
use crate::entity::Version;
use crate::id::EntityKey;
use crate::removal::Evidence;

const HOUR: i64 = 60 * 60 * 1000;
const KIND: Kind = Kind::API_KEY;

fn at(millis: i64) -> WallTime {
    WallTime::from_millis(millis)
}

fn digest(count: u64) -> Digest {
    let mut digest = Digest::EMPTY;
    (0..count).for_each(|_| digest.add(KIND, Version(1)));
    digest
}

/// A plain list of all that happened, judged by the words of the rule.
#[derive(Default)]
struct Model {
    counts: Vec<(i64, u64)>,
    absences: Vec<(i64, u64)>,
}

impl Model {
    fn last_day(events: &[(i64, u64)], now: i64) -> impl Iterator<Item = u64> + '_ {
        let recent = move |at: i64| now.div_euclid(HOUR) - at.div_euclid(HOUR) <= 24;
        events.iter().filter(move |(at, _)| recent(*at)).map(|(_, count)| *count)
    }

    fn holds(&self, now: i64, present: u64, absent: u64) -> bool {
        let highest = Self::last_day(&self.counts, now).max().unwrap_or(0).max(present);
        let all = absent + Self::last_day(&self.absences, now).sum::<u64>();
        let many = all >= 3 && all as f64 > highest as f64 * 0.2;
        absent > 0 && (many || (highest >= 3 && absent == present))
    }
}

proptest! {
    #[test]
    fn the_guard_judges_as_a_list_of_all_events_does(
        steps in prop::collection::vec((0..10 * HOUR, 0..40_u64, 0..8_u64), 1..60),
        start in -100 * HOUR..100 * HOUR,
    ) {
        let (mut guard, mut model) = (GuardData::new(), Model::default());
        let mut now = start;
        // A first observation in the past of 1970 is a clock set back; begin where there is none.
        guard.newest = start.div_euclid(HOUR);
        for (pause, present, absent) in steps {
            now += pause;
            let absent = absent.min(present);
            guard.observe(at(now), &digest(present));
            model.counts.push((now, present));
            let held = guard.judge(at(now), KIND, present, absent) == Verdict::Hold;
            prop_assert_eq!(held, model.holds(now, present, absent));
            // Judged ahead of time, without a roll before.
            let later = now + pause * 3;
            let held = guard.judge(at(later), KIND, present, absent) == Verdict::Hold;
            prop_assert_eq!(held, model.holds(later, present, absent));
            if !held {
                guard.pass(at(now), KIND, absent);
                model.absences.push((now, absent));
            }
        }
    }

    #[test]
    fn a_clock_that_goes_back_for_a_while_erases_nothing(
        steps in prop::collection::vec((0..HOUR / 2, 1..5_u64, any::<bool>()), 1..40),
        back in 1..20_000 * HOUR,
    ) {
        let mut guard = GuardData::new();
        let mut now = 500_000 * HOUR;
        guard.observe(at(now), &Digest::EMPTY);
        let mut total = 0;
        for (pause, absent, wrong) in steps {
            now += pause;
            total += absent;
            let shown = if wrong { now - back } else { now };
            guard.pass(at(shown), KIND, absent);
            prop_assert_eq!(guard.absent(at(shown), KIND), total, "all within 20 hours");
            prop_assert_eq!(guard.absent(at(now), KIND), total);
        }
    }

    #[test]
    fn no_clock_makes_the_guard_remember_for_ever(
        jumps in prop::collection::vec(-1_000_000 * HOUR..1_000_000 * HOUR, 1..20),
        last in -1_000_000 * HOUR..1_000_000 * HOUR,
    ) {
        let mut guard = GuardData::new();
        for now in jumps {
            guard.observe(at(now), &digest(9));
            guard.pass(at(now), KIND, 9);
        }
        for hour in 0..52 {
            guard.observe(at(last + hour * HOUR), &Digest::EMPTY);
        }
        let end = at(last + 52 * HOUR);
        prop_assert_eq!((guard.absent(end, KIND), guard.highest(end, KIND)), (0, 0));
    }

    #[test]
    fn merging_forgets_nothing_and_counts_a_common_past_once(
        common in prop::collection::vec((0..30 * HOUR, 1..9_u64), 0..20),
        own in prop::collection::vec((0..30 * HOUR, 1..9_u64), 0..20),
        ahead in prop_oneof![Just(0), 0..40_000 * HOUR],
    ) {
        let start = 400_000 * HOUR;
        let now = at(start + 30 * HOUR);
        let mut one = GuardData::new();
        let in_order = |mut events: Vec<(i64, u64)>| { events.sort(); events };
        for (after, count) in in_order(common) {
            one.pass(at(start + after), KIND, count);
            one.observe(at(start + after), &digest(count));
        }
        let mut two = one.clone();
        for (after, count) in in_order(own) {
            two.pass(at(start + 30 * HOUR + after / 1000), KIND, count);
            two.observe(at(start + 30 * HOUR + after / 1000), &digest(count));
        }
        let whole = (two.highest(now, KIND), two.absent(now, KIND));
        let mut merged = one.clone();
        merged.merge(now, &two);
        prop_assert_eq!((merged.highest(now, KIND), merged.absent(now, KIND)), whole);
        merged.merge(now, &one);
        prop_assert_eq!((merged.highest(now, KIND), merged.absent(now, KIND)), whole);

        // One whose clock is ahead brings nothing to be forgotten.
        let mut early = GuardData::new();
        early.observe(at(start + 30 * HOUR + ahead), &digest(1));
        merged.merge(now, &early);
        prop_assert_eq!(merged.absent(now, KIND), whole.1);
        prop_assert!(merged.highest(now, KIND) >= whole.0);
    }

    #[test]
    fn only_the_same_set_has_the_same_token(
        ids in prop::collection::btree_set("[a-c]{1,3}", 1..12),
        other in prop::collection::btree_set("[a-c]{1,3}", 1..12),
        turn in any::<prop::sample::Index>(),
    ) {
        let token = |ids: &mut dyn Iterator<Item = &std::string::String>| {
            let mut set = HeldSet::new();
            for id in ids {
                assert!(set.add(EntityKey::new(KIND, id), Evidence::Absent));
            }
            set.token()
        };
        let mut shuffled: Vec<_> = ids.iter().collect();
        let by = turn.index(shuffled.len());
        shuffled.rotate_left(by);
        prop_assert_eq!(token(&mut ids.iter()), token(&mut shuffled.into_iter()));
        prop_assert_eq!(token(&mut ids.iter()) == token(&mut other.iter()), ids == other);
        let own = token(&mut ids.iter());
        prop_assert_eq!(std::format!("{own}").parse(), Ok(own));
    }
}

#[test]
fn a_fifth_may_go_and_more_may_not() {
    let mut guard = GuardData::new();
    let now = at(1_000 * HOUR);
    guard.observe(now, &digest(20));
    assert_eq!(guard.judge(now, KIND, 20, 4), Verdict::Pass);
    assert_eq!(guard.judge(now, KIND, 20, 5), Verdict::Hold);
    guard.pass(now, KIND, 4);
    assert_eq!(guard.judge(now, KIND, 16, 1), Verdict::Hold, "four went already");
    let tomorrow = at(1_025 * HOUR);
    assert_eq!(guard.judge(tomorrow, KIND, 16, 3), Verdict::Pass);
}

#[test]
fn the_last_of_three_waits_and_the_last_of_two_does_not() {
    let mut guard = GuardData::new();
    let now = at(1_000 * HOUR);
    guard.observe(now, &digest(2));
    assert_eq!(guard.judge(now, KIND, 2, 2), Verdict::Pass);
    guard.observe(now, &digest(100));
    assert_eq!(guard.judge(now, KIND, 2, 2), Verdict::Hold, "evidenced removals left two of 100");
}

#[test]
fn a_confirmed_token_lets_exactly_its_set_pass() {
    let guard = GuardData::new();
    let now = at(0);
    let set = |ids: &[&str]| {
        let mut set = HeldSet::new();
        ids.iter().for_each(|id| assert!(set.add(EntityKey::new(KIND, id), Evidence::Absent)));
        set
    };
    let confirmed = Some(set(&["a", "b", "c"]).token());
    let judge = |ids: &[&str], token| guard.judge_set(now, KIND, 4, &set(ids), token);
    assert_eq!(judge(&["a", "b", "c"], None), Verdict::Hold);
    assert_eq!(judge(&["c", "a", "b"], confirmed), Verdict::Pass);
    assert_eq!(judge(&["a", "b", "d"], confirmed), Verdict::Hold);
    assert_eq!(judge(&["a", "b", "c", "d"], confirmed), Verdict::Hold);
}

#[test]
fn an_evidenced_removal_cannot_be_held() {
    let mut set = HeldSet::new();
    assert!(!set.add(EntityKey::new(KIND, "a"), Evidence::Evidenced));
    assert_eq!(set, HeldSet::new());
}

#[test]
fn what_is_held_is_remembered_until_released() {
    let mut guard = GuardData::new();
    guard.hold(Kind::API, 3, Token(7));
    guard.hold(KIND, 9, Token(8));
    let held = |guard: &GuardData| guard.held().collect::<Vec<_>>();
    let (api, key) = (Held { count: 3, token: Token(7) }, Held { count: 9, token: Token(8) });
    assert_eq!(held(&guard), [(Kind::API, api), (KIND, key)]);
    let mut heir = GuardData::new();
    heir.merge(at(0), &guard);
    assert_eq!(held(&heir), held(&guard));
    guard.release(Kind::API);
    assert_eq!(held(&guard), [(KIND, key)]);
}

#[test]
fn tokens_are_sixteen_digits() {
    for bad in ["", "1", "+00000000000000f", "00000000000000000", "g000000000000000"] {
        assert!(bad.parse::<Token>().is_err(), "{bad:?}");
    }
}
