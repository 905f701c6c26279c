//! Checksums, made apart from the code that checks them, and samples that have them.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};
use zonesync_core::digest::{Digest, DigestKey};
use zonesync_core::entity::{Action, Change, Kind};
use zonesync_core::format::batch::BatchWriter;
use zonesync_core::format::chunk::{ChunkWriter, SnapshotHash};
use zonesync_core::format::{Batch, BatchMeta, Filter, Head, Snapshot, Source};
use zonesync_core::history::{Claim, ClaimState, Claims, TermList};
use zonesync_core::id::{EntityKey, Epoch, Position, Sequence, Term, TermId};
use zonesync_core::removal::{GuardData, HeldSet};
use zonesync_core::time::WallTime;

/// The length of a record's checksum.
pub const SUM_LEN: usize = 8;

/// Gives the low half of a SipHash-1-3-128.
pub fn sum(key: u128, parts: &[&[u8]]) -> u64 {
    let mut hash = SipHasher13::new_with_key(&key.to_le_bytes());
    parts.iter().for_each(|part| hash.write(part));
    hash.finish128().h1
}

/// Puts the checksum of a record behind it.
pub fn sealed(record: &[u8]) -> Vec<u8> {
    let mut sealed = record.to_vec();
    sealed.extend_from_slice(&sum(0, &[record]).to_le_bytes());
    sealed
}

/// Takes the checksum of a record away.
pub fn unsealed(record: &[u8]) -> &[u8] {
    &record[..record.len() - SUM_LEN]
}

/// A position in one of some terms.
pub fn at(epoch: u64, sequence: u64) -> Position {
    let term = Term { epoch: Epoch(epoch), id: TermId(u128::from(epoch) << 64 | 7) };
    Position { term, sequence: Sequence(sequence) }
}

/// Some entities of several kinds.
pub fn entities() -> Vec<(EntityKey<'static>, &'static [u8])> {
    vec![
        (EntityKey::new(Kind::API, "api"), br#"{"id":"api","definition":{"name":"n"}}"#),
        (
            EntityKey::subscription("api", "sub"),
            br#"{"id":"sub","api":"api","plan":"p","status":"ACCEPTED","clientId":"c"}"#,
        ),
        (
            EntityKey { kind: Kind::API_KEY, scope: "api", id: "key", subscription: "sub" },
            br#"{"id":"key","key":"secret","api":"api","plan":"p","subscription":"sub","active":true}"#,
        ),
        (EntityKey::new(Kind::DICTIONARY, "words"), br#"{"id":"words","properties":{"a":"b"}}"#),
    ]
}

/// The digest of [`entities`].
pub fn digest() -> Digest {
    let mut digest = Digest::EMPTY;
    for (key, payload) in entities() {
        digest.add(key.kind, DigestKey::default().version(key, payload));
    }
    digest
}

/// A chunk with [`entities`].
pub fn chunk(position: Position) -> Vec<u8> {
    let mut writer = ChunkWriter::new(position, 0);
    for (key, payload) in entities() {
        let _ = writer.push(key, payload).expect("it is small");
    }
    writer.finish()
}

/// A head at a position, whose snapshot is that chunk.
pub fn head(position: Position) -> Head {
    let chunk = chunk(position);
    let mut hash = SnapshotHash::new();
    hash.add(&chunk);
    let (mut list, mut source) = (TermList::new(), Source::default());
    [at(1, 3), at(2, 9), position].into_iter().for_each(|position| list.advance(position));
    source.advance(Kind::API, WallTime::from_millis(1_700_000_000_000));
    let open = Claim { position: at(2, 12), state: ClaimState::Open };
    let (mut guard, mut held) = (GuardData::default(), HeldSet::new());
    guard.observe(WallTime::from_millis(1_700_000_000_000), &digest());
    let _ = held.add(EntityKey::new(Kind::API, "gone"), zonesync_core::removal::Evidence::Absent);
    guard.hold(Kind::API, held.count(), held.token());
    let bytes = chunk.len() as u64;
    Head {
        incarnation: 9,
        format: 1,
        list,
        claims: Claims::from_claims(&[open]),
        snapshot: Some(Snapshot { position, chunks: 1, bytes, hash: hash.finish() }),
        digest: digest(),
        source,
        filter: Filter(5),
        guard,
    }
}

/// A batch after `previous` that takes the first of [`entities`] away and brings another.
pub fn batch(previous: Position) -> Vec<u8> {
    let (old, payload) = entities()[0];
    let (new, hash) = (EntityKey::new(Kind::API, "other"), DigestKey::default());
    let mut after = digest();
    let replaces = Some(hash.version(old, payload));
    let version = Some(hash.version(new, payload));
    after.change(Kind::API, replaces, version);
    let mut writer = BatchWriter::new();
    let (gone, come) = (Action::Undeploy, Action::Deploy { payload });
    let changes = [
        Change { key: old, action: gone, replaces, version: None },
        Change { key: new, action: come, replaces: None, version },
    ];
    for change in &changes {
        let _ = writer.push(change).expect("it is small");
    }
    let sequence = previous.sequence.next().expect("it is small");
    let position = Position { sequence, ..previous };
    let (before, after) = (digest().fingerprint(), after.fingerprint());
    let mut list = TermList::new();
    list.advance(position);
    writer.finish(BatchMeta { position, previous, before, after }, Some(&list))
}

/// Writes a batch anew from what was read of it.
pub fn again(batch: &Batch<'_>) -> Vec<u8> {
    with_meta(batch, *batch.meta())
}

/// Writes a batch anew that says something else of itself.
pub fn with_meta(batch: &Batch<'_>, meta: BatchMeta) -> Vec<u8> {
    let mut writer = BatchWriter::new();
    for change in batch.changes() {
        let _ = writer.push(&change);
    }
    writer.finish(meta, batch.list())
}
