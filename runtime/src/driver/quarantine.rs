//! Rows that cannot be used, as the last reads showed them.

use std::collections::BTreeMap;

use zonesync_core::entity::{Kind, PAYLOAD_MAX};
use zonesync_core::id::{EntityKeyBuf, ID_MAX};

use crate::repository::{Quarantined, Reading};
use crate::status::{QuarantinedItem, Status};

/// What is in quarantine, by place and entity: why.
#[derive(Debug, Default)]
pub(super) struct Quarantine(BTreeMap<(String, Option<EntityKeyBuf>), String>);

impl Quarantine {
    /// Takes in what a reading says. One of changes alone speaks only of what it shows.
    pub(super) fn see(&mut self, reading: &Reading) {
        if reading.full {
            self.0.clear();
        } else {
            let shown = |key: &EntityKeyBuf| {
                reading.entities.binary_search_by(|entity| entity.key.cmp(key)).is_ok()
                    || reading.off.binary_search(key).is_ok()
            };
            self.0.retain(|(_, key), _| !key.as_ref().is_some_and(shown));
        }
        for row in &reading.quarantined {
            self.0.insert((row.place.clone(), row.key.clone()), row.reason.clone());
        }
    }

    /// Forgets all: the node reads no rows any more.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Gives the first ones, and how many there are.
    pub(super) fn listed(&self) -> (Vec<QuarantinedItem>, u64) {
        let items = self.0.iter().take(Status::QUARANTINE_MAX).map(|((place, _), reason)| {
            QuarantinedItem { place: place.clone(), reason: reason.clone() }
        });
        (items.collect(), self.0.len() as u64)
    }
}

/// Moves what no record can hold into the reading's quarantine: its last good version stays.
pub(super) fn set_aside(reading: &mut Reading) {
    let quarantined = &mut reading.quarantined;
    reading.entities.retain(|entity| {
        let key = entity.key.as_ref();
        let long = [key.scope, key.id, key.subscription].iter().any(|part| part.len() > ID_MAX);
        let reason = if long {
            format!("a part of its key has more than {ID_MAX} bytes; shorten it")
        } else if entity.payload.len() > PAYLOAD_MAX {
            format!("it takes more than {PAYLOAD_MAX} bytes; make it smaller")
        } else {
            return true;
        };
        let cut = |part: &str| part.chars().take(64).collect::<String>();
        quarantined.push(Quarantined {
            key: Some(entity.key.clone()),
            kind: Some(key.kind),
            place: match key.kind {
                // The id of an old key is the key itself, so its subscription names it.
                Kind::API_KEY => format!("{} of {}", key.kind, cut(key.subscription)),
                kind => format!("{kind} {}", cut(key.id)),
            },
            reason,
        });
        false
    });
}
