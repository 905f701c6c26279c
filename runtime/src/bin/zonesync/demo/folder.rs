//! The copy of the definitions that the demo edits, as a person with an editor would.
//!
//! Rows are found by their id, in JSON and in YAML, wherever they stand. A file is replaced as
//! editors do it: written beside, then moved into place, so that nobody reads half of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::failure::Failure;

/// A folder of definitions that goes when it is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    definitions: PathBuf,
}

impl Folder {
    /// Copies a folder to where edits do no harm.
    pub(super) fn copy(source: &Path) -> Result<Self, Failure> {
        let root = std::env::temp_dir().join(format!("zonesync-demo-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let folder = Self { definitions: root.join("definitions"), root };
        copy_all(source, &folder.definitions)
            .map_err(|error| Failure::Usage(format!("{}: {error}", source.display())))?;
        Ok(folder)
    }

    /// Gives the folder of the copies.
    pub(super) fn path(&self) -> &Path {
        &self.definitions
    }

    /// Lists all files, sorted.
    pub(super) fn files(&self) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        gather(&self.definitions, &mut files)?;
        files.sort();
        Ok(files)
    }

    /// Gives a path as it is shown.
    pub(super) fn short(&self, path: &Path) -> String {
        path.strip_prefix(&self.definitions).unwrap_or(path).display().to_string()
    }

    /// Puts a file in its place, whole.
    pub(super) fn write(&self, path: &Path, text: &str) -> io::Result<()> {
        let staged = self.root.join("staged");
        fs::write(&staged, text)?;
        fs::rename(&staged, path)
    }

    /// Finds the file that defines an API.
    pub(super) fn api(&self, id: &str) -> Result<Option<PathBuf>, Failure> {
        for path in self.files()? {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let defines = ["listeners", "proxy", "endpointGroups"];
            if has_word(&text, id) && defines.iter().any(|word| has_word(&text, word)) {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    /// Sets whether the API key with this id is revoked. Gives the file it stands in.
    pub(super) fn set_revoked(&self, id: &str, revoked: bool) -> Result<PathBuf, Failure> {
        for path in self.files()? {
            let text = fs::read_to_string(&path).unwrap_or_default();
            if !has_word(&text, id) {
                continue;
            }
            let edited = match path.extension().is_some_and(|ending| ending == "json") {
                true => edit_json(&text, id, revoked),
                false => edit_yaml(&text, id, revoked),
            };
            if let Some(edited) = edited {
                self.write(&path, &edited)?;
                return Ok(path);
            }
        }
        Err(Failure::Refused(format!("no file has a row of the API key {id}")))
    }

    /// Finds the values of the API keys that are revoked.
    pub(super) fn revoked_keys(&self) -> Result<Vec<String>, Failure> {
        let mut keys = Vec::new();
        for path in self.files()? {
            let text = fs::read_to_string(&path).unwrap_or_default();
            match serde_json::from_str::<Value>(&text) {
                Ok(value) => revoked_in_json(&value, &mut keys),
                Err(_) => revoked_in_yaml(&text, &mut keys),
            }
        }
        Ok(keys)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy_all(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn gather(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            gather(&entry.path(), files)?;
        } else if ["json", "yaml", "yml"]
            .iter()
            .any(|e| entry.path().extension() == Some(e.as_ref()))
        {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// Replaces an id, but not where it is part of a longer one.
pub(super) fn replace_word(text: &str, old: &str, new: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = 0;
    for at in words(text, old) {
        out.push_str(&text[rest..at]);
        out.push_str(new);
        rest = at + old.len();
    }
    out + &text[rest..]
}

fn has_word(text: &str, word: &str) -> bool {
    words(text, word).next().is_some()
}

/// Finds where a word stands by itself.
fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let joins = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    text.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = text[..*at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !word.is_empty() && !before.is_some_and(joins) && !after.is_some_and(joins)
    })
}

/// Sets `revoked` in the row of an API key, if it is there.
fn edit_json(text: &str, id: &str, revoked: bool) -> Option<String> {
    let mut value: Value = serde_json::from_str(text).ok()?;
    let row = find_key(&mut value, id)?;
    row["revoked"] = revoked.into();
    serde_json::to_string_pretty(&value).ok()
}

fn find_key<'a>(value: &'a mut Value, id: &str) -> Option<&'a mut Value> {
    if value["id"] == id && value["key"].is_string() {
        return Some(value);
    }
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| find_key(item, id)),
        Value::Object(members) => members.values_mut().find_map(|member| find_key(member, id)),
        _ => None,
    }
}

fn revoked_in_json(value: &Value, keys: &mut Vec<String>) {
    if let (Some(true), Some(key)) =
        (value.get("revoked").and_then(Value::as_bool), value.get("key").and_then(Value::as_str))
    {
        keys.push(key.into());
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| revoked_in_json(item, keys)),
        Value::Object(members) => members.values().for_each(|item| revoked_in_json(item, keys)),
        _ => {}
    }
}

/// Sets `revoked` in the row of an API key, if it is there, and leaves all other lines as they are.
fn edit_yaml(text: &str, id: &str, revoked: bool) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let row = yaml_rows(&lines).into_iter().find(|row| {
        yaml_member(&lines, row, "id").is_some_and(|(_, value)| value == id)
            && yaml_member(&lines, row, "key").is_some()
    })?;
    let (id_at, _) = yaml_member(&lines, &row, "id")?;
    let line = format!("{:indent$}revoked: {revoked}", "", indent = row.indent);
    let mut edited: Vec<String> = lines.iter().map(|line| line.to_string()).collect();
    match yaml_member(&lines, &row, "revoked") {
        Some((at, _)) if lines[at].trim_start().starts_with("- ") => {
            edited[at] = format!("{:indent$}- revoked: {revoked}", "", indent = row.indent - 2);
        }
        Some((at, _)) => edited[at] = line,
        None => edited.insert(id_at + 1, line),
    }
    Some(edited.join("\n") + "\n")
}

