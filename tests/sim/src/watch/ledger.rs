//! What the servers were asked and made of it: for what a scenario expects.

use std::collections::VecDeque;

use zonesync_core::id::{Position, Term};

use super::{Call, Executed, Outcome};
use crate::executor::{HostId, Time};

/// How many deeds are remembered.
const DEEDS: usize = 20_000;

/// The newest deeds, oldest first.
#[derive(Debug, Default)]
pub struct Ledger(VecDeque<Deed>);

/// One request that a server carried out or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deed {
    /// When.
    pub at: Time,
    /// Whose.
    pub host: HostId,
    /// At which server.
    pub server: usize,
    /// What it was.
    pub what: Deeds,
    /// Carried out, and not refused.
    pub done: bool,
}

/// Requests, as far as somebody asks for them later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deeds {
    /// The lease was given.
    Reign(Term),
    /// A batch.
    Publish(Position),
    /// The beginning of a snapshot.
    Begin,
    /// A chunk of it.
    Chunk,
    /// Its end; true if it fills the store.
    Commit(bool),
    /// A change of the head alone.
    WriteHead,
    /// A read of a chunk.
    ReadChunk,
}

impl Ledger {
    /// Takes in a request.
    pub fn note(&mut self, done: &Executed<'_>) {
        let what = match (done.call, done.outcome) {
            (Call::Acquire { .. }, Outcome::Granted(term)) => Deeds::Reign(term),
            (Call::Publish { meta, .. }, _) => Deeds::Publish(meta.position),
            (Call::Begin(..), _) => Deeds::Begin,
            (Call::Chunk { .. }, _) => Deeds::Chunk,
            (Call::Commit { moves, .. }, _) => Deeds::Commit(*moves),
            (Call::WriteHead(_), _) => Deeds::WriteHead,
            (Call::ReadChunk, _) => Deeds::ReadChunk,
            _ => return,
        };
        if done.outcome == Outcome::Failed {
            return;
        }
        if self.0.len() == DEEDS {
            self.0.pop_front();
        }
        let (at, host, server) = (done.at, done.host, done.server);
        self.0.push_back(Deed { at, host, server, what, done: done.outcome != Outcome::Refused });
    }

    /// Gives the deeds, newest first.
    pub fn newest(&self) -> impl Iterator<Item = &Deed> {
        self.0.iter().rev()
    }
}
