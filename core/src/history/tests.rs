use super::*;
use crate::id::{Sequence, TermId};

fn at(epoch: u64, id: u128, sequence: u64) -> Position {
    Position { term: Term { epoch: Epoch(epoch), id: TermId(id) }, sequence: Sequence(sequence) }
}

fn list(positions: &[Position]) -> TermList {
    let mut list = TermList::new();
    positions.iter().for_each(|p| list.advance(*p));
    list
}

#[test]
fn a_list_covers_what_its_terms_reached_and_nothing_else() {
    let list = list(&[at(1, 10, 5), at(2, 20, 9)]);
    assert!(list.covers(at(1, 10, 5)));
    assert!(!list.covers(at(1, 10, 6)), "the term ended at 5");
    assert!(list.covers(at(2, 20, 9)));
    assert!(!list.covers(at(2, 20, 10)));
    assert!(!list.covers(at(2, 21, 1)), "same epoch, another reign");
    assert!(!list.covers(at(0, 1, 1)), "not in the list, however old");
    assert!(list.covers(Position::START));
}

#[test]
fn a_list_forgets_its_oldest_reign_first() {
    let mut long = TermList::new();
    (1..=LIST_MAX as u64 + 1).for_each(|e| long.advance(at(e, u128::from(e), e)));
    assert_eq!(long.reigns().len(), LIST_MAX);
    assert!(!long.covers(at(1, 1, 1)));
    assert!(long.covers(at(2, 2, 2)));
}

#[test]
fn a_claim_speaks_for_lower_positions_of_its_term() {
    let mut claims = Claims::new();
    assert!(claims.add(at(1, 1, 5)));
    assert!(claims.contains(at(1, 1, 4)));
    assert!(!claims.contains(at(1, 1, 6)));
    assert!(claims.add(at(1, 1, 7)), "the open claim grows");
    assert_eq!(claims.claims().len(), 1);
    claims.settle(&[at(1, 1, 7)]);
    assert!(claims.settles(at(1, 1, 6)));
    assert!(claims.add(at(1, 1, 9)), "a settled claim does not grow");
    assert_eq!(claims.claims().len(), 2);
    assert!(!claims.settles(at(1, 1, 9)));
}

#[test]
fn claims_make_room_only_by_forgetting_settled_ones() {
    let mut claims = Claims::new();
    (1..=CLAIMS_MAX as u64).for_each(|e| assert!(claims.add(at(e, 1, 1))));
    assert!(!claims.add(at(100, 1, 1)));
    claims.settle(&[at(3, 1, 1)]);
    assert!(claims.add(at(100, 1, 1)));
    assert!(!claims.contains(at(3, 1, 1)));
    assert_eq!(claims.claims().len(), CLAIMS_MAX);
}

#[test]
fn settling_touches_only_what_was_known() {
    let mut claims = Claims::new();
    claims.add(at(1, 1, 5));
    let known: std::vec::Vec<_> = claims.open().collect();
    claims.add(at(2, 2, 5));
    claims.settle(&known);
    assert_eq!(claims.open().collect::<std::vec::Vec<_>>(), [at(2, 2, 5)]);
}

#[test]
fn each_way_to_take_over() {
    let none = Claims::new();
    let stored = list(&[at(1, 1, 5), at(2, 2, 8)]);
    let held = |p: Position, l: &TermList| take_over(Some((p, l)), Some((&stored, &none)));
    assert_eq!(take_over(None, None), TakeOver::FirstLoad);
    assert_eq!(take_over(None, Some((&stored, &none))), TakeOver::Follow);
    assert_eq!(held(at(2, 2, 7), &list(&[at(2, 2, 7)])), TakeOver::Follow);
    let ahead = list(&[at(1, 1, 5), at(2, 2, 12)]);
    assert_eq!(held(at(2, 2, 12), &ahead), TakeOver::Restore, "the store lost its tail");
    let branch = list(&[at(1, 1, 5), at(2, 3, 7)]);
    assert_eq!(held(at(2, 3, 7), &branch), TakeOver::Reconcile, "two masters");
    assert_eq!(take_over(Some((at(2, 3, 7), &branch)), None), TakeOver::Restore);
    let mut settled = Claims::new();
    settled.add(at(2, 3, 7));
    settled.settle(&[at(2, 3, 7)]);
    let outcome = take_over(Some((at(2, 3, 7), &branch)), Some((&stored, &settled)));
    assert_eq!(outcome, TakeOver::Follow);
}

#[test]
fn a_raise_moves_the_term_only_if_the_store_went_back() {
    let none = Claims::new();
    let list = list(&[at(3, 3, 8)]);
    let raised = |stored, seen, p: Option<Position>| {
        raise(Epoch(stored), Epoch(seen), p, &list, &none).unwrap()
    };
    let nothing = Raised { epoch: None, claim: false };
    assert_eq!(raised(3, 3, Some(at(3, 3, 8))), nothing, "covered");
    assert_eq!(raised(3, 5, None), Raised { epoch: Some(Epoch(6)), claim: false });
    let lost = Raised { epoch: Some(Epoch(4)), claim: true };
    assert_eq!(raised(3, 3, Some(at(3, 4, 8))), lost, "same epoch, another reign");
    let fenced = Raised { epoch: None, claim: true };
    assert_eq!(raised(7, 3, Some(at(3, 4, 8))), fenced, "a higher term is given already");
    assert!(raise(Epoch(3), Epoch(4 + RAISE_MAX), None, &list, &none).is_err());
}

#[test]
fn a_second_raise_of_the_same_position_changes_nothing() {
    let list = list(&[at(3, 3, 8)]);
    let mut claims = Claims::new();
    claims.add(at(3, 4, 9));
    let again = raise(Epoch(4), Epoch(4), Some(at(3, 4, 9)), &list, &claims).unwrap();
    assert_eq!(again, Raised { epoch: None, claim: false });
}

#[test]
fn an_entry_is_applied_only_to_the_state_it_builds_on() {
    let held = (at(2, 2, 8), Fingerprint(7));
    let term = at(2, 2, 9).term;
    assert_eq!(may_apply(held, Epoch(2), term, held), Ok(()));
    assert_eq!(may_apply(held, Epoch(3), term, held), Err(Refusal::OldTerm(Epoch(3))));
    let gap = (at(2, 2, 9), Fingerprint(7));
    assert_eq!(may_apply(held, Epoch(2), term, gap), Err(Refusal::Gap(at(2, 2, 9))));
    let branch = (at(2, 2, 8), Fingerprint(6));
    assert_eq!(may_apply(held, Epoch(2), term, branch), Err(Refusal::Branch(Fingerprint(6))));
}
