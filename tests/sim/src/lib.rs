//! A zone in one thread, from one seed.
//!
//! Nodes, rules, stores and state are the real ones. What surrounds them is simulated: time, the
//! order of tasks, the way to the store and its losses, the control plane. Everything is drawn from
//! one seed, so a failure is replayed from its number.
//!
//! - [`plan`]: what happens, drawn or written by hand.
//! - [`world`]: runs a plan. `executor` and `host` are its machines, `net` the way to the store,
//!   `plane` the control plane, `disk` what a node's image is on.
//! - [`watch`]: the promises, and whether they are kept.
//! - [`many`]: many seeds at once, measured by [`cpu`]. [`tell`]: a failure in plain words, cut down
//!   by [`shrink`].
//! - [`scenario`]: incidents as scripts, and what must hold.

pub mod cpu;
pub mod disk;
pub mod executor;
pub mod host;
pub mod many;
pub mod net;
pub mod plan;
pub mod plane;
pub mod random;
pub mod rows;
pub mod scenario;
pub mod shrink;
pub mod tell;
pub mod truth;
pub mod watch;
pub mod world;
