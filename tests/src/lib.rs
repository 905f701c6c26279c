//! What the tests share.

pub mod alloc;
pub mod bare;
pub mod bench;
pub mod clock;
pub mod data;
pub mod faults;
pub mod figure;
pub mod fixed;
pub mod flow;
pub mod process;
pub mod promises;
pub mod rows;
pub mod runtimes;
pub mod servers;
pub mod store_suite;
pub mod stream;
pub mod zone;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Finds recorded data of real gateways, which is not part of the project.
///
/// It is looked for in the folder that `ZONESYNC_FIXTURES` names, else in `shared/fixtures` beside
/// the checkout. Where there is none, says so and gives none: the calling test then ends early.
pub fn fixtures(folder: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures");
    let root = std::env::var_os("ZONESYNC_FIXTURES").map_or_else(beside, PathBuf::from);
    let path = root.join(folder);
    if !path.exists() {
        eprintln!("skipped: no recorded data in {}", path.display());
        return None;
    }
    Some(path)
}

/// A folder for one test, gone when the test ends.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes an empty one, whose path holds `name`.
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(format!("zonesync-{name}-{process}-{count}"));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a folder can be made");
        Self(path)
    }

    /// Gives its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file, and the folders above it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("made");
        std::fs::write(path, content).expect("a file can be written");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
