//! The head as a hash: what scripts change stands in text, the rest in records.
//!
//! The fields `digest`, `source` and `guard` each hold a head record of which only that part counts.
//! So each has a checksum of its own and grows as the record does.

use zonesync_core::digest::Digest;
use zonesync_core::format::{Filter, FormatRange, Head, Source};
use zonesync_core::history::{Claims, TermList};
use zonesync_core::removal::GuardData;

use super::reply::{Bad, Parts, bad};
use super::seal::{Place, Seal};
use super::text;
use crate::store::{HeadUpdate, StoreError};

/// What the parts of a head are written in, so that every version reads them; and the format of a head
/// that nobody has named one for.
const OLDEST: u16 = FormatRange::KNOWN.oldest;

/// What moves in the head with a write, as arguments of a script: see `lib_head.lua`.
pub(super) fn update_args(update: &HeadUpdate, seal: &Seal) -> Result<Vec<Vec<u8>>, StoreError> {
    let list = update.list.as_ref().map(text::list).unwrap_or_default();
    let mut args: Vec<Vec<u8>> = vec![
        list.into(),
        text::positions(update.settled.iter().copied()).into(),
        text::id(update.incarnation).into(),
        update.format.unwrap_or(OLDEST).to_string().into(),
    ];
    let mut put = |field: &'static str, value: Vec<u8>| {
        args.push(field.into());
        args.push(value);
    };
    if let Some(format) = update.format {
        put("format", format.to_string().into());
    }
    if let Some(filter) = update.filter {
        put("filter", text::id(filter.0).into());
    }
    let mut part = |field: &'static str, change: &dyn Fn(&mut Head)| {
        let mut head = blank();
        change(&mut head);
        put(field, seal.close(Place::Head(field), &head.encode())?);
        Ok::<_, StoreError>(())
    };
    if let Some(digest) = &update.digest {
        part("digest", &|head| head.digest = digest.clone())?;
    }
    if let Some(source) = update.source {
        part("source", &|head| head.source = source)?;
    }
    if let Some(guard) = &update.guard {
        part("guard", &|head| head.guard = guard.clone())?;
    }
    Ok(args)
}

/// Reads the fields of the hash. None if it holds no head, but perhaps claims that wait for one. Gives
/// with it the id of the key that its snapshot is encrypted with.
pub(super) fn read(mut fields: Parts, seal: &Seal) -> Result<Option<(Head, Vec<u8>)>, StoreError> {
    let (mut head, mut at, mut incarnation) = (blank(), None, None);
    let mut key = None;
    while !fields.is_empty() {
        let (field, value) = (fields.bytes("a field of the head")?, fields.bytes("the head")?);
        match field.as_slice() {
            b"at" => at = Some(text::read_position(utf8(&value)?)?),
            b"incarnation" => incarnation = Some(text::read_id(utf8(&value)?)?),
            b"format" => match read_format(utf8(&value)?)? {
                newer if newer > FormatRange::KNOWN.newest => {
                    return Err(StoreError::Format(newer));
                }
                format => head.format = format,
            },
            b"list" => head.list = text::read_list(utf8(&value)?)?,
            b"claims" => head.claims = text::read_claims(utf8(&value)?)?,
            b"snapshot" => head.snapshot = Some(text::read_snapshot(utf8(&value)?)?),
            b"key" => key = Some(value),
            b"filter" => head.filter = Filter(text::read_id(utf8(&value)?)?),
            b"digest" => head.digest = part(&value, seal, "digest")?.digest,
            b"source" => head.source = part(&value, seal, "source")?.source,
            b"guard" => head.guard = part(&value, seal, "guard")?.guard,
            // What only scripts read, and what a later version may add.
            _ => {}
        }
    }
    let Some(at) = at else { return Ok(None) };
    if head.list.position() != at {
        return Err(bad("a list of terms that ends elsewhere than the head").into());
    }
    head.incarnation = incarnation.ok_or_else(|| bad("a head without incarnation"))?;
    // Until there is a snapshot, no key is wrong.
    let key = head.snapshot.and(key).unwrap_or_else(|| seal.key().into());
    Ok(Some((head, key)))
}

fn part(value: &[u8], seal: &Seal, field: &'static str) -> Result<Head, StoreError> {
    let record = seal.open(Place::Head(field), value)?;
    Head::decode(&record).map_err(|error| bad(format!("{field} of the head: {error}")).into())
}

fn read_format(text: &str) -> Result<u16, Bad> {
    text::read_number(text)?.try_into().map_err(|_| bad("a format number"))
}

fn utf8(bytes: &[u8]) -> Result<&str, Bad> {
    std::str::from_utf8(bytes).map_err(|_| bad("text of the head"))
}

fn blank() -> Head {
    Head {
        incarnation: 0,
        format: OLDEST,
        list: TermList::new(),
        claims: Claims::new(),
        snapshot: None,
        digest: Digest::EMPTY,
        source: Source::default(),
        filter: Filter::default(),
        guard: GuardData::new(),
    }
}
