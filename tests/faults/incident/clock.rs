//! Clocks that jump.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Ended, primary};
use crate::trial::Trial;

/// What a process loads before all else. Not libfaketime, which servers with jemalloc do not survive.
const SOURCE: &str = include_str!("../clock.c");

/// A wall clock that stands wrong by what a file says. The monotonic one is left alone.
struct Clock {
    file: PathBuf,
    library: PathBuf,
}

impl Clock {
    fn new(folder: &Path) -> Result<Self, Ended> {
        let (file, source) = (folder.join("clock"), folder.join("clock.c"));
        let clock = Self { file, library: folder.join("clock.so") };
        clock.set(0);
        fs::write(&source, SOURCE).expect("a file can be written");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&clock.library).arg(&source);
        match compiler.status() {
            Ok(status) if status.success() => Ok(clock),
            _ => Err(Ended::Skipped("there is no C compiler".into())),
        }
    }

    /// Sets the clock wrong by so many seconds, in place: processes have the file mapped.
    fn set(&self, seconds: i64) {
        let file = File::options().write(true).create(true).truncate(false).open(&self.file);
        let written = file.and_then(|file| file.write_all_at(&seconds.to_ne_bytes(), 0));
        written.expect("a file can be written");
    }

    fn variables(&self) -> Vec<(String, String)> {
        let text = |path: &Path| path.display().to_string();
        vec![
            ("LD_PRELOAD".to_owned(), text(&self.library)),
            ("ZONESYNC_CLOCK".to_owned(), text(&self.file)),
        ]
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
    clock.set(300);
    trial.work(300)?;
    clock.set(0);
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
    for by in [300, 0] {
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
