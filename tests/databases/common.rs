//! What tests of databases share: clocks, states, recorded rows, the composed zone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use zonesync::repository::directory::{Directory, DirectoryOptions};
use zonesync::repository::mapping::{MappingOptions, Tags, same_but_date, same_but_dispatch};
use zonesync::repository::sql::SqlOptions;
use zonesync::repository::{ManagementRepository, Read, Reading};
use zonesync::runtime::{Runtime, Smol, Task};
use zonesync_core::entity::Kind;
use zonesync_core::id::EntityKeyBuf;
use zonesync_core::time::WallTime;
use zonesync_test_servers::Folder;

/// Real threads, and a calendar that stands still.
#[derive(Debug)]
pub(crate) struct Fixed {
    smol: Smol,
    now: WallTime,
}

impl Fixed {
    pub(crate) fn at(millis: i64) -> Arc<dyn Runtime> {
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
pub(crate) type State = BTreeMap<EntityKeyBuf, Arc<[u8]>>;

pub(crate) fn state(reading: &Reading) -> State {
    reading.entities.iter().map(|e| (e.key.clone(), e.payload.clone())).collect()
}

/// Applies a reading as a node does: what is the same but for its date is the same.
pub(crate) fn apply(state: &mut State, reading: &Reading) {
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
pub(crate) fn assert_same(found: &State, expected: &State) {
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

/// The same, but for dates of deployment and forced dispatch: what another process may not know.
pub(crate) fn assert_alike(found: &State, expected: &State) {
    let settled = |(key, payload): (&EntityKeyBuf, &Arc<[u8]>)| {
        let same = found.get(key).filter(|held| match key.as_ref().kind {
            Kind::API | Kind::API_PRODUCT => same_but_date(held, payload),
            Kind::SUBSCRIPTION => same_but_dispatch(held, payload),
            _ => false,
        });
        (key.clone(), same.unwrap_or(payload).clone())
    };
    assert_same(found, &expected.iter().map(settled).collect());
}

pub(crate) fn read(repository: &dyn ManagementRepository, request: Read) -> Reading {
    futures_lite::future::block_on(repository.read(request)).expect("the database answers")
}

/// The composed zone, before and after a change, as a folder of files gives it.
pub(crate) struct Composed {
    pub(crate) now: i64,
    pub(crate) mapping: MappingOptions,
    /// What each of the two reads of a folder gave.
    pub(crate) first: Reading,
    pub(crate) second: Reading,
}

impl Composed {
    /// Reads it; none where it is not recorded.
    pub(crate) fn load() -> Option<Self> {
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
pub(crate) fn recorded(folder: &str) -> Option<PathBuf> {
    zonesync_tests::fixtures(&format!("repository/{folder}"))
}

/// A real database for a test.
pub(crate) trait Database: Sync {
    /// Runs SQL that both makes understand; columns come apart by `|`, rows by lines.
    fn sql(&self, text: &str) -> String;

    /// Opens it as a repository.
    fn open(&self, options: SqlOptions, runtime: Arc<dyn Runtime>)
    -> Arc<dyn ManagementRepository>;

    /// Kills the server; starts it again.
    fn kill(&mut self);
    fn restart(&mut self);

    /// Says how often tables with many rows were read whole so far.
    fn scans(&self) -> u64;

    /// Gives its address as the JVM spells it.
    fn url(&self) -> String;

    /// Writes a text as a value.
    fn literal(&self, text: &str) -> String {
        format!("'{}'", text.replace('\'', "''"))
    }

    /// Takes the rows of a recorded folder in place of what the tables hold.
    fn load(&self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "csv") {
                let table = path.file_stem().unwrap().to_str().unwrap();
                self.load_table(table, &fs::read_to_string(&path).unwrap());
            }
        }
    }

    fn load_table(&self, table: &str, csv: &str) {
        let mut lines = records(csv).into_iter();
        let head = lines.next().expect("a header");
        let head: Vec<_> = head.into_iter().map(|name| self.name(&name.unwrap())).collect();
        let mut sql = format!("delete from {};\n", self.name(table));
        for line in lines {
            let value = |(name, value): (&String, Option<String>)| match value {
                None => "null".to_owned(),
                Some(value) if FLAGS.contains(&name.trim_matches(['"', '`'])) => {
                    (value == "t").to_string()
                }
                Some(value) => self.literal(&value),
            };
            let values: Vec<_> = head.iter().zip(line).map(value).collect();
            sql.push_str(&format!(
                "insert into {} ({}) values ({});\n",
                self.name(table),
                head.join(", "),
                values.join(", ")
            ));
        }
        self.sql(&sql);
    }

    /// Quotes a name.
    fn name(&self, name: &str) -> String;
}

/// The columns that are true or false.
const FLAGS: [&str; 6] =
    ["secured", "overriding", "revoked", "paused", "federated", "general_conditions_accepted"];

/// Reads CSV as COPY writes it: nothing between commas is null, quotes make text.
fn records(csv: &str) -> Vec<Vec<Option<String>>> {
    let (mut rows, mut row) = (Vec::new(), Vec::new());
    let (mut field, mut text, mut quoted) = (String::new(), false, false);
    let mut chars = csv.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => field.push(chars.next().unwrap()),
            '"' => (quoted, text) = (!quoted, true),
            c if quoted => field.push(c),
            ',' | '\n' => {
                let field = std::mem::take(&mut field);
                row.push((text || !field.is_empty()).then_some(field));
                text = false;
                if c == '\n' {
                    rows.push(std::mem::take(&mut row));
                }
            }
            c => field.push(c),
        }
    }
    rows
}

/// Waits until `done`, or fails with what was waited for.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < until, "{what}: not within 30 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}
