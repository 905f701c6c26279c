//! A folder of files as management repository: what people do to it, and what must come of that.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_lite::FutureExt;
use futures_lite::future::block_on;
use zonesync::repository::directory::{Directory, DirectoryOptions};
use zonesync::repository::mapping::MappingOptions;
use zonesync::repository::{Found, ManagementRepository, Read, Reading, RepositoryError};
use zonesync::runtime::{Runtime, Task};
use zonesync_core::entity::Kind;
use zonesync_core::id::{EntityKey, EntityKeyBuf};
use zonesync_tests::Folder;

#[derive(Debug)]
struct Plain;

impl Runtime for Plain {
    fn spawn(&self, _: Task) {}
}

fn open(path: &Path) -> Directory {
    let options = DirectoryOptions::new(path, MappingOptions::default());
    Directory::open(options, Arc::new(Plain)).unwrap()
}

fn read(repository: &Directory) -> Reading {
    block_on(repository.read(Read::Full)).unwrap()
}

fn faults(reading: &Reading) -> Vec<String> {
    reading.quarantined.iter().map(ToString::to_string).collect()
}

fn apis(reading: &Reading) -> Vec<String> {
    let apis = reading.entities.iter().filter(|entity| entity.key.as_ref().kind == Kind::API);
    apis.map(|entity| entity.key.as_ref().id.to_owned()).collect()
}

fn definition(id: &str, name: &str) -> String {
    format!(
        "{{\n \"id\": \"{id}\",\n \"name\": \"{name}\",\n \"gravitee\": \"2.0.0\",\n \
         \"proxy\": {{\"context_path\": \"/{id}\"}}\n}}\n"
    )
}

fn api_key(id: &str) -> EntityKeyBuf {
    EntityKey::new(Kind::API, id).into()
}

/// Waits for a change and says how long it took.
fn wait(repository: &Directory) -> Duration {
    let start = Instant::now();
    let late = async {
        async_io::Timer::after(Duration::from_secs(10)).await;
        panic!("no change was seen");
    };
    block_on(repository.changed().or(late));
    start.elapsed()
}

#[test]
fn the_demo_reads_without_a_fault() {
    let repository = open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo"));
    let reading = read(&repository);
    assert_eq!(faults(&reading), [""; 0]);
    assert!(reading.full && !reading.incomplete);
    assert_eq!(apis(&reading).len(), 11, "twelve, of which one is stopped");
    let count = |kind| reading.entities.iter().filter(|e| e.key.as_ref().kind == kind).count();
    let counts = [
        (Kind::NODE_METADATA, 1),
        (Kind::LICENSE, 2),
        (Kind::ACCESS_POINT, 3),
        (Kind::ORGANIZATION, 2),
        (Kind::DICTIONARY, 2),
        (Kind::SHARED_POLICY_GROUP, 1),
        (Kind::API_PRODUCT, 1),
        (Kind::SUBSCRIPTION, 27),
        (Kind::API_KEY, 16),
    ];
    for (kind, expected) in counts {
        assert_eq!(count(kind), expected, "{kind}");
    }
    let product = EntityKey::subscription("product-fishmonger", "sub-33").into();
    assert!(reading.entities.iter().any(|entity| entity.key == product));
    let off: Vec<String> = reading.off.iter().map(ToString::to_string).collect();
    for key in ["API api-old-invoices", "DICTIONARY dict-closed-piers", "ACCESS_POINT ap-old-quay"]
    {
        assert!(off.contains(&key.to_owned()), "{key}: {off:?}");
    }
}

