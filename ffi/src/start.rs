//! From a configuration to a running node: the one place that knows how.

use std::path::PathBuf;

use zonesync::ZoneSync;
use zonesync::config::{self, Settings, Sources};

/// Where the configuration is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    /// The text itself.
    Text(&'a str),
    /// A file with it.
    Path(&'a str),
}

/// A node that was started.
#[derive(Debug)]
pub(crate) struct Started {
    /// The node.
    pub(crate) sync: ZoneSync,
    /// What the configuration says that is ignored or about to change, a line each.
    pub(crate) warnings: String,
}

/// Why no node was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// What is wrong with the configuration, a line each.
    Config(String),
    /// Why the node cannot start although its configuration is good.
    Start(String),
}

/// Starts a node from a configuration, over which the environment of the process stands.
pub(crate) fn start(source: Source<'_>) -> Result<Started, Refused> {
    let mut sources = Sources::of_process("");
    match source {
        Source::Text(text) => sources.text = Some(("configuration".to_owned(), text.to_owned())),
        // One file, whose name may have a comma.
        Source::Path(path) => sources.files = vec![PathBuf::from(path)],
    }
    let loaded = config::load(&sources).map_err(|error| Refused::Config(error.to_string()))?;
    let sync = launch(&loaded.settings)?;
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    Ok(Started { sync, warnings: warnings.join("\n") })
}

fn launch(settings: &Settings) -> Result<ZoneSync, Refused> {
    ZoneSync::start(settings).map_err(|error| Refused::Start(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(source: Source<'_>) -> String {
        match start(source).unwrap_err() {
            Refused::Config(message) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let message = refused(Source::Path("/nowhere/a,b.yml"));
        assert!(message.contains("/nowhere/a,b.yml"), "{message}");
        assert!(message.contains("No such file"), "{message}");
        // Endless, and read no further than a configuration may be long.
        assert!(refused(Source::Path("/dev/zero")).contains("/dev/zero"));
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let text = "zonesync:\n  zone: 'a b'\n  poll: never\n  store: memory\n";
        let message = refused(Source::Text(text));
        for wanted in ["zonesync.zone (configuration:2)", "zonesync.poll (configuration:3)"] {
            assert!(message.contains(wanted), "{message}");
        }
        assert!(message.lines().count() >= 2, "{message}");
    }
}
