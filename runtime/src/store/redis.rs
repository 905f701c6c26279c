//! The zone store in Redis or Valkey: standalone, behind Sentinel, or in a Cluster.

mod connection;
pub mod doctor;
mod native;
mod options;

pub use native::RedisStore;
pub use options::{Address, Encryption, EncryptionKey, RedisOptions, Topology, Wait};
