//! The zone store in Redis or Valkey: standalone, behind Sentinel, or in a Cluster.

mod options;

pub use options::{Address, RedisOptions, Topology, Wait};
