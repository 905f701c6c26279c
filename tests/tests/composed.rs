//! One whole zone, as a real gateway reads it: rows in, entities out.
//!
//! Compared are states: what is closed, paused, revoked, ended or inactive is left out on both
//! sides, and so are members that only a stock gateway writes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use zonesync::repository::directory::{Directory, DirectoryOptions};
use zonesync::repository::mapping::{MappingOptions, Tags};
use zonesync::repository::{ManagementRepository, Read, Reading};
use zonesync::runtime::{Runtime, Task};
use zonesync_core::time::WallTime;
use zonesync_tests::Folder;

#[derive(Debug)]
struct FixedClock(WallTime);

impl Runtime for FixedClock {
    fn spawn(&self, _: Task) {}

    fn wall_now(&self) -> WallTime {
        self.0
    }
}

/// Kind, scope, id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key(String, String, String);

/// A state by key, payloads as JSON.
type State = BTreeMap<Key, Value>;

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().into()
}

/// Plays expected events over a state; an API that goes takes its children with it.
fn play(state: &mut State, file: &Value, now: i64) {
    let groups = file["expected"].as_array().unwrap();
    for event in groups.iter().filter_map(|group| group["events"].as_array()).flatten() {
        let (kind, id) = (text(event, "type"), text(event, "id"));
        let key = Key(kind.clone(), text(event, "refId"), fixed(&kind, &id));
        if event["syncAction"] == "DEPLOY" && is_live(&event["payload"], &kind, now) {
            state.insert(key, event["payload"].clone());
        } else if !kind.is_empty() {
            state.remove(&key);
            if kind == "API" {
                state.retain(|Key(_, scope, _), _| *scope != id);
            }
        }
    }
}

/// The id of node metadata is anyone's choice.
fn fixed(kind: &str, id: &str) -> String {
    if kind == "NODE_METADATA" { String::new() } else { id.into() }
}

fn is_live(payload: &Value, kind: &str, now: i64) -> bool {
    let later = |name: &str| payload[name].as_i64().is_none_or(|at| at >= now);
    match kind {
        "SUBSCRIPTION" => payload["status"] == "ACCEPTED" && later("endingAt"),
        "API_KEY" => payload["active"] == true && later("expireAt"),
        _ => true,
    }
}

fn state_of(reading: &Reading) -> State {
    let entities = reading.entities.iter().map(|entity| {
        let key = entity.key.as_ref();
        let kind = key.kind.to_string();
        let text = std::str::from_utf8(&entity.payload).unwrap();
        // A licence is text as it is.
        let payload = serde_json::from_str(text).unwrap_or(Value::from(text));
        let id = fixed(&kind, key.id);
        (Key(kind, key.scope.into(), id), payload)
    });
    entities.collect()
}

fn compare(found: &State, expected: &State) {
    let keys = |state: &State| state.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(found), keys(expected));
    for (key, wanted) in expected {
        let Some(members) = wanted.as_object() else {
            assert_eq!(&found[key], wanted, "{key:?}");
            continue;
        };
        // Extra members are fine; what is asked for must be there, to the letter.
        for (name, value) in members.iter().filter(|(name, _)| *name != "definitionContext") {
            assert_eq!(found[key].get(name), Some(value), "{key:?} {name}");
        }
    }
}

/// Checks that rows which must give nothing gave nothing, but for those that were there before.
fn nothing(file: &Value, state: &State, before: &[&str]) {
    for entry in file["nothing"].as_array().unwrap() {
        let (id, scope) = match entry[0].as_str().unwrap() {
            "platform licence" => ("platform", ""),
            "key-shared for sub-v2-old-row" => ("key-shared", "api-v2"),
            id => (id, ""),
        };
        let is_it = |Key(_, s, i): &&Key| i == id && (scope.is_empty() || s == scope);
        assert!(before.contains(&id) || state.keys().find(is_it).is_none(), "{entry}");
    }
}

