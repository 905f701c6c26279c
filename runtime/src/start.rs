//! From settings to a running node.

use std::fmt;
use std::sync::Arc;

use crate::config::{ConfigError, Repository, Settings, Store};
use crate::image::{Disk, FileDisk};
use crate::node::{Parts, ZoneSync};
use crate::repository::directory::{Directory, DirectoryOptions};
use crate::repository::mapping::{DEFAULT_SECRET, MappingOptions, Tags};
use crate::repository::{self, ManagementRepository, RepositoryError};
use crate::runtime::{Runtime, Smol};
use crate::store::ZoneStore;
use crate::store::memory::{MemoryOptions, MemoryStore};
use crate::store::redis::RedisStore;

/// How many threads a node runs its tasks on: one for what is long, one for the lease.
const THREADS: usize = 2;

/// Why no node was started although its settings are sound.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// `services.sync.enabled` is false.
    Disabled,
    /// No thread could be started.
    Threads(std::io::Error),
    /// The management repository cannot be what the settings say.
    Repository(RepositoryError),
    /// The zone's Redis cannot be reached as the settings say: a key store cannot be opened.
    Redis(ConfigError),
    /// A key that encrypts the zone's data cannot be read.
    Key(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disabled => f.write_str("services.sync.enabled is false: nothing to start"),
            Self::Threads(error) => write!(f, "no threads for the sync: {error}"),
            Self::Repository(error) => error.fmt(f),
            Self::Redis(error) => error.fmt(f),
            Self::Key(error) => f.write_str(error),
        }
    }
}

impl std::error::Error for StartError {}

impl ZoneSync {
    /// Starts the node that `settings` describe, on threads of its own.
    ///
    /// Without a zone store the node is a zone of its own: it reads the repository alone.
    pub fn start(settings: &Settings) -> Result<Self, StartError> {
        if !settings.enabled {
            return Err(StartError::Disabled);
        }
        let runtime: Arc<dyn Runtime> = Arc::new(Smol::new(THREADS).map_err(StartError::Threads)?);
        let mapping = mapping(settings);
        let filter = mapping.filter();
        let repository = match &settings.repository {
            Some(Repository::Directory { path }) => {
                let mut options = DirectoryOptions::new(path, mapping);
                options.poll = settings.repository_pause;
                let opened = Directory::open(options, runtime.clone());
                let directory = opened.map_err(StartError::Repository)?;
                Some(Arc::new(directory) as Arc<dyn ManagementRepository>)
            }
            Some(Repository::Sql(sql)) => {
                let pause = settings.repository_pause;
                let opened = repository::open_sql(sql, pause, mapping, runtime.clone());
                Some(opened.map_err(StartError::Repository)?)
            }
            None => None,
        };
        let bound = |max: u64| MemoryOptions {
            max_bytes: usize::try_from(max).unwrap_or(usize::MAX),
            ..MemoryOptions::default()
        };
        let store: Arc<dyn ZoneStore> = match &settings.store {
            Some(Store::Memory { max }) => {
                Arc::new(MemoryStore::shared(&settings.zone, runtime.clone(), bound(*max)))
            }
            Some(Store::Redis(redis)) => {
                let mut options = redis.options().map_err(StartError::Redis)?;
                options.encryption = settings.encryption.open().map_err(StartError::Key)?;
                Arc::new(RedisStore::new(settings.zone.clone(), options, runtime.clone()))
            }
            None => {
                let options = MemoryOptions::default();
                Arc::new(MemoryStore::new(settings.zone.clone(), runtime.clone(), options))
            }
        };
        let image =
            settings.image.as_ref().map(|path| Arc::new(FileDisk::new(path)) as Arc<dyn Disk>);
        let mut options = settings.options();
        options.filter = filter;
        Ok(Self::start_with(Parts {
            zone: settings.zone.clone(),
            node: settings.node.clone(),
            runtime,
            store,
            repository,
            image,
            options,
        }))
    }
}

/// Says how rows become entities.
fn mapping(settings: &Settings) -> MappingOptions {
    let secret = settings.properties_secret.as_ref();
    MappingOptions {
        zone: settings.zone.to_string(),
        tags: Tags::from_items(settings.filter.tags.iter().map(String::as_str)),
        organizations: settings.filter.organizations.clone(),
        environments: settings.filter.environments.clone(),
        legacy_hrids: settings.filter.legacy_hrids,
        decrypt: settings.decrypt_properties,
        secret: secret.map_or(DEFAULT_SECRET, |secret| secret.reveal()).to_owned(),
    }
}