#[test]
fn a_broken_file_is_named_with_its_line_and_keeps_what_it_held() {
    let folder = Folder::new("directory-broken");
    folder.write("a.json", definition("a", "A"));
    folder.write("b.yaml", "id: b\nname: B\nproxy: {context_path: /b}\n");
    let repository = open(folder.path());
    let good = read(&repository);
    assert_eq!(apis(&good), ["a", "b"]);
    folder.write("a.json", "{\n \"id\": \"a\",\n \"name\": NaN\n}\n");
    folder.write("b.yaml", "id: b\nname: B\nproxy: [\nid: c\n");
    folder.write("c.json", definition("c", "C"));
    let reading = read(&repository);
    assert_eq!(apis(&reading), ["a", "b", "c"]);
    let told = faults(&reading);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("a.json:3: ") && told[0].contains("stays"), "{told:?}");
    assert!(told[1].starts_with("b.yaml:4: "), "{told:?}");
    assert_eq!(reading.quarantined[0].key, Some(api_key("a")));
    assert!(good.entities.iter().all(|old| reading.entities.contains(old)));
    // A node that never saw them well does not know what they hold, and does not say it is gone.
    let cold = open(folder.path());
    assert_eq!(apis(&read(&cold)), ["c"]);
    assert_eq!(block_on(cold.find(vec![api_key("a")])).unwrap(), [Found::Present]);
}

#[test]
fn an_edit_is_seen_at_once_and_a_deletion_too() {
    let folder = Folder::new("directory-edit");
    folder.write("sub/a.json", definition("a", "A"));
    let repository = open(folder.path());
    let first = read(&repository);
    folder.write("sub/a.json", definition("a", "Changed"));
    assert!(wait(&repository) < Duration::from_secs(1));
    let second = read(&repository);
    assert_ne!(first.entities, second.entities);
    folder.write("new/b.json", definition("b", "B"));
    wait(&repository);
    assert_eq!(apis(&read(&repository)), ["a", "b"]);
    std::fs::remove_file(folder.path().join("sub/a.json")).unwrap();
    wait(&repository);
    let third = read(&repository);
    assert_eq!(apis(&third), ["b"]);
    let found = block_on(repository.find(vec![api_key("a"), api_key("b")])).unwrap();
    assert_eq!(found, [Found::Missing, Found::Present]);
}

#[test]
fn our_own_reading_wakes_nobody() {
    let folder = Folder::new("directory-quiet");
    folder.write("a.json", definition("a", "A"));
    let repository = open(folder.path());
    read(&repository);
    let quiet = async {
        async_io::Timer::after(Duration::from_millis(500)).await;
        true
    };
    let changed = async {
        repository.changed().await;
        false
    };
    assert!(block_on(changed.or(quiet)), "nothing changed");
}

#[test]
fn saving_the_same_content_again_changes_nothing() {
    let folder = Folder::new("directory-same");
    folder.write("a.json", definition("a", "A"));
    let repository = open(folder.path());
    let first = read(&repository);
    std::thread::sleep(Duration::from_millis(20));
    folder.write("a.json", definition("a", "A"));
    assert_eq!(read(&repository).entities, first.entities);
    std::fs::rename(folder.path().join("a.json"), folder.path().join("z.json")).unwrap();
    assert_eq!(read(&repository).entities, first.entities);
}

#[test]
fn the_same_id_in_two_files_names_both_and_the_first_wins() {
    let folder = Folder::new("directory-twice");
    folder.write("a.json", definition("same", "First"));
    folder.write("b.json", definition("same", "Second"));
    let reading = read(&open(folder.path()));
    assert_eq!(apis(&reading), ["same"]);
    let told = faults(&reading);
    assert!(told.len() == 1 && told[0].starts_with("b.json:1: "), "{told:?}");
    assert!(told[0].contains("a.json:1"), "{told:?}");
    let api = reading.entities.iter().find(|entity| entity.key == api_key("same")).unwrap();
    assert!(std::str::from_utf8(&api.payload).unwrap().contains("First"));
}

