//! Names after flattening, which source wins, and reads of text, bools and numbers.

use zonesync::config::{self, Kind};

use crate::{Case, Compared, cases};

const BY_DESIGN: &[(&str, &str, &str)] = &[
    ("secret-", "*", "a reference to a secret is resolved or an error, never a literal or unset"),
    ("k8s", "*", "the same"),
    ("scalar-056", "", "an unquoted `<<` is harmless as a value"),
    ("scalar-060", "*", "no configuration needs binary scalars"),
    ("tab-line", "", "a tab on a blank line is harmless"),
    ("placeholders", "", "the recorded text has quotes that the recorded error lacks"),
    ("ph-home", "p", "the home folder is the working directory when nobody says so"),
    ("home-no-gravitee", "r", "the same"),
    ("two-files-space", "", "the names of files are trimmed"),
    ("doc-2cert", "", "the documentation's sample is mended, with a warning"),
    ("shipped-hand", "*", "what stands below password is taken for what stands beside it"),
    ("yaml-date-tz", "p", "text stays as it was typed; an unquoted date does, too"),
];

#[test]
fn names_sources_and_values_are_those_of_a_stock_gateway() {
    let Some(cases) = cases() else { return };
    let mut compared = Compared::new(BY_DESIGN);
    for case in &cases {
        start(case, &mut compared);
        names(case, &mut compared);
        reads(case, &mut compared);
    }
    compared.finish(550);
}

fn start(case: &Case, compared: &mut Compared) {
    let Some(error) = case.recorded["start_error"].as_str() else { return };
    let read = config::written(&case.sources).is_ok();
    compared.note(&case.id, "", read.then(|| format!("is read, stock: {error}")));
}

fn names(case: &Case, compared: &mut Compared) {
    let Some(flattened) = case.recorded["flattened"].as_object() else { return };
    match config::written(&case.sources) {
        Err(error) => compared.note(&case.id, "", Some(format!("is refused: {error}"))),
        Ok(written) => {
            let ours: Vec<&str> = written.iter().map(|line| line.key.as_str()).collect();
            let mut theirs: Vec<&str> = flattened.keys().map(String::as_str).collect();
            theirs.sort_unstable();
            let what = (ours != theirs).then(|| format!("{ours:?} not {theirs:?}"));
            compared.note(&case.id, "names", what);
        }
    }
}

/// Compares what a key reads. Left out: a scalar that is no text on a stock gateway, where text is
/// read; what is blank; and what is masked.
fn reads(case: &Case, compared: &mut Compared) {
    for read in case.recorded["environment_reads"].as_array().into_iter().flatten() {
        let key = read["key"].as_str().expect("a key");
        let flat = &case.recorded["flattened"][key];
        let typed = flat["type"].as_str().is_some_and(|kind| kind != "String");
        let kind = match read["type"].as_str() {
            Some("String") if typed => continue,
            Some("String") => Kind::Text,
            Some("int" | "Integer") => Kind::Count,
            Some("boolean" | "Boolean") => Kind::Bool,
            _ => continue,
        };
        let blank = config::lookup(&case.sources, key).is_ok_and(|found| {
            found
                .is_some_and(|line| line.value.as_deref().is_none_or(|text| text.trim().is_empty()))
        });
        if blank && kind != Kind::Text {
            continue;
        }
        let found = match kind {
            Kind::Text => config::lookup(&case.sources, key),
            kind => config::lookup_as(&case.sources, key, kind),
        };
        let ours = found.map(|found| found.and_then(|line| line.value));
        if matches!(&ours, Ok(Some(masked)) if masked == "***") {
            continue;
        }
        let theirs = match &read["value"] {
            serde_json::Value::Null => None,
            serde_json::Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        let what = match (&ours, read["error"].as_str()) {
            // The reader brings its default, not the look-up.
            (Ok(None), None) if read.get("default").is_some() => None,
            (Ok(ours), None) if *ours == theirs => None,
            (Err(_), Some(_)) => None,
            (ours, error) => Some(format!("{ours:?}, stock {theirs:?} {error:?}")),
        };
        compared.note(&case.id, key, what);
    }
}
