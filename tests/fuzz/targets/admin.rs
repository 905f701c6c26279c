#![no_main]

use zonesync_fuzz::{admin, put_seeds};

libfuzzer_sys::fuzz_target!(init: put_seeds(admin::seeds), |bytes: &[u8]| admin::run(bytes));
