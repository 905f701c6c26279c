//! Positions, terms, lists, claims and snapshots as text that scripts can change.
//!
//! A position is `<epoch>-<sequence>-<term id>`, a term `<epoch>-<term id>`: decimal numbers below
//! 2^53 without leading zeros, and 32 lower-case hexadecimal digits. Each has one text only, so
//! equal texts are equal things.

use zonesync_core::format::Snapshot;
use zonesync_core::history::{CLAIMS_MAX, Claim, ClaimState, Claims, LIST_MAX, Reign, TermList};
use zonesync_core::id::{Epoch, NUMBER_MAX, Position, Sequence, Term, TermId};

use super::reply::{Bad, bad};

/// Writes 128 bits.
pub(super) fn id(bits: u128) -> String {
    format!("{bits:032x}")
}

/// Reads 128 bits.
pub(super) fn read_id(text: &str) -> Result<u128, Bad> {
    let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if text.len() != 32 || !text.bytes().all(is_digit) {
        return Err(bad("128 bits"));
    }
    u128::from_str_radix(text, 16).map_err(|_| bad("128 bits"))
}

/// Reads a number of at most [`NUMBER_MAX`].
pub(super) fn read_number(text: &str) -> Result<u64, Bad> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let number = text.parse().ok().filter(|number| plain && *number <= NUMBER_MAX);
    number.ok_or_else(|| bad("a number"))
}

pub(super) fn term(term: Term) -> String {
    format!("{}-{}", term.epoch.0, id(term.id.0))
}

pub(super) fn read_term(text: &str) -> Result<Term, Bad> {
    let (epoch, term_id) = text.split_once('-').ok_or_else(|| bad("a term"))?;
    Ok(Term { epoch: Epoch(read_number(epoch)?), id: TermId(read_id(term_id)?) })
}

pub(super) fn position(position: Position) -> String {
    format!("{}-{}-{}", position.term.epoch.0, position.sequence.0, id(position.term.id.0))
}

pub(super) fn read_position(text: &str) -> Result<Position, Bad> {
    let mut parts = text.splitn(3, '-');
    let mut part = || parts.next().ok_or_else(|| bad("a position"));
    let (epoch, sequence) = (Epoch(read_number(part()?)?), Sequence(read_number(part()?)?));
    Ok(Position { term: Term { epoch, id: TermId(read_id(part()?)?) }, sequence })
}

/// Writes positions with a space between them.
pub(super) fn positions(all: impl IntoIterator<Item = Position>) -> String {
    all.into_iter().map(position).collect::<Vec<_>>().join(" ")
}

pub(super) fn list(list: &TermList) -> String {
    positions(list.reigns().iter().map(|r| Position { term: r.term, sequence: r.last }))
}

pub(super) fn read_list(text: &str) -> Result<TermList, Bad> {
    let reign = |text| {
        let Position { term, sequence } = read_position(text)?;
        Ok(Reign { term, last: sequence })
    };
    let words = bounded(text, LIST_MAX, "a list of terms")?;
    let reigns = words.into_iter().map(reign).collect::<Result<Vec<_>, _>>()?;
    Ok(TermList::from_reigns(&reigns))
}

pub(super) fn read_claims(text: &str) -> Result<Claims, Bad> {
    let claim = |text: &str| {
        let (state, text) = match (text.strip_prefix('o'), text.strip_prefix('s')) {
            (Some(text), _) => (ClaimState::Open, text),
            (_, Some(text)) => (ClaimState::Settled, text),
            _ => return Err(bad("a claim")),
        };
        Ok(Claim { position: read_position(text)?, state })
    };
    let words = bounded(text, CLAIMS_MAX, "a list of claims")?;
    let claims = words.into_iter().map(claim).collect::<Result<Vec<_>, _>>()?;
    Ok(Claims::from_claims(&claims))
}

/// Writes `<position> <chunks> <bytes> <hash>`.
pub(super) fn snapshot(snapshot: &Snapshot) -> String {
    let Snapshot { position: at, chunks, bytes, hash } = snapshot;
    format!("{} {chunks} {bytes} {}", position(*at), id(*hash))
}

pub(super) fn read_snapshot(text: &str) -> Result<Snapshot, Bad> {
    let mut words = text.split(' ');
    let mut word = || words.next().ok_or_else(|| bad("a snapshot"));
    let position = read_position(word()?)?;
    let chunks = read_number(word()?)?.try_into().map_err(|_| bad("a count of chunks"))?;
    let (bytes, hash) = (read_number(word()?)?, read_id(word()?)?);
    Ok(Snapshot { position, chunks, bytes, hash })
}

/// Splits a text into at most `max` words.
fn bounded<'a>(text: &'a str, max: usize, what: &'static str) -> Result<Vec<&'a str>, Bad> {
    let words: Vec<_> = text.split_ascii_whitespace().take(max + 1).collect();
    if words.len() > max { Err(bad(what)) } else { Ok(words) }
}
