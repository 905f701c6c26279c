//! `zonesync run`: a node, from a configuration to a clean stop.

use std::io::{self, IsTerminal};
use std::sync::Arc;

use tracing_subscriber::EnvFilter;
use zonesync::ZoneSync;
use zonesync::admin::AdminServer;

use crate::args::{Common, Run};
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
pub(crate) fn run(options: &Run, common: &Common) -> Result<(), Failure> {
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
fn start(_options: &Run, _common: &Common) -> Result<Started, Failure> {
    Err(Failure::Refused("this build reads no configuration yet".into()))
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
