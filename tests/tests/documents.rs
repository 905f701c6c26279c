//! The project's pages, held to what is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The crates of the workspace.
const CRATES: [&str; 5] = ["core", "runtime", "ffi", "tests", "tests/servers"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Gives the names in the dependency sections of a manifest.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut inside = false;
    let mut names = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if inside && let Some((name, _)) = line.split_once(['.', ' ', '=']) {
            names.insert(name.to_owned());
        }
    }
    names.retain(|name| !name.starts_with("zonesync") && !name.starts_with('#'));
    names
}

#[test]
fn the_dependency_table_is_complete() {
    let page = read("ARCHITECTURE.md");
    let (_, table) = page.split_once("## Dependencies").expect("the page has that chapter");
    let mut told = BTreeSet::new();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        assert!(!cells[2].is_empty(), "{row} says why");
        told.insert(cells[1].trim_matches('`').to_owned());
    }
    let manifests = CRATES.map(|folder| dependencies(&read(&format!("{folder}/Cargo.toml"))));
    // Not of the workspace.
    let apart = dependencies(&read("tests/fuzz/Cargo.toml"));
    let all = |named: BTreeSet<String>| named.union(&apart).cloned().collect::<BTreeSet<_>>();
    assert_eq!(told, all(manifests.into_iter().flatten().collect()));
    assert_eq!(told, all(dependencies(&read("Cargo.toml"))), "the workspace names no others");
}

#[test]
fn the_library_has_no_dependency_that_it_does_not_use() {
    for folder in ["core", "runtime", "ffi"] {
        let code: Vec<String> = sources(&root().join(folder))
            .iter()
            .map(|path| fs::read_to_string(path).unwrap())
            .collect();
        for name in dependencies(&read(&format!("{folder}/Cargo.toml"))) {
            // One package is called otherwise in code.
            let name = if name == "md-5" { "md5".to_owned() } else { name.replace('-', "_") };
            let path = format!("{name}::");
            assert!(code.iter().any(|code| code.contains(&path)), "{folder} does not use {name}");
        }
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(sources(&path)),
            false if path.extension().is_some_and(|ending| ending == "rs") => found.push(path),
            false => {}
        }
    }
    found
}

/// A link to a file that is not there misleads.
#[test]
fn links_between_pages_lead_somewhere() {
    let mut pages: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(|page| root().join(page)).into();
    for folder in ["core", "runtime", "ffi", "include", "bindings", "tests", "docs", "demo"] {
        assert!(root().join(folder).join("README.md").exists(), "{folder} says what it is");
        pages.extend(markdown(&root().join(folder)));
    }
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = page.parent().unwrap().join(link.split('#').next().unwrap());
            let outside = link.contains("://") || link.starts_with('#');
            assert!(outside || target.exists(), "{}: {link}", page.display());
        }
    }
}

fn markdown(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(markdown(&path)),
            false if path.extension().is_some_and(|ending| ending == "md") => found.push(path),
            false => {}
        }
    }
    found
}
