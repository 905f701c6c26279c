//! What a running stock gateway made of files, variables and properties, against what we do.
//!
//! Covers names after flattening, which variable wins, and reads of text. Typed reads are covered
//! beside the code.

use serde_json::Value;
use zonesync::config::{self, Sources};
use zonesync_tests::fixtures;

/// Differences by design: the start of a case's id, the key (`*` for any, empty for the whole
/// file), and the reason.
const BY_DESIGN: &[(&str, &str, &str)] = &[
    ("secret-", "*", "a reference to a secret is an error without a resolver, never a literal"),
    ("k8s", "*", "the same"),
    ("scalar-056", "", "an unquoted `<<` is harmless as a value"),
    ("scalar-060", "", "no configuration needs binary scalars"),
    ("tab-line", "", "a tab on a blank line is harmless"),
    ("placeholders", "", "the recorded text has quotes that the recorded error lacks"),
    (
        "alias-default",
        "distributed-sync.redis.host",
        "the reader brings its default, not the look-up",
    ),
    ("ph-home", "p", "the home folder is the working directory when nobody says so"),
    ("home-no-gravitee", "r", "the same"),
    ("yaml-date-tz", "p", "text stays as it was typed; an unquoted date does, too"),
];

#[test]
fn names_and_variables_match_a_stock_gateway() {
    let Some(folder) = fixtures("configuration") else { return };
    let text = std::fs::read_to_string(folder.join("property-cases.json")).expect("cases");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("cases are JSON");
    let mut checked = 0;
    let mut differences = Vec::new();
    for case in &cases {
        let Some(sources) = sources(case) else { continue };
        let id = case["id"].as_str().expect("an id");
        let mut note = |key: &str, what: String| {
            checked += 1;
            let known = |(start, of, _): &(&str, &str, &str)| {
                id.starts_with(start) && (*of == "*" || *of == key)
            };
            if !what.is_empty() && !BY_DESIGN.iter().any(known) {
                differences.push(format!("{id} {key}: {what}"));
            }
        };
        check_start(case, &sources, &mut note);
        check_names(case, &sources, &mut note);
        check_reads(case, &sources, &mut note);
    }
    println!("{checked} checks in {} cases", cases.len());
    assert!(checked > 300, "only {checked} checks: the cases are not what they were");
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

/// Builds the sources of a case; none for a case whose files are not recorded as text.
fn sources(case: &Value) -> Option<Sources> {
    let files = case["files"].as_array()?;
    let [file] = files.as_slice() else { return None };
    let text = file["text"].as_str()?.to_owned();
    let pairs = |name: &str| -> Vec<(String, String)> {
        let entries = case[name].as_object().into_iter().flatten();
        entries.map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())).collect()
    };
    let text = Some(("gravitee.yml".to_owned(), text));
    Some(Sources {
        text,
        variables: pairs("env"),
        properties: pairs("props"),
        ..Sources::default()
    })
}

fn check_start(case: &Value, sources: &Sources, note: &mut impl FnMut(&str, String)) {
    let Some(error) = case["start_error"].as_str() else { return };
    let read = config::written(sources).is_ok();
    note("", if read { format!("is read, stock: {error}") } else { String::new() });
}

fn check_names(case: &Value, sources: &Sources, note: &mut impl FnMut(&str, String)) {
    let Some(flattened) = case["flattened"].as_object() else { return };
    match config::written(sources) {
        Err(error) => note("", format!("is refused: {error}")),
        Ok(written) => {
            let ours: Vec<&str> = written.iter().map(|line| line.key.as_str()).collect();
            let mut theirs: Vec<&str> = flattened.keys().map(String::as_str).collect();
            theirs.sort_unstable();
            let what =
                if ours == theirs { String::new() } else { format!("{ours:?} not {theirs:?}") };
            note("names", what);
        }
    }
}

/// Compares what a text key reads, where the file's scalar has no other type on a stock gateway.
fn check_reads(case: &Value, sources: &Sources, note: &mut impl FnMut(&str, String)) {
    for read in case["environment_reads"].as_array().into_iter().flatten() {
        let key = read["key"].as_str().expect("a key");
        let typed = case["flattened"][key]["type"].as_str().is_some_and(|kind| kind != "String");
        if read["type"] != "String" || typed {
            continue;
        }
        let ours = match config::lookup(sources, key) {
            Ok(found) => Ok(found.and_then(|found| found.value)),
            Err(error) => Err(error.to_string()),
        };
        if matches!(&ours, Ok(Some(masked)) if masked == "***") {
            continue;
        }
        let what = match (&ours, read["value"].as_str(), read["error"].as_str()) {
            (Ok(ours), theirs, None) if ours.as_deref() == theirs => String::new(),
            (Err(_), _, Some(_)) => String::new(),
            (ours, theirs, error) => format!("{ours:?}, stock {theirs:?} {error:?}"),
        };
        note(key, what);
    }
}
