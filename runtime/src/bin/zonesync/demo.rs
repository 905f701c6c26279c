//! `zonesync demo`: a zone of three nodes at work, on the embedded store, in one process.
//!
//! It shows the main job and what happens when things go wrong, measures it, and fails if anything
//! it shows did not happen. Read [`steps`] for what is shown; [`zone`] holds the nodes, [`folder`]
//! the definitions that it edits, [`report`] what a person sees.

mod folder;
mod lookups;
mod pick;
mod report;
mod steps;
mod zone;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use zonesync::Options;
use zonesync::core::time::Duration;
use zonesync::runtime::Smol;

use crate::args::Demo;
use crate::failure::Failure;
use crate::screen::Screen;
use folder::Folder;
use report::Report;
use zone::{Setting, Zone};

/// The names of the nodes.
const NODES: [&str; 3] = ["edge-1", "edge-2", "edge-3"];

/// Shows a zone at work.
pub(crate) fn demo(options: &Demo, screen: &mut Screen) -> Result<(), Failure> {
    let source = options.directory.clone().map_or_else(usual_folder, Ok)?;
    let folder = Folder::copy(&source)?;
    let times = match options.fast {
        true => Options {
            ttl: Duration::from_millis(600),
            poll: Duration::from_millis(200),
            ..Options::default()
        },
        false => Options::default(),
    };
    let setting = Setting {
        zone: "demo".parse().expect("a name that a zone may have"),
        directory: folder.path().into(),
        runtime: Arc::new(Smol::new(2)?),
        options: times,
    };
    let mut report = Report::new(screen);
    report.opening(&format!(
        "{} nodes in this process, on the embedded store, over a copy of the {} files in {}",
        NODES.len(),
        folder.files()?.len(),
        source.display()
    ))?;

    let mut zone = Zone::new(setting);
    let lookups = if options.fast { 10_000 } else { 100_000 };
    steps::start(&mut zone, &mut report)?;
    steps::sync(&zone, &mut report)?;
    let samples = pick::samples(&zone.view(), &folder)?;
    lookups::show(&zone, &samples, lookups, &mut report)?;
    let added = steps::change(&zone, &samples, &folder, &mut report)?;
    steps::broken_file(&zone, &samples, &folder, &added, &mut report)?;
    steps::crash(&mut zone, &samples, &folder, &mut report)?;
    steps::clean_stop(&mut zone, &mut report)?;
    steps::mass_deletion(&zone, &folder, &mut report)?;
    report.finish()
}

/// Finds the definitions that come with the project.
fn usual_folder() -> Result<PathBuf, Failure> {
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("demo");
    let places = [PathBuf::from("demo"), built_from];
    places.into_iter().find(|place| place.is_dir()).ok_or_else(|| {
        Failure::Usage("there is no folder `demo` here; name one with --directory DIR".into())
    })
}
