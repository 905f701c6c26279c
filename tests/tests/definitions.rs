//! Real API definitions, one to a file: each is read, or refused for the right reason.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zonesync::repository::directory::{Directory, DirectoryOptions};
use zonesync::repository::mapping::MappingOptions;
use zonesync::repository::{ManagementRepository, Read, Reading};
use zonesync::runtime::{Runtime, Task};
use zonesync_core::entity::Kind;
use zonesync_tests::Folder;

#[derive(Debug)]
struct Plain;

impl Runtime for Plain {
    fn spawn(&self, _: Task) {}
}

/// Files that no gateway can serve, and a part of what must be said.
const REFUSED: [(&str, &str); 5] = [
    ("v4-other/api-a2a-proxy-no-flows.json", "no `id`"),
    ("v4-other/api-a2a-proxy-with-flows.json", "no `id`"),
    ("v4-other/api-llm-proxy-no-flows.json", "no `id`"),
    ("v4-other/api-llm-proxy-with-flows.json", "no `id`"),
    ("v4-other/api-mcp-proxy-no-flows.json", "no `id`"),
];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "json") {
            found.push(path);
        }
    }
}

fn read(name: &str, text: &str) -> Reading {
    let folder = Folder::new("definitions");
    folder.write(name, text);
    let options = DirectoryOptions::new(folder.path(), MappingOptions::default());
    let repository = Directory::open(options, Arc::new(Plain)).unwrap();
    futures_lite::future::block_on(repository.read(Read::Full)).unwrap()
}

#[test]
fn every_definition_is_read_or_refused_for_the_right_reason() {
    let Some(source) = zonesync_tests::fixtures("gravitee/definitions") else { return };
    let mut found = Vec::new();
    files(&source, &mut found);
    found.sort();
    assert!(found.len() > 60, "only {} files", found.len());
    let mut refused = 0;
    for path in &found {
        let name = path.strip_prefix(&source).unwrap().to_str().unwrap();
        let text = fs::read_to_string(path).unwrap();
        let reading = read("api.json", &text);
        if let Some((_, reason)) = REFUSED.iter().find(|(file, _)| *file == name) {
            refused += 1;
            let told: Vec<String> = reading.quarantined.iter().map(ToString::to_string).collect();
            assert!(told.len() == 1 && told[0].contains(reason), "{name}: {told:?}");
            continue;
        }
        assert_eq!(reading.quarantined, [], "{name}");
        let mut apis = reading.entities.iter().filter(|e| e.key.as_ref().kind == Kind::API);
        let api = apis.next().unwrap_or_else(|| panic!("{name} gave no API"));
        let payload = std::str::from_utf8(&api.payload).unwrap();
        // Untouched text, unless the file is an export or a plan has no status.
        let rewritten = ["management-export-proxy", "v2-best-match", "condition-after-async"];
        if !rewritten.iter().any(|part| name.contains(part)) {
            assert!(payload.contains(text.trim()), "{name} was rewritten");
        }
    }
    assert_eq!(refused, REFUSED.len());
}

#[test]
fn an_export_is_spelt_as_gateways_read_it() {
    let Some(source) = zonesync_tests::fixtures("gravitee/definitions/v4-proxy") else { return };
    let text = fs::read_to_string(source.join("management-export-proxy.json")).unwrap();
    let reading = read("export.json", &text);
    let api = reading.entities.iter().find(|e| e.key.to_string() == "API api-id").unwrap();
    let payload: serde_json::Value = serde_json::from_slice(&api.payload).unwrap();
    let definition = &payload["definition"];
    assert_eq!(definition["definitionVersion"], "4.0.0");
    assert_eq!(definition["type"], "proxy");
    assert_eq!(definition["listeners"][0]["type"], "http");
    assert_eq!(definition["listeners"][0]["entrypoints"][0]["qos"], "auto");
    assert_eq!(definition["flows"][0]["selectors"][0]["type"], "http");
    assert_eq!(definition["plans"][0]["status"], "published");
    assert_eq!(definition["plans"][0]["security"]["type"], "key-less");
    assert_eq!(payload["deployedAt"], 1_731_061_337_487_i64);
}
