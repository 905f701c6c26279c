//! The command line of zonesync.

fn main() {}
