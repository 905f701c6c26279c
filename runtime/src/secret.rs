//! Text that must not be shown.

use std::fmt;

use zeroize::Zeroizing;

/// What stands in the place of a secret.
pub(crate) const MASK: &str = "***";

/// A text that no message shows. Its bytes are wiped when it goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Keeps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Gives the text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Finds secrets that are kept elsewhere: `secret://...` and `kubernetes://...` in a configuration.
///
/// A host gives one to [`config::Sources`](crate::config::Sources). It may block, for a configuration
/// is read before anything starts, and is asked again each time one is read.
pub trait SecretResolver: Send + Sync {
    /// Finds what `reference` names; none if there is no such secret.
    ///
    /// The reason for a failure is shown to people, so it must not hold a secret.
    fn resolve(&self, reference: &str) -> Result<Option<Secret>, String>;
}
