//! Zones of several nodes in one process, on the embedded store.
//!
//! - `directory`: over a real folder. `hosts`: the main path on three hosts.
//! - `reigns`: primaries killed, paused, stopped. `losses`: the store loses something.
//! - `images`: nodes start from their disks.
//! - `links`: the store is slow, full, away. `readings`: the repository is.
//! - `crowds`: many nodes, many entities, two zones. `ends`: how nodes end.

mod crowds;
mod directory;
mod ends;
mod hosts;
mod images;
mod links;
mod losses;
mod readings;
mod reigns;
