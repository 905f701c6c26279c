//! `zonesync run`: a node, from a configuration to a clean stop.

use std::io::{self, IsTerminal};
use std::sync::Arc;

use tracing_subscriber::EnvFilter;
use zonesync::ZoneSync;
use zonesync::admin::{self, AdminServer};
use zonesync::config;
use zonesync::runtime::{Runtime, Smol};

use crate::args::{Common, Configured};
use crate::configured::sources;
use crate::failure::Failure;
use crate::screen::wants_color;
use crate::signal::Signals;

/// What is logged unless RUST_LOG says otherwise.
const LOG_DEFAULT: &str = "info";

/// A node that was started, and its door.
struct Started {
    node: Arc<ZoneSync>,
    /// Closed when the node stops.
    admin: Option<AdminServer>,
}

/// Runs a node until it is asked to stop.
pub(crate) fn run(options: &Configured, common: &Common) -> Result<(), Failure> {
    let signals = Signals::hold()?;
    log_to_stderr(common);
    let Started { node, admin } = start(options, common)?;
    if let Some(admin) = &admin {
        tracing::info!(socket = %admin.path().display(), "answering");
    }
    let signal = signals.wait();
    tracing::info!(signal, "stopping; once more ends the process at once");
    signals.let_through();
    drop(admin);
    node.stop();
    tracing::info!("stopped");
    Ok(())
}

/// Starts the node that the configuration and the command line describe.
fn start(options: &Configured, common: &Common) -> Result<Started, Failure> {
    let sources = sources(options, common)?;
    let loaded = config::load(&sources).map_err(|error| Failure::Usage(error.to_string()))?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    for note in &loaded.notes {
        tracing::info!("{note}");
    }
    let settings = &loaded.settings;
    let started = ZoneSync::start(settings).map_err(|error| Failure::Refused(error.to_string()))?;
    let node = Arc::new(started);
    let runtime: Arc<dyn Runtime> = Arc::new(Smol::new(1)?);
    let admin = admin::serve(node.clone(), &settings.admin_socket, runtime)?;
    Ok(Started { node, admin: Some(admin) })
}

fn log_to_stderr(common: &Common) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOG_DEFAULT));
    let color = wants_color(common.color, io::stderr().is_terminal());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(color)
        .with_writer(io::stderr)
        .init();
}
