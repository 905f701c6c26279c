//! The C face of zonesync.
