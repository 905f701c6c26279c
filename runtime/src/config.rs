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

mod address;
mod check;
mod key_file;
mod keys;
mod management;
mod place;
mod problem;
mod reader;
mod redis;
mod repair;
mod resolve;
mod scalar;
mod settings;
mod tls;
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
pub use redis::RedisSettings;
pub use settings::{ElectionSource, Encryption, Filter, KeyFile, Settings, Store};

use crate::secret::SecretResolver;
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
    /// Values over everything else, by full key, such as those of a command line.
    pub overrides: Vec<(String, String)>,
    /// Who knows the secrets that the configuration only names. Without one they are errors.
    pub resolver: Option<Arc<dyn SecretResolver>>,
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
            .field("overrides", &self.overrides.len())
            .field("resolver", &self.resolver.is_some())
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
    /// What is as it should be, but may surprise.
    pub notes: Vec<Problem>,
    /// Every key of the table: its value and where that came from.
    pub explain: Vec<Explained>,
}

/// Reads a configuration, and opens the key stores that it names to see that they are sound.
///
/// Files that cannot be read or parsed are reported alone, since all else would follow from that.
/// Under `zonesync.config.strict`, what is written doubtfully is a problem.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let (mut loaded, mut problems) = understand(sources)?;
    if let Some(Store::Redis(redis)) = &loaded.settings.store {
        match redis.open() {
            Ok((_, doubts)) => loaded.warnings.extend(doubts),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(loaded) } else { Err(ConfigError { problems }) }
}

/// Reads a configuration as [`load`] does, but leaves alone the key stores that it names.
pub fn read(sources: &Sources) -> Result<Loaded, ConfigError> {
    match understand(sources)? {
        (loaded, problems) if problems.is_empty() => Ok(loaded),
        (_, problems) => Err(ConfigError { problems }),
    }
}

/// Reads the settings, with stand-ins where the problems beside them are.
fn understand(sources: &Sources) -> Result<(Loaded, Vec<Problem>), ConfigError> {
    let gathered = gather(sources).map_err(|problems| ConfigError { problems })?;
    let Gathered { mut properties, doubts } = gathered;
    let more = repair::children_of_password(&mut properties);
    let mut reader = Reader::new(&properties);
    reader.strict = reader.bool("zonesync.config.strict");
    doubts.into_iter().chain(more).for_each(|doubt| reader.doubt(doubt));
    let settings = settings::read(&mut reader);
    check::unknown_keys(&mut reader);
    check::stray_variables(&mut reader);
    check::retired_keys(&mut reader);
    check::foreign_sources(&mut reader);
    let Reader { problems, warnings, notes, mut explain, .. } = reader;
    explain.sort_by(|a, b| a.key.cmp(&b.key));
    Ok((Loaded { settings, warnings, notes, explain }, problems))
}

/// Tells what one key holds, known or not, with its placeholders replaced.
pub fn lookup(sources: &Sources, key: &str) -> Result<Option<Explained>, ConfigError> {
    let found = find(sources, key)?;
    Ok(found.map(|value| Explained::of(key, Some(&value))))
}

/// Tells what one key holds as a bool or a number, written plainly; none if it is blank.
///
/// Numbers are those of 32 bits, as a stock gateway's are. Other kinds are told as they stand.
pub fn lookup_as(
    sources: &Sources,
    key: &str,
    kind: Kind,
) -> Result<Option<Explained>, ConfigError> {
    let found = find(sources, key)?.filter(|value| !value.text.trim().is_empty());
    let Some(value) = found else { return Ok(None) };
    let text = match kind {
        Kind::Bool => scalar::bool(&value.text, value.style).map(|value| value.to_string()),
        Kind::Count => scalar::int(&value.text, value.style)
            .and_then(|number| i32::try_from(number).ok())
            .map(|number| number.to_string()),
        _ => Some(value.text.clone()),
    };
    match text {
        Some(text) => Ok(Some(Explained::of(key, Some(&resolve::Value { text, ..value })))),
        None => {
            let message = "is not of this kind".to_owned();
            Err(ConfigError { problems: vec![reader::problem(key, Some(&value), message)] })
        }
    }
}

/// Finds what a key holds, as it counts.
fn find(sources: &Sources, key: &str) -> Result<Option<resolve::Value>, ConfigError> {
    let gathered = gather(sources).map_err(|problems| ConfigError { problems })?;
    let mut properties = gathered.properties;
    repair::children_of_password(&mut properties);
    properties.get(key).map_err(|unresolved| {
        let problem = reader::problem(key, Some(&unresolved.value), unresolved.message);
        ConfigError { problems: vec![problem] }
    })
}

/// Lists what the files and the text hold, as it is written there, sorted by key.
pub fn written(sources: &Sources) -> Result<Vec<Explained>, ConfigError> {
    let Gathered { properties, .. } =
        gather(sources).map_err(|problems| ConfigError { problems })?;
    Ok(properties.in_files().map(|(key, value)| Explained::of(key, Some(&value))).collect())
}

/// All sources, and what is doubtful about how the files are written.
struct Gathered {
    properties: Properties,
    doubts: Vec<Problem>,
}

/// Brings all sources together, or tells which files cannot be.
fn gather(sources: &Sources) -> Result<Gathered, Vec<Problem>> {
    let mut properties = Properties {
        variables: Variables::new(&sources.variables),
        host: sources.properties.iter().cloned().collect(),
        overrides: sources.overrides.iter().cloned().collect(),
        resolver: sources.resolver.clone(),
        home: std::env::current_dir().unwrap_or_default().to_string_lossy().into_owned(),
        ..Properties::default()
    };
    let mut files = sources.files.clone();
    if files.is_empty() && sources.text.is_none() {
        files = properties.host.get(CONF).map(|list| split_files(list)).unwrap_or_default();
    }
    let (mut problems, mut doubts) = (Vec::new(), Vec::new());
    for path in &files {
        let name: Arc<str> = path.to_string_lossy().into();
        match read_file(path) {
            Ok(bytes) => match add_yaml(&mut properties, name, &bytes) {
                Ok(doubt) => doubts.extend(doubt),
                Err(problem) => problems.push(problem),
            },
            Err(error) => problems.push(file_problem(name, 0, format!("cannot be read: {error}"))),
        }
    }
    if let Some((name, text)) = &sources.text {
        match add_yaml(&mut properties, name.as_str().into(), text.as_bytes()) {
            Ok(doubt) => doubts.extend(doubt),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(Gathered { properties, doubts }) } else { Err(problems) }
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

/// Adds what a file says. The doubts tell what had to be mended to read it.
fn add_yaml(
    properties: &mut Properties,
    name: Arc<str>,
    bytes: &[u8],
) -> Result<Vec<Problem>, Problem> {
    let (leaves, mended) = repair::flatten(bytes)
        .map_err(|error| file_problem(name.clone(), error.line, error.message))?;
    let doubt = |line| file_problem(name.clone(), line, repair::KEY_TOO_FAR_LEFT.to_owned());
    let doubts = mended.into_iter().map(doubt).collect();
    let named = leaves.into_iter().map(|(key, leaf)| (key, (name.clone(), leaf)));
    properties.files.extend(named);
    Ok(doubts)
}

fn file_problem(name: Arc<str>, line: usize, message: String) -> Problem {
    Problem { key: String::new(), origin: Origin::File { name, line }, value: None, message }
}

#[cfg(test)]
mod tests;
