//! Batches and the head that moves with them.

use std::sync::Arc;

use zonesync_core::digest::Fingerprint;
use zonesync_core::format::BatchMeta;
use zonesync_core::id::{NUMBER_MAX, Position, Term};

use super::leases::read_term;
use super::reply::{Bad, Parts, bad, written};
use super::seal::Place;
use super::{Inner, head, scripts, text};
use crate::store::redis::connection::Lane;
use crate::store::{Entry, HeadUpdate, Log, Publish, StoreError, Written};

impl Inner {
    pub(super) async fn publish(&self, request: Publish) -> Result<Written, StoreError> {
        let Publish { term, entry: Entry { meta, bytes }, update } = request;
        let size = bytes.len();
        let record = self.close(Place::Entry(meta.position), bytes).await?;
        let mut args = vec![
            text::term(term).into_bytes(),
            text::position(meta.position).into(),
            text::position(meta.previous).into(),
            text::id(meta.before.0).into(),
            text::id(meta.after.0).into(),
            size.to_string().into(),
            record,
        ];
        args.extend(head::update_args(&update, &self.seal)?);
        let keys = &self.keys;
        let keys = [&*keys.term, &keys.head, &keys.log, &keys.wake];
        let written = written(self.run(Lane::Data, &scripts::PUBLISH, &keys, &args).await?)?.0;
        if written == Written::Done {
            self.await_replicas().await;
        }
        Ok(written)
    }

    pub(super) async fn write_head(
        &self,
        term: Term,
        at: Position,
        update: HeadUpdate,
    ) -> Result<Written, StoreError> {
        let mut args = vec![text::term(term).into_bytes(), text::position(at).into()];
        args.extend(head::update_args(&update, &self.seal)?);
        let keys = [&*self.keys.term, &self.keys.head, &self.keys.wake];
        Ok(written(self.run(Lane::Data, &scripts::WRITE_HEAD, &keys, &args).await?)?.0)
    }

    pub(super) async fn read(&self, after: Position, max_bytes: usize) -> Result<Log, StoreError> {
        let most = (max_bytes as u64).min(NUMBER_MAX);
        let args = [text::position(after), most.to_string()];
        let keys = &self.keys;
        let keys = [&*keys.term, &keys.head, &keys.log];
        let answer = self.run(Lane::Data, &scripts::READ, &keys, &args).await?;
        let mut parts = Parts::of(answer)?;
        let term = read_term(&parts.text("a term")?)?;
        let read = head::read(parts.parts("the head")?, &self.seal)?;
        let (head, key) =
            read.map_or((None, None), |(head, key)| (Some(Arc::new(head)), Some(key)));
        self.ahead.know(head.as_ref().and_then(|head| head.snapshot));
        let mut bytes = text::read_number(&parts.text("the bytes of the log")?)?;
        if key.is_some_and(|key| key != self.seal.key().as_bytes()) {
            // A log this long makes a new primary write a snapshot, under the key of now.
            bytes = NUMBER_MAX;
        }
        let gap = match parts.text("gap or whole")?.as_str() {
            "gap" => true,
            "whole" => false,
            _ => return Err(bad("an answer of another script").into()),
        };
        let (mut stored, mut entries) = (parts.parts("entries")?, Vec::new());
        while !stored.is_empty() {
            let (meta, record) = read_entry(stored.parts("an entry")?)?;
            let bytes = self.open(Place::Entry(meta.position), record).await?;
            entries.push(Entry { meta, bytes });
        }
        Ok(Log { term, head, entries, gap, bytes })
    }
}

/// Reads the id of an entry and its fields, known and unknown.
fn read_entry(mut parts: Parts) -> Result<(BatchMeta, Vec<u8>), Bad> {
    let place = parts.text("the id of an entry")?;
    let mut fields = parts.parts("the fields of an entry")?;
    let (mut id, mut previous, mut record) = (None, None, None);
    let (mut before, mut after) = (None, None);
    while !fields.is_empty() {
        let field = fields.bytes("a field of an entry")?;
        match field.as_slice() {
            b"id" => id = Some(fields.text("the term id of an entry")?),
            b"previous" => previous = Some(text::read_position(&fields.text("a position")?)?),
            b"before" => before = Some(text::read_id(&fields.text("a fingerprint")?)?),
            b"after" => after = Some(text::read_id(&fields.text("a fingerprint")?)?),
            b"record" => record = Some(fields.bytes("the record of an entry")?),
            _ => drop(fields.next("a value of an entry")?),
        }
    }
    let missing = || bad("an entry that lacks a field");
    let position = text::read_position(&format!("{place}-{}", id.ok_or_else(missing)?))?;
    let meta = BatchMeta {
        position,
        previous: previous.ok_or_else(missing)?,
        before: Fingerprint(before.ok_or_else(missing)?),
        after: Fingerprint(after.ok_or_else(missing)?),
    };
    Ok((meta, record.ok_or_else(missing)?))
}
