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
pub mod store_suite;
pub mod stream;
pub mod zone;

use std::path::{Path, PathBuf};

pub use zonesync_test_servers as servers;
pub use zonesync_test_servers::Folder;

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
