//! What the tests share.

pub mod alloc;
pub mod data;

use std::path::{Path, PathBuf};

/// Finds recorded data of real gateways, which is not part of the project.
///
/// It is looked for in the folder that `ZONESYNC_FIXTURES` names, else beside the checkout. Where
/// there is none, says so and gives none: the calling test then ends early.
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
