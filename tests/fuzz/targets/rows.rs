#![no_main]

use zonesync_fuzz::{put_seeds, rows};

libfuzzer_sys::fuzz_target!(init: put_seeds(rows::seeds), |bytes: &[u8]| rows::run(bytes));