#[test]
fn a_poison_row_is_named_and_harms_no_other() {
    let folder = Folder::new("directory-poison");
    folder.write(
        "a.json",
        r#"{"id":"a","name":"A","type":"proxy","plans":[{"id":"p","security":{"type":"jwt"}}]}"#,
    );
    let good = r#"{"id":"good","api":"a","plan":"p","status":"ACCEPTED"}"#;
    let bad = r#"{"id":"bad","api":"a","plan":"p","status":"ACCEPTED","startingAt":"soon"}"#;
    folder.write("subscriptions.json", format!("[\n{good},\n\n{bad}\n]"));
    let reading = read(&open(folder.path()));
    let told = faults(&reading);
    assert_eq!(
        told,
        [
            "subscriptions.json:4: `startingAt` should be a date (milliseconds or ISO text), found a text"
        ]
    );
    let key = EntityKey::subscription("a", "good").into();
    assert!(reading.entities.iter().any(|entity| entity.key == key));
}

#[test]
fn what_must_not_be_read_is_refused_by_name() {
    let folder = Folder::new("directory-refused");
    folder.write("good.json", definition("good", "Good"));
    let outside = Folder::new("directory-outside");
    outside.write("secret.json", definition("secret", "Secret"));
    symlink(outside.path().join("secret.json"), folder.path().join("link.json")).unwrap();
    symlink(folder.path().join("good.json"), folder.path().join("nowhere.yaml")).unwrap();
    std::fs::remove_file(folder.path().join("nowhere.yaml")).unwrap();
    symlink("gone", folder.path().join("nowhere.yaml")).unwrap();
    folder.write("latin.json", b"{\n\"id\": \"caf\xe9\"}");
    folder.write("deep.json", format!("{{\"proxy\":{}{}}}", "[".repeat(5000), "]".repeat(5000)));
    folder.write("deep.yaml", format!("proxy: {}", "[".repeat(100_000)));
    folder.write("letters.json", "[1, 2]");
    folder.write("other.json", "{\"colour\": \"blue\"}");
    folder.write("no-id.json", "{\"name\": \"x\", \"proxy\": {\"context_path\": \"/\"}}");
    // A hole in a file: large, and nothing on disk.
    let huge = std::fs::File::create(folder.path().join("huge.json")).unwrap();
    huge.set_len(8 << 30).unwrap();
    let mut bomb = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for n in 1..12 {
        bomb += &format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 8].join(", "));
    }
    folder.write("bomb.yaml", "proxy: x\n".to_owned() + &bomb);
    let reading = read(&open(folder.path()));
    assert_eq!(apis(&reading), ["good"]);
    let told = faults(&reading).join("\n");
    let expected = [
        "link.json:1: a link that leads out of the folder",
        "nowhere.yaml:1: cannot be reached",
        "latin.json:2: not UTF-8 text",
        "deep.json:1: nested deeper than 100 levels",
        "deep.yaml:1: recursion limit",
        "letters.json:1: an array needs a file named after its collection",
        "other.json:1: neither an API definition nor",
        "no-id.json:1: the definition has no `id`",
        "huge.json:1: larger than 16 MiB",
        "bomb.yaml:1: more than 16777216 bytes with aliases spelt out",
    ];
    for one in expected {
        assert!(told.contains(one), "{one}\nis not among\n{told}");
    }
    assert_eq!(reading.quarantined.len(), expected.len(), "{told}");
}

#[test]
fn a_folder_that_is_not_there_is_unavailable_until_it_is() {
    let folder = Folder::new("directory-late");
    let path = folder.path().join("later");
    let repository = open(&path);
    let error = block_on(repository.read(Read::Full)).unwrap_err();
    assert!(matches!(error, RepositoryError::Unavailable(_)), "{error}");
    folder.write("later/a.json", definition("a", "A"));
    wait(&repository);
    assert_eq!(apis(&read(&repository)), ["a"]);
    // From here on its changes are told, not only polled.
    folder.write("later/b.json", definition("b", "B"));
    assert!(wait(&repository) < Duration::from_secs(1));
    let deep = (0..20).map(|n| n.to_string()).collect::<Vec<_>>().join("/");
    folder.write(&format!("later/{deep}/c.json"), definition("c", "C"));
    let error = block_on(repository.read(Read::Full)).unwrap_err();
    assert!(error.to_string().contains("16 levels"), "{error}");
}
