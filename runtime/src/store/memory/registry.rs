//! The zones of this process by name, none kept alive by being listed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use zonesync_core::id::ZoneName;

use super::Shared;

static ZONES: Mutex<BTreeMap<ZoneName, Weak<Shared>>> = Mutex::new(BTreeMap::new());

/// Gives the zone called `name`, made by `make` if nobody holds it. Forgets zones that are gone.
pub(super) fn find_or_make(name: &ZoneName, make: impl FnOnce() -> Shared) -> Arc<Shared> {
    let mut zones = ZONES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(zone) = zones.get(name).and_then(Weak::upgrade) {
        return zone;
    }
    zones.retain(|_, zone| zone.strong_count() > 0);
    let zone = Arc::new(make());
    zones.insert(name.clone(), Arc::downgrade(&zone));
    zone
}
