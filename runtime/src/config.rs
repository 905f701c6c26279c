//! The configuration: a `gravitee.yml`, the environment, and properties of the host.
//!
//! [`load`] reads all sources in a stock gateway's order and gives either [`Settings`], or every
//! problem at once. Each value remembers where it came from ([`Origin`]).
//!
//! ```
//! use zonesync::config::{self, Sources, Store};
//!
//! let yaml = "zonesync:\n  zone: orders\n  store: memory\n";
//! let sources = Sources { text: Some(("inline".into(), yaml.into())), ..Sources::default() };
//! let loaded = config::load(&sources)?;
//! assert_eq!(loaded.settings.zone.as_str(), "orders");
//! assert!(matches!(loaded.settings.store, Some(Store::Memory { .. })));
//! # Ok::<(), config::ConfigError>(())
//! ```
//!
//! Inside, in the order in which a value passes through: `yaml` flattens files, `variables` knows
//! how names match, `resolve` picks the source and replaces placeholders, `scalar` gives a text
//! its meaning, `reader` collects problems, `settings` reads the keys of the table in `keys`.

mod check;
mod keys;
mod management;
mod place;
mod problem;
mod reader;
mod resolve;
mod scalar;
mod settings;
mod variables;
mod yaml;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use keys::{KEYS, Key, Kind};
pub use management::{Repository, SqlRepository};
pub use problem::{ConfigError, Origin, Problem};
pub use reader::Explained;
pub use settings::{ElectionSource, Filter, Settings, Store};

use reader::Reader;
use resolve::Properties;
use variables::Variables;

/// The files to read when the caller names none.
const CONF: &str = "gravitee.conf";

/// Where a configuration comes from.
#[derive(Clone, Default)]
pub struct Sources {
    /// Files, later ones over earlier ones. If there are none, and no text, those that the
    /// property `gravitee.conf` names.
    pub files: Vec<PathBuf>,
    /// A name and a YAML text, over the files.
    pub text: Option<(String, String)>,
    /// Environment variables.
    pub variables: Vec<(String, String)>,
    /// Properties of the host, such as the system properties of the JVM.
    pub properties: Vec<(String, String)>,
}

impl Sources {
    /// Takes the environment of this process, and files separated by commas.
    ///
    /// Variables that are no UTF-8 are left out.
    pub fn of_process(files: &str) -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { files: split_files(files), variables, ..Self::default() }
    }
}

impl fmt::Debug for Sources {
    /// Leaves all values out, for any may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("files", &self.files)
            .field("text", &self.text.as_ref().map(|(name, _)| name))
            .field("variables", &self.variables.len())
            .field("properties", &self.properties.len())
            .finish()
    }
}

/// A configuration that was understood.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Loaded {
    /// What it says.
    pub settings: Settings,
    /// What is doubtful about it.
    pub warnings: Vec<Problem>,
    /// Every key of the table: its value and where that came from.
    pub explain: Vec<Explained>,
}

/// Reads a configuration.
///
/// Files that cannot be read or parsed are reported alone, since all else would follow from that.
/// Under `zonesync.config.strict`, what is written doubtfully is a problem.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let properties = gather(sources).map_err(|problems| ConfigError { problems })?;
    let mut reader = Reader::new(&properties);
    reader.strict = reader.bool("zonesync.config.strict");
    check::unknown_keys(&mut reader);
    check::stray_variables(&mut reader);
    let settings = settings::read(&mut reader);
    let Reader { problems, warnings, mut explain, .. } = reader;
    if !problems.is_empty() {
        return Err(ConfigError { problems });
    }
    explain.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(Loaded { settings, warnings, explain })
}

/// Tells what one key holds, known or not, with its placeholders replaced.
pub fn lookup(sources: &Sources, key: &str) -> Result<Option<Explained>, ConfigError> {
    let properties = gather(sources).map_err(|problems| ConfigError { problems })?;
    match properties.get(key) {
        Ok(found) => Ok(found.map(|value| Explained::of(key, Some(&value)))),
        Err(unresolved) => {
            let problem = reader::problem(key, Some(&unresolved.value), unresolved.message);
            Err(ConfigError { problems: vec![problem] })
        }
    }
}

/// Lists what the files and the text hold, as it is written there, sorted by key.
pub fn written(sources: &Sources) -> Result<Vec<Explained>, ConfigError> {
    let properties = gather(sources).map_err(|problems| ConfigError { problems })?;
    Ok(properties.in_files().map(|(key, value)| Explained::of(key, Some(&value))).collect())
}

/// Brings all sources together, or tells which files cannot be.
fn gather(sources: &Sources) -> Result<Properties, Vec<Problem>> {
    let mut properties = Properties {
        variables: Variables::new(&sources.variables),
        host: sources.properties.iter().cloned().collect(),
        home: std::env::current_dir().unwrap_or_default().to_string_lossy().into_owned(),
        ..Properties::default()
    };
    let mut files = sources.files.clone();
    if files.is_empty() && sources.text.is_none() {
        files = properties.host.get(CONF).map(|list| split_files(list)).unwrap_or_default();
    }
    let mut problems = Vec::new();
    for path in &files {
        let name: Arc<str> = path.to_string_lossy().into();
        match read_file(path) {
            Ok(bytes) => problems.extend(add_yaml(&mut properties, name, &bytes)),
            Err(error) => problems.push(file_problem(name, 0, format!("cannot be read: {error}"))),
        }
    }
    if let Some((name, text)) = &sources.text {
        problems.extend(add_yaml(&mut properties, name.as_str().into(), text.as_bytes()));
    }
    if problems.is_empty() { Ok(properties) } else { Err(problems) }
}

fn split_files(list: &str) -> Vec<PathBuf> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(PathBuf::from).collect()
}

/// Reads a file, but never much more than the parser takes.
fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(yaml::SIZE_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn add_yaml(properties: &mut Properties, name: Arc<str>, bytes: &[u8]) -> Option<Problem> {
    match yaml::flatten(bytes) {
        Ok(leaves) => {
            let named = leaves.into_iter().map(|(key, leaf)| (key, (name.clone(), leaf)));
            properties.files.extend(named);
            None
        }
        Err(error) => Some(file_problem(name, error.line, error.message)),
    }
}

fn file_problem(name: Arc<str>, line: usize, message: String) -> Problem {
    Problem { key: String::new(), origin: Origin::File { name, line }, value: None, message }
}

#[cfg(test)]
mod tests;