fn read(repository: &Directory) -> Reading {
    let reading = futures_lite::future::block_on(repository.read(Read::Full)).unwrap();
    assert!(reading.full && !reading.incomplete);
    reading
}

fn list(value: &Value) -> Vec<String> {
    value.as_str().unwrap().split(',').map(str::to_owned).collect()
}

#[test]
fn a_whole_zone_reads_as_a_real_gateway_reads_it() {
    let Some(source) = zonesync_tests::fixtures("gravitee/composed") else { return };
    let settings = json(&source.join("1-settings.json"));
    let (now, given) = (settings["now"].as_i64().unwrap(), &settings["settings"]);
    let mapping = MappingOptions {
        tags: Tags::parse(given["tags"].as_str().unwrap()),
        organizations: list(&given["organizations"]),
        environments: list(&given["environments"]),
        decrypt: true,
        secret: text(given, "api.properties.encryption.secret"),
        ..MappingOptions::default()
    };
    let folder = Folder::new("composed");
    let mut rows = json(&source.join("2-state.json"));
    folder.write("state.json", &rows.to_string());
    let clock = Arc::new(FixedClock(WallTime::from_millis(now)));
    let options = DirectoryOptions::new(folder.path(), mapping);
    let repository = Directory::open(options, clock).unwrap();

    let first = read(&repository);
    let initial = json(&source.join("3-expected-initial.json"));
    let mut expected = State::new();
    play(&mut expected, &initial, now);
    compare(&state_of(&first), &expected);
    nothing(&initial, &state_of(&first), &[]);
    // The one row that no gateway can map, and nothing else.
    let told: Vec<String> = first.quarantined.iter().map(ToString::to_string).collect();
    assert!(told.len() == 1 && told[0].contains("definition version 1.0.0"), "{told:?}");
    let off: Vec<String> = first.off.iter().map(ToString::to_string).collect();
    let evidenced = [
        "ACCESS_POINT ap-deleted",
        "API api-stopped",
        "API api-deleted",
        "API api-no-plan-left",
        "SUBSCRIPTION api-v4-proxy sub-closed",
        "SUBSCRIPTION api-v4-proxy sub-ended",
        "API_KEY api-v4-proxy key-revoked sub-gold",
    ];
    evidenced.iter().for_each(|key| assert!(off.iter().any(|o| o == key), "{key}: {off:?}"));
    let filtered =
        ["API api-legacy-tag", "API api-other-env", "SUBSCRIPTION api-v4-proxy sub-internal"];
    filtered.iter().for_each(|key| assert!(off.iter().all(|o| o != key), "{key}: {off:?}"));

    let change = json(&source.join("4-change.json"));
    for (table, changed) in change["rows"].as_object().unwrap() {
        let held = rows[table].as_array_mut().unwrap();
        for row in changed.as_array().unwrap() {
            match held.iter_mut().find(|old| old["id"] == row["id"]) {
                Some(old) => *old = row.clone(),
                None => held.push(row.clone()),
            }
        }
    }
    folder.write("state.json", &rows.to_string());
    let second = read(&repository);
    let incremental = json(&source.join("5-expected-incremental.json"));
    play(&mut expected, &incremental, now);
    // A stock gateway forgets this key: it is revoked and its subscription closed, but the
    // subscription left its memory first. Here the key goes with it.
    let left_behind = Key("API_KEY".into(), "api-v2".into(), "key-shared".into());
    assert!(expected.remove(&left_behind).is_some());
    compare(&state_of(&second), &expected);
    // An API that is as it was is held as it was: to the byte.
    nothing(&incremental, &state_of(&second), &["api-v2"]);
    let unchanged = |reading: &Reading| {
        let api = |e: &&zonesync::entity::Entity| e.key.to_string() == "API api-v2";
        reading.entities.iter().find(api).cloned()
    };
    assert!(unchanged(&first).is_some());
    assert_eq!(unchanged(&first), unchanged(&second));
}
