//! What is fuzzed: everything that reads bytes which somebody else may have written.
//!
//! Each module has a `run`, which takes any bytes and must neither panic nor hang nor take much
//! memory, and `seeds` to begin with, which are made here and not kept. Checksums would keep a fuzzer
//! out, so inputs are also taken as what stands between them, and sealed ([`seal`]).

pub mod admin;
pub mod config;
pub mod image;
pub mod payloads;
pub mod records;
pub mod rows;
pub mod seal;

use std::path::Path;

/// The variable that names the folder for seeds.
const SEEDS: &str = "ZONESYNC_FUZZ_SEEDS";

/// Writes seeds into the folder that the environment names, if it names one.
pub fn put_seeds(seeds: fn() -> Vec<Vec<u8>>) {
    let Some(folder) = std::env::var_os(SEEDS) else { return };
    for (number, seed) in seeds().iter().enumerate() {
        let path = Path::new(&folder).join(format!("seed-{number}"));
        std::fs::write(&path, seed).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}
