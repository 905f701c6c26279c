//! What the command line, the environment and files say a node is to be like.

use zonesync::config::Sources;

use crate::args::{Common, Configured};
use crate::failure::Failure;

/// Brings them together. What the command line sets stands above all else.
pub(crate) fn sources(options: &Configured, common: &Common) -> Result<Sources, Failure> {
    let mut sources = Sources::of_process("");
    sources.files.clone_from(&options.config);
    sources.overrides.clone_from(&options.define);
    let mut set = |key: &str, value: Option<String>| {
        sources.overrides.extend(value.map(|value| (key.to_owned(), value)));
    };
    if let Some(directory) = &options.directory {
        let path = std::path::absolute(directory)?;
        let Some(path) = path.to_str() else {
            return Err(Failure::Usage(format!("{} is no UTF-8", path.display())));
        };
        set("management.type", Some("directory".to_owned()));
        set("management.directory.path", Some(path.to_owned()));
    }
    set("zonesync.zone", options.zone.as_ref().map(ToString::to_string));
    set("zonesync.node", options.node.as_ref().map(ToString::to_string));
    let socket = common.socket.as_ref().map(|path| path.display().to_string());
    set("zonesync.admin.socket", socket);
    Ok(sources)
}
