//! Zone sync for API gateways.
//!
//! The gateways of a *zone* share one state. One of them, the elected *primary*, reads it from the
//! management repository and publishes it to the zone store; the others follow it there and answer
//! lookups from memory. When the primary goes, another takes over.
//!
//! [`ZoneSync`] is a running node; its [`ZoneSync::state`] answers lookups.
//!
//! ```
//! use std::time::Duration;
//! use zonesync::ZoneSync;
//! use zonesync::config::{self, Sources};
//! use zonesync::runtime::wall_now;
//!
//! let yaml = "
//! management: { type: directory, directory: { path: ../demo } }
//! zonesync: { zone: harbour, store: memory }
//! ";
//! let sources = Sources { text: Some(("inline".into(), yaml.into())), ..Sources::default() };
//! let node = ZoneSync::start(&config::load(&sources)?.settings)?;
//! assert!(node.wait_ready(Duration::from_secs(10)));
//!
//! // A view answers from one position, whatever the sync does meanwhile.
//! let view = node.state().view();
//! let key = "harbour-demo-f2a74de452e6b438";
//! let found = view.by_key("api-catalogue", key, None, wall_now()).expect("the key is good");
//! assert_eq!(found.id(), "sub-01");
//! assert!(view.by_key("api-catalogue", "another", None, wall_now()).is_none());
//!
//! node.stop();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod admin;
pub mod config;
mod driver;
pub mod entity;
pub mod image;
pub mod node;
mod parallel;
pub mod repository;
pub mod runtime;
mod secret;
mod start;
pub mod state;
pub mod status;
pub mod store;
pub mod tls;

pub use node::{Options, Parts, ZoneSync};
pub use secret::{Secret, SecretResolver};
pub use start::StartError;
pub use zonesync_core as core;

/// Compiles the examples of the project's first page.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
