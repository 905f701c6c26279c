#![no_main]

use zonesync_fuzz::{records, put_seeds};

libfuzzer_sys::fuzz_target!(init: put_seeds(records::seeds), |bytes: &[u8]| records::run(bytes));
