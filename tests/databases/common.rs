//! What tests of databases share: clocks, states, the composed zone.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use zonesync::repository::directory::{Directory, DirectoryOptions};
use zonesync::repository::mapping::{MappingOptions, Tags, same_but_date, same_but_dispatch};
use zonesync::repository::{ManagementRepository, Read, Reading};
use zonesync::runtime::{Runtime, Smol, Task};
use zonesync_core::entity::Kind;
use zonesync_core::id::EntityKeyBuf;
use zonesync_core::time::WallTime;
use zonesync_test_servers::Folder;

/// Real threads, and a calendar that stands still.
#[derive(Debug)]
pub struct Fixed {
    smol: Smol,
    now: WallTime,
}

impl Fixed {
    pub fn at(millis: i64) -> Arc<dyn Runtime> {
        let smol = Smol::new(2).expect("threads can be started");
        Arc::new(Self { smol, now: WallTime::from_millis(millis) })
    }
}

impl Runtime for Fixed {
    fn spawn(&self, task: Task) {
        self.smol.spawn(task);
    }

    fn wall_now(&self) -> WallTime {
        self.now
    }
}

/// A state, by key.
pub type State = BTreeMap<EntityKeyBuf, Arc<[u8]>>;

pub fn state(reading: &Reading) -> State {
    reading.entities.iter().map(|e| (e.key.clone(), e.payload.clone())).collect()
}

/// Applies a reading as a node does: what is the same but for its date is the same.
pub fn apply(state: &mut State, reading: &Reading) {
    if reading.full {
        let kept = |key: &EntityKeyBuf| reading.entities.iter().any(|e| e.key == *key);
        state.retain(|key, _| kept(key));
    }
    for entity in &reading.entities {
        let same = state.get(&entity.key).is_some_and(|held| match entity.key.as_ref().kind {
            Kind::API | Kind::API_PRODUCT => same_but_date(held, &entity.payload),
            Kind::SUBSCRIPTION => same_but_dispatch(held, &entity.payload),
            _ => **held == *entity.payload,
        });
        if !same {
            state.insert(entity.key.clone(), entity.payload.clone());
        }
    }
    for key in &reading.off {
        state.remove(key);
    }
}

/// Fails with what differs, not with two whole states.
pub fn assert_same(found: &State, expected: &State) {
    for (key, payload) in expected {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match found.get(key) {
            Some(other) => assert_eq!(text(other), text(payload), "{key}"),
            None => panic!("{key} is missing"),
        }
    }
    let more: Vec<_> = found.keys().filter(|key| !expected.contains_key(*key)).collect();
    assert!(more.is_empty(), "too many: {more:?}");
}

pub fn read(repository: &dyn ManagementRepository, request: Read) -> Reading {
    futures_lite::future::block_on(repository.read(request)).expect("the database answers")
}

/// The composed zone, before and after a change, as a folder of files gives it.
pub struct Composed {
    pub now: i64,
    pub mapping: MappingOptions,
    /// What each of the two reads of a folder gave.
    pub first: Reading,
    pub second: Reading,
}

impl Composed {
    /// Reads it; none where it is not recorded.
    pub fn load() -> Option<Self> {
        let source = zonesync_tests::fixtures("gravitee/composed")?;
        let json = |name: &str| -> Value {
            serde_json::from_str(&fs::read_to_string(source.join(name)).unwrap()).unwrap()
        };
        let settings = json("1-settings.json");
        let (now, given) = (settings["now"].as_i64().unwrap(), &settings["settings"]);
        let text = |name: &str| given[name].as_str().unwrap();
        let list = |name: &str| text(name).split(',').map(str::to_owned).collect::<Vec<_>>();
        let mapping = MappingOptions {
            tags: Tags::parse(text("tags")),
            organizations: list("organizations"),
            environments: list("environments"),
            decrypt: true,
            secret: text("api.properties.encryption.secret").to_owned(),
            ..MappingOptions::default()
        };
        let folder = Folder::new("composed");
        let mut rows = json("2-state.json");
        folder.write("state.json", rows.to_string());
        let options = DirectoryOptions::new(folder.path(), mapping.clone());
        let directory = Directory::open(options, Fixed::at(now)).unwrap();
        let first = read(&directory, Read::Full);
        for (table, changed) in json("4-change.json")["rows"].as_object().unwrap() {
            let held = rows[table].as_array_mut().unwrap();
            for row in changed.as_array().unwrap() {
                match held.iter_mut().find(|old| old["id"] == row["id"]) {
                    Some(old) => *old = row.clone(),
                    None => held.push(row.clone()),
                }
            }
        }
        folder.write("state.json", rows.to_string());
        let second = read(&directory, Read::Full);
        Some(Self { now, mapping, first, second })
    }
}

/// Finds recorded rows; none where there are none.
pub fn rows(folder: &str) -> Option<PathBuf> {
    zonesync_tests::fixtures(&format!("repository/{folder}"))
}
