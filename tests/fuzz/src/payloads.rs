//! Payloads as a zone store gives them, put into a state that answers lookups.
//!
//! An input is a list: a kind, a choice of key, the length in two bytes, the payload.

use zonesync::state::State;
use zonesync_core::digest::{Digest, DigestKey};
use zonesync_core::entity::{Action, Change, Kind};
use zonesync_core::id::{EntityKey, EntityKeyBuf};
use zonesync_core::time::WallTime;

use crate::seal::{at, entities};

const NAMES: [&str; 4] = ["api", "sub", "key", "words"];

/// Holds payloads, and looks for what they may say.
pub fn run(mut bytes: &[u8]) {
    let mut all = Vec::new();
    while let Some(([kind, choice, low, high], rest)) = bytes.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        let (payload, rest) = rest.split_at(length);
        bytes = rest;
        let Some(kind) = Kind::from_code(*kind) else { continue };
        let name = |shift: u8| NAMES[usize::from(choice >> shift & 3)];
        let subscription = if kind == Kind::API_KEY { name(4) } else { "" };
        let scope = if choice & 64 == 0 { name(0) } else { "" };
        let key = EntityKey { kind, scope, id: name(2), subscription };
        all.push((EntityKeyBuf::from(key), payload.to_vec()));
    }
    serve(&all);
}

/// Holds entities, looks some up, and lets go of them again, one by one.
pub fn serve(entities: &[(EntityKeyBuf, Vec<u8>)]) {
    let (state, mut writer) = State::with_feed(DigestKey::default(), 100);
    let now = WallTime::from_millis(1_700_000_000_000);
    let mut sequence = 0;
    let mut apply = |changes: &mut dyn Iterator<Item = Change<'_>>| {
        sequence += 1;
        writer.apply(at(1, sequence), changes);
    };
    let come = |(key, payload): &'_ (EntityKeyBuf, Vec<u8>)| -> (EntityKeyBuf, Vec<u8>) {
        (key.clone(), payload.clone())
    };
    for (key, payload) in entities.iter().map(come) {
        let hash = DigestKey::default();
        let view = state.view();
        let replaces = view.get(key.as_ref()).map(|old| hash.version(key.as_ref(), old));
        let version = Some(hash.version(key.as_ref(), &payload));
        let action = Action::Deploy { payload: &payload };
        let change = Change { key: key.as_ref(), action, replaces, version };
        apply(&mut [change].into_iter());
    }
    let view = state.view();
    for api in NAMES {
        for text in ["secret", "c", ""] {
            for plan in [None, Some("p")] {
                let _ = view.by_key(api, text, plan, now).map(|found| found.payload().len());
                let _ = view.by_client(api, text, plan, now).map(|found| found.id().len());
            }
        }
        let _ = view.subscription(api).map(|found| found.is_valid(now));
        let _ = view.dictionary_property("", api, "a");
    }
    assert!(view.sorted().is_sorted_by(|a, b| a.0 < b.0), "each once, sorted");
    for (key, payload) in view.sorted() {
        let replaces = Some(DigestKey::default().version(key, payload));
        let change = Change { key, action: Action::Undeploy, replaces, version: None };
        apply(&mut [change].into_iter());
    }
    let view = state.view();
    assert_eq!((view.sorted().count(), view.digest()), (0, &Digest::EMPTY));
    for api in NAMES {
        assert!(view.by_key(api, "secret", None, now).is_none(), "a key outlives its end");
    }
}

/// One payload of each sort.
pub fn seeds() -> Vec<Vec<u8>> {
    let part = |(number, (key, payload)): (usize, (EntityKey<'_>, &[u8]))| {
        let choice = (number as u8) << 2 | 1 << 4;
        let head = [key.kind.code(), choice];
        [&head[..], &(payload.len() as u16).to_le_bytes(), payload].concat()
    };
    let product = br#"{"id":"p","apiIds":["api","b"],"plans":[{"id":"p","status":"PUBLISHED"}]}"#;
    let product = (EntityKey::new(Kind::API_PRODUCT, "p"), &product[..]);
    let all = entities().into_iter().chain([product]).enumerate();
    vec![all.flat_map(part).collect()]
}
