//! What a running stock gateway made of files, variables and properties, against what we do; and
//! the samples that people copy.

mod gateway;
mod reads;
mod redis;
mod samples;

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use zonesync::config::{Sources, read};
use zonesync::{Secret, SecretResolver};
use zonesync_tests::{Folder, fixtures};

/// A recorded case, with its files written out.
struct Case {
    id: String,
    recorded: Value,
    sources: Sources,
    /// Holds the files.
    _folder: Option<Folder>,
}

/// Reads all recorded cases; none where there are none.
fn cases() -> Option<Vec<Case>> {
    let folder = fixtures("configuration")?;
    let text = std::fs::read_to_string(folder.join("property-cases.json")).expect("cases");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("cases are JSON");
    Some(cases.into_iter().map(Case::new).collect())
}

impl Case {
    fn new(recorded: Value) -> Self {
        let id = recorded["id"].as_str().expect("an id").to_owned();
        let pairs = |name: &str| -> Vec<(String, String)> {
            let entries = recorded[name].as_object().into_iter().flatten();
            entries.map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())).collect()
        };
        let mut sources = Sources {
            variables: pairs("env"),
            properties: pairs("props"),
            resolver: Some(Arc::new(Mock)),
            ..Sources::default()
        };
        let files = recorded["files"].as_array().cloned().unwrap_or_default();
        let mut folder = None;
        match files.as_slice() {
            [file] if file["text"].is_string() => {
                let text = file["text"].as_str().unwrap_or_default();
                sources.text = Some(("gravitee.yml".to_owned(), text.to_owned()));
            }
            [] => sources.files = vec![PathBuf::from("/")],
            [file] if file["path"].is_string() => {
                sources.files = vec![PathBuf::from(file["path"].as_str().unwrap_or_default())];
            }
            files => {
                let place = Folder::new("case");
                for (i, file) in files.iter().enumerate() {
                    let name = format!("{i}.yml");
                    place.write(&name, bytes(file));
                    sources.files.push(place.path().join(name));
                }
                folder = Some(place);
            }
        }
        Self { id, recorded, sources, _folder: folder }
    }
}

/// Gives what a recorded file holds.
fn bytes(file: &Value) -> Vec<u8> {
    // A long line is only described.
    let generated = |count| format!("a: {}\nb: 1\n", "x".repeat(count)).into_bytes();
    match file["generated"].as_str() {
        Some(text) if text.contains("65536") => return generated(65_536),
        Some(_) => return generated(4_000_000),
        None => {}
    }
    match file["text"].as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => base64(file["base64"].as_str().unwrap_or_default()),
    }
}

fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut out, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for byte in text.bytes() {
        let Some(value) = ALPHABET.iter().position(|known| *known == byte) else { break };
        bits = bits << 6 | value as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    out
}

/// The secrets that the cases speak of.
struct Mock;

impl SecretResolver for Mock {
    fn resolve(&self, reference: &str) -> Result<Option<Secret>, String> {
        match reference.strip_prefix("secret://mock/") {
            Some("redis:password") => Ok(Some(Secret::new("S3CRET"))),
            Some("redis:port") => Ok(Some(Secret::new("6390"))),
            Some("redis:ssl") => Ok(Some(Secret::new("true"))),
            Some("redis:nokey") => Ok(None),
            _ => Err("no such provider".to_owned()),
        }
    }
}

/// Collects differences, save for those by design.
struct Compared {
    checks: usize,
    differences: Vec<String>,
    used: Vec<bool>,
    by_design: &'static [(&'static str, &'static str, &'static str)],
}

impl Compared {
    /// Takes the differences by design: the start of a case's id, the key (`*` for any, empty for
    /// the whole file), and the reason.
    fn new(by_design: &'static [(&'static str, &'static str, &'static str)]) -> Self {
        Self { checks: 0, differences: Vec::new(), used: vec![false; by_design.len()], by_design }
    }

    /// Notes one comparison; `what` says what is different, if it is.
    fn note(&mut self, id: &str, key: &str, what: Option<String>) {
        self.checks += 1;
        let Some(what) = what else { return };
        let known = self
            .by_design
            .iter()
            .position(|(start, of, _)| id.starts_with(start) && (*of == "*" || *of == key));
        match known {
            Some(at) => self.used[at] = true,
            None => self.differences.push(format!("{id} {key}: {what}")),
        }
    }

    /// Fails if anything is different, or if less was compared than there is.
    fn finish(self, least: usize) {
        let Self { checks, differences, used, by_design } = self;
        println!("{checks} checks");
        assert!(
            differences.is_empty(),
            "{} differ:\n{}",
            differences.len(),
            differences.join("\n")
        );
        assert!(checks >= least, "only {checks} checks: the cases are not what they were");
        for (used, (id, key, _)) in used.iter().zip(by_design) {
            assert!(*used, "{id} {key} is no difference any more");
        }
    }
}

/// Reads settings as a node with its store in Redis would.
fn settings(sources: &Sources) -> Result<zonesync::config::Settings, String> {
    let mut sources = sources.clone();
    // The repository is another matter.
    for (key, value) in [("zonesync.store", "redis"), ("management.type", "none")] {
        sources.overrides.push((key.to_owned(), value.to_owned()));
    }
    read(&sources).map(|loaded| loaded.settings).map_err(|error| error.to_string())
}