fn revoked_in_yaml(text: &str, keys: &mut Vec<String>) {
    let lines: Vec<&str> = text.lines().collect();
    for row in yaml_rows(&lines) {
        if yaml_member(&lines, &row, "revoked").is_some_and(|(_, value)| value == "true") {
            keys.extend(yaml_member(&lines, &row, "key").map(|(_, value)| value.to_owned()));
        }
    }
}

/// An item of a list, over several lines.
struct YamlRow {
    first: usize,
    end: usize,
    /// Where its members begin.
    indent: usize,
}

/// Finds the items of all lists that are written in block style.
fn yaml_rows(lines: &[&str]) -> Vec<YamlRow> {
    let indent_of = |line: &str| line.len() - line.trim_start().len();
    let begins = |line: &&str| line.trim_start().starts_with("- ");
    let firsts = lines.iter().enumerate().filter(|(_, line)| begins(line));
    let rows = firsts.map(|(first, line)| {
        let indent = indent_of(line) + 2;
        let more = lines[first + 1..]
            .iter()
            .take_while(|line| line.trim().is_empty() || indent_of(line) >= indent);
        YamlRow { first, end: first + 1 + more.count(), indent }
    });
    rows.collect()
}

/// Gives a member of a row: its line and its value without quotes.
fn yaml_member<'a>(lines: &[&'a str], row: &YamlRow, name: &str) -> Option<(usize, &'a str)> {
    (row.first..row.end).find_map(|at| {
        let member = lines[at].get(row.indent..)?;
        let head = &lines[at][..row.indent];
        let blank = head.trim().is_empty() || (at == row.first && head.trim() == "-");
        let value = member.strip_prefix(name)?.strip_prefix(':')?;
        let value = value.split(" #").next().unwrap_or(value).trim();
        blank.then_some((at, value.trim_matches(['"', '\''])))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "\
subscriptions:
  - id: s-1
    plan: gold
keys:
  - id: k-1
    key: \"abc\"   # the first
    subscriptions: [s-1]
    revoked: false
  - key: def
    id: 'k-2'
  - id: k-3
    key: ghi
    revoked: true
";

    #[test]
    fn a_row_is_edited_where_it_stands() {
        let revoked = edit_yaml(YAML, "k-1", true).unwrap();
        assert_eq!(revoked, YAML.replace("revoked: false", "revoked: true"));
        let added = edit_yaml(YAML, "k-2", true).unwrap();
        assert_eq!(added, YAML.replace("    id: 'k-2'\n", "    id: 'k-2'\n    revoked: true\n"));
        assert_eq!(edit_yaml(YAML, "s-1", true), None, "a subscription is no key");
        assert_eq!(edit_yaml(YAML, "k-9", true), None);

        let json = r#"{"subscriptions":[{"id":"k-1"}],"keys":[{"id":"k-1","key":"abc"}]}"#;
        let edited: Value = serde_json::from_str(&edit_json(json, "k-1", true).unwrap()).unwrap();
        assert_eq!(edited["keys"][0]["revoked"], true);
        assert_eq!(edited["subscriptions"][0].get("revoked"), None);
        assert_eq!(edit_json(json, "k-2", true), None);
    }

    #[test]
    fn revoked_keys_are_found_in_both_formats() {
        let mut keys = Vec::new();
        revoked_in_yaml(YAML, &mut keys);
        let json = r#"{"keys":[{"key":"x","revoked":true},{"key":"y","revoked":false}]}"#;
        revoked_in_json(&serde_json::from_str(json).unwrap(), &mut keys);
        assert_eq!(keys, ["ghi", "x"]);
    }

    #[test]
    fn an_id_within_a_longer_one_stays() {
        let text = r#"{"id":"orders","plan":"orders-gold","path":"/orders"}"#;
        let expected = r#"{"id":"new","plan":"orders-gold","path":"/new"}"#;
        assert_eq!(replace_word(text, "orders", "new"), expected);
    }

    #[test]
    fn a_copy_is_edited_and_its_source_is_not() {
        let source = std::env::temp_dir().join(format!("zsdemo-{}", std::process::id()));
        fs::create_dir_all(source.join("apis")).unwrap();
        fs::write(source.join("rows.yaml"), YAML).unwrap();
        fs::write(source.join("apis/a.json"), r#"{"id":"a","listeners":[]}"#).unwrap();
        fs::write(source.join("README.md"), "a listeners").unwrap();
        let folder = Folder::copy(&source).unwrap();
        let edited = folder.set_revoked("k-1", true).unwrap();
        assert_eq!(folder.short(&edited), "rows.yaml");
        assert_eq!(folder.revoked_keys().unwrap(), ["abc", "ghi"]);
        assert_eq!(fs::read_to_string(source.join("rows.yaml")).unwrap(), YAML);
        assert_eq!(folder.short(&folder.api("a").unwrap().unwrap()), "apis/a.json");
        assert_eq!(folder.api("b").unwrap(), None);
        let path = folder.path().to_owned();
        drop(folder);
        assert!(!path.exists());
        fs::remove_dir_all(&source).unwrap();
    }
}
