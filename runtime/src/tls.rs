//! TLS by rustls, as a gateway's configuration asks for it.

use std::fmt;
use std::sync::Arc;

use rustls::ClientConfig;

/// How a client speaks TLS. Built once from a configuration; clones share it, and the sessions that
/// it resumes.
#[derive(Clone)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Takes a finished configuration of rustls.
    pub fn from_config(config: Arc<ClientConfig>) -> Self {
        Self(config)
    }

    /// Gives what rustls needs.
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.0
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}
