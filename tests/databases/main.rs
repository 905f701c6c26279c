//! Sources that read a database, on real servers.

mod common;
mod mariadb;
mod postgres;
mod scenes;
