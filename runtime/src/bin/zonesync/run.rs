//! `zonesync run`: a node, from a configuration to a clean stop.

use std::io::{self, IsTerminal};
use std::sync::Arc;

use tracing_subscriber::EnvFilter;
use zonesync::ZoneSync;
use zonesync::admin::{self, AdminServer};
use zonesync::config::{self, Sources};
use zonesync::runtime::{Runtime, Smol};

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
fn start(options: &Run, common: &Common) -> Result<Started, Failure> {
    let mut sources = Sources::of_process("");
    sources.files.clone_from(&options.config);
    sources.variables.extend(overrides(options, common)?);
    let loaded = config::load(&sources).map_err(|error| Failure::Usage(error.to_string()))?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let settings = &loaded.settings;
    let started = ZoneSync::start(settings).map_err(|error| Failure::Refused(error.to_string()))?;
    let node = Arc::new(started);
    let runtime: Arc<dyn Runtime> = Arc::new(Smol::new(1)?);
    let admin = admin::serve(node.clone(), &settings.admin_socket, runtime)?;
    Ok(Started { node, admin: Some(admin) })
}

/// What the command line sets, as variables of the exact name: nothing stands above those.
fn overrides(options: &Run, common: &Common) -> Result<Vec<(String, String)>, Failure> {
    let mut set = options.define.clone();
    if let Some(directory) = &options.directory {
        let path = std::path::absolute(directory)?;
        let Some(path) = path.to_str() else {
            return Err(Failure::Usage(format!("{} is no UTF-8", path.display())));
        };
        set.push(("management.type".to_owned(), "directory".to_owned()));
        set.push(("management.directory.path".to_owned(), path.to_owned()));
    }
    let named = [
        ("zonesync.zone", options.zone.as_ref().map(ToString::to_string)),
        ("zonesync.node", options.node.as_ref().map(ToString::to_string)),
        ("zonesync.admin.socket", common.socket.as_ref().map(|path| path.display().to_string())),
    ];
    set.extend(named.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    Ok(set.into_iter().map(|(key, value)| (format!("gravitee.{key}"), value)).collect())
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
