//! From a configuration to a running node: the one place that knows how.

use std::fs::File;
use std::io::Read;

use zonesync::ZoneSync;

/// The most bytes that a configuration file may have.
const CONFIG_MAX: u64 = 4 << 20;

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

/// Starts a node from a configuration.
pub(crate) fn start(source: Source<'_>) -> Result<Started, Refused> {
    match source {
        Source::Text(text) => launch(text),
        Source::Path(path) => launch(&read(path)?),
    }
}

fn launch(_text: &str) -> Result<Started, Refused> {
    Err(Refused::Start("this build cannot start a node from a configuration".to_owned()))
}

fn read(path: &str) -> Result<String, Refused> {
    let refuse = |why: &dyn std::fmt::Display| Refused::Config(format!("{path}: {why}"));
    let file = File::open(path).map_err(|error| refuse(&error))?;
    let mut text = String::new();
    let length =
        file.take(CONFIG_MAX + 1).read_to_string(&mut text).map_err(|error| refuse(&error))?;
    if length as u64 > CONFIG_MAX {
        return Err(refuse(&format_args!("larger than {CONFIG_MAX} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let refused = |path| match start(Source::Path(path)).unwrap_err() {
            Refused::Config(message) => message,
            other => panic!("{other:?}"),
        };
        let message = refused("/nowhere/gravitee.yml");
        assert!(message.starts_with("/nowhere/gravitee.yml: No such file"), "{message}");
        assert_eq!(refused("/dev/zero"), "/dev/zero: larger than 4194304 bytes");
    }
}
