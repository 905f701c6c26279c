//! The zone store in Redis or Valkey: standalone, behind Sentinel, or in a Cluster.

// Tests alone call it until the layout does.
#[cfg_attr(not(test), allow(dead_code))]
mod connection;
mod options;

pub use options::{Address, RedisOptions, Topology, Wait};
