//! What is wrong with a configuration, and where it stands; with secrets left out.

use std::fmt;
use std::sync::Arc;

use crate::secret::MASK;

/// The most characters of a value that a message shows.
const SHOWN_MAX: usize = 120;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// A line of a file.
    File {
        /// The file, as it was named by the caller.
        name: Arc<str>,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable, by its full name.
    Variable(String),
    /// A property of the host, such as a system property of the JVM.
    Property(String),
    /// Nobody set it.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, line: 0 } => f.write_str(name),
            Self::File { name, line } => write!(f, "{name}:{line}"),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::Property(name) => write!(f, "property {name}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One thing that is wrong, or doubtful, with a configuration.
///
/// Its `Display` is one line. It never holds the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The full key; empty when a whole file is meant.
    pub key: String,
    /// Where the value stands.
    pub origin: Origin,
    /// The value, fit to be shown; none where there is none to show.
    pub value: Option<String>,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{} ", self.key.escape_debug())?;
        }
        write!(f, "({}): {}", self.origin, self.message)?;
        match &self.value {
            Some(value) if value == MASK => write!(f, ", got {MASK}"),
            Some(value) => write!(f, ", got {value:?}"),
            None => Ok(()),
        }
    }
}

/// All that is wrong with a configuration, at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Tells by the last part of a key's name whether its value is a secret.
pub(super) fn is_secret(key: &str) -> bool {
    let bare = key.trim_end_matches(|c: char| c == ']' || c == '[' || c.is_ascii_digit());
    let last = bare.rsplit('.').next().unwrap_or(bare).to_ascii_lowercase();
    // A file with a key is none, and its name is what one needs to know.
    let file = bare.strip_suffix(".key").is_some_and(|block| {
        block.ends_with(']') && block.contains("certificates[") || block.ends_with("keystore")
    });
    if file {
        return false;
    }
    const ENDS: [&str; 9] = [
        "password",
        "passwd",
        "pwd",
        "passphrase",
        "secret",
        "token",
        "key",
        "credential",
        "credentials",
    ];
    ENDS.iter().any(|end| last.ends_with(end))
}

/// Makes a value fit to be shown: a secret is masked, and so is the user part of an address.
pub(super) fn shown(value: &str, secret: bool) -> String {
    // Where a path is asked for, a person may paste what the file should hold: PEM, or base64 of DER.
    let pasted = value.contains("-----BEGIN") || value.len() > 100 && value.starts_with("MI");
    if secret || pasted {
        return MASK.to_owned();
    }
    let mut out = String::new();
    let mut rest = value;
    while let Some(at) = rest.find("://") {
        let (scheme, tail) = rest.split_at(at + 3);
        out.push_str(scheme);
        // A password may hold a slash or a comma: better to hide too much.
        let end = tail.find(char::is_whitespace).unwrap_or(tail.len());
        match tail[..end].rfind('@') {
            Some(host) => {
                out.push_str(MASK);
                rest = &tail[host..];
            }
            None => rest = tail,
        }
    }
    out.push_str(rest);
    if out.chars().count() > SHOWN_MAX {
        out = out.chars().take(SHOWN_MAX).collect();
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_the_end_of_its_name() {
        let secret = [
            "distributed-sync.redis.password",
            "a.keyPassword",
            "api.properties.encryption.secret",
            "x.token",
            "zonesync.encryption.keys[0].key",
            "passwords.password[3]",
        ];
        for key in secret {
            assert!(is_secret(key), "{key}");
        }
        let open = [
            "zonesync.zone",
            "keystore.path",
            "tags",
            "password.file",
            "a.keystore.certificates[10].key",
            "a.keystore.key",
        ];
        for key in open {
            assert!(!is_secret(key), "{key}");
        }
    }

    #[test]
    fn the_user_part_of_an_address_is_masked() {
        assert_eq!(shown("redis://me:pw@host:1/0", false), "redis://***@host:1/0");
        assert_eq!(shown("a://u:p@h,b://v:q@i", false), "a://***@i");
        assert_eq!(shown("http://host/x y@z", false), "http://host/x y@z");
        assert_eq!(shown("hush", true), "***");
        assert_eq!(shown("-----BEGIN PRIVATE KEY-----\nhush", false), "***");
        assert_eq!(shown(&format!("MIIE{}", "A".repeat(100)), false), "***");
        assert_eq!(shown(&"ä".repeat(500), false).chars().count(), SHOWN_MAX + 1);
    }

    #[test]
    fn a_problem_is_one_line() {
        let problem = Problem {
            key: "zonesync.zone\n".into(),
            origin: Origin::File { name: "gravitee.yml".into(), line: 7 },
            value: Some("a\nb".into()),
            message: "no name".into(),
        };
        assert_eq!(
            problem.to_string(),
            "zonesync.zone\\n (gravitee.yml:7): no name, got \"a\\nb\""
        );
    }
}
