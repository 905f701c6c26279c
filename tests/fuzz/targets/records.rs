#![no_main]

use zonesync_fuzz::{put_seeds, records};

libfuzzer_sys::fuzz_target!(init: put_seeds(records::seeds), |bytes: &[u8]| records::run(bytes));
