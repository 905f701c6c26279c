//! Clocks that jump, by libfaketime.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Ended, primary};
use crate::trial::Trial;

/// Where distributions put the library.
const PLACES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib64/faketime/libfaketime.so.1",
];

/// A wall clock that stands as a file says. The monotonic one is left alone.
struct Clock {
    file: PathBuf,
    library: &'static str,
}

impl Clock {
    fn new(folder: &Path) -> Result<Self, Ended> {
        let library = PLACES.into_iter().find(|path| Path::new(path).exists());
        let library = library.ok_or_else(|| Ended::Skipped("there is no libfaketime".into()))?;
        let clock = Self { file: folder.join("clock"), library };
        clock.set("+0");
        Ok(clock)
    }

    /// Sets the clock off by so much: `+300`, in seconds.
    fn set(&self, by: &str) {
        fs::write(&self.file, by).expect("a file can be written");
    }

    fn variables(&self) -> Vec<(String, String)> {
        let file = self.file.display().to_string();
        [
            ("LD_PRELOAD", self.library.to_owned()),
            ("FAKETIME_TIMESTAMP_FILE", file),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}

pub(super) fn of_primary(trial: &mut Trial) -> Result<(), Ended> {
    let clock = Clock::new(trial.redis.folder())?;
    // The other two are started again behind it, so that it comes to lead.
    for place in 0..3 {
        trial.nodes.stop(place);
        if place == 0 {
            trial.nodes.own(0).variables = clock.variables();
        }
        trial.start_node(place);
    }
    primary::lead(trial, 0)?;
    trial.work(100)?;
    clock.set("+300");
    trial.work(300)?;
    clock.set("+0");
    trial.work(200)?;
    let still = trial.nodes.get(0).is_primary();
    still.then_some(()).ok_or_else(|| "a jump of its wall clock ended the reign".to_owned())?;
    Ok(())
}

pub(super) fn of_redis(trial: &mut Trial) -> Result<(), Ended> {
    let clock = Clock::new(trial.redis.folder())?;
    trial.redis.set_variables(&clock.variables());
    trial.log.forget();
    trial.redis.restart();
    trial.work(200)?;
    trial.nodes.primary()?;
    let reigns = || -> u64 {
        let nodes = trial.nodes.all().filter_map(|(_, node)| node.status());
        nodes.filter_map(|status| status["counters"]["reigns"].as_u64()).sum()
    };
    for by in ["+300", "+0"] {
        let before = reigns();
        clock.set(by);
        trial.work(400)?;
        trial.nodes.primary()?;
        let elections = reigns() - before;
        if elections > 1 {
            let what = format!("a jump of the clock to {by} s led to {elections} elections");
            return Err(Ended::Failed(what));
        }
        println!("  {elections} elections after a jump to {by} s");
    }
    Ok(())
}
