//! The nodes of the demo, and what is asked of all of them at once.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use zonesync::core::digest::Fingerprint;
use zonesync::core::election::Role;
use zonesync::core::id::{Epoch, ZoneName};
use zonesync::core::time::Duration;
use zonesync::repository::directory::{Directory, DirectoryOptions};
use zonesync::repository::mapping::MappingOptions;
use zonesync::runtime::Runtime;
use zonesync::state::View;
use zonesync::store::memory::{MemoryOptions, MemoryStore};
use zonesync::{Options, Parts, ZoneSync};

use crate::failure::Failure;

/// How long anything may take before it counts as not happening.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// How often we look.
const LOOK: Duration = Duration::from_millis(1);

/// What all nodes are started with.
#[derive(Debug)]
pub(super) struct Setting {
    /// The zone.
    pub(super) zone: ZoneName,
    /// The definitions.
    pub(super) directory: PathBuf,
    /// Where tasks run.
    pub(super) runtime: Arc<dyn Runtime>,
    /// Times and limits.
    pub(super) options: Options,
}

/// Starts one node on the embedded store that all nodes of this process share.
fn node(name: &str, setting: &Setting) -> Result<ZoneSync, Failure> {
    let Setting { zone, directory, runtime, options } = setting;
    let mapping = MappingOptions { zone: zone.to_string(), ..MappingOptions::default() };
    let repository = Directory::open(DirectoryOptions::new(directory, mapping), runtime.clone())
        .map_err(|error| Failure::Refused(error.to_string()))?;
    let store = MemoryStore::shared(zone, runtime.clone(), MemoryOptions::default());
    Ok(ZoneSync::start_with(Parts {
        zone: zone.clone(),
        node: name.parse().expect("a node's name"),
        runtime: runtime.clone(),
        store: Arc::new(store),
        repository: Some(Arc::new(repository)),
        image: None,
        options: options.clone(),
    }))
}

/// One node.
#[derive(Debug)]
pub(super) struct Member {
    /// Its name.
    pub(super) name: &'static str,
    /// Itself.
    pub(super) node: ZoneSync,
}

/// The nodes that run.
#[derive(Debug)]
pub(super) struct Zone {
    /// What they are started with.
    pub(super) setting: Setting,
    /// In the order of their start.
    pub(super) members: Vec<Member>,
}

impl Zone {
    /// Makes a zone without nodes.
    pub(super) fn new(setting: Setting) -> Self {
        Self { setting, members: Vec::new() }
    }

    /// Starts a node.
    pub(super) fn start(&mut self, name: &'static str) -> Result<(), Failure> {
        let node = node(name, &self.setting)?;
        self.members.push(Member { name, node });
        Ok(())
    }

    /// Takes the primary out of the zone; it goes on running until it is stopped or killed.
    pub(super) fn take_primary(&mut self) -> Option<Member> {
        let at = self.members.iter().position(|member| is_primary(&member.node))?;
        Some(self.members.remove(at))
    }

    /// Gives the primary.
    pub(super) fn primary(&self) -> Option<&Member> {
        self.members.iter().find(|member| is_primary(&member.node))
    }

    /// Pins the state of the first node.
    pub(super) fn view(&self) -> View {
        self.members.first().expect("a zone that was started").node.state().view()
    }

    /// Gives the highest epoch that any node's state was published in.
    pub(super) fn epoch(&self) -> Epoch {
        let epochs = self.members.iter().map(|m| m.node.state().position().term.epoch);
        epochs.max().unwrap_or_default()
    }

    /// Gives the digest that all nodes agree on, if they do.
    pub(super) fn digest(&self) -> Option<Fingerprint> {
        let mut digests = self.members.iter().map(|m| m.node.state().view().digest().fingerprint());
        let first = digests.next()?;
        digests.all(|digest| digest == first).then_some(first)
    }

    /// Waits until all nodes agree on a digest.
    pub(super) fn agree(&self) -> Option<Fingerprint> {
        until(|| self.digest()).map(|(digest, _)| digest)
    }

    /// Waits until `seen` holds in every node, and tells how long each took.
    pub(super) fn everywhere(&self, seen: impl Fn(&View) -> bool) -> Vec<(&str, Option<Duration>)> {
        let begun = Instant::now();
        let mut times: Vec<_> = self.members.iter().map(|member| (member.name, None)).collect();
        while begun.elapsed() < PATIENCE && times.iter().any(|(_, time)| time.is_none()) {
            for (member, (_, time)) in self.members.iter().zip(&mut times) {
                if time.is_none() && seen(&member.node.state().view()) {
                    *time = Some(begun.elapsed());
                }
            }
            thread::sleep(LOOK);
        }
        times
    }
}

fn is_primary(node: &ZoneSync) -> bool {
    node.status().role == Role::Primary
}

/// Looks until there is an answer, and tells how long it took; none if it takes too long.
pub(super) fn until<T>(mut look: impl FnMut() -> Option<T>) -> Option<(T, Duration)> {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return Some((found, begun.elapsed()));
        }
        if begun.elapsed() > PATIENCE {
            return None;
        }
        thread::sleep(LOOK);
    }
}
