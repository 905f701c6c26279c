//! Which APIs a gateway is about: tags, organizations, environments.

use serde_json::Value;
use zonesync::repository::mapping::Tags;

use crate::{Case, Compared, cases, settings};

const BY_DESIGN: &[(&str, &str, &str)] = &[
    (
        "tags-13",
        "*",
        "blank is unset: all APIs, where a stock gateway takes those with a blank tag",
    ),
    ("tags-14", "tags", "a list of nothing but commas is kept as it is, and matches the same"),
    ("tags-int", "tags", "text stays as it was typed"),
];

#[test]
fn a_gateway_is_about_the_same_apis() {
    let Some(cases) = cases() else { return };
    let mut compared = Compared::new(BY_DESIGN);
    for case in &cases {
        if case.recorded["gateway"].is_object() {
            compare(case, &case.recorded["gateway"], &mut compared);
        }
    }
    compared.finish(100);
}

fn compare(case: &Case, recorded: &Value, compared: &mut Compared) {
    let filter = match settings(&case.sources) {
        Ok(settings) => settings.filter,
        Err(error) => return compared.note(&case.id, "", Some(error)),
    };
    for (name, ours) in [
        ("tags", &filter.tags),
        ("organizations", &filter.organizations),
        ("environments", &filter.environments),
    ] {
        let theirs = list(recorded[name].as_str().expect("a list"));
        compared.note(
            &case.id,
            name,
            (*ours != theirs).then(|| format!("{ours:?} not {theirs:?}")),
        );
    }
    let hrids = recorded["legacyHrids"].as_bool().expect("a bool");
    compared.note(&case.id, "hrids", (filter.legacy_hrids != hrids).then(String::new));
    let tags = Tags::from_items(filter.tags.iter().map(String::as_str));
    let lines = recorded["match"].as_array().cloned().unwrap_or_default();
    for (i, line) in lines.iter().enumerate() {
        let (of, theirs) = line.as_str().and_then(|line| line.split_once(" -> ")).expect("a match");
        let bare = of.trim_start_matches('[').trim_end_matches(']');
        // Nothing between the brackets is an API without tags, and at the end one with an empty one.
        let none = bare.is_empty() && i + 1 < lines.len();
        let items: Vec<&str> = if none { Vec::new() } else { bare.split(", ").collect() };
        let ours = tags.matches(items);
        let what = (ours.to_string() != theirs).then(|| format!("is {ours} for {of}"));
        compared.note(&case.id, "match", what);
    }
}

/// Reads `Optional[[a, b]]` as it was printed.
fn list(text: &str) -> Vec<String> {
    let inner = text.strip_prefix("Optional[[").and_then(|rest| rest.strip_suffix("]]"));
    match inner {
        None => Vec::new(),
        Some(inner) => inner.split(", ").map(|item| item.trim().to_owned()).collect(),
    }
}
