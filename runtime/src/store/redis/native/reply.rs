//! Answers of scripts, taken apart with every step checked.

use redis::Value;

use crate::store::{StoreError, Written};

/// Says what a store holds, or answers, that nobody writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bad(String);

/// Says that `what` is not what we write.
pub(super) fn bad(what: impl Into<String>) -> Bad {
    Bad(what.into())
}

impl Bad {
    pub(super) fn why(&self) -> &str {
        &self.0
    }
}

impl From<Bad> for StoreError {
    fn from(bad: Bad) -> Self {
        Self::Corrupt(bad.0)
    }
}

/// The parts of an answer that is a list, front to back.
#[derive(Debug)]
pub(super) struct Parts(std::vec::IntoIter<Value>);

impl Parts {
    pub(super) fn of(value: Value) -> Result<Self, Bad> {
        match value {
            Value::Array(parts) => Ok(Self(parts.into_iter())),
            Value::Nil => Ok(Self(Vec::new().into_iter())),
            _ => Err(bad("an answer that is no list")),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn next(&mut self, what: &'static str) -> Result<Value, Bad> {
        self.0.next().ok_or_else(|| bad(what))
    }

    pub(super) fn parts(&mut self, what: &'static str) -> Result<Self, Bad> {
        Self::of(self.next(what)?)
    }

    pub(super) fn bytes(&mut self, what: &'static str) -> Result<Vec<u8>, Bad> {
        match self.next(what)? {
            Value::BulkString(bytes) => Ok(bytes),
            Value::SimpleString(text) => Ok(text.into_bytes()),
            _ => Err(bad(what)),
        }
    }

    pub(super) fn text(&mut self, what: &'static str) -> Result<String, Bad> {
        String::from_utf8(self.bytes(what)?).map_err(|_| bad(what))
    }
}

/// Reads the answer of a write: what came of it, and what follows.
pub(super) fn written(value: Value) -> Result<(Written, Parts), StoreError> {
    let mut parts = Parts::of(value)?;
    let written = match parts.text("an answer")?.as_str() {
        "done" => Written::Done,
        "fenced" => Written::Fenced,
        "behind" => Written::Behind,
        "ahead" => Written::Ahead,
        "denied" => return Err(StoreError::Denied(parts.text("a reason")?)),
        _ => return Err(bad("an answer of another script").into()),
    };
    Ok((written, parts))
}
