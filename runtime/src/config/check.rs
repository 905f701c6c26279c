//! Finds what was written but is read by nobody: wrong keys, and variables spelled naturally.

use super::keys::{KEYS, Key, Kind, distributed, nearest, without_indices};
use super::problem::{Origin, Problem};
use super::reader::{Explained, Reader};
use super::variables;

/// Notes keys that nobody reads: ours are problems, those of the shared store are doubts.
pub(super) fn unknown_keys(reader: &mut Reader<'_>) {
    let properties = reader.properties;
    let host = properties.host.keys().chain(properties.overrides.keys());
    let host = host.map(|key| (key, Origin::Property(key.clone())));
    let files = properties
        .files
        .iter()
        .map(|(key, (name, leaf))| (key, Origin::File { name: name.clone(), line: leaf.line }));
    for (key, origin) in files.chain(host) {
        if in_scope(key, "zonesync") {
            let known = |known: &&Key| known.name == key || list_item(key) == Some(known.name);
            if !KEYS.iter().any(|key| known(&key)) && !is_blank_block(reader, key) {
                let own = KEYS.iter().map(|key| key.name).filter(|name| in_scope(name, "zonesync"));
                reader.problems.push(unknown(key, origin, own));
            }
            continue;
        }
        let short = key.strip_prefix("repositories.").unwrap_or(key);
        if in_scope(short, "distributed-sync") && !is_blank_block(reader, key) {
            let bare = without_indices(short);
            let known =
                || distributed().any(|known| known == bare || list_item(short) == Some(known));
            if !known() && !reader.astray.contains(key) {
                let mut warning = unknown(key, origin, distributed());
                warning.message.push_str("; a stock gateway ignores it");
                reader.doubt(warning);
            }
        }
    }
}

/// Notes variables that look like one of the known keys, or like one of ours, and set nothing.
pub(super) fn stray_variables(reader: &mut Reader<'_>) {
    let known = || KEYS.iter().map(|key| key.name);
    for name in reader.properties.variables.names() {
        let Some((cut, prefix_counts)) = variables::cut_any_case(name) else { continue };
        let indices = indices(cut);
        let short = |template: &'static str| with_indices(template, &indices);
        let read = |key: &str| {
            let alias = format!("repositories.{key}");
            [key, &alias].iter().any(|key| variables::relaxed(key).iter().any(|n| n == cut))
        };
        if prefix_counts && known().filter_map(short).any(|key| read(&key)) {
            continue;
        }
        let bare = squeezed(cut);
        let origin = Origin::Variable(name.to_owned());
        let note = |key: &str, message: String| Problem {
            key: key.to_owned(),
            origin: origin.clone(),
            value: None,
            message,
        };
        let meant = known().filter_map(short).find(|key| {
            let key = squeezed(key);
            bare == key || bare.strip_prefix("repositories") == Some(&key)
        });
        if let Some(key) = meant {
            let right = variables::customary(&key);
            let message = format!("this variable sets nothing: spell it {right}");
            reader.doubt(note(&key, message));
        } else if bare.starts_with("zonesync") {
            let spelled = known().map(|key| (squeezed(key), key)).collect::<Vec<_>>();
            let near = nearest(&bare, spelled.iter().map(|(bare, _)| bare.as_str()));
            let key = spelled.iter().find(|(bare, _)| Some(bare.as_str()) == near);
            let hint = key.map(|(_, key)| format!(": did you mean {}?", variables::customary(key)));
            let message = format!("this variable sets nothing{}", hint.unwrap_or_default());
            reader.problems.push(note("zonesync", message));
        } else if bare.starts_with("distributedsync") {
            let message = "this variable sets nothing: hyphens vanish and never become `_`, so it \
                           begins with GRAVITEE_DISTRIBUTEDSYNC_, and no such key is known";
            reader.doubt(note("distributed-sync", message.to_owned()));
        }
    }
}

/// Notes what decides whom a node speaks with and how, where it does not come from a file: a variable
/// of a container sets such a key easily by accident.
pub(super) fn foreign_sources(reader: &mut Reader<'_>) {
    const SCOPES: [&str; 4] =
        ["distributed-sync.redis", "zonesync.encryption", "zonesync.tls", "zonesync.config"];
    let from_elsewhere = |line: &&Explained| {
        let outside = matches!(line.origin, Origin::Variable(_) | Origin::Property(_));
        outside && SCOPES.iter().any(|scope| in_scope(&line.key, scope))
    };
    let note = |line: &Explained| Problem {
        key: line.key.clone(),
        origin: line.origin.clone(),
        value: line.value.clone(),
        message: "set from outside the files".to_owned(),
    };
    let notes: Vec<Problem> = reader.explain.iter().filter(from_elsewhere).map(note).collect();
    reader.notes.extend(notes);
}

/// Notes keys of older gateways that nobody reads any more.
pub(super) fn retired_keys(reader: &mut Reader<'_>) {
    const CRON: &str = "services.sync.cron";
    if let Some(value) = reader.properties.raw(CRON) {
        let message = "has no effect: services.sync.delay says how often";
        reader.note(CRON, Some(&value), message);
    }
}

fn unknown<'a>(key: &str, origin: Origin, known: impl Iterator<Item = &'a str>) -> Problem {
    let hint = match nearest(&without_indices(key), known) {
        Some(near) => format!("unknown key: did you mean {near}?"),
        None => "unknown key".to_owned(),
    };
    Problem { key: key.to_owned(), origin, value: None, message: hint }
}

/// Gives the comma list that an item of a YAML list belongs to.
fn list_item(key: &str) -> Option<&'static str> {
    let (list, _) = key.strip_suffix(']')?.rsplit_once('[')?;
    let known = KEYS.iter().find(|known| known.name == list)?;
    (known.kind == Kind::List).then_some(known.name)
}

fn in_scope(key: &str, scope: &str) -> bool {
    let rest = key.strip_prefix(scope);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Tells whether a key is a block that was left empty (`zonesync:` alone), which says nothing.
fn is_blank_block(reader: &Reader<'_>, key: &str) -> bool {
    let blank = reader.properties.files.get(key).is_some_and(|(_, leaf)| leaf.text.is_empty());
    let short = key.strip_prefix("repositories.").unwrap_or(key);
    let block =
        |known: &str| known.strip_prefix(short).is_some_and(|rest| rest.starts_with(['.', '[']));
    blank && KEYS.iter().any(|known| block(known.name))
}

/// Fills the `[]` of a known name; none if the numbers are too few or too many.
fn with_indices(template: &str, indices: &[&str]) -> Option<String> {
    let mut parts = template.split("[]");
    let mut out = parts.next()?.to_owned();
    let mut used = 0;
    for part in parts {
        out.push_str(&format!("[{}]{part}", indices.get(used)?));
        used += 1;
    }
    // A name without lists takes any number of digits: they are then part of the wrong name.
    (used == 0 || used == indices.len()).then_some(out)
}

/// Lists the runs of digits in a variable's name.
fn indices(name: &str) -> Vec<&str> {
    name.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty()).collect()
}

/// Reduces a name to its letters and digits, in lower case.
fn squeezed(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}
