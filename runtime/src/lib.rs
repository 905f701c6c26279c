//! Zone sync for API gateways.
//!
//! The gateways of a *zone* share one state. One of them, the elected *primary*, reads it from the
//! management repository and publishes it to the zone store; the others follow it there and answer
//! lookups from memory. When the primary goes, another takes over.
//!
//! [`ZoneSync`] is a running node; its [`ZoneSync::state`] answers lookups.

pub mod admin;
pub mod config;
mod driver;
pub mod entity;
pub mod node;
pub mod repository;
pub mod runtime;
mod start;
pub mod state;
pub mod status;
pub mod store;

pub use node::{Options, Parts, ZoneSync};
pub use start::StartError;
pub use zonesync_core as core;
