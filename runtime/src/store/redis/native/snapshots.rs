//! Snapshots: chunks that come one by one, the commit that makes them the head's, and the trim that
//! drops what they replace.

use redis::{Value, cmd};
use zonesync_core::id::{Position, Term};

use super::reply::{Parts, bad, written};
use super::seal::Place;
use super::{Inner, head, scripts, text};
use crate::store::redis::connection::Lane;
use crate::store::{Bytes, CommitSnapshot, StoreError, Written};

/// How many chunks are dropped in one step. Freeing them is the server's work in the background.
const SWEEP_MAX: u32 = 1000;

/// How often a set is begun before that is given up. The second time finds the place swept.
const BEGIN_MAX: usize = 5;

impl Inner {
    pub(super) async fn begin_snapshot(
        &self,
        term: Term,
        position: Position,
    ) -> Result<Written, StoreError> {
        let keys = [&*self.keys.term, &self.keys.snapshots];
        let args = [text::term(term), text::position(position)];
        for _ in 0..BEGIN_MAX {
            let answer = self.run(Lane::Data, &scripts::BEGIN_SNAPSHOT, &keys, &args).await?;
            let mut parts = Parts::of(answer)?;
            let again = match parts.text("an answer")?.as_str() {
                "fenced" => return Ok(Written::Fenced),
                "done" => false,
                "again" => true,
                _ => return Err(bad("an answer of another script").into()),
            };
            let swept = self.sweep(term, parts.parts("sets to be swept")?).await?;
            if !again || swept != Written::Done {
                return Ok(swept);
            }
        }
        Err(StoreError::Unavailable(format!("the place of snapshot {position} is not free")))
    }

    pub(super) async fn put_chunk(
        &self,
        term: Term,
        position: Position,
        number: u32,
        bytes: Bytes,
    ) -> Result<Written, StoreError> {
        let mark = text::id(self.seal.mark(&bytes)).into_bytes();
        let stored = self.close(Place::Chunk(position, number), bytes).await?;
        let args = [
            text::term(term).into_bytes(),
            text::position(position).into(),
            number.to_string().into(),
            mark,
            stored,
        ];
        let chunk = self.keys.chunk(position, number);
        let keys = [&*self.keys.term, &self.keys.snapshots, &chunk];
        Ok(written(self.run(Lane::Data, &scripts::PUT_CHUNK, &keys, &args).await?)?.0)
    }

    pub(super) async fn commit_snapshot(
        &self,
        request: CommitSnapshot,
    ) -> Result<Written, StoreError> {
        let CommitSnapshot { term, snapshot, from, update } = request;
        let mut args = vec![
            text::term(term).into_bytes(),
            text::snapshot(&snapshot).into(),
            text::position(snapshot.position).into(),
            snapshot.chunks.to_string().into(),
            from.map(text::position).unwrap_or_default().into(),
        ];
        args.extend(head::update_args(&update, &self.seal)?);
        args.extend([b"key".to_vec(), self.seal.key().into()]);
        let keys = &self.keys;
        let keys = [&*keys.term, &keys.head, &keys.snapshots, &keys.wake, &keys.log];
        Ok(written(self.run(Lane::Data, &scripts::COMMIT_SNAPSHOT, &keys, &args).await?)?.0)
    }

    pub(super) async fn trim(&self, term: Term) -> Result<Written, StoreError> {
        let keys = &self.keys;
        let keys = [&*keys.term, &keys.head, &keys.log, &keys.nodes, &keys.snapshots];
        let args = [text::term(term), self.log_max.to_string()];
        let (written, mut parts) =
            written(self.run(Lane::Data, &scripts::TRIM, &keys, &args).await?)?;
        match written {
            Written::Done => self.sweep(term, parts.parts("sets to be swept")?).await,
            other => Ok(other),
        }
    }

    /// Drops the chunks of sets that are gone: position and count of chunks of each.
    async fn sweep(&self, term: Term, mut gone: Parts) -> Result<Written, StoreError> {
        while !gone.is_empty() {
            let position = text::read_position(&gone.text("the position of a set")?)?;
            let chunks = text::read_number(&gone.text("a count of chunks")?)?;
            let chunks = u32::try_from(chunks).map_err(|_| bad("a count of chunks"))?;
            let mut first = 0;
            loop {
                let end = chunks.min(first + SWEEP_MAX);
                let names: Vec<_> =
                    (first..end).map(|number| self.keys.chunk(position, number)).collect();
                let mut keys = vec![&*self.keys.term, &self.keys.snapshots];
                keys.extend(names.iter().map(String::as_str));
                let last = if end == chunks { "last" } else { "" };
                let args =
                    [text::term(term), text::position(position), first.to_string(), last.into()];
                let answer = self.run(Lane::Data, &scripts::SWEEP, &keys, &args).await?;
                let swept = written(answer)?.0;
                if swept != Written::Done {
                    return Ok(swept);
                }
                if end == chunks {
                    break;
                }
                first = end;
            }
        }
        Ok(Written::Done)
    }

    pub(super) async fn fetch(
        &self,
        position: Position,
        number: u32,
    ) -> Result<Option<Bytes>, StoreError> {
        let mut get = cmd("GET");
        get.arg(self.keys.chunk(position, number));
        match self.server.call(Lane::Data, &get, self.bulk_timeout).await? {
            Value::Nil => Ok(None),
            Value::BulkString(stored) => {
                self.open(Place::Chunk(position, number), stored).await.map(Some)
            }
            _ => Err(bad("a chunk that is no text").into()),
        }
    }
}
