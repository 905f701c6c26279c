//! Images cut, flipped, foreign and made up; and the task that writes them, on a disk in memory that
//! crashes.

mod bytes;
mod memory;
mod writing;

use zonesync_core::digest::{Digest, DigestKey};
use zonesync_core::entity::{Action, Change, Kind};
use zonesync_core::format::batch::BatchWriter;
use zonesync_core::format::chunk::{ChunkWriter, SnapshotHash};
use zonesync_core::format::{BatchMeta, Filter, FormatRange, Head, Snapshot, Source};
use zonesync_core::history::{Claims, TermList};
use zonesync_core::id::{EntityKey, Epoch, Position, Sequence, Term, TermId};
use zonesync_core::removal::GuardData;
use zonesync_core::time::WallTime;

use super::encode::Encoder;
use super::format::Identity;

pub(super) fn own() -> Identity {
    let digest_key = DigestKey([3; 16]);
    Identity {
        zone: "harbour".parse().unwrap(),
        digest_key,
        filter: Filter(9),
        formats: FormatRange::KNOWN,
    }
}

pub(super) fn at(sequence: u64) -> Position {
    let term = Term { epoch: Epoch(7), id: TermId(70) };
    Position { term, sequence: Sequence(sequence) }
}

/// A head of the empty state at [`at`] one.
pub(super) fn head() -> Head {
    let mut list = TermList::new();
    list.advance(at(1));
    Head {
        incarnation: 5,
        format: 1,
        list,
        claims: Claims::new(),
        snapshot: None,
        digest: Digest::EMPTY,
        source: Source::default(),
        filter: Filter(9),
        guard: GuardData::new(),
    }
}

fn key(id: &str) -> EntityKey<'_> {
    EntityKey::new(Kind::API, id)
}

/// Puts a small image together: three APIs, then a batch that takes one away, then a mark.
struct Maker {
    bytes: Vec<u8>,
    encoder: Encoder,
    head: Head,
}

impl Maker {
    fn snapshot(own: &Identity) -> Self {
        let (mut encoder, mut bytes) = Encoder::begin(own, 77);
        let mut head = head();
        let mut chunk = ChunkWriter::new(at(1), 0);
        for id in ["a", "b", "c"] {
            let _ = chunk.push(key(id), id.as_bytes()).unwrap();
            head.digest.add(Kind::API, own.digest_key.version(key(id), id.as_bytes()));
        }
        let record = chunk.finish();
        let mut hash = SnapshotHash::new();
        hash.add(&record);
        bytes.extend(encoder.chunk(&record));
        let size = record.len() as u64;
        let snapshot = Snapshot { position: at(1), chunks: 1, bytes: size, hash: hash.finish() };
        let sealed = Head { snapshot: Some(snapshot), ..head.clone() };
        bytes.extend(encoder.sealed(WallTime::from_millis(1000), &sealed));
        Self { bytes, encoder, head }
    }

    fn whole(own: &Identity) -> Self {
        let mut maker = Self::snapshot(own);
        maker.undeploy(own, "b", 2);
        maker.mark(3);
        maker
    }

    fn batch(&mut self, own: &Identity, id: &str, sequence: u64) -> Vec<u8> {
        let (before, previous) = (self.head.digest.fingerprint(), self.head.position());
        let version = own.digest_key.version(key(id), id.as_bytes());
        let mut writer = BatchWriter::new();
        let change = Change {
            key: key(id),
            action: Action::Undeploy,
            replaces: Some(version),
            version: None,
        };
        let _ = writer.push(&change).unwrap();
        self.head.digest.remove(Kind::API, version);
        self.head.list.advance(at(sequence));
        let after = self.head.digest.fingerprint();
        writer.finish(BatchMeta { position: at(sequence), previous, before, after }, None)
    }

    fn undeploy(&mut self, own: &Identity, id: &str, sequence: u64) {
        let record = self.batch(own, id, sequence);
        self.journal(&[&record]);
    }

    fn mark(&mut self, sequence: u64) {
        self.head.list.advance(at(sequence));
        let record = self.head.encode();
        self.journal(&[&record]);
    }

    fn journal(&mut self, records: &[&[u8]]) {
        let time = WallTime::from_millis(2000 + self.bytes.len() as i64);
        self.bytes.extend(self.encoder.journal(time, records.iter().copied()));
    }
}
