//! Configurations: a YAML text, then variables, a line each, behind a NUL.

use zonesync::config::{self, Sources};

/// Reads a configuration, and tells what it says.
pub fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (yaml, lines) = text.split_once('\0').unwrap_or((&text, ""));
    let pair = |line: &str| line.split_once('=').map(|(name, value)| (name.into(), value.into()));
    let variables = lines.lines().filter_map(pair).collect();
    let text = Some(("input".to_owned(), yaml.to_owned()));
    let sources = Sources { text, variables, ..Sources::default() };
    match config::load(&sources) {
        Ok(loaded) => drop(format!("{loaded:?}")),
        Err(error) => assert!(!error.to_string().is_empty(), "an error says something"),
    }
    let _ = config::written(&sources);
    for key in ["zonesync.zone", "management.mongodb.uri", "a"] {
        let _ = config::lookup(&sources, key);
    }
}

/// Configurations with what YAML and placeholders have to offer.
pub fn seeds() -> Vec<Vec<u8>> {
    [
        "zonesync:\n  zone: orders\n  store: memory\n  election: { ttl: 3s }\n",
        "a: &x [1, 2]\nb: *x\nc: |\n  text\n  more\nd: >-\n  folded\n? key\n: value\n",
        "zonesync.zone: ${ZONE:-none}\nmanagement:\n  type: directory\n  directory: {path: '${x}'}\n\
         x: ${y}\ny: ${x}\n\0ZONE=z\nGRAVITEE_ZONESYNC_STORE=memory\ngravitee_a[0]_b=1\n",
        "services:\n  sync:\n    delay: 5000\n    unit: MILLISECONDS\n    distributed:\n      \
         enabled: true\ndistributed-sync:\n  type: redis\n  redis:\n    host: \"h\"\n    port: 6379\n    \
         sentinel:\n      master: m\n      nodes:\n        - host: a\n          port: 1\n    ssl: true\n    \
         password: \"\\u00e4\\x41\"\n",
        "zonesync:\n  image: {path: /nowhere, max-age: 1d, key: ~}\n  poll: 500ms\n  full-read: 1h\n\
         tags: 'a,!b'\norganizations: [o]\nenvironments:\n  - e\n---\nz: 1\n...\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}
