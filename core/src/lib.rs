//! The rules of a zone, and nothing else.
//!
//! No sockets, no clock, no threads: whoever drives this crate hands in what happened and when,
//! and asks what to do next. The same inputs give the same outputs, in the same order, always.
//!
//! Read in this order:
//!
//! - [`id`] names things: zones, nodes, terms, positions, entities.
//! - [`entity`] says what an item of state is, and what a change of it means.
//! - [`digest`] sums a state so that two nodes can tell whether they hold the same.
//! - [`diff`] finds what changed between two sorted states.
//! - [`removal`] says which removals may pass and which wait for a person.
//! - [`election`] decides who writes.
//! - [`history`] decides whom to follow after a loss.
//! - [`format`] turns all of it into bytes and back.
//! - [`node`] ties the above together and tells a driver what to read, publish and apply.
//! - [`table`] is a small state for devices without an allocator.
//! - [`bugs`] are planted by tests that test other tests; else nothing is left of them.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod bugs;
pub mod diff;
pub mod digest;
pub mod election;
pub mod entity;
pub mod format;
pub mod history;
pub mod id;
#[cfg(feature = "alloc")]
pub mod node;
mod random;
pub mod removal;
pub mod table;
pub mod time;
