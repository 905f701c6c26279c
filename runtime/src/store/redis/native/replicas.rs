//! Waiting for replicas, where that is asked for. It narrows what a fail-over can lose, and is no
//! fence: a batch counts as published whatever comes of it.

use std::sync::atomic::{AtomicBool, Ordering};

use redis::{Value, cmd};

use super::Inner;
use crate::store::redis::Wait;
use crate::store::redis::connection::Lane;

/// How many replicas are to have what is published, and whether they had the last of it.
#[derive(Debug)]
pub(super) struct Replicas {
    wait: Option<Wait>,
    missing: AtomicBool,
}

impl Replicas {
    pub(super) fn new(wait: Option<Wait>) -> Self {
        Self { wait, missing: AtomicBool::new(false) }
    }

    /// Says whether too few had the last of it.
    pub(super) fn are_missing(&self) -> bool {
        self.missing.load(Ordering::Relaxed)
    }
}

impl Inner {
    /// Waits until enough replicas have what the data lane wrote, or the time for that is over.
    pub(super) async fn await_replicas(&self) {
        let Some(Wait { replicas, timeout }) = self.replicas.wait else { return };
        let mut wait = cmd("WAIT");
        wait.arg(replicas).arg(timeout.as_millis().max(1) as u64);
        let answer = self.server.call(Lane::Data, &wait, timeout + self.command_timeout).await;
        let have = match answer {
            Ok(Value::Int(have)) => have,
            _ => 0,
        };
        let missing = have < i64::from(replicas);
        if missing != self.replicas.missing.swap(missing, Ordering::Relaxed) {
            if missing {
                tracing::warn!(have, want = replicas, "publish: too few replicas have it");
            } else {
                tracing::info!(have, "publish: enough replicas have it again");
            }
        }
    }
}
