//! The C face of zonesync, thin: each function checks what it was given, asks the library, and
//! copies the answer out.
//!
//! Read `include/zonesync.h` first: it is made from these files and opens with the promises that
//! all functions keep. Then:
//!
//! - [`node`] is the handle of a running node, [`feed`] that of a change feed; `handle` checks both.
//! - [`lookup`] and [`entity`] answer from the node's memory.
//! - [`result`] lists every answer a call may give, [`value`] the structs that cross the border.
//! - `guard` stops panics at the border; `arguments` is where raw pointers become Rust values.
#![allow(non_camel_case_types, reason = "types are named as C sees them")]

#[cfg(panic = "abort")]
compile_error!("zonesync-ffi catches panics at the border: build it with panic = \"unwind\"");

mod arguments;
mod fork;
mod guard;
mod handle;
mod start;

pub mod entity;
pub mod feed;
pub mod lookup;
pub mod node;
pub mod result;
pub mod value;
pub mod version;
