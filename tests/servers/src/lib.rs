//! Real servers, started for a test on free ports and stopped with it by process id.
//!
//! A crate of its own that knows nothing of zonesync: so the library's own tests can use it, too.

pub mod certificates;
pub mod cluster;
pub mod mariadb;
pub mod postgres;
pub mod proxy;
pub mod redis;
pub mod sentinel;
pub mod stores;
pub mod tls;

mod folder;
mod process;

pub use folder::Folder;

use std::net::TcpListener;

/// Finds a port that nobody listens on. Another process may take it before it is used: what starts a
/// server there tries again with another.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port can be had");
    listener.local_addr().expect("a listener has an address").port()
}
