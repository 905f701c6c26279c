//! An entity with its bytes, as it travels between the parts of a node.

use std::sync::Arc;

use zonesync_core::id::{EntityKey, EntityKeyBuf};

/// One item of state: its key and its payload, byte for byte as published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity {
    /// What tells it from others.
    pub key: EntityKeyBuf,
    /// Its content, carried unchanged.
    pub payload: Arc<[u8]>,
}

impl Entity {
    /// Makes an entity from a key and a payload.
    pub fn new(key: EntityKey<'_>, payload: impl Into<Arc<[u8]>>) -> Self {
        Self { key: key.into(), payload: payload.into() }
    }
}
